//! Kernels for the TensorFlow ops between two engines, so that their tensors stay on the device.
//!
//! In: [`DeviceTensor`]s, all outputs given. Out: work on a [`Scope`](crate::Scope). The CUDA C++
//! beside this module is compiled by NVRTC, one small program for each kernel with its types and
//! operation, at its first use, and kept in the [`KernelCache`].
//!
//! Results are those of TensorFlow's CPU kernels in `float32`, exactly for arithmetic, within a few
//! units in the last place for `exp`, `pow` and the like. What a CPU refuses and a device cannot
//! report gives 0, as TensorFlow's GPU kernels have it for [`Kernels::gather`]: an index out of
//! range, an integer divided by 0, a negative power of an integer.
//!
//! An output must not overlap an input, except that an elementwise kernel may write over an input
//! of the output's element type and shape.
//!
//! Does not: know TensorFlow's attributes, allocate memory, or copy from or to the host.

mod element;
#[allow(unsafe_code, reason = "launches kernels on regions it has checked")]
mod elementwise;
mod error;
mod launch;
#[allow(unsafe_code, reason = "launches kernels on regions it has checked")]
mod movement;
#[cfg(test)]
mod programs;
#[allow(unsafe_code, reason = "launches kernels on regions it has checked")]
mod reduce;
#[allow(unsafe_code, reason = "launches kernels on regions it has checked")]
mod resize;
mod walk;

use std::fmt;

pub use element::{DeviceTensor, ElementType};
pub use elementwise::{BinaryOp, UnaryOp};
pub use error::KernelError;
pub use reduce::ReduceOp;
pub use resize::Sampling;
pub use walk::{MAX_DIMS, Walk, row_major};

use crate::{CudaError, KernelCache};

/// The kernels of one context. A kernel is compiled and loaded when it is first used, which is
/// refused while a scope records a graph: enqueue the same work once before recording it.
pub struct Kernels {
    cache: KernelCache,
    loaded: launch::Loaded,
}

impl Kernels {
    /// Kernels that are compiled through `cache`.
    ///
    /// # Errors
    /// [`CudaError::NvrtcMissing`] where the cache has no compiler.
    pub fn new(cache: KernelCache) -> Result<Self, CudaError> {
        if !cache.has_compiler() {
            return Err(CudaError::NvrtcMissing {
                detail: String::new(),
            });
        }
        Ok(Self {
            cache,
            loaded: launch::Loaded::default(),
        })
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernels")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}
