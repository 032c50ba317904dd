//! Division with a remainder or without a pole: `FloorMod`, `Mod`, `TruncateMod`, `TruncateDiv` and
//! `DivNoNan`.

use tfjet_core::{DType, ElementWiseOperation, Layer, Shape, TensorId, UnaryOperation};

use super::binary::common_layout;
use super::op::{FLOATS, NUMBERS, Op};
use super::{Layout, Refusal, refuse};

/// Type, TensorFlow shape and layout of all tensors here.
type Kind<'s> = (DType, &'s Shape, Layout);

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let name = op.node.op.as_str();
    op.common_dtype(match name {
        "DivNoNan" => FLOATS,
        "TruncateDiv" => &[DType::I32, DType::I64],
        _ => NUMBERS,
    })?;
    let (dtype, shape) = op.output_type(0)?;
    let layout = common_layout(op, shape.rank())?;
    let kind = (dtype, &shape, layout);
    let a = op.operand(0, shape.rank(), layout)?;
    let b = op.operand(1, shape.rank(), layout)?;
    let result = match name {
        "FloorMod" => {
            let quotient = pair(op, ElementWiseOperation::FloorDiv, a, b, kind);
            rest(op, a, b, quotient, kind)
        }
        "Mod" | "TruncateMod" => {
            let quotient = truncated(op, a, b, kind);
            rest(op, a, b, quotient, kind)
        }
        "TruncateDiv" => pair(op, ElementWiseOperation::Div, a, b, kind),
        "DivNoNan" => without_pole(op, a, b, kind)?,
        other => return refuse(format!("{other} is no division")),
    };
    op.output(0, result, layout);
    Ok(())
}

fn pair(
    op: &mut Op<'_, '_>,
    operation: ElementWiseOperation,
    a: TensorId,
    b: TensorId,
    (dtype, shape, layout): Kind<'_>,
) -> TensorId {
    let layer = Layer::ElementWise { operation };
    op.emit(layer, &[a, b], dtype, shape, layout)
}

fn map(
    op: &mut Op<'_, '_>,
    operation: UnaryOperation,
    a: TensorId,
    (dtype, shape, layout): Kind<'_>,
) -> TensorId {
    op.emit(Layer::Unary { operation }, &[a], dtype, shape, layout)
}

/// The quotient rounded towards 0. Integers are divided so.
fn truncated(op: &mut Op<'_, '_>, a: TensorId, b: TensorId, kind: Kind<'_>) -> TensorId {
    let quotient = pair(op, ElementWiseOperation::Div, a, b, kind);
    if !kind.0.is_float() {
        return quotient;
    }
    let magnitude = map(op, UnaryOperation::Abs, quotient, kind);
    let whole = map(op, UnaryOperation::Floor, magnitude, kind);
    let sign = map(op, UnaryOperation::Sign, quotient, kind);
    pair(op, ElementWiseOperation::Prod, whole, sign, kind)
}

/// What `quotient` times `b` leaves of `a`.
fn rest(
    op: &mut Op<'_, '_>,
    a: TensorId,
    b: TensorId,
    quotient: TensorId,
    kind: Kind<'_>,
) -> TensorId {
    let product = pair(op, ElementWiseOperation::Prod, quotient, b, kind);
    pair(op, ElementWiseOperation::Sub, a, product, kind)
}

/// `a / b`, and 0 where `b` is 0.
fn without_pole(
    op: &mut Op<'_, '_>,
    a: TensorId,
    b: TensorId,
    (dtype, shape, layout): Kind<'_>,
) -> Result<TensorId, Refusal> {
    let divisor = op.builder.tensor_at(b)?.shape.clone();
    let zero = op.number(0.0, dtype, shape.rank())?;
    let one = op.number(1.0, dtype, shape.rank())?;
    let equal = Layer::ElementWise {
        operation: ElementWiseOperation::Equal,
    };
    let pole = op.emit(equal, &[b, zero], DType::Bool, &divisor, Layout::Native);
    let safe = op.emit(
        Layer::Select,
        &[pole, one, b],
        dtype,
        &divisor,
        Layout::Native,
    );
    let quotient = pair(
        op,
        ElementWiseOperation::Div,
        a,
        safe,
        (dtype, shape, layout),
    );
    Ok(op.emit(Layer::Select, &[pole, zero, quotient], dtype, shape, layout))
}
