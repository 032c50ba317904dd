//! Bad input of every kind: one clear line, the right exit code, no panic, nothing left behind.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;

mod arrays;
mod bundles;
mod engines;
mod models;
mod usage;
mod video;

use std::path::{Path, PathBuf};

use common::{Graph, listing, tfjet};
use tempfile::TempDir;

/// A folder whose names must not change.
struct Untouched {
    folder: TempDir,
}

impl Untouched {
    fn new() -> Self {
        Self {
            folder: common::folder(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file in it.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).expect("the file is written");
        path
    }

    /// `tfjet plan` and `tfjet convert` must both refuse, with the same line, which is returned.
    #[track_caller]
    fn refuses_model(&self, model: &Path, flags: &str, code: i32) -> String {
        let before = listing(self.path());
        let planned = tfjet()
            .arg("plan")
            .arg(model)
            .words("--json")
            .words(flags)
            .run();
        let planned = planned.refused(code).to_owned();
        let bundle = self.path().join("out.jet");
        let ran = tfjet()
            .arg("convert")
            .arg(model)
            .arg("-o")
            .arg(&bundle)
            .words(flags)
            .run();
        assert_eq!(ran.refused(code), planned);
        assert_eq!(listing(self.path()), before);
        planned
    }
}

/// A good bundle of a small graph, and a file of arrays for it.
fn good_bundle(folder: &Path) -> (PathBuf, PathBuf) {
    let model = Graph::rows_of_three().write(folder, "good.pbtxt");
    let bundle = folder.join("good.jet");
    common::convert(&model, &bundle, "");
    let x = tfjet::core::Tensor::zeros(tfjet::core::DType::F32, &[1, 3]).expect("a small tensor");
    (bundle, common::npz(folder, "good.npz", &[("x", &x)]))
}

/// The line must hold all of these.
#[track_caller]
fn says(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "no `{word}` in: {line}");
    }
}
