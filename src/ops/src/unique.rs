//! `Unique` and its variants, and `ListDiff`.

use std::collections::HashMap;

use tfjet_core::{AttrError, AttrReader, DType, Tensor, TensorView};

use crate::arguments::{Indices, axis, expect_rank, expect_same_dtype, product, reset, take};
use crate::error::{shape_error, value_error};
use crate::number::{Number, with_type};
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// The elements of `x` as bytes that are equal where the elements are; `None` for NaN.
fn keys(x: &TensorView<'_>) -> Result<Vec<Option<u64>>, OpError> {
    if x.dtype() == DType::C64 {
        return Err(OpError::DType {
            input: 0,
            dtype: x.dtype(),
            allowed: "a real number or bool",
        });
    }
    if !x.dtype().is_float() {
        let items = x.bytes().chunks_exact(x.dtype().size_bytes());
        return Ok(items
            .map(|item| {
                let mut bytes = [0; 8];
                bytes[..item.len()].copy_from_slice(item);
                Some(u64::from_le_bytes(bytes))
            })
            .collect());
    }
    with_type!(reals, 0, x.dtype(), T => {
        let values = x.as_slice::<T>()?.iter().map(|x| x.to_f64());
        // Adding 0 makes -0 the same as 0.
        Ok(values.map(|x| (!x.is_nan()).then(|| (x + 0.0).to_bits())).collect())
    })
}

fn write(indices: &mut Tensor, dtype: DType, values: &[usize]) -> Result<(), OpError> {
    reset(indices, dtype, &[values.len()])?;
    let large = |value: usize| value_error!("index {value} does not fit {dtype}");
    if dtype == DType::I64 {
        for (slot, &value) in indices.as_mut_slice::<i64>()?.iter_mut().zip(values) {
            *slot = i64::try_from(value).map_err(|_| large(value))?;
        }
    } else {
        for (slot, &value) in indices.as_mut_slice::<i32>()?.iter_mut().zip(values) {
            *slot = i32::try_from(value).map_err(|_| large(value))?;
        }
    }
    Ok(())
}

fn index_type(reader: &AttrReader<'_>) -> Result<DType, OpError> {
    match reader.dtype_or("out_idx", DType::I32)? {
        dtype @ (DType::I32 | DType::I64) => Ok(dtype),
        other => Err(AttrError::Value {
            name: "out_idx".into(),
            value: other.name().into(),
            expected: "int32 or int64",
        }
        .into()),
    }
}

/// `Unique`, `UniqueV2` (along an axis that is an input), `UniqueWithCounts` and
/// `UniqueWithCountsV2`: what is there, in the order of the first of each, and where in it each
/// element is. NaN equals nothing.
#[derive(Debug)]
struct Unique {
    axis_input: bool,
    counts: bool,
    indices: DType,
}

pub(crate) fn unique(
    reader: &AttrReader<'_>,
    axis_input: bool,
    counts: bool,
) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(Unique {
        axis_input,
        counts,
        indices: index_type(reader)?,
    }))
}

impl Unique {
    fn axis(&self, x: &TensorView<'_>, axes: Option<&TensorView<'_>>) -> Result<usize, OpError> {
        if let Some(axes) = axes {
            let axes = Indices::vector(1, axes)?;
            match axes.len() {
                0 => {}
                1 => return axis(axes.get(0), x.shape().len()),
                count => return Err(shape_error!("{count} axes, expected one or none")),
            }
        }
        expect_rank(0, x, 1)?;
        Ok(0)
    }
}

impl Kernel for Unique {
    fn output_count(&self) -> usize {
        2 + usize::from(self.counts)
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let (x, axes) = if self.axis_input {
            let [x, axes] = take(inputs)?;
            (x, Some(axes))
        } else {
            let [x] = take(inputs)?;
            (x, None)
        };
        if outputs.len() != self.output_count() {
            return Err(OpError::OutputCount {
                expected: self.output_count(),
                actual: outputs.len(),
            });
        }
        let axis = self.axis(x, axes)?;
        let shape = x.shape();
        let keys = keys(x)?;
        let (rows, inner) = (shape[axis], product(&shape[axis + 1..]));
        let outer = product(&shape[..axis]);
        let row_of = |row: usize| -> Option<Vec<u64>> {
            (0..outer)
                .flat_map(|o| (0..inner).map(move |i| (o * rows + row) * inner + i))
                .map(|at| keys[at])
                .collect()
        };
        let mut seen: HashMap<Vec<u64>, usize> = HashMap::new();
        let (mut firsts, mut places, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        if keys.is_empty() {
            if rows > 0 {
                return Err(shape_error!("the rows of shape {shape:?} hold nothing"));
            }
            reset(&mut outputs[0], x.dtype(), shape)?;
            let mut rest = outputs.iter_mut().skip(1);
            return rest.try_for_each(|output| write(output, self.indices, &[]));
        }
        for row in 0..rows {
            let next = firsts.len();
            let place = match row_of(row) {
                Some(key) => *seen.entry(key).or_insert(next),
                None => next,
            };
            if place == next {
                firsts.push(row);
                counts.push(0);
            }
            places.push(place);
            counts[place] += 1;
        }
        let mut result = Dims::from_slice(shape)?;
        result[axis] = firsts.len();
        reset(&mut outputs[0], x.dtype(), &result)?;
        let item = inner.saturating_mul(x.dtype().size_bytes());
        let mut slots = outputs[0].bytes_mut().chunks_exact_mut(item.max(1));
        for o in 0..outer {
            for (&row, slot) in firsts.iter().zip(&mut slots) {
                let from = (o * rows + row) * item;
                slot.copy_from_slice(&x.bytes()[from..from + item]);
            }
        }
        write(&mut outputs[1], self.indices, &places)?;
        match outputs.get_mut(2) {
            Some(output) => write(output, self.indices, &counts),
            None => Ok(()),
        }
    }
}

/// `ListDiff`: the elements of the first vector that are not in the second, and where they were.
#[derive(Debug)]
struct ListDiff {
    indices: DType,
}

pub(crate) fn list_diff(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(ListDiff {
        indices: index_type(reader)?,
    }))
}

impl Kernel for ListDiff {
    fn output_count(&self) -> usize {
        2
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x, y] = take(inputs)?;
        let [rest, places] = crate::arguments::outputs(outputs)?;
        expect_same_dtype(inputs)?;
        expect_rank(0, x, 1)?;
        expect_rank(1, y, 1)?;
        let taken: std::collections::HashSet<u64> = keys(y)?.into_iter().flatten().collect();
        let kept: Vec<usize> = keys(x)?
            .iter()
            .enumerate()
            .filter(|(_, key)| key.is_none_or(|key| !taken.contains(&key)))
            .map(|(i, _)| i)
            .collect();
        reset(rest, x.dtype(), &[kept.len()])?;
        let size = x.dtype().size_bytes();
        for (slot, &i) in rest.bytes_mut().chunks_exact_mut(size).zip(&kept) {
            slot.copy_from_slice(&x.bytes()[i * size..(i + 1) * size]);
        }
        write(places, self.indices, &kept)
    }
}
