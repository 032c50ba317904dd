//! `Roll` and `ReverseSequence`: rows that change places along an axis.

use tfjet_core::{AttrReader, Tensor, TensorView};

use crate::arguments::{Indices, axis, output, product, reset, take};
use crate::error::{shape_error, value_error};
use crate::number::with_size;
use crate::strided::{Strided, row_major};
use crate::{Kernel, OpError};

/// `Roll`: shifted along axes, what falls off comes in on the other side.
#[derive(Debug)]
struct Roll;

pub(crate) fn roll(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["Tshift"]);
    Ok(Box::new(Roll))
}

impl Kernel for Roll {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, shifts, axes] = take(inputs)?;
        let y = output(outputs)?;
        let shape = x.shape();
        if shape.is_empty() {
            return Err(shape_error!("a scalar does not roll"));
        }
        let (shifts, axes) = (Indices::new(1, shifts)?, Indices::new(2, axes)?);
        if shifts.len() != axes.len() {
            return Err(shape_error!(
                "{} shifts for {} axes",
                shifts.len(),
                axes.len()
            ));
        }
        let mut shift = vec![0usize; shape.len()];
        for (by, dim) in shifts.iter().zip(axes.iter()) {
            let dim = axis(dim, shape.len())?;
            let size = i64::try_from(shape[dim]).unwrap_or(i64::MAX).max(1);
            let sum = shift[dim] as i64 + by.rem_euclid(size);
            shift[dim] = (sum % size) as usize;
        }
        reset(y, x.dtype(), shape)?;
        if x.elements() == 0 {
            return Ok(());
        }
        let strides = row_major(shape)?;
        // The rows before the cut and the rows behind it change places, axis by axis.
        let mut parts = vec![(vec![0isize; 2], Vec::new())];
        for (dim, &size) in shape.iter().enumerate() {
            let cut = size - shift[dim];
            let stride = strides[dim];
            let mut next = Vec::new();
            for (start, sizes) in parts {
                for (from, to, len) in [(0, shift[dim], cut), (cut, 0, shift[dim])] {
                    if len > 0 {
                        let start = vec![
                            start[0] + from as isize * stride,
                            start[1] + to as isize * stride,
                        ];
                        next.push((start, [&sizes[..], &[len]].concat()));
                    }
                }
            }
            parts = next;
        }
        for (start, sizes) in parts {
            let mut walk = Strided::<2>::new();
            for (&size, &stride) in sizes.iter().zip(&strides) {
                walk.push(size, [stride, stride])?;
            }
            with_size!(x.dtype(), N => {
                let source = x.bytes().as_chunks::<N>().0;
                walk.scatter([start[0], start[1]], source, y.bytes_mut().as_chunks_mut::<N>().0);
            });
        }
        Ok(())
    }
}

/// `ReverseSequence`: the first `seq_lengths[b]` elements along one axis, for each element `b` of
/// another, in reverse.
#[derive(Debug)]
struct ReverseSequence {
    sequence: i64,
    batch: i64,
}

pub(crate) fn reverse_sequence(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["Tlen"]);
    Ok(Box::new(ReverseSequence {
        sequence: reader.int("seq_dim")?,
        batch: reader.int_or("batch_dim", 0)?,
    }))
}

impl Kernel for ReverseSequence {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, lengths] = take(inputs)?;
        let y = output(outputs)?;
        let shape = x.shape();
        let sequence = axis(self.sequence, shape.len())?;
        let batch = axis(self.batch, shape.len())?;
        let lengths = Indices::vector(1, lengths)?;
        if sequence == batch || lengths.len() != shape[batch] {
            return Err(shape_error!(
                "{} lengths for axes {batch} and {sequence} of {shape:?}",
                lengths.len()
            ));
        }
        if let Some(length) = lengths.iter().find(|&length| {
            usize::try_from(length).is_ok_and(|len| len > shape[sequence]) || length < 0
        }) {
            return Err(value_error!("a sequence of {length} in {shape:?}"));
        }
        reset(y, x.dtype(), shape)?;
        if x.elements() == 0 {
            return Ok(());
        }
        let last = sequence.max(batch);
        let item = product(&shape[last + 1..]) * x.dtype().size_bytes();
        let stride = |dim: usize| product(&shape[dim + 1..last + 1]);
        for (at, slot) in y.bytes_mut().chunks_exact_mut(item).enumerate() {
            let place = at / stride(sequence) % shape[sequence];
            let length = lengths.get(at / stride(batch) % shape[batch]) as usize;
            let from = if place < length {
                at - place * stride(sequence) + (length - 1 - place) * stride(sequence)
            } else {
                at
            };
            slot.copy_from_slice(&x.bytes()[from * item..(from + 1) * item]);
        }
        Ok(())
    }
}
