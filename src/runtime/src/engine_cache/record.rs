//! Which engines were last prepared for a bundle: a text file of their keys.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use tfjet_bundle::replace_file;

use super::key::Fields;
use super::{EngineCache, EngineCacheError, EngineKey, NetworkHash};

const TITLE: &str = "tfjet prepared engines, version 1";

impl EngineCache {
    /// The keys of the engines that were last prepared for the segments of these hashes and a
    /// target as [`tfjet_bundle::EngineHeader::target`] names it; `None` where none were.
    ///
    /// # Errors
    /// [`EngineCacheError`] naming the file where it cannot be read or is damaged.
    pub fn prepared(
        &self,
        networks: &[NetworkHash],
        target: &str,
    ) -> Result<Option<Vec<EngineKey>>, EngineCacheError> {
        let path = self.record_path(networks, target);
        let most = (networks.len() as u64 + 2) * 128;
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(most).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(EngineCacheError::Read { path, source }),
        }
        match parse(&bytes).filter(|keys| keys.len() == networks.len()) {
            Some(keys) => Ok(Some(keys)),
            None => Err(EngineCacheError::Record { path }),
        }
    }

    /// Notes which engines are prepared, in place of what was noted before. `keys` has one for
    /// each of `networks`.
    ///
    /// # Errors
    /// [`EngineCacheError`] naming the file that cannot be written.
    pub fn set_prepared(
        &self,
        networks: &[NetworkHash],
        target: &str,
        keys: &[EngineKey],
    ) -> Result<(), EngineCacheError> {
        let path = self.record_path(networks, target);
        let lines: String = keys.iter().map(|key| format!("{key}\n")).collect();
        let body = format!("{TITLE}\n{lines}");
        let text = format!("{body}{}\n", blake3::hash(body.as_bytes()).to_hex());
        replace_file(&path, |file| file.write_all(text.as_bytes())).map_err(|source: io::Error| {
            EngineCacheError::Write {
                source: tfjet_bundle::BundleError::Io {
                    file: path.display().to_string(),
                    action: "write",
                    source,
                },
                path,
            }
        })
    }

    fn record_path(&self, networks: &[NetworkHash], target: &str) -> PathBuf {
        let mut hash = Fields::new();
        hash.bytes(target.as_bytes());
        networks.iter().for_each(|network| hash.bytes(&network.0));
        let name = EngineKey(hash.finish());
        self.dir().join(format!("{name}.prepared"))
    }
}

fn parse(bytes: &[u8]) -> Option<Vec<EngineKey>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let end = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let (body, hash) = text.split_at_checked(end)?;
    if hash.strip_suffix('\n')? != blake3::hash(body.as_bytes()).to_hex().as_str() {
        return None;
    }
    let mut lines = body.lines();
    if lines.next()? != TITLE {
        return None;
    }
    lines
        .map(|line| Some(EngineKey(blake3::Hash::from_hex(line).ok()?.into())))
        .collect()
}
