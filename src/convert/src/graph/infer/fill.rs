//! `Fill`, `Range`, `ZerosLike` and `OnesLike`.

use tfjet_core::{DType, Dim, Shape};

use super::reshape::shape_from_elements;
use super::{Context, InferError, fact};
use crate::graph::WireFact;

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    match context.node.op.as_str() {
        "Fill" => {
            let dtype = context.dtype(1);
            let elements = context.input(0)?.elements.clone();
            let shape = match elements {
                Some(elements) => Some(shape_from_elements(context, 0, &elements)?),
                None => None,
            };
            let mut result = fact(dtype, shape);
            if result.rank() == Some(0) {
                result.elements.clone_from(&context.input(1)?.elements);
            }
            Ok(vec![result])
        }
        "Range" => {
            let dtype = context.dtype(0).or(Some(DType::I32));
            let size = match (context.scalar(0)?, context.scalar(1)?, context.scalar(2)?) {
                (Some(start), Some(limit), Some(delta)) if delta != 0 => {
                    let distance = if delta > 0 {
                        limit - start
                    } else {
                        start - limit
                    };
                    usize::try_from(
                        distance
                            .max(0)
                            .unsigned_abs()
                            .div_ceil(delta.unsigned_abs()),
                    )
                    .ok()
                }
                _ => None,
            };
            let dim = size.map_or_else(|| context.symbol(0, 0), Dim::Fixed);
            Ok(vec![fact(dtype, Some(Shape(vec![dim])))])
        }
        _ => Ok(vec![fact(context.dtype(0), context.shape(0)?.cloned())]),
    }
}
