use tfjet_core::{ActivationType, DType, UnaryOperation};

use super::rounding;
use super::writer::{Value, Writer};
use crate::OnnxError;
use crate::proto::AttributeProto;
use crate::types::Kernel;

pub(super) fn activation(
    w: &mut Writer<'_, '_>,
    kind: ActivationType,
    alpha: f32,
    beta: f32,
) -> Result<(), OnnxError> {
    if let Some(limits) = rounding::limits(kind, alpha, beta)
        && w.clips_numbers(0)
    {
        let input = w.input(0)?;
        return w.finish_within(0, input, limits);
    }
    let output = match kind {
        ActivationType::Relu => {
            let input = w.input_for(0, Kernel::EXTREMUM)?;
            if input.dtype.is_float() {
                w.op("Relu", &[&input])
            } else {
                let zero = w.scalar(input.dtype, 0.0)?;
                w.op("Max", &[&input, &zero])
            }
        }
        ActivationType::Clip => clip(w, alpha, beta)?,
        ActivationType::HardSigmoid => {
            let attributes = vec![
                AttributeProto::float("alpha", alpha),
                AttributeProto::float("beta", beta),
            ];
            plain(w, "HardSigmoid", attributes)?
        }
        ActivationType::Softplus => {
            let input = w.input_for(0, Kernel::FLOAT)?;
            let input = scaled(w, input, beta)?;
            let output = w.op("Softplus", &[&input]);
            scaled(w, output, alpha)?
        }
        ActivationType::Sigmoid => plain(w, "Sigmoid", Vec::new())?,
        ActivationType::Tanh => plain(w, "Tanh", Vec::new())?,
        ActivationType::Softsign => plain(w, "Softsign", Vec::new())?,
        ActivationType::LeakyRelu => {
            plain(w, "LeakyRelu", vec![AttributeProto::float("alpha", alpha)])?
        }
        ActivationType::Elu => plain(w, "Elu", vec![AttributeProto::float("alpha", alpha)])?,
        ActivationType::Selu => {
            let attributes = vec![
                AttributeProto::float("alpha", alpha),
                AttributeProto::float("gamma", beta),
            ];
            plain(w, "Selu", attributes)?
        }
    };
    w.finish(0, output)
}

fn plain(
    w: &mut Writer<'_, '_>,
    op: &str,
    attributes: Vec<AttributeProto>,
) -> Result<Value, OnnxError> {
    let input = w.input_for(0, Kernel::FLOAT)?;
    Ok(w.node(op, &[&input], attributes, input.dtype))
}

fn scaled(w: &mut Writer<'_, '_>, value: Value, factor: f32) -> Result<Value, OnnxError> {
    if factor == 1.0 {
        return Ok(value);
    }
    let factor = w.scalar(value.dtype, factor)?;
    Ok(w.op("Mul", &[&value, &factor]))
}

fn clip(w: &mut Writer<'_, '_>, low: f32, high: f32) -> Result<Value, OnnxError> {
    let input = w.input_for(0, Kernel::EXTREMUM)?;
    let (min, max) = (w.scalar(input.dtype, low)?, w.scalar(input.dtype, high)?);
    if low <= high {
        return Ok(w.op("Clip", &[&input, &min, &max]));
    }
    let capped = w.op("Min", &[&input, &max]);
    Ok(w.op("Max", &[&capped, &min]))
}

pub(super) fn unary(w: &mut Writer<'_, '_>, operation: UnaryOperation) -> Result<(), OnnxError> {
    let op = match operation {
        UnaryOperation::Exp => "Exp",
        UnaryOperation::Log => "Log",
        UnaryOperation::Sqrt => "Sqrt",
        UnaryOperation::Recip => "Reciprocal",
        UnaryOperation::Abs => "Abs",
        UnaryOperation::Neg => "Neg",
        UnaryOperation::Sin => "Sin",
        UnaryOperation::Cos => "Cos",
        UnaryOperation::Tan => "Tan",
        UnaryOperation::Sinh => "Sinh",
        UnaryOperation::Cosh => "Cosh",
        UnaryOperation::Asin => "Asin",
        UnaryOperation::Acos => "Acos",
        UnaryOperation::Atan => "Atan",
        UnaryOperation::Asinh => "Asinh",
        UnaryOperation::Acosh => "Acosh",
        UnaryOperation::Atanh => "Atanh",
        UnaryOperation::Ceil => "Ceil",
        UnaryOperation::Floor => "Floor",
        UnaryOperation::Erf => "Erf",
        UnaryOperation::Not => "Not",
        UnaryOperation::Sign => "Sign",
        UnaryOperation::Round => "Round",
    };
    let input = w.input(0)?;
    let output = match operation {
        UnaryOperation::Not if input.dtype == DType::Bool => w.op(op, &[&input]),
        UnaryOperation::Not => return Err(w.fail(format!("Not of {}", input.dtype))),
        UnaryOperation::Abs | UnaryOperation::Neg | UnaryOperation::Sign => {
            let input = w.input_for(0, Kernel::ARITHMETIC)?;
            w.op(op, &[&input])
        }
        UnaryOperation::Ceil | UnaryOperation::Floor | UnaryOperation::Round
            if !input.dtype.is_float() =>
        {
            input
        }
        _ if input.dtype.is_float() => {
            let input = w.input_for(0, Kernel::FLOAT)?;
            w.op(op, &[&input])
        }
        _ => return Err(w.fail(format!("{op} of {}", input.dtype))),
    };
    w.finish(0, output)
}
