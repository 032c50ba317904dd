use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{
    Indices, axis, expect_count, expect_same_dtype, integer, output, product, reset, take,
};
use crate::binary::count;
use crate::error::{shape_error, value_error};
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// Interleaves `parts`, each cut into as many equal pieces as there are `rows`.
fn join<'a>(rows: usize, parts: impl Iterator<Item = &'a [u8]> + Clone, target: &mut [u8]) {
    let mut at = 0;
    for row in 0..rows {
        for part in parts.clone() {
            let piece = part.len() / rows;
            target[at..at + piece].copy_from_slice(&part[row * piece..(row + 1) * piece]);
            at += piece;
        }
    }
}

/// Copies the pieces of `source` that belong to the part that starts `at` bytes into each row.
fn part(rows: usize, source: &[u8], at: usize, target: &mut [u8]) {
    if rows == 0 || target.is_empty() {
        return;
    }
    let (row, piece) = (source.len() / rows, target.len() / rows);
    for (target, source) in target.chunks_exact_mut(piece).zip(source.chunks_exact(row)) {
        target.copy_from_slice(&source[at..at + piece]);
    }
}

/// `Concat` (the axis comes first) and `ConcatV2` (the axis comes last).
#[derive(Debug)]
struct Concat {
    axis_first: bool,
    values: Option<usize>,
}

pub(crate) fn concat(
    reader: &AttrReader<'_>,
    axis_first: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Concat {
        axis_first,
        values: count(reader, "N")?,
    }))
}

impl Kernel for Concat {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        if let Some(values) = self.values {
            expect_count(inputs, values.saturating_add(1))?;
        }
        let split = if self.axis_first {
            inputs.split_first().map(|(dim, values)| (0, dim, values))
        } else {
            inputs
                .split_last()
                .map(|(dim, values)| (inputs.len() - 1, dim, values))
        };
        let Some((position, dim, values @ [first, rest @ ..])) = split else {
            return Err(OpError::InputCount {
                expected: 2,
                actual: inputs.len(),
            });
        };
        expect_same_dtype(values)?;
        let shape = first.shape();
        let axis = axis(integer(position, dim)?, shape.len())?;
        let mut joined = Dims::from_slice(shape)?;
        for other in rest.iter().map(TensorView::shape) {
            let fits = other.len() == shape.len()
                && (0..shape.len()).all(|dim| dim == axis || other[dim] == shape[dim]);
            if !fits {
                return Err(shape_error!(
                    "shapes {shape:?} and {other:?} differ outside axis {axis}"
                ));
            }
            joined[axis] = joined[axis].saturating_add(other[axis]);
        }
        let target = output(outputs)?;
        reset(target, first.dtype(), &joined)?;
        if target.elements() > 0 {
            let parts = values.iter().map(TensorView::bytes);
            join(product(&shape[..axis]), parts, target.bytes_mut());
        }
        Ok(())
    }
}

/// `Pack`.
#[derive(Debug)]
struct Pack {
    axis: i64,
    values: Option<usize>,
}

pub(crate) fn pack(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Pack {
        axis: reader.int_or("axis", 0)?,
        values: count(reader, "N")?,
    }))
}

impl Kernel for Pack {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        expect_count(inputs, self.values.unwrap_or(inputs.len().max(1)))?;
        expect_same_dtype(inputs)?;
        let Some(first) = inputs.first() else {
            return Err(OpError::InputCount {
                expected: 1,
                actual: 0,
            });
        };
        let shape = first.shape();
        if let Some(other) = inputs.iter().find(|other| other.shape() != shape) {
            return Err(shape_error!(
                "inputs have shapes {shape:?} and {:?}",
                other.shape()
            ));
        }
        let axis = axis(self.axis, shape.len() + 1)?;
        let mut packed = Dims::from_slice(&shape[..axis])?;
        packed.push(inputs.len())?;
        packed.extend(&shape[axis..])?;
        let target = output(outputs)?;
        reset(target, first.dtype(), &packed)?;
        if target.elements() > 0 {
            let parts = inputs.iter().map(TensorView::bytes);
            join(product(&shape[..axis]), parts, target.bytes_mut());
        }
        Ok(())
    }
}

/// `Unpack`.
#[derive(Debug)]
struct Unpack {
    axis: i64,
    num: usize,
}

pub(crate) fn unpack(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Unpack {
        axis: reader.int_or("axis", 0)?,
        num: usize::try_from(reader.int("num")?)
            .map_err(|_| value_error!("attribute `num` must not be negative"))?,
    }))
}

impl Kernel for Unpack {
    fn output_count(&self) -> usize {
        self.num
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [value] = take(inputs)?;
        let shape = value.shape();
        let axis = axis(self.axis, shape.len())?;
        if shape[axis] != self.num {
            return Err(shape_error!(
                "axis {axis} of {shape:?} does not unpack into {} outputs",
                self.num
            ));
        }
        let mut unpacked = Dims::from_slice(&shape[..axis])?;
        unpacked.extend(&shape[axis + 1..])?;
        split_into(
            value,
            axis,
            &unpacked,
            (0..self.num).map(|_| 1),
            outputs,
            false,
        )
    }
}

/// Splits `value` along `axis` into outputs of `sizes`; the outputs have `shape`, with its size
/// along the axis replaced where `keep_axis`.
fn split_into(
    value: &TensorView<'_>,
    axis: usize,
    shape: &[usize],
    sizes: impl ExactSizeIterator<Item = usize>,
    outputs: &mut [Tensor],
    keep_axis: bool,
) -> Result<(), OpError> {
    if outputs.len() != sizes.len() {
        return Err(OpError::OutputCount {
            expected: sizes.len(),
            actual: outputs.len(),
        });
    }
    let rows = product(&value.shape()[..axis]);
    let inner = product(&value.shape()[axis + 1..]).saturating_mul(value.dtype().size_bytes());
    let mut shape = Dims::from_slice(shape)?;
    let mut at = 0;
    for (size, target) in sizes.zip(outputs) {
        if keep_axis {
            shape[axis] = size;
        }
        reset(target, value.dtype(), &shape)?;
        part(rows, value.bytes(), at, target.bytes_mut());
        at = at.saturating_add(size.saturating_mul(inner));
    }
    Ok(())
}

/// `Split`.
#[derive(Debug)]
struct Split {
    num_split: usize,
}

pub(crate) fn split(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Split {
        num_split: num_split(reader)?,
    }))
}

fn num_split(reader: &AttrReader<'_>) -> Result<usize, OpError> {
    reader.int("num_split")?;
    count(reader, "num_split").map(|num| num.unwrap_or(1))
}

impl Kernel for Split {
    fn output_count(&self) -> usize {
        self.num_split
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [dim, value] = take(inputs)?;
        let shape = value.shape();
        let axis = axis(integer(0, dim)?, shape.len())?;
        if !shape[axis].is_multiple_of(self.num_split) {
            return Err(shape_error!(
                "axis {axis} of {shape:?} does not split into {} equal parts",
                self.num_split
            ));
        }
        let size = shape[axis] / self.num_split;
        split_into(
            value,
            axis,
            shape,
            (0..self.num_split).map(|_| size),
            outputs,
            true,
        )
    }
}

/// `SplitV`.
#[derive(Debug)]
struct SplitV {
    num_split: usize,
}

pub(crate) fn split_v(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(SplitV {
        num_split: num_split(reader)?,
    }))
}

impl Kernel for SplitV {
    fn output_count(&self) -> usize {
        self.num_split
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [value, sizes, dim] = take(inputs)?;
        let shape = value.shape();
        let axis = axis(integer(2, dim)?, shape.len())?;
        let sizes = Indices::vector(1, sizes)?;
        if sizes.len() != self.num_split {
            return Err(shape_error!(
                "input 1 must have {} sizes, has {}",
                self.num_split,
                sizes.len()
            ));
        }
        let known = sizes
            .iter()
            .filter(|&size| size != -1)
            .try_fold(0usize, |sum, size| {
                sum.checked_add(usize::try_from(size).ok()?)
            })
            .filter(|&known| known <= shape[axis]);
        let unknown = sizes.iter().filter(|&size| size == -1).count();
        let rest = match known {
            Some(known) if unknown == 1 || (unknown == 0 && known == shape[axis]) => {
                shape[axis] - known
            }
            _ => {
                return Err(value_error!(
                    "sizes {:?} do not split axis {axis} of {shape:?}",
                    sizes.iter().collect::<Vec<_>>()
                ));
            }
        };
        let sizes = (0..sizes.len()).map(|i| usize::try_from(sizes.get(i)).unwrap_or(rest));
        split_into(value, axis, shape, sizes, outputs, true)
    }
}
