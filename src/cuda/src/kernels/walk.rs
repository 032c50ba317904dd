//! Walks over tensors with any strides: broadcasting, slicing, transposing, joining and reducing
//! are one loop each.

/// The most dimensions that a kernel walks over, after those that lie together were merged.
pub const MAX_DIMS: usize = 8;

/// Dimensions, outermost first, with a start and strides in each of `N` row-major tensors. Sizes,
/// starts and strides count elements; strides may be 0 or negative.
///
/// ```
/// use tfjet_cuda::kernels::Walk;
///
/// // Columns 1 and 2 of a [4, 5] tensor, packed.
/// let mut columns = Walk::new([1, 0]);
/// columns.push(4, [5, 2]);
/// columns.push(2, [1, 1]);
/// assert_eq!(columns.points(), Some(8));
/// assert_eq!(columns.reach(0), Some((1, 17)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk<const N: usize> {
    start: [i64; N],
    dims: Vec<(usize, [i64; N])>,
    empty: bool,
}

impl<const N: usize> Walk<N> {
    /// One point.
    pub fn new(start: [i64; N]) -> Self {
        Self {
            start,
            dims: Vec::new(),
            empty: false,
        }
    }

    /// Adds an innermost dimension, merged with the one before where the strides allow.
    pub fn push(&mut self, size: usize, strides: [i64; N]) {
        self.empty |= size == 0;
        if size == 1 || self.empty {
            return;
        }
        if let (Some((last, outer)), Ok(length)) = (self.dims.last_mut(), i64::try_from(size)) {
            let inner = strides.map(|stride| stride.checked_mul(length));
            let together = outer.map(Some) == inner;
            if let (true, Some(merged)) = (together, last.checked_mul(size)) {
                *last = merged;
                *outer = strides;
                return;
            }
        }
        self.dims.push((size, strides));
    }

    /// The walk over all elements of tensors that broadcast after NumPy's rules, with the common
    /// shape; nothing where a dimension has two sizes that are not 1.
    pub fn broadcast(shapes: [&[usize]; N]) -> Option<(Vec<usize>, Self)> {
        let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
        let strides = shapes.map(row_major);
        let mut walk = Self::new([0; N]);
        let mut common = Vec::with_capacity(rank);
        for dim in 0..rank {
            let own = |n: usize| (dim + shapes[n].len()).checked_sub(rank);
            let size_in = |n: usize| own(n).map_or(1, |dim| shapes[n][dim]);
            let size = (0..N).map(size_in).find(|&size| size != 1).unwrap_or(1);
            let mut steps = [0; N];
            for (n, step) in steps.iter_mut().enumerate() {
                match (size_in(n), own(n)) {
                    (1, _) | (_, None) => {}
                    (other, Some(dim)) if other == size => *step = strides[n][dim],
                    _ => return None,
                }
            }
            common.push(size);
            walk.push(size, steps);
        }
        Some((common, walk))
    }

    /// Number of points; nothing where it does not fit.
    pub fn points(&self) -> Option<usize> {
        if self.empty {
            return Some(0);
        }
        self.dims
            .iter()
            .try_fold(1usize, |points, &(size, _)| points.checked_mul(size))
    }

    /// The first and the last element of tensor `n` that the walk meets; nothing where it meets
    /// none, or where a position does not fit.
    pub fn reach(&self, n: usize) -> Option<(i64, i64)> {
        if self.empty {
            return None;
        }
        let start = *self.start.get(n)?;
        self.dims
            .iter()
            .try_fold((start, start), |(low, high), (size, strides)| {
                let steps = i64::try_from(*size).ok()?.checked_sub(1)?;
                let way = strides[n].checked_mul(steps)?;
                Some((low.checked_add(way.min(0))?, high.checked_add(way.max(0))?))
            })
    }

    /// Does every point lie within `elements` elements of tensor `n`?
    pub(super) fn stays_within(&self, n: usize, elements: usize) -> bool {
        self.empty
            || self.reach(n).is_some_and(|(low, high)| {
                low >= 0 && usize::try_from(high).is_ok_and(|high| high < elements)
            })
    }

    /// Stride of tensor `n` along the innermost dimension.
    pub(super) fn innermost(&self, n: usize) -> i64 {
        self.dims.last().map_or(1, |(_, strides)| strides[n])
    }

    /// Does every tensor's part lie together, from its first element on?
    pub(super) fn is_plain(&self) -> bool {
        let together = match self.dims.as_slice() {
            [] => true,
            [(_, strides)] => *strides == [1; N],
            _ => false,
        };
        together && self.start == [0; N]
    }

    /// The members of the kernels' structure; nothing where there are more than [`MAX_DIMS`]
    /// dimensions.
    pub(super) fn members(&self) -> Option<Vec<i64>> {
        if self.dims.len() > MAX_DIMS {
            return None;
        }
        let mut members = Vec::with_capacity(1 + MAX_DIMS + N * (1 + MAX_DIMS));
        members.push(i64::try_from(self.dims.len().max(1)).ok()?);
        let padded = |values: &mut dyn Iterator<Item = i64>, with: i64, into: &mut Vec<i64>| {
            let end = into.len() + MAX_DIMS;
            into.extend(values);
            into.resize(end, with);
        };
        let sizes: Option<Vec<i64>> = self
            .dims
            .iter()
            .map(|&(size, _)| i64::try_from(size).ok())
            .collect();
        padded(&mut sizes?.into_iter(), 1, &mut members);
        for (n, &start) in self.start.iter().enumerate() {
            members.push(start);
            padded(
                &mut self.dims.iter().map(|(_, strides)| strides[n]),
                0,
                &mut members,
            );
        }
        Some(members)
    }
}

/// Strides of a row-major tensor, in elements; without meaning where they do not fit.
pub fn row_major(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for dim in (1..shape.len()).rev() {
        let size = i64::try_from(shape[dim]).unwrap_or(i64::MAX);
        strides[dim - 1] = strides[dim].saturating_mul(size);
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets as the kernels compute them from the structure's members, with wrapping 32-bit
    /// arithmetic.
    fn offsets<const N: usize>(walk: &Walk<N>, point: u32) -> [u32; N] {
        let members: Vec<u32> = walk.members().unwrap().iter().map(|&m| m as u32).collect();
        let (sizes, tensors) = members[1..].split_at(MAX_DIMS);
        let mut offsets = [0; N];
        let mut rest = point;
        let mut positions = [0; MAX_DIMS];
        for dim in (1..members[0] as usize).rev() {
            positions[dim] = rest % sizes[dim];
            rest /= sizes[dim];
        }
        positions[0] = rest;
        for (offset, tensor) in offsets.iter_mut().zip(tensors.chunks(1 + MAX_DIMS)) {
            *offset = tensor[0];
            for (position, stride) in positions.iter().zip(&tensor[1..]) {
                *offset = offset.wrapping_add(position.wrapping_mul(*stride));
            }
        }
        offsets
    }

    #[test]
    fn dimensions_that_lie_together_merge() {
        let mut walk = Walk::new([5]);
        for (size, stride) in [(2, 12), (3, 4), (1, 9), (4, 1)] {
            walk.push(size, [stride]);
        }
        assert_eq!(walk.dims, [(24, [1])]);
        assert_eq!(walk.reach(0), Some((5, 28)));
        assert!(!walk.is_plain());
        assert!(walk.stays_within(0, 29));
        assert!(!walk.stays_within(0, 28));
    }

    #[test]
    fn broadcasting_repeats_elements() {
        let (shape, walk) = Walk::broadcast([&[2, 1, 3], &[4, 1]]).unwrap();
        assert_eq!(shape, [2, 4, 3]);
        for point in 0..24 {
            let (i, j, k) = (point / 12, point / 3 % 4, point % 3);
            assert_eq!(offsets(&walk, point), [i * 3 + k, j]);
        }
        assert!(walk.stays_within(0, 6) && walk.stays_within(1, 4));
        assert!(Walk::broadcast([&[2], &[3]]).is_none());
        let (shape, scalar) = Walk::broadcast([&[2, 3], &[]]).unwrap();
        assert_eq!((shape.as_slice(), scalar.dims.len()), (&[2, 3][..], 1));
        let (shape, none) = Walk::broadcast([&[0, 3], &[1, 1]]).unwrap();
        assert_eq!((shape.as_slice(), none.points()), (&[0, 3][..], Some(0)));
    }

    #[test]
    fn negative_strides_wrap_to_the_right_offset() {
        let mut reversed = Walk::new([5, 0]);
        reversed.push(3, [-2, 2]);
        reversed.push(2, [-1, 1]);
        assert_eq!(reversed.reach(0), Some((0, 5)));
        for point in 0..6 {
            assert_eq!(offsets(&reversed, point), [5 - point, point]);
        }
    }

    #[test]
    fn what_does_not_fit_is_noticed() {
        let mut huge = Walk::new([0]);
        huge.push(usize::MAX, [1]);
        huge.push(2, [3]);
        assert_eq!((huge.points(), huge.reach(0)), (None, None));
        assert!(!huge.stays_within(0, usize::MAX));

        let mut deep = Walk::new([0]);
        for dim in 0..9 {
            deep.push(2, [7i64.pow(dim)]);
        }
        assert_eq!(deep.members(), None);
    }
}
