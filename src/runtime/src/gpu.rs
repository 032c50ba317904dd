//! Blocks of a schedule on the GPU: TensorRT's engines, and kernels for the ops between them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tfjet_cuda::kernels::Kernels;
use tfjet_cuda::{Context, CudaError, Driver, KernelCache, Nvrtc};
use tfjet_tensorrt::{EntryPoints, Flavor, Library, TensorRtError};

mod arena;
mod block;
mod choose;
mod constants;
mod convert;
mod engines;
mod error;
mod executor;
mod graphs;
mod load;
mod memory;
mod placement;
mod plan;
mod profiles;
mod record;
mod residual;
mod run;
mod source;
mod state;
mod stats;

pub use error::GpuError;
pub use placement::{Placement, UnknownPlacement};
pub use profiles::profile_for;
pub use residual::device_ops;
pub use source::EngineSource;
pub use stats::{GpuStats, GpuTimes, LayerTime, PlainReason};

pub(crate) use executor::GpuExecutor;
pub(crate) use load::Parts;
pub(crate) use memory::PinnedMemory;
#[cfg(test)]
pub(crate) use plan::BlockPlan;
pub(crate) use plan::{Item, on_host};
pub(crate) use state::BlockError;

/// What runs the engines, for people.
pub(crate) const BACKEND: &str = "TensorRT";

/// Names TensorRT's library, or a folder that holds it.
const TENSORRT_VARIABLE: &str = "TFJET_TENSORRT";
/// Names NVRTC's library.
const NVRTC_VARIABLE: &str = "TFJET_NVRTC";
/// Names a [`Placement`].
const PLACEMENT_VARIABLE: &str = "TFJET_PLACEMENT";

/// Which GPU and libraries to use.
#[derive(Debug, Clone)]
pub struct GpuOptions {
    /// The GPU's number for the driver, from 0.
    pub device: u32,
    /// TensorRT's library, or a folder that holds it. Without it, what the environment variable
    /// `TFJET_TENSORRT` names; without that, `dirs` and the system's search path.
    pub tensorrt: Option<PathBuf>,
    /// TensorRT or TensorRT-RTX; without it the first of the two that is there.
    pub flavor: Option<Flavor>,
    /// Folders in which libraries are looked for first.
    pub dirs: Vec<PathBuf>,
    /// NVRTC, which compiles kernels for residual ops. Without it, what the environment variable
    /// `TFJET_NVRTC` names; without that, `dirs`, the system's search path and CUDA's own folders.
    pub nvrtc: Option<PathBuf>,
    /// Where compiled kernels are kept; without it they are compiled in every process.
    pub kernel_cache: Option<PathBuf>,
    /// Kernels for residual ops. Without them all residual ops run on the host.
    pub kernels: bool,
    /// Where shared tensors lie. Without it, what the environment variable `TFJET_PLACEMENT`
    /// names; without that, what fits the GPU.
    pub placement: Option<Placement>,
    /// Which of TensorRT's ways to run an engine.
    pub entry_points: EntryPoints,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self {
            device: 0,
            tensorrt: None,
            flavor: None,
            dirs: Vec::new(),
            nvrtc: None,
            kernel_cache: None,
            kernels: true,
            placement: None,
            entry_points: EntryPoints::Newest,
        }
    }
}

/// A GPU with the libraries that run engines on it. Clones share it.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

struct Inner {
    context: Context,
    library: Library,
    kernels: Result<Arc<Kernels>, String>,
    placement: Placement,
    entry_points: EntryPoints,
}

impl Gpu {
    /// Opens the driver, the GPU and TensorRT's library. Where kernels for residual ops cannot be
    /// had, [`Gpu::kernels`] says why and those ops run on the host.
    ///
    /// # Errors
    /// [`GpuError`]; [`GpuError::is_missing`] where the machine has no driver, GPU or TensorRT.
    pub fn open(options: &GpuOptions) -> Result<Self, GpuError> {
        let context = Context::new(&Driver::load()?, options.device)?;
        let library = library(options)?;
        let device = context.device();
        let placement = match (options.placement, std::env::var(PLACEMENT_VARIABLE)) {
            (Some(placement), _) => placement,
            (None, Ok(name)) => name.parse()?,
            (None, Err(_)) => Placement::of(device),
        };
        if placement != Placement::Discrete && !device.can_map_host_memory {
            return Err(GpuError::CannotMap {
                placement,
                gpu: device.name.clone(),
            });
        }
        let kernels = if options.kernels {
            kernels(&context, options)
        } else {
            Err("switched off".to_owned())
        };
        let (major, minor) = device.compute_capability;
        tracing::info!(
            gpu = %device.name,
            compute_capability = format!("{major}.{minor}"),
            library = %library.version(),
            %placement,
            "opened"
        );
        if let Err(reason) = &kernels {
            tracing::info!(reason, "residual ops run on the host");
        }
        Ok(Self(Arc::new(Inner {
            context,
            library,
            kernels,
            placement,
            entry_points: options.entry_points,
        })))
    }

    /// The GPU's context.
    pub fn context(&self) -> &Context {
        &self.0.context
    }

    /// TensorRT's library.
    pub fn library(&self) -> &Library {
        &self.0.library
    }

    /// Where shared tensors lie.
    pub fn placement(&self) -> Placement {
        self.0.placement
    }

    /// Kernels for residual ops, or why there are none.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn kernels(&self) -> Result<&Arc<Kernels>, &str> {
        self.0.kernels.as_ref().map_err(String::as_str)
    }

    pub(crate) fn entry_points(&self) -> EntryPoints {
        self.0.entry_points
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu")
            .field("device", &self.0.context.device().name)
            .field("library", &self.0.library)
            .field("placement", &self.0.placement)
            .finish_non_exhaustive()
    }
}

/// The option, else what the environment variable names.
fn named(option: &Option<PathBuf>, variable: &str) -> Option<PathBuf> {
    let variable = || std::env::var_os(variable).map(PathBuf::from);
    option.clone().or_else(variable)
}

fn library(options: &GpuOptions) -> Result<Library, GpuError> {
    let named = named(&options.tensorrt, TENSORRT_VARIABLE);
    let load = |flavor| Library::load(flavor, named.as_deref(), &options.dirs);
    if let Some(flavor) = options.flavor {
        return Ok(load(flavor)?);
    }
    match load(Flavor::TensorRt) {
        Err(
            first @ (TensorRtError::LibraryMissing { .. } | TensorRtError::LibraryFlavor { .. }),
        ) => match load(Flavor::TensorRtRtx) {
            Err(TensorRtError::LibraryMissing { .. }) => Err(first.into()),
            other => Ok(other?),
        },
        other => Ok(other?),
    }
}

fn kernels(context: &Context, options: &GpuOptions) -> Result<Arc<Kernels>, String> {
    let kernels = || {
        let named = named(&options.nvrtc, NVRTC_VARIABLE);
        let driver = context.driver().version();
        let nvrtc = Nvrtc::load(named.as_deref(), &options.dirs, driver)?;
        let dir = options.kernel_cache.clone();
        Kernels::new(KernelCache::new(context.clone(), Some(nvrtc), dir)?)
    };
    kernels()
        .map(Arc::new)
        .map_err(|error: CudaError| error.to_string())
}
