use tfjet_bundle::BundleError;
use tfjet_core::ScheduleError;
use tfjet_onnx::OnnxError;

use crate::graph::BuildError;
use crate::lower::{Refusal, WeightsError};
use crate::passes::PassError;
use crate::tensorflow::ImportError;

/// Why a model cannot be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The file cannot be read as a graph.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Names, inputs or outputs do not resolve.
    #[error("{file}: {source}")]
    Build {
        /// The model.
        file: String,
        /// What is wrong.
        source: Box<BuildError>,
    },
    /// A node contradicts TensorFlow's rules, or control flow cannot be taken apart.
    #[error("{file}: {source}")]
    Pass {
        /// The model.
        file: String,
        /// What is wrong.
        source: Box<PassError>,
    },
    /// A name given with `--exclude-node` or an op given with `--deny-op` is not in the graph.
    #[error("{flag} `{name}`: the graph has no such {what}")]
    UnknownExclusion {
        /// The flag.
        flag: &'static str,
        /// The name given.
        name: String,
        /// `node` or `op`.
        what: &'static str,
    },
    /// Nothing can run in an engine.
    #[error(
        "no segment results: every op would run outside an engine ({reason}); \
         pass --allow-residual-only to accept that"
    )]
    NoSegment {
        /// The most frequent reason.
        reason: String,
    },
    /// An op outside the segments has no kernel.
    #[error("{count} ops cannot run outside an engine, first `{node}` ({op}): {reason}{more}")]
    NoKernel {
        /// How many.
        count: usize,
        /// The first node.
        node: String,
        /// Its op.
        op: String,
        /// What is wrong.
        reason: String,
        /// The other op types.
        more: String,
    },
    /// Control flow that is none of what TensorFlow's loops and conditions are made of.
    #[error(
        "control flow that cannot be taken apart: {count} nodes, first `{node}` ({op}); \
         cut the graph with --input or --output to convert the rest"
    )]
    ControlFlow {
        /// How many nodes.
        count: usize,
        /// The first node.
        node: String,
        /// Its op.
        op: String,
    },
    /// A loop carries something that no tensor can hold.
    #[error("node `{node}` ({op}): it carries `{what}`, whose element type no tensor can hold")]
    Carried {
        /// The loop.
        node: String,
        /// Its op.
        op: String,
        /// The first value.
        what: String,
    },
    /// The steps do not fit together.
    #[error("the schedule: {0}")]
    Schedule(#[from] ScheduleError),
    /// A wire outside the segments has no type that a tensor can hold.
    #[error("the element type of `{0}` is not known or cannot be held by a tensor")]
    UnknownType(String),
    /// A node was accepted and then not lowered.
    #[error("node `{node}` ({op}): {source}")]
    Lower {
        /// The node.
        node: String,
        /// Its op.
        op: String,
        /// What is wrong.
        source: Refusal,
    },
    /// A layer between nodes that the target does not take.
    #[error(
        "segment `{segment}`, layer `{layer}`: {source}; keep its node outside with --exclude-node"
    )]
    Lacks {
        /// The segment.
        segment: String,
        /// The layer.
        layer: String,
        /// What is missing.
        source: Refusal,
    },
    /// Weights cannot be merged.
    #[error("segment `{segment}`: {source}")]
    Fold {
        /// The segment.
        segment: String,
        /// What is wrong.
        source: Refusal,
    },
    /// Weights cannot be addressed.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A network cannot be written as ONNX.
    #[error("segment `{segment}`: {source}")]
    Onnx {
        /// The segment.
        segment: String,
        /// What is wrong.
        source: OnnxError,
    },
    /// Numbers for another count of segments.
    #[error("precisions of {found} segments for a bundle of {expected}")]
    Segments {
        /// Segments that there are numbers for.
        found: usize,
        /// Of the bundle.
        expected: usize,
    },
    /// One of several targets cannot be served.
    #[error("target {target}: {source}")]
    Target {
        /// Name of the target.
        target: String,
        /// What is wrong.
        source: Box<ConvertError>,
    },
    /// The bundle cannot be written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Pre-processing or a decoder does not fit the model.
    #[error("{0}")]
    Task(String),
}

impl ConvertError {
    /// Says which of `count` targets it is, where there are several.
    pub(crate) fn of_target(self, target: &str, count: usize) -> Self {
        match count {
            1 => self,
            _ => Self::Target {
                target: target.into(),
                source: Box::new(self),
            },
        }
    }

    /// Does the message name the model's file?
    pub fn names_file(&self) -> bool {
        matches!(
            self,
            Self::Import(_) | Self::Build { .. } | Self::Pass { .. }
        )
    }
}
