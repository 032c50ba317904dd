//! `ConcatV2`, `Concat`, `Pack`, `Unpack`, `Split` and `SplitV`.

use tfjet_core::{Dim, Layer, Shape, TensorId};

use super::op::{ANY, Op};
use super::slice::{Piece, cut};
use super::{Layout, Refusal, refuse};
use crate::graph::Formula;
use crate::graph::infer::{Span, normalize_axis};

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
    let dtype = op.input_type(0)?.0;
    let input = op.tensor(0, Layout::Native)?;
    for slot in 0..count {
        let mut pieces = vec![None; shape.rank()];
        pieces[axis] = Some(Piece {
            span: Span {
                first: Formula::from(i64::try_from(slot).unwrap_or(i64::MAX)),
                count: Formula::from(1),
            },
            stride: 1,
        });
        let row = cut(op, input, (dtype, &shape), &pieces, Layout::Native)?;
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
    if op.node.op == "SplitV" {
        op.sizes(1, "size_splits")?;
    }
    let count = usize::try_from(op.attrs.int("num_split")?).unwrap_or(0);
    let shape = op.shape(value)?;
    let axis = normalize_axis(op.integer(axis_input, "axis")?, shape.rank())?;
    let layout = op.layout(value)?;
    let input = op.tensor(value, layout)?;
    let dtype = op.input_type(value)?.0;
    let mut first = Formula::default();
    for slot in 0..count {
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        let (_, output) = op.output_type(slot)?;
        let Some(count) = op.formulas(&output).into_iter().nth(axis) else {
            return refuse(format!("axis {axis} of {shape} is not known"));
        };
        let next = first.add(&count);
        let mut pieces = vec![None; shape.rank()];
        pieces[axis] = Some(Piece {
            span: Span { first, count },
            stride: 1,
        });
        let part = cut(op, input, (dtype, &shape), &pieces, layout)?;
        op.output(slot, part, layout);
        first = match next {
            Some(next) => next,
            None => return refuse(format!("the parts of {shape} are not known")),
        };
    }
    Ok(())
}
