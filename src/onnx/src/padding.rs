//! Channels for ONNX Runtime's blocked layout, which takes a convolution only where its channels
//! are a multiple of four; others run up to ten times slower, depthwise ones above all.
//!
//! A tensor that such a convolution reads is made with more channels, by zero rows appended to the
//! kernel (or part of a concatenation) that makes it, and the convolution ignores them by zero
//! columns in its own kernel. The appended rows are folded when the model is loaded. Where another
//! layer wants the tensor as it is, it is cut back.

use std::collections::HashMap;

use tfjet_core::{DType, Dim, Layer, LayerSpec, NetworkSpec, TensorId, WeightsTable};

pub(crate) const ALIGNMENT: usize = 4;

/// Below this many channels, the blocked convolution reads the plain layout.
const SMALLEST_BLOCK: usize = 8;

/// Channels that each tensor in the map is to have instead of its own.
pub(crate) fn plan(spec: &NetworkSpec, weights: &WeightsTable) -> HashMap<TensorId, usize> {
    let mut plan = HashMap::new();
    let makers: HashMap<TensorId, &LayerSpec> = spec
        .layers
        .iter()
        .filter_map(|layer| Some((*layer.outputs.first()?, layer)))
        .collect();
    for layer in &spec.layers {
        let Some(&input) = layer.inputs.first() else {
            continue;
        };
        let Some(channels) = channels(spec, input).filter(|c| !c.is_multiple_of(ALIGNMENT)) else {
            continue;
        };
        let Some(padded) = channels.checked_next_multiple_of(ALIGNMENT) else {
            continue;
        };
        let is_depthwise = is_depthwise(layer, weights);
        match origin(spec, &makers, weights, input, channels) {
            Some(chain) if is_depthwise || (is_dense(layer) && channels >= SMALLEST_BLOCK) => {
                plan.extend(chain.into_iter().map(|id| (id, padded)));
            }
            None if is_depthwise => {
                plan.insert(input, padded);
            }
            _ => {}
        }
    }
    plan
}

/// `id` and the tensors before it that keep its channels, up to one whose maker can append some;
/// `None` where there is no such maker.
fn origin(
    spec: &NetworkSpec,
    makers: &HashMap<TensorId, &LayerSpec>,
    weights: &WeightsTable,
    id: TensorId,
    own: usize,
) -> Option<Vec<TensorId>> {
    let mut chain = vec![id];
    let mut at = id;
    while channels(spec, at) == Some(own) && chain.len() <= makers.len() {
        let maker = makers.get(&at)?;
        if is_dense(maker) || is_fixed_concatenation(spec, maker) {
            return Some(chain);
        }
        if !keeps_channels(&maker.layer) && !is_depthwise(maker, weights) {
            return None;
        }
        at = *maker.inputs.first()?;
        chain.push(at);
    }
    None
}

/// The channels of a float image tensor.
pub(crate) fn channels(spec: &NetworkSpec, id: TensorId) -> Option<usize> {
    let tensor = spec.tensor(id)?;
    let is_image = tensor.dtype == DType::F32 && tensor.shape.rank() >= 3;
    let channels = tensor.shape.dims().get(1).and_then(Dim::fixed)?;
    (is_image && channels > 0).then_some(channels)
}

/// A concatenation of channels whose output has a fixed shape, so that zeros can join it.
pub(crate) fn is_fixed_concatenation(spec: &NetworkSpec, layer: &LayerSpec) -> bool {
    let output = layer.outputs.first().and_then(|id| spec.tensor(*id));
    matches!(layer.layer, Layer::Concatenation { axis: 1 })
        && output.is_some_and(|tensor| tensor.shape.as_fixed().is_some())
}

/// Is each channel computed from the same channel of the only input?
pub(crate) fn keeps_channels(layer: &Layer) -> bool {
    matches!(layer, Layer::Activation { .. } | Layer::Pooling { .. })
}

/// A convolution in one group.
pub(crate) fn is_dense(layer: &LayerSpec) -> bool {
    matches!(layer.layer, Layer::Convolution { groups: 1, .. })
}

/// A convolution of each channel on its own.
pub(crate) fn is_depthwise(layer: &LayerSpec, weights: &WeightsTable) -> bool {
    match &layer.layer {
        Layer::Convolution { kernel, groups, .. } => weights.get(*kernel).is_some_and(|entry| {
            *groups > 1 && entry.shape.first() == Some(groups) && entry.shape.get(1) == Some(&1)
        }),
        _ => false,
    }
}
