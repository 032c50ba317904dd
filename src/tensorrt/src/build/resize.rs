use tfjet_core::{InterpolationMode, ResizeCoordinateTransformation, ResizeRounding};

use super::shape::Size;
use super::writer::Writer;
use crate::TensorRtError;
use crate::network::Sizes;

pub(super) fn resize(
    w: &mut Writer<'_, '_, '_>,
    mode: InterpolationMode,
    coordinates: ResizeCoordinateTransformation,
    rounding: ResizeRounding,
    size: &[Option<usize>],
) -> Result<(), TensorRtError> {
    w.expect_len("size", size, w.input_dims(0)?.len())?;
    let sizes = size
        .iter()
        .enumerate()
        .map(|(axis, size)| match size {
            Some(size) => Ok(Size::Known(w.int(*size)?)),
            None => w.size(0, axis),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let sizes = w.sizes(&sizes)?;
    resized(w, mode, coordinates, rounding, &sizes)
}

/// To the sizes that input 1 holds.
pub(super) fn resize_to(
    w: &mut Writer<'_, '_, '_>,
    mode: InterpolationMode,
    coordinates: ResizeCoordinateTransformation,
    rounding: ResizeRounding,
) -> Result<(), TensorRtError> {
    let sizes = w.sizes_input(1)?;
    resized(w, mode, coordinates, rounding, &sizes)
}

/// By whole factors.
pub(super) fn resize_by(
    w: &mut Writer<'_, '_, '_>,
    mode: InterpolationMode,
    coordinates: ResizeCoordinateTransformation,
    rounding: ResizeRounding,
    scales: &[usize],
) -> Result<(), TensorRtError> {
    w.expect_len("scales", scales, w.input_dims(0)?.len())?;
    let sizes = scales
        .iter()
        .enumerate()
        .map(|(axis, &scale)| {
            let size = w.size(0, axis)?;
            Ok(match scale {
                1 => size,
                _ => Size::Product(vec![size, Size::Known(w.int(scale)?)]),
            })
        })
        .collect::<Result<Vec<_>, TensorRtError>>()?;
    let sizes = w.sizes(&sizes)?;
    resized(w, mode, coordinates, rounding, &sizes)
}

fn resized(
    w: &mut Writer<'_, '_, '_>,
    mode: InterpolationMode,
    coordinates: ResizeCoordinateTransformation,
    rounding: ResizeRounding,
    sizes: &Sizes<'_>,
) -> Result<(), TensorRtError> {
    let input = w.input(0)?;
    let layer = w
        .network
        .add_resize(input.tensor, mode, coordinates, rounding, sizes)?;
    let value = w.value("resize", layer, input.dtype)?;
    w.finish(0, value)
}
