//! `MatMul`, `BatchMatMul(V2)` and `_FusedMatMul`.

use tfjet_core::Shape;

use super::{Context, InferError, broadcast, fact, impossible};
use crate::graph::WireFact;

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = match context.node.op.as_str() {
        "BatchMatMulV3" => context.attrs.dtype("Tout").ok().or(context.dtype(0)),
        _ => context.dtype(0),
    };
    let batch = context.node.op.starts_with("Batch");
    let (first, second) = if batch {
        ("adj_x", "adj_y")
    } else {
        ("transpose_a", "transpose_b")
    };
    let first = context.attrs.bool_or(first, false)?;
    let second = context.attrs.bool_or(second, false)?;
    let (Some(a), Some(b)) = (context.shape(0)?, context.shape(1)?) else {
        return Ok(vec![fact(dtype, None)]);
    };
    if a.rank() < 2 || b.rank() < 2 || (!batch && (a.rank() != 2 || b.rank() != 2)) {
        return impossible(format!("cannot multiply {a} by {b}"));
    }
    let (ra, rb) = (a.rank(), b.rank());
    let (rows, inner_a) = if first {
        (ra - 1, ra - 2)
    } else {
        (ra - 2, ra - 1)
    };
    let (inner_b, columns) = if second {
        (rb - 1, rb - 2)
    } else {
        (rb - 2, rb - 1)
    };
    if let (Some(x), Some(y)) = (a.dims()[inner_a].fixed(), b.dims()[inner_b].fixed())
        && x != y
    {
        return impossible(format!("cannot multiply {a} by {b}: {x} against {y}"));
    }
    let lead_a = Shape(a.dims()[..ra - 2].to_vec());
    let lead_b = Shape(b.dims()[..rb - 2].to_vec());
    let mut dims = broadcast(&lead_a, &lead_b, |axis| context.symbol(0, axis))?.0;
    dims.push(a.dims()[rows].clone());
    dims.push(b.dims()[columns].clone());
    Ok(vec![fact(dtype, Some(Shape(dims)))])
}
