//! What a board's memory must hold.

use std::collections::BTreeSet;

use serde::Serialize;
use tfjet_core::{NetworkSpec, Precision, TensorId, WeightsId};

use super::kernels::Grouped;
use super::work::Sizes;
use crate::lower::WeightsStore;

/// Bytes for one precision, all segments together. Not in it: CUDA and TensorRT themselves, the
/// camera's frames, and ops outside the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryEstimate {
    /// Of the engines.
    pub precision: Precision,
    /// Weights in the engines.
    pub weights: u64,
    /// Tensors inside the engines, at the moment when most of them are in use.
    pub activations: u64,
    /// Tensors that enter and leave the segments.
    pub buffers: u64,
    /// All of these.
    pub running: u64,
    /// While the engines are built: the bundle's weights, the builder's copy of them, the engine,
    /// and the activations once in 32 bits and once in the engine's precision.
    pub building: u64,
}

/// Bytes of one float.
pub(super) fn float_bytes(precision: Precision) -> u64 {
    match precision {
        Precision::Fp32 => 4,
        Precision::Fp16 => 2,
        Precision::Int8 => 1,
    }
}

pub(super) fn memory(
    networks: &[(&NetworkSpec, &Grouped)],
    weights: &WeightsStore,
    precision: Precision,
) -> MemoryEstimate {
    let mut elements = 0u64;
    let mut activations = 0u64;
    let mut floats = 0u64;
    let mut buffers = 0u64;
    for (network, grouped) in networks {
        let sizes = Sizes { network, weights };
        let used: BTreeSet<WeightsId> = network
            .layers
            .iter()
            .flat_map(|layer| layer.layer.weights())
            .collect();
        elements = used
            .into_iter()
            .map(|id| sizes.weight_elements(id))
            .fold(elements, u64::saturating_add);
        activations = activations.saturating_add(peak(&sizes, grouped, float_bytes(precision)));
        floats = floats.saturating_add(peak(&sizes, grouped, float_bytes(Precision::Fp32)));
        let wires: BTreeSet<&TensorId> = network.inputs.iter().chain(&network.outputs).collect();
        for id in wires {
            let bytes = tensor_bytes(&sizes, *id, float_bytes(Precision::Fp32));
            buffers = buffers.saturating_add(bytes);
        }
    }
    let in_engine = elements.saturating_mul(float_bytes(precision));
    let in_bundle = elements.saturating_mul(float_bytes(Precision::Fp32));
    let sum = |parts: &[u64]| parts.iter().copied().fold(0, u64::saturating_add);
    MemoryEstimate {
        precision,
        weights: in_engine,
        activations,
        buffers,
        running: sum(&[in_engine, activations, buffers]),
        building: sum(&[in_bundle, in_bundle, in_engine, floats, activations]),
    }
}

fn tensor_bytes(sizes: &Sizes<'_>, id: TensorId, float: u64) -> u64 {
    let each = match sizes.tensor(id) {
        Some(tensor) if !tensor.dtype.is_float() => tensor.dtype.size_bytes() as u64,
        _ => float,
    };
    sizes.elements(id).saturating_mul(each)
}

/// The most bytes in use at once between the first and the last kernel of a network.
fn peak(sizes: &Sizes<'_>, grouped: &Grouped, float: u64) -> u64 {
    let mut changes = vec![(0u64, 0u64); grouped.kernels.len() + 1];
    for (id, (from, to)) in &grouped.lives {
        if sizes.network.outputs.contains(id) {
            continue;
        }
        let bytes = tensor_bytes(sizes, *id, float);
        if let Some(change) = changes.get_mut(*from) {
            change.0 = change.0.saturating_add(bytes);
        }
        if let Some(change) = changes.get_mut(*to) {
            change.1 = change.1.saturating_add(bytes);
        }
    }
    let (mut most, mut now) = (0u64, 0u64);
    for (made, freed) in changes {
        now = now.saturating_add(made);
        most = most.max(now);
        now = now.saturating_sub(freed);
    }
    most
}
