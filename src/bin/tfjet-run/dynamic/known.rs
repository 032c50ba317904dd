//! For which shapes the cache has engines: a file beside them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tfjet::bundle::replace_file;
use tfjet::runtime::{EngineKey, ShapeKey};

use crate::build::EngineBuilder;

/// Most shapes that are listed; the oldest go.
const MOST: usize = 1024;
/// Longest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// The shapes that engines were built for, oldest first. The list may name engines that are gone,
/// and lack some that are there, which are then found for their very shapes only.
pub(super) struct KnownShapes {
    key: EngineKey,
    path: PathBuf,
    list: Vec<ShapeKey>,
}

impl KnownShapes {
    /// Those of a builder's networks, machine, precision and flags.
    pub(super) fn of(builder: &EngineBuilder) -> Self {
        let key = builder.common_key();
        let path = builder.cache().path(&key).with_extension("shapes");
        let list = read(&path);
        Self { key, path, list }
    }

    pub(super) fn list(&self) -> &[ShapeKey] {
        &self.list
    }

    /// Takes shapes off the list of this process, whose engines are not there.
    pub(super) fn remove(&mut self, shapes: &ShapeKey) {
        self.list.retain(|known| known != shapes);
    }

    /// Adds shapes to the list and to the file.
    pub(super) fn add(&mut self, builder: &EngineBuilder, shapes: &ShapeKey) {
        if self.list.contains(shapes) {
            return;
        }
        // Where another process writes it now, this one's shapes are added by a later start.
        let lock = builder.cache().try_lock(&self.key);
        let list = read(&self.path);
        let others: Vec<ShapeKey> = list.into_iter().filter(|it| it != shapes).collect();
        self.list.retain(|known| !others.contains(known));
        self.list.splice(..0, others);
        self.list.push(shapes.clone());
        let excess = self.list.len().saturating_sub(MOST);
        self.list.drain(..excess);
        if matches!(lock, Ok(Some(_)))
            && let Err(error) = write(&self.path, &self.list)
        {
            tracing::warn!("{}: {error}", self.path.display());
        }
    }
}

fn write(path: &Path, list: &[ShapeKey]) -> std::io::Result<()> {
    let shapes: Vec<&Vec<Vec<usize>>> = list.iter().map(|shapes| &shapes.0).collect();
    let text = serde_json::to_string(&shapes)?;
    replace_file(path, |file| file.write_all(text.as_bytes()))
}

fn read(path: &Path) -> Vec<ShapeKey> {
    let is_small = fs::metadata(path).is_ok_and(|it| it.len() <= MAX_FILE);
    let text = is_small.then(|| fs::read(path).ok()).flatten();
    let shapes: Option<Vec<Vec<Vec<usize>>>> =
        text.and_then(|text| serde_json::from_slice(&text).ok());
    shapes.into_iter().flatten().map(ShapeKey).collect()
}
