//! `Sum`, `Mean`, `Max`, `Min`, `Prod`, `All` and `Any` over constant axes.

use tfjet_core::{DType, Layer, ReduceOperation};

use super::op::{FLOATS, NUMBERS, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::normalize_axis;

const BOOLS: &[DType] = &[DType::Bool];

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let (operation, allowed) = match op.node.op.as_str() {
        "Sum" => (ReduceOperation::Sum, NUMBERS),
        "Mean" => (ReduceOperation::Avg, FLOATS),
        "Max" => (ReduceOperation::Max, NUMBERS),
        "Min" => (ReduceOperation::Min, NUMBERS),
        "Prod" => (ReduceOperation::Prod, NUMBERS),
        "Any" => (ReduceOperation::Max, BOOLS),
        "All" => (ReduceOperation::Min, BOOLS),
        other => return refuse(format!("{other} is no reduction")),
    };
    let dtype = op.dtype(0, allowed)?;
    op.attrs.ignore(&["Tidx"]);
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
    let (_, output_shape) = op.output_type(0)?;
    let mut axes: Vec<usize> = native.iter().map(|&axis| layout.axis(axis, rank)).collect();
    axes.sort_unstable();
    let mut input = op.tensor(0, layout)?;
    // Booleans are reduced as the numbers 0 and 1.
    let number = if dtype == DType::Bool {
        input = op.emit(
            Layer::Cast { to: DType::F32 },
            &[input],
            DType::F32,
            &shape,
            layout,
        );
        DType::F32
    } else {
        dtype
    };
    let layer = Layer::Reduce {
        operation,
        axes,
        keep_dims,
    };
    let output_layout = if keep_dims { layout } else { Layout::Native };
    let mut output = op.emit(layer, &[input], number, &output_shape, output_layout);
    if number != dtype {
        let cast = Layer::Cast { to: dtype };
        output = op.emit(cast, &[output], dtype, &output_shape, output_layout);
    }
    op.output(0, output, output_layout);
    Ok(())
}
