//! TensorRT, loaded at run time and called through its vtables.
//!
//! In: the shared library, a [`NetworkSpec`](tfjet_core::NetworkSpec) with its weights. Out:
//! serialized engines ([`build_engine`]), and engines that run on device memory ([`Runtime`],
//! [`Engine`], [`ExecutionContext`]). TensorRT 8.2 to 8.6, 10.0 to 10.16 and TensorRT-RTX 1.7 are
//! known: which slot of a vtable holds which method of them is data, `vtables.json`, from which
//! the tables are generated. Nothing of NVIDIA's is linked or compiled in.
//!
//! Does not: read bundles or frames, know TensorFlow, or place tensors in memory.
//!
//! ```no_run
//! use tfjet_tensorrt::{EntryPoints, Flavor, Library, Runtime};
//!
//! let library = Library::load(Flavor::TensorRt, None, &[])?;
//! println!("{} at {}", library.version(), library.path().display());
//! let engine = Runtime::new(&library)?.deserialize(&std::fs::read("model.engine")?)?;
//! for tensor in engine.io() {
//!     println!("{} {} {:?}", tensor.name, tensor.dtype, tensor.dims);
//! }
//! let context = engine.context(EntryPoints::Newest)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod build;
#[allow(unsafe_code, reason = "calls of the library's methods")]
mod builder;
#[allow(unsafe_code, reason = "calls of the library's methods")]
mod config;
#[allow(unsafe_code, reason = "calls of the library's methods")]
mod context;
mod data_type;
#[allow(unsafe_code, reason = "calls of the library's methods")]
mod engine;
mod error;
#[allow(unsafe_code, reason = "memory of the library")]
mod host_memory;
#[allow(unsafe_code, reason = "loading a foreign library, its entry points")]
mod library;
pub mod network;
#[allow(unsafe_code, reason = "calls of the library's methods")]
mod profile;
mod progress;
#[allow(unsafe_code, reason = "calls of the library's methods")]
mod runtime;
mod sys;
mod version;

#[cfg(test)]
#[allow(unsafe_code, reason = "objects behind raw pointers, as the library's")]
mod fake;
#[cfg(test)]
#[allow(unsafe_code, reason = "calls of the library's methods")]
mod tests;

pub use build::{
    BuildOptions, BuildProgress, BuiltEngine, NETWORK_REVISION, Precision, Profile,
    QuantizationForm, ShapeRange, UnknownPrecision, UnknownQuantizationForm, WeightsSource,
    build_engine, build_network, refusal,
};
pub use builder::Builder;
pub use config::{BuilderConfig, TimingCache};
pub use context::ExecutionContext;
pub use data_type::DataType;
pub use engine::{Engine, EntryPoints, IoTensor};
pub use error::TensorRtError;
pub use host_memory::HostMemory;
pub use library::Library;
pub use network::Network;
pub use profile::OptimizationProfile;
pub use progress::{LayerReport, ProgressEvent, ProgressReport};
pub use runtime::Runtime;
pub use version::{Flavor, Version};
