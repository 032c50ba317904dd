//! `SpaceToBatchND`, `BatchToSpaceND` and their first versions.

use tfjet_core::Shape;

use super::{Context, InferError, fact, impossible, padding_pairs};
use crate::graph::{Formula, WireFact};

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let op = context.node.op.as_str();
    let dtype = context.dtype(0);
    let Some(shape) = context.shape(0)? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let unknown = || Ok(vec![fact(dtype, Some(context.symbols(0, shape.rank())))]);
    let (blocks, edges) = if op.ends_with("ND") {
        (context.integers(1)?, context.elements(2)?)
    } else {
        let block = context.attrs.int("block_size")?;
        (Some(vec![block; 2]), context.elements(1)?)
    };
    let (Some(blocks), Some(edges)) = (blocks, edges) else {
        return unknown();
    };
    let Some(pairs) = padding_pairs(&edges).filter(|pairs| pairs.len() == blocks.len()) else {
        return unknown();
    };
    if blocks.len() >= shape.rank() || blocks.iter().any(|&block| block < 1) {
        return impossible(format!("blocks {blocks:?} do not divide {shape}"));
    }
    let divides = op.starts_with("SpaceToBatch");
    let mut dims = shape.0.clone();
    let mut batch = Some(context.sizes.formula(&shape.dims()[0]));
    for (axis, (&block, pair)) in (1..).zip(blocks.iter().zip(&pairs)) {
        let size = context.sizes.formula(&shape.dims()[axis]);
        let edges = pair[0]
            .formula()
            .and_then(|first| first.add(&pair[1].formula()?));
        let by = Formula::from(block);
        let made = if divides {
            batch = batch.and_then(|batch| batch.mul(&by));
            let whole = edges.and_then(|edges| size.add(&edges));
            if let Some(whole) = whole.as_ref().and_then(Formula::known)
                && whole % block != 0
            {
                return impossible(format!(
                    "{whole} elements do not divide into blocks of {block}"
                ));
            }
            whole.and_then(|whole| whole.floor_div(&by))
        } else {
            batch = batch.and_then(|batch| quotient(&batch, block));
            let whole = size.mul(&by);
            whole.and_then(|whole| whole.sub(&edges?))
        };
        if made
            .as_ref()
            .and_then(Formula::known)
            .is_some_and(|size| size < 0)
        {
            return impossible(format!("nothing of axis {axis} of {shape} is left"));
        }
        dims[axis] = context.dim(made, 0, axis);
    }
    if let Some(known) = shape.dims()[0].fixed()
        && !divides
        && batch.is_none()
    {
        return impossible(format!(
            "{known} images are no whole number of blocks {blocks:?}"
        ));
    }
    dims[0] = context.dim(batch, 0, 0);
    Ok(vec![fact(dtype, Some(Shape(dims)))])
}

/// `batch / block`, where it leaves no rest.
fn quotient(batch: &Formula, block: i64) -> Option<Formula> {
    let by = Formula::from(block);
    match batch.known() {
        Some(known) if known % block != 0 => None,
        _ => batch.exact_div(&by).or_else(|| batch.floor_div(&by)),
    }
}
