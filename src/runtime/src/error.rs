use tfjet_bundle::BundleError;
use tfjet_core::TensorError;
use tfjet_ops::OpError;

use crate::{EngineError, GpuError};

/// Why a bundle cannot be loaded, or a session cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The bundle is damaged, or lacks a section.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Sections of the bundle disagree on an input, output or constant.
    #[error("{what} `{name}`: {problem}")]
    Interface {
        /// `input`, `output` or `constant`.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The bundle has segments and there is nothing to run them.
    #[error(
        "the bundle has {segments} segments, and no ONNX Runtime library is loaded to run them"
    )]
    NoBackend {
        /// Number of segments.
        segments: usize,
    },
    /// A segment's engine cannot be made or run.
    #[error("step {step}, segment {segment} on {backend}: {source}")]
    Engine {
        /// Index of the step.
        step: usize,
        /// Index of the segment.
        segment: u32,
        /// What runs the segments.
        backend: &'static str,
        /// Why.
        source: Box<EngineError>,
    },
    /// A residual op has no kernel, or its kernel fails.
    #[error("step {step}, node `{node}` ({op_type}): {source}")]
    Residual {
        /// Index of the step.
        step: usize,
        /// Name of the TensorFlow node.
        node: String,
        /// TensorFlow op.
        op_type: String,
        /// Why.
        source: Box<OpError>,
    },
    /// The GPU cannot be used, or fails outside any step.
    #[error(transparent)]
    Gpu(Box<GpuError>),
    /// A residual op fails on the GPU.
    #[error("step {step}, node `{node}` ({op_type}) on the GPU: {source}")]
    DeviceOp {
        /// Index of the step.
        step: usize,
        /// Name of the TensorFlow node.
        node: String,
        /// TensorFlow op.
        op_type: String,
        /// Why.
        source: Box<GpuError>,
    },
    /// A step of a loop fails.
    #[error("in pass {pass} of loop `{node}`: {source}")]
    InLoop {
        /// Name of the TensorFlow node.
        node: String,
        /// The pass, from 1. The condition is asked at its start.
        pass: u64,
        /// The failure, whose step counts in the loop's function.
        source: Box<SessionError>,
    },
    /// A step of a branch fails.
    #[error("in the {branch} branch of `{node}`: {source}")]
    InBranch {
        /// Name of the TensorFlow node.
        node: String,
        /// `then` or `else`.
        branch: &'static str,
        /// The failure, whose step counts in the branch.
        source: Box<SessionError>,
    },
    /// What a step of a function needs cannot be made.
    #[error("in function `{function}`: {source}")]
    InFunction {
        /// Name of the function.
        function: String,
        /// The failure, whose step counts in the function.
        source: Box<SessionError>,
    },
    /// What a loop carries, or a branch gives, cannot be held.
    #[error("`{value}`: {source}")]
    Carried {
        /// Name of the value.
        value: String,
        /// Why.
        source: TensorError,
    },
    /// A loop was told to stop.
    #[error("stopped")]
    Stopped,
    /// A step made something else than the schedule says.
    #[error("step {step} made `{value}` as {given}, the schedule says {expected}")]
    Made {
        /// Index of the step.
        step: usize,
        /// Name of the value.
        value: String,
        /// Type and shape in the schedule.
        expected: String,
        /// Type and shape that the step made.
        given: String,
    },
    /// Another number of inputs than the model takes.
    #[error("the model takes {expected} inputs ({}), given {given}", names.join(", "))]
    InputCount {
        /// How many the model takes.
        expected: usize,
        /// Their names.
        names: Vec<String>,
        /// How many were given.
        given: usize,
    },
    /// An input does not fit the model.
    #[error("input `{name}`: expected {expected}, given {given}")]
    Input {
        /// Name of the input.
        name: String,
        /// Type and shape that the model takes.
        expected: String,
        /// Type and shape that were given.
        given: String,
    },
    /// There is no session for these shapes, and none that could take its place.
    #[error("no engine for inputs of {shapes}: {reason}")]
    NotBuilt {
        /// Shapes of all inputs.
        shapes: String,
        /// Why.
        reason: String,
    },
    /// An output cannot be held.
    #[error("output `{name}`: {source}")]
    Output {
        /// Name of the output.
        name: String,
        /// Why.
        source: TensorError,
    },
}

impl From<GpuError> for SessionError {
    fn from(error: GpuError) -> Self {
        Self::Gpu(Box::new(error))
    }
}

impl SessionError {
    /// Is a library or device missing, rather than the bundle or the input wrong?
    pub fn is_missing(&self) -> bool {
        match self {
            Self::NoBackend { .. } => true,
            Self::Engine { source, .. } => source.is_missing(),
            Self::Gpu(source) => source.is_missing(),
            Self::InLoop { source, .. }
            | Self::InBranch { source, .. }
            | Self::InFunction { source, .. } => source.is_missing(),
            _ => false,
        }
    }

    /// Was the run told to stop, rather than that anything failed?
    pub fn is_stopped(&self) -> bool {
        match self {
            Self::Stopped => true,
            Self::InLoop { source, .. } | Self::InBranch { source, .. } => source.is_stopped(),
            _ => false,
        }
    }
}
