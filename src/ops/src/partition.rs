use tfjet_core::{AttrError, AttrReader, DType, Tensor, TensorView};

use crate::arguments::{
    Indices, expect_count, expect_dtype, expect_same_dtype, output, product, reset, take,
};
use crate::binary::count;
use crate::error::{shape_error, value_error};
use crate::strided::Dims;
use crate::{Kernel, OpError};

/// `DynamicPartition`: each row goes to the output that its number says.
#[derive(Debug)]
struct DynamicPartition {
    parts: usize,
}

pub(crate) fn dynamic_partition(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.int("num_partitions")?;
    Ok(Box::new(DynamicPartition {
        parts: count(reader, "num_partitions")?.unwrap_or(1),
    }))
}

impl Kernel for DynamicPartition {
    fn output_count(&self) -> usize {
        self.parts
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [data, part_view] = take(inputs)?;
        if outputs.len() != self.parts {
            return Err(OpError::OutputCount {
                expected: self.parts,
                actual: outputs.len(),
            });
        }
        expect_dtype(1, part_view, DType::I32)?;
        let parts = part_view.as_slice::<i32>()?;
        let Some(row) = data.shape().strip_prefix(part_view.shape()) else {
            return Err(shape_error!(
                "partitions of shape {:?} do not fit data of shape {:?}",
                part_view.shape(),
                data.shape()
            ));
        };
        let mut counts = vec![0usize; self.parts];
        for &part in parts {
            let count = usize::try_from(part)
                .ok()
                .and_then(|part| counts.get_mut(part));
            *count.ok_or_else(|| value_error!("{part} is outside {} partitions", self.parts))? += 1;
        }
        for (output, count) in outputs.iter_mut().zip(&mut counts) {
            let mut shape = Dims::new();
            shape.push(*count)?;
            shape.extend(row)?;
            reset(output, data.dtype(), &shape)?;
            *count = 0;
        }
        let item = product(row).saturating_mul(data.dtype().size_bytes());
        if item == 0 {
            return Ok(());
        }
        for (&part, source) in parts.iter().zip(data.bytes().chunks_exact(item)) {
            let part = part as usize;
            let at = counts[part] * item;
            outputs[part].bytes_mut()[at..at + item].copy_from_slice(source);
            counts[part] += 1;
        }
        Ok(())
    }
}

/// `DynamicStitch` and `ParallelDynamicStitch`: rows go to the places that their indices say, the
/// last one for a place wins.
#[derive(Debug)]
struct DynamicStitch {
    count: usize,
}

pub(crate) fn dynamic_stitch(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.int("N")?;
    Ok(Box::new(DynamicStitch {
        count: count(reader, "N")?.unwrap_or(1),
    }))
}

impl Kernel for DynamicStitch {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        expect_count(inputs, self.count.saturating_mul(2))?;
        let target = output(outputs)?;
        let (indices, data) = inputs.split_at(self.count);
        expect_same_dtype(data)?;
        let mut row: Option<&[usize]> = None;
        let mut len = 0usize;
        for (i, (index_view, data)) in indices.iter().zip(data).enumerate() {
            expect_dtype(i, index_view, DType::I32)?;
            let rest = data.shape().strip_prefix(index_view.shape());
            let Some(rest) = rest.filter(|rest| row.is_none_or(|row| row == *rest)) else {
                return Err(shape_error!(
                    "indices of shape {:?} do not fit data of shape {:?}",
                    index_view.shape(),
                    data.shape()
                ));
            };
            row = Some(rest);
            for &index in index_view.as_slice::<i32>()? {
                let index = usize::try_from(index)
                    .map_err(|_| value_error!("index {index} is negative"))?;
                len = len.max(index + 1);
            }
        }
        let row = row.unwrap_or_default();
        let mut shape = Dims::new();
        shape.push(len)?;
        shape.extend(row)?;
        let dtype = data.first().map_or(DType::F32, TensorView::dtype);
        reset(target, dtype, &shape)?;
        target.bytes_mut().fill(0);
        let item = product(row).saturating_mul(dtype.size_bytes());
        if item == 0 {
            return Ok(());
        }
        for (indices, data) in indices.iter().zip(data) {
            let rows = data.bytes().chunks_exact(item);
            for (index, source) in Indices::new(0, indices)?.iter().zip(rows) {
                let at = index as usize * item;
                target.bytes_mut()[at..at + item].copy_from_slice(source);
            }
        }
        Ok(())
    }
}

/// `ConcatOffset`: where each part of a concatenation begins.
#[derive(Debug)]
struct ConcatOffset {
    count: usize,
}

pub(crate) fn concat_offset(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    reader.ignore(&["shape_type"]);
    reader.int("N")?;
    Ok(Box::new(ConcatOffset {
        count: count(reader, "N")?.unwrap_or(1),
    }))
}

impl Kernel for ConcatOffset {
    fn output_count(&self) -> usize {
        self.count
    }

    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        expect_count(inputs, self.count.saturating_add(1))?;
        if outputs.len() != self.count {
            return Err(OpError::OutputCount {
                expected: self.count,
                actual: outputs.len(),
            });
        }
        let Some((dim, shapes)) = inputs.split_first() else {
            return Ok(());
        };
        expect_same_dtype(shapes)?;
        let rank = shapes.first().map_or(0, TensorView::elements);
        let axis = crate::arguments::axis(crate::arguments::integer(0, dim)?, rank)?;
        let first = Indices::vector(1, &shapes[0])?;
        let mut offset = 0i64;
        for (i, (shape, output)) in shapes.iter().zip(outputs).enumerate() {
            let sizes = Indices::vector(i + 1, shape)?;
            let fits = sizes.len() == rank
                && (0..rank).all(|dim| dim == axis || sizes.get(dim) == first.get(dim));
            if !fits {
                return Err(shape_error!("shapes differ outside axis {axis}"));
            }
            reset(output, shape.dtype(), &[rank])?;
            output.bytes_mut().fill(0);
            match sizes {
                Indices::I32(_) => {
                    output.as_mut_slice::<i32>()?[axis] = i32::try_from(offset)
                        .map_err(|_| value_error!("offset {offset} does not fit int32"))?;
                }
                Indices::I64(_) => output.as_mut_slice::<i64>()?[axis] = offset,
            }
            offset = offset.wrapping_add(sizes.get(axis));
        }
        Ok(())
    }
}

/// `BroadcastArgs`: the shape that two shapes broadcast to.
#[derive(Debug)]
struct BroadcastArgs;

pub(crate) fn broadcast_args() -> Result<Box<dyn Kernel>, OpError> {
    Ok(Box::new(BroadcastArgs))
}

impl Kernel for BroadcastArgs {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [a, b] = take(inputs)?;
        let target = output(outputs)?;
        expect_same_dtype(inputs)?;
        let (a_sizes, b_sizes) = (Indices::vector(0, a)?, Indices::vector(1, b)?);
        let rank = a_sizes.len().max(b_sizes.len());
        let size = |sizes: Indices<'_>, dim: usize| {
            (dim + sizes.len())
                .checked_sub(rank)
                .map_or(1, |dim| sizes.get(dim))
        };
        let mut joined = Vec::new();
        for dim in 0..rank {
            joined.push(match (size(a_sizes, dim), size(b_sizes, dim)) {
                (1, other) | (other, 1) => other,
                (one, other) if one == other => one,
                (one, other) => {
                    return Err(value_error!("sizes {one} and {other} do not broadcast"));
                }
            });
        }
        reset(target, a.dtype(), &[rank])?;
        match a_sizes {
            Indices::I32(_) => {
                for (slot, size) in target.as_mut_slice::<i32>()?.iter_mut().zip(joined) {
                    *slot = size as i32;
                }
            }
            Indices::I64(_) => target.as_mut_slice::<i64>()?.copy_from_slice(&joined),
        }
        Ok(())
    }
}

/// `DataFormatDimMap`: which axis of one layout is which of another.
#[derive(Debug)]
struct DataFormatDimMap {
    axes: Vec<i64>,
}

pub(crate) fn data_format_dim_map(reader: &AttrReader<'_>) -> Result<Box<dyn Kernel>, OpError> {
    let source = reader.str_or("src_format", "NHWC")?;
    let destination = reader.str_or("dst_format", "NCHW")?;
    let axes: Option<Vec<i64>> = source
        .chars()
        .map(|letter| destination.chars().position(|other| other == letter))
        .map(|axis| axis.and_then(|axis| i64::try_from(axis).ok()))
        .collect();
    match axes {
        Some(axes)
            if (4..=5).contains(&axes.len()) && destination.chars().count() == axes.len() =>
        {
            Ok(Box::new(DataFormatDimMap { axes }))
        }
        _ => Err(AttrError::Value {
            name: "dst_format".into(),
            value: destination.into(),
            expected: "a permutation of src_format, four or five letters",
        }
        .into()),
    }
}

impl Kernel for DataFormatDimMap {
    fn run(&self, inputs: &[TensorView<'_>], outputs: &mut [Tensor]) -> Result<(), OpError> {
        let [x] = take(inputs)?;
        let y = output(outputs)?;
        let indices = Indices::new(0, x)?;
        reset(y, x.dtype(), x.shape())?;
        for i in 0..indices.len() {
            let axis = self.axes[crate::arguments::axis(indices.get(i), self.axes.len())?];
            match indices {
                Indices::I32(_) => y.as_mut_slice::<i32>()?[i] = axis as i32,
                Indices::I64(_) => y.as_mut_slice::<i64>()?[i] = axis,
            }
        }
        Ok(())
    }
}
