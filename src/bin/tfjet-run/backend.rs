//! What a model runs on, chosen by the flags that commands share.

mod by_shape;
mod memory;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use clap::{Args, ValueEnum};
use serde::Serialize;
use tfjet::board;
use tfjet::bundle::{Bundle, BundleError};
use tfjet::cache;
use tfjet::cpu::Library;
use tfjet::cuda::CudaError;
use tfjet::engines::{EngineSearch, Located};
use tfjet::exit::Usage;
use tfjet::runtime::{
    EngineSetError, Gpu, GpuError, Model, OnMiss, Session, SessionOptions, bundle_precision,
};
use tfjet::tensorrt::Precision;

use crate::build::BuildFlags;

pub(crate) use summary::{BackendSummary, counters_text};

/// Flags that choose where segments run.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct BackendArgs {
    /// Where segments run; auto takes the GPU where there are one, its driver and TensorRT
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) device: Device,
    /// The GPU's number
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) gpu: u32,
    /// Precision of the engines, where they are prepared in several [default: what the bundle was
    /// converted for]
    #[arg(long, value_name = "fp32|fp16|int8")]
    pub(crate) precision: Option<Precision>,
    /// TensorRT's library, or a folder that holds it
    #[arg(long, value_name = "PATH")]
    pub(crate) tensorrt: Option<PathBuf>,
    /// Where `prepare` keeps engines
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Threads of the CPU engine, 0 for all
    #[arg(long, default_value = "0", value_parser = clap::value_parser!(u16).range(..=256))]
    pub(crate) threads: u16,
    /// ONNX Runtime's library
    #[arg(long, value_name = "PATH")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Which of the bundle's targets to run, where it is for several [default: by the board]
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// Most memory of host and GPU together that the program may take, in MiB; a model that takes
    /// more is refused before it is loaded
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_memory: Option<u32>,
    #[command(flatten)]
    pub(crate) dynamic: DynamicArgs,
}

/// `--device`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Device {
    /// The GPU where it can be used, else the CPU.
    #[default]
    Auto,
    /// The GPU or an error.
    Gpu,
    /// ONNX Runtime.
    Cpu,
}

/// Flags on engines for shapes that come at run time. They are for TensorRT; the CPU engine takes
/// any shape.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Shapes that come at run time")]
pub(crate) struct DynamicArgs {
    /// What happens to shapes without an engine: off, an error; block, they wait until it is built;
    /// fallback, the CPU or an engine for a range of shapes serves them meanwhile; never-build, the
    /// same for good
    #[arg(
        long = "dynamic",
        value_enum,
        value_name = "MODE",
        default_value = "off"
    )]
    pub(crate) mode: DynamicMode,
    /// For how many shapes engines are held on the GPU at a time [default: 4]
    #[arg(long = "dynamic-capacity", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) capacity: Option<u16>,
    /// How engines are built; without any of these flags as `prepare` built those that there are
    #[command(flatten)]
    pub(crate) build: BuildFlags,
}

/// `--dynamic`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DynamicMode {
    /// Only shapes that engines were prepared for.
    #[default]
    Off,
    /// A run waits for its engine.
    Block,
    /// Runs are served by what is there while engines are built.
    Fallback,
    /// Runs are served by what is there.
    NeverBuild,
}

impl DynamicMode {
    fn on_miss(self) -> Option<OnMiss> {
        match self {
            Self::Off => None,
            Self::Block => Some(OnMiss::Block),
            Self::Fallback => Some(OnMiss::Fallback),
            Self::NeverBuild => Some(OnMiss::NeverBuild),
        }
    }
}

/// A model and what it runs on.
pub(crate) struct Opened {
    pub(crate) model: Model,
    pub(crate) backend: BackendSummary,
}

impl BackendArgs {
    /// Loads the bundle on what the flags choose. The threads of `options` are those of the flags.
    pub(crate) fn open(
        &self,
        bundle: Arc<Bundle>,
        options: &SessionOptions,
    ) -> anyhow::Result<Opened> {
        if self.dynamic.mode == DynamicMode::Off && self.dynamic != DynamicArgs::default() {
            bail!(Usage(
                "flags on how engines are built and held need --dynamic block, fallback or \
                 never-build"
                    .into()
            ));
        }
        let options = SessionOptions {
            threads: usize::from(self.threads),
            ..options.clone()
        };
        if self.device == Device::Cpu
            || (self.device == Device::Auto && bundle.segment_count() == 0)
        {
            return self.on_cpu(bundle, &options, None);
        }
        match self.engines().open_gpu() {
            Ok(gpu) => self.on_gpu(bundle, &gpu, &options),
            Err(error) if self.device == Device::Auto && error.is_missing() => {
                let reason = error.to_string();
                match has_gpu(&error) {
                    true => tracing::warn!("the segments run on the CPU: {reason}"),
                    false => tracing::info!("the segments run on the CPU: {reason}"),
                }
                self.on_cpu(bundle, &options, Some(reason))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn engines(&self) -> EngineSearch {
        EngineSearch {
            device: self.gpu,
            tensorrt: self.tensorrt.clone(),
            cache: self.cache.clone(),
            target: self.target.clone(),
            precision: self.precision,
        }
    }

    fn on_gpu(
        &self,
        bundle: Arc<Bundle>,
        gpu: &Gpu,
        options: &SessionOptions,
    ) -> anyhow::Result<Opened> {
        let Located {
            bundle,
            target,
            engines: located,
        } = self.engines().locate(&bundle, gpu)?;
        if let Some(target) = &target {
            tracing::info!("{target}");
        }
        let (device, version) = (gpu.context().device(), gpu.library().version());
        let has_segments = bundle.segment_count() > 0;
        let backend = BackendSummary {
            device: device.name.clone(),
            library: Some(version.to_string()),
            precision: String::new(),
            engines: None,
            flags: None,
            dynamic: None,
            fallback: None,
            target,
            memory: None,
            no_gpu: None,
        };
        if let Some(on_miss) = self.dynamic.mode.on_miss().filter(|_| has_segments) {
            let prepared = match located {
                Ok(engines) => Some(engines),
                Err(error @ EngineSetError::Precisions { .. }) => return Err(error.into()),
                Err(error) if error.is_not_prepared() => None,
                Err(error) => return Err(error.into()),
            };
            return self.by_shape(bundle, gpu, prepared, on_miss, (options, backend));
        }
        let engines = located?;
        let memory = self.check_gpu_memory(&bundle, gpu, &engines)?;
        let backend = BackendSummary {
            memory: Some(memory),
            precision: engines.precision().into(),
            engines: has_segments.then(|| engines.origin().to_string()),
            flags: engines.headers().next().map(|header| header.flags.clone()),
            ..backend
        };
        let session = Session::load_gpu(bundle, gpu, &engines, options)?;
        Ok(Opened {
            model: session.into(),
            backend,
        })
    }

    /// The bundle as it is for this machine's CPU. Says which target that is, where there are
    /// several.
    fn choose(&self, bundle: &Arc<Bundle>) -> anyhow::Result<(Arc<Bundle>, Option<String>)> {
        let choice = board::choose(bundle, self.target.as_deref(), &board::detect(), None)?;
        let said = (!choice.why.is_empty()).then(|| choice.to_string());
        if let Some(said) = &said {
            tracing::info!("{said}");
        }
        Ok((choice.bundle, said))
    }

    fn on_cpu(
        &self,
        bundle: Arc<Bundle>,
        options: &SessionOptions,
        no_gpu: Option<String>,
    ) -> anyhow::Result<Opened> {
        if self.dynamic.mode != DynamicMode::Off {
            tracing::info!("the CPU engine takes any shape, so --dynamic has nothing to do");
        }
        let (bundle, target) = self.choose(&bundle)?;
        let library = match bundle.segment_count() {
            0 => None,
            _ => Some(Library::load(
                self.onnxruntime.as_deref(),
                &cache::library_dirs(),
            )?),
        };
        let backend = BackendSummary {
            device: "CPU".into(),
            engines: library.as_ref().map(|_| "the bundle's ONNX models".into()),
            library: library.as_ref().map(onnxruntime),
            flags: None,
            precision: cpu_precision(&bundle)?.name().into(),
            dynamic: None,
            fallback: None,
            target,
            memory: Some(self.check_cpu_memory(&bundle)?),
            no_gpu,
        };
        let session = Session::load(bundle, library.as_ref(), options)?;
        Ok(Opened {
            model: session.into(),
            backend,
        })
    }
}

fn onnxruntime(library: &Library) -> String {
    format!("ONNX Runtime {}", library.version())
}

/// What the ONNX models of a bundle compute in: INT8 as the bundle says, but no FP16.
fn cpu_precision(bundle: &Bundle) -> Result<Precision, BundleError> {
    let own = bundle_precision(bundle)?;
    Ok(own
        .filter(|own| *own == Precision::Int8)
        .unwrap_or_default())
}

/// Is there a GPU with its driver, so that it is worth a word that it is not used?
fn has_gpu(error: &GpuError) -> bool {
    !matches!(
        error,
        GpuError::Cuda(CudaError::DriverMissing { .. } | CudaError::NoDevice { .. })
    )
}
