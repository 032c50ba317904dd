use tfjet_core::SampleMode;

use super::shape::Size;
use super::types::is_float;
use super::writer::{Value, Writer};
use crate::network::{Outside, Part, Sizes};
use crate::{DataType, TensorRtError};

pub(super) fn slice(
    w: &mut Writer<'_, '_, '_>,
    start: &[i64],
    size: &[Option<usize>],
    stride: &[i64],
    mode: SampleMode,
) -> Result<(), TensorRtError> {
    let rank = w.input_dims(0)?.len();
    w.expect_len("start", start, rank)?;
    w.expect_len("size", size, rank)?;
    w.expect_len("stride", stride, rank)?;
    let input = w.input(0)?;
    let mut sizes = Vec::with_capacity(rank);
    for (axis, ((&start, &size), &stride)) in start.iter().zip(size).zip(stride).enumerate() {
        sizes.push(match size {
            _ if stride == 0 => return Err(w.fail(format!("stride of axis {axis} is 0"))),
            Some(size) => Size::Known(w.int(size)?),
            None if start == 0 && stride == 1 => w.size(0, axis)?,
            None => {
                return Err(w.fail(format!(
                    "axis {axis} is whole, yet starts at {start} by {stride}"
                )));
            }
        });
    }
    if size.iter().all(Option::is_none) {
        return w.finish(0, input);
    }
    let part = Part {
        start: Sizes::Known(start.to_vec()),
        size: w.sizes(&sizes)?,
        stride: Sizes::Known(stride.to_vec()),
    };
    read(w, input, &part, mode)
}

/// The layer's output: `part` of `input`.
pub(super) fn read<'n>(
    w: &mut Writer<'n, '_, '_>,
    input: Value<'n>,
    part: &Part<'n>,
    mode: SampleMode,
) -> Result<(), TensorRtError> {
    // Before TensorRT 10 there is no boolean constant to fill with.
    let moved = match mode {
        SampleMode::Fill(_) if input.dtype == DataType::Bool => w.cast(input, DataType::Int32)?,
        _ => input,
    };
    let outside = match mode {
        SampleMode::Strict => Outside::Never,
        SampleMode::Reflect => Outside::Mirror,
        SampleMode::Symmetric => {
            return Err(w.fail("TensorRT has no mirroring that repeats the border"));
        }
        SampleMode::Fill(value) if is_float(moved.dtype) => {
            Outside::Fill(w.float_scalar(value, moved)?.tensor)
        }
        SampleMode::Fill(value) => {
            let whole = if input.dtype == DataType::Bool {
                i64::from(value != 0.0)
            } else {
                value as i64
            };
            Outside::Fill(w.integer_scalar(whole, moved.dtype)?.tensor)
        }
    };
    let layer = w.network.add_slice(moved.tensor, part, outside)?;
    let value = w.value("slice", layer, moved.dtype)?;
    let value = w.cast(value, input.dtype)?;
    w.finish(0, value)
}
