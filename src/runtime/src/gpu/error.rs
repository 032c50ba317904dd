use tfjet_core::TensorError;
use tfjet_cuda::CudaError;
use tfjet_tensorrt::TensorRtError;

use super::placement::{Placement, UnknownPlacement};

/// Why the GPU cannot be used, or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// CUDA's driver, the device, or its memory.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// TensorRT's library, or what it says about an engine.
    #[error(transparent)]
    TensorRt(#[from] TensorRtError),
    /// A name that is no placement.
    #[error("TFJET_PLACEMENT: {0}")]
    Placement(#[from] UnknownPlacement),
    /// Host and device are to share memory that the device cannot map.
    #[error("placement {placement}: {gpu} cannot map memory of the host")]
    CannotMap {
        /// The placement asked for.
        placement: Placement,
        /// The GPU's name.
        gpu: String,
    },
    /// The device is to write a tensor in place, which does not lie in mapped memory.
    #[error("`{value}` does not lie in memory of the host that the GPU has mapped")]
    NotMapped {
        /// The value's name.
        value: String,
    },
    /// An engine was not made of the bundle's network.
    #[error("the engine does not fit the bundle: expected {expected}, found {found}")]
    EngineMismatch {
        /// What the network has.
        expected: String,
        /// What the engine has.
        found: String,
    },
    /// An engine was built for other shapes.
    #[error("the engine was built for {built}, given {given}: prepare the bundle for these shapes")]
    Shapes {
        /// The shapes of the engine's inputs.
        given: String,
        /// What its profiles take.
        built: String,
    },
    /// No context can be made to run an engine in, most likely for a lack of memory.
    #[error(
        "an execution context needs {needed} bytes of GPU memory, {free} of {total} are free: \
         {source}"
    )]
    Context {
        /// Bytes that the engine works in.
        needed: u64,
        /// Bytes of the device that are free.
        free: u64,
        /// Bytes of the device.
        total: u64,
        /// What TensorRT says.
        source: Box<TensorRtError>,
    },
    /// A number that does not fit the type that the engine computes with.
    #[error(
        "`{value}`: its element {position} is {number}, which does not fit {held}, the engine's type"
    )]
    OutOfRange {
        /// The value's name.
        value: String,
        /// Position in row-major order.
        position: usize,
        /// The number.
        number: i64,
        /// The engine's element type.
        held: tfjet_core::DType,
    },
    /// A tensor that cannot be held or viewed.
    #[error("`{value}`: {source}")]
    Tensor {
        /// The value's name.
        value: String,
        /// Why.
        source: TensorError,
    },
    /// The tensors of a block do not fit the address space.
    #[error("the tensors of these input shapes are too large together")]
    TooLarge,
    /// An op that runs on the device cannot take these tensors.
    #[error("{0}")]
    Op(String),
    /// The device part alone can be repeated only where the model is one block and has run.
    #[error("the work of the device cannot be repeated: {0}")]
    Replay(&'static str),
}

impl GpuError {
    /// Is the driver, a GPU or a library missing, rather than a bundle, engine or input wrong?
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Cuda(error) => error.is_missing(),
            Self::TensorRt(error) => error.is_missing(),
            _ => false,
        }
    }

    /// Has memory run out that a smaller number of held shapes would free?
    pub(crate) fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Cuda(error) => error.is_out_of_memory(),
            Self::Context { .. } => true,
            _ => false,
        }
    }
}
