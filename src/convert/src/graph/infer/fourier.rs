//! Discrete Fourier transforms along the last axes.

use tfjet_core::{DType, Dim, Shape};

use super::{Context, InferError, fact, impossible};
use crate::graph::{Formula, SymbolicInt, WireFact};

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let op = context.node.op.as_str();
    let rank = match op.strip_suffix("2D").or(op.strip_suffix("3D")) {
        None => 1,
        Some(_) if op.ends_with("2D") => 2,
        Some(_) => 3,
    };
    let (is_real, is_inverse) = (op.contains("RFFT"), op.starts_with('I'));
    let dtype = match (is_real, is_inverse) {
        (false, _) => context.dtype(0),
        (true, false) => Some(context.attrs.dtype_or("Tcomplex", DType::C64)?),
        (true, true) => Some(context.attrs.dtype_or("Treal", DType::F32)?),
    };
    let Some(shape) = context.shape(0)? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let Some(outer) = shape.rank().checked_sub(rank) else {
        return impossible(format!("a tensor of {shape} has fewer than {rank} axes"));
    };
    if !is_real {
        return Ok(vec![fact(dtype, Some(shape.clone()))]);
    }
    let lengths = context.elements(1)?.unwrap_or_default();
    let mut dims = shape.dims()[..outer].to_vec();
    for axis in 0..rank {
        let is_half = !is_inverse && axis + 1 == rank;
        let dim = match lengths.get(axis) {
            Some(SymbolicInt::Known(length)) => match usize::try_from(*length) {
                Ok(length) if is_half && length > 0 => Dim::Fixed(length / 2 + 1),
                Ok(length) => Dim::Fixed(length),
                Err(_) => return impossible(format!("a transform of {length} points")),
            },
            length => {
                let length = length.and_then(SymbolicInt::formula);
                let half = |length: Formula| {
                    let above = length.low().is_some_and(|low| low > 0);
                    let half = length.floor_div(&Formula::from(2))?;
                    half.add(&Formula::from(1)).filter(|_| above)
                };
                let size = if is_half {
                    length.and_then(half)
                } else {
                    length
                };
                context.dim(size, 0, outer + axis)
            }
        };
        dims.push(dim);
    }
    Ok(vec![fact(dtype, Some(Shape(dims)))])
}
