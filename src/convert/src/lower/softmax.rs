//! `Softmax` and `LogSoftmax` over the last axis.

use tfjet_core::{
    DType, Dim, ElementWiseOperation, Layer, ReduceOperation, Shape, TensorId, UnaryOperation,
};

use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    let (dtype, shape) = op.output_type(0)?;
    let Some(last) = shape.rank().checked_sub(1) else {
        return refuse("the input is a scalar");
    };
    let layout = op.layout(0)?;
    let input = op.tensor(0, layout)?;
    if op.node.op == "LogSoftmax" {
        let result = logarithm(op, input, dtype, &shape, layout);
        op.output(0, result, layout);
        return Ok(());
    }
    // The layer takes no vector.
    let (row, name) = (
        Shape([&[Dim::Fixed(1)], shape.dims()].concat()),
        op.node.name.clone(),
    );
    if last == 0 {
        let input = op.builder.reshape(&format!("{name}/row"), input, &row)?;
        let layer = Layer::Softmax { axis: 1 };
        let result = op.emit(layer, &[input], dtype, &row, Layout::Native);
        let result = op.builder.reshape(&name, result, &shape)?;
        op.output(0, result, Layout::Native);
        return Ok(());
    }
    let layer = Layer::Softmax {
        axis: layout.axis(last, shape.rank()),
    };
    let result = op.emit(layer, &[input], dtype, &shape, layout);
    op.output(0, result, layout);
    Ok(())
}

/// `x - max - log(sum(exp(x - max)))`, which stays finite where a softmax is too small to hold.
fn logarithm(
    op: &mut Op<'_, '_>,
    input: TensorId,
    dtype: DType,
    shape: &Shape,
    layout: Layout,
) -> TensorId {
    let last = shape.rank() - 1;
    let mut row = shape.clone();
    row.0[last] = Dim::Fixed(1);
    let reduce = |operation| Layer::Reduce {
        operation,
        axes: vec![layout.axis(last, shape.rank())],
        keep_dims: true,
    };
    let difference = || Layer::ElementWise {
        operation: ElementWiseOperation::Sub,
    };
    let unary = |operation| Layer::Unary { operation };
    let most = op.emit(reduce(ReduceOperation::Max), &[input], dtype, &row, layout);
    let below = op.emit(difference(), &[input, most], dtype, shape, layout);
    let power = op.emit(unary(UnaryOperation::Exp), &[below], dtype, shape, layout);
    let sum = op.emit(reduce(ReduceOperation::Sum), &[power], dtype, &row, layout);
    let log = op.emit(unary(UnaryOperation::Log), &[sum], dtype, &row, layout);
    op.emit(difference(), &[below, log], dtype, shape, layout)
}
