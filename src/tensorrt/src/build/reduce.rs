use tfjet_core::ReduceOperation;

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
