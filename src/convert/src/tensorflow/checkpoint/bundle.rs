//! TensorFlow's bundle format: an index (`PREFIX.index`), and the values of all variables behind
//! one another in shards (`PREFIX.data-00000-of-00001`).
//!
//! A value is read when it is asked for, after a check that the shards hold as many bytes as it
//! needs, and its checksum is compared.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;
use tfjet_core::AttrValue;

use super::slices::{self, Slice};
use super::{CheckpointProblem, MAX_READS, cannot_read, file_name, fixed_shape, missing, open};
use super::{object_graph, read, table, values, with_suffix};
use crate::tensorflow::proto::{BundleEntryProto, BundleHeaderProto};

/// Largest index that is read.
const MAX_INDEX_BYTES: u64 = 1 << 30;

/// A checkpoint whose index has been read.
#[derive(Debug)]
pub(in crate::tensorflow) struct Bundle {
    prefix: PathBuf,
    shards: Vec<Option<Shard>>,
    entries: BTreeMap<Vec<u8>, Bytes>,
    /// Bytes that may still be read; unknown until the first shard is opened.
    bytes_left: Option<u64>,
    keys_by_full_name: Option<HashMap<String, String>>,
}

#[derive(Debug)]
struct Shard {
    name: String,
    file: File,
    bytes: u64,
}

impl Bundle {
    /// The file that a checkpoint of this prefix has in any case.
    pub(super) fn index_path(prefix: &Path) -> PathBuf {
        with_suffix(prefix, ".index")
    }

    /// Reads the index of `prefix`.
    pub(super) fn open(prefix: &Path) -> Result<Self, CheckpointProblem> {
        let path = Self::index_path(prefix);
        let (file, bytes) = open(&path)?;
        if bytes > MAX_INDEX_BYTES {
            return Err(CheckpointProblem::Unsupported {
                file: file_name(&path),
                what: format!("an index of {bytes} bytes"),
            });
        }
        let index = read(file, MAX_INDEX_BYTES).map_err(cannot_read(&path))?;
        Self::parse(prefix, &index)
    }

    fn parse(prefix: &Path, index: &Bytes) -> Result<Self, CheckpointProblem> {
        let file = file_name(&Self::index_path(prefix));
        let damaged = |what: String| CheckpointProblem::Damaged {
            file: file.clone(),
            what,
        };
        let unsupported = |what: String| CheckpointProblem::Unsupported {
            file: file.clone(),
            what,
        };
        let mut entries: BTreeMap<Vec<u8>, Bytes> = table::entries(index)
            .map_err(damaged)?
            .into_iter()
            .collect();
        let header = entries
            .remove(&[][..])
            .and_then(|header| BundleHeaderProto::decode(header).ok())
            .ok_or_else(|| damaged("no header".into()))?;
        if header.endianness != 0 {
            return Err(unsupported("a checkpoint of a big-endian machine".into()));
        }
        if let Some(version) = &header.version
            && version.min_consumer > 1
        {
            let version = version.min_consumer;
            return Err(unsupported(format!("version {version} of the format")));
        }
        let shards = usize::try_from(header.num_shards).unwrap_or(0);
        // A shard holds one variable at least.
        if shards == 0 || shards > entries.len().max(1) {
            return Err(damaged(format!("{} shards", header.num_shards)));
        }
        Ok(Self {
            prefix: prefix.to_path_buf(),
            shards: (0..shards).map(|_| None).collect(),
            entries,
            bytes_left: None,
            keys_by_full_name: None,
        })
    }

    /// Is there a variable of this name?
    pub(super) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name.as_bytes())
    }

    /// The error for a variable that is not there.
    pub(super) fn missing(&self, name: &str) -> CheckpointProblem {
        let names = self
            .entries
            .keys()
            .filter_map(|key| std::str::from_utf8(key).ok())
            .filter(|key| !key.starts_with(['\0', '_']));
        missing(&self.prefix, name, names)
    }

    /// The key of the variable that the object graph of a TensorFlow 2 checkpoint calls
    /// `full_name`, where one alone is called so.
    pub(super) fn key_of_full_name(&mut self, full_name: &str) -> Option<&str> {
        if self.keys_by_full_name.is_none() {
            let graph = match self.contains(object_graph::KEY) {
                true => self.value(object_graph::KEY, None).ok(),
                false => None,
            };
            self.keys_by_full_name = Some(object_graph::keys_by_full_name(graph));
        }
        let keys = self.keys_by_full_name.as_ref()?;
        keys.get(full_name).map(String::as_str)
    }

    /// The value of variable `name`, or of a part of it.
    pub(super) fn value(
        &mut self,
        name: &str,
        part: Option<&Slice>,
    ) -> Result<AttrValue, CheckpointProblem> {
        let Some(entry) = self.entry(name.as_bytes()) else {
            return Err(self.missing(name));
        };
        let in_variable = |what: String| CheckpointProblem::Variable {
            name: name.into(),
            what,
        };
        let entry = entry.map_err(in_variable)?;
        let shape = fixed_shape(entry.shape.as_ref()).map_err(in_variable)?;
        let whole = Slice::whole(&shape);
        let part = part.unwrap_or(&whole);
        part.check_within(&shape).map_err(in_variable)?;
        if values::is_string(entry.dtype) {
            if *part != whole || !entry.slices.is_empty() {
                return Err(in_variable("strings in parts are not supported".into()));
            }
            let stored = self.stored(name, &entry)?;
            let values = values::strings(&stored, &shape, entry.crc32c).map_err(in_variable)?;
            return Ok(AttrValue::StringTensor(shape, values));
        }
        let dtype = values::dtype(entry.dtype).map_err(in_variable)?;
        let element = dtype.size_bytes();
        if entry.slices.is_empty() {
            let stored = self.numbers(name, &entry, &whole, element)?;
            if *part == whole {
                return values::tensor(dtype, &shape, &stored).map_err(in_variable);
            }
            return slices::assemble(&[(&whole, &stored)], part, element)
                .and_then(|bytes| values::tensor(dtype, &part.shape, &bytes))
                .map_err(in_variable);
        }
        let mut parts = Vec::with_capacity(entry.slices.len());
        let mut covered = 0usize;
        for proto in &entry.slices {
            let slice = Slice::of(proto, &shape)
                .ok_or_else(|| in_variable(format!("a part outside its shape {shape:?}")))?;
            let stored = self
                .entry(&slices::key(name, proto))
                .ok_or_else(|| in_variable(format!("the part {:?} is missing", slice.shape)))?
                .map_err(in_variable)?;
            covered = covered.saturating_add(slice.elements().unwrap_or(usize::MAX));
            if slice.common(part).is_some() {
                let bytes = self.numbers(name, &stored, &slice, element)?;
                parts.push((slice, bytes));
            }
        }
        if whole.elements() != Some(covered) {
            return Err(in_variable("its parts do not cover it".into()));
        }
        let parts: Vec<(&Slice, &[u8])> = parts
            .iter()
            .map(|(slice, bytes)| (slice, bytes.as_slice()))
            .collect();
        slices::assemble(&parts, part, element)
            .and_then(|bytes| values::tensor(dtype, &part.shape, &bytes))
            .map_err(in_variable)
    }

    fn entry(&self, key: &[u8]) -> Option<Result<BundleEntryProto, String>> {
        let bytes = self.entries.get(key)?.clone();
        Some(BundleEntryProto::decode(bytes).map_err(|_| "its entry is damaged".into()))
    }

    /// The bytes of `slice`, which is all that `entry` stores.
    fn numbers(
        &mut self,
        name: &str,
        entry: &BundleEntryProto,
        slice: &Slice,
        element: usize,
    ) -> Result<Vec<u8>, CheckpointProblem> {
        let in_variable = |what: String| CheckpointProblem::Variable {
            name: name.into(),
            what,
        };
        let needed = slice
            .elements()
            .and_then(|elements| elements.checked_mul(element));
        if needed.is_none() || needed != usize::try_from(entry.size).ok() {
            return Err(in_variable(format!(
                "{} bytes are stored for shape {:?}",
                entry.size, slice.shape
            )));
        }
        let stored = self.stored(name, entry)?;
        if table::mask(crc32c::crc32c(&stored)) != entry.crc32c {
            return Err(in_variable("wrong checksum; the file is damaged".into()));
        }
        Ok(stored)
    }

    /// What lies in the shard for `entry`.
    fn stored(
        &mut self,
        name: &str,
        entry: &BundleEntryProto,
    ) -> Result<Vec<u8>, CheckpointProblem> {
        let in_variable = |what: String| CheckpointProblem::Variable {
            name: name.into(),
            what,
        };
        let size = u64::try_from(entry.size).unwrap_or(u64::MAX);
        let offset = u64::try_from(entry.offset).unwrap_or(u64::MAX);
        let index = usize::try_from(entry.shard_id).unwrap_or(usize::MAX);
        let count = self.shards.len();
        let shard = self
            .shard(index)?
            .ok_or_else(|| in_variable(format!("shard {} of {count}", entry.shard_id)))?;
        let bytes = shard.bytes;
        if offset.checked_add(size).is_none_or(|end| end > bytes) {
            return Err(in_variable(format!(
                "{size} bytes at offset {offset} of `{}`, which has {bytes}; is it cut off?",
                shard.name
            )));
        }
        let mut stored = Vec::new();
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let name = shard.name.clone();
        let read = stored
            .try_reserve_exact(length)
            .map_err(|_| io::ErrorKind::OutOfMemory.into())
            .and_then(|()| shard.file.seek(SeekFrom::Start(offset)))
            .and_then(|_| (&shard.file).take(size).read_to_end(&mut stored));
        match read {
            Ok(read) if read == length => {}
            Ok(_) => return Err(in_variable(format!("`{name}` was cut off meanwhile"))),
            Err(cause) => return Err(CheckpointProblem::Io { file: name, cause }),
        }
        let left = self.bytes_left.unwrap_or(0).checked_sub(size);
        self.bytes_left = Some(left.ok_or_else(|| {
            in_variable("variables share more bytes than a checkpoint may have".into())
        })?);
        Ok(stored)
    }

    /// A shard, opened; `None` where there are not as many.
    fn shard(&mut self, index: usize) -> Result<Option<&mut Shard>, CheckpointProblem> {
        if self.bytes_left.is_none() {
            let lengths = (0..self.shards.len()).map(|index| fs::metadata(self.shard_path(index)));
            let all: u64 = lengths.flatten().map(|metadata| metadata.len()).sum();
            self.bytes_left = Some(all.saturating_mul(MAX_READS));
        }
        let path = self.shard_path(index);
        let Some(slot) = self.shards.get_mut(index) else {
            return Ok(None);
        };
        if slot.is_none() {
            let (file, bytes) = open(&path)?;
            let name = file_name(&path);
            *slot = Some(Shard { name, file, bytes });
        }
        Ok(slot.as_mut())
    }

    fn shard_path(&self, index: usize) -> PathBuf {
        let suffix = format!(".data-{index:05}-of-{:05}", self.shards.len());
        with_suffix(&self.prefix, &suffix)
    }
}

#[cfg(test)]
mod tests;
