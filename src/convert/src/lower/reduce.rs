//! `Sum`, `Mean`, `Max`, `Min` and `Prod` over constant axes.

use tfjet_core::{DType, Layer, ReduceOperation};

use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::normalize_axis;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let (operation, allowed) = match op.node.op.as_str() {
        "Sum" => (
            ReduceOperation::Sum,
            &[DType::F32, DType::F16, DType::I32][..],
        ),
        "Mean" => (ReduceOperation::Avg, FLOATS),
        "Max" => (
            ReduceOperation::Max,
            &[DType::F32, DType::F16, DType::I32][..],
        ),
        "Min" => (
            ReduceOperation::Min,
            &[DType::F32, DType::F16, DType::I32][..],
        ),
        "Prod" => (
            ReduceOperation::Prod,
            &[DType::F32, DType::F16, DType::I32][..],
        ),
        other => return refuse(format!("{other} is no reduction")),
    };
    op.dtype(0, allowed)?;
    let keep_dims = op.attrs.bool_or("keep_dims", false)?;
    let shape = op.shape(0)?;
    let rank = shape.rank();
    let mut native = Vec::new();
    for axis in op.integers(1, "axis")? {
        native.push(normalize_axis(axis, rank)?);
    }
    native.sort_unstable();
    native.dedup();
    if native.is_empty() {
        return refuse("a reduction over no axis is an identity");
    }
    let mut layout = op.layout(0)?;
    // Without its reduced axes the result has TensorFlow's order where the rest is in order.
    let rest = layout
        .order(rank)
        .into_iter()
        .filter(|axis| !native.contains(axis));
    if !keep_dims && !rest.is_sorted() {
        layout = Layout::Native;
    }
    let (dtype, output_shape) = op.output_type(0)?;
    let mut axes: Vec<usize> = native.iter().map(|&axis| layout.axis(axis, rank)).collect();
    axes.sort_unstable();
    let input = op.tensor(0, layout)?;
    let layer = Layer::Reduce {
        operation,
        axes,
        keep_dims,
    };
    let output_layout = if keep_dims { layout } else { Layout::Native };
    let output = op.emit(layer, &[input], dtype, &output_shape, output_layout);
    op.output(0, output, output_layout);
    Ok(())
}
