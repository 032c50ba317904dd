use tfjet_core::{AttrError, DType, TensorError};

/// Why a kernel could not be made or run. The caller adds the node's name and its op.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// No kernel for this op.
    #[error("op `{0}` has no kernel")]
    UnknownOp(String),
    /// The op gives other numbers at every run.
    #[error("op `{0}` gives random numbers, which no run repeats")]
    Random(String),
    /// An attribute is absent, of the wrong kind, outside its range, or unknown.
    #[error(transparent)]
    Attr(#[from] AttrError),
    /// Another number of inputs than the op takes.
    #[error("expected {expected} inputs, got {actual}")]
    InputCount {
        /// Inputs that the op takes with these attributes.
        expected: usize,
        /// Inputs given.
        actual: usize,
    },
    /// Another number of outputs than [`crate::Kernel::output_count`].
    #[error("expected {expected} outputs, got {actual}")]
    OutputCount {
        /// Outputs that the op has with these attributes.
        expected: usize,
        /// Outputs given.
        actual: usize,
    },
    /// An input's element type is not one that the kernel takes.
    #[error("input {input} is {dtype}, expected {allowed}")]
    DType {
        /// Position of the input.
        input: usize,
        /// Its element type.
        dtype: DType,
        /// What the kernel takes.
        allowed: &'static str,
    },
    /// The inputs' shapes do not fit the op or one another.
    #[error("{detail}")]
    Shape {
        /// What does not fit.
        detail: String,
    },
    /// An input holds a value that the op does not define.
    #[error("{detail}")]
    Value {
        /// The value, and what is allowed.
        detail: String,
    },
    /// An output of more than [`crate::MAX_OUTPUT_BYTES`] bytes.
    #[error("output of shape {shape:?} and type {dtype} is larger than 2 GiB")]
    TooLarge {
        /// The output's shape.
        shape: Vec<usize>,
        /// The output's element type.
        dtype: DType,
    },
    /// A tensor could not be accessed.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// A [`OpError::Shape`] from a format string.
macro_rules! shape_error {
    ($($arg:tt)*) => { $crate::OpError::Shape { detail: format!($($arg)*) } };
}

/// A [`OpError::Value`] from a format string.
macro_rules! value_error {
    ($($arg:tt)*) => { $crate::OpError::Value { detail: format!($($arg)*) } };
}

pub(crate) use {shape_error, value_error};
