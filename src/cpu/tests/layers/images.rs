use tfjet_core::{
    DType, InterpolationMode, Layer, PoolingType, ResizeCoordinateTransformation, ResizeRounding,
    WeightsId,
};

use crate::case::{Case, noise, whole};
use crate::reference::{
    Array, Window, convolution, deconvolution, local_response, pooling, resize,
};

pub fn cases() -> Vec<Case> {
    [
        convolutions(),
        deconvolutions(),
        poolings(),
        resizes(),
        local_responses(),
    ]
    .concat()
}

struct Convolution {
    input: &'static [usize],
    kernel: &'static [usize],
    stride: &'static [usize],
    dilation: &'static [usize],
    pre: &'static [usize],
    post: &'static [usize],
    groups: usize,
}

fn convolutions() -> Vec<Case> {
    let table = [
        Convolution {
            input: &[1, 3, 9, 8],
            kernel: &[8, 3, 3, 3],
            stride: &[2, 2],
            dilation: &[1, 1],
            pre: &[0, 0],
            post: &[1, 1],
            groups: 1,
        },
        Convolution {
            input: &[2, 16, 7, 7],
            kernel: &[16, 16, 1, 1],
            stride: &[1, 1],
            dilation: &[1, 1],
            pre: &[0, 0],
            post: &[0, 0],
            groups: 1,
        },
        Convolution {
            input: &[1, 9, 6, 7],
            kernel: &[9, 1, 3, 3],
            stride: &[1, 1],
            dilation: &[1, 1],
            pre: &[1, 1],
            post: &[1, 1],
            groups: 9,
        },
        Convolution {
            input: &[1, 16, 8, 8],
            kernel: &[32, 1, 3, 3],
            stride: &[2, 1],
            dilation: &[1, 2],
            pre: &[0, 2],
            post: &[1, 2],
            groups: 16,
        },
        Convolution {
            input: &[1, 8, 6, 6],
            kernel: &[12, 2, 3, 2],
            stride: &[1, 2],
            dilation: &[2, 1],
            pre: &[2, 1],
            post: &[1, 0],
            groups: 4,
        },
        Convolution {
            input: &[1, 2, 5, 6, 4],
            kernel: &[4, 2, 2, 3, 3],
            stride: &[1, 2, 1],
            dilation: &[1, 1, 1],
            pre: &[1, 0, 1],
            post: &[0, 1, 1],
            groups: 1,
        },
    ];
    let mut cases = Vec::new();
    for c in table {
        let (x, k) = (noise(c.input, 30), noise(c.kernel, 31));
        let bias = noise(&c.kernel[..1], 32);
        let window = Window {
            stride: c.stride,
            dilation: c.dilation,
            pre: c.pre,
            post: c.post,
            groups: c.groups,
        };
        for with_bias in [true, false] {
            let layer = Layer::Convolution {
                kernel: WeightsId(0),
                bias: with_bias.then_some(WeightsId(1)),
                stride: c.stride.to_vec(),
                dilation: c.dilation.to_vec(),
                pre_padding: c.pre.to_vec(),
                post_padding: c.post.to_vec(),
                padding_mode: tfjet_core::PaddingMode::Explicit,
                groups: c.groups,
            };
            let expected = convolution(&x, &k, with_bias.then_some(&bias), &window);
            let name = format!("Convolution {:?} {:?} {with_bias}", c.input, c.kernel);
            cases.push(Case::float(name, layer, &[&x], expected).with_weights(&[&k, &bias]));
        }
    }
    let mut half = cases[0].clone();
    half.name = "Convolution with float16 weights".into();
    let to_half = |x: f64| half::f16::from_f64(x).to_f64();
    for (dtype, weights) in &mut half.weights {
        *dtype = DType::F16;
        *weights = weights.map(to_half);
    }
    let window = Window {
        stride: &[2, 2],
        dilation: &[1, 1],
        pre: &[0, 0],
        post: &[1, 1],
        groups: 1,
    };
    let (k, bias) = (&half.weights[0].1, &half.weights[1].1);
    half.expected[0].1 = convolution(&half.inputs[0].1, k, Some(bias), &window);
    cases.push(half);
    cases
}

fn deconvolutions() -> Vec<Case> {
    type Row = (
        &'static [usize],
        &'static [usize],
        &'static [usize],
        &'static [usize],
        &'static [usize],
        usize,
    );
    let table: [Row; 4] = [
        (&[1, 3, 4, 5], &[3, 6, 2, 2], &[2, 2], &[0, 0], &[0, 0], 1),
        (&[2, 4, 5, 4], &[4, 3, 3, 4], &[2, 1], &[1, 0], &[0, 2], 1),
        (&[1, 4, 3, 3], &[4, 2, 3, 3], &[3, 2], &[1, 1], &[1, 1], 2),
        (
            &[1, 2, 2, 3, 2],
            &[2, 3, 2, 2, 3],
            &[1, 2, 2],
            &[0, 1, 0],
            &[1, 0, 1],
            1,
        ),
    ];
    let mut cases = Vec::new();
    for (input, kernel, stride, pre, post, groups) in table {
        let (x, k) = (noise(input, 33), noise(kernel, 34));
        let bias = noise(&[kernel[1] * groups], 35);
        let window = Window {
            stride,
            dilation: &[],
            pre,
            post,
            groups,
        };
        for with_bias in [true, false] {
            let layer = Layer::Deconvolution {
                kernel: WeightsId(0),
                bias: with_bias.then_some(WeightsId(1)),
                stride: stride.to_vec(),
                pre_padding: pre.to_vec(),
                post_padding: post.to_vec(),
                groups,
            };
            let expected = deconvolution(&x, &k, with_bias.then_some(&bias), &window);
            let name = format!("Deconvolution {input:?} {kernel:?} {with_bias}");
            cases.push(Case::float(name, layer, &[&x], expected).with_weights(&[&k, &bias]));
        }
    }
    cases
}

fn poolings() -> Vec<Case> {
    type Row = (
        &'static [usize],
        &'static [usize],
        &'static [usize],
        &'static [usize],
        &'static [usize],
    );
    let table: [Row; 5] = [
        (&[1, 3, 6, 7], &[2, 2], &[2, 2], &[0, 0], &[0, 0]),
        (&[2, 8, 6, 7], &[3, 3], &[2, 2], &[0, 0], &[1, 1]),
        (&[1, 16, 7, 6], &[3, 2], &[1, 2], &[1, 1], &[1, 0]),
        (&[1, 3, 5, 5], &[5, 5], &[1, 1], &[2, 2], &[2, 2]),
        (
            &[1, 2, 5, 4, 6],
            &[2, 3, 2],
            &[1, 2, 2],
            &[1, 0, 1],
            &[0, 1, 0],
        ),
    ];
    let mut cases = Vec::new();
    for (input, size, stride, pre, post) in table {
        let x = noise(input, 36).map(|x| x - 1.5);
        let window = Window {
            stride,
            dilation: &[],
            pre,
            post,
            groups: 1,
        };
        for (kind, exclude) in [
            (PoolingType::Max, false),
            (PoolingType::Average, false),
            (PoolingType::Average, true),
        ] {
            let layer = Layer::Pooling {
                kind,
                window: size.to_vec(),
                stride: stride.to_vec(),
                pre_padding: pre.to_vec(),
                post_padding: post.to_vec(),
                padding_mode: tfjet_core::PaddingMode::Explicit,
                average_count_excludes_padding: exclude,
            };
            let expected = pooling(&x, kind, size, &window, exclude);
            let name = format!("{kind:?} pooling {input:?} {size:?} {exclude}");
            cases.push(Case::float(name, layer, &[&x], expected));
        }
    }
    cases
}

fn local_responses() -> Vec<Case> {
    let mut cases = Vec::new();
    for (shape, window) in [([2, 7, 3, 4], 5), ([1, 16, 2, 2], 11), ([1, 3, 4, 4], 15)] {
        let x = noise(&shape, 39);
        let layer = Layer::Lrn {
            window,
            alpha: 0.5,
            beta: 0.75,
            k: 2.0,
        };
        let expected = local_response(&x, window, [0.5, 0.75, 2.0]);
        cases.push(Case::float(
            format!("Lrn {shape:?} {window}"),
            layer,
            &[&x],
            expected,
        ));
    }
    cases
}

fn resizes() -> Vec<Case> {
    let coordinates = [
        ResizeCoordinateTransformation::AlignCorners,
        ResizeCoordinateTransformation::Asymmetric,
        ResizeCoordinateTransformation::HalfPixel,
    ];
    let roundings = [
        ResizeRounding::HalfUp,
        ResizeRounding::HalfDown,
        ResizeRounding::Floor,
        ResizeRounding::Ceil,
    ];
    let sizes = [[4, 6], [8, 12], [7, 9], [2, 3], [1, 1], [3, 11]];
    let mut cases = Vec::new();
    for coordinates in coordinates {
        for size in sizes {
            let shape = [2, 3, size[0], size[1]];
            let kept = vec![None, None, Some(size[0]), Some(size[1])];
            let resized =
                |x: &Array, mode, rounding| resize(x, mode, coordinates, rounding, &shape);
            let x = noise(&[2, 3, 4, 6], 37);
            let layer = |mode, rounding| Layer::Resize {
                mode,
                coordinates,
                rounding,
                size: kept.clone(),
            };
            let linear = InterpolationMode::Linear;
            let expected = resized(&x, linear, ResizeRounding::Floor);
            let name = format!("Linear {coordinates:?} {size:?}");
            cases.push(Case::float(
                name,
                layer(linear, ResizeRounding::Floor),
                &[&x],
                expected,
            ));
            for rounding in roundings {
                let nearest = InterpolationMode::Nearest;
                let expected = resized(&x, nearest, rounding);
                let name = format!("Nearest {coordinates:?} {rounding:?} {size:?}");
                cases.push(Case::float(name, layer(nearest, rounding), &[&x], expected));
            }
        }
    }
    let x = whole(&[1, 2, 3, 3], 38, 0, 200);
    for dtype in [DType::U8, DType::I32, DType::I16] {
        let layer = Layer::Resize {
            mode: InterpolationMode::Nearest,
            coordinates: ResizeCoordinateTransformation::Asymmetric,
            rounding: ResizeRounding::Floor,
            size: vec![None, Some(2), Some(6), Some(6)],
        };
        let expected = Array::build(&[1, 2, 6, 6], |at| {
            x.at(&[at[0], at[1], at[2] / 2, at[3] / 2])
        });
        cases.push(Case::typed(
            format!("Nearest {dtype}"),
            layer,
            dtype,
            &[&x],
            dtype,
            expected,
        ));
    }
    cases
}
