//! Which nodes become segments.
//!
//! A node is a candidate where its lowering accepts it and the user did not exclude it. Candidates
//! are grouped so that no segment depends on itself through a node outside: each segment is
//! convex and the segments with the residual ops form no cycle. Three groupings are made and the
//! best is kept: most nodes inside, then fewest segments, then fewest wires across a border.
//!
//! * by earliest level: a node's level counts how often the longest path to it enters a segment
//!   anew; with every level large enough this covers all candidates with the fewest segments
//!   possible;
//! * the same, with each node moved to the level of its consumer where that is allowed, so that
//!   a tensor does not cross a border to wait;
//! * TF-TRT's own greedy contraction, segments merged where that makes no cycle: where levels
//!   fall under the minimum size it may keep more, and tfjet is never to keep less.

mod cluster;
mod contract;
mod dag;
mod disposition;
mod levels;

use std::collections::{BTreeMap, BTreeSet};

pub use cluster::{Clustering, best};
pub use dag::Dag;
pub use disposition::{Disposition, dispositions};

use tfjet_core::Target;

use crate::flops::flops;
use crate::graph::{NodeId, TypedGraph, WireId};
use crate::lower::{Refusal, validate};

/// What the user asks of the partition.
#[derive(Debug, Clone)]
pub struct PartitionOptions {
    /// Segments with fewer nodes stay outside; constants count, no-ops do not.
    pub min_segment_size: usize,
    /// Nodes that stay outside.
    pub exclude_nodes: BTreeSet<String>,
    /// Op types that stay outside.
    pub deny_ops: BTreeSet<String>,
    /// What the segments are for.
    pub target: Target,
}

impl Default for PartitionOptions {
    fn default() -> Self {
        Self {
            min_segment_size: 3,
            exclude_nodes: BTreeSet::new(),
            deny_ops: BTreeSet::new(),
            target: Target::default(),
        }
    }
}

impl PartitionOptions {
    /// Did the user keep this node outside, and by which flag?
    pub fn exclusion(&self, name: &str, op: &str) -> Option<Refusal> {
        if self.exclude_nodes.contains(name) {
            Some(Refusal("excluded by --exclude-node".into()))
        } else if self.deny_ops.contains(op) {
            Some(Refusal(format!("op type {op} excluded by --deny-op")))
        } else {
            None
        }
    }
}

/// A part of the graph for an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// `segment_0`, `segment_1`, ... in the order in which they can run.
    pub name: String,
    /// Nodes in topological order.
    pub nodes: Vec<NodeId>,
    /// Wires that enter, constants not among them.
    pub inputs: Vec<WireId>,
    /// Wires that leave.
    pub outputs: Vec<WireId>,
    /// Floating-point operations of one run.
    pub flops: u64,
}

/// A node that stays outside, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residual {
    /// The node.
    pub node: NodeId,
    /// The reason.
    pub reason: Refusal,
}

/// One step of the partitioned graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Index of a segment.
    Segment(usize),
    /// A residual op.
    Residual(NodeId),
}

/// The graph in parts.
#[derive(Debug, Clone, Default)]
pub struct Partition {
    /// Segments in the order in which they can run.
    pub segments: Vec<Segment>,
    /// Live nodes that stay outside.
    pub residual: Vec<Residual>,
    /// Segments and residual ops in an order in which everything is made before it is read.
    pub order: Vec<Unit>,
    /// Floating-point operations of the whole graph.
    pub flops: u64,
}

impl Partition {
    /// Share of the floating-point operations inside segments, 0..=1.
    pub fn flops_inside(&self) -> f64 {
        let inside: u64 = self.segments.iter().map(|segment| segment.flops).sum();
        if self.flops == 0 {
            0.0
        } else {
            inside as f64 / self.flops as f64
        }
    }
}

/// Why a live node is no candidate, or `None` where it is one.
fn refusal(typed: &TypedGraph, id: NodeId, options: &PartitionOptions) -> Option<Refusal> {
    let node = typed.graph.node(id);
    if let Some(excluded) = options.exclusion(&node.name, &node.op) {
        return Some(excluded);
    }
    if let Some(frame) = &typed.frames[id.index()] {
        return Some(Refusal(format!(
            "it lies in the while frame `{frame}`: control flow is not supported yet"
        )));
    }
    if is_control_flow(&node.op) {
        return Some(Refusal(format!(
            "op type {} is control flow, which is not supported yet",
            node.op
        )));
    }
    validate(typed, id, &options.target).err()
}

/// Is the op one of TensorFlow's control-flow primitives or of the state that loops carry?
pub fn is_control_flow(op: &str) -> bool {
    matches!(
        op,
        "Enter"
            | "Exit"
            | "Merge"
            | "Switch"
            | "NextIteration"
            | "LoopCond"
            | "RefEnter"
            | "RefExit"
            | "RefMerge"
            | "RefSwitch"
            | "RefNextIteration"
            | "If"
            | "StatelessIf"
            | "While"
            | "StatelessWhile"
            | "PartitionedCall"
            | "StatefulPartitionedCall"
            | "Case"
    ) || op.starts_with("TensorArray")
        || op.starts_with("TensorList")
}

/// Partitions a typed graph.
pub fn partition(typed: &TypedGraph, options: &PartitionOptions) -> Partition {
    let refusals: BTreeMap<NodeId, Refusal> = typed
        .order
        .iter()
        .filter_map(|&id| Some((id, refusal(typed, id, options)?)))
        .collect();
    let clusters = best(
        typed,
        &|id| !refusals.contains_key(&id),
        options.min_segment_size,
    );
    assemble(typed, &clusters, refusals, options)
}

fn assemble(
    typed: &TypedGraph,
    clusters: &Clustering,
    mut refusals: BTreeMap<NodeId, Refusal>,
    options: &PartitionOptions,
) -> Partition {
    let mut partition = Partition::default();
    let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
    for unit in unit_order(typed, clusters) {
        match unit {
            Unit::Residual(node) => {
                let reason = refusals.remove(&node).unwrap_or_else(|| {
                    Refusal(format!(
                        "its segment would have fewer than {} nodes",
                        options.min_segment_size
                    ))
                });
                partition.residual.push(Residual { node, reason });
                partition.order.push(unit);
            }
            Unit::Segment(cluster) => {
                let index = partition.segments.len();
                numbers.insert(cluster, index);
                let nodes: Vec<NodeId> = typed
                    .order
                    .iter()
                    .copied()
                    .filter(|id| clusters.of(*id) == Some(cluster))
                    .collect();
                partition.segments.push(segment(typed, index, nodes));
                partition.order.push(Unit::Segment(index));
            }
        }
    }
    partition.flops = typed.order.iter().map(|&id| flops(typed, id)).sum();
    partition
}

fn segment(typed: &TypedGraph, index: usize, nodes: Vec<NodeId>) -> Segment {
    let members: BTreeSet<NodeId> = nodes.iter().copied().collect();
    let mut inputs = Vec::new();
    for &id in &nodes {
        for &wire in &typed.graph.node(id).inputs {
            let inside = members.contains(&wire.node) && !typed.graph.is_input(wire);
            if !inside && typed.fact(wire).value.is_none() && !inputs.contains(&wire) {
                inputs.push(wire);
            }
        }
    }
    let mut leaving: BTreeSet<WireId> = typed
        .graph
        .outputs
        .iter()
        .map(|output| output.wire)
        .filter(|wire| members.contains(&wire.node) && !typed.graph.is_input(*wire))
        .collect();
    for &id in typed.order.iter().filter(|id| !members.contains(id)) {
        leaving.extend(
            typed
                .graph
                .node(id)
                .inputs
                .iter()
                .filter(|wire| members.contains(&wire.node) && !typed.graph.is_input(**wire)),
        );
    }
    let outputs = leaving
        .into_iter()
        .filter(|wire| typed.fact(*wire).value.is_none())
        .collect();
    Segment {
        name: format!("segment_{index}"),
        flops: nodes.iter().map(|&id| flops(typed, id)).sum(),
        nodes,
        inputs,
        outputs,
    }
}

/// Clusters and single nodes in topological order; `Unit::Segment` holds the cluster's number.
fn unit_order(typed: &TypedGraph, clusters: &Clustering) -> Vec<Unit> {
    let unit = |id: NodeId| match clusters.of(id) {
        Some(cluster) => Unit::Segment(cluster),
        None => Unit::Residual(id),
    };
    let key = |unit: &Unit| match unit {
        Unit::Segment(cluster) => (0, *cluster),
        Unit::Residual(id) => (1, id.index()),
    };
    let mut members: BTreeMap<(usize, usize), Vec<NodeId>> = BTreeMap::new();
    for &id in &typed.order {
        members.entry(key(&unit(id))).or_default().push(id);
    }
    let mut done: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut order = Vec::new();
    for &root in &typed.order {
        let mut stack = vec![(unit(root), false)];
        while let Some((current, visited)) = stack.pop() {
            if visited {
                order.push(current);
                continue;
            }
            if !done.insert(key(&current)) {
                continue;
            }
            stack.push((current, true));
            for &id in members.get(&key(&current)).into_iter().flatten().rev() {
                let node = typed.graph.node(id);
                for wire in node.inputs.iter().rev() {
                    let closes_loop =
                        node.op == "Merge" && typed.graph.node(wire.node).op == "NextIteration";
                    if typed.live[wire.node.index()]
                        && !typed.graph.is_input(*wire)
                        && typed.fact(*wire).value.is_none()
                        && !closes_loop
                        && unit(wire.node) != current
                    {
                        stack.push((unit(wire.node), false));
                    }
                }
            }
        }
    }
    order
}
