//! Does a video file end where its container says? Demuxers take the end of the file for the end
//! of the stream and do not tell.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;

/// What the file lacks, where it is an AVI, Matroska, WebM, MP4 or QuickTime file that ends too
/// early. `None` for a complete file, and for one of another kind.
pub(super) fn truncation(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    walk(&mut BufReader::new(file), len).ok().flatten()
}

fn walk(file: &mut (impl Read + Seek), len: u64) -> io::Result<Option<String>> {
    let mut head = [0; 12];
    if len < head.len() as u64 {
        return Ok(None);
    }
    file.read_exact(&mut head)?;
    let [a, b, c, d, e, f, g, h, i, j, k, l] = head;
    if [a, b, c, d] == *b"RIFF" && [i, j, k, l] == *b"AVI " {
        riff(file, len)
    } else if u32::from_be_bytes([a, b, c, d]) == EBML {
        matroska(file, len)
    } else if matches!(
        &[e, f, g, h],
        b"ftyp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"styp"
    ) {
        boxes(file, len)
    } else {
        Ok(None)
    }
}

/// The reason, where something that should end at `end` does not.
fn beyond(what: &str, end: Option<u64>, len: u64) -> Option<String> {
    match end {
        Some(end) if end <= len => None,
        Some(end) => Some(format!("{what} ends at byte {end}, the file at {len}")),
        None => Some(format!("{what} is cut off at byte {len}")),
    }
}

/// RIFF chunks one after the other; a size of 0 or all ones means unknown.
fn riff(file: &mut (impl Read + Seek), len: u64) -> io::Result<Option<String>> {
    let mut at = 0u64;
    while at.checked_add(8).is_some_and(|end| end <= len) {
        file.seek(SeekFrom::Start(at))?;
        let (mut id, mut size) = ([0; 4], [0; 4]);
        file.read_exact(&mut id)?;
        file.read_exact(&mut size)?;
        let size = u32::from_le_bytes(size);
        if id != *b"RIFF" || matches!(size, 0 | u32::MAX) {
            return Ok(None);
        }
        let end = at + 8 + u64::from(size);
        if end > len {
            return Ok(beyond("the RIFF chunk", Some(end), len));
        }
        at = end + (end & 1);
    }
    Ok(None)
}

/// ISO base media boxes one after the other; a size of 0 reaches to the end of the file.
fn boxes(file: &mut (impl Read + Seek), len: u64) -> io::Result<Option<String>> {
    let mut at = 0u64;
    while at < len {
        if len - at < 8 {
            return Ok(beyond("a box header", None, len));
        }
        file.seek(SeekFrom::Start(at))?;
        let (mut size, mut kind) = ([0; 4], [0; 4]);
        file.read_exact(&mut size)?;
        file.read_exact(&mut kind)?;
        let size = match u32::from_be_bytes(size) {
            0 => return Ok(None),
            1 if len - at < 16 => return Ok(beyond("a box header", None, len)),
            1 => {
                let mut large = [0; 8];
                file.read_exact(&mut large)?;
                u64::from_be_bytes(large)
            }
            size => u64::from(size),
        };
        if size < 8 {
            return Ok(None);
        }
        let end = at.checked_add(size);
        if end.is_none_or(|end| end > len) {
            let what = format!("box `{}`", kind.escape_ascii());
            return Ok(beyond(&what, end, len));
        }
        at = end.unwrap_or(len);
    }
    Ok(None)
}

/// EBML elements; segments and clusters of unknown size are entered.
fn matroska(file: &mut (impl Read + Seek), len: u64) -> io::Result<Option<String>> {
    let mut at = 0u64;
    while at < len {
        file.seek(SeekFrom::Start(at))?;
        let Some((id, size, header)) = element(file)? else {
            return Ok(beyond("an element header", None, len));
        };
        let body = at + header;
        at = match size {
            Some(size) => {
                let end = body.checked_add(size);
                let what = match id {
                    SEGMENT => "the segment".to_owned(),
                    CLUSTER => "a cluster".to_owned(),
                    _ => format!("element {id:#x}"),
                };
                let missing = beyond(&what, end, len);
                if missing.is_some() || id == SEGMENT {
                    return Ok(missing);
                }
                end.unwrap_or(len)
            }
            None if matches!(id, SEGMENT | CLUSTER) => body,
            None => return Ok(None),
        };
    }
    Ok(None)
}

/// Id, size (`None` for unknown) and length of an element's header; `None` where the file ends
/// inside it.
fn element(file: &mut impl Read) -> io::Result<Option<(u32, Option<u64>, u64)>> {
    let Some((id, id_len)) = variable(file, false)? else {
        return Ok(None);
    };
    let Some((size, size_len)) = variable(file, true)? else {
        return Ok(None);
    };
    let unknown = (1u64 << (7 * size_len)) - 1;
    let id = u32::try_from(id).unwrap_or(u32::MAX);
    Ok(Some((
        id,
        (size != unknown).then_some(size),
        id_len + size_len,
    )))
}

/// An EBML variable-length number and its length in bytes, with or without its length marker.
fn variable(file: &mut impl Read, strip: bool) -> io::Result<Option<(u64, u64)>> {
    let mut bytes = [0; 8];
    if file.read(&mut bytes[..1])? == 0 {
        return Ok(None);
    }
    let len = bytes[0].leading_zeros() as usize + 1;
    if len > 8 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    match file.read_exact(&mut bytes[1..len]) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    if strip {
        bytes[0] &= 0xff_u8.checked_shr(len as u32).unwrap_or(0);
    }
    let value = bytes[..len]
        .iter()
        .fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    Ok(Some((value, len as u64)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn check(bytes: &[u8]) -> Option<String> {
        walk(&mut Cursor::new(bytes), bytes.len() as u64)
            .ok()
            .flatten()
    }

    fn avi() -> Vec<u8> {
        [&b"RIFF\x0c\0\0\0AVI 12345678"[..], b"RIFF\x05\0\0\0AVIX1"].concat()
    }

    fn mp4() -> Vec<u8> {
        [
            &b"\0\0\0\x10ftypisomisom"[..],
            b"\0\0\0\x14mdat123456789012",
            b"\0\0\0\x10moov12345678",
        ]
        .concat()
    }

    fn mkv(segment: &[u8], cluster: &[u8]) -> Vec<u8> {
        let mut bytes = [
            &[0x1a, 0x45, 0xdf, 0xa3, 0x82, 1, 2, 0x18, 0x53, 0x80, 0x67],
            segment,
        ]
        .concat();
        bytes.extend([0x1f, 0x43, 0xb6, 0x75]);
        bytes.extend(cluster);
        bytes.extend([0xe7, 0x81, 0, 0xa3, 0x84, 1, 2, 3, 4]);
        bytes
    }

    #[test]
    fn complete_files_pass_and_cut_ones_do_not() {
        let unknown = &[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..];
        let files = [
            ("avi", avi(), vec![20]),
            ("mp4", mp4(), vec![16, 36]),
            ("sized mkv", mkv(&[0x8e], &[0x89]), vec![]),
            ("open mkv", mkv(unknown, unknown), vec![19, 31, 34]),
        ];
        for (name, bytes, whole) in files {
            assert_eq!(check(&bytes), None, "{name}");
            for len in 12..bytes.len() {
                let cut = check(&bytes[..len]);
                let header_only = name == "avi" && (20..28).contains(&len);
                let complete = whole.contains(&len) || header_only;
                assert_eq!(cut.is_none(), complete, "{name} cut to {len}: {cut:?}");
            }
        }
    }

    #[test]
    fn other_files_pass() {
        for bytes in [
            &b""[..],
            b"RIFF",
            b"hello world, this is text",
            &[0; 64],
            &[0xff; 64],
        ] {
            assert_eq!(check(bytes), None);
        }
    }

    #[test]
    fn any_bytes_end() {
        let mut state = 1u32;
        for head in [&avi()[..12], &mp4()[..12], &mkv(&[0x8e], &[0x89])[..12]] {
            for _ in 0..2000 {
                let mut bytes = head.to_vec();
                for _ in 0..64 {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    bytes.push((state >> 24) as u8);
                }
                check(&bytes);
            }
        }
    }
}
