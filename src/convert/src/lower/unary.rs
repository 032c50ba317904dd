//! Functions of one tensor, element by element.

use tfjet_core::{ElementWiseOperation, Layer, UnaryOperation};

use super::op::{FLOATS, NUMBERS, Op};
use super::{Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let operation = match op.node.op.as_str() {
        "Abs" => UnaryOperation::Abs,
        "Acos" => UnaryOperation::Acos,
        "Acosh" => UnaryOperation::Acosh,
        "Asin" => UnaryOperation::Asin,
        "Asinh" => UnaryOperation::Asinh,
        "Atan" => UnaryOperation::Atan,
        "Atanh" => UnaryOperation::Atanh,
        "Ceil" => UnaryOperation::Ceil,
        "Cos" => UnaryOperation::Cos,
        "Cosh" => UnaryOperation::Cosh,
        "Erf" => UnaryOperation::Erf,
        "Exp" => UnaryOperation::Exp,
        "Floor" => UnaryOperation::Floor,
        "Log" => UnaryOperation::Log,
        "Neg" => UnaryOperation::Neg,
        "Inv" | "Reciprocal" => UnaryOperation::Recip,
        "Rint" | "Round" => UnaryOperation::Round,
        "Sign" => UnaryOperation::Sign,
        "Sin" => UnaryOperation::Sin,
        "Sinh" => UnaryOperation::Sinh,
        "Sqrt" => UnaryOperation::Sqrt,
        "Tan" => UnaryOperation::Tan,
        "Rsqrt" => return rsqrt(op),
        "Square" => return square(op),
        "Expm1" => return shifted(op, UnaryOperation::Exp),
        "Log1p" => return shifted(op, UnaryOperation::Log),
        other => return refuse(format!("{other} is no function of one tensor")),
    };
    let allowed = match operation {
        UnaryOperation::Abs | UnaryOperation::Neg | UnaryOperation::Sign => NUMBERS,
        _ => FLOATS,
    };
    op.dtype(0, allowed)?;
    op.map(Layer::Unary { operation })
}

fn rsqrt(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    let layout = op.layout(0)?;
    let (dtype, shape) = op.output_type(0)?;
    let mut tensor = op.tensor(0, layout)?;
    for operation in [UnaryOperation::Sqrt, UnaryOperation::Recip] {
        tensor = op.emit(Layer::Unary { operation }, &[tensor], dtype, &shape, layout);
    }
    op.output(0, tensor, layout);
    Ok(())
}

/// `exp(x) - 1` and `log(x + 1)`.
fn shifted(op: &mut Op<'_, '_>, operation: UnaryOperation) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    let layout = op.layout(0)?;
    let (dtype, shape) = op.output_type(0)?;
    let mut tensor = op.tensor(0, layout)?;
    let one = op.number(1.0, dtype, shape.rank())?;
    let pair = |operation| Layer::ElementWise { operation };
    if operation == UnaryOperation::Log {
        let sum = pair(ElementWiseOperation::Sum);
        tensor = op.emit(sum, &[tensor, one], dtype, &shape, layout);
    }
    tensor = op.emit(Layer::Unary { operation }, &[tensor], dtype, &shape, layout);
    if operation == UnaryOperation::Exp {
        let difference = pair(ElementWiseOperation::Sub);
        tensor = op.emit(difference, &[tensor, one], dtype, &shape, layout);
    }
    op.output(0, tensor, layout);
    Ok(())
}

fn square(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, NUMBERS)?;
    let layout = op.layout(0)?;
    let (dtype, shape) = op.output_type(0)?;
    let input = op.tensor(0, layout)?;
    let layer = Layer::ElementWise {
        operation: ElementWiseOperation::Prod,
    };
    let output = op.emit(layer, &[input, input], dtype, &shape, layout);
    op.output(0, output, layout);
    Ok(())
}
