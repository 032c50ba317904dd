//! The layers that TensorRT runs as one.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tfjet_core::{Layer, LayerSpec, NetworkSpec, TensorId};

use super::work::{Role, Sizes, role, shares};
use crate::lower::WeightsStore;

/// Layers that run as one kernel: nothing between them is written to memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// Index of its segment.
    pub segment: usize,
    /// How often it runs in one run of the model; a loop of unknown length counts as one pass.
    pub runs: u64,
    /// The first layer's name.
    pub name: String,
    /// The first layer's kind, in TensorRT's words.
    pub kind: &'static str,
    /// How many layers.
    pub layers: usize,
    /// Operations; a multiply-add counts as two.
    pub flops: u64,
    /// Of a product of matrices, rows and columns of the result: pixels and filters of a
    /// convolution. Tensor cores compute these where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<(u64, u64)>,
    /// Is it a convolution for Winograd's algorithm, which multiplies less?
    pub winograd: bool,
    /// Elements of weights that it reads.
    pub weights: u64,
    /// Elements of floats that it reads and writes beside the weights.
    pub elements: u64,
    /// Bytes that it reads and writes of everything but floats.
    pub other_bytes: u64,
}

/// What happens to the tensors of a network, kernel by kernel.
pub(super) struct Grouped {
    pub(super) kernels: Vec<Kernel>,
    /// The kernel that writes a tensor, and the last one that reads it.
    pub(super) lives: BTreeMap<TensorId, (usize, usize)>,
}

/// Groups the layers of a network as TensorRT does, roughly: a pointwise layer joins the
/// multiplication or the pointwise layers that alone make one of its inputs, where nothing else
/// reads that input. Joins and reshapes cost nothing.
pub(super) fn group(segment: usize, network: &NetworkSpec, weights: &WeightsStore) -> Grouped {
    let sizes = Sizes { network, weights };
    let mut makers: BTreeMap<TensorId, usize> = BTreeMap::new();
    let mut readers: BTreeMap<TensorId, usize> = BTreeMap::new();
    for id in &network.outputs {
        *readers.entry(*id).or_default() += 1;
    }
    for (index, layer) in network.layers.iter().enumerate() {
        makers.extend(layer.outputs.iter().map(|id| (*id, index)));
        for id in layer.inputs.iter().collect::<BTreeSet<_>>() {
            *readers.entry(*id).or_default() += 1;
        }
    }
    let mut group_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, layer) in network.layers.iter().enumerate() {
        let role = role(network, layer);
        if role == Role::Free {
            continue;
        }
        let joined = (role == Role::Pointwise)
            .then(|| joins(layer, network, &makers, &readers))
            .flatten()
            .and_then(|maker| group_of.get(&maker).copied());
        let group = joined.unwrap_or(groups.len());
        match groups.get_mut(group) {
            Some(members) => members.push(index),
            None => groups.push(vec![index]),
        }
        group_of.insert(index, group);
    }
    // A kernel runs when all its inputs are there: at its last layer's place.
    groups.sort_by_key(|members| members.last().copied());
    let mut group_of: BTreeMap<usize, usize> = BTreeMap::new();
    for (group, members) in groups.iter().enumerate() {
        group_of.extend(members.iter().map(|index| (*index, group)));
    }
    let kernels = groups
        .iter()
        .map(|members| kernel(segment, &sizes, members, &group_of, &makers))
        .collect();
    let lives = lives(network, &group_of, groups.len());
    Grouped { kernels, lives }
}

/// The layer whose kernel a pointwise layer can join: the one that runs last.
fn joins(
    layer: &LayerSpec,
    network: &NetworkSpec,
    makers: &BTreeMap<TensorId, usize>,
    readers: &BTreeMap<TensorId, usize>,
) -> Option<usize> {
    let joins = |id: &TensorId| {
        let maker = *makers.get(id)?;
        let role = role(network, network.layers.get(maker)?);
        let alone = readers.get(id) == Some(&1);
        (alone && matches!(role, Role::Product | Role::Pointwise)).then_some(maker)
    };
    layer.inputs.iter().filter_map(joins).max()
}

fn kernel(
    segment: usize,
    sizes: &Sizes<'_>,
    members: &[usize],
    group_of: &BTreeMap<usize, usize>,
    makers: &BTreeMap<TensorId, usize>,
) -> Kernel {
    let layers: Vec<&LayerSpec> = members
        .iter()
        .filter_map(|index| sizes.network.layers.get(*index))
        .collect();
    let first = members.first().copied().unwrap_or_default();
    let group = group_of.get(&first);
    let inside = |id: &TensorId| {
        let maker = makers.get(id).and_then(|maker| group_of.get(maker));
        maker.is_some() && maker == group
    };
    let mut kernel = Kernel {
        runs: 1,
        segment,
        name: layers.first().map_or_else(String::new, |l| l.name.clone()),
        kind: layers.first().map_or("", |layer| layer.layer.kind()),
        layers: layers.len(),
        flops: 0,
        product: layers.first().and_then(|layer| sizes.product(layer)),
        winograd: layers
            .first()
            .is_some_and(|l| sizes.suits_winograd(&l.layer)),
        weights: 0,
        elements: 0,
        other_bytes: 0,
    };
    let mut reads: BTreeSet<TensorId> = BTreeSet::new();
    let mut writes: BTreeSet<TensorId> = BTreeSet::new();
    for layer in &layers {
        kernel.flops = kernel.flops.saturating_add(sizes.flops(layer));
        kernel.weights = kernel.weights.saturating_add(sizes.layer_weights(layer));
        let copies = sizes.reads_what_it_writes(&layer.layer);
        let read = if copies {
            &layer.outputs
        } else {
            &layer.inputs
        };
        reads.extend(read.iter().filter(|id| copies || !inside(id)));
        writes.extend(&layer.outputs);
    }
    writes.retain(|id| leaves(sizes.network, *id, members));
    let mut moves = |id: TensorId| {
        let constant = makers
            .get(&id)
            .and_then(|maker| sizes.network.layers.get(*maker));
        let elements = sizes.elements(id);
        match sizes.tensor(id).map(|tensor| tensor.dtype) {
            Some(dtype) if !dtype.is_float() => {
                let bytes = elements.saturating_mul(dtype.size_bytes() as u64);
                kernel.other_bytes = kernel.other_bytes.saturating_add(bytes);
            }
            _ if constant.is_some_and(|l| matches!(l.layer, Layer::Constant { .. })) => {
                kernel.weights = kernel.weights.saturating_add(elements);
            }
            _ => kernel.elements = kernel.elements.saturating_add(elements),
        }
    };
    reads.into_iter().for_each(&mut moves);
    writes.into_iter().for_each(&mut moves);
    kernel
}

/// Does anything but the kernel's own layers read this tensor?
fn leaves(network: &NetworkSpec, id: TensorId, members: &[usize]) -> bool {
    let mut layers = network.layers.iter().enumerate();
    network.outputs.contains(&id)
        || layers.any(|(index, layer)| layer.inputs.contains(&id) && !members.contains(&index))
}

/// When each tensor that is written to memory is written, and when it is read last. What shares
/// its inputs' memory keeps them for as long as it is read.
fn lives(
    network: &NetworkSpec,
    group_of: &BTreeMap<usize, usize>,
    groups: usize,
) -> BTreeMap<TensorId, (usize, usize)> {
    let mut last: BTreeMap<TensorId, usize> =
        network.outputs.iter().map(|id| (*id, groups)).collect();
    for (index, layer) in network.layers.iter().enumerate().rev() {
        let outputs = layer.outputs.iter();
        let read = match group_of.get(&index) {
            Some(group) => Some(*group),
            None if shares(&layer.layer) => outputs.filter_map(|id| last.get(id)).max().copied(),
            None => None,
        };
        for id in &layer.inputs {
            let last = last.entry(*id).or_default();
            *last = (*last).max(read.unwrap_or_default());
        }
    }
    let mut lives = BTreeMap::new();
    for (index, layer) in network.layers.iter().enumerate() {
        let Some(&group) = group_of.get(&index) else {
            continue;
        };
        for id in &layer.outputs {
            if let Some(&last) = last.get(id)
                && last > group
            {
                lives.insert(*id, (group, last));
            }
        }
    }
    lives
}
