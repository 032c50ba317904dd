use tfjet_core::{Dim, ReshapeDim};

use super::elementwise::axis as axis_attribute;
use super::writer::{Value, Writer};
use crate::OnnxError;
use crate::proto::AttributeProto;

pub(super) fn shuffle(
    w: &mut Writer<'_, '_>,
    first: &[usize],
    reshape: Option<&[ReshapeDim]>,
    second: &[usize],
) -> Result<(), OnnxError> {
    let dims = w.input_dims(0)?;
    let input = w.input(0)?;
    let mut value = transpose(w, &input, first, dims.len())?;
    let mut rank = dims.len();
    if let Some(target) = reshape {
        let dims: Vec<&Dim> = if first.is_empty() {
            dims.iter().collect()
        } else {
            first.iter().filter_map(|&axis| dims.get(axis)).collect()
        };
        value = reshaped(w, &value, &dims, target)?;
        rank = target.len();
    }
    let value = transpose(w, &value, second, rank)?;
    w.finish(0, value)
}

/// `value` with output axis `i` at input axis `order[i]`; nothing where that moves nothing.
pub(super) fn transpose(
    w: &mut Writer<'_, '_>,
    value: &Value,
    order: &[usize],
    rank: usize,
) -> Result<Value, OnnxError> {
    if order.is_empty() {
        return Ok(value.clone());
    }
    let mut seen = vec![false; rank];
    for &axis in order {
        match seen.get_mut(axis) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(w.fail(format!("{order:?} is no order of {rank} axes"))),
        }
    }
    w.expect_len("transpose", order, rank)?;
    if order.iter().enumerate().all(|(i, &axis)| i == axis) {
        return Ok(value.clone());
    }
    let perm = vec![AttributeProto::ints("perm", w.ints(order)?)];
    Ok(w.node("Transpose", &[value], perm, value.dtype))
}

fn reshaped(
    w: &mut Writer<'_, '_>,
    value: &Value,
    dims: &[&Dim],
    target: &[ReshapeDim],
) -> Result<Value, OnnxError> {
    if target
        .iter()
        .filter(|&&dim| dim == ReshapeDim::Infer)
        .count()
        > 1
    {
        return Err(w.fail("reshape infers more than one dimension"));
    }
    // ONNX reads 0 either as "copy" everywhere or as "empty" everywhere.
    let has_empty = target.contains(&ReshapeDim::Fixed(0));
    let mut shape = Vec::with_capacity(target.len());
    for (axis, dim) in target.iter().enumerate() {
        shape.push(match *dim {
            ReshapeDim::Fixed(size) => w.int(size)?,
            ReshapeDim::Infer if has_empty => {
                return Err(w.fail("reshape infers a dimension next to one of size 0"));
            }
            ReshapeDim::Infer => -1,
            ReshapeDim::Copy => match dims.get(axis) {
                None => return Err(w.fail(format!("reshape copies axis {axis}, which is none"))),
                Some(Dim::Symbolic(_)) if !has_empty => 0,
                Some(Dim::Symbolic(name)) => {
                    return Err(w.fail(format!("reshape copies {name} next to a size of 0")));
                }
                Some(Dim::Fixed(0)) if !has_empty => 0,
                Some(Dim::Fixed(size)) => w.int(*size)?,
            },
        });
    }
    let shape = w.int64s(&shape)?;
    let attributes = if has_empty {
        vec![AttributeProto::int("allowzero", 1)]
    } else {
        Vec::new()
    };
    Ok(w.node("Reshape", &[value, &shape], attributes, value.dtype))
}

pub(super) fn concatenation(w: &mut Writer<'_, '_>, axis: usize) -> Result<(), OnnxError> {
    let rank = w.input_dims(0)?.len();
    let axis = w.expect_axis(axis, rank)?;
    let mut inputs = Vec::with_capacity(w.spec.inputs.len());
    for index in 0..w.spec.inputs.len() {
        let input = w.input(index)?;
        let first = inputs.first().unwrap_or(&input);
        if input.dtype != first.dtype || w.input_dims(index)?.len() != rank {
            return Err(w.fail(format!(
                "input {index} differs from the first in type or rank"
            )));
        }
        inputs.push(input);
    }
    inputs.extend(w.appended_channels()?);
    if let [only] = &inputs[..] {
        return w.finish(0, only.clone());
    }
    let inputs: Vec<_> = inputs.iter().collect();
    let output = w.node("Concat", &inputs, axis_attribute(axis), inputs[0].dtype);
    w.finish(0, output)
}
