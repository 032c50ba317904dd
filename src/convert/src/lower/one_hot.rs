//! `OneHot`: indices compared with the numbers from 0 on.

use std::sync::Arc;

use tfjet_core::{DType, Dim, ElementWiseOperation, Layer, Shape, Tensor};

use super::op::{ANY, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::infer::normalize_axis;

/// Most numbers that indices are compared with.
const MAX_DEPTH: usize = 1 << 22;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let indices = op.dtype(0, &[DType::I32, DType::I64])?;
    op.attrs.ignore(&["TI"]);
    let depth = match usize::try_from(op.integer(1, "depth")?) {
        Ok(depth @ 1..=MAX_DEPTH) => depth,
        _ => return refuse(format!("the depth must be within 1..={MAX_DEPTH}")),
    };
    let (dtype, shape) = op.output_type(0)?;
    for index in [2, 3] {
        op.dtype(index, ANY)?;
        op.broadcasts(index, dtype, &Shape::default())?;
    }
    let axis = normalize_axis(op.attrs.int_or("axis", -1)?, shape.rank())?;
    let mut row = op.shape(0)?;
    row.0.insert(axis.min(row.rank()), Dim::Fixed(1));
    let input = op.tensor(0, Layout::Native)?;
    let name = format!("{}/indices", op.node.name);
    let input = op.builder.reshape(&name, input, &row)?;
    let mut along = vec![1; shape.rank()];
    along[axis] = depth;
    let numbers = op.constant_layer("numbers", indices, &along, || {
        Ok(Arc::new(if indices == DType::I64 {
            let values: Vec<i64> = (0..).take(depth).collect();
            Tensor::from_slice(&along, &values)?
        } else {
            let values: Vec<i32> = (0..).take(depth).collect();
            Tensor::from_slice(&along, &values)?
        }))
    })?;
    let equal = Layer::ElementWise {
        operation: ElementWiseOperation::Equal,
    };
    let hot = op.emit(
        equal,
        &[input, numbers],
        DType::Bool,
        &shape,
        Layout::Native,
    );
    let on = op.operand(2, shape.rank(), Layout::Native)?;
    let off = op.operand(3, shape.rank(), Layout::Native)?;
    let output = op.emit(
        Layer::Select,
        &[hot, on, off],
        dtype,
        &shape,
        Layout::Native,
    );
    op.output(0, output, Layout::Native);
    Ok(())
}
