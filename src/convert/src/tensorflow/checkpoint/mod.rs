//! Checkpoints: the values of variables in files, in TensorFlow's bundle format and in the format
//! before it (V1).
//!
//! Does not: know a graph.

mod bundle;
mod error;
mod object_graph;
mod slice_key;
mod slices;
mod table;
mod tensor_slices;
mod values;
#[cfg(test)]
pub(crate) mod write;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tfjet_core::{AttrValue, Dim, Shape};

use bundle::Bundle;
pub use error::CheckpointProblem;
pub(super) use slices::Slice;
use tensor_slices::TensorSlices;

use super::attr::shape;
use super::proto::TensorShapeProto;
use crate::near::near_text;

/// How often the bytes of a checkpoint may be read altogether: variables may share them.
const MAX_READS: u64 = 4;

/// An opened checkpoint.
#[derive(Debug)]
pub(super) enum Checkpoint {
    Bundle(Bundle),
    TensorSlices(TensorSlices),
}

impl Checkpoint {
    /// Are there files of a checkpoint with this prefix?
    pub(super) fn is_there(prefix: &Path) -> bool {
        let has_slices = || tensor_slices::files(prefix).map_or(true, |files| !files.is_empty());
        Bundle::index_path(prefix).exists() || has_slices()
    }

    /// Opens the checkpoint `prefix`. Where there are files of both formats, the bundle counts.
    pub(super) fn open(prefix: &Path) -> Result<Self, CheckpointProblem> {
        if !Bundle::index_path(prefix).exists() {
            let files = tensor_slices::files(prefix)?;
            if !files.is_empty() {
                return TensorSlices::open(prefix, &files).map(Self::TensorSlices);
            }
        }
        Bundle::open(prefix).map(Self::Bundle)
    }

    /// Is there a variable of this name?
    pub(super) fn contains(&self, name: &str) -> bool {
        match self {
            Self::Bundle(bundle) => bundle.contains(name),
            Self::TensorSlices(slices) => slices.contains(name),
        }
    }

    /// The key of the variable that the object graph of a TensorFlow 2 checkpoint calls
    /// `full_name`, where one alone is called so.
    pub(super) fn key_of_full_name(&mut self, full_name: &str) -> Option<&str> {
        match self {
            Self::Bundle(bundle) => bundle.key_of_full_name(full_name),
            Self::TensorSlices(_) => None,
        }
    }

    /// The value of variable `name`, or of a part of it.
    pub(super) fn value(
        &mut self,
        name: &str,
        part: Option<&Slice>,
    ) -> Result<AttrValue, CheckpointProblem> {
        match self {
            Self::Bundle(bundle) => bundle.value(name, part),
            Self::TensorSlices(slices) => slices.value(name, part),
        }
    }
}

/// Is it a file that holds variables: the index of a bundle, or a checkpoint of the old format?
pub(super) fn is_table(path: &Path) -> bool {
    let read = || {
        let (mut file, _) = open(path).ok()?;
        let mut magic = [0; size_of::<u64>()];
        file.seek(SeekFrom::End(-8)).ok()?;
        file.read_exact(&mut magic).ok()?;
        Some(u64::from_le_bytes(magic) == table::MAGIC)
    };
    read().unwrap_or(false)
}

/// `prefix` with `suffix` at its end.
fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(prefix);
    path.push(suffix);
    path.into()
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn cannot_read(path: &Path) -> impl Fn(io::Error) -> CheckpointProblem + '_ {
    |cause| CheckpointProblem::Io {
        file: file_name(path),
        cause,
    }
}

/// Opens a regular file; its length is the second part.
fn open(path: &Path) -> Result<(File, u64), CheckpointProblem> {
    let metadata = fs::metadata(path).map_err(cannot_read(path))?;
    if !metadata.is_file() {
        return Err(cannot_read(path)(io::Error::other("not a regular file")));
    }
    let file = File::open(path).map_err(cannot_read(path))?;
    Ok((file, metadata.len()))
}

/// At most `limit` bytes of `file`.
fn read(file: File, limit: u64) -> io::Result<Bytes> {
    let mut contents = Vec::new();
    let length = file.metadata()?.len().min(limit);
    contents
        .try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))
        .map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.take(limit).read_to_end(&mut contents)?;
    Ok(contents.into())
}

/// The error for a variable that is none of `names`.
fn missing<'a>(
    prefix: &Path,
    name: &str,
    names: impl Iterator<Item = &'a str>,
) -> CheckpointProblem {
    CheckpointProblem::Missing {
        file: file_name(prefix),
        name: name.into(),
        near: near_text(name, names),
    }
}

fn fixed_shape(proto: Option<&TensorShapeProto>) -> Result<Vec<usize>, String> {
    let stored =
        shape(proto.cloned().unwrap_or_default()).map_err(|problem| format!("has {problem}"))?;
    stored
        .and_then(|Shape(dims)| dims.iter().map(Dim::fixed).collect())
        .ok_or_else(|| "its shape is not known".into())
}
