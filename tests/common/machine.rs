use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Graph, Program, convert, folder, listing, skip, tfjet_run};

/// A bundle of one segment with an open batch, `rows.jet`.
pub(crate) fn rows_bundle(folder: &Path) -> PathBuf {
    let model = Graph::rows_of_three().write(folder, "rows.pbtxt");
    let bundle = folder.join("rows.jet");
    convert(&model, &bundle, "");
    bundle
}

fn rtx() -> Option<OsString> {
    let found = std::env::var_os("TFJET_TENSORRT_RTX").filter(|path| !path.is_empty());
    if found.is_none() {
        skip("TFJET_TENSORRT_RTX does not name libtensorrt_rtx.so.1");
    }
    found
}

/// A machine with TensorRT-RTX, a bundle, and an empty cache.
pub(crate) struct Machine {
    pub(crate) folder: TempDir,
    pub(crate) bundle: PathBuf,
    pub(crate) library: OsString,
}

impl Machine {
    pub(crate) fn new() -> Option<Self> {
        let library = rtx()?;
        let folder = folder();
        let bundle = rows_bundle(folder.path());
        Some(Self {
            folder,
            bundle,
            library,
        })
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub(crate) fn prepare(&self, words: &str) -> Program {
        self.prepare_bundle(&self.bundle, words)
    }

    pub(crate) fn prepare_bundle(&self, bundle: &Path, words: &str) -> Program {
        let program = tfjet_run().env("TFJET_TENSORRT", &self.library);
        let program = program
            .arg("prepare")
            .arg(bundle)
            .arg("--cache")
            .arg(self.cache());
        program.words(words)
    }

    /// The status of segment 0 after `prepare --json`.
    #[track_caller]
    pub(crate) fn status(&self, words: &str) -> String {
        let ran = self.prepare(words).words("--json").run().good();
        let status = &ran.json()["segments"][0]["status"];
        status.as_str().expect("a status").to_owned()
    }

    /// Files of the cache with this ending.
    pub(crate) fn files(&self, ending: &str) -> Vec<PathBuf> {
        let names = listing(&self.cache()).into_iter();
        let names = names.filter(|name| name.ends_with(ending) && !name.starts_with("timing-"));
        names.map(|name| self.cache().join(name)).collect()
    }
}

/// An executable shell script.
pub(crate) fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("builder");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("the script is written");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&path, executable).expect("the script can be run");
    path
}
