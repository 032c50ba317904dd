use tfjet_core::{MatrixOperation, ReduceOperation};

use super::elementwise::axis as axis_attribute;
use super::rounding::Channels8;
use super::shuffle::transpose;
use super::writer::{Value, Writer};
use crate::OnnxError;
use crate::proto::AttributeProto;
use crate::types::Kernel;

pub(super) fn reduce(
    w: &mut Writer<'_, '_>,
    operation: ReduceOperation,
    axes: &[usize],
    keep_dims: bool,
) -> Result<(), OnnxError> {
    let rank = w.input_dims(0)?.len();
    for (i, &axis) in axes.iter().enumerate() {
        w.expect_axis(axis, rank)?;
        if axes[..i].contains(&axis) {
            return Err(w.fail(format!("axis {axis} is listed twice")));
        }
    }
    let input = w.input_for(0, Kernel::WIDE)?;
    if axes.is_empty() {
        return w.finish(0, input);
    }
    let spatial = rank > 2 && axes.iter().copied().eq(2..rank);
    if operation == ReduceOperation::Avg && spatial && input.dtype.is_float() {
        return global_average(w, &input, keep_dims);
    }
    let keep = AttributeProto::int("keepdims", i64::from(keep_dims));
    let axes = w.ints(axes)?;
    let op = match operation {
        ReduceOperation::Sum => {
            let axes = w.int64s(&axes)?;
            let output = w.node("ReduceSum", &[&input, &axes], vec![keep], input.dtype);
            return w.finish(0, output);
        }
        ReduceOperation::Prod => "ReduceProd",
        ReduceOperation::Max => "ReduceMax",
        ReduceOperation::Min => "ReduceMin",
        ReduceOperation::Avg => "ReduceMean",
    };
    let attributes = vec![AttributeProto::ints("axes", axes), keep];
    let output = w.node(op, &[&input], attributes, input.dtype);
    w.finish(0, output)
}

/// The mean over all spatial axes has a kernel for ONNX Runtime's blocked layout.
fn global_average(w: &mut Writer<'_, '_>, input: &Value, keep_dims: bool) -> Result<(), OnnxError> {
    let mut output = w.op("GlobalAveragePool", &[input]);
    if !keep_dims {
        let shape = w.int64s(&[0, 0])?;
        output = w.op("Reshape", &[&output, &shape]);
    }
    w.finish(0, output)
}

pub(super) fn softmax(w: &mut Writer<'_, '_>, axis: usize) -> Result<(), OnnxError> {
    let axis = w.expect_axis(axis, w.input_dims(0)?.len())?;
    let input = w.input_for(0, Kernel::FLOAT)?;
    let output = w.node("Softmax", &[&input], axis_attribute(axis), input.dtype);
    w.finish(0, output)
}

pub(super) fn matrix_multiply(
    w: &mut Writer<'_, '_>,
    first: MatrixOperation,
    second: MatrixOperation,
) -> Result<(), OnnxError> {
    let rank = w.input_dims(0)?.len();
    if rank < 2 || w.input_dims(1)?.len() != rank {
        return Err(w.fail("inputs are no matrices of equal rank"));
    }
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(rank - 2, rank - 1);
    let mut factors = Vec::with_capacity(2);
    for (index, operation) in [first, second].into_iter().enumerate() {
        let factor = w.input_for(index, Kernel::MATRIX)?;
        factors.push(match operation {
            MatrixOperation::None => factor,
            MatrixOperation::Transpose => transpose(w, &factor, &order, rank)?,
        });
    }
    if let Some(weights) = factors.pop() {
        let columns = match second {
            MatrixOperation::None => rank - 1,
            MatrixOperation::Transpose => rank - 2,
        };
        let columns = w.input_dims(1)?[columns].fixed().unwrap_or_default();
        let channels = Channels8 {
            axis: rank - 1,
            own: columns,
            made: columns,
            bias: None,
        };
        factors.push(w.rounded_weights(weights, &channels)?);
    }
    if rank == 2
        && let Some(input) = factors.first_mut()
    {
        *input = w.beside_float_weights(input.clone());
    }
    let factors: Vec<_> = factors.iter().collect();
    let output = w.op("MatMul", &factors);
    w.finish(0, output)
}
