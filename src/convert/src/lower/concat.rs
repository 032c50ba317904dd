//! `ConcatV2`, `Concat`, `Pack`, `Unpack`, `Split` and `SplitV`.

use tfjet_core::{Dim, Layer, SampleMode, Shape, TensorId};

use super::op::{ANY, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::normalize_axis;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    match op.node.op.as_str() {
        "ConcatV2" => {
            let last = op.node.inputs.len().saturating_sub(1);
            concat(op, last, 0..last)
        }
        "Concat" => concat(op, 0, 1..op.node.inputs.len()),
        "Pack" => pack(op),
        "Unpack" => unpack(op),
        _ => split(op),
    }
}

fn concat(
    op: &mut Op<'_, '_>,
    axis_input: usize,
    values: std::ops::Range<usize>,
) -> Result<(), Refusal> {
    op.attrs.ignore(&["N"]);
    let axis = op.integer(axis_input, "axis")?;
    let (dtype, shape) = op.output_type(0)?;
    let axis = normalize_axis(axis, shape.rank())?;
    let mut layout = Layout::Native;
    for index in values.clone() {
        op.dtype(index, ANY)?;
        if op.layout(index)? == Layout::ChannelsFirst && shape.rank() == 4 {
            layout = Layout::ChannelsFirst;
        }
    }
    let inputs: Vec<TensorId> = values
        .map(|index| op.tensor(index, layout))
        .collect::<Result<_, _>>()?;
    let layer = Layer::Concatenation {
        axis: layout.axis(axis, shape.rank()),
    };
    let output = op.emit(layer, &inputs, dtype, &shape, layout);
    op.output(0, output, layout);
    Ok(())
}

fn pack(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.attrs.ignore(&["N"]);
    let axis = op.attrs.int_or("axis", 0)?;
    let (dtype, shape) = op.output_type(0)?;
    let axis = normalize_axis(axis, shape.rank())?;
    let mut row = shape.clone();
    row.0[axis] = Dim::Fixed(1);
    let mut inputs = Vec::new();
    for index in 0..op.node.inputs.len() {
        op.dtype(index, ANY)?;
        let input = op.tensor(index, Layout::Native)?;
        let name = format!("{}/row", op.node.name);
        inputs.push(op.builder.reshape(&name, input, &row)?);
    }
    let output = op.emit(
        Layer::Concatenation { axis },
        &inputs,
        dtype,
        &shape,
        Layout::Native,
    );
    op.output(0, output, Layout::Native);
    Ok(())
}

/// A piece of input `index`: `size` elements from `start` on `axis`, everything on the others.
fn piece(
    op: &mut Op<'_, '_>,
    index: usize,
    axis: usize,
    start: usize,
    size: usize,
    layout: Layout,
) -> Result<TensorId, Refusal> {
    let (dtype, shape) = op.input_type(index)?;
    let rank = shape.rank();
    let mut starts = vec![0i64; rank];
    let mut sizes: Vec<Option<usize>> = vec![None; rank];
    starts[axis] = i64::try_from(start).unwrap_or(i64::MAX);
    sizes[axis] = Some(size);
    let mut result = shape;
    result.0[axis] = Dim::Fixed(size);
    let layer = Layer::Slice {
        start: layout.arrange(&starts),
        size: layout.arrange(&sizes),
        stride: vec![1; rank],
        mode: SampleMode::Strict,
    };
    let input = op.tensor(index, layout)?;
    Ok(op.emit(layer, &[input], dtype, &result, layout))
}

fn unpack(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, ANY)?;
    let count = usize::try_from(op.attrs.int("num")?).unwrap_or(0);
    let shape = op.shape(0)?;
    let axis = normalize_axis(op.attrs.int_or("axis", 0)?, shape.rank())?;
    if shape.dims()[axis] != Dim::Fixed(count) {
        return refuse(format!(
            "axis {axis} of {shape} is not known to have {count} elements"
        ));
    }
    let mut dims = shape.0.clone();
    dims.remove(axis);
    for (slot, start) in (0..count).enumerate() {
        let row = piece(op, 0, axis, start, 1, Layout::Native)?;
        let name = format!("{}/row", op.node.name);
        let row = op.builder.reshape(&name, row, &Shape(dims.clone()))?;
        op.output(u32::try_from(slot).unwrap_or(u32::MAX), row, Layout::Native);
    }
    Ok(())
}

fn split(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let (value, axis_input) = if op.node.op == "SplitV" {
        (0, 2)
    } else {
        (1, 0)
    };
    op.dtype(value, ANY)?;
    let count = usize::try_from(op.attrs.int("num_split")?).unwrap_or(0);
    let shape = op.shape(value)?;
    let axis = normalize_axis(op.integer(axis_input, "axis")?, shape.rank())?;
    let layout = op.layout(value)?;
    let mut start = 0usize;
    for slot in 0..count {
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        let (_, output) = op.output_type(slot)?;
        let Some(size) = output.dims().get(axis).and_then(Dim::fixed) else {
            return refuse(format!("axis {axis} of {shape} is not known"));
        };
        let part = piece(op, value, axis, start, size, layout)?;
        op.output(slot, part, layout);
        start += size;
    }
    Ok(())
}
