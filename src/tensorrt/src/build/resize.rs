use tfjet_core::{InterpolationMode, ResizeCoordinateTransformation, ResizeRounding};

use super::shape::Size;
use super::writer::Writer;
use crate::TensorRtError;

pub(super) fn resize(
    w: &mut Writer<'_, '_, '_>,
    mode: InterpolationMode,
    coordinates: ResizeCoordinateTransformation,
    rounding: ResizeRounding,
    size: &[Option<usize>],
) -> Result<(), TensorRtError> {
    w.expect_len("size", size, w.input_dims(0)?.len())?;
    let input = w.input(0)?;
    let sizes = size
        .iter()
        .enumerate()
        .map(|(axis, size)| match size {
            Some(size) => Ok(Size::Known(w.int(*size)?)),
            None => w.size(0, axis),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let sizes = w.sizes(&sizes)?;
    let layer = w
        .network
        .add_resize(input.tensor, mode, coordinates, rounding, &sizes)?;
    let value = w.value("resize", layer, input.dtype)?;
    w.finish(0, value)
}
