//! `ResizeBilinear` and `ResizeNearestNeighbor` to a fixed size.

use tfjet_core::{DType, InterpolationMode, Layer, ResizeCoordinateTransformation, ResizeRounding};

use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    let nearest = op.node.op == "ResizeNearestNeighbor";
    let dtype = op.dtype(0, &[DType::F32, DType::F16, DType::U8, DType::I32])?;
    if nearest && !FLOATS.contains(&dtype) {
        return refuse(format!(
            "nearest-neighbour resizing of {dtype} has no layer"
        ));
    }
    let align = op.attrs.bool_or("align_corners", false)?;
    let half_pixel = op.attrs.bool_or("half_pixel_centers", false)?;
    let (output_dtype, shape) = op.output_type(0)?;
    let (Some(height), Some(width)) = (shape.dims()[1].fixed(), shape.dims()[2].fixed()) else {
        return refuse("the output size must be known");
    };
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
    let layer = Layer::Resize {
        mode,
        coordinates,
        rounding,
        size: vec![None, None, Some(height), Some(width)],
    };
    let output = op.emit(layer, &[input], output_dtype, &shape, layout);
    op.output(0, output, layout);
    Ok(())
}
