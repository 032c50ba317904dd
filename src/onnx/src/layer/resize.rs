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
    if mode == InterpolationMode::Linear
        && let Some(planes) = Planes::of(w, dims, size)
    {
        return planes.resize(w, coordinates, rounding);
    }
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
    let input = w.input_for(0, Kernel::RESIZE)?;
    let output = resized_value(w, mode, coordinates, rounding, &input, target);
    w.finish(0, output)
}

fn resized_value(
    w: &mut Writer<'_, '_>,
    mode: InterpolationMode,
    coordinates: ResizeCoordinateTransformation,
    rounding: ResizeRounding,
    input: &Value,
    target: &Target,
) -> Value {
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
    let absent = Value::absent();
    let inputs = match target {
        Target::Scales(scales) => vec![input, &absent, scales],
        Target::Sizes(sizes) => vec![input, &absent, &absent, sizes],
    };
    w.node("Resize", &inputs, attributes, input.dtype)
}

/// Images whose channels were just brought to the front. ONNX Runtime moves a transpose behind a
/// resize, which is slower with channels last; it does not move one over a reshape, so each channel
/// is resized as an image of its own.
struct Planes {
    /// Images by channels.
    count: usize,
    channels: usize,
    size: [usize; 2],
}

impl Planes {
    fn of(w: &Writer<'_, '_>, dims: &[Dim], size: &[Option<usize>]) -> Option<Self> {
        let ([images, channels, _, _], [None, None, Some(height), Some(width)]) = (dims, size)
        else {
            return None;
        };
        let (images, channels) = (images.fixed()?, channels.fixed()?);
        if channels == 0 || !w.is_transposed(0) {
            return None;
        }
        Some(Self {
            count: images.checked_mul(channels)?,
            channels,
            size: [*height, *width],
        })
    }

    fn resize(
        &self,
        w: &mut Writer<'_, '_>,
        coordinates: ResizeCoordinateTransformation,
        rounding: ResizeRounding,
    ) -> Result<(), OnnxError> {
        let input = w.input_for(0, Kernel::RESIZE)?;
        let planes = w.int64s(&[-1, 1, 0, 0])?;
        let planes = w.op("Reshape", &[&input, &planes]);
        let [height, width] = self.size;
        let sizes = [w.int(self.count)?, 1, w.int(height)?, w.int(width)?];
        let sizes = Target::Sizes(w.int64s(&sizes)?);
        let mode = InterpolationMode::Linear;
        let resized = resized_value(w, mode, coordinates, rounding, &planes, &sizes);
        let images = w.int64s(&[-1, w.int(self.channels)?, 0, 0])?;
        let output = w.op("Reshape", &[&resized, &images]);
        w.finish(0, output)
    }
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
