//! Byte layout of header and section table, and what of it is checked when a bundle is opened.

use crate::section::is_target_name;
use crate::{BundleError, HeaderProblem, Section, SectionId, SectionKind, TableProblem, sniff};

/// First bytes of a bundle. The high bit and the line end show a transfer that damaged them.
pub const MAGIC: [u8; 8] = *b"\x89TFJET\r\n";
/// Format version that is written and read.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER_LEN: usize = 64;
/// Bytes of one entry of the section table.
pub const ENTRY_LEN: usize = 96;
/// Most sections that a bundle may have.
pub const MAX_SECTIONS: u32 = 65_536;

const HASH_AT: usize = 32;
const TABLE_OFFSET: u32 = 64;

/// Header and section table, ready to be written.
pub(crate) fn encode(sections: &[Section], len_bytes: u64) -> Vec<u8> {
    let count = u32::try_from(sections.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_LEN + sections.len() * ENTRY_LEN);
    bytes.extend_from_slice(&MAGIC);
    for field in [FORMAT_VERSION, 0, count, TABLE_OFFSET] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(&len_bytes.to_le_bytes());
    bytes.resize(HEADER_LEN, 0);
    for section in sections {
        encode_entry(section, &mut bytes);
    }
    let hash = blake3::hash(&bytes);
    bytes[HASH_AT..HEADER_LEN].copy_from_slice(hash.as_bytes());
    bytes
}

fn encode_entry(section: &Section, bytes: &mut Vec<u8>) {
    for field in [section.id.kind.code(), section.version, section.id.index, 0] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(&section.offset.to_le_bytes());
    bytes.extend_from_slice(&section.len_bytes.to_le_bytes());
    let mut target = [0; 32];
    for (to, from) in target.iter_mut().zip(section.id.target.bytes()) {
        *to = from;
    }
    bytes.extend_from_slice(&target);
    bytes.extend_from_slice(&section.hash);
}

/// The section table of a whole file in `bytes`, after all checks that need no section's contents.
pub(crate) fn decode(bytes: &[u8], file: &str) -> Result<Vec<Section>, BundleError> {
    let table = decode_header(bytes, file)?;
    let len_bytes = length(bytes);
    let mut sections: Vec<Section> = Vec::with_capacity(table.len() / ENTRY_LEN);
    let mut previous_end = (HEADER_LEN + table.len()) as u64;
    for (entry, raw) in table.chunks_exact(ENTRY_LEN).enumerate() {
        let section = decode_entry(raw)
            .and_then(|section| {
                let previous = sections.last().map(|section| &section.id);
                check_place(&section, previous, previous_end, bytes)?;
                Ok(section)
            })
            .map_err(|problem| BundleError::Table {
                file: file.into(),
                entry,
                offset: (HEADER_LEN + entry * ENTRY_LEN) as u64,
                problem,
            })?;
        previous_end = section.offset + section.len_bytes;
        sections.push(section);
    }
    if previous_end != len_bytes {
        let entry = sections.len().saturating_sub(1);
        return Err(BundleError::Table {
            file: file.into(),
            entry,
            offset: (HEADER_LEN + entry * ENTRY_LEN) as u64,
            problem: TableProblem::Tail {
                end: previous_end,
                len_bytes,
            },
        });
    }
    Ok(sections)
}

/// The bytes of the section table.
fn decode_header<'a>(bytes: &'a [u8], file: &str) -> Result<&'a [u8], BundleError> {
    let known = bytes.len().min(MAGIC.len());
    if bytes.is_empty() || bytes[..known] != MAGIC[..known] {
        return Err(BundleError::NotABundle {
            file: file.into(),
            looks_like: sniff::looks_like(bytes),
        });
    }
    let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
        return Err(BundleError::Length {
            file: file.into(),
            stated: HEADER_LEN as u64,
            actual: length(bytes),
        });
    };
    let version = u32_at(header, 8);
    if version != FORMAT_VERSION {
        return Err(BundleError::FormatVersion {
            file: file.into(),
            found: version,
            reads: FORMAT_VERSION,
        });
    }
    let stated = u64_at(header, 24);
    if stated != length(bytes) {
        return Err(BundleError::Length {
            file: file.into(),
            stated,
            actual: length(bytes),
        });
    }
    let error = |offset, problem| BundleError::Header {
        file: file.into(),
        offset,
        problem,
    };
    let flags = u32_at(header, 12);
    if flags != 0 {
        return Err(error(12, HeaderProblem::Flags(flags)));
    }
    let count = u32_at(header, 16);
    if count > MAX_SECTIONS {
        let max = MAX_SECTIONS;
        return Err(error(16, HeaderProblem::SectionCount { found: count, max }));
    }
    let table_offset = u32_at(header, 20);
    if table_offset != TABLE_OFFSET {
        return Err(error(20, HeaderProblem::TableOffset(table_offset)));
    }
    let end = HEADER_LEN as u64 + u64::from(count) * ENTRY_LEN as u64;
    let table = usize::try_from(end)
        .ok()
        .and_then(|end| bytes.get(HEADER_LEN..end))
        .ok_or_else(|| {
            let len_bytes = length(bytes);
            error(16, HeaderProblem::TableEnd { end, len_bytes })
        })?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header[..HASH_AT]);
    hasher.update(&[0; HEADER_LEN - HASH_AT]);
    hasher.update(table);
    if hasher.finalize().as_bytes() != &header[HASH_AT..] {
        return Err(error(HASH_AT as u64, HeaderProblem::Hash));
    }
    Ok(table)
}

fn decode_entry(raw: &[u8]) -> Result<Section, TableProblem> {
    let code = u32_at(raw, 0);
    let kind = SectionKind::from_code(code).ok_or(TableProblem::UnknownKind(code))?;
    if kind.version().is_none() {
        return Err(TableProblem::Reserved(kind));
    }
    let version = u32_at(raw, 4);
    if version == 0 {
        return Err(TableProblem::Version);
    }
    let index = u32_at(raw, 8);
    if index != 0 && !kind.is_indexed() {
        return Err(TableProblem::Index(index));
    }
    if u32_at(raw, 12) != 0 {
        return Err(TableProblem::ReservedBytes);
    }
    let target: &[u8; 32] = array_at(raw, 32);
    let used = target
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    let target = std::str::from_utf8(&target[..used])
        .ok()
        .filter(|target| is_target_name(target))
        .ok_or(TableProblem::Target)?;
    if target.is_empty() && kind == SectionKind::Target {
        return Err(TableProblem::Unnamed);
    }
    Ok(Section {
        id: SectionId::new(kind, target, index),
        version,
        offset: u64_at(raw, 16),
        len_bytes: u64_at(raw, 24),
        hash: *array_at(raw, 64),
    })
}

fn check_place(
    section: &Section,
    previous: Option<&SectionId>,
    previous_end: u64,
    bytes: &[u8],
) -> Result<(), TableProblem> {
    let id = || section.id.clone();
    let Section {
        offset, len_bytes, ..
    } = *section;
    if previous.is_some_and(|previous| previous >= &section.id) {
        return Err(TableProblem::Order(id()));
    }
    if offset < previous_end {
        return Err(TableProblem::Overlap {
            section: id(),
            offset,
            previous_end,
        });
    }
    let alignment = section.id.kind.alignment();
    if !offset.is_multiple_of(alignment) {
        return Err(TableProblem::Alignment {
            section: id(),
            offset,
            alignment,
        });
    }
    let file_end = length(bytes);
    if offset
        .checked_add(len_bytes)
        .is_none_or(|end| end > file_end)
    {
        return Err(TableProblem::End {
            section: id(),
            len_bytes: file_end,
        });
    }
    let expected = previous_end.next_multiple_of(alignment);
    if offset != expected {
        return Err(TableProblem::Gap {
            section: id(),
            offset,
            expected,
        });
    }
    let max = section.id.kind.max_len_bytes();
    if len_bytes > max {
        return Err(TableProblem::TooLarge {
            section: id(),
            len_bytes,
            max,
        });
    }
    let padding = range(previous_end, offset - previous_end)
        .and_then(|range| bytes.get(range))
        .unwrap_or_default();
    match padding
        .iter()
        .zip(previous_end..)
        .find(|(byte, _)| **byte != 0)
    {
        Some((_, position)) => Err(TableProblem::Padding(position)),
        None => Ok(()),
    }
}

/// A stretch of a file as a range of addresses.
pub(crate) fn range(offset: u64, len_bytes: u64) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(len_bytes)?).ok()?;
    Some(start..end)
}

fn length(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

/// `at + N` lies inside `bytes` for every caller: the positions are constants of the layout.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    bytes[at..].first_chunk().unwrap_or(&[0; N])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*array_at(bytes, at))
}
