//! What a session runs on, chosen by the flags that commands share.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tfjet::bundle::Bundle;
use tfjet::cache;
use tfjet::cpu::Library;
use tfjet::cuda::CudaError;
use tfjet::runtime::{
    EngineCache, EngineSet, Gpu, GpuError, GpuOptions, MachineKey, Session, SessionOptions,
};
use tfjet::tensorrt::Precision;

/// Flags that choose where segments run.
#[derive(Debug, Clone, Args)]
pub(crate) struct BackendArgs {
    /// Where segments run; auto takes the GPU where there are one, its driver and TensorRT
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) device: Device,
    /// The GPU's number
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) gpu: u32,
    /// Precision of the engines, where they are prepared in both
    #[arg(long, value_name = "fp32|fp16")]
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
}

/// `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Device {
    /// The GPU where it can be used, else the CPU.
    Auto,
    /// The GPU or an error.
    Gpu,
    /// ONNX Runtime.
    Cpu,
}

/// A session and what it runs on.
pub(crate) struct Opened {
    pub(crate) session: Session,
    pub(crate) backend: BackendSummary,
}

/// What a session runs on, as summaries tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BackendSummary {
    /// The GPU's name, or `CPU`.
    pub(crate) device: String,
    /// Name and version of what runs the segments; absent where there are none.
    pub(crate) library: Option<String>,
    /// `fp32` or `fp16`.
    pub(crate) precision: String,
    /// Where the engines come from; absent where there are none.
    pub(crate) engines: Option<String>,
    /// Why it is not the GPU, where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) no_gpu: Option<String>,
}

impl BackendSummary {
    /// All of it on one line, without the reason.
    pub(crate) fn text(&self) -> String {
        let mut text = self.device.clone();
        for part in self.library.iter().chain([&self.precision]) {
            text += ", ";
            text += part;
        }
        if let Some(engines) = &self.engines {
            text += ", engines from ";
            text += engines;
        }
        text
    }
}

impl BackendArgs {
    /// Loads the bundle on what the flags choose. The threads of `options` are those of the flags.
    pub(crate) fn open(
        &self,
        bundle: Arc<Bundle>,
        options: &SessionOptions,
    ) -> anyhow::Result<Opened> {
        let options = SessionOptions {
            threads: usize::from(self.threads),
            ..options.clone()
        };
        if self.device == Device::Cpu
            || (self.device == Device::Auto && bundle.segment_count() == 0)
        {
            return self.on_cpu(bundle, &options, None);
        }
        match Gpu::open(&self.gpu_options()) {
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

    fn gpu_options(&self) -> GpuOptions {
        GpuOptions {
            device: self.gpu,
            tensorrt: self.tensorrt.clone(),
            dirs: cache::gpu_library_dirs(),
            kernel_cache: self.cache_dir().map(|dir| dir.join("kernels")),
            ..GpuOptions::default()
        }
    }

    fn cache_dir(&self) -> Option<PathBuf> {
        self.cache.clone().or_else(cache::engine_dir)
    }

    fn on_gpu(
        &self,
        bundle: Arc<Bundle>,
        gpu: &Gpu,
        options: &SessionOptions,
    ) -> anyhow::Result<Opened> {
        let (device, version) = (gpu.context().device(), gpu.library().version());
        let machine = MachineKey {
            library: version.key(),
            compute_capability: Some(device.compute_capability),
            gpu: device.name.clone(),
        };
        let cache = self.cache_dir().map(|dir| EngineCache::at(&dir));
        let precision = self.precision.map(Precision::name);
        let engines = EngineSet::locate(&bundle, &machine, precision, cache.as_ref())?;
        let has_segments = bundle.segment_count() > 0;
        let backend = BackendSummary {
            device: device.name.clone(),
            library: Some(version.to_string()),
            precision: engines.precision().into(),
            engines: has_segments.then(|| engines.origin().to_string()),
            no_gpu: None,
        };
        let session = Session::load_gpu(bundle, gpu, &engines, options)?;
        Ok(Opened { session, backend })
    }

    fn on_cpu(
        &self,
        bundle: Arc<Bundle>,
        options: &SessionOptions,
        no_gpu: Option<String>,
    ) -> anyhow::Result<Opened> {
        let library = match bundle.segment_count() {
            0 => None,
            _ => Some(Library::load(
                self.onnxruntime.as_deref(),
                &cache::library_dirs(),
            )?),
        };
        let name = library
            .as_ref()
            .map(|it| format!("ONNX Runtime {}", it.version()));
        let backend = BackendSummary {
            device: "CPU".into(),
            engines: library.as_ref().map(|_| "the bundle's ONNX models".into()),
            library: name,
            precision: "fp32".into(),
            no_gpu,
        };
        let session = Session::load(bundle, library.as_ref(), options)?;
        Ok(Opened { session, backend })
    }
}

/// Is there a GPU with its driver, so that it is worth a word that it is not used?
fn has_gpu(error: &GpuError) -> bool {
    !matches!(
        error,
        GpuError::Cuda(CudaError::DriverMissing { .. } | CudaError::NoDevice { .. })
    )
}
