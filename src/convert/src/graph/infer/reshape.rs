//! Ops that rearrange or describe a shape.

use tfjet_core::{AttrValue, DType, Dim, Shape};

use super::symbolic::{product, quotient};
use super::{Context, InferError, fact, impossible, normalize_axis};
use crate::graph::{Formula, SymbolicInt, WireFact};

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    match context.node.op.as_str() {
        "Reshape" => reshape(context),
        "Squeeze" => squeeze(context),
        "ExpandDims" => expand_dims(context),
        "Shape" | "ShapeN" | "Size" | "Rank" => describe(context),
        "Transpose" => transpose(context),
        "Tile" => tile(context),
        "BroadcastTo" => {
            let elements = context.input(1)?.elements.clone();
            let shape = match elements {
                Some(elements) => Some(shape_from_elements(context, 0, &elements)?),
                None => None,
            };
            Ok(vec![fact(context.dtype(0), shape)])
        }
        "Bitcast" => bitcast(context),
        "EnsureShape" => ensure_shape(context),
        _ => pad(context),
    }
}

fn bitcast(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let (from, to) = (context.dtype(0), context.attrs.dtype("type")?);
    let (Some(from), Some(shape)) = (from, context.shape(0)?) else {
        return Ok(vec![fact(Some(to), None)]);
    };
    let (from, size) = (from.size_bytes(), to.size_bytes());
    let mut dims = shape.0.clone();
    if from > size {
        dims.push(Dim::Fixed(from / size));
    } else if from < size && dims.pop().is_none() {
        return impossible("a scalar does not hold a larger type");
    }
    Ok(vec![fact(Some(to), Some(Shape(dims)))])
}

fn ensure_shape(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let input = context.input(0)?;
    let expected = match context.attrs.get("shape") {
        Some(AttrValue::Shape(Some(expected))) => expected,
        _ => return Ok(vec![input.clone()]),
    };
    let mut dims = match &input.shape {
        Some(shape) if shape.rank() != expected.rank() => {
            return impossible(format!("the shape is {shape}, expected {expected}"));
        }
        Some(shape) => shape.0.clone(),
        None => context.symbols(0, expected.rank()).0,
    };
    for (dim, expected) in dims.iter_mut().zip(expected.dims()) {
        match (&*dim, expected) {
            (Dim::Fixed(size), Dim::Fixed(expected)) if size != expected => {
                return impossible(format!("a size is {size}, expected {expected}"));
            }
            (_, Dim::Fixed(_)) => *dim = expected.clone(),
            _ => {}
        }
    }
    let mut result = fact(input.dtype, Some(Shape(dims)));
    result.elements.clone_from(&input.elements);
    Ok(vec![result])
}

/// The shape that a vector of sizes describes; unknown elements become fresh symbols.
pub(super) fn shape_from_elements(
    context: &Context<'_>,
    slot: usize,
    elements: &[SymbolicInt],
) -> Result<Shape, InferError> {
    let dims = elements
        .iter()
        .enumerate()
        .map(|(axis, element)| match element {
            SymbolicInt::Known(size) => match usize::try_from(*size) {
                Ok(size) => Ok(Dim::Fixed(size)),
                Err(_) => impossible(format!("a dimension of size {size}")),
            },
            element => Ok(context.dim(element.formula(), slot, axis)),
        });
    Ok(Shape(dims.collect::<Result<_, _>>()?))
}

fn reshape(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let input = context.input(0)?;
    let target = context.input(1)?;
    let Some(elements) = target.elements.as_deref() else {
        let rank = match target.shape.as_ref().map(Shape::dims) {
            Some([Dim::Fixed(rank)]) => Some(*rank),
            _ => None,
        };
        return Ok(vec![fact(dtype, rank.map(|rank| context.symbols(0, rank)))]);
    };
    let hole = elements.iter().position(|e| *e == SymbolicInt::Known(-1));
    let mut dims = Vec::with_capacity(elements.len());
    for (axis, element) in elements.iter().enumerate() {
        dims.push(match element {
            _ if Some(axis) == hole => Dim::Fixed(1),
            SymbolicInt::Known(size) => match usize::try_from(*size) {
                Ok(size) => Dim::Fixed(size),
                Err(_) => return impossible(format!("cannot reshape to a size of {size}")),
            },
            element => context.dim(element.formula(), 0, axis),
        });
    }
    if let Some(shape) = input.shape.as_ref() {
        let rest = quotient(context.sizes, shape.dims(), &dims)?;
        match (hole, rest.as_ref().map(Formula::known)) {
            (Some(axis), _) => dims[axis] = context.dim(rest, 0, axis),
            (None, Some(Some(rest))) if rest != 1 => {
                return impossible(format!("cannot reshape {shape} to {}", Shape(dims)));
            }
            _ => {}
        }
    } else if let Some(axis) = hole {
        dims[axis] = context.symbol(0, axis);
    }
    let mut result = fact(dtype, Some(Shape(dims)));
    if result.rank().is_some_and(|rank| rank <= 2) {
        result.elements.clone_from(&input.elements);
    }
    Ok(vec![result])
}

fn squeeze(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let mut axes = context.attrs.ints("squeeze_dims")?;
    if axes.is_empty() {
        axes = context.attrs.ints("axis")?;
    }
    let input = context.input(0)?;
    let Some(shape) = input.shape.as_ref() else {
        return Ok(vec![fact(dtype, None)]);
    };
    let mut keep = vec![true; shape.rank()];
    if axes.is_empty() {
        if shape.as_fixed().is_none() {
            return Ok(vec![fact(dtype, None)]);
        }
        for (keep, dim) in keep.iter_mut().zip(shape.dims()) {
            *keep = *dim != Dim::Fixed(1);
        }
    }
    for &axis in axes {
        let axis = normalize_axis(axis, shape.rank())?;
        if shape.dims()[axis].fixed().is_some_and(|size| size != 1) {
            return impossible(format!("cannot squeeze axis {axis} of {shape}"));
        }
        keep[axis] = false;
    }
    let mut kept = keep.iter();
    let mut dims = shape.0.clone();
    dims.retain(|_| kept.next().copied().unwrap_or(true));
    let mut result = fact(dtype, Some(Shape(dims)));
    result.elements.clone_from(&input.elements);
    Ok(vec![result])
}

fn expand_dims(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let input = context.input(0)?;
    let (Some(shape), Some(axis)) = (input.shape.as_ref(), context.scalar(1)?) else {
        return Ok(vec![fact(dtype, None)]);
    };
    let axis = normalize_axis(axis, shape.rank() + 1)?;
    let mut dims = shape.0.clone();
    dims.insert(axis, Dim::Fixed(1));
    let mut result = fact(dtype, Some(Shape(dims)));
    if shape.rank() <= 1 {
        result.elements.clone_from(&input.elements);
    }
    Ok(vec![result])
}

fn describe(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.attrs.dtype_or("out_type", DType::I32)?;
    context
        .inputs
        .iter()
        .map(|input| {
            let shape = input.shape.as_ref();
            let (rank, elements) = match context.node.op.as_str() {
                "Rank" => (
                    Shape::default(),
                    shape
                        .and_then(|shape| i64::try_from(shape.rank()).ok())
                        .map(|rank| vec![SymbolicInt::Known(rank)]),
                ),
                "Size" => (
                    Shape::default(),
                    shape
                        .and_then(|shape| product(context.sizes, shape.dims()))
                        .map(|size| vec![SymbolicInt::from(size)]),
                ),
                _ => (
                    Shape(vec![match shape {
                        Some(shape) => Dim::Fixed(shape.rank()),
                        None => context.symbol(0, 0),
                    }]),
                    shape.map(|shape| {
                        let sizes = shape.dims().iter().map(|dim| context.sizes.formula(dim));
                        sizes.map(SymbolicInt::from).collect()
                    }),
                ),
            };
            let dtype = if context.node.op == "Rank" {
                DType::I32
            } else {
                dtype
            };
            let mut result = WireFact::new(dtype, Some(rank));
            result.elements = elements;
            Ok(result)
        })
        .collect()
}

fn transpose(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let Some(shape) = context.shape(0)? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let Some(order) = context.integers(1)? else {
        return Ok(vec![fact(dtype, Some(context.symbols(0, shape.rank())))]);
    };
    if order.len() != shape.rank() {
        return impossible(format!("{} axes to transpose {shape}", order.len()));
    }
    let mut seen = vec![false; shape.rank()];
    let mut dims = Vec::with_capacity(order.len());
    for axis in order {
        let axis = normalize_axis(axis, shape.rank())?;
        if std::mem::replace(&mut seen[axis], true) {
            return impossible(format!("axis {axis} twice in the order of a transpose"));
        }
        dims.push(shape.dims()[axis].clone());
    }
    Ok(vec![fact(dtype, Some(Shape(dims)))])
}

fn tile(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let Some(shape) = context.shape(0)? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let multiples = context.input(1)?.elements.clone().unwrap_or_default();
    let dims = shape.dims().iter().enumerate().map(|(axis, dim)| {
        let times = multiples.get(axis).and_then(SymbolicInt::formula);
        let size = times.and_then(|times| context.sizes.formula(dim).mul(&times));
        context.dim(size, 0, axis)
    });
    Ok(vec![fact(dtype, Some(Shape(dims.collect())))])
}

fn pad(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let Some(shape) = context.shape(0)? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let Some(elements) = context.input(1)?.elements.as_deref() else {
        return Ok(vec![fact(dtype, Some(context.symbols(0, shape.rank())))]);
    };
    let Some(pairs) = padding_pairs(elements) else {
        return impossible("paddings are no pairs of 0 or more");
    };
    if pairs.len() != shape.rank() {
        return impossible(format!("{} padding pairs for {shape}", pairs.len()));
    }
    let mut dims = Vec::with_capacity(pairs.len());
    for (axis, (dim, [before, after])) in shape.dims().iter().zip(pairs).enumerate() {
        let padded = match (before.formula(), after.formula()) {
            (Some(before), Some(after)) => {
                let size = context.sizes.formula(dim).add(&before);
                size.and_then(|size| size.add(&after))
            }
            _ => None,
        };
        let known = dim.fixed().is_some() && [before, after].iter().all(|pad| pad.is_known());
        if known && padded.is_none() {
            return impossible("padding overflows");
        }
        dims.push(context.dim(padded, 0, axis));
    }
    Ok(vec![fact(dtype, Some(Shape(dims)))])
}

/// The pairs (before, after) of a \[n, 2\] paddings tensor; `None` where a number is negative.
pub(crate) fn padding_pairs(elements: &[SymbolicInt]) -> Option<Vec<[&SymbolicInt; 2]>> {
    let negative = |element: &SymbolicInt| matches!(element, SymbolicInt::Known(..0));
    if !elements.len().is_multiple_of(2) || elements.iter().any(negative) {
        return None;
    }
    Some(
        elements
            .chunks_exact(2)
            .map(|pair| [&pair[0], &pair[1]])
            .collect(),
    )
}
