//! Builds the stand-ins for NVIDIA's libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tfjet_cuda::{Context, Driver, KernelCache, Nvrtc};

/// A directory with a driver and an NVRTC of its own, and the log of their calls.
pub(crate) struct Stub {
    dir: TempDir,
}

impl Stub {
    /// Compiles both with these macros, such as `NO_cuMemHostAlloc`; nothing where the machine has
    /// no C compiler.
    pub(crate) fn build(macros: &[&str]) -> Option<Self> {
        let stub = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for source in ["driver.c", "nvrtc.c"] {
            let compiler = Command::new("cc")
                .args(["-shared", "-fPIC", "-O1", "-w"])
                .arg(format!("-DSTUB_LOG=\"{}\"", stub.path("calls").display()))
                .args(macros.iter().map(|name| format!("-D{name}")))
                .arg(
                    Path::new(env!("CARGO_MANIFEST_DIR"))
                        .join("tests/stub")
                        .join(source),
                )
                .arg("-o")
                .arg(stub.path(source).with_extension("so"))
                .output();
            let Ok(output) = compiler else {
                eprintln!("SKIPPED: there is no C compiler `cc` to build a stand-in driver with");
                return None;
            };
            let messages = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{messages}");
        }
        Some(stub)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn driver(&self) -> Result<Driver, tfjet_cuda::CudaError> {
        Driver::load_from(&self.path("driver.so"))
    }

    pub(crate) fn context(&self) -> Context {
        Context::new(&self.driver().unwrap(), 0).unwrap()
    }

    pub(crate) fn nvrtc(&self) -> Nvrtc {
        Nvrtc::load(Some(&self.path("nvrtc.so")), &[], (12, 2)).unwrap()
    }

    pub(crate) fn cache(&self) -> KernelCache {
        let dir = Some(self.path("kernels"));
        KernelCache::new(self.context(), Some(self.nvrtc()), dir).unwrap()
    }

    /// Calls so far, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("calls")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls().iter().filter(|made| *made == call).count()
    }
}
