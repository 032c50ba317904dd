//! Lowering: a TensorFlow node becomes one or more layers of a [`NetworkSpec`], one file per op
//! family.
//!
//! The partitioner asks [`validate`], which lowers the node into a scratch network without
//! touching weights: what it accepts is what [`lower_segment`] can do. Image tensors go to NCHW;
//! the builder keeps both layouts of a wire and transposes only where a layer needs the one that
//! is not there.

mod activation;
mod band_part;
mod batch_norm;
mod binary;
mod builder;
mod cast;
mod classify;
mod clip;
mod combined_non_max_suppression;
mod compare;
mod concat;
mod conv2d;
mod conv2d_backprop_input;
mod cumsum;
mod division;
mod einsum;
mod fake_quant;
mod fill;
mod gather;
mod graph_ranges;
mod layout;
mod lrn;
mod matmul;
mod non_max_suppression;
mod one_hot;
mod op;
mod pad;
mod pool;
mod reduce;
mod reshape;
mod resize;
mod resize_weighted;
mod scatter;
mod select;
mod size;
mod slice;
mod softmax;
mod space_to_batch;
mod space_to_depth;
mod table;
mod tile;
mod top_k;
mod transpose;
mod unary;
mod weights;
mod window;

use tfjet_core::requirements::{lacks, narrows_int64};
use tfjet_core::{AttrError, NetworkSpec, Target};

use builder::NetworkBuilder;
pub(crate) use graph_ranges::GraphRanges;
pub use layout::Layout;
pub(crate) use non_max_suppression::{Suppression, is_suppression};
use op::Op;
use space_to_batch::DilatedConvolutions;
use table::find;
pub use table::{is_lowered, lowered_ops, needs};
pub use weights::{WeightsError, WeightsLayout, WeightsStore, permute};

use crate::graph::infer::InferError;
use crate::graph::{NodeId, TypedGraph, WireId};

/// Why a node cannot become layers, in one sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl From<AttrError> for Refusal {
    fn from(error: AttrError) -> Self {
        Self(error.to_string())
    }
}

impl From<InferError> for Refusal {
    fn from(error: InferError) -> Self {
        Self(error.to_string())
    }
}

impl From<tfjet_core::TensorError> for Refusal {
    fn from(error: tfjet_core::TensorError) -> Self {
        Self(error.to_string())
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(reason.into()))
}

/// Can this node become layers that the target takes, in whichever layout its inputs are at hand?
pub fn validate(typed: &TypedGraph, id: NodeId, target: &Target) -> Result<(), Refusal> {
    let node = typed.graph.node(id);
    let Some(lower) = find(&node.op) else {
        if is_suppression(&node.op) {
            return Err(non_max_suppression::unpadded(typed, id));
        }
        return refuse(format!("op type {} has no layer", node.op));
    };
    for layout in [Layout::Native, Layout::ChannelsFirst] {
        let mut builder = NetworkBuilder::scratch(typed, target_narrows(target));
        for &wire in node
            .inputs
            .iter()
            .filter(|wire| typed.fact(**wire).value.is_none() && !typed.is_derived(**wire))
        {
            builder.tensor(wire, layout)?;
        }
        let first = builder.layers();
        let mut op = Op::new(&mut builder, id);
        lower(&mut op)?;
        op.finish()?;
        if let Some((_, reason)) = builder.lacking(first, target) {
            return Err(reason);
        }
    }
    Ok(())
}

/// The wires, besides `inputs`, whose shapes tell a size that a segment of `nodes` needs.
pub(crate) fn missing_inputs(
    typed: &TypedGraph,
    nodes: &[NodeId],
    inputs: &[WireId],
) -> Vec<WireId> {
    let mut builder = NetworkBuilder::scratch(typed, false);
    // What cannot be lowered is an error where the segment is.
    let _ = lower_all(&mut builder, nodes, inputs);
    std::mem::take(&mut builder.at_hand.demanded)
}

fn lower_all(
    builder: &mut NetworkBuilder<'_>,
    nodes: &[NodeId],
    inputs: &[WireId],
) -> Result<(), (NodeId, Refusal)> {
    for &input in inputs {
        builder
            .input(input)
            .map_err(|refusal| (input.node, refusal))?;
    }
    builder.dilated = DilatedConvolutions::of(builder.typed, nodes);
    for &id in nodes {
        if builder.dilated.gone.contains(&id) {
            continue;
        }
        let lower = find(&builder.typed.graph.node(id).op)
            .ok_or_else(|| (id, Refusal("the op has no lowering".into())))?;
        let mut op = Op::new(builder, id);
        lower(&mut op)
            .and_then(|()| op.finish())
            .map_err(|refusal| (id, refusal))?;
    }
    Ok(())
}

/// Does the target compute int64 tensors as int32?
pub fn target_narrows(target: &Target) -> bool {
    target
        .release
        .is_some_and(|release| narrows_int64(target.engine, release))
}

/// The first layer of a network, from layer `first` on, that the target does not take.
pub fn lacking(network: &NetworkSpec, first: usize, target: &Target) -> Option<(String, Refusal)> {
    let release = target.release?;
    network.layers.iter().skip(first).find_map(|layer| {
        let reason = lacks(target.engine, release, network, layer)?;
        Some((layer.name.clone(), Refusal(reason)))
    })
}

/// Lowers a segment: `nodes` in topological order, `inputs` and `outputs` in the order in which
/// the network is to have them.
pub fn lower_segment(
    typed: &TypedGraph,
    weights: &mut WeightsStore,
    name: &str,
    nodes: &[NodeId],
    inputs: &[WireId],
    outputs: &[WireId],
) -> Result<NetworkSpec, (NodeId, Refusal)> {
    let ranged = lower_with_ranges(typed, weights, name, nodes, inputs, outputs)?;
    Ok(ranged.0)
}

/// [`lower_segment`], with the graph's own ranges of the network's tensors.
pub(crate) fn lower_with_ranges(
    typed: &TypedGraph,
    weights: &mut WeightsStore,
    name: &str,
    nodes: &[NodeId],
    inputs: &[WireId],
    outputs: &[WireId],
) -> Result<(NetworkSpec, GraphRanges), (NodeId, Refusal)> {
    let first = nodes.first().copied().unwrap_or(NodeId(0));
    let mut builder = NetworkBuilder::new(typed, weights, name);
    lower_all(&mut builder, nodes, inputs)?;
    for &output in outputs {
        builder
            .output(output)
            .map_err(|refusal| (output.node, refusal))?;
    }
    builder.finish().map_err(|refusal| (first, refusal))
}
