//! `Conv3D`, `Conv3DBackpropInputV2`, `MaxPool3D` and `AvgPool3D`.

use tfjet_core::{Dim, Shape};

use super::conv2d::{Padding, slid, window_output};
use super::reshape::shape_from_elements;
use super::{Context, InferError, fact, impossible};
use crate::graph::WireFact;

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let op = context.node.op.as_str();
    if op == "Conv3DBackpropInputV2" {
        let shape = match &context.input(0)?.elements {
            Some(elements) if elements.len() == 5 => shape_from_elements(context, 0, elements)?,
            _ => context.symbols(0, 5),
        };
        return Ok(vec![fact(context.dtype(2), Some(shape))]);
    }
    let dtype = context.dtype(0);
    let Some(volume) = context.shape(0)?.cloned() else {
        return Ok(vec![fact(dtype, None)]);
    };
    let (spatial, channels) = match context.attrs.str_or("data_format", "NDHWC")? {
        "NDHWC" => ([1, 2, 3], 4),
        "NCDHW" => ([2, 3, 4], 1),
        other => {
            return impossible(format!("data_format `{other}` is neither NDHWC nor NCDHW"));
        }
    };
    let filter = match op {
        "Conv3D" => context.shape(1)?.cloned(),
        _ => None,
    };
    if volume.rank() != 5 || filter.as_ref().is_some_and(|filter| filter.rank() != 5) {
        return impossible(format!("input 0 has shape {volume}, expected rank 5"));
    }
    let numbers = |name: &str| -> Result<Vec<usize>, InferError> {
        let values = context.attrs.ints(name)?;
        if values.is_empty() && name == "dilations" {
            return Ok(vec![1; 5]);
        }
        let sizes = values.iter().map(|&value| usize::try_from(value).ok());
        match sizes.collect::<Option<Vec<usize>>>() {
            Some(sizes) if sizes.len() == 5 => Ok(sizes),
            _ => impossible(format!("attribute `{name}` needs 5 positive values")),
        }
    };
    let strides = numbers("strides")?;
    let (window, dilations) = match op {
        "Conv3D" => (Vec::new(), numbers("dilations")?),
        _ => (numbers("ksize")?, vec![1; 5]),
    };
    let padding = match context.attrs.str_or("padding", "VALID")? {
        "SAME" => Padding::Same,
        "VALID" => Padding::Explicit(0, 0),
        other => return impossible(format!("padding `{other}` is not known")),
    };
    let mut dims = volume.0.clone();
    for (index, axis) in spatial.into_iter().enumerate() {
        let size = match &filter {
            Some(filter) => filter.dims()[index].fixed(),
            None => window.get(axis).copied(),
        };
        let (stride, dilation) = (strides[axis], dilations[axis]);
        dims[axis] = match (&volume.dims()[axis], size) {
            (Dim::Fixed(length), Some(size)) => {
                match window_output(*length, size, stride, dilation, padding) {
                    Some(size) => Dim::Fixed(size),
                    None => {
                        return impossible(format!(
                            "a window of {size} with stride {stride} does not fit an axis of \
                             {length}"
                        ));
                    }
                }
            }
            (dim, size) => {
                let length = context.sizes.formula(dim);
                context.dim(slid(&length, size, stride, dilation, padding), 0, axis)
            }
        };
    }
    if op == "Conv3D" {
        dims[channels] = match &filter {
            Some(filter) => filter.dims()[4].clone(),
            None => context.symbol(0, channels),
        };
    }
    Ok(vec![fact(dtype, Some(Shape(dims)))])
}
