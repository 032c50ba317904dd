use tfjet_core::{AttrError, AttrReader, Tensor, TensorView};

use crate::arguments::{Indices, expect_same_dtype, output, product, reset, size, take};
use crate::error::{shape_error, value_error};
use crate::number::with_size;
use crate::strided::{Dims, MAX_DIMS, Strided, row_major};
use crate::{Kernel, OpError};

/// What is added before and after each dimension.
struct Paddings {
    before: Dims,
    /// Sizes with the paddings.
    padded: Dims,
}

impl Paddings {
    fn new(shape: &[usize], view: &TensorView<'_>) -> Result<Self, OpError> {
        if view.shape() != [shape.len(), 2] {
            return Err(shape_error!(
                "paddings have shape {:?}, expected {:?}",
                view.shape(),
                [shape.len(), 2]
            ));
        }
        let values = Indices::new(1, view)?;
        let (mut before, mut padded) = (Dims::new(), Dims::new());
        for (dim, &extent) in shape.iter().enumerate() {
            let low = size("a padding", values.get(2 * dim))?;
            let high = size("a padding", values.get(2 * dim + 1))?;
            before.push(low)?;
            let sum = extent
                .checked_add(low)
                .and_then(|sum| sum.checked_add(high));
            let Some(sum) = sum else {
                return Err(value_error!(
                    "paddings {low} and {high} of a dimension of {extent}"
                ));
            };
            padded.push(sum)?;
        }
        Ok(Self { before, padded })
    }

    fn after(&self, dim: usize, extent: usize) -> usize {
        self.padded[dim] - self.before[dim] - extent
    }
}

/// `Pad` (with zeros) and `PadV2` (the value is an input).
#[derive(Debug)]
struct Pad {
    value_input: bool,
}

pub(crate) fn pad(value_input: bool) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Pad { value_input }))
}

impl Kernel for Pad {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let (x, paddings, value) = if self.value_input {
            let [x, paddings, value] = take(inputs)?;
            expect_same_dtype(&[*x, *x, *value])?;
            if value.elements() != 1 {
                return Err(shape_error!(
                    "the padding value must be a scalar, has shape {:?}",
                    value.shape()
                ));
            }
            (x, paddings, value.bytes())
        } else {
            let [x, paddings] = take(inputs)?;
            (x, paddings, &[0u8; 8][..x.dtype().size_bytes()])
        };
        let y = output(outputs)?;
        let shape = x.shape();
        let paddings = Paddings::new(shape, paddings)?;
        reset(y, x.dtype(), &paddings.padded)?;
        let (from, to) = (row_major(shape)?, row_major(&paddings.padded)?);
        let (mut walk, mut start) = (Strided::new(), 0);
        for (dim, &size) in shape.iter().enumerate() {
            walk.push(size, [from[dim], to[dim]])?;
            start += paddings.before[dim] as isize * to[dim];
        }
        with_size!(x.dtype(), N => {
            let target = y.bytes_mut().as_chunks_mut::<N>().0;
            if let [value] = value.as_chunks::<N>().0 {
                target.fill(*value);
            }
            walk.scatter([0, start], x.bytes().as_chunks::<N>().0, target);
        });
        Ok(())
    }
}

/// `MirrorPad`.
#[derive(Debug)]
struct MirrorPad {
    /// `SYMMETRIC` repeats the border, `REFLECT` does not.
    symmetric: bool,
}

pub(crate) fn mirror_pad(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    let symmetric = match reader.str_or("mode", "")? {
        "SYMMETRIC" => true,
        "REFLECT" => false,
        other => {
            return Err(AttrError::Value {
                name: "mode".into(),
                value: other.into(),
                expected: "REFLECT or SYMMETRIC",
            }
            .into());
        }
    };
    Ok(Box::new(MirrorPad { symmetric }))
}

impl MirrorPad {
    /// Where along a dimension of `extent` the element at `position` of the result comes from.
    fn source(&self, position: usize, before: usize, extent: usize) -> usize {
        let border = usize::from(!self.symmetric);
        if position < before {
            before - position - 1 + border
        } else if position - before < extent {
            position - before
        } else {
            2 * extent - 1 - border - (position - before)
        }
    }
}

impl Kernel for MirrorPad {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, paddings] = take(inputs)?;
        let y = output(outputs)?;
        let shape = x.shape();
        let paddings = Paddings::new(shape, paddings)?;
        for (dim, &extent) in shape.iter().enumerate() {
            let most = if self.symmetric {
                extent
            } else {
                extent.saturating_sub(1)
            };
            if paddings.before[dim] > most || paddings.after(dim, extent) > most {
                return Err(value_error!(
                    "dimension {dim} of {shape:?} is padded beyond {most}"
                ));
            }
        }
        reset(y, x.dtype(), &paddings.padded)?;
        if y.elements() == 0 {
            return Ok(());
        }
        let strides = row_major(shape)?;
        let Some(last) = shape.len().checked_sub(1) else {
            y.bytes_mut().copy_from_slice(x.bytes());
            return Ok(());
        };
        with_size!(x.dtype(), N => {
            let source = x.bytes().as_chunks::<N>().0;
            let target = y.bytes_mut().as_chunks_mut::<N>().0;
            let mut position = [0usize; MAX_DIMS];
            for row in target.chunks_exact_mut(product(&paddings.padded[last..])) {
                let first = (0..last).fold(0, |first, dim| {
                    let source = self.source(position[dim], paddings.before[dim], shape[dim]);
                    first + source * strides[dim] as usize
                });
                for (i, slot) in row.iter_mut().enumerate() {
                    *slot = source[first + self.source(i, paddings.before[last], shape[last])];
                }
                for dim in (0..last).rev() {
                    position[dim] += 1;
                    if position[dim] < paddings.padded[dim] {
                        break;
                    }
                    position[dim] = 0;
                }
            }
        });
        Ok(())
    }
}
