//! Ops about which elements there are and where: unique ones, segments, counts, partitions.

use tfjet_core::{DType, Dim, Shape};

use super::reshape::shape_from_elements;
use super::{Context, InferError, fact, impossible, normalize_axis};
use crate::graph::{SymbolicInt, WireFact, output_count};

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let first = context.dtype(0);
    let op = context.node.op.as_str();
    match op {
        "Unique" | "UniqueV2" | "UniqueWithCounts" | "UniqueWithCountsV2" => unique(context),
        "ListDiff" => {
            let indices = context.attrs.dtype_or("out_idx", DType::I32)?;
            let shape = Some(context.symbols(0, 1));
            Ok(vec![fact(first, shape.clone()), fact(Some(indices), shape)])
        }
        "SparseToDense" => Ok(vec![sized(context, context.dtype(3), 1)?]),
        "Empty" => {
            let dtype = context.attrs.dtype("dtype")?;
            Ok(vec![sized(context, Some(dtype), 0)?])
        }
        "BroadcastArgs" => broadcast_args(context),
        "ConcatOffset" => {
            let count = output_count(op, &context.node.attrs).unwrap_or(0);
            let shape = context.shape(1)?.cloned();
            let count = usize::try_from(count).unwrap_or(0);
            Ok(vec![fact(context.dtype(1), shape); count])
        }
        "DynamicPartition" => {
            let count = output_count(op, &context.node.attrs).unwrap_or(0);
            let rows = rest(context, 0, 1)?;
            Ok((0..usize::try_from(count).unwrap_or(0))
                .map(|slot| {
                    fact(
                        first,
                        rows.as_deref()
                            .map(|rows| stack(context.symbol(slot, 0), rows)),
                    )
                })
                .collect())
        }
        "DynamicStitch" | "ParallelDynamicStitch" => {
            let half = context.inputs.len() / 2;
            let rows = rest(context, half, 0)?;
            let shape = rows.map(|rows| stack(context.symbol(0, 0), &rows));
            Ok(vec![fact(context.dtype(half), shape)])
        }
        "Bincount" | "DenseBincount" => {
            let size = one(context, 1)?;
            let shape = match (op, context.shape(0)?.map(Shape::dims)) {
                ("DenseBincount", Some([rows, _])) => Some(Shape(vec![rows.clone(), size])),
                ("DenseBincount", None) => None,
                _ => Some(Shape(vec![size])),
            };
            Ok(vec![fact(context.dtype(2), shape)])
        }
        "LowerBound" | "UpperBound" => {
            let dtype = context.attrs.dtype_or("out_type", DType::I32)?;
            Ok(vec![fact(Some(dtype), context.shape(1)?.cloned())])
        }
        "Bucketize" => Ok(vec![fact(Some(DType::I32), context.shape(0)?.cloned())]),
        "InTopK" | "InTopKV2" => Ok(vec![fact(Some(DType::Bool), context.shape(1)?.cloned())]),
        _ => {
            let count = if op.starts_with("Unsorted") {
                one(context, 2)?
            } else {
                context.symbol(0, 0)
            };
            let shape = rest(context, 0, 1)?.map(|rows| stack(count, &rows));
            Ok(vec![fact(first, shape)])
        }
    }
}

fn stack(len: Dim, row: &[Dim]) -> Shape {
    Shape([&[len], row].concat())
}

/// A size that is a scalar input.
fn one(context: &Context<'_>, index: usize) -> Result<Dim, InferError> {
    let size = context.input(index)?.elements.as_deref();
    let size = size.and_then(|size| size.first()?.formula());
    Ok(context.dim(size, 0, 0))
}

/// A tensor whose shape input `index` holds.
fn sized(
    context: &Context<'_>,
    dtype: Option<DType>,
    index: usize,
) -> Result<WireFact, InferError> {
    let sizes = context.elements(index)?;
    let shape = sizes.map(|sizes| shape_from_elements(context, 0, &sizes));
    Ok(fact(dtype, shape.transpose()?))
}

/// The dims of input `data` behind as many as input `indices` has.
fn rest(
    context: &Context<'_>,
    data: usize,
    indices: usize,
) -> Result<Option<Vec<Dim>>, InferError> {
    let (Some(data), Some(indices)) = (context.shape(data)?, context.shape(indices)?) else {
        return Ok(None);
    };
    match data.dims().get(indices.rank()..) {
        Some(rest) => Ok(Some(rest.to_vec())),
        None => impossible(format!(
            "indices of shape {indices} for data of shape {data}"
        )),
    }
}

fn unique(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let indices = Some(context.attrs.dtype_or("out_idx", DType::I32)?);
    let along = context.node.op.ends_with("V2");
    let axis = match (along, context.shape(0)?) {
        (false, _) => Some(0),
        (true, Some(shape)) => match context.integers(1)?.as_deref() {
            Some([]) => Some(0),
            Some([axis]) => Some(normalize_axis(*axis, shape.rank())?),
            _ => None,
        },
        (true, None) => None,
    };
    let shape = context.shape(0)?;
    let (found, len) = match (shape, axis) {
        (Some(shape), Some(axis)) if axis < shape.rank() => {
            let mut dims = shape.0.clone();
            let len = std::mem::replace(&mut dims[axis], context.symbol(0, axis));
            (Some(Shape(dims)), len)
        }
        (Some(shape), Some(_)) => return impossible(format!("{shape} is no vector")),
        (Some(shape), None) => (Some(context.symbols(0, shape.rank())), context.symbol(1, 0)),
        (None, _) => (None, context.symbol(1, 0)),
    };
    let count = match (axis, &found) {
        (Some(axis), Some(_)) => context.symbol(0, axis),
        _ => context.symbol(2, 0),
    };
    let mut facts = vec![
        fact(context.dtype(0), found),
        fact(indices, Some(Shape(vec![len]))),
    ];
    if context.node.op.contains("Counts") {
        facts.push(fact(indices, Some(Shape(vec![count]))));
    }
    Ok(facts)
}

fn broadcast_args(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let (Some(a), Some(b)) = (context.elements(0)?, context.elements(1)?) else {
        return Ok(vec![fact(dtype, Some(context.symbols(0, 1)))]);
    };
    let rank = a.len().max(b.len());
    let size = |sizes: &[SymbolicInt], axis: usize| {
        let at = (axis + sizes.len()).checked_sub(rank);
        at.map_or(SymbolicInt::Known(1), |at| sizes[at].clone())
    };
    let one = SymbolicInt::Known(1);
    let joined = (0..rank).map(|axis| match (size(&a, axis), size(&b, axis)) {
        (x, y) if x == y => x,
        (x, y) if x == one => y,
        (x, y) if y == one => x,
        (SymbolicInt::Known(x), _) if x != 1 => SymbolicInt::Known(x),
        (_, SymbolicInt::Known(y)) => SymbolicInt::Known(y),
        _ => SymbolicInt::Unknown,
    });
    let mut result = fact(dtype, Some(Shape::fixed(&[rank])));
    result.elements = Some(joined.collect());
    Ok(vec![result])
}
