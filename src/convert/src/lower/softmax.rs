//! `Softmax` and `LogSoftmax` over the last axis.

use tfjet_core::{Layer, UnaryOperation};

use super::op::{FLOATS, Op};
use super::{Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    let (dtype, shape) = op.output_type(0)?;
    let Some(last) = shape.rank().checked_sub(1) else {
        return refuse("the input is a scalar");
    };
    let layout = op.layout(0)?;
    let input = op.tensor(0, layout)?;
    let layer = Layer::Softmax {
        axis: layout.axis(last, shape.rank()),
    };
    let mut result = op.emit(layer, &[input], dtype, &shape, layout);
    if op.node.op == "LogSoftmax" {
        let log = Layer::Unary {
            operation: UnaryOperation::Log,
        };
        result = op.emit(log, &[result], dtype, &shape, layout);
    }
    op.output(0, result, layout);
    Ok(())
}
