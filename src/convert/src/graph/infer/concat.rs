//! `ConcatV2`, `Concat`, `Pack`, `Unpack`, `Split` and `SplitV`.

use tfjet_core::{Dim, Shape};

use super::{Context, InferError, elements_of, fact, impossible, normalize_axis};
use crate::graph::{Formula, SymbolicInt, WireFact, output_count};

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    match context.node.op.as_str() {
        "ConcatV2" => {
            let last = context.inputs.len().saturating_sub(1);
            concat(context, last, 0..last)
        }
        "Concat" => concat(context, 0, 1..context.inputs.len()),
        "Pack" => pack(context),
        "Unpack" => unpack(context),
        _ => split(context),
    }
}

fn concat(
    context: &Context<'_>,
    axis_input: usize,
    values: std::ops::Range<usize>,
) -> Result<Vec<WireFact>, InferError> {
    let facts = context.inputs.get(values).unwrap_or_default();
    let Some(first) = facts.first() else {
        return impossible("nothing to concatenate");
    };
    let dtype = first.dtype;
    let axis = context.scalar(axis_input)?;
    let shapes: Option<Vec<&Shape>> = facts.iter().map(|f| f.shape.as_ref()).collect();
    let (Some(axis), Some(shapes)) = (axis, shapes) else {
        let rank = facts.iter().find_map(|fact| fact.rank());
        return Ok(vec![fact(dtype, rank.map(|rank| context.symbols(0, rank)))]);
    };
    let rank = shapes[0].rank();
    let axis = normalize_axis(axis, rank)?;
    let mut dims = shapes[0].0.clone();
    let mut joined = Some(Formula::default());
    for shape in &shapes {
        if shape.rank() != rank {
            return impossible(format!("cannot concatenate {} and {shape}", shapes[0]));
        }
        for (index, dim) in shape.dims().iter().enumerate() {
            if index == axis {
                joined = joined.and_then(|sum| sum.add(&context.sizes.formula(dim)));
                continue;
            }
            match (&dims[index], dim) {
                (Dim::Fixed(a), Dim::Fixed(b)) if a != b => {
                    return impossible(format!(
                        "cannot concatenate {} and {shape} on axis {axis}",
                        shapes[0]
                    ));
                }
                (Dim::Symbolic(_), Dim::Fixed(_)) => dims[index] = dim.clone(),
                _ => {}
            }
        }
    }
    if shapes.len() > 1 {
        dims[axis] = context.dim(joined, 0, axis);
    }
    let mut result = fact(dtype, Some(Shape(dims)));
    if rank == 1 || rank == 2 && axis == 0 {
        result.elements = elements_of(facts).map(|parts| parts.concat());
    }
    Ok(vec![result])
}

fn pack(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let axis = context.attrs.int_or("axis", 0)?;
    let known = context.inputs.iter().find_map(|fact| fact.shape.as_ref());
    let Some(shape) = known else {
        return Ok(vec![fact(dtype, None)]);
    };
    let axis = normalize_axis(axis, shape.rank() + 1)?;
    let mut dims = shape.0.clone();
    for other in context.inputs.iter().filter_map(|fact| fact.shape.as_ref()) {
        if other.rank() != dims.len() {
            return impossible(format!("cannot pack {shape} and {other}"));
        }
        for (dim, other) in dims.iter_mut().zip(other.dims()) {
            if dim.fixed().is_none() && other.fixed().is_some() {
                *dim = other.clone();
            }
        }
    }
    dims.insert(axis, Dim::Fixed(context.inputs.len()));
    let mut result = fact(dtype, Some(Shape(dims)));
    if shape.rank() == 0 || shape.rank() == 1 && axis == 0 {
        result.elements = elements_of(&context.inputs).map(|parts| parts.concat());
    }
    Ok(vec![result])
}

/// The number of outputs that attribute `name` gives.
fn outputs(context: &Context<'_>, name: &str) -> Result<usize, InferError> {
    let given = context.attrs.int(name)?;
    match output_count(&context.node.op, &context.node.attrs) {
        Some(count) => Ok(usize::try_from(count).unwrap_or(0)),
        None => impossible(format!("attribute `{name}` is {given}")),
    }
}

fn unpack(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let count = outputs(context, "num")?;
    let dtype = context.dtype(0);
    let axis = context.attrs.int_or("axis", 0)?;
    let input = context.input(0)?;
    let Some(shape) = input.shape.as_ref() else {
        return Ok(vec![fact(dtype, None); count]);
    };
    let axis = normalize_axis(axis, shape.rank())?;
    if shape.dims()[axis].fixed().is_some_and(|size| size != count) {
        return impossible(format!("cannot unpack axis {axis} of {shape} into {count}"));
    }
    let mut dims = shape.0.clone();
    dims.remove(axis);
    Ok((0..count)
        .map(|index| {
            let mut result = fact(dtype, Some(Shape(dims.clone())));
            if shape.rank() == 1 {
                result.elements = input
                    .elements
                    .as_ref()
                    .and_then(|elements| Some(vec![elements.get(index)?.clone()]));
            }
            result
        })
        .collect())
}

fn split(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let count = outputs(context, "num_split")?;
    let by_sizes = context.node.op == "SplitV";
    let (value, axis_input) = if by_sizes { (0, 2) } else { (1, 0) };
    let dtype = context.dtype(value);
    let (Some(shape), Some(axis)) = (context.shape(value)?, context.scalar(axis_input)?) else {
        let rank = context.input(value)?.rank();
        return Ok((0..count)
            .map(|slot| fact(dtype, rank.map(|rank| context.symbols(slot, rank))))
            .collect());
    };
    let axis = normalize_axis(axis, shape.rank())?;
    let whole = &shape.dims()[axis];
    let size = context.sizes.formula(whole);
    let sizes: Vec<Option<Formula>> = if by_sizes {
        let parts = context.elements(1)?.unwrap_or_default();
        let rest = parts
            .iter()
            .filter(|part| **part != SymbolicInt::Known(-1))
            .try_fold(size, |rest, part| rest.sub(&part.formula()?));
        (0..count)
            .map(|i| match parts.get(i)? {
                SymbolicInt::Known(-1) => rest.clone(),
                part => part.formula(),
            })
            .collect()
    } else {
        if let Some(whole) = whole.fixed()
            && (count == 0 || !whole.is_multiple_of(count))
        {
            return impossible(format!("cannot split axis {axis} of {shape} into {count}"));
        }
        let parts = i64::try_from(count).unwrap_or(i64::MAX);
        vec![size.floor_div(&Formula::from(parts)); count]
    };
    Ok(sizes
        .into_iter()
        .enumerate()
        .map(|(slot, size)| {
            let mut dims = shape.0.clone();
            dims[axis] = context.dim(size, slot, axis);
            fact(dtype, Some(Shape(dims)))
        })
        .collect())
}
