use std::path::{Path, PathBuf};
use std::sync::Arc;

use tfjet_bundle::{Bundle, EngineHeader};

use super::{EngineCacheError, EngineKey};

/// An engine of the cache whose hash and key are right. Its bytes stay mapped as long as it lives.
#[derive(Debug, Clone)]
pub struct EngineEntry {
    path: PathBuf,
    header: EngineHeader,
    bundle: Arc<Bundle>,
    target: String,
}

impl EngineEntry {
    pub(super) fn check(
        path: PathBuf,
        bundle: Arc<Bundle>,
        key: &EngineKey,
    ) -> Result<Self, EngineCacheError> {
        let mut ids = bundle.engine_ids();
        let (target, count) = match (ids.next(), bundle.sections().len()) {
            (Some(id), 1) if id.index == 0 => (id.target.clone(), 1),
            (_, count) => (String::new(), count),
        };
        if target.is_empty() {
            return Err(EngineCacheError::NoEngine {
                path,
                sections: count,
            });
        }
        drop(ids);
        let header = match bundle.engine(&target, 0) {
            Ok((header, _)) => header,
            Err(source) => return Err(EngineCacheError::Damaged { path, source }),
        };
        let found = EngineKey(header.key);
        if found != *key {
            return Err(EngineCacheError::Key {
                path,
                expected: *key,
                found,
            });
        }
        Ok(Self {
            path,
            header,
            bundle,
            target,
        })
    }

    /// What it was built from, by and for.
    pub fn header(&self) -> &EngineHeader {
        &self.header
    }

    /// The serialized engine.
    pub fn bytes(&self) -> &[u8] {
        let engine = self.bundle.engine(&self.target, 0);
        engine.map_or(&[], |(_, bytes)| bytes)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
