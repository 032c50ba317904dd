use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;

use super::error::ImportProblem;
use super::weights::{Weight, WeightSpec};

/// Weights that lie one behind the other in the concatenated shards.
#[derive(Deserialize)]
pub(super) struct WeightsGroup {
    paths: Vec<String>,
    weights: Vec<WeightSpec>,
}

/// The weights of a manifest, by name.
#[derive(Debug, Default)]
pub(super) struct Weights {
    by_name: HashMap<String, Weight>,
    in_order: Vec<String>,
}

impl Weights {
    /// Reads all shards; the manifest's paths are relative to `directory`.
    pub(super) fn read(
        manifest: Vec<WeightsGroup>,
        directory: &Path,
    ) -> Result<Self, ImportProblem> {
        let mut weights = Self::default();
        for group in manifest {
            let mut rest = read_group(&group, directory)?;
            let found = rest.len();
            for spec in group.weights {
                let name = spec.name.clone();
                let weight =
                    Weight::take(spec, &mut rest).map_err(|problem| ImportProblem::Weight {
                        weight: name.clone(),
                        problem,
                    })?;
                if weights.by_name.insert(name.clone(), weight).is_some() {
                    return Err(ImportProblem::DuplicateWeight(name));
                }
                weights.in_order.push(name);
            }
            if !rest.is_empty() {
                return Err(ImportProblem::ShardLength {
                    shards: shard_names(&group.paths),
                    expected: len(found - rest.len()),
                    found: len(found),
                });
            }
        }
        Ok(weights)
    }

    /// Takes a weight out.
    pub(super) fn remove(&mut self, name: &str) -> Option<Weight> {
        self.by_name.remove(name)
    }

    /// The first weight that was not taken out.
    pub(super) fn first_left(mut self) -> Option<String> {
        let position = self
            .in_order
            .iter()
            .position(|name| self.by_name.contains_key(name))?;
        Some(self.in_order.swap_remove(position))
    }
}

/// The shards of a group behind one another, after a check that they have the length that the
/// weights need.
fn read_group(group: &WeightsGroup, directory: &Path) -> Result<Bytes, ImportProblem> {
    let in_shard = |shard: &String, cause| ImportProblem::Shard {
        shard: shard.clone(),
        cause,
    };
    let mut shards: Vec<(&String, PathBuf)> = Vec::with_capacity(group.paths.len());
    let mut found = 0u64;
    for shard in &group.paths {
        let path = shard_path(shard, directory)?;
        let metadata = fs::metadata(&path).map_err(|cause| in_shard(shard, cause))?;
        if !metadata.is_file() {
            return Err(in_shard(shard, io::Error::other("not a regular file")));
        }
        found = found.saturating_add(metadata.len());
        shards.push((shard, path));
    }
    let (expected, is_exact) = group_length(group)?;
    if found < expected || (is_exact && found > expected) {
        return Err(ImportProblem::ShardLength {
            shards: shard_names(&group.paths),
            expected,
            found,
        });
    }
    let mut contents = Vec::new();
    usize::try_from(found)
        .ok()
        .and_then(|length| contents.try_reserve_exact(length).ok())
        .ok_or_else(|| ImportProblem::Io(ErrorKind::OutOfMemory.into()))?;
    for (shard, path) in shards {
        let left = found.saturating_sub(len(contents.len()));
        File::open(path)
            .and_then(|file| file.take(left).read_to_end(&mut contents))
            .map_err(|cause| in_shard(shard, cause))?;
    }
    Ok(Bytes::from(contents))
}

/// Bytes of all weights but strings, and whether there are no strings.
fn group_length(group: &WeightsGroup) -> Result<(u64, bool), ImportProblem> {
    let mut length = 0u64;
    let mut is_exact = true;
    for spec in &group.weights {
        let stored = spec
            .stored_bytes()
            .map_err(|problem| ImportProblem::Weight {
                weight: spec.name.clone(),
                problem,
            })?;
        match stored {
            Some(bytes) => length = length.saturating_add(len(bytes)),
            None => is_exact = false,
        }
    }
    Ok((length, is_exact))
}

fn shard_path(shard: &str, directory: &Path) -> Result<PathBuf, ImportProblem> {
    let mut components = Path::new(shard).components();
    let is_below = components.all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if shard.is_empty() || !is_below {
        return Err(ImportProblem::ShardPath(shard.to_owned()));
    }
    Ok(directory.join(shard))
}

fn shard_names(paths: &[String]) -> String {
    match paths {
        [] => "group without shards".into(),
        [shard] => format!("shard `{shard}`"),
        [first, .., last] => format!("shards `{first}` to `{last}`"),
    }
}

fn len(bytes: usize) -> u64 {
    bytes.try_into().unwrap_or(u64::MAX)
}
