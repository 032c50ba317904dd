//! Comparisons and boolean logic.

use tfjet_core::{DType, ElementWiseOperation, Layer, UnaryOperation};

use super::binary::common_layout;
use super::op::{NUMBERS, Op};
use super::{Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let name = op.node.op.as_str();
    op.attrs.ignore(&["incompatible_shape_error"]);
    if name == "LogicalNot" {
        op.dtype(0, &[DType::Bool])?;
        return op.map(Layer::Unary {
            operation: UnaryOperation::Not,
        });
    }
    let (operations, negate): (&[ElementWiseOperation], bool) = match name {
        "Greater" => (&[ElementWiseOperation::Greater], false),
        "Less" => (&[ElementWiseOperation::Less], false),
        "Equal" => (&[ElementWiseOperation::Equal], false),
        "NotEqual" => (&[ElementWiseOperation::Equal], true),
        "GreaterEqual" => (
            &[ElementWiseOperation::Greater, ElementWiseOperation::Equal],
            false,
        ),
        "LessEqual" => (
            &[ElementWiseOperation::Less, ElementWiseOperation::Equal],
            false,
        ),
        "LogicalAnd" => (&[ElementWiseOperation::And], false),
        "LogicalOr" => (&[ElementWiseOperation::Or], false),
        _ => return refuse(format!("{name} is no comparison")),
    };
    let allowed = if name.starts_with("Logical") {
        &[DType::Bool][..]
    } else {
        NUMBERS
    };
    op.common_dtype(allowed)?;
    let (dtype, shape) = op.output_type(0)?;
    let layout = common_layout(op, shape.rank())?;
    let a = op.operand(0, shape.rank(), layout)?;
    let b = op.operand(1, shape.rank(), layout)?;
    let mut result = None;
    for &operation in operations {
        let next = op.emit(
            Layer::ElementWise { operation },
            &[a, b],
            dtype,
            &shape,
            layout,
        );
        result = Some(match result {
            None => next,
            Some(before) => {
                let either = Layer::ElementWise {
                    operation: ElementWiseOperation::Or,
                };
                op.emit(either, &[before, next], dtype, &shape, layout)
            }
        });
    }
    let Some(mut result) = result else {
        return refuse(format!("{name} is no comparison"));
    };
    if negate {
        let not = Layer::Unary {
            operation: UnaryOperation::Not,
        };
        result = op.emit(not, &[result], dtype, &shape, layout);
    }
    op.output(0, result, layout);
    Ok(())
}
