//! `Select` and `SelectV2`.

use tfjet_core::{DType, Dim, Layer, Shape};

use super::binary::common_layout;
use super::op::{NUMBERS, Op};
use super::{Layout, Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, &[DType::Bool])?;
    op.dtype(1, NUMBERS)?;
    op.dtype(2, NUMBERS)?;
    let (dtype, shape) = op.output_type(0)?;
    let condition_shape = op.shape(0)?;
    for index in [1, 2] {
        op.broadcasts(index, dtype, &shape)?;
    }
    // Select's vector condition picks rows, where broadcasting would pick columns.
    let by_rows = op.node.op == "Select" && condition_shape.rank() == 1 && shape.rank() > 1;
    let layout = if by_rows {
        Layout::Native
    } else {
        common_layout(op, shape.rank())?
    };
    if !by_rows {
        op.broadcasts(0, DType::Bool, &shape)?;
    }
    let condition = if by_rows {
        let rows = [&condition_shape, &shape].map(|shape| &shape.dims()[0]);
        if rows.iter().all(|rows| rows.fixed().is_some()) && rows[0] != rows[1] {
            return refuse(format!(
                "a condition of shape {condition_shape} does not pick rows of {shape}"
            ));
        }
        let mut dims = vec![Dim::Fixed(1); shape.rank()];
        dims[0] = condition_shape.dims()[0].clone();
        let native = op.tensor(0, Layout::Native)?;
        let name = format!("{}/condition", op.node.name);
        op.builder.reshape(&name, native, &Shape(dims))?
    } else if op.node.op == "Select" && condition_shape.rank() == 0 && shape.rank() == 0 {
        op.tensor(0, Layout::Native)?
    } else {
        op.operand(0, shape.rank(), layout)?
    };
    if shape.rank() == 0 && op.constant(0)?.is_some() {
        return refuse("a constant condition leaves nothing to select");
    }
    let then = op.operand(1, shape.rank(), layout)?;
    let otherwise = op.operand(2, shape.rank(), layout)?;
    let output = op.emit(
        Layer::Select,
        &[condition, then, otherwise],
        dtype,
        &shape,
        layout,
    );
    op.output(0, output, layout);
    Ok(())
}
