//! Engines that were built on this machine, and which of them a bundle needs.

mod entry;
mod error;
mod failure;
mod key;
mod lock;
mod precision;
mod record;
mod set;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tfjet_bundle::{Bundle, BundleError, BundleWriter, SectionKind, replace_file};

pub use entry::EngineEntry;
pub use error::{EngineCacheError, EngineSetError, NotPrepared};
pub use key::{EngineKey, MachineKey, NetworkHash};
pub use lock::EngineLock;
pub use precision::{bundle_precision, segment_numbers};
pub use set::{EngineOrigin, EngineSet};

/// A folder of built engines, one small bundle for each, named by its [`EngineKey`]; records of
/// what was prepared for which bundle, and of builds that failed; and TensorRT's timing caches.
///
/// Every file is written whole or not at all, and checked by its hash before its contents are
/// used. Processes may share a folder; an [`EngineLock`] keeps them from building one engine twice.
#[derive(Debug, Clone)]
pub struct EngineCache {
    dir: PathBuf,
}

/// Bytes that must fit for a folder to count as writable.
const PROBE: usize = 64 << 10;

impl EngineCache {
    /// The cache in `dir`, for writing: makes the folder, and tries whether it takes a file.
    ///
    /// # Errors
    /// [`EngineCacheError::Unwritable`] where it does not, because of its permissions or because
    /// the file system is full.
    pub fn open(dir: &Path) -> Result<Self, EngineCacheError> {
        let unwritable = |source| EngineCacheError::Unwritable {
            dir: dir.into(),
            source,
        };
        fs::create_dir_all(dir).map_err(unwritable)?;
        let probe = dir.join(format!(".probe-{}", std::process::id()));
        let probed = replace_file(&probe, |file| file.write_all(&[0; PROBE]));
        // Another process of the same number, in a container, may have removed it.
        let removed = match fs::remove_file(&probe) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        probed.and(removed).map_err(unwritable)?;
        Ok(Self { dir: dir.into() })
    }

    /// The cache in `dir`, for reading. A folder that is not there is an empty cache.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the engine of `key` lies, or would lie.
    pub fn path(&self, key: &EngineKey) -> PathBuf {
        self.dir.join(format!("{key}.jet"))
    }

    /// The engine of `key`; `None` where it was not built.
    ///
    /// # Errors
    /// [`EngineCacheError`] naming the file where it is damaged or holds another engine. The
    /// library is never to see such bytes: build the engine again.
    pub fn get(&self, key: &EngineKey) -> Result<Option<EngineEntry>, EngineCacheError> {
        let path = self.path(key);
        match self.read(&path)? {
            Some(bundle) => EngineEntry::check(path, bundle, key).map(Some),
            None => Ok(None),
        }
    }

    /// Keeps an engine under its header's key, in place of what is there, and forgets that its build
    /// failed before.
    ///
    /// # Errors
    /// [`EngineCacheError`] naming the file that cannot be written; it then holds what it held.
    pub fn put(
        &self,
        header: &tfjet_bundle::EngineHeader,
        engine: &[u8],
    ) -> Result<(), EngineCacheError> {
        let key = EngineKey(header.key);
        let path = self.path(&key);
        let mut writer = BundleWriter::new();
        writer
            .set_engine(header, 0, engine)
            .and_then(|()| writer.write(&path))
            .map_err(|source| EngineCacheError::Write { path, source })?;
        self.clear_failure(&key);
        Ok(())
    }

    /// The timing cache of `target`, as [`tfjet_bundle::timing_target`] names it; `None` where
    /// there is none.
    ///
    /// # Errors
    /// [`EngineCacheError`] naming the file where it is damaged.
    pub fn timing_cache(&self, target: &str) -> Result<Option<Vec<u8>>, EngineCacheError> {
        let path = self.timing_path(target);
        let Some(bundle) = self.read(&path)? else {
            return Ok(None);
        };
        let section = bundle.section(SectionKind::TimingCache, target, 0);
        let bytes = section.map_err(|source| EngineCacheError::Damaged { path, source })?;
        Ok(Some(bytes.to_vec()))
    }

    /// Keeps a timing cache, in place of the one that is there.
    ///
    /// # Errors
    /// [`EngineCacheError`] naming the file that cannot be written.
    pub fn put_timing_cache(&self, target: &str, bytes: &[u8]) -> Result<(), EngineCacheError> {
        let path = self.timing_path(target);
        let mut writer = BundleWriter::new();
        writer
            .add(SectionKind::TimingCache, target, 0, bytes.to_vec())
            .and_then(|()| writer.write(&path))
            .map_err(|source| EngineCacheError::Write { path, source })
    }

    /// Bytes of all its files; 0 where the folder is not there.
    pub fn len_bytes(&self) -> u64 {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return 0;
        };
        let sizes = entries.filter_map(|entry| entry.ok()?.metadata().ok());
        sizes.filter(|it| it.is_file()).map(|it| it.len()).sum()
    }

    fn timing_path(&self, target: &str) -> PathBuf {
        self.dir.join(format!("timing-{target}.jet"))
    }

    /// The bundle at `path`; `None` where there is no file.
    fn read(&self, path: &Path) -> Result<Option<Arc<Bundle>>, EngineCacheError> {
        match Bundle::open(path) {
            Ok(bundle) => Ok(Some(Arc::new(bundle))),
            Err(BundleError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            Err(source) => Err(EngineCacheError::Damaged {
                path: path.into(),
                source,
            }),
        }
    }
}
