use tfjet_core::{ElementWiseOperation, Layer, TensorId, UnaryOperation, WeightsId};

use super::types::is_float;
use super::weights::has_zero;
use super::writer::{Value, Writer};
use crate::{DataType, TensorRtError};

type Done = Result<(), TensorRtError>;

pub(super) fn elementwise(w: &mut Writer<'_, '_, '_>, operation: ElementWiseOperation) -> Done {
    let (a, b) = (w.input(0)?, w.input(1)?);
    if a.dtype != b.dtype {
        let (a, b) = (w.input_dtype(0)?, w.input_dtype(1)?);
        return Err(w.fail(format!("inputs are {a} and {b}")));
    }
    if w.input_dims(0)?.len() != w.input_dims(1)?.len() {
        return Err(w.fail("inputs differ in rank"));
    }
    let value = match operation {
        ElementWiseOperation::Equal if a.dtype == DataType::Bool => {
            let layer = w.network.add_xor(a.tensor, b.tensor)?;
            let differ = w.value("xor", layer, DataType::Bool)?;
            not(w, differ)?
        }
        ElementWiseOperation::Div if !is_float(a.dtype) => {
            let b = nonzero(w, b)?;
            w.binary(operation, a, b)?
        }
        ElementWiseOperation::FloorDiv if !is_float(a.dtype) => {
            let b = nonzero(w, b)?;
            floor_div(w, a, b)?
        }
        _ => w.binary(operation, a, b)?,
    };
    w.finish(0, value)
}

/// `a / b` of integers, rounded down: the truncated quotient, less 1 where there is a rest and the
/// signs differ. TensorRT's own layer computes it in floats and is off for large numbers.
fn floor_div<'n>(
    w: &mut Writer<'n, '_, '_>,
    a: Value<'n>,
    b: Value<'n>,
) -> Result<Value<'n>, TensorRtError> {
    let quotient = w.binary(ElementWiseOperation::Div, a, b)?;
    let product = w.binary(ElementWiseOperation::Prod, quotient, b)?;
    let exact = w.binary(ElementWiseOperation::Equal, product, a)?;
    let zero_a = w.integer_like(0, a)?;
    let zero_b = w.integer_like(0, b)?;
    let a_negative = w.binary(ElementWiseOperation::Less, a, zero_a)?;
    let b_negative = w.binary(ElementWiseOperation::Less, b, zero_b)?;
    let layer = w.network.add_xor(a_negative.tensor, b_negative.tensor)?;
    let differ = w.value("xor", layer, DataType::Bool)?;
    let rest = not(w, exact)?;
    let lower = w.binary(ElementWiseOperation::And, rest, differ)?;
    let one = w.cast(lower, a.dtype)?;
    w.binary(ElementWiseOperation::Sub, quotient, one)
}

/// `value` with 1 for 0, by which an integer division is defined.
fn nonzero<'n>(w: &mut Writer<'n, '_, '_>, value: Value<'n>) -> Result<Value<'n>, TensorRtError> {
    if divisor(w).is_some_and(|view| !view) {
        return Ok(value);
    }
    let zero = w.integer_like(0, value)?;
    let is_zero = w.binary(ElementWiseOperation::Equal, value, zero)?;
    let one = w.cast(is_zero, value.dtype)?;
    w.binary(ElementWiseOperation::Sum, value, one)
}

/// Has the constant that is divided by a 0? `None` where it is no constant.
fn divisor(w: &Writer<'_, '_, '_>) -> Option<bool> {
    let id: TensorId = *w.layer.inputs.get(1)?;
    let maker = w.spec.layers.iter().find(|l| l.outputs.contains(&id))?;
    match maker.layer {
        Layer::Constant { weights } => w.weights_view(weights).ok().map(|view| has_zero(&view)),
        _ => None,
    }
}

fn not<'n>(w: &mut Writer<'n, '_, '_>, value: Value<'n>) -> Result<Value<'n>, TensorRtError> {
    let layer = w.network.add_unary(value.tensor, UnaryOperation::Not)?;
    w.value("not", layer, DataType::Bool)
}

pub(super) fn select(w: &mut Writer<'_, '_, '_>) -> Done {
    let (condition, yes, no) = (w.input(0)?, w.input(1)?, w.input(2)?);
    if condition.dtype != DataType::Bool || yes.dtype != no.dtype {
        return Err(w.fail("needs a condition of bool and two inputs of one type"));
    }
    let value = if yes.dtype == DataType::Bool {
        let yes = w.binary(ElementWiseOperation::And, condition, yes)?;
        let other = not(w, condition)?;
        let no = w.binary(ElementWiseOperation::And, other, no)?;
        w.binary(ElementWiseOperation::Or, yes, no)?
    } else {
        let layer = w
            .network
            .add_select(condition.tensor, yes.tensor, no.tensor)?;
        w.value("select", layer, yes.dtype)?
    };
    w.finish(0, value)
}

/// `x * scale + shift` along axis 1. `IScaleLayer` takes 4 axes or more.
pub(super) fn scale(
    w: &mut Writer<'_, '_, '_>,
    scale: Option<WeightsId>,
    shift: Option<WeightsId>,
) -> Done {
    let rank = w.input_dims(0)?.len();
    if rank < 2 {
        return Err(w.fail(format!("the input has rank {rank}, not at least 2")));
    }
    let mut value = w.input(0)?;
    if rank >= 4 && (scale.is_some() || shift.is_some()) {
        let dtype = value.dtype;
        let scale = scale.map(|id| w.vector(id, dtype)).transpose()?;
        let shift = shift.map(|id| w.vector(id, dtype)).transpose()?;
        let layer = w.network.add_scale(value.tensor, scale, shift, dtype, 1)?;
        value = w.value("scale", layer, dtype)?;
        return w.finish(0, value);
    }
    for (operation, id) in [
        (ElementWiseOperation::Prod, scale),
        (ElementWiseOperation::Sum, shift),
    ] {
        let Some(id) = id else { continue };
        let weights = w.vector(id, value.dtype)?;
        let mut dims = vec![1; rank];
        if let Some(channels) = dims.get_mut(1) {
            *channels = weights.elements();
        }
        let layer = w.network.add_constant(&dims, weights)?;
        let factor = w.value("constant", layer, value.dtype)?;
        value = w.binary(operation, value, factor)?;
    }
    w.finish(0, value)
}
