//! The numbers of TensorRT's enumerators, the same in all versions.

use tfjet_core::{
    ActivationType, ElementWiseOperation, GatherMode, InterpolationMode, MatrixOperation,
    PaddingMode, PoolingType, ReduceOperation, ResizeCoordinateTransformation, ResizeRounding,
    TopKOperation, UnaryOperation,
};

/// `ElementWiseOperation::kXOR`, which no specification has.
pub(super) const XOR: i32 = 10;
/// `ScaleMode::kCHANNEL`.
pub(super) const CHANNEL: i32 = 1;
/// `SampleMode::kSTRICT_BOUNDS`.
pub(super) const STRICT_BOUNDS: i32 = 0;
/// `SampleMode::kWRAP`.
pub(super) const WRAP: i32 = 1;
/// `SampleMode::kFILL`.
pub(super) const FILL: i32 = 3;
/// `SampleMode::kREFLECT`.
pub(super) const REFLECT: i32 = 4;
/// `BoundingBoxFormat::kCORNER_PAIRS`.
pub(super) const CORNER_PAIRS: i32 = 0;
/// `FillOperation::kLINSPACE`.
pub(super) const LINSPACE: i32 = 0;

pub(super) fn activation(kind: ActivationType) -> i32 {
    match kind {
        ActivationType::Relu => 0,
        ActivationType::Sigmoid => 1,
        ActivationType::Tanh => 2,
        ActivationType::LeakyRelu => 3,
        ActivationType::Elu => 4,
        ActivationType::Selu => 5,
        ActivationType::Softsign => 6,
        ActivationType::Softplus => 7,
        ActivationType::Clip => 8,
        ActivationType::HardSigmoid => 9,
    }
}

pub(super) fn elementwise(operation: ElementWiseOperation) -> i32 {
    match operation {
        ElementWiseOperation::Sum => 0,
        ElementWiseOperation::Prod => 1,
        ElementWiseOperation::Max => 2,
        ElementWiseOperation::Min => 3,
        ElementWiseOperation::Sub => 4,
        ElementWiseOperation::Div => 5,
        ElementWiseOperation::Pow => 6,
        ElementWiseOperation::FloorDiv => 7,
        ElementWiseOperation::And => 8,
        ElementWiseOperation::Or => 9,
        ElementWiseOperation::Equal => 11,
        ElementWiseOperation::Greater => 12,
        ElementWiseOperation::Less => 13,
    }
}

pub(super) fn unary(operation: UnaryOperation) -> i32 {
    match operation {
        UnaryOperation::Exp => 0,
        UnaryOperation::Log => 1,
        UnaryOperation::Sqrt => 2,
        UnaryOperation::Recip => 3,
        UnaryOperation::Abs => 4,
        UnaryOperation::Neg => 5,
        UnaryOperation::Sin => 6,
        UnaryOperation::Cos => 7,
        UnaryOperation::Tan => 8,
        UnaryOperation::Sinh => 9,
        UnaryOperation::Cosh => 10,
        UnaryOperation::Asin => 11,
        UnaryOperation::Acos => 12,
        UnaryOperation::Atan => 13,
        UnaryOperation::Asinh => 14,
        UnaryOperation::Acosh => 15,
        UnaryOperation::Atanh => 16,
        UnaryOperation::Ceil => 17,
        UnaryOperation::Floor => 18,
        UnaryOperation::Erf => 19,
        UnaryOperation::Not => 20,
        UnaryOperation::Sign => 21,
        UnaryOperation::Round => 22,
    }
}

pub(super) fn padding(mode: PaddingMode) -> i32 {
    match mode {
        PaddingMode::Explicit => 0,
        PaddingMode::SameUpper => 2,
    }
}

pub(super) fn pooling(kind: PoolingType) -> i32 {
    match kind {
        PoolingType::Max => 0,
        PoolingType::Average => 1,
    }
}

pub(super) fn matrix(operation: MatrixOperation) -> i32 {
    match operation {
        MatrixOperation::None => 0,
        MatrixOperation::Transpose => 1,
    }
}

pub(super) fn reduce(operation: ReduceOperation) -> i32 {
    match operation {
        ReduceOperation::Sum => 0,
        ReduceOperation::Prod => 1,
        ReduceOperation::Max => 2,
        ReduceOperation::Min => 3,
        ReduceOperation::Avg => 4,
    }
}

pub(super) fn gather(mode: GatherMode) -> i32 {
    match mode {
        GatherMode::Default { .. } => 0,
        GatherMode::Nd => 2,
    }
}

pub(super) fn top_k(operation: TopKOperation) -> i32 {
    match operation {
        TopKOperation::Max => 0,
        TopKOperation::Min => 1,
    }
}

pub(super) fn interpolation(mode: InterpolationMode) -> i32 {
    match mode {
        InterpolationMode::Nearest => 0,
        InterpolationMode::Linear => 1,
    }
}

pub(super) fn coordinates(coordinates: ResizeCoordinateTransformation) -> i32 {
    match coordinates {
        ResizeCoordinateTransformation::AlignCorners => 0,
        ResizeCoordinateTransformation::Asymmetric => 1,
        ResizeCoordinateTransformation::HalfPixel => 2,
    }
}

pub(super) fn rounding(rounding: ResizeRounding) -> i32 {
    match rounding {
        ResizeRounding::HalfUp => 0,
        ResizeRounding::HalfDown => 1,
        ResizeRounding::Floor => 2,
        ResizeRounding::Ceil => 3,
    }
}
