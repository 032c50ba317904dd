//! Where building processes write.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

/// A folder for what the building processes write, inside the cache so that both are on one file
/// system. It goes when it is dropped; after a process that was killed the next one removes it.
#[derive(Debug)]
pub(crate) struct Workplace {
    path: PathBuf,
    /// Locked as long as its process lives.
    _lock: Option<File>,
}

const PREFIX: &str = ".building-";
const LOCK: &str = "lock";
/// Ending of a file that is not whole yet.
const UNFINISHED: &str = ".tmp";
/// No build takes so long.
const ABANDONED: Duration = Duration::from_secs(48 * 60 * 60);
/// After this a folder has its lock.
const SETTLED: Duration = Duration::from_secs(10);
/// No file is written for so long.
const WRITTEN: Duration = Duration::from_secs(60 * 60);

impl Workplace {
    /// Makes the folder, and removes what processes left behind that were killed. Containers that
    /// share a cache may have processes of the same number, hence the time in the name. A file
    /// system without locks leaves only the age to tell.
    pub(crate) fn new(cache: &Path) -> anyhow::Result<Self> {
        for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
            let (path, age) = (entry.path(), age(&entry));
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            if name.starts_with(PREFIX) {
                if age > ABANDONED || (age > SETTLED && is_left(&path)) {
                    let _ = fs::remove_dir_all(path);
                }
            } else if name.starts_with('.') && name.ends_with(UNFINISHED) && age > WRITTEN {
                let _ = fs::remove_file(path);
            }
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let name = format!("{PREFIX}{}-{}", std::process::id(), now.as_nanos());
        let path = cache.join(name);
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        let lock = File::create(path.join(LOCK)).ok();
        let _lock = lock.filter(|lock| lock.try_lock().is_ok());
        Ok(Self { path, _lock })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Is the process gone that made the folder?
fn is_left(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// How long ago an entry last changed; nothing where that cannot be told.
fn age(entry: &fs::DirEntry) -> Duration {
    let changed = entry.metadata().and_then(|metadata| metadata.modified());
    let age = changed.ok().and_then(|changed| changed.elapsed().ok());
    age.unwrap_or_default()
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_age(path: &Path, age: Duration) {
        let then = SystemTime::now() - age;
        File::open(path).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn a_folder_goes_with_its_owner() {
        let cache = tempfile::tempdir().unwrap();
        let workplace = Workplace::new(cache.path()).unwrap();
        fs::write(workplace.file("engine"), "part").unwrap();
        drop(workplace);
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_behind_is_removed() {
        let cache = tempfile::tempdir().unwrap();
        let folder = |name: &str, has_lock: bool, age: Duration| {
            let path = cache.path().join(name);
            fs::create_dir(&path).unwrap();
            if has_lock {
                fs::write(path.join(LOCK), "").unwrap();
            }
            set_age(&path, age);
            path
        };
        let file = |name: &str, age: Duration| {
            let path = cache.path().join(name);
            fs::write(&path, "part").unwrap();
            set_age(&path, age);
            path
        };
        let gone = [
            folder(".building-1-1", true, 2 * SETTLED),
            folder(".building-1-2", false, 2 * ABANDONED),
            file(".a.jet.1-0.tmp", 2 * WRITTEN),
        ];
        let kept = [
            folder(".building-1-3", true, Duration::ZERO),
            folder(".building-1-4", false, 2 * SETTLED),
            folder("other", true, 2 * ABANDONED),
            file(".a.jet.1-1.tmp", Duration::ZERO),
            file("a.jet", 2 * WRITTEN),
        ];
        let alive = Workplace::new(cache.path()).unwrap();
        set_age(&alive.path, 2 * SETTLED);
        let _second = Workplace::new(cache.path()).unwrap();
        assert!(alive.path.exists(), "a folder in use was removed");
        assert!(gone.iter().all(|path| !path.exists()), "{gone:?}");
        assert!(kept.iter().all(|path| path.exists()), "{kept:?}");
    }
}
