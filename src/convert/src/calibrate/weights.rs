use std::collections::BTreeMap;

use tfjet_core::{
    DType, Layer, NetworkSpec, Quantization, QuantizedWeights, Tensor, TensorId, quantized_weights,
};

use crate::lower::WeightsStore;
use crate::stages::Lowered;

/// For each layer that can compute in INT8, as `SEGMENT/LAYER`: the largest magnitude of the weights
/// of each output channel.
pub fn weight_magnitudes(lowered: &Lowered) -> BTreeMap<String, Vec<f32>> {
    let mut all = BTreeMap::new();
    for network in &lowered.networks {
        for layer in &network.layers {
            let weights = quantized_weights(network, layer);
            if let Some(magnitudes) = weights.and_then(|it| largest(&lowered.weights, it)) {
                all.insert(format!("{}/{}", network.name, layer.name), magnitudes);
            }
        }
    }
    all
}

/// The values of each output channel; none where the weights are not finite floats.
fn channels(store: &WeightsStore, weights: QuantizedWeights) -> Option<Vec<Vec<f32>>> {
    let tensor: &Tensor = store.get(weights.weights).ok()?;
    let values = tensor.as_slice::<f32>().ok()?;
    let count = *tensor.shape().get(weights.axis)?;
    let inner: usize = tensor.shape().get(weights.axis + 1..)?.iter().product();
    if count == 0 || inner == 0 || !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let mut channels = vec![Vec::with_capacity(values.len() / count); count];
    for (index, row) in values.chunks(inner).enumerate() {
        channels[index % count].extend_from_slice(row);
    }
    Some(channels)
}

fn magnitude(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

fn largest(store: &WeightsStore, weights: QuantizedWeights) -> Option<Vec<f32>> {
    let channels = channels(store, weights)?;
    Some(channels.iter().map(|values| magnitude(values)).collect())
}

/// The range of each output channel of the weights: the largest magnitude, or 127 times the step of
/// weights that were trained to lie on steps. None where the weights are not finite floats.
pub(super) fn magnitudes(store: &WeightsStore, weights: QuantizedWeights) -> Option<Vec<f32>> {
    let channels = channels(store, weights)?;
    Some(
        channels
            .iter()
            .map(|values| channel_range(values))
            .collect(),
    )
}

/// How far from a step a weight may lie, in steps, where batch norm was folded into it.
const NEAR: f32 = 1e-3;

/// Fewer different weights than this say nothing about steps.
const FEWEST: usize = 4;

/// Weights that a graph rounded in a range of their own, one for all channels, lie on steps that are
/// not the 127th part of a channel's largest magnitude. Rounding them anew would undo what was
/// trained, so the range is that of their steps.
fn channel_range(values: &[f32]) -> f32 {
    let most = magnitude(values);
    if most <= f32::MIN_POSITIVE {
        return 0.0;
    }
    let on_steps = |count: f32| {
        values.iter().all(|value| {
            let steps = value / most * count;
            (steps - steps.round()).abs() <= NEAR
        })
    };
    if on_steps(Quantization::LARGEST) {
        return most;
    }
    let levels = 1..127u8;
    let steps = levels.map(f32::from).find(|count| on_steps(*count));
    match steps.map(|count| most / count * Quantization::LARGEST) {
        Some(range) if range.is_finite() && different(values) >= FEWEST => range,
        _ => most,
    }
}

/// How many different magnitudes there are.
fn different(values: &[f32]) -> usize {
    let mut magnitudes: Vec<u32> = values.iter().map(|it| it.abs().to_bits()).collect();
    magnitudes.sort_unstable();
    magnitudes.dedup();
    magnitudes.len()
}

/// The range of what a constant layer makes.
pub(super) fn constant_range(
    network: &NetworkSpec,
    id: TensorId,
    store: &WeightsStore,
) -> Option<f32> {
    let made = network
        .layers
        .iter()
        .find(|layer| layer.outputs.first() == Some(&id))?;
    let Layer::Constant { weights } = made.layer else {
        return None;
    };
    let tensor = store.get(weights).ok()?;
    match tensor.dtype() {
        DType::F32 => Some(magnitude(tensor.as_slice::<f32>().ok()?)),
        _ => None,
    }
}
