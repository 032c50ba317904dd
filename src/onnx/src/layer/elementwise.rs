use tfjet_core::{DType, ElementWiseOperation, WeightsId};

use super::writer::{Value, Writer};
use crate::OnnxError;
use crate::proto::AttributeProto;
use crate::types::Kernel;

pub(super) fn elementwise(
    w: &mut Writer<'_, '_>,
    operation: ElementWiseOperation,
) -> Result<(), OnnxError> {
    let (a, b) = (w.input(0)?, w.input(1)?);
    if a.dtype != b.dtype {
        return Err(w.fail(format!("inputs are {} and {}", a.dtype, b.dtype)));
    }
    if w.input_dims(0)?.len() != w.input_dims(1)?.len() {
        return Err(w.fail("inputs differ in rank"));
    }
    let is_float = a.dtype.is_float();
    let (op, kernel) = match operation {
        ElementWiseOperation::Sum => ("Add", Kernel::ARITHMETIC),
        ElementWiseOperation::Prod => ("Mul", Kernel::ARITHMETIC),
        ElementWiseOperation::Sub => ("Sub", Kernel::ARITHMETIC),
        ElementWiseOperation::Div | ElementWiseOperation::FloorDiv => ("Div", Kernel::ARITHMETIC),
        ElementWiseOperation::Max => ("Max", Kernel::EXTREMUM),
        ElementWiseOperation::Min => ("Min", Kernel::EXTREMUM),
        ElementWiseOperation::Pow => ("Pow", Kernel::WIDE),
        ElementWiseOperation::Equal => ("Equal", Kernel::COMPARE),
        ElementWiseOperation::Greater => ("Greater", Kernel::ARITHMETIC),
        ElementWiseOperation::Less => ("Less", Kernel::ARITHMETIC),
        ElementWiseOperation::And | ElementWiseOperation::Or => {
            if a.dtype != DType::Bool {
                return Err(w.fail(format!("{operation:?} of {}", a.dtype)));
            }
            let op = if operation == ElementWiseOperation::And {
                "And"
            } else {
                "Or"
            };
            let output = w.op(op, &[&a, &b]);
            return w.finish(0, output);
        }
    };
    let (a, b) = (w.input_for(0, kernel)?, w.input_for(1, kernel)?);
    let output = match operation {
        ElementWiseOperation::Equal
        | ElementWiseOperation::Greater
        | ElementWiseOperation::Less => w.node(op, &[&a, &b], Vec::new(), DType::Bool),
        ElementWiseOperation::FloorDiv if is_float => {
            let quotient = w.op(op, &[&a, &b]);
            w.op("Floor", &[&quotient])
        }
        ElementWiseOperation::Div if !is_float => {
            let b = nonzero(w, &b)?;
            w.op(op, &[&a, &b])
        }
        ElementWiseOperation::FloorDiv => integer_floor_div(w, &a, &b)?,
        _ => w.op(op, &[&a, &b]),
    };
    w.finish(0, output)
}

/// `value` with 1 for 0: an integer division by zero kills the process in ONNX Runtime 1.24.
fn nonzero(w: &mut Writer<'_, '_>, value: &Value) -> Result<Value, OnnxError> {
    let zero = w.scalar(value.dtype, 0.0)?;
    let is_zero = w.node("Equal", &[value, &zero], Vec::new(), DType::Bool);
    let one = w.cast(&is_zero, value.dtype)?;
    Ok(w.op("Add", &[value, &one]))
}

/// The truncated quotient, less one where a remainder is left and the signs differ.
fn integer_floor_div(w: &mut Writer<'_, '_>, a: &Value, b: &Value) -> Result<Value, OnnxError> {
    let b = nonzero(w, b)?;
    let quotient = w.op("Div", &[a, &b]);
    if matches!(a.dtype, DType::U8 | DType::U16 | DType::U32 | DType::U64) {
        return Ok(quotient);
    }
    let product = w.op("Mul", &[&quotient, &b]);
    let remainder = w.op("Sub", &[a, &product]);
    let zero = w.scalar(a.dtype, 0.0)?;
    let exact = w.node("Equal", &[&remainder, &zero], Vec::new(), DType::Bool);
    let left = w.op("Not", &[&exact]);
    let remainder_negative = w.node("Less", &[&remainder, &zero], Vec::new(), DType::Bool);
    let divisor_negative = w.node("Less", &[&b, &zero], Vec::new(), DType::Bool);
    let differ = w.op("Xor", &[&remainder_negative, &divisor_negative]);
    let adjust = w.op("And", &[&left, &differ]);
    let adjust = w.cast(&adjust, a.dtype)?;
    Ok(w.op("Sub", &[&quotient, &adjust]))
}

/// `x * scale + shift` along axis 1.
pub(super) fn scale(
    w: &mut Writer<'_, '_>,
    scale: Option<WeightsId>,
    shift: Option<WeightsId>,
) -> Result<(), OnnxError> {
    let rank = w.input_dims(0)?.len();
    if rank < 2 {
        return Err(w.fail(format!("the input has rank {rank}, not at least 2")));
    }
    let mut value = w.input_for(0, Kernel::ARITHMETIC)?;
    for (op, id) in [("Mul", scale), ("Add", shift)] {
        let Some(id) = id else { continue };
        let shape = &w.entry(id)?.shape;
        let &[channels] = &shape[..] else {
            return Err(w.fail(format!("weights of shape {shape:?}, not one per channel")));
        };
        let mut dims = vec![1; rank];
        dims[1] = channels;
        let factor = w.folded(id, &dims, value.dtype)?;
        let factor = w.in_fp16(factor)?;
        value = w.op(op, &[&value, &factor]);
    }
    w.finish(0, value)
}

pub(super) fn select(w: &mut Writer<'_, '_>) -> Result<(), OnnxError> {
    let condition = w.input(0)?;
    if condition.dtype != DType::Bool {
        return Err(w.fail(format!("the condition is {}", condition.dtype)));
    }
    let (yes, no) = (
        w.input_for(1, Kernel::SELECT)?,
        w.input_for(2, Kernel::SELECT)?,
    );
    let output = w.node("Where", &[&condition, &yes, &no], Vec::new(), yes.dtype);
    w.finish(0, output)
}

pub(super) fn parametric_relu(w: &mut Writer<'_, '_>) -> Result<(), OnnxError> {
    let (input, slopes) = (w.input_for(0, Kernel::WIDE)?, w.input_for(1, Kernel::WIDE)?);
    let output = w.op("PRelu", &[&input, &slopes]);
    w.finish(0, output)
}

/// Attributes of an operation along one axis.
pub(super) fn axis(axis: i64) -> Vec<AttributeProto> {
    vec![AttributeProto::int("axis", axis)]
}
