//! Networks that contradict themselves get an error that names the layer.

#![allow(clippy::unwrap_used, reason = "a test panics")]

use tfjet_core::{
    ActivationType, DType, Dim, GatherMode, Layer, LayerPrecision, LayerSpec, NetworkSpec,
    NetworkTensor, Quantization, ReduceOperation, ReshapeDim, SampleMode, Shape, TensorId,
    TopKOperation, UnaryOperation, WeightsEntry, WeightsId, WeightsTable, quantized_weights,
};
use tfjet_onnx::{OnnxOptions, to_onnx};

fn relu() -> Layer {
    Layer::Activation {
        kind: ActivationType::Relu,
        alpha: 0.0,
        beta: 0.0,
    }
}

fn spec(layer: Layer, dims: &[usize]) -> NetworkSpec {
    let tensor = |name: &str| NetworkTensor {
        name: name.into(),
        dtype: DType::F32,
        shape: Shape::fixed(dims),
    };
    NetworkSpec {
        name: "net".into(),
        tensors: vec![tensor("x"), tensor("y"), tensor("z")],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(1)],
        layers: vec![LayerSpec {
            name: "node".into(),
            layer,
            inputs: vec![TensorId(0)],
            outputs: vec![TensorId(1)],
        }],
    }
}

fn table() -> WeightsTable {
    let entry = |shape: &[usize], offset, len_bytes| WeightsEntry {
        dtype: DType::F32,
        shape: shape.to_vec(),
        offset,
        len_bytes,
    };
    WeightsTable {
        entries: vec![
            entry(&[4, 3, 1, 1], 0, 48),
            entry(&[3], 0, 13),
            entry(&[usize::MAX, 2], 0, 8),
            entry(&[2], u64::MAX, 8),
            entry(&[3, 1], 0, 12),
            entry(&[9, 1, 3, 3], 0, 324),
            entry(&[18, 9, 1, 1], 0, 648),
        ],
    }
}

fn error(spec: &NetworkSpec) -> String {
    to_onnx(spec, &table(), &OnnxOptions::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn rejects_wires_that_do_not_exist_or_come_too_early() {
    type Damage = fn(&mut NetworkSpec);
    let table: [(Damage, &str); 12] = [
        (
            |s| s.inputs[0] = TensorId(9),
            "network net: tensor id 9 does not exist",
        ),
        (
            |s| s.outputs[0] = TensorId(u32::MAX),
            "network net: tensor id 4294967295 does not exist",
        ),
        (
            |s| s.layers[0].inputs[0] = TensorId(3),
            "layer node: tensor id 3 does not exist",
        ),
        (
            |s| s.layers[0].outputs[0] = TensorId(3),
            "layer node: tensor id 3 does not exist",
        ),
        (
            |s| s.layers[0].inputs[0] = TensorId(2),
            "layer node: input `z` is used before it is made",
        ),
        (
            |s| s.layers[0].inputs[0] = TensorId(1),
            "layer node: input `y` is used before it is made",
        ),
        (
            |s| s.layers[0].outputs[0] = TensorId(0),
            "layer node: output `x` is made twice",
        ),
        (
            |s| s.outputs[0] = TensorId(2),
            "network net: output `z` is made by no layer",
        ),
        (
            |s| s.outputs[0] = TensorId(0),
            "network net: output `x` is a network input as well",
        ),
        (
            |s| s.outputs.push(TensorId(1)),
            "network net: output `y` is listed twice",
        ),
        (
            |s| s.tensors[1].name = "x".into(),
            "network net: tensor name `x` is empty or not unique",
        ),
        (
            |s| s.layers[0].inputs.push(TensorId(0)),
            "layer node: Activation has 2 inputs and 1 outputs, which do not fit",
        ),
    ];
    for (damage, expected) in table {
        let mut spec = spec(relu(), &[2, 3]);
        damage(&mut spec);
        assert_eq!(error(&spec), expected);
    }
}

#[test]
fn rejects_weights_that_contradict_themselves() {
    for (id, expected) in [
        (9, "layer node: weights id 9 does not exist"),
        (
            1,
            "layer node: weights 1 of shape [3] (float32) cannot lie in 13 bytes at offset 0",
        ),
        (2, "cannot lie in 8 bytes at offset 0"),
        (3, "cannot lie in 8 bytes at offset 18446744073709551615"),
        (
            4,
            "layer node: weights of shape [3, 1], not one per channel",
        ),
    ] {
        let scale = Layer::Scale {
            scale: Some(WeightsId(id)),
            shift: None,
        };
        let error = error(&spec(scale, &[1, 3, 2, 2]));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn rejects_parameters_that_do_not_fit_the_tensors() {
    let slice = |start: &[i64], size: &[Option<usize>], stride: &[i64], mode| Layer::Slice {
        start: start.to_vec(),
        size: size.to_vec(),
        stride: stride.to_vec(),
        mode,
    };
    let shuffle = |first: &[usize], reshape: &[ReshapeDim]| Layer::Shuffle {
        first_transpose: first.to_vec(),
        reshape: Some(reshape.to_vec()),
        second_transpose: Vec::new(),
    };
    let convolution = |stride: &[usize], groups| Layer::Convolution {
        kernel: WeightsId(0),
        bias: None,
        stride: stride.to_vec(),
        dilation: vec![1, 1],
        pre_padding: vec![0, 0],
        post_padding: vec![0, 0],
        padding_mode: tfjet_core::PaddingMode::Explicit,
        groups,
    };
    let strict = SampleMode::Strict;
    let (copy, infer) = (ReshapeDim::Copy, ReshapeDim::Infer);
    let table = [
        (
            Layer::Softmax { axis: 4 },
            "axis 4 does not exist in a tensor of rank 4",
        ),
        (Layer::Concatenation { axis: 7 }, "axis 7 does not exist"),
        (
            Layer::Reduce {
                operation: ReduceOperation::Max,
                axes: vec![1, 1],
                keep_dims: true,
            },
            "axis 1 is listed twice",
        ),
        (
            Layer::Unary {
                operation: UnaryOperation::Not,
            },
            "Not of float32",
        ),
        (convolution(&[1], 1), "stride has 1 values for 2 axes"),
        (convolution(&[1, 0], 1), "at least 1"),
        (convolution(&[1, 1], 0), "at least 1"),
        (
            shuffle(&[0, 1, 2, 2], &[infer]),
            "[0, 1, 2, 2] is no order of 4 axes",
        ),
        (
            shuffle(&[0, 1], &[infer]),
            "transpose has 2 values for 4 axes",
        ),
        (shuffle(&[], &[infer, infer]), "infers more than one"),
        (
            shuffle(&[], &[copy, copy, copy, copy, copy]),
            "copies axis 4, which is none",
        ),
        (
            slice(&[0; 4], &[None; 4], &[0; 4], strict),
            "is whole, yet starts at 0 by 0",
        ),
        (
            slice(&[0; 4], &[Some(1); 4], &[0; 4], strict),
            "stride of axis 0 is 0",
        ),
        (
            slice(&[-1; 4], &[Some(1); 4], &[1; 4], strict),
            "reads -1..=-1, which lies outside",
        ),
        (
            slice(&[0; 4], &[Some(4); 4], &[1; 4], strict),
            "reads 0..=3, which lies outside",
        ),
        (
            slice(
                &[i64::MIN; 4],
                &[Some(9); 4],
                &[i64::MIN; 4],
                SampleMode::Reflect,
            ),
            "reaches past any tensor",
        ),
        (
            slice(
                &[0; 4],
                &[Some(usize::MAX); 4],
                &[1; 4],
                SampleMode::Symmetric,
            ),
            "does not fit 64 bits",
        ),
        (
            slice(&[0; 4], &[Some(1 << 40); 4], &[1; 4], SampleMode::Symmetric),
            "cannot be mirrored",
        ),
        (
            slice(&[0], &[None], &[1], strict),
            "start has 1 values for 4 axes",
        ),
    ];
    for (layer, expected) in table {
        let kind = layer.kind();
        let error = error(&spec(layer, &[2, 3, 2, 2]));
        assert!(
            error.starts_with("layer node: ") && error.contains(expected),
            "{kind}: {error}"
        );
    }
}

#[test]
fn rejects_wires_of_the_wrong_kind() {
    let mut top_k = spec(
        Layer::TopK {
            operation: TopKOperation::Max,
            k: 4,
            axis: 1,
        },
        &[2, 3],
    );
    top_k.layers[0].outputs.push(TensorId(2));
    assert_eq!(error(&top_k), "layer node: k is 4, axis 1 has 3");
    let mode = GatherMode::Default {
        axis: 0,
        batch_dims: 0,
    };
    let mut gather = spec(Layer::Gather { mode }, &[2, 3]);
    gather.layers[0].inputs.push(TensorId(0));
    assert_eq!(error(&gather), "layer node: indices are float32");
    let mirrored = Layer::Slice {
        start: vec![-1],
        size: vec![Some(4)],
        stride: vec![1],
        mode: SampleMode::Reflect,
    };
    let mut mirrored = spec(mirrored, &[2]);
    mirrored.tensors[0].shape = Shape(vec![Dim::Symbolic("n".into())]);
    assert_eq!(
        error(&mirrored),
        "layer node: axis 0 is mirrored, yet its size is not fixed"
    );
}

#[test]
fn writes_the_same_bytes_for_the_same_network() {
    let scale = Layer::Scale {
        scale: None,
        shift: None,
    };
    let write = || {
        to_onnx(
            &spec(scale.clone(), &[1, 3]),
            &table(),
            &OnnxOptions::default(),
        )
    };
    assert_eq!(write(), write());
    let location = OnnxOptions {
        weights_location: "elsewhere".into(),
        ..OnnxOptions::default()
    };
    let convolution = Layer::Deconvolution {
        kernel: WeightsId(0),
        bias: None,
        stride: vec![1, 1],
        pre_padding: vec![0, 0],
        post_padding: vec![0, 0],
        groups: 1,
    };
    let bytes = to_onnx(&spec(convolution, &[1, 4, 2, 2]), &table(), &location).unwrap();
    assert!(bytes.windows(9).any(|window| window == b"elsewhere"));
}

/// A layer with parameters that a careless or hostile writer could have put there.
fn random_layer(mut next: impl FnMut(usize) -> usize) -> Layer {
    let sizes = [0, 1, 2, 3, 5, 1 << 20, 1 << 47, usize::MAX / 2, usize::MAX];
    let steps = [0, 1, -1, 2, -3, i64::MAX, i64::MIN, 1 << 47, -(1 << 47)];
    let mut list = |len: usize| {
        (0..len)
            .map(|_| sizes[next(sizes.len())])
            .collect::<Vec<_>>()
    };
    let (a, b, c, d) = (list(2), list(2), list(2), list(2));
    let axes: Vec<usize> = (0..next(5)).map(|_| next(5)).collect();
    let pair = (next(5), next(4));
    let len = next(6);
    let mut reshape = || match next(5) {
        0 => ReshapeDim::Copy,
        1 => ReshapeDim::Infer,
        _ => ReshapeDim::Fixed(sizes[next(sizes.len())]),
    };
    let reshape: Vec<_> = (0..len).map(|_| reshape()).collect();
    let mut step = || (0..4).map(|_| steps[next(steps.len())]).collect::<Vec<_>>();
    let (start, stride) = (step(), step());
    let size = (0..4)
        .map(|_| (next(3) > 0).then(|| sizes[next(sizes.len())]))
        .collect();
    let modes = [
        SampleMode::Strict,
        SampleMode::Fill(1e9),
        SampleMode::Reflect,
        SampleMode::Symmetric,
    ];
    let kernel = WeightsId(next(7) as u32);
    match next(9) {
        0 => Layer::Convolution {
            kernel,
            bias: (next(2) > 0).then_some(WeightsId(next(7) as u32)),
            stride: a,
            dilation: b,
            pre_padding: c,
            post_padding: d,
            padding_mode: tfjet_core::PaddingMode::Explicit,
            groups: pair.0,
        },
        1 => Layer::Pooling {
            kind: tfjet_core::PoolingType::Average,
            window: a,
            stride: b,
            pre_padding: c,
            post_padding: d,
            padding_mode: tfjet_core::PaddingMode::Explicit,
            average_count_excludes_padding: false,
        },
        2 => Layer::Reduce {
            operation: ReduceOperation::Avg,
            axes,
            keep_dims: false,
        },
        3 => Layer::Shuffle {
            first_transpose: axes,
            reshape: Some(reshape),
            second_transpose: Vec::new(),
        },
        4 | 5 => Layer::Slice {
            start,
            size,
            stride,
            mode: modes[next(4)],
        },
        6 => Layer::Resize {
            mode: tfjet_core::InterpolationMode::Nearest,
            coordinates: tfjet_core::ResizeCoordinateTransformation::HalfPixel,
            rounding: tfjet_core::ResizeRounding::Ceil,
            size,
        },
        7 => Layer::Gather {
            mode: GatherMode::Default {
                axis: pair.0,
                batch_dims: pair.1,
            },
        },
        _ => Layer::Concatenation { axis: pair.1 },
    }
}

#[test]
fn survives_any_parameters() {
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    let dims = [0, 1, 2, 3, 9, 18, 1 << 47, usize::MAX / 2, usize::MAX];
    let (mut written, mut quantized) = (0, 0);
    for _ in 0..20_000 {
        let shapes: Vec<Shape> = (0..3)
            .map(|_| {
                let mut dim = || match next(10) {
                    0 => Dim::Symbolic("n".into()),
                    _ => Dim::Fixed(dims[next(dims.len())]),
                };
                Shape(vec![dim(), dim(), dim(), dim()])
            })
            .collect();
        let mut spec = spec(random_layer(&mut next), &[1]);
        for (tensor, shape) in spec.tensors.iter_mut().zip(shapes) {
            tensor.shape = shape;
        }
        if spec.layers[0].layer.kind() == "Gather" {
            spec.layers[0].inputs.push(TensorId(0));
            spec.tensors[0].dtype = DType::I32;
        }
        let mut second = spec.layers[0].clone();
        second.name = "second".into();
        second.inputs[0] = TensorId(1);
        second.outputs[0] = TensorId(2);
        second.layer = random_layer(&mut next);
        spec.layers.push(second);
        written += usize::from(to_onnx(&spec, &table(), &OnnxOptions::default()).is_ok());
        let channels = [3, 4, 9, 18][next(4)];
        let quantization = Quantization {
            ranges: vec![Some(1.0); 3],
            layers: (spec.layers.iter())
                .map(|layer| match quantized_weights(&spec, layer) {
                    Some(_) => LayerPrecision::Int8 {
                        channels: vec![1.0; channels],
                    },
                    None => LayerPrecision::Fp16,
                })
                .collect(),
        };
        let options = OnnxOptions {
            quantization: Some(quantization),
            round_fp16: next(2) == 0,
            ..OnnxOptions::default()
        };
        quantized += usize::from(to_onnx(&spec, &table(), &options).is_ok());
    }
    assert!(written > 100, "only {written} could be written");
    assert!(
        quantized > 100,
        "only {quantized} could be written in INT8 or FP16"
    );
}

#[test]
fn rejects_sizes_that_are_none() {
    let sized = |layer: Layer, dtype: DType, shape: &[usize]| {
        let mut spec = spec(layer, &[2, 3]);
        spec.tensors[2].dtype = dtype;
        spec.tensors[2].shape = Shape::fixed(shape);
        spec.inputs.push(TensorId(2));
        spec.layers[0].inputs.push(TensorId(2));
        spec
    };
    let pad = |mode| Layer::Pad { mode };
    let stride = vec![1, 0];
    let mut slice = sized(Layer::SliceTo { stride }, DType::I64, &[2]);
    slice.layers[0].inputs.push(TensorId(2));
    let numbers = Layer::Numbers { values: vec![1, 2] };
    let mut numbers = spec(numbers, &[2]);
    numbers.layers[0].inputs.clear();
    for (spec, expected) in [
        (
            sized(Layer::Reshape, DType::F32, &[2]),
            "layer node: input 1 is no vector of whole numbers",
        ),
        (
            sized(Layer::Expand, DType::I64, &[1, 2]),
            "layer node: input 1 is no vector of whole numbers",
        ),
        (
            sized(pad(SampleMode::Symmetric), DType::I64, &[4]),
            "layer node: cannot pad in mode Symmetric where sizes are not known",
        ),
        (
            sized(pad(SampleMode::Strict), DType::I64, &[4]),
            "layer node: cannot pad in mode Strict where sizes are not known",
        ),
        (slice, "layer node: stride of axis 1 is 0"),
        (
            spec(Layer::Tile, &[2, 3]),
            "layer node: Tile has 1 inputs and 1 outputs, which do not fit",
        ),
        (
            numbers,
            "layer node: output [2] of float32 is no vector of 2 int64",
        ),
    ] {
        assert_eq!(error(&spec), expected);
    }
}
