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
mod segments;

use std::collections::{BTreeMap, BTreeSet};

pub use cluster::{Clustering, best};
pub use dag::Dag;
pub use disposition::{Disposition, dispositions};

use tfjet_core::Target;

use cluster::is_arithmetic;
use segments::Segments;

use crate::flops::flops;
use crate::graph::{NodeId, TypedGraph, WireId};
use crate::lower::{Refusal, validate};
use crate::passes::computed;

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
    /// Nodes in segments and residual ops, in topological order: the graph's live nodes but those
    /// that compute only sizes which segments work out themselves.
    pub computed: Vec<NodeId>,
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
    if typed.derived[id.index()] {
        return Some(Refusal(
            "it computes sizes only, as engines do for themselves".into(),
        ));
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
    let order = computed(typed, &|_| false);
    let refusals: BTreeMap<NodeId, Refusal> = order
        .iter()
        .filter_map(|&id| Some((id, refusal(typed, id, options)?)))
        .collect();
    let clusters = best(
        typed,
        &order,
        &|id| !refusals.contains_key(&id),
        options.min_segment_size,
    );
    let order = computed(typed, &|id| clusters.of(id).is_some());
    assemble(typed, order, &clusters, refusals, options)
}

fn assemble(
    typed: &TypedGraph,
    order: Vec<NodeId>,
    clusters: &Clustering,
    mut refusals: BTreeMap<NodeId, Refusal>,
    options: &PartitionOptions,
) -> Partition {
    let mut partition = Partition::default();
    let segments = Segments::new(typed, &order, clusters);
    for unit in segments.order() {
        match unit {
            Unit::Residual(node) => {
                let reason = refusals
                    .remove(&node)
                    .unwrap_or_else(|| left_out(typed, node, options));
                partition.residual.push(Residual { node, reason });
                partition.order.push(unit);
            }
            Unit::Segment(cluster) => {
                let index = partition.segments.len();
                partition.segments.push(segments.segment(cluster, index));
                partition.order.push(Unit::Segment(index));
            }
        }
    }
    partition.flops = order.iter().map(|&id| flops(typed, id)).sum();
    partition.computed = order;
    partition
}

/// Why no segment has a node that could be in one.
fn left_out(typed: &TypedGraph, node: NodeId, options: &PartitionOptions) -> Refusal {
    Refusal(if is_arithmetic(typed, node) {
        "a few whole numbers alone make no segment".into()
    } else {
        format!(
            "its segment would have fewer than {} nodes",
            options.min_segment_size
        )
    })
}
