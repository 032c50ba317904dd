use tfjet_core::{
    ActivationType, DType, ElementWiseOperation, GatherMode, InterpolationMode, Layer, LayerSpec,
    MatrixOperation, NetworkSpec, NetworkTensor, PaddingMode, PoolingType, ReduceOperation,
    ReshapeDim, ResizeCoordinateTransformation, ResizeRounding, SampleMode, Shape, TensorId,
    TopKOperation, UnaryOperation, WeightsId,
};

/// A convolution.
pub(crate) fn small() -> NetworkSpec {
    chain("segment_0", vec![transpose(), convolution()])
}

/// Every layer kind, and every value of every enumeration that a layer carries.
pub(crate) fn every_layer() -> NetworkSpec {
    let mut layers = vec![transpose(), convolution()];
    layers.push(Layer::Constant {
        weights: WeightsId(2),
    });
    layers.push(Layer::Deconvolution {
        kernel: WeightsId(0),
        bias: None,
        stride: vec![2, 2],
        pre_padding: vec![1, 0],
        post_padding: vec![0, 1],
        groups: 3,
    });
    layers.extend(
        [
            ActivationType::Relu,
            ActivationType::Sigmoid,
            ActivationType::Tanh,
            ActivationType::LeakyRelu,
            ActivationType::Elu,
            ActivationType::Selu,
            ActivationType::Softsign,
            ActivationType::Softplus,
            ActivationType::Clip,
        ]
        .map(|kind| Layer::Activation {
            kind,
            alpha: 0.25,
            beta: 6.0,
        }),
    );
    layers.push(Layer::Scale {
        scale: Some(WeightsId(1)),
        shift: None,
    });
    layers.extend(
        [
            ElementWiseOperation::Sum,
            ElementWiseOperation::Prod,
            ElementWiseOperation::Max,
            ElementWiseOperation::Min,
            ElementWiseOperation::Sub,
            ElementWiseOperation::Div,
            ElementWiseOperation::Pow,
            ElementWiseOperation::FloorDiv,
            ElementWiseOperation::And,
            ElementWiseOperation::Or,
            ElementWiseOperation::Equal,
            ElementWiseOperation::Greater,
            ElementWiseOperation::Less,
        ]
        .map(|operation| Layer::ElementWise { operation }),
    );
    layers.extend(
        [
            UnaryOperation::Exp,
            UnaryOperation::Log,
            UnaryOperation::Sqrt,
            UnaryOperation::Recip,
            UnaryOperation::Abs,
            UnaryOperation::Neg,
            UnaryOperation::Sin,
            UnaryOperation::Cos,
            UnaryOperation::Tan,
            UnaryOperation::Sinh,
            UnaryOperation::Cosh,
            UnaryOperation::Asin,
            UnaryOperation::Acos,
            UnaryOperation::Atan,
            UnaryOperation::Asinh,
            UnaryOperation::Acosh,
            UnaryOperation::Atanh,
            UnaryOperation::Ceil,
            UnaryOperation::Floor,
            UnaryOperation::Erf,
            UnaryOperation::Not,
            UnaryOperation::Sign,
            UnaryOperation::Round,
        ]
        .map(|operation| Layer::Unary { operation }),
    );
    layers.extend(
        [PoolingType::Max, PoolingType::Average].map(|kind| Layer::Pooling {
            kind,
            window: vec![3, 2],
            stride: vec![2, 1],
            pre_padding: vec![0, 1],
            post_padding: vec![1, 0],
            padding_mode: PaddingMode::Explicit,
            average_count_excludes_padding: true,
        }),
    );
    layers.push(Layer::MatrixMultiply {
        first: MatrixOperation::None,
        second: MatrixOperation::Transpose,
    });
    layers.push(Layer::Softmax { axis: 1 });
    layers.extend(
        [
            ReduceOperation::Sum,
            ReduceOperation::Prod,
            ReduceOperation::Max,
            ReduceOperation::Min,
            ReduceOperation::Avg,
        ]
        .map(|operation| Layer::Reduce {
            operation,
            axes: vec![2, 3],
            keep_dims: false,
        }),
    );
    layers.extend(
        [
            SampleMode::Strict,
            SampleMode::Fill(-1.5),
            SampleMode::Reflect,
            SampleMode::Symmetric,
        ]
        .map(|mode| Layer::Slice {
            start: vec![0, -1],
            size: vec![None, Some(3)],
            stride: vec![1, -2],
            mode,
        }),
    );
    layers.push(Layer::Concatenation { axis: 1 });
    layers.extend(
        [
            GatherMode::Default {
                axis: 2,
                batch_dims: 1,
            },
            GatherMode::Nd,
        ]
        .map(|mode| Layer::Gather { mode }),
    );
    layers.extend(
        [TopKOperation::Max, TopKOperation::Min].map(|operation| Layer::TopK {
            operation,
            k: 300,
            axis: 1,
        }),
    );
    let roundings = [
        ResizeRounding::HalfUp,
        ResizeRounding::HalfDown,
        ResizeRounding::Floor,
        ResizeRounding::Ceil,
    ];
    let coordinates = [
        ResizeCoordinateTransformation::AlignCorners,
        ResizeCoordinateTransformation::Asymmetric,
        ResizeCoordinateTransformation::HalfPixel,
        ResizeCoordinateTransformation::HalfPixel,
    ];
    let modes = [
        InterpolationMode::Nearest,
        InterpolationMode::Nearest,
        InterpolationMode::Nearest,
        InterpolationMode::Linear,
    ];
    for ((mode, coordinates), rounding) in modes.into_iter().zip(coordinates).zip(roundings) {
        layers.push(Layer::Resize {
            mode,
            coordinates,
            rounding,
            size: vec![None, None, Some(7), Some(5)],
        });
    }
    layers.push(Layer::Select);
    layers.push(Layer::Cast { to: DType::I32 });
    layers.push(Layer::ParametricRelu);
    chain("segment_1", layers)
}

fn transpose() -> Layer {
    Layer::Shuffle {
        first_transpose: vec![0, 3, 1, 2],
        reshape: Some(vec![
            ReshapeDim::Copy,
            ReshapeDim::Fixed(3),
            ReshapeDim::Infer,
        ]),
        second_transpose: vec![],
    }
}

fn convolution() -> Layer {
    Layer::Convolution {
        kernel: WeightsId(0),
        bias: Some(WeightsId(1)),
        stride: vec![1, 1],
        dilation: vec![1, 1],
        pre_padding: vec![0, 0],
        post_padding: vec![1, 1],
        padding_mode: PaddingMode::SameUpper,
        groups: 1,
    }
}

/// Layers in a row, each with one input and one output: enough for the format, which does not
/// know what a layer needs.
fn chain(name: &str, layers: Vec<Layer>) -> NetworkSpec {
    let count = u32::try_from(layers.len()).unwrap();
    NetworkSpec {
        name: name.into(),
        tensors: (0..=count)
            .map(|index| NetworkTensor {
                name: format!("t{index}"),
                dtype: DType::F32,
                shape: Shape::fixed(&[1, 3, 4, 300]),
            })
            .collect(),
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(count)],
        layers: (0..)
            .zip(layers)
            .map(|(index, layer)| LayerSpec {
                name: format!("l{index}"),
                layer,
                inputs: vec![TensorId(index)],
                outputs: vec![TensorId(index + 1)],
            })
            .collect(),
    }
}
