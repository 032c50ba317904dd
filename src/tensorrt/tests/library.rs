//! Loading the library, and what it makes, where `TFJET_TENSORRT_RTX` names TensorRT-RTX's.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use tfjet_tensorrt::{Builder, Flavor, Library, Runtime, TensorRtError};

fn rtx() -> Option<PathBuf> {
    let path = std::env::var_os("TFJET_TENSORRT_RTX").map(PathBuf::from);
    if path.is_none() {
        eprintln!("SKIPPED: TFJET_TENSORRT_RTX does not name libtensorrt_rtx.so.1");
    }
    path
}

#[test]
fn the_library_tells_version_and_file() {
    let Some(path) = rtx() else { return };
    let library = Library::load(Flavor::TensorRtRtx, Some(&path), &[]).unwrap();
    let version = library.version();
    assert_eq!((version.major, version.minor), (1, 7));
    assert!(version.key().starts_with("rtx1.7."));
    assert_eq!(library.path(), fs::canonicalize(&path).unwrap());
    let dir = path.parent().unwrap();
    for again in [
        Library::load(Flavor::TensorRtRtx, Some(dir), &[]),
        Library::load(Flavor::TensorRtRtx, None, &["/none".into(), dir.into()]),
    ] {
        assert_eq!(again.unwrap().path(), library.path());
    }
    let error = Library::load(Flavor::TensorRt, Some(&path), &[]).unwrap_err();
    let expected = format!(
        "{}: is {version}; TensorRT is wanted here",
        library.path().display()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_library_that_is_not_there_is_named_with_everything_tried() {
    let path = Path::new("/none/libnvinfer.so.8");
    let error = Library::load(Flavor::TensorRt, Some(path), &[]).unwrap_err();
    assert!(error.is_missing());
    let text = error.to_string();
    assert!(
        text.contains("TensorRT was not found (tried /none/libnvinfer.so.8 (no such file))"),
        "{text}"
    );

    let dirs = ["/none".into()];
    let error = Library::load(Flavor::TensorRtRtx, None, &dirs);
    if let Err(error) = error {
        let text = error.to_string();
        assert!(text.contains("TensorRT-RTX was not found"), "{text}");
        assert!(
            text.contains("/none/libtensorrt_rtx.so.1 (no such file)"),
            "{text}"
        );
        assert!(text.contains(", libtensorrt_rtx.so.1 ("), "{text}");
    }
}

#[test]
fn a_foreign_library_is_refused() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .find(|path| path.contains("libc.so"))
        .unwrap();
    let error = Library::load(Flavor::TensorRt, Some(Path::new(libc)), &[]).unwrap_err();
    let expected = format!("{libc}: is not TensorRT's library: it has no getInferLibVersion");
    assert_eq!(error.to_string(), expected);
    assert!(!error.is_missing());
}

#[test]
fn a_file_that_is_no_library_is_refused_with_the_loaders_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("libnvinfer.so.10");
    fs::write(&path, "no library").unwrap();
    let error = Library::load(Flavor::TensorRt, Some(&path), &[]).unwrap_err();
    let TensorRtError::LibraryUnloadable { reason, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        reason.contains("file too short") || reason.contains("ELF"),
        "{reason}"
    );
}

#[test]
fn a_timing_cache_is_made_serialized_and_read_again() {
    let Some(path) = rtx() else { return };
    let library = Library::load(Flavor::TensorRtRtx, Some(&path), &[]).unwrap();
    let builder = Builder::new(&library).unwrap();
    let mut config = builder.config().unwrap();
    assert!(config.timing_cache().is_none());
    let cache = config.create_timing_cache(&[]).unwrap();
    config.set_timing_cache(&cache).unwrap();
    let bytes = config.timing_cache().unwrap().serialize().unwrap();
    assert!(!bytes.is_empty());
    let again = config.create_timing_cache(&bytes).unwrap();
    assert_eq!(again.serialize().unwrap().len(), bytes.len());
}

#[test]
fn what_a_version_lacks_is_refused_by_name() {
    let Some(path) = rtx() else { return };
    let library = Library::load(Flavor::TensorRtRtx, Some(&path), &[]).unwrap();
    let version = library.version();
    let builder = Builder::new(&library).unwrap();
    let mut config = builder.config().unwrap();
    assert!(config.has_progress());
    for (refused, sentence) in [
        (config.set_fp16(true), "builder flag FP16"),
        (config.set_tactic_sources(0), "choice of tactic sources"),
        (config.set_dla(0, true), "DLA core 0 here (it sees 0)"),
    ] {
        let expected = format!("{version} has no {sentence}");
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }
    config.set_fp16(false).unwrap();
    config.set_compute_capability(8, 9).unwrap();
}

#[test]
fn a_runtime_or_the_librarys_reason_why_not() {
    let Some(path) = rtx() else { return };
    let library = Library::load(Flavor::TensorRtRtx, Some(&path), &[]).unwrap();
    match Runtime::new(&library) {
        Ok(runtime) => {
            let error = runtime.deserialize(b"no engine").unwrap_err();
            let TensorRtError::CallFailed { call, log, .. } = &error else {
                panic!("{error}")
            };
            assert_eq!(*call, "VRuntime::deserializeCudaEngine");
            assert!(!log.is_empty());
        }
        Err(error) => {
            let TensorRtError::CallFailed { log, .. } = &error else {
                panic!("{error}")
            };
            assert!(!log.is_empty());
        }
    }
}
