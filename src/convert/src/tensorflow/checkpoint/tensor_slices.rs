//! The format of checkpoints before the bundle (V1): one file, or shards
//! (`PREFIX-00000-of-00002`), each a table that lists its variables first and then holds their
//! parts as messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;
use tfjet_core::AttrValue;

use super::slices::{self, Slice};
use super::{CheckpointProblem, MAX_READS, cannot_read, file_name, fixed_shape, missing, open};
use super::{read, table, values};
use crate::tensorflow::proto::{
    SavedTensorSliceMeta, SavedTensorSlices, TensorProto, TensorShapeProto, TensorSliceProto,
    tensor_shape_proto,
};
use crate::tensorflow::tensor::{Constant, RepeatBudget, constant};

/// Bytes of all files together that are read.
const MAX_BYTES: u64 = 4 << 30;

/// Bytes that repeated values may fill. TensorFlow writes every value.
const MAX_REPEATED_BYTES: usize = 64 << 20;

/// Version of the format that is read.
const VERSION: i32 = 1;

/// A checkpoint whose files have been read.
#[derive(Debug)]
pub(in crate::tensorflow) struct TensorSlices {
    prefix: PathBuf,
    shards: Vec<Shard>,
    variables: BTreeMap<String, Variable>,
    /// Bytes of records that may still be decoded: parts may be asked for more than once.
    bytes_left: u64,
    repeats: RepeatBudget,
}

/// A file.
#[derive(Debug)]
struct Shard {
    name: String,
    /// In the order of their keys.
    records: Vec<(Vec<u8>, Bytes)>,
}

#[derive(Debug)]
struct Variable {
    dtype: i32,
    shape: Option<TensorShapeProto>,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    slice: TensorSliceProto,
    /// Place of its file.
    shard: usize,
}

/// The stem of a shard's name, and the number of shards: `NAME-00000-of-00002`, and
/// `NAME-?????-of-00002` for all of them.
fn shard_name(name: &str) -> Option<(&str, usize)> {
    const DIGITS: usize = 5;
    let (rest, count) = name.rsplit_once("-of-")?;
    let (stem, place) = rest.rsplit_once('-')?;
    let is_number = |text: &str| text.len() == DIGITS && text.bytes().all(|it| it.is_ascii_digit());
    let is_place = is_number(place) || place == "?".repeat(DIGITS);
    let count = count.parse().ok().filter(|_| is_number(count))?;
    (is_place && count > 0).then_some((stem, count))
}

/// The files of the checkpoint `prefix`; none where there is none.
pub(super) fn files(prefix: &Path) -> Result<Vec<PathBuf>, CheckpointProblem> {
    let Some(name) = prefix.file_name().and_then(|name| name.to_str()) else {
        return Ok(Vec::new());
    };
    let shards = |stem: &str, count: usize| {
        let path = |place| prefix.with_file_name(format!("{stem}-{place:05}-of-{count:05}"));
        (0..count).map(path).collect()
    };
    if let Some((stem, count)) = shard_name(name) {
        return Ok(shards(stem, count));
    }
    if prefix.is_file() {
        return Ok(vec![prefix.to_path_buf()]);
    }
    let directory = match prefix.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let counts: BTreeSet<usize> = entries
        .filter_map(|entry| {
            let entry = entry.file_name();
            let (stem, count) = shard_name(entry.to_str()?)?;
            (stem == name).then_some(count)
        })
        .collect();
    let mut counts = counts.into_iter();
    match (counts.next(), counts.next()) {
        (None, _) => Ok(Vec::new()),
        (Some(count), None) => Ok(shards(name, count)),
        (Some(one), Some(other)) => Err(CheckpointProblem::Unsupported {
            file: name.into(),
            what: format!("a checkpoint with {one} shards and with {other}"),
        }),
    }
}

/// The list of a file's variables, which is its first record.
fn meta(
    file: &str,
    records: &[(Vec<u8>, Bytes)],
) -> Result<SavedTensorSliceMeta, CheckpointProblem> {
    let meta = records
        .first()
        .filter(|(key, _)| key.is_empty())
        .and_then(|(_, record)| SavedTensorSlices::decode(record.clone()).ok())
        .and_then(|message| message.meta)
        .ok_or_else(|| CheckpointProblem::Damaged {
            file: file.into(),
            what: "no list of its variables under the key ``".into(),
        })?;
    let version = meta.versions.clone().unwrap_or_default();
    if version.min_consumer > VERSION || version.bad_consumers.contains(&VERSION) {
        return Err(CheckpointProblem::Unsupported {
            file: file.into(),
            what: format!("version {} of the format", version.producer),
        });
    }
    Ok(meta)
}

impl TensorSlices {
    /// Reads the files of `prefix`, and the checksums of their blocks.
    pub(super) fn open(prefix: &Path, files: &[PathBuf]) -> Result<Self, CheckpointProblem> {
        let mut slices = Self {
            prefix: prefix.to_path_buf(),
            shards: Vec::new(),
            variables: BTreeMap::new(),
            bytes_left: 0,
            repeats: RepeatBudget::new(MAX_REPEATED_BYTES),
        };
        let mut total = 0u64;
        for path in files {
            let (file, bytes) = open(path)?;
            total = total.saturating_add(bytes);
            if total > MAX_BYTES {
                return Err(CheckpointProblem::Unsupported {
                    file: file_name(path),
                    what: format!("a checkpoint of the old format (V1) of {total} bytes and more"),
                });
            }
            let contents = read(file, bytes).map_err(cannot_read(path))?;
            slices.add(file_name(path), &contents)?;
        }
        slices.bytes_left = total.saturating_mul(MAX_READS);
        Ok(slices)
    }

    /// Adds a file.
    fn add(&mut self, name: String, contents: &Bytes) -> Result<(), CheckpointProblem> {
        let damaged = |what: String| CheckpointProblem::Damaged {
            file: name.clone(),
            what,
        };
        let records = table::entries(contents).map_err(damaged)?;
        let place = self.shards.len();
        for listed in meta(&name, &records)?.tensor {
            let variable = self
                .variables
                .entry(listed.name.clone())
                .or_insert_with(|| Variable {
                    dtype: listed.r#type,
                    shape: listed.shape.clone(),
                    parts: Vec::new(),
                });
            if variable.dtype != listed.r#type || variable.shape != listed.shape {
                let name = listed.name;
                return Err(damaged(format!(
                    "variable `{name}` has another type or shape than before"
                )));
            }
            let parts = listed.slice.into_iter();
            variable.parts.extend(parts.map(|slice| Part {
                slice,
                shard: place,
            }));
        }
        self.shards.push(Shard { name, records });
        Ok(())
    }

    /// Is there a variable of this name?
    pub(super) fn contains(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// The value of variable `name`, or of a part of it.
    pub(super) fn value(
        &mut self,
        name: &str,
        part: Option<&Slice>,
    ) -> Result<AttrValue, CheckpointProblem> {
        let Some(variable) = self.variables.get(name) else {
            let names = self.variables.keys().map(String::as_str);
            return Err(missing(&self.prefix, name, names));
        };
        let (number, stored) = (variable.dtype, variable.parts.clone());
        let in_variable = |what: String| CheckpointProblem::Variable {
            name: name.into(),
            what,
        };
        let shape = fixed_shape(variable.shape.as_ref()).map_err(in_variable)?;
        let whole = Slice::whole(&shape);
        let part = part.unwrap_or(&whole);
        part.check_within(&shape).map_err(in_variable)?;
        let slice_of = |stored: &Part| {
            Slice::of(&stored.slice, &shape)
                .ok_or_else(|| in_variable(format!("a part outside its shape {shape:?}")))
        };
        if values::is_string(number) {
            let [stored] = stored.as_slice() else {
                return Err(in_variable("strings in parts are not supported".into()));
            };
            if *part != whole || slice_of(stored)? != whole {
                return Err(in_variable("strings in parts are not supported".into()));
            }
            return match self.record(name, number, stored, &whole)? {
                Constant::Strings(shape, values) => Ok(AttrValue::StringTensor(shape, values)),
                Constant::Numeric(tensor) => Ok(AttrValue::Tensor(tensor)),
            };
        }
        let dtype = values::dtype(number).map_err(in_variable)?;
        let mut parts = Vec::new();
        for stored in &stored {
            let slice = slice_of(stored)?;
            if slice != *part && slice.common(part).is_none() {
                continue;
            }
            if let Constant::Numeric(tensor) = self.record(name, number, stored, &slice)? {
                parts.push((slice, tensor));
            }
        }
        if let [(slice, tensor)] = parts.as_slice()
            && slice == part
        {
            return Ok(AttrValue::Tensor(tensor.clone()));
        }
        let parts: Vec<(&Slice, &[u8])> = parts
            .iter()
            .map(|(slice, tensor)| (slice, tensor.bytes()))
            .collect();
        slices::assemble(&parts, part, dtype.size_bytes())
            .and_then(|bytes| values::tensor(dtype, &part.shape, &bytes))
            .map_err(in_variable)
    }

    /// The values of a part.
    fn record(
        &mut self,
        name: &str,
        dtype: i32,
        part: &Part,
        slice: &Slice,
    ) -> Result<Constant, CheckpointProblem> {
        let Some(shard) = self.shards.get(part.shard) else {
            return Err(missing(&self.prefix, name, std::iter::empty()));
        };
        let in_file = |what: String| CheckpointProblem::Variable {
            name: name.into(),
            what: format!("{what} in `{}`", shard.name),
        };
        let key = slices::key(name, &part.slice);
        let place = shard.records.binary_search_by(|(other, _)| other.cmp(&key));
        let record = place.ok().and_then(|place| shard.records.get(place));
        let Some((_, record)) = record else {
            let (start, size) = (&slice.start, &slice.shape);
            return Err(in_file(format!(
                "no record of the part of shape {size:?} from {start:?}"
            )));
        };
        let bytes = u64::try_from(record.len()).unwrap_or(u64::MAX);
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(|| {
            in_file("variables share more bytes than a checkpoint may have".into())
        })?;
        let message = SavedTensorSlices::decode(record.clone())
            .map_err(|error| in_file(format!("a damaged record ({error})")))?;
        let data = message
            .data
            .ok_or_else(|| in_file("a record without data".into()))?;
        if slices::key(&data.name, &data.slice.unwrap_or_default()) != key {
            return Err(in_file(format!("a record of `{}` instead", data.name)));
        }
        let dims = slice.shape.iter().map(|&size| tensor_shape_proto::Dim {
            size: i64::try_from(size).unwrap_or(i64::MAX),
            name: String::new(),
        });
        // A record leaves type and shape to the list of variables.
        let nothing = TensorProto {
            dtype,
            tensor_shape: Some(TensorShapeProto {
                dim: dims.collect(),
                unknown_rank: false,
            }),
            ..TensorProto::default()
        };
        let values = TensorProto {
            dtype,
            tensor_shape: nothing.tensor_shape.clone(),
            version_number: 0,
            ..data.data.unwrap_or_default()
        };
        if values == nothing && slice.elements() != Some(0) {
            return Err(in_file(format!("no values for shape {:?}", slice.shape)));
        }
        constant(values, &mut self.repeats).map_err(|problem| in_file(problem.to_string()))
    }
}

#[cfg(test)]
mod tests;
