//! Lowering: a TensorFlow node becomes one or more layers of a [`NetworkSpec`], one file per op
//! family.
//!
//! The partitioner asks [`validate`], which lowers the node into a scratch network without
//! touching weights: what it accepts is what [`lower_segment`] can do. Image tensors go to NCHW;
//! the builder keeps both layouts of a wire and transposes only where a layer needs the one that
//! is not there.

mod activation;
mod batch_norm;
mod binary;
mod builder;
mod cast;
mod compare;
mod concat;
mod conv2d;
mod fill;
mod gather;
mod layout;
mod matmul;
mod op;
mod pad;
mod pool;
mod reduce;
mod reshape;
mod resize;
mod select;
mod size;
mod slice;
mod softmax;
mod space_to_depth;
mod tile;
mod top_k;
mod transpose;
mod unary;
mod weights;

use tfjet_core::requirements::{lacks, narrows_int64};
use tfjet_core::{AttrError, NetworkSpec, Target};

use builder::NetworkBuilder;
pub use layout::Layout;
use op::Op;
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

type Lower = fn(&mut Op<'_, '_>) -> Result<(), Refusal>;

/// Every op that can be lowered, sorted by name.
static LOWERINGS: &[(&str, Lower)] = &[
    ("Abs", unary::lower),
    ("Acos", unary::lower),
    ("Acosh", unary::lower),
    ("Add", binary::lower),
    ("AddN", binary::lower),
    ("AddV2", binary::lower),
    ("ArgMax", top_k::lower),
    ("ArgMin", top_k::lower),
    ("Asin", unary::lower),
    ("Asinh", unary::lower),
    ("Atan", unary::lower),
    ("Atanh", unary::lower),
    ("AvgPool", pool::lower),
    ("BatchMatMul", matmul::lower),
    ("BatchMatMulV2", matmul::lower),
    ("BiasAdd", binary::lower),
    ("BroadcastTo", fill::lower),
    ("Cast", cast::lower),
    ("Ceil", unary::lower),
    ("Concat", concat::lower),
    ("ConcatV2", concat::lower),
    ("Conv2D", conv2d::lower),
    ("Conv2DBackpropInput", conv2d::lower),
    ("Cos", unary::lower),
    ("Cosh", unary::lower),
    ("DepthToSpace", space_to_depth::lower),
    ("DepthwiseConv2dNative", conv2d::lower),
    ("Div", binary::lower),
    ("Elu", activation::lower),
    ("Equal", compare::lower),
    ("Erf", unary::lower),
    ("Exp", unary::lower),
    ("ExpandDims", reshape::lower),
    ("Fill", fill::lower),
    ("Floor", unary::lower),
    ("FloorDiv", binary::lower),
    ("FloorMod", binary::lower),
    ("FusedBatchNorm", batch_norm::lower),
    ("FusedBatchNormV2", batch_norm::lower),
    ("FusedBatchNormV3", batch_norm::lower),
    ("FusedDepthwiseConv2dNative", conv2d::lower),
    ("Gather", gather::lower),
    ("GatherNd", gather::lower),
    ("GatherV2", gather::lower),
    ("Greater", compare::lower),
    ("GreaterEqual", compare::lower),
    ("LeakyRelu", activation::lower),
    ("Less", compare::lower),
    ("LessEqual", compare::lower),
    ("Log", unary::lower),
    ("LogSoftmax", softmax::lower),
    ("LogicalAnd", compare::lower),
    ("LogicalNot", compare::lower),
    ("LogicalOr", compare::lower),
    ("MatMul", matmul::lower),
    ("Max", reduce::lower),
    ("MaxPool", pool::lower),
    ("Maximum", binary::lower),
    ("Mean", reduce::lower),
    ("Min", reduce::lower),
    ("Minimum", binary::lower),
    ("MirrorPad", pad::lower),
    ("Mul", binary::lower),
    ("Neg", unary::lower),
    ("NotEqual", compare::lower),
    ("OnesLike", fill::lower),
    ("Pack", concat::lower),
    ("Pad", pad::lower),
    ("PadV2", pad::lower),
    ("Pow", binary::lower),
    ("Prelu", activation::lower),
    ("Prod", reduce::lower),
    ("Range", fill::lower),
    ("RealDiv", binary::lower),
    ("Reciprocal", unary::lower),
    ("Relu", activation::lower),
    ("Relu6", activation::lower),
    ("Reshape", reshape::lower),
    ("ResizeBilinear", resize::lower),
    ("ResizeNearestNeighbor", resize::lower),
    ("Rint", unary::lower),
    ("Round", unary::lower),
    ("Rsqrt", unary::lower),
    ("Select", select::lower),
    ("SelectV2", select::lower),
    ("Selu", activation::lower),
    ("Sigmoid", activation::lower),
    ("Sign", unary::lower),
    ("Sin", unary::lower),
    ("Sinh", unary::lower),
    ("Slice", slice::lower),
    ("Softmax", softmax::lower),
    ("Softplus", activation::lower),
    ("Softsign", activation::lower),
    ("SpaceToDepth", space_to_depth::lower),
    ("Split", concat::lower),
    ("SplitV", concat::lower),
    ("Sqrt", unary::lower),
    ("Square", unary::lower),
    ("SquaredDifference", binary::lower),
    ("Squeeze", reshape::lower),
    ("StridedSlice", slice::lower),
    ("Sub", binary::lower),
    ("Sum", reduce::lower),
    ("Tan", unary::lower),
    ("Tanh", activation::lower),
    ("Tile", tile::lower),
    ("TopKV2", top_k::lower),
    ("Transpose", transpose::lower),
    ("Unpack", concat::lower),
    ("ZerosLike", fill::lower),
    ("_FusedConv2D", conv2d::lower),
    ("_FusedMatMul", matmul::lower),
];

fn find(op: &str) -> Option<Lower> {
    LOWERINGS
        .binary_search_by(|(name, _)| (*name).cmp(op))
        .ok()
        .map(|index| LOWERINGS[index].1)
}

/// Every op that can be lowered, sorted.
pub fn lowered_ops() -> impl Iterator<Item = &'static str> {
    LOWERINGS.iter().map(|(name, _)| *name)
}

/// Can this node become layers that the target takes, in whichever layout its inputs are at hand?
pub fn validate(typed: &TypedGraph, id: NodeId, target: &Target) -> Result<(), Refusal> {
    let node = typed.graph.node(id);
    let Some(lower) = find(&node.op) else {
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
    for &id in nodes {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted() {
        assert!(LOWERINGS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
