use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{Indices, expect_same_dtype, output, reset, size, take};
use crate::error::{shape_error, value_error};
use crate::gather::{BadIndices, Points};
use crate::number::{Number, with_size, with_type};
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// What becomes of an element and the update for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Update {
    /// The last update for a place wins.
    Replace,
    Add,
    Sub,
    Max,
    Min,
}

/// `TensorScatterUpdate`, `-Add`, `-Sub`, `-Max` and `-Min`: a tensor with some places updated.
#[derive(Debug)]
struct TensorScatter {
    update: Update,
    bad: BadIndices,
}

pub(crate) fn tensor_scatter(
    reader: &AttrReader<'_>,
    update: Update,
) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(TensorScatter {
        update,
        bad: BadIndices::read(reader)?,
    }))
}

impl Kernel for TensorScatter {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [tensor, _, _] = take(inputs)?;
        output(outputs)?.copy_from(tensor)?;
        self.run_in_place(inputs, outputs)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn run_in_place(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
    ) -> Result<(), OpError> {
        let [_, indices, updates] = take(inputs)?;
        let target = output(outputs)?;
        expect_same_dtype(&[target.view(), *updates])?;
        let shape = target.shape().to_vec();
        let points = Points::new(indices, 1, &shape, self.bad)?;
        points.check_updates(updates, &shape)?;
        if updates.elements() == 0 {
            return Ok(());
        }
        if self.update == Update::Replace {
            return with_size!(updates.dtype(), N => {
                let target = target.bytes_mut().as_chunks_mut::<N>().0;
                let rows = updates.bytes().as_chunks::<N>().0.chunks_exact(points.slice);
                for (i, row) in rows.enumerate() {
                    let Some(to) = points.offset(i)? else {
                        continue;
                    };
                    target[to..to + points.slice].copy_from_slice(row);
                }
                Ok(())
            });
        }
        with_type!(numbers, 2, updates.dtype(), T => {
            let target = target.as_mut_slice::<T>()?;
            let rows = updates.as_slice::<T>()?.chunks_exact(points.slice);
            for (i, row) in rows.enumerate() {
                let Some(to) = points.offset(i)? else {
                    continue;
                };
                for (slot, &value) in target[to..to + points.slice].iter_mut().zip(row) {
                    *slot = match self.update {
                        Update::Add | Update::Replace => slot.plus(value),
                        Update::Sub => slot.minus(value),
                        Update::Max => slot.greater(value),
                        Update::Min => slot.lesser(value),
                    };
                }
            }
            Ok(())
        })
    }
}

/// `SparseToDense`.
#[derive(Debug)]
struct SparseToDense;

pub(crate) fn sparse_to_dense() -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(SparseToDense))
}

impl Kernel for SparseToDense {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [places, shape_view, values, rest] = take(inputs)?;
        let dense = output(outputs)?;
        expect_same_dtype(&[*rest, *values])?;
        let mut shape = Dims::new();
        for dim in Indices::vector(1, shape_view)?.iter() {
            shape.push(size("a dimension", dim)?)?;
        }
        let indices = Indices::new(0, places)?;
        let (count, depth) = match *places.shape() {
            [] => (1, 1),
            [count] => (count, 1),
            [count, depth] => (count, depth),
            ref other => return Err(shape_error!("indices of shape {other:?}")),
        };
        if depth != shape.len() {
            return Err(shape_error!("indices of depth {depth} into {:?}", &*shape));
        }
        if rest.elements() != 1 || !(values.shape().is_empty() || values.shape() == [count]) {
            return Err(shape_error!(
                "values of shape {:?} for {count} places",
                values.shape()
            ));
        }
        reset(dense, rest.dtype(), &shape)?;
        let item = rest.dtype().size_bytes();
        for slot in dense.bytes_mut().chunks_exact_mut(item) {
            slot.copy_from_slice(rest.bytes());
        }
        for i in 0..count {
            let mut at = 0;
            for (dim, &size) in shape.iter().enumerate() {
                let index = indices.get(i * depth + dim);
                match usize::try_from(index) {
                    Ok(index) if index < size => at = at * size + index,
                    _ => {
                        return Err(value_error!(
                            "indices[{i},{dim}] is {index}, outside [0, {size})"
                        ));
                    }
                }
            }
            let from = if values.shape().is_empty() { 0 } else { i } * item;
            dense.bytes_mut()[at * item..(at + 1) * item]
                .copy_from_slice(&values.bytes()[from..from + item]);
        }
        Ok(())
    }
}
