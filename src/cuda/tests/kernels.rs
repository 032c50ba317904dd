//! The kernels against plain loops. Without a GPU or NVRTC every test says so and passes.
//!
//! `TFJET_NVRTC` may name NVRTC's library.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests fail and tell like tests"
)]

use std::path::PathBuf;

use tfjet_cuda::kernels::{
    BinaryOp, DeviceTensor, ElementType, KernelError, Kernels, ReduceOp, Sampling, UnaryOp, Walk,
};
use tfjet_cuda::{Context, CudaError, DeviceBuffer, Driver, KernelCache, Nvrtc, Scope, Stream};

struct Gpu {
    context: Context,
    stream: Stream,
    kernels: Kernels,
}

fn gpu() -> Option<Gpu> {
    let open = || {
        let context = Context::new(&Driver::load()?, 0)?;
        let explicit = std::env::var_os("TFJET_NVRTC").map(PathBuf::from);
        let nvrtc = Nvrtc::load(explicit.as_deref(), &[], context.driver().version())?;
        Ok(Gpu {
            stream: Stream::new(&context)?,
            kernels: Kernels::new(KernelCache::new(context.clone(), Some(nvrtc), None)?)?,
            context,
        })
    };
    match open() {
        Ok(gpu) => Some(gpu),
        Err::<_, CudaError>(error) if error.is_missing() => {
            eprintln!("SKIPPED, this test needs a GPU and NVRTC: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// An element of host memory.
trait Element: Copy + Default {
    const TYPE: ElementType;
    fn bytes(self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($($rust:ty: $dtype:ident),*) => {$(
        impl Element for $rust {
            const TYPE: ElementType = ElementType::$dtype;
            fn bytes(self) -> Vec<u8> { self.to_ne_bytes().to_vec() }
            fn from_bytes(bytes: &[u8]) -> Self { Self::from_ne_bytes(bytes.try_into().unwrap()) }
        }
    )*};
}

element!(f32: F32, i32: I32, i64: I64, u8: U8, i8: I8);

impl Element for bool {
    const TYPE: ElementType = ElementType::Bool;
    fn bytes(self) -> Vec<u8> {
        vec![u8::from(self)]
    }
    fn from_bytes(bytes: &[u8]) -> Self {
        bytes == [1]
    }
}

impl Gpu {
    fn empty<T: Element>(&self, shape: &[usize]) -> DeviceTensor {
        let elements: usize = shape.iter().product();
        let buffer = DeviceBuffer::new(&self.context, elements * T::TYPE.size_bytes()).unwrap();
        DeviceTensor {
            dtype: T::TYPE,
            shape: shape.to_vec(),
            region: buffer.region(),
        }
    }

    fn tensor<T: Element>(&self, shape: &[usize], values: &[T]) -> DeviceTensor {
        let tensor = self.empty::<T>(shape);
        let bytes: Vec<u8> = values.iter().flat_map(|&value| value.bytes()).collect();
        let uploaded = self
            .stream
            .scope(|scope| scope.upload(&tensor.region, &bytes));
        uploaded.unwrap().unwrap();
        tensor
    }

    fn values<T: Element>(&self, tensor: &DeviceTensor) -> Vec<T> {
        let mut bytes = vec![0; tensor.elements() * T::TYPE.size_bytes()];
        let downloaded = self
            .stream
            .scope(|scope| scope.download(&mut bytes, &tensor.region));
        downloaded.unwrap().unwrap();
        bytes
            .chunks(T::TYPE.size_bytes())
            .map(T::from_bytes)
            .collect()
    }

    /// What `work` writes into a tensor of `shape`.
    fn made<T: Element>(
        &self,
        shape: &[usize],
        work: impl FnOnce(&Kernels, &Scope<'_, '_>, &DeviceTensor) -> Result<(), KernelError>,
    ) -> Result<Vec<T>, KernelError> {
        let out = self.empty::<T>(shape);
        self.stream
            .scope(|scope| work(&self.kernels, scope, &out))??;
        Ok(self.values(&out))
    }
}

#[test]
fn elements_broadcast() {
    let Some(gpu) = gpu() else { return };
    let a: Vec<f32> = (0..2 * 3 * 7).map(|i| i as f32 - 9.5).collect();
    let b = [0.25f32, f32::NAN, f32::INFINITY];
    let (left, right) = (gpu.tensor(&[2, 3, 7], &a), gpu.tensor(&[3, 1], &b));
    let sums = gpu.made::<f32>(&[2, 3, 7], |kernels, scope, out| {
        kernels.binary(scope, BinaryOp::Add, &left, &right, out)
    });
    for (i, sum) in sums.unwrap().into_iter().enumerate() {
        let expected = a[i] + b[i / 7 % 3];
        assert!(
            sum == expected || (sum.is_nan() && expected.is_nan()),
            "{i}: {sum}"
        );
    }
    let less = gpu.made::<bool>(&[2, 3, 7], |kernels, scope, out| {
        kernels.binary(scope, BinaryOp::Less, &left, &right, out)
    });
    for (i, less) in less.unwrap().into_iter().enumerate() {
        assert_eq!(less, a[i] < b[i / 7 % 3], "{i}");
    }
}

#[test]
fn a_grid_loops_over_more_elements_than_it_has_threads() {
    let Some(gpu) = gpu() else { return };
    let count = 3 << 20;
    let x: Vec<i32> = (0..count).map(|i| i % 1001 - 500).collect();
    let tensor = gpu.tensor(&[x.len()], &x);
    let squares = gpu.made::<i32>(&[x.len()], |kernels, scope, out| {
        kernels.unary(scope, UnaryOp::Square, 0.0, &tensor, out)
    });
    let wrong = squares
        .unwrap()
        .iter()
        .zip(&x)
        .position(|(square, x)| *square != x * x);
    assert_eq!(wrong, None);
}

#[test]
fn indices_of_two_widths_mix() {
    let Some(gpu) = gpu() else { return };
    let x = [-7i64, 7, 1 << 20, -1, 0, 5];
    let (narrow, wide) = (x.map(|x| x as i32), [2i64, -2, 3, 4, 5, 5]);
    let (a, b) = (gpu.tensor(&[6], &narrow), gpu.tensor(&[6], &wide));
    let quotients = gpu.made::<i32>(&[6], |kernels, scope, out| {
        kernels.binary(scope, BinaryOp::FloorDiv, &a, &b, out)
    });
    assert_eq!(quotients.unwrap(), [-4, -4, 349_525, -1, 0, 1]);
    let widened = gpu.made::<i64>(&[6], |kernels, scope, out| kernels.cast(scope, &a, out));
    assert_eq!(widened.unwrap(), x);
}

#[test]
fn floats_truncate_and_integers_keep_their_low_bits() {
    let Some(gpu) = gpu() else { return };
    let x = gpu.tensor(&[6], &[1.9f32, -1.9, 300.9, 3e9, f32::NAN, -0.0]);
    let cast = |shape: &[usize]| {
        let i32s = gpu.made::<i32>(shape, |kernels, scope, out| kernels.cast(scope, &x, out));
        let u8s = gpu.made::<u8>(shape, |kernels, scope, out| kernels.cast(scope, &x, out));
        let bools = gpu.made::<bool>(shape, |kernels, scope, out| kernels.cast(scope, &x, out));
        (i32s.unwrap(), u8s.unwrap(), bools.unwrap())
    };
    let (i32s, u8s, bools) = cast(&[6]);
    assert_eq!(i32s, [1, -1, 300, i32::MIN, i32::MIN, 0]);
    assert_eq!(u8s, [1, 255, 44, 0, 0, 0]);
    assert_eq!(bools, [true, true, true, true, true, false]);
}

#[test]
fn half_floats_are_rounded_to_nearest_even() {
    let Some(gpu) = gpu() else { return };
    let x = [
        1.0f32,
        2049.0,
        2051.0,
        65_519.0,
        65_520.0,
        1e-8,
        -0.1,
        f32::INFINITY,
    ];
    let tensor = gpu.tensor(&[8], &x);
    let half = DeviceTensor {
        dtype: ElementType::F16,
        ..gpu.empty::<f32>(&[8])
    };
    let back = gpu.made::<f32>(&[8], |kernels, scope, out| {
        kernels.cast(scope, &tensor, &half)?;
        kernels.cast(scope, &half, out)
    });
    let expected = [
        1.0,
        2048.0,
        2052.0,
        65_504.0,
        f32::INFINITY,
        0.0,
        -0.099_975_586,
        f32::INFINITY,
    ];
    assert_eq!(back.unwrap(), expected);
}

#[test]
fn dimensions_change_places() {
    let Some(gpu) = gpu() else { return };
    let (n, h, w, c) = (2, 5, 7, 3);
    let x: Vec<u8> = (0..n * h * w * c).map(|i| i as u8).collect();
    let tensor = gpu.tensor(&[n, h, w, c], &x);
    let moved = gpu.made::<u8>(&[n, c, h, w], |kernels, scope, out| {
        kernels.transpose(scope, &tensor, &[0, 3, 1, 2], out)
    });
    for (i, value) in moved.unwrap().into_iter().enumerate() {
        let (n, c, rest) = (i / (c * h * w), i / (h * w) % c, i % (h * w));
        assert_eq!(value, x[(n * h * w + rest) * 3 + c], "{i}");
    }
}

#[test]
fn an_index_outside_the_axis_gathers_zeros() {
    let Some(gpu) = gpu() else { return };
    let params: Vec<f32> = (1..=2 * 4 * 3).map(|i| i as f32).collect();
    let params_tensor = gpu.tensor(&[2, 4, 3], &params);
    let indices = [3i64, -1, 0, 4, i64::MAX, 1];
    let indices_tensor = gpu.tensor(&[2, 3], &indices);
    let rows = gpu.made::<f32>(&[2, 3, 3], |kernels, scope, out| {
        kernels.gather(scope, &params_tensor, &indices_tensor, 1, 1, out)
    });
    for (i, value) in rows.unwrap().into_iter().enumerate() {
        let (batch, index, within) = (i / 9, indices[i / 3], i % 3);
        let expected = match usize::try_from(index) {
            Ok(index) if index < 4 => params[(batch * 4 + index) * 3 + within],
            _ => 0.0,
        };
        assert_eq!(value, expected, "{i}");
    }
}

#[test]
fn conditions_choose() {
    let Some(gpu) = gpu() else { return };
    let condition = gpu.tensor(&[3, 1], &[true, false, true]);
    let (a, b) = (gpu.tensor(&[2], &[1i8, -2]), gpu.tensor(&[], &[9i8]));
    let chosen = gpu.made::<i8>(&[3, 2], |kernels, scope, out| {
        kernels.select(scope, &condition, &a, &b, out)
    });
    assert_eq!(chosen.unwrap(), [1, -2, 9, 9, 1, -2]);
}

#[test]
fn images_resize() {
    let Some(gpu) = gpu() else { return };
    let x = gpu.tensor(&[1, 2, 2, 1], &[0.0f32, 1.0, 2.0, 3.0]);
    let half = Sampling {
        half_pixel_centers: true,
        ..Sampling::default()
    };
    let aligned = Sampling {
        align_corners: true,
        ..Sampling::default()
    };
    let blended = |sampling| {
        let made = gpu.made::<f32>(&[1, 1, 4, 1], |kernels, scope, out| {
            kernels.resize_bilinear(scope, &x, sampling, out)
        });
        made.unwrap()
    };
    assert_eq!(blended(Sampling::default()), [0.0, 0.5, 1.0, 1.0]);
    assert_eq!(blended(half), [1.0, 1.25, 1.75, 2.0]);
    let third = 1.0f32 / 3.0;
    assert_eq!(blended(aligned), [0.0, third, 2.0 * third, 1.0]);
    let nearest = gpu.made::<f32>(&[1, 3, 3, 1], |kernels, scope, out| {
        kernels.resize_nearest(scope, &x, half, out)
    });
    assert_eq!(
        nearest.unwrap(),
        [0.0, 1.0, 1.0, 2.0, 3.0, 3.0, 2.0, 3.0, 3.0]
    );
}

#[test]
fn reductions_share_the_work_in_every_grouping() {
    let Some(gpu) = gpu() else { return };
    for (outer, len, inner) in [
        (3, 5, 1),
        (2, 1000, 3),
        (1, 7, 20_000),
        (300, 2, 1),
        (4, 0, 2),
    ] {
        let x: Vec<i32> = (0..outer * len * inner)
            .map(|i| (i * 7919 % 1009) as i32 - 500)
            .collect();
        let tensor = gpu.tensor(&[outer, len, inner], &x);
        let column = |at: usize| {
            let (o, i) = (at / inner, at % inner);
            (0..len).map(move |k| (o * len + k) * inner + i)
        };
        let sums = gpu.made::<i32>(&[outer, inner], |kernels, scope, out| {
            kernels.reduce(scope, ReduceOp::Sum, &tensor, &[1], out)
        });
        for (at, sum) in sums.unwrap().into_iter().enumerate() {
            assert_eq!(
                sum,
                column(at).map(|from| x[from]).sum::<i32>(),
                "{len} {at}"
            );
        }
        if len == 0 {
            continue;
        }
        let largest = gpu.made::<i64>(&[outer, 1, inner], |kernels, scope, out| {
            kernels.reduce(scope, ReduceOp::ArgMax, &tensor, &[1], out)
        });
        for (at, found) in largest.unwrap().into_iter().enumerate() {
            let values: Vec<i32> = column(at).map(|from| x[from]).collect();
            let first = values
                .iter()
                .position(|value| Some(value) == values.iter().max());
            assert_eq!(Some(found as usize), first, "{len} {at}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(gpu) = gpu() else { return };
    let (a, b) = (
        gpu.tensor(&[2], &[1.0f32, 2.0]),
        gpu.tensor(&[3], &[1.0f32; 3]),
    );
    let ints = gpu.tensor(&[2], &[1i32, 2]);
    let add = |a: &DeviceTensor, b: &DeviceTensor| {
        gpu.made::<f32>(&[2], |kernels, scope, out| {
            kernels.binary(scope, BinaryOp::Add, a, b, out)
        })
    };
    assert!(matches!(add(&a, &b), Err(KernelError::Shapes { .. })));
    assert!(matches!(add(&a, &ints), Err(KernelError::Types { .. })));
    let long = DeviceTensor {
        shape: vec![4],
        ..a.clone()
    };
    assert!(matches!(add(&long, &a), Err(KernelError::TooShort { .. })));
    let crooked = DeviceTensor {
        shape: vec![1],
        region: a.region.slice(2, 4).unwrap(),
        ..a.clone()
    };
    assert!(matches!(
        add(&a, &crooked),
        Err(KernelError::Alignment { .. })
    ));
    let mut beyond = Walk::new([1, 0]);
    beyond.push(2, [1, 1]);
    let copied = gpu.made::<f32>(&[2], |kernels, scope, out| {
        kernels.copy(scope, &a, out, &beyond)
    });
    assert!(matches!(copied, Err(KernelError::Shapes { .. })));
}

#[test]
fn a_kernel_is_loaded_before_it_is_recorded() {
    let Some(gpu) = gpu() else { return };
    let (x, out) = (
        gpu.tensor(&[3], &[1.0f32, -2.0, 3.0]),
        gpu.empty::<f32>(&[3]),
    );
    let negate = |scope: &Scope<'_, '_>| gpu.kernels.unary(scope, UnaryOp::Neg, 0.0, &x, &out);
    let early = gpu.stream.capture(|scope| Ok(negate(scope)?));
    assert!(matches!(early, Err(CudaError::Capture(_))), "{early:?}");
    gpu.stream.scope(negate).unwrap().unwrap();
    let graph = gpu.stream.capture(|scope| Ok(negate(scope)?)).unwrap();
    assert_eq!(graph.node_count(), 1);
    let zeroed = gpu.stream.scope(|scope| {
        scope.fill_zero(&out.region)?;
        scope.replay(&graph)
    });
    zeroed.unwrap().unwrap();
    assert_eq!(gpu.values::<f32>(&out), [-1.0, 2.0, -3.0]);
}
