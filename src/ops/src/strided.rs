//! Walks over tensors in row-major order with any strides, the one loop behind broadcasting,
//! slicing, transposing, tiling and reducing.

use std::ops::{Deref, DerefMut};

use crate::OpError;
use crate::error::shape_error;

/// The most dimensions that a walk has.
pub(crate) const MAX_DIMS: usize = 20;

/// A shape without an allocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dims {
    len: usize,
    sizes: [usize; MAX_DIMS],
}

impl Dims {
    pub(crate) fn new() -> Self {
        Self {
            len: 0,
            sizes: [0; MAX_DIMS],
        }
    }

    pub(crate) fn from_slice(sizes: &[usize]) -> Result<Self, OpError> {
        let mut dims = Self::new();
        sizes.iter().try_for_each(|&size| dims.push(size))?;
        Ok(dims)
    }

    pub(crate) fn push(&mut self, size: usize) -> Result<(), OpError> {
        let slot = self
            .sizes
            .get_mut(self.len)
            .ok_or_else(|| shape_error!("more than {MAX_DIMS} dimensions"))?;
        *slot = size;
        self.len += 1;
        Ok(())
    }

    pub(crate) fn extend(&mut self, sizes: &[usize]) -> Result<(), OpError> {
        sizes.iter().try_for_each(|&size| self.push(size))
    }
}

impl DerefMut for Dims {
    fn deref_mut(&mut self) -> &mut [usize] {
        &mut self.sizes[..self.len]
    }
}

impl Deref for Dims {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.sizes[..self.len]
    }
}

/// Strides of a row-major tensor, in elements. Meaningless, but safe, for one without elements.
pub(crate) fn row_major(shape: &[usize]) -> Result<[isize; MAX_DIMS], OpError> {
    if shape.len() > MAX_DIMS {
        return Err(shape_error!("more than {MAX_DIMS} dimensions"));
    }
    let mut strides = [0; MAX_DIMS];
    let mut stride = 1isize;
    for (i, &size) in shape.iter().enumerate().rev() {
        if size > isize::MAX as usize {
            return Err(shape_error!("dimension {i} of {shape:?} is too large"));
        }
        strides[i] = stride;
        stride = stride.wrapping_mul(size as isize);
    }
    Ok(strides)
}

/// Dimensions with `N` strides each: `N` tensors that are walked together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strided<const N: usize> {
    rank: usize,
    empty: bool,
    sizes: [usize; MAX_DIMS],
    strides: [[isize; N]; MAX_DIMS],
}

impl<const N: usize> Strided<N> {
    /// One point.
    pub(crate) fn new() -> Self {
        Self {
            rank: 0,
            empty: false,
            sizes: [1; MAX_DIMS],
            strides: [[0; N]; MAX_DIMS],
        }
    }

    /// Adds an innermost dimension, merged with the one before where the strides allow.
    pub(crate) fn push(&mut self, size: usize, strides: [isize; N]) -> Result<(), OpError> {
        if size == 0 {
            self.empty = true;
        }
        if size == 1 || self.empty {
            return Ok(());
        }
        if let Some(last) = self.rank.checked_sub(1) {
            let mergeable =
                (0..N).all(|n| self.strides[last][n] == strides[n].wrapping_mul(size as isize));
            if mergeable {
                self.sizes[last] = self.sizes[last].saturating_mul(size);
                self.strides[last] = strides;
                return Ok(());
            }
        }
        if self.rank == MAX_DIMS {
            return Err(shape_error!("more than {MAX_DIMS} dimensions"));
        }
        self.sizes[self.rank] = size;
        self.strides[self.rank] = strides;
        self.rank += 1;
        Ok(())
    }

    /// Calls `row(offsets, len, strides)` for every run along the innermost dimension, in
    /// row-major order, with offsets counted from `start`.
    #[inline]
    pub(crate) fn rows(
        &self,
        start: [isize; N],
        mut row: impl FnMut([isize; N], usize, [isize; N]),
    ) {
        if self.empty {
            return;
        }
        let outer = self.rank.saturating_sub(1);
        let (len, strides) = (self.sizes[outer], self.strides[outer]);
        let mut position = [0usize; MAX_DIMS];
        let mut offsets = start;
        loop {
            row(offsets, len, strides);
            let mut dim = outer;
            loop {
                if dim == 0 {
                    return;
                }
                dim -= 1;
                position[dim] += 1;
                for (offset, stride) in offsets.iter_mut().zip(self.strides[dim]) {
                    *offset += stride;
                }
                if position[dim] < self.sizes[dim] {
                    break;
                }
                for (offset, stride) in offsets.iter_mut().zip(self.strides[dim]) {
                    *offset -= stride * self.sizes[dim] as isize;
                }
                position[dim] = 0;
            }
        }
    }

    /// Calls `point(offsets)` for every point in row-major order.
    #[inline]
    pub(crate) fn points(&self, start: [isize; N], mut point: impl FnMut([isize; N])) {
        self.rows(start, |mut offsets, len, strides| {
            for _ in 0..len {
                point(offsets);
                for (offset, stride) in offsets.iter_mut().zip(strides) {
                    *offset += stride;
                }
            }
        });
    }
}

impl Strided<1> {
    /// Fills `target` with the elements of `source` that the walk meets.
    pub(crate) fn copy<T: Copy>(&self, start: isize, source: &[T], target: &mut [T]) {
        let mut at = 0;
        self.rows([start], |[from], len, [stride]| {
            let row = &mut target[at..at + len];
            at += len;
            match stride {
                1 => row.copy_from_slice(&source[from as usize..from as usize + len]),
                0 => row.fill(source[from as usize]),
                _ => {
                    let mut from = from;
                    for slot in row {
                        *slot = source[from as usize];
                        from += stride;
                    }
                }
            }
        });
    }
}

impl Strided<2> {
    /// Copies the elements that the first tensor's offsets meet to the second one's.
    pub(crate) fn scatter<T: Copy>(&self, start: [isize; 2], source: &[T], target: &mut [T]) {
        self.rows(start, |[mut from, mut to], len, strides| {
            if strides == [1, 1] {
                let (from, to) = (from as usize, to as usize);
                target[to..to + len].copy_from_slice(&source[from..from + len]);
                return;
            }
            for _ in 0..len {
                target[to as usize] = source[from as usize];
                from += strides[0];
                to += strides[1];
            }
        });
    }

    /// [`Strided::scatter`] the other way: from the second tensor's offsets to the first one's.
    pub(crate) fn gather<T: Copy>(&self, start: [isize; 2], source: &[T], target: &mut [T]) {
        self.rows(start, |[mut to, mut from], len, strides| {
            for _ in 0..len {
                target[to as usize] = source[from as usize];
                to += strides[0];
                from += strides[1];
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contiguous_dimensions_merge_into_one_row() {
        let mut walk = Strided::new();
        for (size, stride) in [(2, 12), (3, 4), (1, 9), (4, 1)] {
            walk.push(size, [stride]).unwrap();
        }
        let mut rows = Vec::new();
        walk.rows([5], |offset, len, stride| rows.push((offset, len, stride)));
        assert_eq!(rows, [([5], 24, [1])]);
    }

    #[test]
    fn walks_follow_their_strides_in_row_major_order() {
        let mut walk = Strided::new();
        walk.push(3, [-1]).unwrap();
        walk.push(2, [3]).unwrap();
        let mut target = [0; 6];
        walk.copy(2, &[0, 1, 2, 3, 4, 5], &mut target);
        assert_eq!(target, [2, 5, 1, 4, 0, 3]);
    }

    #[test]
    fn a_walk_without_points_has_no_rows() {
        let mut walk = Strided::new();
        walk.push(usize::MAX, [1]).unwrap();
        walk.push(0, [1]).unwrap();
        walk.push(usize::MAX, [isize::MAX]).unwrap();
        walk.rows([0], |_, _, _| panic!("a row"));
    }
}
