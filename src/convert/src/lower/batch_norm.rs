//! `FusedBatchNorm`, `V2` and `V3` for inference: one scale per channel.

use std::sync::Arc;

use tfjet_core::{DType, Layer, Tensor};

use super::op::{FLOATS, Op};
use super::{Layout, Refusal, refuse};

pub(super) fn lower(op: &mut Op<'_, '_>) -> Result<(), Refusal> {
    op.dtype(0, FLOATS)?;
    op.attrs.ignore(&["exponential_avg_factor"]);
    if op.attrs.bool_or("is_training", true)? {
        return refuse("is_training must be false: export the graph for inference");
    }
    if (1..6).any(|slot| op.is_used(slot)) {
        return refuse("an output besides the first is used, which only training needs");
    }
    let epsilon = f64::from(op.attrs.float_or("epsilon", 1e-4)?);
    let (dtype, shape) = op.output_type(0)?;
    let layout = match (op.attrs.str_or("data_format", "NHWC")?, shape.rank()) {
        ("NHWC", 4) | ("NDHWC", 5) => Layout::ChannelsFirst,
        ("NCHW", 4) | ("NCDHW", 5) => Layout::Native,
        (format, _) => return refuse(format!("data_format {format} does not fit {shape}")),
    };
    let names = ["scale", "offset", "mean", "variance"];
    let mut parameters = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        let value = op.require_constant(index + 1, name)?;
        parameters.push(floats(&value)?);
    }
    let channels = parameters.iter().map(Vec::len).max().unwrap_or(0);
    if parameters
        .iter()
        .any(|values| values.len() != channels && values.len() != 1)
    {
        return refuse("scale, offset, mean and variance differ in length");
    }
    let at = |index: usize, channel: usize| -> f64 {
        let values = &parameters[index];
        f64::from(if values.len() == 1 {
            values[0]
        } else {
            values[channel]
        })
    };
    let mut scale = Vec::with_capacity(channels);
    let mut shift = Vec::with_capacity(channels);
    for channel in 0..channels {
        let factor = at(0, channel) / (at(3, channel) + epsilon).sqrt();
        scale.push(factor as f32);
        shift.push((at(1, channel) - at(2, channel) * factor) as f32);
    }
    let scale = op.weights(|| Ok(Arc::new(Tensor::from_slice(&[channels], &scale)?)))?;
    let shift = op.weights(|| Ok(Arc::new(Tensor::from_slice(&[channels], &shift)?)))?;
    let input = op.tensor(0, layout)?;
    let layer = Layer::Scale {
        scale: Some(scale),
        shift: Some(shift),
    };
    let output = op.emit(layer, &[input], dtype, &shape, layout);
    op.output(0, output, layout);
    Ok(())
}

/// The values of a constant of floats, as `f32`.
pub(super) fn floats(tensor: &Tensor) -> Result<Vec<f32>, Refusal> {
    match tensor.dtype() {
        DType::F32 => Ok(tensor.as_slice::<f32>()?.to_vec()),
        DType::F16 => Ok(tensor
            .as_slice::<half::f16>()?
            .iter()
            .map(|v| v.to_f32())
            .collect()),
        other => refuse(format!("a parameter is {other}, not float32 or float16")),
    }
}
