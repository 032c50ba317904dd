//! Slices of variables: their specification, their keys in the index, and copies between them.

use crate::tensorflow::proto::TensorSliceProto;

/// Part of a variable: where it starts and how long it is, per dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tensorflow) struct Slice {
    pub(in crate::tensorflow) start: Vec<usize>,
    pub(in crate::tensorflow) shape: Vec<usize>,
}

impl Slice {
    /// All of a variable.
    pub(in crate::tensorflow) fn whole(shape: &[usize]) -> Self {
        Self {
            start: vec![0; shape.len()],
            shape: shape.to_vec(),
        }
    }

    /// The slice of a variable of this shape; `None` where it does not lie in it.
    pub(super) fn of(proto: &TensorSliceProto, shape: &[usize]) -> Option<Self> {
        if proto.extent.len() != shape.len() {
            return None;
        }
        let mut slice = Self::whole(shape);
        let dims = slice.start.iter_mut().zip(&mut slice.shape);
        for (extent, (start, size)) in proto.extent.iter().zip(dims) {
            let Some(length) = extent.length.filter(|&length| length >= 0) else {
                continue;
            };
            *start = usize::try_from(extent.start).ok()?;
            let length = usize::try_from(length).ok()?;
            if start.checked_add(length)? > *size {
                return None;
            }
            *size = length;
        }
        Some(slice)
    }

    /// Reads what a saver writes for a part, such as `10 4 0,5:-`: the variable's shape, then
    /// start and length per dimension. `None` for a whole variable.
    ///
    /// # Errors
    /// The text, where it is neither.
    pub(in crate::tensorflow) fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let parse = || {
            let mut words: Vec<&str> = text.split(' ').collect();
            let extents: Vec<&str> = words.pop()?.split(':').collect();
            let shape: Option<Vec<usize>> = words.iter().map(|size| size.parse().ok()).collect();
            let mut slice = Self::whole(&shape?);
            if extents.len() != slice.shape.len() {
                return None;
            }
            for (axis, extent) in extents.into_iter().enumerate() {
                if extent == "-" {
                    continue;
                }
                let (start, length) = extent.split_once(',')?;
                let (start, length): (usize, usize) = (start.parse().ok()?, length.parse().ok()?);
                let size = slice.shape.get_mut(axis)?;
                if start.checked_add(length)? > *size {
                    return None;
                }
                *size = length;
                *slice.start.get_mut(axis)? = start;
            }
            Some(slice)
        };
        parse().map(Some).ok_or_else(|| text.to_owned())
    }

    pub(super) fn elements(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size))
    }

    /// Does it reach beyond a variable of this shape?
    pub(super) fn is_outside(&self, shape: &[usize]) -> bool {
        self.shape.len() != shape.len()
            || (self.start.iter().zip(&self.shape))
                .zip(shape)
                .any(|((start, size), whole)| {
                    start.checked_add(*size).is_none_or(|end| end > *whole)
                })
    }

    /// What both cover.
    pub(super) fn common(&self, other: &Self) -> Option<Self> {
        let mut common = self.clone();
        let theirs = other.start.iter().zip(&other.shape);
        let ours = common.start.iter_mut().zip(&mut common.shape);
        for ((start, size), (other_start, other_size)) in ours.zip(theirs) {
            let end = (*start + *size).min(other_start + other_size);
            *start = (*start).max(*other_start);
            *size = end.checked_sub(*start).filter(|&size| size > 0)?;
        }
        Some(common)
    }
}

/// Copies what both slices of one variable cover from `bytes`, which hold `from`, to `target`,
/// which holds `to`. Returns the number of elements.
pub(super) fn copy(
    from: &Slice,
    bytes: &[u8],
    to: &Slice,
    target: &mut [u8],
    element: usize,
) -> Option<usize> {
    let Some(common) = from.common(to) else {
        return Some(0);
    };
    let rank = common.shape.len();
    let row = match rank.checked_sub(1) {
        Some(last) => common.shape.get(last)?.checked_mul(element)?,
        None => element,
    };
    let outer = common.shape.get(..rank.saturating_sub(1))?.to_vec();
    let rows: usize = outer.iter().product();
    let mut at = vec![0usize; outer.len()];
    let offset = |slice: &Slice, at: &[usize]| {
        let mut offset = 0usize;
        for axis in 0..rank {
            let inner = at.get(axis).copied().unwrap_or(0);
            let place = common.start.get(axis)? + inner - slice.start.get(axis)?;
            offset = offset.checked_mul(*slice.shape.get(axis)?)? + place;
        }
        offset.checked_mul(element)
    };
    for _ in 0..rows {
        let (source, sink) = (offset(from, &at)?, offset(to, &at)?);
        let source = bytes.get(source..source.checked_add(row)?)?;
        let sink = target.get_mut(sink..sink.checked_add(row)?)?;
        sink.copy_from_slice(source);
        for axis in (0..outer.len()).rev() {
            at[axis] += 1;
            if at[axis] < outer[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    common.elements()
}

/// The key under which the index lists a slice: its variable's name and its extents in a code that
/// sorts as they do.
pub(super) fn key(name: &str, slice: &TensorSliceProto) -> Vec<u8> {
    let mut key = vec![0];
    for &byte in name.as_bytes() {
        match byte {
            0 => key.extend_from_slice(&[0, 0xff]),
            0xff => key.extend_from_slice(&[0xff, 0]),
            byte => key.push(byte),
        }
    }
    key.extend_from_slice(&[0, 1]);
    unsigned(slice.extent.len(), &mut key);
    for extent in &slice.extent {
        signed(extent.start, &mut key);
        signed(extent.length.unwrap_or(-1), &mut key);
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
    use crate::tensorflow::proto::generated::tensor_slice_proto::Extent;

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
        let slice = TensorSliceProto {
            extent: vec![
                Extent {
                    start: 5,
                    length: Some(64),
                },
                Extent::default(),
            ],
        };
        assert_eq!(
            key("w", &slice),
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

    #[test]
    fn specifications_are_read() {
        let slice = |start: &[usize], shape: &[usize]| {
            Some(Slice {
                start: start.to_vec(),
                shape: shape.to_vec(),
            })
        };
        for (text, expected) in [
            ("", Ok(None)),
            ("10 4 0,5:-", Ok(slice(&[0, 0], &[5, 4]))),
            ("10 4 5,5:1,2", Ok(slice(&[5, 1], &[5, 2]))),
            ("10 5,6", Err("10 5,6".into())),
            ("10 4 0,5", Err("10 4 0,5".into())),
            ("x", Err("x".into())),
        ] {
            assert_eq!(Slice::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_slices_have_in_common_is_copied() {
        let whole: Vec<u8> = (0..24).collect();
        let all = Slice::whole(&[2, 3, 4]);
        let part = Slice {
            start: vec![1, 1, 2],
            shape: vec![1, 2, 2],
        };
        let mut out = [0; 4];
        assert_eq!(copy(&all, &whole, &part, &mut out, 1), Some(4));
        assert_eq!(out, [18, 19, 22, 23]);
        let mut back = [0; 24];
        assert_eq!(copy(&part, &out, &all, &mut back, 1), Some(4));
        assert_eq!(back[18..], [18, 19, 0, 0, 22, 23]);
        let scalar = Slice::whole(&[]);
        let mut one = [0; 4];
        assert_eq!(copy(&scalar, &[1, 2, 3, 4], &scalar, &mut one, 4), Some(1));
        assert_eq!(one, [1, 2, 3, 4]);
    }
}
