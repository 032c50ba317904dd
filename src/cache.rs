//! Where `tfjet fetch` keeps what it got, and `tfjet-run prepare` what it built.

use std::env;
use std::path::{Path, PathBuf};

/// Where fetched files lie: `$TFJET_CACHE`, else `$XDG_CACHE_HOME/tfjet`, else `~/.cache/tfjet`.
pub fn cache_dir() -> Option<PathBuf> {
    cache_dir_from(|name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    })
}

fn cache_dir_from(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    variable("TFJET_CACHE")
        // The XDG specification has relative paths ignored.
        .or_else(|| {
            let base = variable("XDG_CACHE_HOME").filter(|base| base.is_absolute())?;
            Some(base.join("tfjet"))
        })
        .or_else(|| Some(variable("HOME")?.join(".cache/tfjet")))
}

/// The file of an entry in the cache, where it was fetched before.
pub fn cached(entry: &str, file: &str) -> Option<PathBuf> {
    Some(path_in(&cache_dir()?, entry, file)).filter(|path| path.is_file())
}

/// Where ONNX Runtime's library lies after `tfjet fetch onnxruntime`.
pub fn library_dirs() -> Vec<PathBuf> {
    cache_dir()
        .map(|cache| cache.join("onnxruntime"))
        .into_iter()
        .collect()
}

/// Where built engines and compiled kernels are kept.
pub fn engine_dir() -> Option<PathBuf> {
    Some(cache_dir()?.join("engines"))
}

/// Where TensorRT, TensorRT-RTX and NVRTC are looked for before the system's search path: beside
/// the program, and in the cache.
pub fn gpu_library_dirs() -> Vec<PathBuf> {
    let program = env::current_exe().ok();
    let beside = program
        .as_deref()
        .and_then(Path::parent)
        .map(Path::to_owned);
    let entries = ["tensorrt", "tensorrt-rtx"];
    let cached = cache_dir().map(|cache| entries.map(|entry| cache.join(entry)));
    beside
        .into_iter()
        .chain(cached.into_iter().flatten())
        .collect()
}

/// TensorRT's library, or a folder that holds it, as `TFJET_TENSORRT` names it.
pub fn tensorrt_variable() -> Option<PathBuf> {
    let named = env::var_os("TFJET_TENSORRT").filter(|value| !value.is_empty());
    named.map(PathBuf::from)
}

/// Where the file of an entry lies, or would lie.
pub fn path_in(cache: &Path, entry: &str, file: &str) -> PathBuf {
    cache.join(entry).join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_variable_wins() {
        for (variables, expected) in [
            (
                &[
                    ("TFJET_CACHE", "/a"),
                    ("XDG_CACHE_HOME", "/b"),
                    ("HOME", "/c"),
                ][..],
                Some("/a"),
            ),
            (
                &[("XDG_CACHE_HOME", "/b"), ("HOME", "/c")],
                Some("/b/tfjet"),
            ),
            (
                &[("XDG_CACHE_HOME", "b"), ("HOME", "/c")],
                Some("/c/.cache/tfjet"),
            ),
            (&[], None),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| PathBuf::from(value))
            };
            assert_eq!(
                cache_dir_from(variable),
                expected.map(PathBuf::from),
                "{variables:?}"
            );
        }
    }
}
