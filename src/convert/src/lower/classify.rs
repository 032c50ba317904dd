//! `IsNan`, `IsInf` and `IsFinite`, by comparisons that every release has.

use tfjet_core::{DType, ElementWiseOperation, Layer, UnaryOperation};

use super::op::{FLOATS, Op};
use super::{Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let dtype = op.dtype(0, FLOATS)?;
    let layout = op.layout(0)?;
    let shape = op.shape(0)?;
    let input = op.tensor(0, layout)?;
    let compare = |op: &mut Op<'_, '_>, operation, tensor, number| {
        let number = op.number(number, dtype, shape.rank())?;
        let layer = Layer::ElementWise { operation };
        Ok::<_, Refusal>(op.emit(layer, &[tensor, number], DType::Bool, &shape, layout))
    };
    let result = match op.node.op.as_str() {
        // A number is below 1 or above 0.
        "IsNan" => {
            let low = compare(op, ElementWiseOperation::Less, input, 1.0)?;
            let high = compare(op, ElementWiseOperation::Greater, input, 0.0)?;
            let or = Layer::ElementWise {
                operation: ElementWiseOperation::Or,
            };
            let number = op.emit(or, &[low, high], DType::Bool, &shape, layout);
            let not = Layer::Unary {
                operation: UnaryOperation::Not,
            };
            op.emit(not, &[number], DType::Bool, &shape, layout)
        }
        name @ ("IsInf" | "IsFinite") => {
            let abs = Layer::Unary {
                operation: UnaryOperation::Abs,
            };
            let magnitude = op.emit(abs, &[input], dtype, &shape, layout);
            let operation = match name {
                "IsInf" => ElementWiseOperation::Equal,
                _ => ElementWiseOperation::Less,
            };
            compare(op, operation, magnitude, f32::INFINITY)?
        }
        other => return refuse(format!("{other} does not tell kinds of numbers")),
    };
    op.output(0, result, layout);
    Ok(())
}
