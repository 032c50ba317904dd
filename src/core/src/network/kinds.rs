//! The enumerations of layers' parameters.

use serde::{Deserialize, Serialize};

/// `ActivationType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActivationType {
    /// max(0, x)
    Relu,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// tanh(x)
    Tanh,
    /// x for x ≥ 0, else alpha x
    LeakyRelu,
    /// x for x ≥ 0, else alpha (exp(x) - 1)
    Elu,
    /// beta x for x ≥ 0, else beta alpha (exp(x) - 1)
    Selu,
    /// x / (1 + |x|)
    Softsign,
    /// alpha log(exp(beta x) + 1)
    Softplus,
    /// max(alpha, min(beta, x))
    Clip,
    /// max(0, min(1, alpha x + beta))
    HardSigmoid,
}

/// `ElementWiseOperation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ElementWiseOperation {
    /// a + b
    Sum,
    /// a b
    Prod,
    /// max(a, b)
    Max,
    /// min(a, b)
    Min,
    /// a - b
    Sub,
    /// a / b; integers truncate
    Div,
    /// a to the power b
    Pow,
    /// floor(a / b)
    FloorDiv,
    /// a and b
    And,
    /// a or b
    Or,
    /// a = b
    Equal,
    /// a > b
    Greater,
    /// a < b
    Less,
}

/// `UnaryOperation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the function of its name")]
pub enum UnaryOperation {
    Exp,
    Log,
    Sqrt,
    Recip,
    Abs,
    Neg,
    Sin,
    Cos,
    Tan,
    Sinh,
    Cosh,
    Asin,
    Acos,
    Atan,
    Asinh,
    Acosh,
    Atanh,
    Ceil,
    Floor,
    Erf,
    Not,
    Sign,
    /// Half to even.
    Round,
}

/// `PaddingMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaddingMode {
    /// The paddings given (`kEXPLICIT_ROUND_DOWN`).
    Explicit,
    /// As much that the output has `ceil(input / stride)` elements, an odd one after
    /// (`kSAME_UPPER`). The paddings given are zero.
    SameUpper,
}

/// `PoolingType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolingType {
    /// Largest element.
    Max,
    /// Mean.
    Average,
}

/// `MatrixOperation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MatrixOperation {
    /// As it is.
    None,
    /// The last two axes change places.
    Transpose,
}

/// `ReduceOperation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the operation of its name")]
pub enum ReduceOperation {
    Sum,
    Prod,
    Max,
    Min,
    Avg,
}

/// One dimension of a reshape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReshapeDim {
    /// This size.
    Fixed(usize),
    /// The size of the same axis of the input (TensorRT's 0).
    Copy,
    /// What is left (TensorRT's -1); once at most.
    Infer,
}

/// `SampleMode` (`SliceMode` before TensorRT 8.5).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum SampleMode {
    /// Nothing outside is read.
    Strict,
    /// Outside is this value.
    Fill(f32),
    /// Mirrored without repeating the border.
    Reflect,
    /// Mirrored, the border repeated (TensorRT has no such mode; a segment for it refuses).
    Symmetric,
}

/// `GatherMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GatherMode {
    /// Indices along `axis`; the first `batch_dims` axes of data and indices match.
    Default {
        /// Gathered axis.
        axis: usize,
        /// Leading axes shared by data and indices.
        batch_dims: usize,
    },
    /// The last axis of the indices addresses the leading axes of data.
    Nd,
}

/// `TopKOperation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TopKOperation {
    /// Largest first.
    Max,
    /// Smallest first.
    Min,
}

/// `InterpolationMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InterpolationMode {
    /// One neighbour.
    Nearest,
    /// Linear along each axis.
    Linear,
}

/// `ResizeCoordinateTransformation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResizeCoordinateTransformation {
    /// x (in - 1) / (out - 1)
    AlignCorners,
    /// x in / out
    Asymmetric,
    /// (x + 0.5) in / out - 0.5
    HalfPixel,
}

/// `ResizeRoundMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResizeRounding {
    /// Half away from zero.
    HalfUp,
    /// Half towards zero.
    HalfDown,
    /// Down.
    Floor,
    /// Up.
    Ceil,
}
