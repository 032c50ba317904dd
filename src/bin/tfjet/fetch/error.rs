use std::io;
use std::path::{Path, PathBuf};

/// Why nothing, or not everything, was fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FetchError {
    /// No entry has this name.
    #[error("`{name}` is not in the manifest, which has: {known}")]
    UnknownEntry { name: String, known: String },
    /// Neither an option nor the environment says where the cache is.
    #[error("no cache directory: set TFJET_CACHE or HOME, or pass --cache DIR")]
    NoCacheDir,
    /// The manifest does not parse, or says something that cannot be.
    #[error("manifest {file}: {message}")]
    Manifest { file: String, message: String },
    /// A file or directory of ours cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The package's archive cannot be read.
    #[error("archive {archive}: {source}")]
    Archive { archive: String, source: io::Error },
    /// The archive lacks a file.
    #[error("archive {archive} holds no {path}")]
    NotInArchive { archive: String, path: String },
    /// The bytes are not those that the manifest describes.
    #[error("{file}: expected {expected}, found {found}; nothing was kept")]
    WrongHash {
        file: String,
        expected: String,
        found: String,
    },
    /// The program that gets or unpacks the package is not installed.
    #[error("`{client}` is missing; Debian's package `{package}` has it")]
    MissingClient {
        client: &'static str,
        package: &'static str,
    },
    /// The program that gets the package gave up: no network, or no such package.
    #[error("`{client}` could not get {package}: {line}")]
    Client {
        client: &'static str,
        package: String,
        line: String,
    },
    /// A recipe failed.
    #[error("recipe {script}: {line}")]
    Recipe { script: String, line: String },
}

impl FetchError {
    /// The process's exit code: 2 usage, 3 bad input, 4 missing program, library or network.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownEntry { .. } | Self::NoCacheDir => 2,
            Self::Manifest { .. }
            | Self::Io { .. }
            | Self::Archive { .. }
            | Self::NotInArchive { .. }
            | Self::WrongHash { .. }
            | Self::Recipe { .. } => 3,
            Self::MissingClient { .. } | Self::Client { .. } => 4,
        }
    }

    /// Adds the path to an I/O error.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}
