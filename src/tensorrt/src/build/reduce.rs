use tfjet_core::{MatrixOperation, QuantizedWeights, ReduceOperation, quantized_weights};

use super::writer::Writer;
use crate::TensorRtError;

type Done = Result<(), TensorRtError>;

pub(super) fn reduce(
    w: &mut Writer<'_, '_, '_>,
    operation: ReduceOperation,
    axes: &[usize],
    keep_dims: bool,
) -> Done {
    let input = w.input(0)?;
    for &axis in axes {
        w.expect_axis(axis, w.input_dims(0)?.len())?;
    }
    if axes.is_empty() {
        return w.finish(0, input);
    }
    let layer = w
        .network
        .add_reduce(input.tensor, operation, axes, keep_dims)?;
    let value = w.value("reduce", layer, input.dtype)?;
    w.finish(0, value)
}

pub(super) fn softmax(w: &mut Writer<'_, '_, '_>, axis: usize) -> Done {
    let input = w.input(0)?;
    w.expect_axis(axis, w.input_dims(0)?.len())?;
    let layer = w.network.add_softmax(input.tensor, axis)?;
    let value = w.value("softmax", layer, input.dtype)?;
    w.finish(0, value)
}

pub(super) fn matrix_multiply(
    w: &mut Writer<'_, '_, '_>,
    first: MatrixOperation,
    second: MatrixOperation,
) -> Done {
    let (a, mut b) = (w.input(0)?, w.input(1)?);
    let (left, right) = (w.input_dims(0)?.len(), w.input_dims(1)?.len());
    if left != right || left < 2 {
        return Err(w.fail(format!("inputs have {left} and {right} axes")));
    }
    if let (Some(channels), Some(QuantizedWeights { weights, axis, .. })) =
        (w.int8_channels(), quantized_weights(w.spec, w.layer))
    {
        b = w.rounded_weights(weights, axis, channels, b.dtype)?;
    }
    let layer = w
        .network
        .add_matrix_multiply(a.tensor, first, b.tensor, second)?;
    let value = w.value("matrix_multiply", layer, a.dtype)?;
    w.finish(0, value)
}
