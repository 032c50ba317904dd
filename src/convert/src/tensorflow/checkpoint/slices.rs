//! Slices of variables: their specification, their keys in the index, and copies between them.

use super::{slice_key, values};
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

    /// Fails where it reaches beyond a variable of this shape.
    pub(super) fn check_within(&self, shape: &[usize]) -> Result<(), String> {
        let is_within = self.shape.len() == shape.len()
            && (self.start.iter().zip(&self.shape))
                .zip(shape)
                .all(|((start, size), whole)| {
                    start.checked_add(*size).is_some_and(|end| end <= *whole)
                });
        match is_within {
            true => Ok(()),
            false => Err(format!(
                "its shape is {shape:?}, the graph asks for {:?} from {:?}",
                self.shape, self.start
            )),
        }
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

/// The bytes of `target`, put together from parts of the same variable. Parts that overlap or leave
/// a gap are an error. No more memory is taken than the parts have within `target`, and a byte for
/// each element.
pub(super) fn assemble(
    parts: &[(&Slice, &[u8])],
    target: &Slice,
    element: usize,
) -> Result<Vec<u8>, String> {
    let gap = || "its parts do not cover it, or overlap".to_owned();
    let held = parts.iter().try_fold(0usize, |sum, (slice, _)| {
        let common = slice.common(target);
        sum.checked_add(common.map_or(Some(0), |common| common.elements())?)
    });
    if held.is_none() || held != target.elements() {
        return Err(gap());
    }
    let mut bytes = values::zeros(target, element)?;
    for (slice, from) in parts {
        copy(slice, from, target, &mut bytes, element).ok_or("is damaged")?;
    }
    if parts.len() > 1 {
        let mut seen = values::zeros(target, 1)?;
        for (slice, _) in parts {
            if let Some(common) = slice.common(target) {
                let ones = vec![1; common.elements().unwrap_or(0)];
                copy(&common, &ones, target, &mut seen, 1).ok_or("is damaged")?;
            }
        }
        if seen.contains(&0) {
            return Err(gap());
        }
    }
    Ok(bytes)
}

/// Copies what both slices of one variable cover from `bytes`, which hold `from`, to `target`,
/// which holds `to`. Returns the number of elements.
fn copy(
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

/// The key under which a table lists a slice of a variable.
pub(super) fn key(name: &str, slice: &TensorSliceProto) -> Vec<u8> {
    let extents = slice.extent.iter();
    slice_key::key(name, extents.map(|extent| (extent.start, extent.length)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn parts_must_cover_and_not_overlap() {
        let part = |start, size| Slice {
            start: vec![start],
            shape: vec![size],
        };
        let whole = part(0, 4);
        let bytes = [7u8; 8];
        let parts = |all: &[(usize, usize)], target: &Slice| {
            let slices: Vec<Slice> = all.iter().map(|&(start, size)| part(start, size)).collect();
            let parts: Vec<(&Slice, &[u8])> = slices
                .iter()
                .map(|slice| (slice, &bytes[..slice.shape[0]]))
                .collect();
            assemble(&parts, target, 1)
        };
        assert_eq!(parts(&[(0, 3), (3, 1)], &whole), Ok(vec![7; 4]));
        assert_eq!(parts(&[(0, 3), (3, 1)], &part(2, 2)), Ok(vec![7; 2]));
        assert_eq!(parts(&[], &part(2, 0)), Ok(vec![]));
        for wrong in [&[(0, 3)][..], &[(0, 3), (0, 1)], &[(0, 4), (1, 1)], &[]] {
            let error = parts(wrong, &whole).unwrap_err();
            assert_eq!(error, "its parts do not cover it, or overlap");
        }
        // Nothing is allocated for what no part holds.
        let vast = part(0, usize::MAX / 2);
        assert!(parts(&[(0, 4)], &vast).is_err());
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
