use super::*;
use crate::{ActivationType, DType, NetworkTensor, PaddingMode, Shape};

/// x -> convolution -> relu -> product with a constant
fn network() -> NetworkSpec {
    let tensor = |name: &str, dims: &[usize]| NetworkTensor {
        name: name.into(),
        dtype: DType::F32,
        shape: Shape::fixed(dims),
    };
    let layer = |name: &str, layer: Layer, inputs: &[u32], output: u32| LayerSpec {
        name: name.into(),
        layer,
        inputs: inputs.iter().copied().map(TensorId).collect(),
        outputs: vec![TensorId(output)],
    };
    NetworkSpec {
        name: "segment".into(),
        tensors: vec![
            tensor("x", &[1, 3, 1, 8]),
            tensor("conv", &[1, 4, 1, 8]),
            tensor("relu", &[1, 4, 1, 8]),
            tensor("matrix", &[1, 1, 5, 8]),
            tensor("y", &[1, 4, 1, 5]),
        ],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(4)],
        layers: vec![
            layer("conv", convolution(), &[0], 1),
            layer("relu", relu(), &[1], 2),
            layer(
                "matrix",
                Layer::Constant {
                    weights: WeightsId(7),
                },
                &[],
                3,
            ),
            layer("product", product(MatrixOperation::Transpose), &[2, 3], 4),
        ],
    }
}

fn convolution() -> Layer {
    Layer::Convolution {
        kernel: WeightsId(3),
        bias: None,
        stride: vec![1, 1],
        dilation: vec![1, 1],
        pre_padding: vec![0, 0],
        post_padding: vec![0, 0],
        padding_mode: PaddingMode::Explicit,
        groups: 1,
    }
}

fn relu() -> Layer {
    Layer::Activation {
        kind: ActivationType::Relu,
        alpha: 0.0,
        beta: 0.0,
    }
}

fn product(second: MatrixOperation) -> Layer {
    let first = MatrixOperation::None;
    Layer::MatrixMultiply { first, second }
}

fn int8(channels: &[f32]) -> LayerPrecision {
    LayerPrecision::Int8 {
        channels: channels.to_vec(),
    }
}

fn quantization() -> Quantization {
    Quantization {
        ranges: vec![Some(1.0), Some(2.0), Some(3.0), None, Some(5.0)],
        layers: vec![
            int8(&[1.0; 4]),
            LayerPrecision::Fp16,
            LayerPrecision::Fp16,
            int8(&[1.0; 5]),
        ],
    }
}

#[test]
fn weights_are_found_with_their_axis_of_output_channels() {
    let found = |network: &NetworkSpec, layer: usize| {
        quantized_weights(network, &network.layers[layer])
            .map(|it| (it.input.0, it.weights.0, it.axis))
    };
    let mut network = network();
    assert_eq!(found(&network, 0), Some((0, 3, 0)));
    assert_eq!(found(&network, 1), None);
    assert_eq!(found(&network, 2), None);
    assert_eq!(found(&network, 3), Some((2, 7, 2)));
    network.layers[3].layer = product(MatrixOperation::None);
    assert_eq!(found(&network, 3), Some((2, 7, 3)));
    network.tensors[3].shape = Shape::fixed(&[1, 4, 5, 8]);
    assert_eq!(found(&network, 3), None, "a matrix for each channel");
    network.tensors[0].dtype = DType::I32;
    assert_eq!(found(&network, 0), None);
}

#[test]
fn what_int8_layers_read_is_rounded() {
    let network = network();
    let mut quantization = quantization();
    assert_eq!(quantization.check(&network), Ok(()));
    let rounded = quantization.rounded(&network);
    assert_eq!(rounded, [Some(1.0), None, Some(3.0), None, None]);
    quantization.layers[3] = LayerPrecision::Fp32;
    assert_eq!(quantization.rounded(&network)[2], None);
    assert_eq!(quantization.precision(), Precision::Int8);
    quantization.layers[0] = LayerPrecision::Fp32;
    assert_eq!(quantization.precision(), Precision::Fp16);
    for (asked, given) in [
        (Precision::Fp32, Precision::Fp32),
        (Precision::Fp16, Precision::Fp16),
        (Precision::Int8, Precision::Fp16),
    ] {
        let floats = Quantization::floats(&network, asked);
        assert_eq!(floats.precision(), given);
        assert_eq!(floats.check(&network), Ok(()));
    }
}

#[test]
fn what_does_not_fit_is_named() {
    type Change = fn(&mut Quantization);
    let cases: [(Change, &str); 7] = [
        (
            |q| q.ranges.truncate(3),
            "it is for 3 tensors, the network has 5",
        ),
        (
            |q| q.layers.push(LayerPrecision::Fp16),
            "it is for 5 layers, the network has 4",
        ),
        (
            |q| q.ranges[1] = Some(0.0),
            "the range 0 of tensor `conv` is no positive number",
        ),
        (
            |q| q.ranges[1] = Some(f32::NAN),
            "the range NaN of tensor `conv` is no positive number",
        ),
        (
            |q| q.layers[1] = int8(&[]),
            "layer `relu` (Activation) cannot compute in INT8",
        ),
        (
            |q| q.ranges[2] = None,
            "layer `product` is INT8, but its input `relu` has no range",
        ),
        (
            |q| q.layers[0] = int8(&[1.0, -1.0]),
            "layer `conv`: -1 is no magnitude of weights",
        ),
    ];
    for (change, message) in cases {
        let mut quantization = quantization();
        change(&mut quantization);
        let error = quantization.check(&network()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}
