//! Checkpoints of the old format (V1): as they come, and made of records with the right checksums,
//! in one file and in two.
#![no_main]

use std::fs;
use std::sync::Once;

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use tfjet_fuzz::proto::{
    SavedSlice, SavedSliceMeta, SavedTensorSliceMeta, SavedTensorSlices, TensorProto,
    TensorSliceProto, VersionDef, tensor_slice_proto::Extent,
};
use tfjet_fuzz::variables::{NAMES, read, slice, write_model};
use tfjet_fuzz::{directory, shape, slice_key, table, tensor, write_file};

const FILE: &str = "variables/variables";
const SHARDS: [&str; 2] = [
    "variables/variables-00000-of-00002",
    "variables/variables-00001-of-00002",
];

/// A slice of a small variable of this rank, often all of it.
fn part(from: &mut Unstructured<'_>, rank: usize) -> Result<TensorSliceProto> {
    if from.ratio(1, 8)? {
        return slice(from);
    }
    let is_whole = from.ratio(2, 3)?;
    let extent = |axis| {
        Ok(match is_whole || axis > 0 {
            true => Extent::default(),
            false => Extent {
                start: from.int_in_range(0..=3)?,
                length: Some(from.int_in_range(0..=3)?),
            },
        })
    };
    let extent: Result<_> = (0..rank).map(extent).collect();
    Ok(TensorSliceProto { extent: extent? })
}

/// Values, often as many as a small variable has.
fn values(from: &mut Unstructured<'_>) -> Result<TensorProto> {
    if from.ratio(1, 4)? {
        return tensor(from);
    }
    let count = from.int_in_range(0..=24)?;
    Ok(TensorProto {
        float_val: vec![1.5; count],
        int_val: vec![i32::from(i8::arbitrary(from)?); count],
        half_val: vec![i32::from(u16::arbitrary(from)?); count],
        bool_val: vec![true; count],
        string_val: vec![Vec::arbitrary(from)?.into(); count],
        ..TensorProto::default()
    })
}

fn file(from: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut meta = SavedTensorSliceMeta {
        versions: Some(VersionDef {
            min_consumer: i32::from(from.ratio(1, 16)?) * 2,
            ..VersionDef::default()
        }),
        ..SavedTensorSliceMeta::default()
    };
    let mut entries = Vec::new();
    for _ in 0..from.int_in_range(0..=6)? {
        let name = from.choose(&NAMES)?.to_string();
        let shape = shape(from)?;
        let mut slices = Vec::new();
        for _ in 0..from.int_in_range(0..=3)? {
            let slice = part(from, shape.dim.len())?;
            let stored = SavedTensorSlices {
                data: Some(SavedSlice {
                    name: name.clone(),
                    slice: Some(slice.clone()),
                    data: Some(values(from)?),
                }),
                ..SavedTensorSlices::default()
            };
            let key = match from.ratio(1, 16)? {
                true => Vec::arbitrary(from)?,
                false => slice_key(&name, &slice),
            };
            entries.push((key, stored.encode_to_vec()));
            slices.push(slice);
        }
        meta.tensor.push(SavedSliceMeta {
            name,
            shape: Some(shape),
            r#type: match from.ratio(1, 2)? {
                true => 1,
                false => from.int_in_range(0..=30)?,
            },
            slice: slices,
        });
    }
    let first = SavedTensorSlices {
        meta: Some(meta),
        data: None,
    };
    entries.push((Vec::new(), first.encode_to_vec()));
    if !from.ratio(1, 16)? {
        entries.sort();
        entries.dedup_by(|a, b| a.0 == b.0);
    }
    let per_block = from.int_in_range(1..=4)?;
    let is_packed = from.ratio(1, 2)?;
    Ok(table(&entries, per_block, is_packed))
}

fuzz_target!(|data: &[u8]| {
    static MODEL: Once = Once::new();
    MODEL.call_once(write_model);
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let mut from = Unstructured::new(rest);
    let mut made = || file(&mut from);
    let files = match kind {
        0..64 => Ok(vec![(FILE, rest.to_vec())]),
        64..192 => made().map(|file| vec![(FILE, file)]),
        _ => made().and_then(|first| Ok(vec![(SHARDS[0], first), (SHARDS[1], made()?)])),
    };
    let Ok(files) = files else {
        return;
    };
    for name in SHARDS.iter().chain(&[FILE]) {
        let _ = fs::remove_file(directory().join(name));
    }
    for (name, contents) in files {
        write_file(name, &contents);
    }
    read();
});
