use tfjet_core::{ActivationType, DType, ElementWiseOperation, UnaryOperation};

use super::types::is_float;
use super::writer::{Value, Writer};
use crate::TensorRtError;

type Done = Result<(), TensorRtError>;

pub(super) fn activation(
    w: &mut Writer<'_, '_, '_>,
    kind: ActivationType,
    alpha: f32,
    beta: f32,
) -> Done {
    let input = w.input(0)?;
    let (least, most) = match kind {
        ActivationType::Relu => (0.0, f32::INFINITY),
        _ => (alpha, beta),
    };
    let bounds = matches!(kind, ActivationType::Relu | ActivationType::Clip);
    let value = if bounds && !is_float(input.dtype) {
        // The bounds of integers are cut to integers, as a cast would.
        let capped = if most == f32::INFINITY {
            input
        } else {
            with_integer(w, ElementWiseOperation::Min, input, most as i64)?
        };
        with_integer(w, ElementWiseOperation::Max, capped, least as i64)?
    } else if bounds && least > most {
        let (least, most) = (w.float(least, input)?, w.float(most, input)?);
        let capped = w.binary(ElementWiseOperation::Min, input, most)?;
        w.binary(ElementWiseOperation::Max, capped, least)?
    } else {
        let layer = w.network.add_activation(input.tensor, kind, alpha, beta)?;
        w.value("activation", layer, input.dtype)?
    };
    w.finish(0, value)
}

pub(super) fn unary(w: &mut Writer<'_, '_, '_>, operation: UnaryOperation) -> Done {
    let input = w.input(0)?;
    let whole = !w.input_dtype(0)?.is_float();
    let value = match operation {
        UnaryOperation::Floor | UnaryOperation::Ceil | UnaryOperation::Round if whole => input,
        UnaryOperation::Abs | UnaryOperation::Neg if whole => {
            let zero = w.integer_like(0, input)?;
            let negative = w.binary(ElementWiseOperation::Sub, zero, input)?;
            if operation == UnaryOperation::Neg {
                negative
            } else {
                w.binary(ElementWiseOperation::Max, input, negative)?
            }
        }
        UnaryOperation::Sign if whole => {
            let capped = with_integer(w, ElementWiseOperation::Min, input, 1)?;
            with_integer(w, ElementWiseOperation::Max, capped, -1)?
        }
        _ => {
            let layer = w.network.add_unary(input.tensor, operation)?;
            w.value("unary", layer, input.dtype)?
        }
    };
    w.finish(0, value)
}

fn with_integer<'n>(
    w: &mut Writer<'n, '_, '_>,
    operation: ElementWiseOperation,
    value: Value<'n>,
    bound: i64,
) -> Result<Value<'n>, TensorRtError> {
    let bound = w.integer_like(bound, value)?;
    w.binary(operation, value, bound)
}

/// Slopes are tensors of the input's rank.
pub(super) fn parametric_relu(w: &mut Writer<'_, '_, '_>) -> Done {
    let (input, slopes) = (w.input(0)?, w.input(1)?);
    let layer = w.network.add_parametric_relu(input.tensor, slopes.tensor)?;
    let value = w.value("parametric_relu", layer, input.dtype)?;
    w.finish(0, value)
}

/// The values of a constant, in the type of the output.
pub(super) fn constant(w: &mut Writer<'_, '_, '_>, id: tfjet_core::WeightsId) -> Done {
    let output = w.output(0)?;
    let view = w.weights_view(id)?;
    if !output.shape.admits(view.shape()) {
        return Err(w.fail(format!(
            "output {} is no {:?}, the shape of weights {}",
            output.shape,
            view.shape(),
            id.0
        )));
    }
    if output.dtype != view.dtype() && (output.dtype == DType::Bool || view.dtype() == DType::Bool)
    {
        return Err(w.fail(format!(
            "output of {} for weights of {}",
            output.dtype,
            view.dtype()
        )));
    }
    let dtype = w.inside(output.dtype)?;
    let weights = w.weights(id, dtype)?;
    let layer = w.network.add_constant(view.shape(), weights)?;
    let value = w.value("constant", layer, dtype)?;
    w.finish(0, value)
}
