use serde::{Deserialize, Serialize};

use crate::{Layer, LayerSpec, MatrixOperation, NetworkSpec, Precision, TensorId, WeightsId};

/// In which numbers the layers of a network compute.
///
/// A number of 8 bits stands for `x` as `q = round(clip(x, -r, r) * 127 / r)`, where `r` is the
/// range of the tensor, or of the output channel for weights; there is no zero point. A layer in
/// INT8 reads its input and its weights so, multiplies and adds exactly, and gives floats. Biases
/// are floats.
///
/// A tensor that some INT8 layer reads is rounded where it is made, so everything that reads it gets
/// the rounded values; see [`Quantization::rounded`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantization {
    /// By [`TensorId`]: the largest magnitude that the tensor's 8-bit numbers stand for, finite and
    /// above 0. None where it is not known. Ranges of tensors that no INT8 layer reads are for
    /// TensorRT's implicit quantization, which may compute more layers in INT8.
    pub ranges: Vec<Option<f32>>,
    /// For each layer, in the network's order.
    pub layers: Vec<LayerPrecision>,
}

/// In which numbers one layer computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LayerPrecision {
    /// 32-bit floats, always.
    Fp32,
    /// 16-bit floats where the engine has them, else 32-bit floats.
    Fp16,
    /// 8-bit integers: a layer for which [`quantized_weights`] gives its weights.
    Int8 {
        /// Largest magnitude of the weights of each output channel, finite and not negative. The
        /// numbers of a channel of zeros are 0.
        channels: Vec<f32>,
    },
}

/// The weights of a layer that can compute in INT8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantizedWeights {
    /// The layer's other input, which is rounded by its tensor's range.
    pub input: TensorId,
    /// The weights.
    pub weights: WeightsId,
    /// The weights' axis of output channels.
    pub axis: usize,
}

/// Why a [`Quantization`] does not fit its network.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizationError {
    /// Lists of another length.
    #[error("it is for {found} {what}, the network has {expected}")]
    Length {
        /// `tensors` or `layers`.
        what: &'static str,
        /// Entries of the list.
        found: usize,
        /// Of the network.
        expected: usize,
    },
    /// A range that is none.
    #[error("the range {range} of tensor `{tensor}` is no positive number")]
    Range {
        /// The tensor.
        tensor: String,
        /// What it has.
        range: f32,
    },
    /// INT8 for a layer that has no constant weights to multiply with.
    #[error("layer `{layer}` ({kind}) cannot compute in INT8")]
    Layer {
        /// The layer.
        layer: String,
        /// Its kind.
        kind: &'static str,
    },
    /// An INT8 layer that reads a tensor of unknown range.
    #[error("layer `{layer}` is INT8, but its input `{tensor}` has no range")]
    NoRange {
        /// The layer.
        layer: String,
        /// The tensor.
        tensor: String,
    },
    /// A largest magnitude that is none.
    #[error("layer `{layer}`: {magnitude} is no magnitude of weights")]
    Magnitude {
        /// The layer.
        layer: String,
        /// What it has.
        magnitude: f32,
    },
}

/// The weights of a layer that can compute in INT8: convolutions, deconvolutions of one group, and
/// products with a constant second operand, all of 32-bit floats. None for every other layer.
pub fn quantized_weights(network: &NetworkSpec, layer: &LayerSpec) -> Option<QuantizedWeights> {
    let input = *layer.inputs.first()?;
    let of = |weights: WeightsId, axis: usize| QuantizedWeights {
        input,
        weights,
        axis,
    };
    if network.tensor(input)?.dtype != crate::DType::F32 {
        return None;
    }
    match &layer.layer {
        Layer::Convolution { kernel, .. } => Some(of(*kernel, 0)),
        Layer::Deconvolution { kernel, groups, .. } if *groups == 1 => Some(of(*kernel, 1)),
        Layer::MatrixMultiply { second, .. } => {
            let operand = *layer.inputs.get(1)?;
            let made_by = |layer: &&LayerSpec| layer.outputs.contains(&operand);
            let Layer::Constant { weights } = network.layers.iter().find(made_by)?.layer else {
                return None;
            };
            let rank = network.tensor(operand)?.shape.rank();
            let from_end = match second {
                MatrixOperation::None => 1,
                MatrixOperation::Transpose => 2,
            };
            let batches = network.tensor(operand)?.shape.dims().iter().rev().skip(2);
            let mut batches = batches.map(crate::Dim::fixed);
            match batches.all(|size| size == Some(1)) {
                true => Some(of(weights, rank.checked_sub(from_end)?)),
                false => None,
            }
        }
        _ => None,
    }
}

impl Quantization {
    /// The largest 8-bit number; the smallest is its negative.
    pub const LARGEST: f32 = 127.0;

    /// All layers in the same floats. INT8 needs ranges and is left out: it gives FP16.
    pub fn floats(network: &NetworkSpec, precision: Precision) -> Self {
        let layer = match precision {
            Precision::Fp32 => LayerPrecision::Fp32,
            Precision::Fp16 | Precision::Int8 => LayerPrecision::Fp16,
        };
        Self {
            ranges: vec![None; network.tensors.len()],
            layers: vec![layer; network.layers.len()],
        }
    }

    /// The fewest bits that some layer computes in.
    pub fn precision(&self) -> Precision {
        let mut fewest = Precision::Fp32;
        for layer in &self.layers {
            match layer {
                LayerPrecision::Int8 { .. } => return Precision::Int8,
                LayerPrecision::Fp16 => fewest = Precision::Fp16,
                LayerPrecision::Fp32 => {}
            }
        }
        fewest
    }

    /// The range of a tensor, where it is known.
    pub fn range(&self, tensor: TensorId) -> Option<f32> {
        *self.ranges.get(usize::try_from(tensor.0).ok()?)?
    }

    /// By [`TensorId`]: the range by which the tensor is rounded to 8 bits where it is made; none
    /// for a tensor that no INT8 layer reads.
    pub fn rounded(&self, network: &NetworkSpec) -> Vec<Option<f32>> {
        let mut rounded = vec![None; network.tensors.len()];
        for (layer, precision) in network.layers.iter().zip(&self.layers) {
            if let LayerPrecision::Int8 { .. } = precision
                && let Some(QuantizedWeights { input, .. }) = quantized_weights(network, layer)
                && let Some(slot) = usize::try_from(input.0)
                    .ok()
                    .and_then(|index| rounded.get_mut(index))
            {
                *slot = self.range(input);
            }
        }
        rounded
    }

    /// Checks that it fits `network`. How many output channels a layer has is not looked at, since
    /// the weights' shapes stand elsewhere.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, network: &NetworkSpec) -> Result<(), QuantizationError> {
        let lengths = [
            ("tensors", self.ranges.len(), network.tensors.len()),
            ("layers", self.layers.len(), network.layers.len()),
        ];
        for (what, found, expected) in lengths {
            if found != expected {
                return Err(QuantizationError::Length {
                    what,
                    found,
                    expected,
                });
            }
        }
        for (tensor, range) in network.tensors.iter().zip(&self.ranges) {
            if let Some(range) = *range
                && !(range.is_finite() && range > 0.0)
            {
                let tensor = tensor.name.clone();
                return Err(QuantizationError::Range { tensor, range });
            }
        }
        for (layer, precision) in network.layers.iter().zip(&self.layers) {
            let LayerPrecision::Int8 { channels } = precision else {
                continue;
            };
            let Some(weights) = quantized_weights(network, layer) else {
                return Err(QuantizationError::Layer {
                    layer: layer.name.clone(),
                    kind: layer.layer.kind(),
                });
            };
            if self.range(weights.input).is_none() {
                let tensor = network.tensor(weights.input);
                return Err(QuantizationError::NoRange {
                    layer: layer.name.clone(),
                    tensor: tensor.map(|tensor| tensor.name.clone()).unwrap_or_default(),
                });
            }
            let bad = |it: &&f32| !(it.is_finite() && **it >= 0.0);
            if let Some(&magnitude) = channels.iter().find(bad) {
                return Err(QuantizationError::Magnitude {
                    layer: layer.name.clone(),
                    magnitude,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
