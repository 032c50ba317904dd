//! `ResizeBilinear` and `ResizeNearestNeighbor`.

use tfjet_core::{DType, InterpolationMode, Layer, ResizeCoordinateTransformation, ResizeRounding};

use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};
use crate::graph::Formula;

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let nearest = op.node.op == "ResizeNearestNeighbor";
    let dtype = op.dtype(0, &[DType::F32, DType::F16, DType::U8, DType::I32])?;
    if nearest && !FLOATS.contains(&dtype) {
        return refuse(format!(
            "nearest-neighbour resizing of {dtype} has no layer"
        ));
    }
    op.sizes(1, "size")?;
    let align = op.attrs.bool_or("align_corners", false)?;
    let half_pixel = op.attrs.bool_or("half_pixel_centers", false)?;
    let (output_dtype, shape) = op.output_type(0)?;
    let coordinates = match (align, half_pixel) {
        (true, true) => return refuse("align_corners and half_pixel_centers exclude each other"),
        (true, false) => ResizeCoordinateTransformation::AlignCorners,
        (false, true) => ResizeCoordinateTransformation::HalfPixel,
        (false, false) => ResizeCoordinateTransformation::Asymmetric,
    };
    let (mode, rounding) = match (nearest, align || half_pixel) {
        (false, _) => (InterpolationMode::Linear, ResizeRounding::Floor),
        (true, true) => (InterpolationMode::Nearest, ResizeRounding::HalfUp),
        (true, false) => (InterpolationMode::Nearest, ResizeRounding::Floor),
    };
    let layout = Layout::ChannelsFirst;
    let mut input = op.tensor(0, layout)?;
    if dtype != output_dtype {
        let input_shape = op.shape(0)?;
        input = op.emit(
            Layer::Cast { to: output_dtype },
            &[input],
            output_dtype,
            &input_shape,
            layout,
        );
    }
    let from = layout.shape(&op.shape(0)?);
    let to = layout.shape(&shape);
    let (from, sizes) = (op.formulas(&from), op.formulas(&to));
    let (layer, inputs) = if let (Some(height), Some(width)) = (to.0[2].fixed(), to.0[3].fixed()) {
        let layer = Layer::Resize {
            mode,
            coordinates,
            rounding,
            size: vec![None, None, Some(height), Some(width)],
        };
        (layer, vec![input])
    } else if let Some(scales) = scales(&from, &sizes) {
        let layer = Layer::ResizeBy {
            mode,
            coordinates,
            rounding,
            scales,
        };
        (layer, vec![input])
    } else {
        let name = op.node.name.clone();
        let sizes = op.builder.sizes(&name, &sizes)?;
        let layer = Layer::ResizeTo {
            mode,
            coordinates,
            rounding,
        };
        (layer, vec![input, sizes])
    };
    let output = op.emit(layer, &inputs, output_dtype, &shape, layout);
    op.output(0, output, layout);
    Ok(())
}

/// The whole factors by which the axes grow, where there are such.
fn scales(from: &[Formula], to: &[Formula]) -> Option<Vec<usize>> {
    let scale = |(from, to): (&Formula, &Formula)| {
        let scale = to.exact_div(from)?.known()?;
        usize::try_from(scale).ok().filter(|scale| *scale > 0)
    };
    from.iter().zip(to).map(scale).collect()
}
