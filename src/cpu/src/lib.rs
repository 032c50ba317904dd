//! An engine for CPUs: ONNX models run by ONNX Runtime, whose library is loaded at run time.
//!
//! In: the bytes of an ONNX model, and the weights that its initializers with external data refer
//! to, which stay where they are. Out: an [`Engine`] that takes borrowed tensors and writes into
//! tensors of the caller.
//!
//! Does not: fetch the library, know where the model came from, or place memory on a device.
//!
//! ```no_run
//! use std::sync::Arc;
//! use tfjet_core::{DType, Tensor};
//! use tfjet_cpu::{Engine, EngineOptions, Library};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let library = Library::load(None, &[])?;
//! let (onnx, weights) = (std::fs::read("model.onnx")?, std::fs::read("weights")?);
//! let mut engine = Engine::new(&library, &onnx, Arc::new(weights), &EngineOptions::default())?;
//! let input = Tensor::zeros(DType::F32, &[1, 3, 224, 224])?;
//! let mut outputs = vec![Tensor::default(); engine.outputs().len()];
//! engine.run(&[input.view()], &mut outputs)?;
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod engine;
mod error;
mod initializers;
mod library;
#[allow(
    unsafe_code,
    reason = "ort has no safe form for borrowed initializers and outputs"
)]
mod raw;

pub use engine::{Engine, EngineOptions, IoTensor, Weights};
pub use error::CpuError;
pub use library::Library;
