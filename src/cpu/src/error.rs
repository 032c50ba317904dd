use std::path::{Path, PathBuf};

use tfjet_core::TensorError;

/// What can go wrong with the library, a model, or a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpuError {
    /// No library at any of the places looked at.
    #[error(
        "ONNX Runtime's library was not found (looked at: {}); run `tfjet fetch onnxruntime`, or \
         `pip install onnxruntime` and set TFJET_ONNXRUNTIME to its libonnxruntime.so.*",
        list(looked_at)
    )]
    LibraryNotFound {
        /// Files and folders, in order.
        looked_at: Vec<PathBuf>,
    },
    /// The file is no loadable library.
    #[error("{}: cannot be loaded as a library: {reason}", path.display())]
    LibraryUnloadable {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// The file is a library, but not ONNX Runtime.
    #[error("{}: is not ONNX Runtime: {reason}", path.display())]
    LibraryForeign {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: &'static str,
    },
    /// The library is too old, or of another major version.
    #[error("{}: is ONNX Runtime {found}; 1.{} or a later 1.x is needed", path.display(), ort::MINOR_VERSION)]
    LibraryVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// A process can use one library only.
    #[error("{}: ONNX Runtime is loaded from {} already", path.display(), loaded.display())]
    LibraryLoaded {
        /// The file that was asked for.
        path: PathBuf,
        /// The file in use.
        loaded: PathBuf,
    },
    /// The bytes of the model are cut off or no protobuf.
    #[error("ONNX model: {reason} at byte {offset}")]
    Model {
        /// Bytes from the start.
        offset: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// An initializer with external data does not fit the weights.
    #[error("ONNX model: initializer {initializer}: {reason}")]
    Weights {
        /// Name of the initializer.
        initializer: String,
        /// What is wrong, with offset and length.
        reason: String,
    },
    /// An input or output of the model is no tensor of a known type.
    #[error("ONNX model: `{name}` is {found}, which is no tensor of a known type")]
    Interface {
        /// Name of the input or output.
        name: String,
        /// What it is.
        found: String,
    },
    /// The number of tensors passed to a run does not fit the model.
    #[error("the model has {expected} {what}, got {actual}")]
    Count {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// How many the model has.
        expected: usize,
        /// How many were passed.
        actual: usize,
    },
    /// An input does not fit the model.
    #[error("input `{name}`: {reason}")]
    Input {
        /// Name of the input.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An output is too large for the address space.
    #[error("output `{name}`: {source}")]
    Output {
        /// Name of the output.
        name: String,
        /// Why.
        source: TensorError,
    },
    /// ONNX Runtime reported an error.
    #[error("ONNX Runtime: {doing}: {message}")]
    Runtime {
        /// What it was asked to do.
        doing: &'static str,
        /// What it said, on one line.
        message: String,
    },
}

impl CpuError {
    /// Is the library missing or unusable, rather than the model bad?
    pub fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::LibraryNotFound { .. }
                | Self::LibraryUnloadable { .. }
                | Self::LibraryForeign { .. }
                | Self::LibraryVersion { .. }
        )
    }

    pub(crate) fn runtime<R>(doing: &'static str) -> impl FnOnce(ort::Error<R>) -> Self {
        move |error| Self::Runtime {
            doing,
            message: one_line(error.message()),
        }
    }

    pub(crate) fn unloadable(path: &Path, error: &dyn std::error::Error) -> Self {
        let mut reason = error.to_string();
        if let Some(source) = error.source() {
            reason = format!("{reason}: {source}");
        }
        let mut reason = one_line(&reason);
        // What glibc's loader says of a library that was linked against a later glibc.
        if reason.contains("version `GLIBC_") {
            reason.push_str(
                "; this machine's C library is too old for it, take ONNX Runtime 1.24 \
                 (`tfjet fetch onnxruntime-jetpack4` for JetPack 4)",
            );
        }
        Self::LibraryUnloadable {
            path: path.to_owned(),
            reason,
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn list(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "nowhere".into();
    }
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_too_new_for_the_machine_comes_with_advice() {
        let message = |reason: &str| {
            let error = std::io::Error::other(reason);
            CpuError::unloadable(Path::new("lib.so"), &error).to_string()
        };
        let glibc = "/lib/libc.so.6: version `GLIBC_2.28' not found (required by lib.so)";
        let advice = message(glibc);
        assert!(advice.contains(glibc), "{advice}");
        assert!(advice.contains("fetch onnxruntime-jetpack4"), "{advice}");
        assert!(!message("file too short").contains("fetch"));
    }
}
