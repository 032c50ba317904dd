//! `MatrixDiag`, `MatrixDiagPart`, their later versions, `Diag` and `DiagPart`.

use tfjet_core::{Dim, Shape};

use super::{Context, InferError, fact, impossible};
use crate::graph::{Formula, WireFact};

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let Some(shape) = context.shape(0)? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let dims = shape.dims();
    let result = match context.node.op.as_str() {
        "Diag" => Shape([dims, dims].concat()),
        "DiagPart" => Shape(dims[..dims.len() / 2].to_vec()),
        op if op.starts_with("MatrixDiagPart") => {
            let [outer @ .., rows, columns] = dims else {
                return impossible(format!("{shape} holds no matrices"));
            };
            let Some((low, high)) = range(context)? else {
                return Ok(vec![fact(dtype, None)]);
            };
            let side = |dim: &Dim, less: i64| context.sizes.formula(dim).sub(&Formula::from(less));
            let shorter = side(rows, -high.min(0))
                .zip(side(columns, low.max(0)))
                .and_then(|(rows, columns)| rows.smaller(&columns));
            packed(context, outer, (low, high), shorter)
        }
        _ => {
            let Some((low, high)) = range(context)? else {
                return Ok(vec![fact(dtype, None)]);
            };
            let taken = if low == high { 1 } else { 2 };
            let Some((outer, [.., longest])) =
                dims.split_at_checked(dims.len().checked_sub(taken).unwrap_or(usize::MAX))
            else {
                return impossible(format!("diagonals {low} to {high} in {shape}"));
            };
            let longest = context.sizes.formula(longest);
            let least = [-high.min(0), low.max(0)].map(|more| longest.add(&Formula::from(more)));
            let [rows, columns] = matrix(context, least)?;
            let rank = outer.len();
            let mut dims = outer.to_vec();
            dims.push(context.dim(rows, 0, rank));
            dims.push(context.dim(columns, 0, rank + 1));
            Shape(dims)
        }
    };
    Ok(vec![fact(dtype, Some(result))])
}

/// The lowest and the highest diagonal.
fn range(context: &Context<'_>) -> Result<Option<(i64, i64)>, InferError> {
    if !context.node.op.contains("V2") && !context.node.op.contains("V3") {
        return Ok(Some((0, 0)));
    }
    let known = context.integers(1)?;
    if let Some(k) = known.iter().flatten().find(|&&k| i32::try_from(k).is_err()) {
        return impossible(format!("diagonal {k} of a matrix"));
    }
    match known.as_deref() {
        Some([k]) => Ok(Some((*k, *k))),
        Some([low, high]) if low <= high => Ok(Some((*low, *high))),
        Some(other) => impossible(format!("diagonals {other:?}, expected one or a range")),
        None => Ok(None),
    }
}

fn packed(
    context: &Context<'_>,
    outer: &[Dim],
    (low, high): (i64, i64),
    longest: Option<Formula>,
) -> Shape {
    let mut dims = outer.to_vec();
    if low != high {
        let count = high
            .checked_sub(low)
            .and_then(|count| count.checked_add(1))
            .map(Formula::from);
        dims.push(context.dim(count, 0, outer.len()));
    }
    dims.push(context.dim(longest, 0, dims.len()));
    Shape(dims)
}

/// Rows and columns, given the fewest of each that hold the diagonals.
fn matrix(
    context: &Context<'_>,
    least: [Option<Formula>; 2],
) -> Result<[Option<Formula>; 2], InferError> {
    let [rows, columns] = least;
    let square = |rows: Option<Formula>, columns: Option<Formula>| {
        let side = rows
            .zip(columns)
            .and_then(|(rows, columns)| rows.larger(&columns));
        [side.clone(), side]
    };
    if context.inputs.len() < 5 {
        return Ok(square(rows, columns));
    }
    Ok(match (context.scalar(2)?, context.scalar(3)?) {
        (Some(-1), Some(-1)) => square(rows, columns),
        (Some(-1), Some(given)) => [rows, Some(Formula::from(given))],
        (Some(given), Some(-1)) => [Some(Formula::from(given)), columns],
        (rows, columns) => {
            [rows, columns].map(|size| size.filter(|&size| size != -1).map(Formula::from))
        }
    })
}
