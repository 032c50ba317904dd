//! The index of a checkpoint: as it comes, and made of entries with the right checksums.
#![no_main]

use std::sync::Once;

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use tfjet_fuzz::proto::{BundleEntryProto, BundleHeaderProto, VersionDef};
use tfjet_fuzz::variables::{NAMES, read, slice, write_model};
use tfjet_fuzz::{checksum, shape, table, write_file};

const DATA: &str = "variables/variables.data-00000-of-00001";

fn index(from: &mut Unstructured<'_>, data: &[u8]) -> Result<Vec<u8>> {
    let header = BundleHeaderProto {
        num_shards: if from.ratio(1, 8)? {
            i32::arbitrary(from)?
        } else {
            1
        },
        endianness: i32::from(from.ratio(1, 16)?),
        version: Some(VersionDef::default()),
    };
    let mut entries = vec![(Vec::new(), header.encode_to_vec())];
    for _ in 0..from.int_in_range(0..=6)? {
        let key = match from.ratio(1, 4)? {
            true => Vec::arbitrary(from)?,
            false => from.choose(&NAMES)?.as_bytes().to_vec(),
        };
        let offset = from.int_in_range(0..=data.len())?;
        let size = from.int_in_range(0..=data.len() - offset)?;
        let stored = &data[offset..offset + size];
        let slices: Result<Vec<_>> = (0..from.int_in_range(0..=2)?)
            .map(|_| slice(from))
            .collect();
        let is_wild = from.ratio(1, 8)?;
        let entry = BundleEntryProto {
            dtype: if from.ratio(1, 2)? {
                1
            } else {
                from.int_in_range(0..=30)?
            },
            shape: Some(shape(from)?),
            shard_id: i32::from(from.ratio(1, 16)?),
            offset: if is_wild {
                i64::arbitrary(from)?
            } else {
                i64::try_from(offset).unwrap_or(0)
            },
            size: if is_wild {
                i64::arbitrary(from)?
            } else {
                i64::try_from(size).unwrap_or(0)
            },
            crc32c: checksum(stored),
            slices: slices?,
        };
        entries.push((key, entry.encode_to_vec()));
    }
    if !from.ratio(1, 8)? {
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
    let stored: Vec<u8> = (0..=255).collect();
    write_file(DATA, &stored);
    let index = match kind < 64 {
        true => rest.to_vec(),
        false => {
            let mut from = Unstructured::new(rest);
            let Ok(index) = index(&mut from, &stored) else {
                return;
            };
            index
        }
    };
    write_file("variables/variables.index", &index);
    read();
});
