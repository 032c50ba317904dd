use std::io;
use std::path::PathBuf;

use tfjet_bundle::BundleError;

use super::EngineKey;

/// Why the engine cache cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineCacheError {
    /// The folder takes no file.
    #[error("the engine cache {} cannot be written (free it, or name another with --cache): {source}", dir.display())]
    Unwritable {
        /// The folder.
        dir: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("the engine cache: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: BundleError,
    },
    /// The right to build an engine cannot be asked for.
    #[error("the engine cache cannot lock {}: {source}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("the engine cache cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// An entry is damaged. Its error names the file.
    #[error("the engine cache has a damaged file (`tfjet-run prepare` makes it again): {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, with what was expected and found.
        source: BundleError,
    },
    /// A file of the cache is a bundle of something else.
    #[error("{}: expected one engine, found {sections} sections of other things; `tfjet-run prepare` makes it again", path.display())]
    NoEngine {
        /// The file.
        path: PathBuf,
        /// How many sections it has.
        sections: usize,
    },
    /// An entry holds another engine than its name says.
    #[error("{}: expected the engine of key {expected}, found {found}; `tfjet-run prepare` makes it again", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key that it was looked for by.
        expected: EngineKey,
        /// The key in its header.
        found: EngineKey,
    },
    /// The list of prepared engines is damaged.
    #[error("{}: the list of prepared engines is damaged; `tfjet-run prepare` makes it again", path.display())]
    Record {
        /// The file.
        path: PathBuf,
    },
}

impl EngineCacheError {
    /// Is it damage that building again repairs?
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::NoEngine { .. } | Self::Key { .. } | Self::Record { .. }
        )
    }
}

/// Engines that `tfjet-run prepare` has yet to build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{bundle} is not prepared for {machine}{}: {} of its {total} segments have no engine{}; run \
     `tfjet-run prepare {bundle}{}`",
    precision.as_ref().map(|it| format!(" in {it}")).unwrap_or_default(),
    segments.len(),
    match ready.as_slice() {
        [] => String::new(),
        ready => format!(" ({} is prepared)", ready.join(" and ")),
    },
    precision.as_ref().map(|it| format!(" --precision {it}")).unwrap_or_default()
)]
pub struct NotPrepared {
    /// The bundle's path.
    pub bundle: String,
    /// Library and GPU.
    pub machine: String,
    /// The precision that was asked for.
    pub precision: Option<String>,
    /// Segments without an engine.
    pub segments: Vec<u32>,
    /// Number of segments.
    pub total: usize,
    /// Other precisions that are prepared.
    pub ready: Vec<String>,
}

/// Why there are no engines to run a bundle's segments with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineSetError {
    /// The bundle is damaged.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The cache is damaged.
    #[error(transparent)]
    Cache(Box<EngineCacheError>),
    /// Engines of some segments are neither in the bundle nor in the cache.
    #[error(transparent)]
    NotPrepared(#[from] Box<NotPrepared>),
    /// Engines are there in more than one precision.
    #[error("{bundle} is prepared in {}: choose one with --precision", precisions.join(" and "))]
    Precisions {
        /// The bundle's path.
        bundle: String,
        /// What there is to choose from.
        precisions: Vec<String>,
    },
    /// The bundle's engines are for other versions of the library.
    #[error(
        "{bundle} holds engines for {} only, expected {expected}: run `tfjet-run prepare {bundle}`",
        found.join(", ")
    )]
    WrongVersion {
        /// The bundle's path.
        bundle: String,
        /// Library and GPU here.
        expected: String,
        /// Targets of the engines.
        found: Vec<String>,
    },
    /// The bundle's engines are for this library on other GPUs.
    #[error(
        "{bundle} holds engines for other GPUs only ({}), expected {expected}: run `tfjet-run \
         prepare {bundle}`",
        found.join(", ")
    )]
    WrongGpu {
        /// The bundle's path.
        bundle: String,
        /// Library and GPU here.
        expected: String,
        /// Targets of the engines.
        found: Vec<String>,
    },
    /// An engine of the bundle was built from something else.
    #[error(
        "{bundle}: the engine of segment {segment} for {target} was built from another network or \
         with other settings: its key is {found}, expected {expected}"
    )]
    Key {
        /// The bundle's path.
        bundle: String,
        /// Target of the engine.
        target: String,
        /// Its segment.
        segment: u32,
        /// The key that network and header make.
        expected: EngineKey,
        /// The key in its header.
        found: EngineKey,
    },
}

impl From<EngineCacheError> for EngineSetError {
    fn from(error: EngineCacheError) -> Self {
        Self::Cache(Box::new(error))
    }
}

impl EngineSetError {
    /// Are there just no engines for this machine, so that `prepare` is what helps?
    pub fn is_not_prepared(&self) -> bool {
        matches!(
            self,
            Self::NotPrepared(_)
                | Self::Precisions { .. }
                | Self::WrongVersion { .. }
                | Self::WrongGpu { .. }
        )
    }
}
