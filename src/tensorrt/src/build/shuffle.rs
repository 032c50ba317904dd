use tfjet_core::{Dim, ReshapeDim};

use super::writer::{Value, Writer};
use crate::TensorRtError;
use crate::network::Reshape;

type Done = Result<(), TensorRtError>;

pub(super) fn shuffle(
    w: &mut Writer<'_, '_, '_>,
    first: &[usize],
    reshape: Option<&[ReshapeDim]>,
    second: &[usize],
) -> Done {
    let input = w.input(0)?;
    let dims = w.input_dims(0)?;
    order(w, first, dims.len())?;
    order(w, second, reshape.map_or(dims.len(), <[_]>::len))?;
    let moves = |order: &[usize]| order.iter().enumerate().any(|(i, &axis)| i != axis);
    if reshape.is_none() && !moves(first) && !moves(second) {
        return w.finish(0, input);
    }
    let target;
    let reshape = match reshape {
        None => Reshape::Keep,
        Some(reshape) => {
            let moved: Vec<&Dim> = if first.is_empty() {
                dims.iter().collect()
            } else {
                first.iter().filter_map(|&axis| dims.get(axis)).collect()
            };
            let zero_copies = !reshape.contains(&ReshapeDim::Fixed(0));
            target = sizes(w, reshape, &moved, zero_copies)?;
            Reshape::To {
                dims: &target,
                zero_copies,
            }
        }
    };
    let layer = w
        .network
        .add_shuffle(input.tensor, first, reshape, second)?;
    let value = w.value("shuffle", layer, input.dtype)?;
    w.finish(0, value)
}

fn order(w: &Writer<'_, '_, '_>, order: &[usize], rank: usize) -> Done {
    if order.is_empty() {
        return Ok(());
    }
    w.expect_len("transpose", order, rank)?;
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if sorted.iter().enumerate().all(|(i, &axis)| i == axis) {
        return Ok(());
    }
    Err(w.fail(format!("{order:?} is no order of {rank} axes")))
}

/// The dimensions in TensorRT's terms: 0 copies (or means an empty axis), -1 is what is left.
fn sizes(
    w: &Writer<'_, '_, '_>,
    target: &[ReshapeDim],
    dims: &[&Dim],
    zero_copies: bool,
) -> Result<Vec<i64>, TensorRtError> {
    let inferred = target.iter().filter(|&&dim| dim == ReshapeDim::Infer);
    if inferred.count() > 1 {
        return Err(w.fail("reshape infers more than one dimension"));
    }
    let one = |(axis, dim): (usize, &ReshapeDim)| match *dim {
        ReshapeDim::Fixed(size) => w.int(size),
        ReshapeDim::Infer if zero_copies => Ok(-1),
        ReshapeDim::Infer => Err(w.fail("reshape infers a dimension next to one of size 0")),
        ReshapeDim::Copy => match dims.get(axis) {
            Some(Dim::Fixed(size)) => w.int(*size),
            Some(Dim::Symbolic(_)) if zero_copies => Ok(0),
            Some(Dim::Symbolic(name)) => {
                Err(w.fail(format!("reshape copies {name} next to a size of 0")))
            }
            None => Err(w.fail(format!("reshape copies axis {axis}, which is none"))),
        },
    };
    target.iter().enumerate().map(one).collect()
}

pub(super) fn concatenation(w: &mut Writer<'_, '_, '_>, axis: usize) -> Done {
    let rank = w.input_dims(0)?.len();
    w.expect_axis(axis, rank)?;
    let inputs = (0..w.layer.inputs.len())
        .map(|index| w.input(index))
        .collect::<Result<Vec<Value<'_>>, _>>()?;
    let dtype = inputs.first().map(|first| first.dtype);
    let Some(dtype) = dtype.filter(|&d| inputs.iter().all(|input| input.dtype == d)) else {
        return Err(w.fail("inputs differ in type"));
    };
    if let [only] = &inputs[..] {
        return w.finish(0, *only);
    }
    let tensors: Vec<_> = inputs.iter().map(|input| input.tensor).collect();
    let layer = w.network.add_concatenation(&tensors, axis)?;
    let value = w.value("concatenation", layer, dtype)?;
    w.finish(0, value)
}
