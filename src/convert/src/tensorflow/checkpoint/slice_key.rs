//! TensorFlow's ordered code: bytes that sort as what they stand for, a variable's name and the
//! extents of a slice of it.

/// The name, and start and length of each dimension; a whole dimension has no length.
pub(crate) fn key(
    name: &str,
    extents: impl ExactSizeIterator<Item = (i64, Option<i64>)>,
) -> Vec<u8> {
    let mut key = vec![0];
    for &byte in name.as_bytes() {
        match byte {
            0 => key.extend_from_slice(&[0, 0xff]),
            0xff => key.extend_from_slice(&[0xff, 0]),
            byte => key.push(byte),
        }
    }
    key.extend_from_slice(&[0, 1]);
    unsigned(extents.len(), &mut key);
    for (start, length) in extents {
        signed(start, &mut key);
        signed(length.unwrap_or(-1), &mut key);
    }
    key
}

fn unsigned(value: usize, key: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    key.push(u8::try_from(bytes.len() - zeros).unwrap_or(u8::MAX));
    key.extend(bytes.iter().skip(zeros));
}

/// The sign, then the length in ones, then the value, all in as few bytes as hold them.
fn signed(value: i64, key: &mut Vec<u8>) {
    let magnitude = if value < 0 { !value } else { value };
    let bits = 64 - magnitude.leading_zeros();
    let length = usize::try_from(bits / 7 + 1).unwrap_or(1).min(10);
    let fill = if value < 0 { 0xff } else { 0 };
    let mut bytes = [fill; 10];
    bytes[2..].copy_from_slice(&value.to_be_bytes());
    let mark: u16 = match length {
        10 => 0xffc0,
        length => !(0xffff >> length),
    };
    let start = 10 - length;
    let [high, low] = mark.to_be_bytes();
    bytes[start] ^= high;
    if let Some(second) = bytes.get_mut(start + 1) {
        *second ^= low;
    }
    key.extend_from_slice(&bytes[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(value: i64) -> Vec<u8> {
        let mut key = Vec::new();
        signed(value, &mut key);
        key
    }

    #[test]
    fn keys_are_those_of_tensorflow() {
        for (value, expected) in [
            (0i64, &[0x80u8][..]),
            (63, &[0xbf]),
            (-1, &[0x7f]),
            (-64, &[0x40]),
            (64, &[0xc0, 0x40]),
            (-65, &[0x3f, 0xbf]),
            (8191, &[0xdf, 0xff]),
            (8192, &[0xe0, 0x20, 0x00]),
        ] {
            assert_eq!(code(value), expected, "{value}");
        }
        let extents = [(5, Some(64)), (0, None)];
        assert_eq!(
            key("w", extents.into_iter()),
            [0, b'w', 0, 1, 1, 2, 0x85, 0xc0, 0x40, 0x80, 0x7f]
        );
    }

    #[test]
    fn codes_sort_as_their_values() {
        let mut values: Vec<i64> = (0..63).flat_map(|bit| [1 << bit, -(1 << bit)]).collect();
        values.extend([i64::MIN, i64::MAX, 0]);
        values.sort_unstable();
        for pair in values.windows(2) {
            assert!(code(pair[0]) < code(pair[1]), "{pair:?}");
        }
    }
}
