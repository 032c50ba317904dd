//! Each device op against the op's kernel on the host: types, shapes and errors everywhere, values
//! where there is a GPU.

use tfjet_core::{AttrValue, Attrs, DType, Tensor, TensorView};
use tfjet_cuda::kernels::{DeviceTensor, ElementType, Kernels};
use tfjet_cuda::{Context, DeviceBuffer, Driver, KernelCache, Nvrtc, Stream};
use tfjet_ops::OpError;

use super::*;

mod cases;
mod data;

use cases::{Case, cases};

/// A GPU with kernels, or the reason why there is none.
struct Device {
    context: Context,
    stream: Stream,
    kernels: Kernels,
}

impl Device {
    fn open() -> Result<Self, tfjet_cuda::CudaError> {
        let context = Context::new(&Driver::load()?, 0)?;
        let explicit = std::env::var_os("TFJET_NVRTC").map(std::path::PathBuf::from);
        let nvrtc = Nvrtc::load(explicit.as_deref(), &[], context.driver().version())?;
        Ok(Self {
            stream: Stream::new(&context)?,
            kernels: Kernels::new(KernelCache::new(context.clone(), Some(nvrtc), None)?)?,
            context,
        })
    }

    fn tensor(&self, dtype: ElementType, shape: &[usize], len_bytes: usize) -> DeviceTensor {
        DeviceTensor {
            dtype,
            shape: shape.to_vec(),
            region: DeviceBuffer::new(&self.context, len_bytes)
                .unwrap()
                .region(),
        }
    }

    /// The op's outputs; with `narrow`, 64-bit integers are held in 32 bits.
    fn run(&self, op: &DeviceOp, case: &Case, narrow: bool) -> Vec<Tensor> {
        let held: Vec<Tensor> = case
            .inputs
            .iter()
            .map(|input| {
                if narrow {
                    narrowed(input)
                } else {
                    input.clone()
                }
            })
            .collect();
        let inputs: Vec<DeviceTensor> = held
            .iter()
            .map(|input| {
                let dtype = element_type(input.dtype()).unwrap();
                self.tensor(dtype, input.shape(), input.bytes().len())
            })
            .collect();
        let known = known(op, case);
        let made = op.prepare(&known).unwrap();
        let mut results: Vec<Tensor> = made
            .iter()
            .map(|(dtype, shape)| {
                let wide = Tensor::zeros(*dtype, shape).unwrap();
                if narrow { narrowed(&wide) } else { wide }
            })
            .collect();
        let outputs: Vec<DeviceTensor> = if op.is_view() {
            let view = |(_, shape): &(DType, Vec<usize>)| DeviceTensor {
                shape: shape.clone(),
                ..inputs[0].clone()
            };
            made.iter().map(view).collect()
        } else {
            results
                .iter()
                .map(|result| {
                    let dtype = element_type(result.dtype()).unwrap();
                    self.tensor(dtype, result.shape(), result.bytes().len())
                })
                .collect()
        };
        self.stream
            .scope(|scope| {
                for (index, (tensor, input)) in inputs.iter().zip(&held).enumerate() {
                    if !op.host_inputs().contains(&index) {
                        scope.upload(&tensor.region, input.bytes()).unwrap();
                    }
                }
                op.enqueue(&self.kernels, scope, &inputs, &known, &outputs)
                    .unwrap_or_else(|error| panic!("{}: {error}", case.op));
                for (tensor, result) in outputs.iter().zip(&mut results) {
                    scope.download(result.bytes_mut(), &tensor.region).unwrap();
                }
            })
            .unwrap();
        let wide = |(result, (dtype, _)): (Tensor, &(DType, Vec<usize>))| {
            if result.dtype() == *dtype {
                result
            } else {
                widened(&result)
            }
        };
        results.into_iter().zip(&made).map(wide).collect()
    }
}

fn narrowed(tensor: &Tensor) -> Tensor {
    match tensor.as_slice::<i64>() {
        Ok(values) => {
            let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
            Tensor::from_slice(tensor.shape(), &values).unwrap()
        }
        Err(_) => tensor.clone(),
    }
}

fn widened(tensor: &Tensor) -> Tensor {
    let values: Vec<i64> = tensor
        .as_slice::<i32>()
        .unwrap()
        .iter()
        .map(|&x| x.into())
        .collect();
    Tensor::from_slice(tensor.shape(), &values).unwrap()
}

/// What a block knows of the inputs: elements of those that the op needs on the host.
fn known<'a>(op: &DeviceOp, case: &'a Case) -> Vec<OpInput<'a>> {
    let known = |(index, input): (usize, &'a Tensor)| OpInput {
        dtype: input.dtype(),
        shape: input.shape(),
        host: op.host_inputs().contains(&index).then(|| input.view()),
    };
    case.inputs.iter().enumerate().map(known).collect()
}

fn device_op(case: &Case) -> DeviceOp {
    DeviceOp::new(case.op, &case.attrs, case.inputs.len())
        .unwrap_or_else(|| panic!("no device op for {} {:?}", case.op, case.attrs))
}

fn on_host(case: &Case) -> Result<Vec<Tensor>, OpError> {
    let kernel = tfjet_ops::kernel(case.op, &case.attrs)?;
    let mut outputs = vec![Tensor::default(); kernel.output_count()];
    let inputs: Vec<TensorView<'_>> = case.inputs.iter().map(Tensor::view).collect();
    kernel.run(&inputs, &mut outputs)?;
    Ok(outputs)
}

fn all_elements(tensor: &Tensor) -> Vec<f64> {
    use half::f16;
    match tensor.dtype() {
        DType::F32 => tensor
            .as_slice::<f32>()
            .unwrap()
            .iter()
            .map(|&x| x.into())
            .collect(),
        DType::F16 => tensor
            .as_slice::<f16>()
            .unwrap()
            .iter()
            .map(|&x| x.into())
            .collect(),
        DType::I32 => tensor
            .as_slice::<i32>()
            .unwrap()
            .iter()
            .map(|&x| x.into())
            .collect(),
        DType::I64 => tensor
            .as_slice::<i64>()
            .unwrap()
            .iter()
            .map(|&x| x as f64)
            .collect(),
        DType::I8 => tensor
            .as_slice::<i8>()
            .unwrap()
            .iter()
            .map(|&x| x.into())
            .collect(),
        _ => tensor.bytes().iter().map(|&x| x.into()).collect(),
    }
}

/// What is wrong with the device's outputs.
fn difference(case: &Case, expected: &[Tensor], actual: &[Tensor]) -> Option<String> {
    for (expected, actual) in expected.iter().zip(actual) {
        let pairs = all_elements(expected).into_iter().zip(all_elements(actual));
        for (at, (expected, actual)) in pairs.enumerate() {
            let same = expected == actual
                || (expected.is_nan() && actual.is_nan())
                || (expected - actual).abs() <= case.tolerance * expected.abs().max(1.0);
            if !same {
                let inputs = case.inputs.iter();
                let inputs: Vec<_> = inputs.map(|it| (it.dtype(), it.shape())).collect();
                return Some(format!(
                    "{} {:?} of {inputs:?}: element {at} is {actual}, expected {expected}",
                    case.op, case.attrs
                ));
            }
        }
    }
    None
}

#[test]
fn results_have_the_types_and_shapes_that_the_host_makes() {
    for case in cases() {
        let op = device_op(&case);
        let made = op.prepare(&known(&op, &case)).unwrap();
        let expected: Vec<(DType, Vec<usize>)> = on_host(&case)
            .unwrap_or_else(|error| panic!("{case:?}: {error}"))
            .iter()
            .map(|output| (output.dtype(), output.shape().to_vec()))
            .collect();
        assert_eq!(made, expected, "{case:?}");
    }
}

#[test]
fn every_device_op_has_a_case() {
    let cases = cases();
    for op in device_ops() {
        assert!(cases.iter().any(|case| case.op == *op), "{op}");
    }
}

#[test]
fn values_are_those_that_the_host_makes() {
    let device = match Device::open() {
        Ok(device) => device,
        Err(error) => {
            eprintln!("SKIPPED, no device op was run: {error}");
            return;
        }
    };
    let cases = cases();
    let mut differences = Vec::new();
    for case in &cases {
        let op = device_op(case);
        let expected = on_host(case).unwrap();
        differences.extend(difference(case, &expected, &device.run(&op, case, false)));
        let wide = |tensors: &[Tensor]| tensors.iter().any(|it| it.dtype() == DType::I64);
        if case.fits_narrow && (wide(&case.inputs) || wide(&expected)) {
            let narrow = difference(case, &expected, &device.run(&op, case, true));
            differences.extend(narrow.map(|it| format!("held in 32 bits: {it}")));
        }
    }
    eprintln!(
        "{} cases ran on {}",
        cases.len(),
        device.context.device().name
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn what_the_host_refuses_before_running_is_refused_here() {
    for case in cases::refused() {
        let op = device_op(&case);
        let error = on_host(&case).expect_err(case.op);
        let everything: Vec<OpInput<'_>> = case
            .inputs
            .iter()
            .map(|input| OpInput {
                dtype: input.dtype(),
                shape: input.shape(),
                host: Some(input.view()),
            })
            .collect();
        let found = op.prepare(&everything).expect_err(case.op);
        assert_eq!(
            std::mem::discriminant(&found),
            std::mem::discriminant(&error),
            "{case:?}: {found}, expected {error}"
        );
    }
}

#[test]
fn ops_and_types_without_kernels_stay_on_the_host() {
    let with = |name: &str, value| Attrs::default().with(name, value);
    let of = |dtype| with("T", AttrValue::Type(Some(dtype)));
    for (op, attrs, inputs) in [
        ("NonMaxSuppressionV3", Attrs::default(), 5),
        ("Neg", of(DType::F64), 1),
        ("Exp", of(DType::I32), 1),
        ("Add", of(DType::Bool), 2),
        ("Mean", of(DType::I32), 2),
        ("Identity", with("T", AttrValue::Type(None)), 1),
        ("Relu", with("speed", AttrValue::Int(3)), 1),
        ("Cast", with("DstT", AttrValue::Type(Some(DType::F64))), 1),
        (
            "ArgMax",
            with("output_type", AttrValue::Type(Some(DType::I16))),
            2,
        ),
        (
            "Equal",
            with("incompatible_shape_error", AttrValue::Bool(false)),
            2,
        ),
        ("Unpack", with("num", AttrValue::Int(i64::MAX)), 1),
        ("ConcatV2", Attrs::default(), 0),
    ] {
        assert!(
            DeviceOp::new(op, &attrs, inputs).is_none(),
            "{op} {attrs:?}"
        );
    }
    assert!(DeviceOp::new("Neg", &of(DType::F32), 1).is_some());
}

#[test]
fn shapes_on_the_host_are_not_read_by_the_device() {
    for (op, attrs, inputs, expected) in [
        ("Reshape", Attrs::default(), 2, &[1][..]),
        ("ConcatV2", Attrs::default(), 4, &[3]),
        ("Concat", Attrs::default(), 4, &[0]),
        ("StridedSlice", Attrs::default(), 4, &[1, 2, 3]),
        ("GatherV2", Attrs::default(), 3, &[2]),
        ("Gather", Attrs::default(), 2, &[]),
        ("Mul", Attrs::default(), 2, &[]),
    ] {
        let found = DeviceOp::new(op, &attrs, inputs).unwrap();
        assert_eq!(found.host_inputs(), expected, "{op}");
        assert_eq!(found.is_view(), op == "Reshape");
    }
    let op = DeviceOp::new("Reshape", &Attrs::default(), 2).unwrap();
    let (data, shape) = (Tensor::zeros(DType::F32, &[6]).unwrap(), [2]);
    let unknown = [
        OpInput {
            dtype: DType::F32,
            shape: data.shape(),
            host: None,
        },
        OpInput {
            dtype: DType::I32,
            shape: &shape,
            host: None,
        },
    ];
    assert!(matches!(op.prepare(&unknown), Err(OpError::Value { .. })));
    assert!(matches!(
        op.prepare(&unknown[..1]),
        Err(OpError::InputCount { .. })
    ));
}
