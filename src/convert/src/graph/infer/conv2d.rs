//! `Conv2D`, `DepthwiseConv2dNative`, `Conv2DBackpropInput` and their fused forms.

use tfjet_core::{Dim, Shape};

use super::{Context, InferError, fact, impossible};
use crate::graph::{Formula, WireFact};

/// Axes (batch, height, width, channels) of a layout.
pub(crate) fn image_axes(data_format: &str) -> Result<[usize; 4], InferError> {
    match data_format {
        "NHWC" => Ok([0, 1, 2, 3]),
        "NCHW" => Ok([0, 2, 3, 1]),
        other => impossible(format!("data_format `{other}` is neither NHWC nor NCHW")),
    }
}

/// Output size of a window that slides over `input` elements, `None` where it is impossible.
pub(crate) fn window_output(
    input: usize,
    window: usize,
    stride: usize,
    dilation: usize,
    padding: Padding,
) -> Option<usize> {
    if stride == 0 || window == 0 {
        return None;
    }
    let extent = (window - 1).checked_mul(dilation)?.checked_add(1)?;
    match padding {
        Padding::Same => Some(input.div_ceil(stride)),
        Padding::Explicit(before, after) => {
            let padded = input.checked_add(before)?.checked_add(after)?;
            padded.checked_sub(extent).map(|rest| rest / stride + 1)
        }
    }
}

/// Padding along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    Same,
    Explicit(usize, usize),
}

pub(super) fn image_shape(
    context: &Context<'_>,
    index: usize,
) -> Result<Option<Shape>, InferError> {
    match context.shape(index)? {
        Some(shape) if shape.rank() == 4 => Ok(Some(shape.clone())),
        Some(shape) => impossible(format!("input {index} has shape {shape}, expected rank 4")),
        None => Ok(None),
    }
}

pub(super) fn slide(
    context: &Context<'_>,
    image: &Shape,
    window: [Option<usize>; 2],
    dilations: [usize; 2],
) -> Result<[Dim; 2], InferError> {
    let axes = image_axes(context.attrs.str_or("data_format", "NHWC")?)?;
    let strides = context.attrs.ints("strides")?;
    let padding = context.attrs.str_or("padding", "VALID")?;
    let explicit = context.attrs.ints("explicit_paddings")?;
    if strides.len() != 4 {
        return impossible("attribute `strides` needs 4 values");
    }
    let mut dims = [Dim::Fixed(0), Dim::Fixed(0)];
    for spatial in 0..2 {
        let axis = axes[spatial + 1];
        let stride = usize::try_from(strides[axis]).unwrap_or(0);
        let pad = match padding {
            "SAME" => Padding::Same,
            "VALID" => Padding::Explicit(0, 0),
            "EXPLICIT" => {
                let get = |i: usize| {
                    explicit
                        .get(i)
                        .and_then(|&v| usize::try_from(v).ok())
                        .ok_or_else(|| {
                            InferError::Impossible(
                                "attribute `explicit_paddings` needs 8 values".into(),
                            )
                        })
                };
                Padding::Explicit(get(2 * axis)?, get(2 * axis + 1)?)
            }
            other => return impossible(format!("padding `{other}` is not known")),
        };
        dims[spatial] = match (&image.dims()[axis], window[spatial]) {
            (Dim::Fixed(size), Some(window)) => {
                match window_output(*size, window, stride, dilations[spatial], pad) {
                    Some(size) => Dim::Fixed(size),
                    None => {
                        return impossible(format!(
                            "a window of {window} with stride {stride} does not fit an axis of {size}"
                        ));
                    }
                }
            }
            (dim @ Dim::Symbolic(_), _) if stride == 1 && pad == Padding::Same => dim.clone(),
            (dim, window) => {
                let size = context.sizes.formula(dim);
                context.dim(
                    slid(&size, window, stride, dilations[spatial], pad),
                    0,
                    axis,
                )
            }
        };
    }
    Ok(dims)
}

/// [`window_output`] of an axis whose size only the run time knows.
pub(super) fn slid(
    size: &Formula,
    window: Option<usize>,
    stride: usize,
    dilation: usize,
    padding: Padding,
) -> Option<Formula> {
    let number = |number: usize| i64::try_from(number).ok();
    let stride = number(stride).filter(|stride| *stride > 0)?;
    match padding {
        Padding::Same => size.ceil_div(stride),
        Padding::Explicit(before, after) => {
            let extent = window?
                .checked_sub(1)?
                .checked_mul(dilation)?
                .checked_add(1)?;
            let offset = number(before.checked_add(after)?)?.checked_sub(number(extent)?)?;
            let steps = size
                .add(&Formula::from(offset))?
                .floor_div(&Formula::from(stride))?;
            steps.add(&Formula::from(1))
        }
    }
}

pub(super) fn image_output(
    context: &Context<'_>,
    batch: Dim,
    spatial: [Dim; 2],
    channels: Dim,
) -> Result<Shape, InferError> {
    let axes = image_axes(context.attrs.str_or("data_format", "NHWC")?)?;
    let mut dims = vec![Dim::Fixed(0); 4];
    let [height, width] = spatial;
    for (axis, dim) in axes.into_iter().zip([batch, height, width, channels]) {
        dims[axis] = dim;
    }
    Ok(Shape(dims))
}

fn dilations(context: &Context<'_>) -> Result<[usize; 2], InferError> {
    let axes = image_axes(context.attrs.str_or("data_format", "NHWC")?)?;
    let values = context.attrs.ints("dilations")?;
    let get = |axis: usize| {
        values
            .get(axis)
            .map_or(1, |&v| usize::try_from(v).unwrap_or(1))
    };
    Ok([get(axes[1]), get(axes[2])])
}

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    if context.node.op == "Conv2DBackpropInput" {
        return backprop_input(context);
    }
    let dtype = context.dtype(0);
    let Some(image) = image_shape(context, 0)? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let mut filter = image_shape(context, 1)?;
    if context.attrs.str_or("filter_format", "HWIO")? == "OIHW" {
        filter =
            filter.map(|filter| Shape([2, 3, 1, 0].map(|axis| filter.0[axis].clone()).to_vec()));
    }
    let window = |axis: usize| filter.as_ref().and_then(|f| f.dims()[axis].fixed());
    let spatial = slide(context, &image, [window(0), window(1)], dilations(context)?)?;
    let axes = image_axes(context.attrs.str_or("data_format", "NHWC")?)?;
    let channels_in = image.dims()[axes[3]].fixed();
    let depthwise = context.node.op.contains("Depthwise");
    if let (Some(image_channels), Some(filter_channels)) = (channels_in, window(2)) {
        let fits = if depthwise {
            image_channels == filter_channels
        } else {
            filter_channels != 0 && image_channels % filter_channels == 0
        };
        if !fits {
            return impossible(format!(
                "the filter takes {filter_channels} channels, the input has {image_channels}"
            ));
        }
    }
    let channels = match (window(2), window(3)) {
        (Some(input), Some(multiplier)) if depthwise => input.checked_mul(multiplier),
        (_, Some(output)) if !depthwise => Some(output),
        _ => None,
    };
    let channels = channels.map_or_else(|| context.symbol(0, axes[3]), Dim::Fixed);
    let shape = image_output(context, image.dims()[0].clone(), spatial, channels)?;
    Ok(vec![fact(dtype, Some(shape))])
}

fn backprop_input(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = context.dtype(2);
    let elements = context.input(0)?.elements.clone();
    let shape = match elements {
        Some(elements) if elements.len() == 4 => {
            super::reshape::shape_from_elements(context, 0, &elements)?
        }
        Some(elements) if elements.len() == 2 => {
            let image = image_shape(context, 2)?;
            let filter = image_shape(context, 1)?;
            match (image, filter) {
                (Some(image), Some(filter)) => {
                    let sizes = super::reshape::shape_from_elements(context, 0, &elements)?;
                    let [height, width] = [sizes.dims()[0].clone(), sizes.dims()[1].clone()];
                    image_output(
                        context,
                        image.dims()[0].clone(),
                        [height, width],
                        filter.dims()[2].clone(),
                    )?
                }
                _ => return Ok(vec![fact(dtype, None)]),
            }
        }
        _ => context.symbols(0, 4),
    };
    Ok(vec![fact(dtype, Some(shape))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_outputs_follow_tensorflow() {
        for (input, window, stride, dilation, padding, expected) in [
            (224, 3, 2, 1, Padding::Same, Some(112)),
            (225, 3, 2, 1, Padding::Same, Some(113)),
            (224, 3, 2, 1, Padding::Explicit(0, 0), Some(111)),
            (7, 3, 1, 2, Padding::Explicit(0, 0), Some(3)),
            (7, 3, 1, 2, Padding::Explicit(2, 2), Some(7)),
            (2, 3, 1, 1, Padding::Explicit(0, 0), None),
            (2, 3, 0, 1, Padding::Same, None),
        ] {
            assert_eq!(
                window_output(input, window, stride, dilation, padding),
                expected
            );
        }
    }
}
