//! LevelDB's sorted table, in which a checkpoint's index is stored.

use bytes::{Buf, Bytes};
use prost::encoding::decode_varint;

/// Bytes after each block: its compression, and the checksum of both.
const TRAILER: usize = 5;
const FOOTER: usize = 48;
pub(super) const MAGIC: u64 = 0xdb47_7524_8b80_fb57;

/// Snappy's copies take at least three bytes for at most 64.
const MAX_SNAPPY_RATIO: usize = 22;

/// Bytes that all keys together may have, per byte of the table. Keys share prefixes, so few bytes
/// can stand for many.
const MAX_KEY_RATIO: usize = 32;

/// What was met, with its place.
type Problem = String;

/// The table's entries in the order of their keys.
pub(super) fn entries(table: &Bytes) -> Result<Vec<(Vec<u8>, Bytes)>, Problem> {
    let mut footer = table
        .len()
        .checked_sub(FOOTER)
        .map(|start| table.slice(start..))
        .ok_or_else(|| format!("{} bytes are too few for a table", table.len()))?;
    let magic = footer.slice(FOOTER - size_of::<u64>()..).get_u64_le();
    if magic != MAGIC {
        return Err("it does not end as a table; is it cut off?".into());
    }
    let handle = "the footer";
    let _meta_index = Handle::take(&mut footer).ok_or_else(|| format!("{handle} is malformed"))?;
    let index = Handle::take(&mut footer).ok_or_else(|| format!("{handle} is malformed"))?;
    let mut keys_left = table.len().saturating_mul(MAX_KEY_RATIO);
    let mut end = 0;
    let mut all = Vec::new();
    for (_, mut value) in block(table, index, &mut keys_left)? {
        let data = Handle::take(&mut value)
            .ok_or_else(|| format!("the block at offset {} is malformed", index.offset))?;
        if data.offset < end {
            return Err(format!("the blocks at offset {} overlap", data.offset));
        }
        end = data.offset.saturating_add(data.size);
        all.extend(block(table, data, &mut keys_left)?);
    }
    if all.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        return Err("its keys are not in order".into());
    }
    Ok(all)
}

/// Where a block lies.
#[derive(Debug, Clone, Copy)]
struct Handle {
    offset: usize,
    size: usize,
}

impl Handle {
    fn take(from: &mut Bytes) -> Option<Self> {
        let mut number = || usize::try_from(decode_varint(from).ok()?).ok();
        Some(Self {
            offset: number()?,
            size: number()?,
        })
    }
}

/// The entries of one block.
fn block(
    table: &Bytes,
    handle: Handle,
    keys_left: &mut usize,
) -> Result<Vec<(Vec<u8>, Bytes)>, Problem> {
    let at = |what: &str| format!("{what} at offset {}", handle.offset);
    let end = handle.offset.checked_add(handle.size);
    let stored = end
        .and_then(|end| end.checked_add(TRAILER))
        .filter(|&end| end <= table.len())
        .map(|end| table.slice(handle.offset..end))
        .ok_or_else(|| at("a block beyond the end"))?;
    let mut trailer = stored.slice(handle.size..);
    let compression = trailer.get_u8();
    let checked = stored.slice(..=handle.size);
    if mask(crc32c::crc32c(&checked)) != trailer.get_u32_le() {
        return Err(at("wrong checksum of the block"));
    }
    let contents = stored.slice(..handle.size);
    let contents = match compression {
        0 => contents,
        1 => unpack(&contents).ok_or_else(|| at("damaged snappy data"))?,
        _ => return Err(at("unknown compression")),
    };
    records(&contents, keys_left).ok_or_else(|| at("a malformed block"))
}

fn unpack(packed: &[u8]) -> Option<Bytes> {
    let length = snap::raw::decompress_len(packed).ok()?;
    if length > packed.len().saturating_mul(MAX_SNAPPY_RATIO) {
        return None;
    }
    let unpacked = snap::raw::Decoder::new().decompress_vec(packed).ok()?;
    Some(unpacked.into())
}

/// Key and value of each record; a key is stored without what it has in common with the one before.
fn records(block: &Bytes, keys_left: &mut usize) -> Option<Vec<(Vec<u8>, Bytes)>> {
    let count_at = block.len().checked_sub(size_of::<u32>())?;
    let restarts = usize::try_from(block.slice(count_at..).get_u32_le()).ok()?;
    let end = count_at.checked_sub(restarts.checked_mul(size_of::<u32>())?)?;
    let mut rest = block.slice(..end);
    let mut all: Vec<(Vec<u8>, Bytes)> = Vec::new();
    while rest.has_remaining() {
        let mut number = || usize::try_from(decode_varint(&mut rest).ok()?).ok();
        let (shared, own, value) = (number()?, number()?, number()?);
        if own.checked_add(value)? > rest.len() {
            return None;
        }
        *keys_left = keys_left.checked_sub(shared.checked_add(own)?)?;
        let before = all.last().map_or(&[][..], |(key, _)| key.as_slice());
        let mut key = before.get(..shared)?.to_vec();
        key.extend_from_slice(&rest.split_to(own));
        all.push((key, rest.split_to(value)));
    }
    Some(all)
}

/// A checksum as it is stored, so that one over data with checksums inside stays useful.
pub(super) fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensorflow::checkpoint::write::table as write;

    fn pairs(count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        (0..count)
            .map(|i| (format!("layer/{i:05}/kernel").into_bytes(), vec![7; i % 40]))
            .collect()
    }

    #[test]
    fn tables_are_read_with_and_without_snappy() {
        let all = pairs(100);
        for (per_block, snappy) in [(1000, false), (1000, true), (7, false), (7, true)] {
            let table = Bytes::from(write(&all, per_block, snappy));
            let read: Vec<_> = entries(&table).unwrap();
            let read: Vec<_> = read.into_iter().map(|(k, v)| (k, v.to_vec())).collect();
            assert_eq!(read, all, "{per_block} {snappy}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        for snappy in [false, true] {
            let table = write(&pairs(12), 5, snappy);
            for cut in 0..table.len() {
                assert!(entries(&Bytes::copy_from_slice(&table[..cut])).is_err());
            }
            let body = table.len() - FOOTER;
            for index in 0..body {
                let mut damaged = table.clone();
                damaged[index] ^= 1 << (index % 8);
                let read = entries(&damaged.into());
                // The block of the meta index is not read.
                let same = read.is_ok_and(|read| read.len() == 12);
                assert!(!same || index >= body - 150, "byte {index}");
            }
        }
    }

    #[test]
    fn keys_cannot_grow_without_bound() {
        let long = vec![b'a'; 60_000];
        let all: Vec<_> = (0..15u8)
            .flat_map(|a| (0..255u8).map(move |b| [a, b]))
            .map(|tail| ([&long[..], &tail[..]].concat(), vec![]))
            .collect();
        let table = Bytes::from(write(&all[..15], 100, false));
        assert_eq!(entries(&table).unwrap().len(), 15);
        let mut block = Vec::new();
        let number = |value: u64, block: &mut Vec<u8>| {
            prost::encoding::encode_varint(value, block);
        };
        number(0, &mut block);
        number(60_000, &mut block);
        number(0, &mut block);
        block.extend_from_slice(&long);
        for _ in 0..10_000 {
            number(60_000, &mut block);
            number(0, &mut block);
            number(0, &mut block);
        }
        block.extend_from_slice(&[0; 4]);
        assert!(records(&block.into(), &mut (1 << 20)).is_none());
    }

    #[test]
    fn the_checksum_is_masked_crc32c() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(mask(0), 0xa282_ead8);
        assert_eq!(mask(0xe306_9283), 0xc78a_b0e5);
    }
}
