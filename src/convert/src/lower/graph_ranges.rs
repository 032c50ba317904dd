use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{NetworkSpec, TensorId};

use crate::graph::WireId;

/// What the graph says about the ranges of a network's tensors, where its rounding to 8 bits became
/// no layers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct GraphRanges {
    by_tensor: BTreeMap<TensorId, BTreeMap<WireId, f32>>,
    /// Nodes that round all the same, and why.
    pub(crate) computed: Vec<(String, String)>,
}

impl GraphRanges {
    /// `rounded` is what is left of `input`, whose tensors these are, by rounding in `range`. Where
    /// `input` was rounded itself, what is left lies in both ranges; unless others read it
    /// (`is_shared`), its own range is gone.
    pub(super) fn take(
        &mut self,
        tensors: &[TensorId],
        (input, rounded): (WireId, WireId),
        range: f32,
        is_shared: bool,
    ) {
        for &tensor in tensors {
            let wires = self.by_tensor.entry(tensor).or_default();
            let before = wires.get(&input).copied();
            if !is_shared {
                wires.remove(&input);
            }
            wires.insert(rounded, before.map_or(range, |before| range.min(before)));
        }
    }

    /// By the tensor's name: its widest range, so that no reader gets less than what it was trained
    /// with. What has several is noted.
    pub(crate) fn by_name(
        &self,
        network: &NetworkSpec,
        notes: &mut Vec<String>,
    ) -> BTreeMap<String, f32> {
        let mut named = BTreeMap::new();
        for (id, wires) in &self.by_tensor {
            let Some(tensor) = network.tensor(*id) else {
                continue;
            };
            let widest = wires.values().copied().fold(0.0, f32::max);
            let different: BTreeSet<u32> = wires.values().map(|range| range.to_bits()).collect();
            if different.len() > 1 {
                notes.push(format!(
                    "tensor `{}` is rounded in {} different ranges: the widest, {widest}, is taken",
                    tensor.name,
                    different.len()
                ));
            }
            named.insert(tensor.name.clone(), widest);
        }
        named
    }
}
