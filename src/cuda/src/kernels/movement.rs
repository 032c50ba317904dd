//! Kernels that move elements and leave them as they are.

use super::element::elements;
use super::launch::{Program, Source, check, expect_shape, refuse_types, source};
use super::{DeviceTensor, ElementType, KernelError, Kernels, Walk, row_major};
use crate::{KernelArgument, Scope};

pub(super) static COPY: Source = source!("copy");
pub(super) static GATHER: Source = source!("gather");

impl Kernels {
    /// Copies the elements that `walk` meets in `from` to those that it meets in `to`: a slice, a
    /// transposition, a part of a concatenation. Both have one type, or are `I32` and `I64`. Where
    /// the walk meets an element of `to` twice, one of the values stays.
    ///
    /// # Errors
    /// [`KernelError`] where types or regions do not fit, or the walk leaves a tensor.
    pub fn copy(
        &self,
        scope: &Scope<'_, '_>,
        from: &DeviceTensor,
        to: &DeviceTensor,
        walk: &Walk<2>,
    ) -> Result<(), KernelError> {
        let index = check("copy", &[from, to])?;
        let [from_type, to_type] = from
            .dtype
            .moved(to.dtype)
            .ok_or_else(|| refuse_types("copy", &[from, to]))?;
        let points = walk
            .points()
            .filter(|_| {
                walk.stays_within(0, from.elements()) && walk.stays_within(1, to.elements())
            })
            .ok_or_else(|| KernelError::Shapes {
                kernel: "copy",
                detail: format!("the walk leaves {:?} or {:?}", from.shape, to.shape),
            })?;
        if walk.is_plain() && from.dtype == to.dtype {
            let bytes = points * from.dtype.size_bytes();
            if from.region.address() != to.region.address()
                && let Some(part) = from.region.slice(0, bytes)
            {
                scope.copy(&to.region, &part)?;
            }
            return Ok(());
        }
        let program = Program {
            source: &COPY,
            index,
            defines: &[("FROM", from_type), ("TO", to_type)],
        };
        let arguments = [
            KernelArgument::Read(&from.region),
            KernelArgument::Write(&to.region),
            KernelArgument::Bytes(&index.walk("copy", walk)?),
            KernelArgument::Bytes(&index.sizes(&[points])),
        ];
        // SAFETY: these are the arguments of `copy`; the walk stays within both tensors, which fit
        // their regions.
        unsafe { self.launch(scope, &program, points, &arguments) }
    }

    /// Dimension `i` of `out` is dimension `order[i]` of `x`.
    ///
    /// # Errors
    /// [`KernelError`] where `order` is no permutation, or types, shapes or regions do not fit.
    pub fn transpose(
        &self,
        scope: &Scope<'_, '_>,
        x: &DeviceTensor,
        order: &[usize],
        out: &DeviceTensor,
    ) -> Result<(), KernelError> {
        let (shape, walk) = transposed(&x.shape, order).ok_or_else(|| KernelError::Shapes {
            kernel: "transpose",
            detail: format!("{order:?} is no order of the dimensions of {:?}", x.shape),
        })?;
        expect_shape("transpose", &shape, out)?;
        self.copy(scope, x, out, &walk)
    }

    /// TensorFlow's `GatherV2`: the slices of `params` along `axis` at `indices` (`I32` or `I64`),
    /// whose first `batch_dims` dimensions are those of `params`. An index outside the axis gives
    /// zeros.
    ///
    /// # Errors
    /// [`KernelError`] where types, shapes or regions do not fit.
    pub fn gather(
        &self,
        scope: &Scope<'_, '_>,
        params: &DeviceTensor,
        indices: &DeviceTensor,
        axis: usize,
        batch_dims: usize,
        out: &DeviceTensor,
    ) -> Result<(), KernelError> {
        let index = check("gather", &[params, indices, out])?;
        let [from, to] = params
            .dtype
            .moved(out.dtype)
            .filter(|_| matches!(indices.dtype, ElementType::I32 | ElementType::I64))
            .ok_or_else(|| refuse_types("gather", &[params, indices, out]))?;
        let gathered = Gathered::new(&params.shape, &indices.shape, axis, batch_dims).ok_or_else(
            || KernelError::Shapes {
                kernel: "gather",
                detail: format!(
                    "axis {axis} and {batch_dims} batch dimensions do not fit {:?} and indices of \
                     {:?}",
                    params.shape, indices.shape
                ),
            },
        )?;
        expect_shape("gather", &gathered.shape, out)?;
        let program = Program {
            source: &GATHER,
            index,
            defines: &[
                ("FROM", from),
                ("TO", to),
                ("INDICES", indices.dtype.name()),
            ],
        };
        let arguments = [
            KernelArgument::Read(&params.region),
            KernelArgument::Read(&indices.region),
            KernelArgument::Write(&out.region),
            KernelArgument::Bytes(&index.sizes(&gathered.sizes)),
        ];
        // SAFETY: these are the arguments of `gather`, which takes no index outside the axis; the
        // sizes are those of the three tensors, which fit their regions.
        unsafe { self.launch(scope, &program, out.elements(), &arguments) }
    }
}

fn transposed(shape: &[usize], order: &[usize]) -> Option<(Vec<usize>, Walk<2>)> {
    let mut seen = vec![false; shape.len()];
    for &dim in order {
        if std::mem::replace(seen.get_mut(dim)?, true) {
            return None;
        }
    }
    if order.len() != shape.len() {
        return None;
    }
    let permuted: Vec<usize> = order.iter().map(|&dim| shape[dim]).collect();
    let (from, to) = (row_major(shape), row_major(&permuted));
    let mut walk = Walk::new([0, 0]);
    for (&dim, &stride) in order.iter().zip(&to) {
        walk.push(shape[dim], [from[dim], stride]);
    }
    Some((permuted, walk))
}

/// The shape of what is gathered, and the sizes that the kernel counts with.
#[derive(Debug, PartialEq, Eq)]
struct Gathered {
    shape: Vec<usize>,
    /// Slices before the axis and indices for each position of the batch dimensions, size of the
    /// axis, elements behind it, elements in all.
    sizes: [usize; 5],
}

impl Gathered {
    fn new(params: &[usize], indices: &[usize], axis: usize, batch_dims: usize) -> Option<Self> {
        let size = *params.get(axis)?;
        if batch_dims > axis || indices.get(..batch_dims)? != &params[..batch_dims] {
            return None;
        }
        let (own, behind) = (&indices[batch_dims..], &params[axis + 1..]);
        let shape = [&params[..axis], own, behind].concat();
        let sizes = [
            elements(&params[batch_dims..axis]),
            elements(own),
            size,
            elements(behind),
            elements(&shape),
        ];
        Some(Self { shape, sizes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_walks_the_input_in_the_order_of_the_output() {
        let (shape, walk) = transposed(&[2, 3, 4], &[2, 0, 1]).unwrap();
        assert_eq!(shape, [4, 2, 3]);
        let mut expected = Walk::new([0, 0]);
        expected.push(4, [1, 6]);
        expected.push(6, [4, 1]);
        assert_eq!(walk, expected);
        assert!(transposed(&[2, 3], &[1]).is_none());
        assert!(transposed(&[2, 3], &[1, 1]).is_none());
        assert!(transposed(&[2, 3], &[0, 2]).is_none());
        assert!(transposed(&[2, 1, 3], &[1, 0, 2]).unwrap().1.is_plain());
    }

    #[test]
    fn gathered_slices_replace_the_axis() {
        let gathered = Gathered::new(&[2, 5, 6, 3], &[2, 4], 2, 1).unwrap();
        assert_eq!(gathered.shape, [2, 5, 4, 3]);
        assert_eq!(gathered.sizes, [5, 4, 6, 3, 120]);
        let scalar = Gathered::new(&[7, 2], &[], 0, 0).unwrap();
        assert_eq!((scalar.shape, scalar.sizes), (vec![2], [1, 1, 7, 2, 2]));
        assert_eq!(Gathered::new(&[2, 5], &[3, 4], 1, 1), None);
        assert_eq!(Gathered::new(&[2, 5], &[2], 0, 1), None);
        assert_eq!(Gathered::new(&[2, 5], &[2], 2, 0), None);
        assert_eq!(Gathered::new(&[2, 5], &[], 1, 1), None);
    }
}
