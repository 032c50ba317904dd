//! `Slice` and `StridedSlice` with constant bounds.

use tfjet_core::{AttrReader, Dim, Layer, SampleMode, Shape, TensorId};

use super::op::{ANY, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::{Context, SliceAxis, clamp_slice, dense_slice};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, ANY)?;
    let shape = op.shape(0)?;
    let axes = if op.node.op == "Slice" {
        plain(op, &shape)?
    } else {
        strided(op, &shape)?
    };
    let keeps_rank = axes
        .iter()
        .all(|axis| matches!(axis, SliceAxis::Range { .. }));
    let layout = if keeps_rank {
        op.layout(0)?
    } else {
        Layout::Native
    };
    let (_, output_shape) = op.output_type(0)?;
    let sliced = ranges(op, &shape, &axes, layout)?;
    let result = if keeps_rank {
        sliced
    } else {
        let name = op.node.name.clone();
        op.builder.reshape(&name, sliced, &output_shape)?
    };
    op.output(0, result, layout);
    Ok(())
}

fn strided(op: &Op<'_, '_>, shape: &Shape) -> Result<Vec<SliceAxis>, Refusal> {
    for (index, role) in [(1, "begin"), (2, "end"), (3, "strides")] {
        op.require_constant(index, role)?;
    }
    op.attrs.ignore(&[
        "begin_mask",
        "end_mask",
        "ellipsis_mask",
        "new_axis_mask",
        "shrink_axis_mask",
    ]);
    let context = Context {
        node: op.node,
        inputs: (0..op.node.inputs.len())
            .map(|i| op.fact(i))
            .collect::<Result<_, _>>()?,
        attrs: AttrReader::new(&op.node.attrs),
    };
    match dense_slice(&context, shape.rank())? {
        Some(axes) => Ok(axes),
        None => refuse("begin, end and strides must be constants"),
    }
}

fn plain(op: &Op<'_, '_>, shape: &Shape) -> Result<Vec<SliceAxis>, Refusal> {
    let begin = op.integers(1, "begin")?;
    let size = op.integers(2, "size")?;
    if begin.len() != shape.rank() || size.len() != shape.rank() {
        return refuse("begin and size need one value per axis");
    }
    Ok(begin
        .iter()
        .zip(&size)
        .map(|(&begin, &size)| SliceAxis::Range {
            begin: Some(begin),
            end: (size != -1).then_some(begin.saturating_add(size)),
            stride: 1,
        })
        .collect())
}

/// One slice layer for the ranges and single indices.
fn ranges(
    op: &mut Op<'_, '_>,
    shape: &Shape,
    axes: &[SliceAxis],
    layout: Layout,
) -> Result<TensorId, Refusal> {
    let rank = shape.rank();
    let (mut start, mut size, mut stride) = (vec![0i64; rank], vec![None; rank], vec![1i64; rank]);
    let mut result = shape.clone();
    let mut whole = true;
    let existing = axes.iter().filter(|axis| **axis != SliceAxis::New);
    for (axis, bounds) in existing.enumerate() {
        let (begin, end, step) = match *bounds {
            SliceAxis::Range { begin, end, stride } => (begin, end, stride),
            SliceAxis::Shrink(index) => (
                Some(index),
                (index != -1).then_some(index.saturating_add(1)),
                1,
            ),
            SliceAxis::New => continue,
        };
        let Some(dim) = shape.dims().get(axis).and_then(Dim::fixed) else {
            if matches!(begin, None | Some(0)) && end.is_none() && step == 1 {
                continue;
            }
            return refuse(format!(
                "axis {axis} of {shape} is sliced and its size is not known"
            ));
        };
        let (first, count) = clamp_slice(dim, begin, end, step);
        if count == 0 {
            return refuse("the slice is empty");
        }
        whole &= first == 0 && count == dim && step == 1;
        (start[axis], size[axis], stride[axis]) = (first, Some(count), step);
        result.0[axis] = Dim::Fixed(count);
    }
    let input = op.tensor(0, layout)?;
    if whole {
        return Ok(input);
    }
    let dtype = op.builder.dtype_of(input)?;
    let layer = Layer::Slice {
        start: layout.arrange(&start),
        size: layout.arrange(&size),
        stride: layout.arrange(&stride),
        mode: SampleMode::Strict,
    };
    Ok(op.emit(layer, &[input], dtype, &result, layout))
}
