//! Explicit quantization: tensors that are rounded to 8 bits where they are made, and weights.

use tfjet_core::{Quantization, Tensor, TensorId, WeightsId};

use super::weights::owned;
use super::writer::{Value, Writer};
use crate::network::{Network, TensorRef};
use crate::{DataType, TensorRtError};

/// `value` rounded to the 8-bit numbers of -`range` to `range`, in its own type.
pub(super) fn rounded<'n>(
    network: &'n Network<'_>,
    value: Value<'n>,
    range: f32,
    name: &str,
) -> Result<Value<'n>, TensorRtError> {
    let scale = scale(network, &[], vec![range / Quantization::LARGEST], name)?;
    through(network, value, scale, None, (name, value.dtype))
}

fn scale<'n>(
    network: &'n Network<'_>,
    dims: &[usize],
    values: Vec<f32>,
    name: &str,
) -> Result<TensorRef<'n>, TensorRtError> {
    let fail = |reason: String| TensorRtError::Network {
        network: name.into(),
        reason,
    };
    let values = Tensor::from_slice(&[values.len()], &values);
    let values = values.map_err(|error| fail(error.to_string()))?;
    let values = owned(values, DataType::Float).map_err(fail)?;
    let layer = network.add_constant(dims, values)?;
    layer.set_name(&format!("{name}/scale"))?;
    layer.output(0)
}

fn through<'n>(
    network: &'n Network<'_>,
    value: Value<'n>,
    scale: TensorRef<'n>,
    axis: Option<usize>,
    (name, to): (&str, DataType),
) -> Result<Value<'n>, TensorRtError> {
    let quantize = network.add_quantize(value.tensor, scale, axis)?;
    quantize.set_name(&format!("{name}/quantize"))?;
    let numbers = quantize.output(0)?;
    let dequantize = network.add_dequantize(numbers, scale, axis, to)?;
    dequantize.set_name(&format!("{name}/dequantize"))?;
    Ok(Value::new(dequantize.output(0)?, to))
}

impl<'n> Writer<'n, '_, '_> {
    /// `value` as the layers after it read it.
    pub(super) fn as_read(
        &self,
        id: TensorId,
        value: Value<'n>,
        name: &str,
    ) -> Result<Value<'n>, TensorRtError> {
        match self.numbers.explicit(id) {
            Some(range) => rounded(self.network, value, range, name),
            None => Ok(value),
        }
    }

    /// The weights `id`, rounded to 8 bits by the largest magnitudes of the output channels, which
    /// `axis` counts, as floats of `dtype`.
    pub(super) fn rounded_weights(
        &mut self,
        id: WeightsId,
        axis: usize,
        channels: &[f32],
        dtype: DataType,
    ) -> Result<Value<'n>, TensorRtError> {
        let shape = self.weights_view(id)?.shape().to_vec();
        let count = shape.get(axis).copied().unwrap_or(0);
        if count != channels.len() {
            return Err(self.fail(format!(
                "its quantization is of {} channels, its weights of {count}",
                channels.len()
            )));
        }
        let weights = self.weights(id, DataType::Float)?;
        let layer = self.network.add_constant(&shape, weights)?;
        let weights = self.value("constant", layer, DataType::Float)?;
        // A channel of zeros has the numbers 0, whatever its scale.
        let scales = channels
            .iter()
            .map(|&channel| match channel {
                0.0 => 1.0,
                channel => channel / Quantization::LARGEST,
            })
            .collect();
        let name = format!("{}/weights", self.layer.name);
        let scale = scale(self.network, &[channels.len()], scales, &name)?;
        through(self.network, weights, scale, Some(axis), (&name, dtype))
    }
}
