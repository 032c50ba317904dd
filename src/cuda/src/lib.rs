//! CUDA's driver: device, context, streams, events, memory, graphs, kernels.
//!
//! In: the driver's library, found when the program runs, and CUDA C++ for NVRTC. Out: safe types
//! over the driver's objects. Work is enqueued inside a [`Scope`], which ends when the device has
//! finished, so host memory that a copy or a kernel uses is only ever borrowed.
//!
//! Works on every driver since CUDA 10.2: an entry point that came later is optional, and the older
//! one is taken in its place.
//!
//! Does not: know tensors of the host, TensorRT or models.
//!
//! ```no_run
//! use tfjet_cuda::{Context, DeviceBuffer, Driver, Stream};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let context = Context::new(&Driver::load()?, 0)?;
//! let stream = Stream::new(&context)?;
//! let buffer = DeviceBuffer::new(&context, 4)?;
//! let mut back = [0; 4];
//! stream.scope(|scope| {
//!     scope.upload(&buffer.region(), &[1, 2, 3, 4])?;
//!     scope.download(&mut back, &buffer.region())
//! })??;
//! assert_eq!(back, [1, 2, 3, 4]);
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod context;
mod driver;
mod error;
mod event;
mod graph;
mod kernel;
mod kernel_cache;
pub mod kernels;
mod memory;
mod nvrtc;
#[allow(
    unsafe_code,
    reason = "gives the host's side of page-locked memory as slices"
)]
mod pinned;
#[allow(
    unsafe_code,
    reason = "enqueues copies and kernels over addresses it has checked"
)]
mod scope;
mod stream;
#[allow(unsafe_code, reason = "calls the driver and NVRTC")]
mod sys;

pub use context::Context;
pub use driver::{DRIVER_VARIABLE, DeviceInfo, Driver};
pub use error::CudaError;
pub use event::Event;
pub use graph::Graph;
pub use kernel::{Kernel, KernelArgument};
pub use kernel_cache::KernelCache;
pub use memory::{Access, DeviceBuffer, Region};
pub use nvrtc::Nvrtc;
pub use pinned::PinnedBuffer;
pub use scope::Scope;
pub use stream::Stream;
