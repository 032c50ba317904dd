use crate::OpError;
use crate::error::shape_error;
use crate::strided::{Dims, Strided, row_major};

/// `N` tensors broadcast against one another after NumPy's rules, which are TensorFlow's.
#[derive(Debug)]
pub(crate) struct Broadcast<const N: usize> {
    shape: Dims,
    walk: Strided<N>,
}

impl<const N: usize> Broadcast<N> {
    /// Fails where a dimension has two sizes that are not 1.
    pub(crate) fn new(shapes: [&[usize]; N]) -> Result<Self, OpError> {
        let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
        let mut strides = [[0; _]; N];
        for (strides, shape) in strides.iter_mut().zip(shapes) {
            *strides = row_major(shape)?;
        }
        let mut shape = Dims::new();
        let mut walk = Strided::new();
        for dim in 0..rank {
            let size_in = |n: usize| {
                (dim + shapes[n].len())
                    .checked_sub(rank)
                    .map_or(1, |dim| shapes[n][dim])
            };
            let size = (0..N).map(size_in).find(|&size| size != 1).unwrap_or(1);
            let mut dim_strides = [0; N];
            for n in 0..N {
                match size_in(n) {
                    1 => {}
                    other if other == size => {
                        dim_strides[n] = strides[n][dim + shapes[n].len() - rank];
                    }
                    _ => return Err(shape_error!("shapes {shapes:?} do not broadcast")),
                }
            }
            shape.push(size)?;
            walk.push(size, dim_strides)?;
        }
        Ok(Self { shape, walk })
    }

    /// The common shape.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Calls `row(offsets, len, steps)` for every run of `len` results, in row-major order. A
    /// step is 1, or 0 where one element serves the whole run.
    #[inline]
    pub(crate) fn rows(&self, mut row: impl FnMut([usize; N], usize, [usize; N])) {
        self.walk.rows([0; N], |offsets, len, strides| {
            row(
                offsets.map(|offset| offset as usize),
                len,
                strides.map(|stride| stride as usize),
            );
        });
    }
}

impl Broadcast<2> {
    /// `out = f(a, b)`.
    #[inline]
    pub(crate) fn zip<A: Copy, B: Copy, U: Copy>(
        &self,
        a: &[A],
        b: &[B],
        out: &mut [U],
        f: impl Fn(A, B) -> U,
    ) {
        let mut at = 0;
        self.rows(|[i, j], len, steps| {
            let out = &mut out[at..at + len];
            at += len;
            match steps {
                [1, 1] => {
                    for ((out, &a), &b) in out.iter_mut().zip(&a[i..i + len]).zip(&b[j..j + len]) {
                        *out = f(a, b);
                    }
                }
                [1, _] => {
                    let b = b[j];
                    for (out, &a) in out.iter_mut().zip(&a[i..i + len]) {
                        *out = f(a, b);
                    }
                }
                [_, 1] => {
                    let a = a[i];
                    for (out, &b) in out.iter_mut().zip(&b[j..j + len]) {
                        *out = f(a, b);
                    }
                }
                _ => out.fill(f(a[i], b[j])),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_from_the_right() {
        for (a, b, expected) in [
            (&[2, 3][..], &[3][..], Some(&[2, 3][..])),
            (&[2, 1], &[1, 4], Some(&[2, 4])),
            (&[], &[5], Some(&[5])),
            (&[0, 1], &[1, 3], Some(&[0, 3])),
            (&[0], &[1], Some(&[0])),
            (&[2], &[0], None),
            (&[2, 3], &[2], None),
        ] {
            let broadcast = Broadcast::new([a, b]);
            match (&broadcast, expected) {
                (Ok(broadcast), Some(expected)) => assert_eq!(broadcast.shape(), expected),
                (Err(OpError::Shape { .. }), None) => {}
                other => panic!("{a:?} {b:?} {other:?}"),
            }
        }
    }

    #[test]
    fn operands_repeat_along_broadcast_dimensions() {
        let broadcast = Broadcast::new([&[2, 1], &[3]]).unwrap();
        let mut out = [0; 6];
        broadcast.zip(&[10, 20], &[1, 2, 3], &mut out, |a, b| a + b);
        assert_eq!(out, [11, 12, 13, 21, 22, 23]);
    }
}
