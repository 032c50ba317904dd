//! Why a kernel cannot be enqueued.

use super::ElementType;
use crate::CudaError;

/// Why a kernel cannot be compiled or enqueued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// NVRTC, the driver, or a region of another scope or context.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The kernel is not made for these element types.
    #[error("kernel `{kernel}` does not take elements of {dtypes:?}")]
    Types {
        /// The kernel.
        kernel: &'static str,
        /// Types of inputs and output, in order.
        dtypes: Vec<ElementType>,
    },
    /// The shapes do not fit the kernel or one another.
    #[error("kernel `{kernel}`: {detail}")]
    Shapes {
        /// The kernel.
        kernel: &'static str,
        /// What does not fit.
        detail: String,
    },
    /// A region is shorter than its tensor.
    #[error("kernel `{kernel}`: a tensor of {dtype:?} {shape:?} does not fit {available} bytes")]
    TooShort {
        /// The kernel.
        kernel: &'static str,
        /// How the tensor holds its elements.
        dtype: ElementType,
        /// Its shape.
        shape: Vec<usize>,
        /// Bytes of its region.
        available: usize,
    },
    /// A region does not start at a multiple of the element's size.
    #[error("kernel `{kernel}`: address {address:#x} is not aligned for {dtype:?}")]
    Alignment {
        /// The kernel.
        kernel: &'static str,
        /// How the tensor holds its elements.
        dtype: ElementType,
        /// Where its region starts.
        address: u64,
    },
}
