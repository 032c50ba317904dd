//! Explicit quantization: tensors that are rounded to 8 bits where they are made, and weights.

use tfjet_core::{Quantization, Tensor, TensorError, TensorId, WeightsId};

use super::weights::owned;
use super::writer::{Value, Writer};
use crate::network::{Network, TensorRef, Weights};
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

    /// The weights `id` as floats of `dtype` that 8-bit numbers stand for, by the largest magnitudes
    /// of the output channels, which axis 0 counts.
    pub(super) fn rounded_floats(
        &self,
        id: WeightsId,
        channels: &[f32],
        dtype: DataType,
    ) -> Result<Weights<'static>, TensorRtError> {
        let view = self.weights_view(id)?;
        let fail = |error: TensorError| self.fail(error.to_string());
        let mut values = view.as_slice::<f32>().map_err(fail)?.to_vec();
        let count = view.shape().first().copied().unwrap_or(0);
        self.expect_channels(channels, count)?;
        let each = values.len().checked_div(count).unwrap_or(0).max(1);
        for (values, &range) in values.chunks_mut(each).zip(channels) {
            for value in values {
                *value = match range {
                    0.0 => 0.0,
                    range => {
                        let number = *value * Quantization::LARGEST / range;
                        let number = number.clamp(-Quantization::LARGEST, Quantization::LARGEST);
                        number.round_ties_even() * range / Quantization::LARGEST
                    }
                };
            }
        }
        let rounded = Tensor::from_slice(view.shape(), &values).map_err(fail)?;
        owned(rounded, dtype).map_err(|reason| self.fail(reason))
    }

    fn expect_channels(&self, channels: &[f32], count: usize) -> Result<(), TensorRtError> {
        match count == channels.len() {
            true => Ok(()),
            false => Err(self.fail(format!(
                "its quantization is of {} channels, its weights of {count}",
                channels.len()
            ))),
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
        self.expect_channels(channels, count)?;
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
