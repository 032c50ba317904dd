//! `MaxPoolV2`, `MaxPoolWithArgmax`, `ExtractImagePatches` and `Dilation2D`.

use tfjet_core::{DType, Dim, Shape};

use super::conv2d::{Padding, image_axes, image_output, image_shape, slid, window_output};
use super::{Context, InferError, fact, impossible};
use crate::graph::{Formula, WireFact};

/// Sizes of a window along rows and columns, steps between windows and between taps; `None` where
/// only the run time knows them.
type Along = [Option<usize>; 2];

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let op = context.node.op.as_str();
    let indices = match op {
        "MaxPoolWithArgmax" => Some(context.attrs.dtype_or("Targmax", DType::I64)?),
        _ => None,
    };
    let dtype = context.dtype(0);
    let Some(image) = image_shape(context, 0)? else {
        let mut facts = vec![fact(dtype, None)];
        facts.extend(indices.map(|indices| fact(Some(indices), None)));
        return Ok(facts);
    };
    let axes = image_axes(context.attrs.str_or("data_format", "NHWC")?)?;
    let pick = |values: &[i64]| -> Along {
        let size = |axis: usize| usize::try_from(*values.get(axis)?).ok();
        [size(axes[1]), size(axes[2])]
    };
    let rates = match context.attrs.ints("rates")? {
        [] => [Some(1); 2],
        rates => pick(rates),
    };
    let (window, strides) = match op {
        "MaxPoolV2" => (
            pick(&context.integers(1)?.unwrap_or_default()),
            pick(&context.integers(2)?.unwrap_or_default()),
        ),
        "Dilation2D" => {
            let filter = context.shape(1)?.map(Shape::dims).unwrap_or_default();
            let size = |axis: usize| filter.get(axis).and_then(Dim::fixed);
            ([size(0), size(1)], pick(context.attrs.ints("strides")?))
        }
        "ExtractImagePatches" => (
            pick(context.attrs.ints("ksizes")?),
            pick(context.attrs.ints("strides")?),
        ),
        _ => (
            pick(context.attrs.ints("ksize")?),
            pick(context.attrs.ints("strides")?),
        ),
    };
    let padding = match context.attrs.str_or("padding", "VALID")? {
        "SAME" => Padding::Same,
        "VALID" => Padding::Explicit(0, 0),
        other => return impossible(format!("padding `{other}` is not known")),
    };
    let mut spatial = [Dim::Fixed(0), Dim::Fixed(0)];
    for (i, dim) in spatial.iter_mut().enumerate() {
        let axis = axes[i + 1];
        let (Some(stride), Some(rate)) = (strides[i], rates[i]) else {
            *dim = context.symbol(0, axis);
            continue;
        };
        *dim = match (&image.dims()[axis], window[i]) {
            (Dim::Fixed(size), Some(window)) => {
                match window_output(*size, window, stride, rate, padding) {
                    Some(size) => Dim::Fixed(size),
                    None => {
                        return impossible(format!(
                            "a window of {window} with stride {stride} does not fit an axis of \
                             {size}"
                        ));
                    }
                }
            }
            (dim, window) => {
                let size = context.sizes.formula(dim);
                context.dim(slid(&size, window, stride, rate, padding), 0, axis)
            }
        };
    }
    let mut channels = image.dims()[axes[3]].clone();
    if op == "ExtractImagePatches" {
        let taps = window[0]
            .zip(window[1])
            .and_then(|(rows, columns)| i64::try_from(rows.checked_mul(columns)?).ok());
        let seen = taps.and_then(|taps| context.sizes.formula(&channels).mul(&Formula::from(taps)));
        channels = context.dim(seen, 0, axes[3]);
    }
    let shape = image_output(context, image.dims()[0].clone(), spatial, channels)?;
    let mut facts = vec![fact(dtype, Some(shape.clone()))];
    facts.extend(indices.map(|indices| fact(Some(indices), Some(shape))));
    Ok(facts)
}
