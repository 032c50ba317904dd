//! `MatMul`, `BatchMatMul`, `BatchMatMulV2`, `BatchMatMulV3` and `_FusedMatMul`.

use std::sync::Arc;

use tfjet_core::{Dim, ElementWiseOperation, Layer, MatrixOperation, Shape};

use super::conv2d::Fused;
use super::op::{FLOATS, Op};
use super::{Layout, Refusal, permute, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.common_dtype(FLOATS)?;
    op.attrs.ignore(&["grad_a", "grad_b", "Ta", "Tb", "Tout"]);
    let (first, second) = if op.node.op.starts_with("Batch") {
        ("adj_x", "adj_y")
    } else {
        ("transpose_a", "transpose_b")
    };
    let first = op.attrs.bool_or(first, false)?;
    let second = op.attrs.bool_or(second, false)?;
    let (dtype, shape) = op.output_type(0)?;
    let rank = shape.rank();
    let a = op.operand(0, rank, Layout::Native)?;
    let operation = |transpose: bool| match transpose {
        true => MatrixOperation::Transpose,
        false => MatrixOperation::None,
    };
    let constant = op.constant(1)?;
    let (b, second) = match constant {
        Some(value) if second && value.shape().len() == 2 => {
            let &[rows, columns] = value.shape() else {
                return refuse("the second matrix is no matrix");
            };
            let mut dims = vec![1; rank];
            dims[rank - 2] = columns;
            dims[rank - 1] = rows;
            let make = || {
                let mut turned = permute(&value, &[1, 0])?;
                turned.reshape(&dims)?;
                Ok(Arc::new(turned))
            };
            (
                op.constant_layer("weights", dtype, &dims, make)?,
                MatrixOperation::None,
            )
        }
        _ => (op.operand(1, rank, Layout::Native)?, operation(second)),
    };
    let layer = Layer::MatrixMultiply {
        first: operation(first),
        second,
    };
    let mut result = op.emit(layer, &[a, b], dtype, &shape, Layout::Native);
    let fused = Fused::read(op)?;
    if let Some(index) = fused.bias {
        let bias_shape = op.shape(index)?;
        let mut dims = vec![Dim::Fixed(1); rank];
        dims[rank - 1] = match bias_shape.dims() {
            [dim] => dim.clone(),
            _ => return refuse("the bias is no vector"),
        };
        let bias = op.tensor(index, Layout::Native)?;
        let name = format!("{}/bias", op.node.name);
        let bias = op.builder.reshape(&name, bias, &Shape(dims))?;
        let sum = Layer::ElementWise {
            operation: ElementWiseOperation::Sum,
        };
        result = op.emit(sum, &[result, bias], dtype, &shape, Layout::Native);
    }
    let result = fused.activate(op, result, (dtype, &shape), Layout::Native)?;
    op.output(0, result, Layout::Native);
    Ok(())
}
