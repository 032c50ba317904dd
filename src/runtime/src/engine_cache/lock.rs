//! One process at a time builds an engine.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{EngineCache, EngineCacheError, EngineKey};

/// How often a lock that another process has is tried for.
const PAUSE: Duration = Duration::from_millis(50);

/// The right to build the engine of a key, which no other process has at the same time. It ends
/// when this is dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct EngineLock {
    path: PathBuf,
    /// None where the file system has no locks.
    file: Option<File>,
}

impl EngineCache {
    /// The right to build the engine of `key`, or `None` where it is taken. Look whether the engine
    /// is there once you have it: the one who had it before may have built it.
    ///
    /// On a file system without locks everybody gets it. Engines are written whole or not at all in
    /// any case; they are then only built more than once.
    ///
    /// # Errors
    /// [`EngineCacheError::Lock`] naming the file that cannot be made or locked.
    pub fn try_lock(&self, key: &EngineKey) -> Result<Option<EngineLock>, EngineCacheError> {
        let path = self.dir().join(format!("{key}.lock"));
        match acquire(&path) {
            Ok(Some(file)) => Ok(Some(EngineLock { path, file })),
            Ok(None) => Ok(None),
            Err(source) => Err(EngineCacheError::Lock { path, source }),
        }
    }

    /// As [`EngineCache::try_lock`], but waits for the right until `gives_up` says true, which is
    /// asked every 50 ms; `None` after that.
    ///
    /// # Errors
    /// As [`EngineCache::try_lock`].
    pub fn lock(
        &self,
        key: &EngineKey,
        mut gives_up: impl FnMut() -> bool,
    ) -> Result<Option<EngineLock>, EngineCacheError> {
        loop {
            if let Some(lock) = self.try_lock(key)? {
                return Ok(Some(lock));
            }
            if gives_up() {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }
}

/// The locked file; `None` where another one has it, and `Some(None)` where there are no locks.
fn acquire(path: &Path) -> io::Result<Option<Option<File>>> {
    loop {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path)? => return Ok(Some(Some(file))),
            // The one who had it removed the file before this one was locked.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                return Ok(Some(None));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Is `file` still what lies at `path`?
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((own.dev(), own.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Drop for EngineLock {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Before it is unlocked: afterwards it may be another's. A file that stays does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_or_replaced_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        let other = File::create(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        assert!(is_at(&other, &path).unwrap());
    }
}
