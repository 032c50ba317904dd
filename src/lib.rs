//! TensorFlow models on NVIDIA Jetson boards, without TensorFlow.
//!
//! On a workstation, `tfjet convert` turns a trained model into one file, the bundle. On the
//! board, `tfjet-run` maps that file and turns camera frames into results. This crate holds both
//! programs and what they share; the work is done by the crates re-exported here.
//!
//! ```no_run
//! use std::sync::Arc;
//! use tfjet::bundle::Bundle;
//! use tfjet::core::{DType, Tensor};
//! use tfjet::cpu::Library;
//! use tfjet::runtime::{Session, SessionOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bundle = Arc::new(Bundle::open("model.jet".as_ref())?);
//! let library = Library::load(None, &tfjet::cache::library_dirs())?;
//! let mut session = Session::load(bundle, Some(&library), &SessionOptions::default())?;
//! let frame = Tensor::zeros(DType::F32, &[1, 512, 512, 3])?;
//! let outputs = session.run(&[frame.view()])?;
//! # let _ = outputs;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod arrays;
pub mod board;
pub mod cache;
pub mod engines;
pub mod exit;
pub mod profiles;
pub mod shapes;

pub use tfjet_bundle as bundle;
#[cfg(feature = "convert")]
pub use tfjet_convert as convert;
pub use tfjet_core as core;
pub use tfjet_cpu as cpu;
pub use tfjet_cuda as cuda;
pub use tfjet_runtime as runtime;
#[cfg(feature = "run")]
pub use tfjet_service as service;
pub use tfjet_tensorrt as tensorrt;
pub use tfjet_video as video;
