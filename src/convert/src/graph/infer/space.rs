//! `SpaceToDepth`, `DepthToSpace`, `CropAndResize` and image resizing.

use tfjet_core::{Dim, Shape};

use super::conv2d::{image_axes, image_output, image_shape};
use super::{Context, InferError, fact, impossible};
use crate::graph::{Formula, SymbolicInt, WireFact};

pub(super) fn infer(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    if context.node.op.starts_with("Resize") {
        return resize(context);
    }
    if context.node.op == "CropAndResize" {
        return crop_and_resize(context);
    }
    let dtype = context.dtype(0);
    let Some(image) = image_shape(context, 0)? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let axes = image_axes(context.attrs.str_or("data_format", "NHWC")?)?;
    let block = match usize::try_from(context.attrs.int("block_size")?) {
        Ok(block) if block > 0 => block,
        _ => return impossible("attribute `block_size` must be positive"),
    };
    let down = context.node.op == "SpaceToDepth";
    let scale = |axis: usize, factor: usize, divide: bool| -> Result<Dim, InferError> {
        match &image.dims()[axis] {
            Dim::Fixed(size) if divide && size.is_multiple_of(factor) => {
                Ok(Dim::Fixed(size / factor))
            }
            Dim::Fixed(size) if divide => impossible(format!("{size} is no multiple of {factor}")),
            Dim::Fixed(size) => Ok(size
                .checked_mul(factor)
                .map_or_else(|| context.symbol(0, axis), Dim::Fixed)),
            Dim::Symbolic(_) => {
                let factor = Formula::from(i64::try_from(factor).unwrap_or(i64::MAX));
                let size = context.sizes.formula(&image.dims()[axis]);
                let scaled = if divide {
                    size.floor_div(&factor)
                } else {
                    size.mul(&factor)
                };
                Ok(context.dim(scaled, 0, axis))
            }
        }
    };
    let spatial = [scale(axes[1], block, down)?, scale(axes[2], block, down)?];
    let channels = scale(axes[3], block.saturating_mul(block), !down)?;
    let shape = image_output(context, image.dims()[0].clone(), spatial, channels)?;
    Ok(vec![fact(dtype, Some(shape))])
}

fn crop_and_resize(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let boxes = match context.shape(1)?.map(Shape::dims) {
        Some([boxes, _]) => boxes.clone(),
        _ => context.symbol(0, 0),
    };
    let sizes = context.elements(3)?.unwrap_or_default();
    let size = |axis: usize| {
        let size = sizes.get(axis).and_then(SymbolicInt::formula);
        context.dim(size, 0, axis + 1)
    };
    let channels = match image_shape(context, 0)? {
        Some(image) => image.dims()[3].clone(),
        None => context.symbol(0, 3),
    };
    let shape = Shape(vec![boxes, size(0), size(1), channels]);
    Ok(vec![fact(Some(tfjet_core::DType::F32), Some(shape))])
}

fn resize(context: &Context<'_>) -> Result<Vec<WireFact>, InferError> {
    let dtype = match context.node.op.as_str() {
        "ResizeNearestNeighbor" => context.dtype(0),
        _ => Some(tfjet_core::DType::F32),
    };
    let Some(image) = image_shape(context, 0)? else {
        return Ok(vec![fact(dtype, None)]);
    };
    let mut dims = image.0.clone();
    let size = context.input(1)?.elements.as_deref().unwrap_or_default();
    for axis in 0..2 {
        dims[axis + 1] = match size.get(axis) {
            Some(SymbolicInt::Known(size)) => match usize::try_from(*size) {
                Ok(size) => Dim::Fixed(size),
                Err(_) => return impossible(format!("cannot resize to {size}")),
            },
            size => context.dim(size.and_then(SymbolicInt::formula), 0, axis + 1),
        };
    }
    Ok(vec![fact(dtype, Some(Shape(dims)))])
}
