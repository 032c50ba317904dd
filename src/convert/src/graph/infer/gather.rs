//! `Gather`, `GatherV2`, `ResourceGather`, `GatherNd`, `ScatterNd` and `OneHot`.

use tfjet_core::{Dim, Shape};

use super::{Context, InferError, fact, impossible, normalize_axis};
use crate::graph::WireFact;

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    match context.node.op.as_str() {
        "OneHot" => one_hot(context),
        "ScatterNd" => scatter_nd(context),
        "GatherNd" => gather_nd(context),
        _ => gather(context),
    }
}

fn gather(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let axis = match context.node.op.as_str() {
        "Gather" => Some(0),
        "ResourceGather" => Some(context.attrs.int_or("batch_dims", 0)?),
        _ => context.scalar(2)?,
    };
    let batch_dims = context.attrs.int_or("batch_dims", 0)?;
    let (Some(params), Some(indices), Some(axis)) = (context.shape(0)?, context.shape(1)?, axis)
    else {
        return Ok(vec![fact(dtype, None)]);
    };
    let axis = normalize_axis(axis, params.rank())?;
    let batch = match usize::try_from(if batch_dims < 0 {
        batch_dims + i64::try_from(indices.rank()).unwrap_or(0)
    } else {
        batch_dims
    }) {
        Ok(batch) if batch <= axis && batch <= indices.rank() => batch,
        _ => return impossible(format!("batch_dims {batch_dims} does not fit axis {axis}")),
    };
    let mut dims = params.dims()[..axis].to_vec();
    dims.extend_from_slice(&indices.dims()[batch..]);
    dims.extend_from_slice(&params.dims()[axis + 1..]);
    let mut result = fact(dtype, Some(Shape(dims)));
    if params.rank() == 1
        && indices.rank() <= 1
        && let (Some(elements), Some(picks)) = (
            context.input(0)?.elements.as_ref(),
            context.input(1)?.known_elements(),
        )
    {
        result.elements = picks
            .iter()
            .map(|&pick| elements.get(usize::try_from(pick).ok()?).cloned())
            .collect();
    }
    Ok(vec![result])
}

fn gather_nd(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let (Some(params), Some(indices)) = (context.shape(0)?, context.shape(1)?) else {
        return Ok(vec![fact(dtype, None)]);
    };
    let Some(depth) = indices.dims().last().and_then(Dim::fixed) else {
        return Ok(vec![fact(dtype, None)]);
    };
    if depth > params.rank() {
        return impossible(format!("indices of depth {depth} into {params}"));
    }
    let mut dims = indices.dims()[..indices.rank() - 1].to_vec();
    dims.extend_from_slice(&params.dims()[depth..]);
    Ok(vec![fact(dtype, Some(Shape(dims)))])
}

fn scatter_nd(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let shape = match context.elements(2)? {
        Some(elements) => Some(super::reshape::shape_from_elements(context, 0, &elements)?),
        None => None,
    };
    Ok(vec![fact(context.dtype(1), shape)])
}

fn one_hot(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(2);
    let axis = context.attrs.int_or("axis", -1)?;
    let Some(indices) = context.shape(0)? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let axis = normalize_axis(axis, indices.rank() + 1)?;
    let depth = context
        .scalar(1)?
        .and_then(|depth| usize::try_from(depth).ok());
    let mut dims = indices.0.clone();
    dims.insert(
        axis,
        depth.map_or_else(|| context.symbol(0, axis), Dim::Fixed),
    );
    Ok(vec![fact(dtype, Some(Shape(dims)))])
}
