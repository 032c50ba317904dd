//! The CPU engine, on which all numbers here are seen.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tfjet::bundle::{Bundle, BundleWriter};
use tfjet::cpu::Library;
use tfjet::runtime::{Session, SessionOptions};

/// Flags of the CPU engine.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CpuArgs {
    /// ONNX Runtime's library
    #[arg(long, value_name = "PATH")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Threads of the CPU engine, 0 for all
    #[arg(long, default_value = "0", value_parser = clap::value_parser!(u16).range(..=256))]
    pub(crate) threads: u16,
}

/// ONNX Runtime, ready to load bundles.
pub(crate) struct Cpu {
    library: Library,
    threads: usize,
}

impl CpuArgs {
    pub(crate) fn load(&self) -> anyhow::Result<Cpu> {
        let library = Library::load(self.onnxruntime.as_deref(), &tfjet::cache::library_dirs())?;
        Ok(Cpu {
            library,
            threads: usize::from(self.threads),
        })
    }
}

impl Cpu {
    /// A session that computes INT8 as the exact numbers that it stands for.
    pub(crate) fn exact(&self, bundle: Arc<Bundle>) -> anyhow::Result<Session> {
        self.session(bundle, true)
    }

    /// A session as in use: ONNX Runtime may choose kernels of its own for INT8.
    pub(crate) fn fast(&self, bundle: Arc<Bundle>) -> anyhow::Result<Session> {
        self.session(bundle, false)
    }

    fn session(&self, bundle: Arc<Bundle>, exact: bool) -> anyhow::Result<Session> {
        let options = SessionOptions {
            threads: self.threads,
            // Sessions take turns: threads of one that spin would hold up the other.
            spin: false,
            exact_quantization: exact,
            ..SessionOptions::default()
        };
        Ok(Session::load(bundle, Some(&self.library), &options)?)
    }

    /// Name and release of the library.
    pub(crate) fn name(&self) -> String {
        format!("ONNX Runtime {}", self.library.version())
    }
}

/// The bundle that a writer would write.
pub(crate) fn in_memory(writer: &BundleWriter) -> anyhow::Result<Arc<Bundle>> {
    Ok(Arc::new(Bundle::from_bytes(writer.to_bytes()?)?))
}
