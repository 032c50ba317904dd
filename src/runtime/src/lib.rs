//! Runs a bundle: loads it into a [`Session`], which runs its steps on tensors.
//!
//! In: a [`Bundle`](tfjet_bundle::Bundle), a [`Backend`] that makes engines of its segments
//! ([`CpuBackend`] over ONNX Runtime) or a [`Gpu`] with serialized engines of TensorRT, and for
//! each run borrowed tensors. Out: [`Outputs`], views of buffers that the session keeps from run to
//! run. Where shapes vary, a [`SessionCache`] keeps sessions by shapes and has them built as
//! requests come; a [`Model`] is either. Beside that: tensors in NumPy's files ([`read_npz`],
//! [`write_npz`]) and a ring of latencies ([`Latency`]).
//!
//! Loops and conditions are steps whose functions have steps of their own, on the host and on the
//! GPU.
//!
//! Does not: convert models, read frames, or start threads of its own.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//! use tfjet_bundle::Bundle;
//! use tfjet_core::{DType, Tensor};
//! use tfjet_cpu::Library;
//! use tfjet_runtime::{Session, SessionOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bundle = Arc::new(Bundle::open(Path::new("model.jet"))?);
//! let library = Library::load(None, &[])?;
//! let mut session = Session::load(bundle, Some(&library), &SessionOptions::default())?;
//! let image = Tensor::zeros(DType::F32, &[1, 224, 224, 3])?;
//! let outputs = session.run(&[image.view()])?;
//! for (spec, output) in outputs.iter() {
//!     println!("{} {:?}", spec.name, output.shape());
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod buffers;
mod engine;
mod engine_cache;
mod error;
mod executor;
mod gpu;
mod inputs;
mod latency;
mod memory;
mod model;
mod npz;
mod outputs;
mod session;
mod session_cache;
mod slots;
mod sources;
mod steps;
mod stop;

pub use engine::{Backend, CpuBackend, Engine, EngineError};
pub use engine_cache::{
    EngineCache, EngineCacheError, EngineEntry, EngineKey, EngineLock, EngineOrigin, EngineSet,
    EngineSetError, MachineKey, NetworkHash, NotPrepared, bundle_precision, segment_numbers,
};
pub use error::SessionError;
pub use executor::StepTiming;
pub use gpu::{
    EngineSource, Gpu, GpuError, GpuOptions, GpuStats, GpuTimes, LayerTime, Placement, PlainReason,
    UnknownPlacement, device_ops, profile_for,
};
pub use latency::{LATENCY_WINDOW, Latency, LatencySummary};
pub use memory::{MemoryAvailable, MemoryNeed, NotEnoughMemory, RunsOn};
pub use model::Model;
pub use npz::{ArrayProblem, NpzError, read_npz, write_npz};
pub use outputs::Outputs;
pub use session::{Session, SessionOptions};
pub use session_cache::{
    BuildFailure, BuildWatch, Building, CacheCounters, OnMiss, PendingBuild, SessionCache,
    SessionCacheOptions, SessionMaker, ShapeKey,
};
pub use stop::StopSignal;
