//! `Fill`, `Range`, `LinSpace`, `ZerosLike` and `OnesLike`.

use tfjet_core::{DType, Shape};

use super::reshape::shape_from_elements;
use super::{Context, InferError, fact};
use crate::graph::{Formula, WireFact};

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
            let dim = context.dim(range_len(context)?, 0, 0);
            Ok(vec![fact(dtype, Some(Shape(vec![dim])))])
        }
        "LinSpace" => {
            let len = context.input(2)?.elements.as_deref();
            let len = len.and_then(|len| len.first()?.formula());
            let dim = context.dim(len, 0, 0);
            Ok(vec![fact(context.dtype(0), Some(Shape(vec![dim])))])
        }
        _ => Ok(vec![fact(context.dtype(0), context.shape(0)?.cloned())]),
    }
}

/// How many numbers there are from `start` to below `limit` by `delta`.
fn range_len(context: &Context<'_>) -> Result<Option<Formula>, InferError> {
    let number = |index: usize| -> Result<Option<Formula>, InferError> {
        let elements = context.input(index)?.elements.as_deref();
        Ok(elements.and_then(|elements| elements.first()?.formula()))
    };
    let (Some(start), Some(limit), Some(delta)) = (number(0)?, number(1)?, number(2)?) else {
        return Ok(None);
    };
    let distance = match delta.known() {
        Some(step) if step > 0 => limit.sub(&start),
        Some(step) if step < 0 => start.sub(&limit),
        _ => None,
    };
    let step = delta.known().and_then(i64::checked_abs);
    Ok(match (distance, step) {
        (Some(distance), Some(step)) => distance
            .ceil_div(step)
            .and_then(|count| count.larger(&Formula::default())),
        _ => None,
    })
}
