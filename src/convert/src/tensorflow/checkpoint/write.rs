//! Writes checkpoints, for tests: what TensorFlow writes, from values in memory.

use prost::encoding::encode_varint;

/// Writes a table as LevelDB does, with blocks of `per_block` entries.
pub(crate) fn table(entries: &[(Vec<u8>, Vec<u8>)], per_block: usize, snappy: bool) -> Vec<u8> {
    fn size(bytes: usize) -> u64 {
        bytes.try_into().unwrap_or(u64::MAX)
    }
    fn put(table: &mut Vec<u8>, entries: &[(Vec<u8>, Vec<u8>)], snappy: bool) -> Vec<u8> {
        let mut block = Vec::new();
        let mut restarts = Vec::new();
        let mut before: &[u8] = &[];
        for (index, (key, value)) in entries.iter().enumerate() {
            let mut shared = 0;
            if index % 16 == 0 {
                restarts.push(u32::try_from(block.len()).unwrap_or(u32::MAX));
            } else {
                shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
            }
            encode_varint(size(shared), &mut block);
            encode_varint(size(key.len() - shared), &mut block);
            encode_varint(size(value.len()), &mut block);
            block.extend_from_slice(&key[shared..]);
            block.extend_from_slice(value);
            before = key;
        }
        for restart in &restarts {
            block.extend_from_slice(&restart.to_le_bytes());
        }
        let count = u32::try_from(restarts.len()).unwrap_or(u32::MAX);
        block.extend_from_slice(&count.to_le_bytes());
        if snappy {
            block = snap::raw::Encoder::new()
                .compress_vec(&block)
                .unwrap_or_default();
        }
        let mut handle = Vec::new();
        encode_varint(size(table.len()), &mut handle);
        encode_varint(size(block.len()), &mut handle);
        block.push(snappy.into());
        let checksum = mask(crc32c::crc32c(&block));
        block.extend_from_slice(&checksum.to_le_bytes());
        table.extend_from_slice(&block);
        handle
    }

    let mut table = Vec::new();
    let mut index = Vec::new();
    for chunk in entries.chunks(per_block) {
        let last = chunk.last().map(|(key, _)| key.clone()).unwrap_or_default();
        index.push((last, put(&mut table, chunk, snappy)));
    }
    let mut footer = put(&mut table, &[], false);
    footer.extend(put(&mut table, &index, snappy));
    footer.resize(40, 0);
    footer.extend_from_slice(&0xdb47_7524_8b80_fb57u64.to_le_bytes());
    table.extend_from_slice(&footer);
    table
}

/// The masked checksum that is stored with a block or a tensor.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    mask(crc32c::crc32c(bytes))
}

fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}
