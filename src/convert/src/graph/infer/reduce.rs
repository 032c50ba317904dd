//! Reductions over axes, `ArgMax` and `ArgMin`.

use tfjet_core::{DType, Dim, Shape};

use super::{Context, InferError, fact, normalize_axis};
use crate::graph::{SymbolicInt, WireFact};

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let op = context.node.op.as_str();
    let arg = op.starts_with("Arg");
    let dtype = if arg {
        Some(context.attrs.dtype_or("output_type", DType::I64)?)
    } else {
        context.dtype(0)
    };
    let keep = context.attrs.bool_or("keep_dims", false)?;
    let input = context.input(0)?;
    let Some(shape) = input.shape.as_ref() else {
        return Ok(vec![fact(dtype, None)]);
    };
    let Some(axes) = context.integers(1)? else {
        let shape = if keep {
            Some(context.symbols(0, shape.rank()))
        } else {
            None
        };
        return Ok(vec![fact(dtype, shape)]);
    };
    let mut reduced = vec![false; shape.rank()];
    for axis in axes {
        reduced[normalize_axis(axis, shape.rank())?] = true;
    }
    let dims = shape
        .dims()
        .iter()
        .zip(&reduced)
        .filter_map(|(dim, &reduced)| match (reduced, keep) {
            (true, true) => Some(Dim::Fixed(1)),
            (true, false) => None,
            (false, _) => Some(dim.clone()),
        });
    let mut result = fact(dtype, Some(Shape(dims.collect())));
    if shape.rank() <= 1
        && let Some(elements) = input.elements.as_deref()
    {
        result.elements = reduced_elements(op, elements).map(|element| vec![element]);
    }
    Ok(vec![result])
}

/// A reduction of sizes to one number.
fn reduced_elements(op: &str, elements: &[SymbolicInt]) -> Option<SymbolicInt> {
    let mut formulas = elements.iter().map(SymbolicInt::formula);
    let first = formulas.next()??;
    let reduced = formulas.try_fold(first, |reduced, next| {
        let next = next?;
        match op {
            "Prod" => reduced.mul(&next),
            "Sum" => reduced.add(&next),
            "Max" => reduced.larger(&next),
            "Min" => reduced.smaller(&next),
            _ => None,
        }
    });
    matches!(op, "Prod" | "Sum" | "Max" | "Min").then_some(SymbolicInt::from(reduced))
}
