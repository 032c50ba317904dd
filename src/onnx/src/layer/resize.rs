use tfjet_core::{DType, Dim, InterpolationMode, ResizeCoordinateTransformation, ResizeRounding};

use super::dynamic;
use super::writer::{Value, Writer};
use crate::OnnxError;
use crate::proto::AttributeProto;
use crate::types::Kernel;

pub(super) fn resize(
    w: &mut Writer<'_, '_>,
    mode: InterpolationMode,
    coordinates: ResizeCoordinateTransformation,
    rounding: ResizeRounding,
    size: &[Option<usize>],
) -> Result<(), OnnxError> {
    let dims = w.input_dims(0)?;
    w.expect_len("size", size, dims.len())?;
    let target = match whole_scales(dims, size) {
        Some(scales) => Target::Scales(w.floats(&scales)?),
        None => Target::Sizes(sizes(w, dims, size)?),
    };
    resized(w, mode, coordinates, rounding, &target)
}

pub(super) fn resize_to(
    w: &mut Writer<'_, '_>,
    mode: InterpolationMode,
    coordinates: ResizeCoordinateTransformation,
    rounding: ResizeRounding,
) -> Result<(), OnnxError> {
    let target = Target::Sizes(dynamic::sizes(w, 1)?);
    resized(w, mode, coordinates, rounding, &target)
}

pub(super) fn resize_by(
    w: &mut Writer<'_, '_>,
    mode: InterpolationMode,
    coordinates: ResizeCoordinateTransformation,
    rounding: ResizeRounding,
    scales: &[usize],
) -> Result<(), OnnxError> {
    w.expect_len("scales", scales, w.input_dims(0)?.len())?;
    let scale = |&scale: &usize| u16::try_from(scale).ok().filter(|&s| s > 0).map(f32::from);
    let Some(scales) = scales.iter().map(scale).collect::<Option<Vec<f32>>>() else {
        return Err(w.fail(format!("scales are {scales:?}")));
    };
    let target = Target::Scales(w.floats(&scales)?);
    resized(w, mode, coordinates, rounding, &target)
}

enum Target {
    Scales(Value),
    Sizes(Value),
}

fn resized(
    w: &mut Writer<'_, '_>,
    mode: InterpolationMode,
    coordinates: ResizeCoordinateTransformation,
    rounding: ResizeRounding,
    target: &Target,
) -> Result<(), OnnxError> {
    let coordinates = match coordinates {
        ResizeCoordinateTransformation::AlignCorners => "align_corners",
        ResizeCoordinateTransformation::Asymmetric => "asymmetric",
        ResizeCoordinateTransformation::HalfPixel => "half_pixel",
    };
    let rounding = match rounding {
        ResizeRounding::HalfUp => "round_prefer_ceil",
        ResizeRounding::HalfDown => "round_prefer_floor",
        ResizeRounding::Floor => "floor",
        ResizeRounding::Ceil => "ceil",
    };
    let mut attributes = vec![AttributeProto::string(
        "coordinate_transformation_mode",
        coordinates,
    )];
    match mode {
        InterpolationMode::Nearest => {
            attributes.push(AttributeProto::string("mode", "nearest"));
            attributes.push(AttributeProto::string("nearest_mode", rounding));
        }
        InterpolationMode::Linear => attributes.push(AttributeProto::string("mode", "linear")),
    }
    let input = w.input_for(0, Kernel::RESIZE)?;
    let absent = Value::absent();
    let inputs = match target {
        Target::Scales(scales) => vec![&input, &absent, scales],
        Target::Sizes(sizes) => vec![&input, &absent, &absent, sizes],
    };
    let output = w.node("Resize", &inputs, attributes, input.dtype);
    w.finish(0, output)
}

/// Scales where all are whole numbers: ONNX Runtime resizes its blocked layout by those only, and
/// a whole number loses nothing as a float.
fn whole_scales(dims: &[Dim], size: &[Option<usize>]) -> Option<Vec<f32>> {
    let scale = |(dim, size): (&Dim, &Option<usize>)| {
        let Some(size) = size else { return Some(1.0) };
        let dim = dim.fixed().filter(|&dim| dim > 0)?;
        let scale = u16::try_from(size / dim).ok()?;
        (scale > 0 && size % dim == 0).then(|| f32::from(scale))
    };
    dims.iter().zip(size).map(scale).collect()
}

/// The output shape, its unknown sizes taken from the input as it is.
fn sizes(w: &mut Writer<'_, '_>, dims: &[Dim], size: &[Option<usize>]) -> Result<Value, OnnxError> {
    let mut pieces = Vec::new();
    let mut known = Vec::new();
    for (axis, (dim, size)) in dims.iter().zip(size).enumerate() {
        if let Some(size) = size.or(dim.fixed()) {
            known.push(w.int(size)?);
            continue;
        }
        if !known.is_empty() {
            pieces.push(w.int64s(&known)?);
            known.clear();
        }
        let axis = w.int(axis)?;
        let attributes = vec![
            AttributeProto::int("start", axis),
            AttributeProto::int("end", axis + 1),
        ];
        let input = w.input(0)?;
        pieces.push(w.node("Shape", &[&input], attributes, DType::I64));
    }
    if !known.is_empty() {
        pieces.push(w.int64s(&known)?);
    }
    Ok(dynamic::joined(w, &pieces))
}
