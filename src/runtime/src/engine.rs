use std::fmt;
use std::sync::Arc;

use tfjet_bundle::{Bundle, BundleError};
use tfjet_core::{Tensor, TensorView};
use tfjet_cpu::{CpuError, EngineOptions, Library};

use crate::{GpuError, SessionOptions};

/// A segment, ready to run.
pub trait Engine: Send {
    /// Computes the segment's outputs from its inputs, both in the order of its network. Each
    /// output takes the type and shape of its result, in its present allocation where that is
    /// large enough.
    ///
    /// # Errors
    /// [`EngineError`] where a tensor does not fit the segment or the engine fails. The outputs
    /// then hold nothing of meaning.
    fn run(&mut self, inputs: &[TensorView<'_>], outputs: &mut [Tensor])
    -> Result<(), EngineError>;
}

/// Makes engines of a bundle's segments.
pub trait Backend {
    /// What runs the segments, for people.
    fn name(&self) -> &'static str;

    /// Makes the engine of one segment. What it needs of the bundle while it runs it keeps alive
    /// by a clone of the `Arc`.
    ///
    /// # Errors
    /// [`EngineError`] where the bundle lacks what this backend needs, or the engine cannot be
    /// made of it.
    fn engine(
        &self,
        bundle: &Arc<Bundle>,
        segment: u32,
        options: &SessionOptions,
    ) -> Result<Box<dyn Engine>, EngineError>;
}

/// Why an engine cannot be made or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The bundle lacks a section, or it is damaged.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// ONNX Runtime's engine.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// TensorRT's, on a GPU.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// Another backend's.
    #[error(transparent)]
    Other(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl EngineError {
    /// Is a library missing or unusable, rather than the bundle or the input wrong?
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Gpu(error) => error.is_missing(),
            Self::Cpu(error) => matches!(
                error,
                CpuError::LibraryNotFound { .. }
                    | CpuError::LibraryUnloadable { .. }
                    | CpuError::LibraryForeign { .. }
                    | CpuError::LibraryVersion { .. }
            ),
            Self::Bundle(_) | Self::Other(_) => false,
        }
    }
}

/// Engines on ONNX Runtime, made of a bundle's ONNX models. Weights are read in place, in the
/// mapped bundle.
#[derive(Debug, Clone)]
pub struct CpuBackend {
    library: Library,
}

impl CpuBackend {
    /// A backend on this library.
    pub fn new(library: &Library) -> Self {
        Self {
            library: library.clone(),
        }
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &'static str {
        "ONNX Runtime"
    }

    fn engine(
        &self,
        bundle: &Arc<Bundle>,
        segment: u32,
        options: &SessionOptions,
    ) -> Result<Box<dyn Engine>, EngineError> {
        let onnx = bundle.onnx(segment)?;
        let weights = BundleWeights(bundle.clone());
        let options = EngineOptions {
            threads: options.threads,
            spin: options.spin,
            exact_quantization: options.exact_quantization,
        };
        let engine = tfjet_cpu::Engine::new(&self.library, onnx, Arc::new(weights), &options)?;
        Ok(Box::new(CpuEngine(engine)))
    }
}

struct CpuEngine(tfjet_cpu::Engine);

impl Engine for CpuEngine {
    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), EngineError> {
        Ok(self.0.run(inputs, outputs)?)
    }
}

impl fmt::Debug for CpuEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The weights section; none at all where the bundle has none, which an engine with weights then
/// reports.
struct BundleWeights(Arc<Bundle>);

impl AsRef<[u8]> for BundleWeights {
    fn as_ref(&self) -> &[u8] {
        self.0.weights().unwrap_or_default()
    }
}
