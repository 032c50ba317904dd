//! `MaxPool` and `AvgPool`.

use super::conv2d::{image_axes, image_output, image_shape, slide};
use super::{Context, InferError, fact, impossible};
use crate::graph::WireFact;

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(0);
    let Some(image) = image_shape(context, 0)? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let axes = image_axes(context.attrs.str_or("data_format", "NHWC")?)?;
    let window = context.attrs.ints("ksize")?;
    if window.len() != 4 {
        return impossible("attribute `ksize` needs 4 values");
    }
    let size = |axis: usize| usize::try_from(window[axis]).ok();
    let spatial = slide(context, &image, [size(axes[1]), size(axes[2])], [1, 1])?;
    let shape = image_output(
        context,
        image.dims()[0].clone(),
        spatial,
        image.dims()[axes[3]].clone(),
    )?;
    Ok(vec![fact(dtype, Some(shape))])
}
