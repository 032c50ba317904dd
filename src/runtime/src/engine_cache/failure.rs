//! Builds that failed: a text file for each key, with the reason and the time.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tfjet_bundle::{BundleError, replace_file};

use super::{EngineCache, EngineCacheError, EngineKey};
use crate::BuildFailure;

const TITLE: &str = "tfjet failed build, version 1";
/// Longest reason that is kept, in bytes.
const MAX_REASON: usize = 4096;
/// Longest file that is read.
const MAX_FILE: u64 = 8192;

impl EngineCache {
    /// The failed build of `key`, where it failed less than `retry_after` ago. A record that is
    /// damaged, or of another key, counts as none: the build is then tried again.
    pub fn failure(&self, key: &EngineKey, retry_after: Duration) -> Option<BuildFailure> {
        let mut bytes = Vec::new();
        let file = File::open(self.failure_path(key)).ok()?;
        file.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
        let failure = parse(&bytes, key)?;
        failure.remaining(retry_after)?;
        Some(failure)
    }

    /// Remembers that the build of `key` failed, in place of what was remembered before. Of the
    /// reason the first 4096 bytes are kept, on one line. [`EngineCache::put`] removes the record.
    ///
    /// # Errors
    /// [`EngineCacheError`] naming the file that cannot be written.
    pub fn set_failure(
        &self,
        key: &EngineKey,
        failure: &BuildFailure,
    ) -> Result<(), EngineCacheError> {
        let path = self.failure_path(key);
        let at = failure.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let reason = one_line(&failure.reason);
        let body = format!("{TITLE}\n{key}\n{}\n{reason}\n", at.as_millis());
        let text = format!("{body}{}\n", blake3::hash(body.as_bytes()).to_hex());
        replace_file(&path, |file| file.write_all(text.as_bytes())).map_err(|source: io::Error| {
            EngineCacheError::Write {
                source: BundleError::Io {
                    file: path.display().to_string(),
                    action: "write",
                    source,
                },
                path,
            }
        })
    }

    /// Forgets a failed build of `key`, so that the next one is tried at once.
    pub fn clear_failure(&self, key: &EngineKey) {
        // Mostly there is none, and one that stays expires.
        let _ = fs::remove_file(self.failure_path(key));
    }

    fn failure_path(&self, key: &EngineKey) -> PathBuf {
        self.dir().join(format!("{key}.failed"))
    }
}

fn one_line(reason: &str) -> String {
    let end = reason.floor_char_boundary(MAX_REASON);
    let shown = reason[..end].chars();
    shown
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

fn parse(bytes: &[u8], key: &EngineKey) -> Option<BuildFailure> {
    let text = std::str::from_utf8(bytes).ok()?;
    let end = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let (body, hash) = text.split_at_checked(end)?;
    if hash.strip_suffix('\n')? != blake3::hash(body.as_bytes()).to_hex().as_str() {
        return None;
    }
    let mut lines = body.lines();
    if lines.next()? != TITLE || lines.next()? != key.to_string() {
        return None;
    }
    let at = Duration::from_millis(lines.next()?.parse().ok()?);
    let reason = lines.next()?.to_owned();
    Some(BuildFailure {
        reason,
        at: SystemTime::UNIX_EPOCH.checked_add(at)?,
    })
}
