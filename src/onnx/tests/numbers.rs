//! Models in numbers of 8 and 16 bits as they are written. What they compute is tested where they
//! run.

#![allow(clippy::unwrap_used, reason = "a test panics")]

use tfjet_core::{
    ActivationType, DType, Layer, LayerPrecision, LayerSpec, NetworkSpec, NetworkTensor,
    PaddingMode, Precision, Quantization, Shape, TensorId, WeightsEntry, WeightsId, WeightsTable,
};
use tfjet_onnx::{OnnxOptions, rounds_fp16, to_onnx};

/// `y = relu(conv(x))`, `z = conv(y)`, of 9 channels each.
fn spec() -> NetworkSpec {
    let tensor = |name: &str| NetworkTensor {
        name: name.into(),
        dtype: DType::F32,
        shape: Shape::fixed(&[1, 9, 4, 4]),
    };
    let convolution = Layer::Convolution {
        kernel: WeightsId(0),
        bias: Some(WeightsId(1)),
        stride: vec![1, 1],
        dilation: vec![1, 1],
        pre_padding: vec![0, 0],
        post_padding: vec![0, 0],
        padding_mode: PaddingMode::Explicit,
        groups: 1,
    };
    let relu = Layer::Activation {
        kind: ActivationType::Relu,
        alpha: 0.0,
        beta: 0.0,
    };
    let layer = |name: &str, layer: &Layer, from, to| LayerSpec {
        name: name.into(),
        layer: layer.clone(),
        inputs: vec![TensorId(from)],
        outputs: vec![TensorId(to)],
    };
    NetworkSpec {
        name: "net".into(),
        tensors: ["x", "c", "y", "z"].map(tensor).to_vec(),
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(3)],
        layers: vec![
            layer("first", &convolution, 0, 1),
            layer("relu", &relu, 1, 2),
            layer("second", &convolution, 2, 3),
        ],
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
        entries: vec![entry(&[9, 9, 1, 1], 0, 324), entry(&[9], 384, 36)],
    }
}

/// Both convolutions in INT8.
fn int8() -> Quantization {
    let layer = LayerPrecision::Int8 {
        channels: vec![0.5; 9],
    };
    Quantization {
        ranges: vec![Some(2.0), None, Some(3.0), None],
        layers: vec![layer.clone(), LayerPrecision::Fp16, layer],
    }
}

fn write(quantization: Option<Quantization>, round_fp16: bool) -> Result<Vec<u8>, String> {
    let options = OnnxOptions {
        quantization,
        round_fp16,
        ..OnnxOptions::default()
    };
    to_onnx(&spec(), &table(), &options).map_err(|error| error.to_string())
}

/// How many nodes of an op a model has, by the field that says it.
fn nodes(onnx: &[u8], op: &str) -> usize {
    let field = [&[0x22, op.len() as u8], op.as_bytes()].concat();
    onnx.windows(field.len()).filter(|at| *at == field).count()
}

#[test]
fn each_rounded_tensor_and_kernel_has_one_pair() {
    let onnx = write(Some(int8()), false).unwrap();
    assert_eq!(nodes(&onnx, "QuantizeLinear"), 4);
    // The second kernel stands beside a result that is a float, and becomes one at loading.
    assert_eq!(nodes(&onnx, "DequantizeLinear"), 3);
    assert_eq!(nodes(&onnx, "Relu"), 0, "numbers are clipped in its place");
    assert_eq!(nodes(&write(None, false).unwrap(), "Relu"), 1);
}

#[test]
fn the_same_numbers_give_the_same_bytes() {
    for round_fp16 in [false, true] {
        let first = write(Some(int8()), round_fp16);
        assert_eq!(first, write(Some(int8()), round_fp16));
        assert_ne!(first, write(None, round_fp16));
    }
    assert_ne!(write(Some(int8()), true), write(Some(int8()), false));
}

#[test]
fn floats_that_are_not_rounded_are_left_as_they_are() {
    let plain = write(None, false).unwrap();
    assert_eq!(write(None, true).unwrap(), plain);
    for precision in [Precision::Fp16, Precision::Fp32] {
        let floats = Quantization::floats(&spec(), precision);
        assert_eq!(write(Some(floats.clone()), false).unwrap(), plain);
        let rounded = write(Some(floats), true).unwrap();
        assert_eq!(rounded == plain, precision == Precision::Fp32);
        assert_eq!(rounds_fp16(&rounded), precision == Precision::Fp16);
    }
    assert!(!rounds_fp16(&plain));
    assert!(!rounds_fp16(b"no model"));
}

#[test]
fn numbers_that_do_not_fit_are_refused_by_name() {
    type Damage = fn(&mut Quantization);
    let table: [(Damage, &str); 5] = [
        (
            |q| q.ranges.truncate(3),
            "network net: the quantization does not fit: it is for 3 tensors, the network has 4",
        ),
        (
            |q| q.ranges[2] = None,
            "network net: the quantization does not fit: layer `second` is INT8, but its input `y` \
             has no range",
        ),
        (
            |q| q.ranges[0] = Some(f32::NAN),
            "network net: the quantization does not fit: the range NaN of tensor `x` is no positive \
             number",
        ),
        (
            |q| q.layers[1] = q.layers[0].clone(),
            "network net: the quantization does not fit: layer `relu` (Activation) cannot compute \
             in INT8",
        ),
        (
            |q| {
                q.layers[2] = LayerPrecision::Int8 {
                    channels: vec![1.0; 8],
                }
            },
            "layer second: INT8 with magnitudes of 8 output channels, the weights have 9",
        ),
    ];
    for (damage, expected) in table {
        let mut quantization = int8();
        damage(&mut quantization);
        assert_eq!(write(Some(quantization), false).unwrap_err(), expected);
    }
}
