//! Turns a trained TensorFlow model into a tfjet bundle.
//!
//! In: a frozen graph (`.pb`, `.pbtxt`) or a TensorFlow.js graph model. Out: a bundle, and a
//! report that says for every node where it went and why. The stages, in order, are the modules:
//! [`tensorflow`] imports, [`graph`] resolves, [`passes`] infer and fold, [`partition`] groups,
//! [`lower`] makes networks, [`emit`](emit()) writes; [`stages`] calls them.
//!
//! Does not: run a model, know CUDA or GStreamer, or touch a board.
#![forbid(unsafe_code)]

pub mod calibrate;
pub mod graph;
pub mod lower;
pub mod partition;
pub mod passes;
pub mod probe;
pub mod stages;
pub mod tensorflow;

mod emit;
mod error;
mod estimate;
mod flops;
mod near;
mod report;
mod svg;
mod targets;
mod task;

pub use emit::{emit, emit_targets};
pub use error::ConvertError;
pub use estimate::{
    Estimate, FACTORS, Factors, FrameEstimate, Kernel, MemoryEstimate, UnknownPowerMode,
};
pub use flops::flops;
pub use report::{
    BoardReport, CallReport, EvaluationReport, KeptReport, PrecisionReport, RangesReport,
    RankedReport, ReplacedReport, Report, ResidualReport, SearchReport, SegmentReport,
    TargetReport,
};
pub use stages::{ConvertOptions, Lowered, lower_file, lower_source, lower_targets};
pub use svg::svg;
pub use targets::{TargetError, find_target, targets};
pub use task::{DecoderOptions, ImageOptions, Task};
