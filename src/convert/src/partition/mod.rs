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
mod parts;
mod segments;

use std::collections::{BTreeMap, BTreeSet};

pub use cluster::{Clustering, best};
pub use dag::Dag;
pub use disposition::{Disposition, dispositions};
pub use parts::{CallParts, Part, parts};

use tfjet_core::{Shape, Target};

use cluster::is_arithmetic;
use segments::Segments;

use crate::flops::flops;
use crate::graph::{NodeId, TypedGraph, WireId};
use crate::lower::{Refusal, is_suppression, validate};
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
    /// `--lower-nms`: suppressions of boxes are no residual ops where a layer can do what they do.
    pub lower_nms: bool,
    /// What the segments are for.
    pub target: Target,
}

impl Default for PartitionOptions {
    fn default() -> Self {
        Self {
            min_segment_size: 3,
            exclude_nodes: BTreeSet::new(),
            deny_ops: BTreeSet::new(),
            lower_nms: false,
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
    /// `segment_0`, `segment_1`, ... as [`Segment::number`].
    pub name: String,
    /// Its place among all segments, those of functions behind those of the graph that calls them.
    pub number: usize,
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
    /// A loop or a condition.
    Call(NodeId),
}

/// The graph in parts.
#[derive(Debug, Clone, Default)]
pub struct Partition {
    /// Segments in the order in which they can run.
    pub segments: Vec<Segment>,
    /// Live nodes that stay outside, loops and conditions not among them.
    pub residual: Vec<Residual>,
    /// The parts of what loops and conditions call.
    pub calls: BTreeMap<NodeId, CallParts>,
    /// Segments and residual ops in an order in which everything is made before it is read.
    pub order: Vec<Unit>,
    /// Floating-point operations of the whole graph: of a loop as often as it runs, once where that
    /// is not known, of a condition those of its larger side.
    pub flops: u64,
    /// Nodes in segments and residual ops, in topological order: the graph's live nodes but those
    /// that compute only sizes which segments work out themselves.
    pub computed: Vec<NodeId>,
}

impl Partition {
    /// Share of the floating-point operations inside segments, 0..=1.
    pub fn flops_inside(&self) -> f64 {
        if self.flops == 0 {
            0.0
        } else {
            self.inside() as f64 / self.flops as f64
        }
    }
}

/// Why a live node is no candidate, or `None` where it is one. In a function all sizes have to
/// follow from `symbols`, the sizes of the model's inputs.
fn refusal(
    typed: &TypedGraph,
    id: NodeId,
    options: &PartitionOptions,
    symbols: Option<&BTreeSet<String>>,
) -> Option<Refusal> {
    let node = typed.graph.node(id);
    if let Some(excluded) = options.exclusion(&node.name, &node.op) {
        return Some(excluded);
    }
    if is_control_flow(&node.op) {
        return Some(Refusal(format!("op type {} is control flow", node.op)));
    }
    if typed.derived[id.index()] {
        return Some(Refusal(
            "it computes sizes only, as engines do for themselves".into(),
        ));
    }
    if let Some(symbols) = symbols
        && let Some(wire) = changing(typed, id, symbols)
    {
        return Some(Refusal(format!(
            "the size of `{}` changes between passes of a loop or follows from values",
            typed.graph.wire_name(wire)
        )));
    }
    if is_suppression(&node.op) && !options.lower_nms {
        return Some(Refusal(format!(
            "op type {} is lowered with --lower-nms only",
            node.op
        )));
    }
    validate(typed, id, &options.target).err()
}

/// A wire of a node with a size that follows from something else than `symbols`.
fn changing(typed: &TypedGraph, id: NodeId, symbols: &BTreeSet<String>) -> Option<WireId> {
    let slots = u32::try_from(typed.facts[id.index()].len()).unwrap_or(0);
    let made = (0..slots).map(|slot| WireId::new(id, slot));
    let mut wires = typed.graph.node(id).inputs.iter().copied().chain(made);
    wires.find(|wire| {
        let shape = typed.fact(*wire).shape.as_ref();
        let mut dims = shape.into_iter().flat_map(Shape::dims);
        dims.any(|dim| {
            let size = typed.sizes.formula(dim);
            size.symbols()
                .iter()
                .any(|symbol| !symbols.contains(*symbol))
        })
    })
}

/// Is the op one of TensorFlow's control-flow primitives, or of the arrays of its first version?
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
            | "StatelessCase"
    ) || op.starts_with("TensorArray")
}

/// Partitions a typed graph and the functions that it calls.
pub fn partition(typed: &TypedGraph, options: &PartitionOptions) -> Partition {
    let shapes = typed.graph.inputs.iter().filter_map(|it| it.shape.as_ref());
    let dims = shapes
        .flat_map(Shape::dims)
        .map(|dim| typed.sizes.formula(dim));
    let symbols = dims.flat_map(|size| {
        let symbols: Vec<String> = size.symbols().into_iter().map(str::to_owned).collect();
        symbols
    });
    let symbols: BTreeSet<String> = symbols.collect();
    let mut partition = partition_graph(typed, options, None, &symbols);
    partition.number(&mut 0);
    partition
}

fn partition_graph(
    typed: &TypedGraph,
    options: &PartitionOptions,
    allowed: Option<&BTreeSet<String>>,
    symbols: &BTreeSet<String>,
) -> Partition {
    let order = computed(typed, &|_| false);
    let refusals: BTreeMap<NodeId, Refusal> = order
        .iter()
        .filter_map(|&id| Some((id, refusal(typed, id, options, allowed)?)))
        .collect();
    let clusters = best(
        typed,
        &order,
        &|id| !refusals.contains_key(&id),
        options.min_segment_size,
    );
    let order = computed(typed, &|id| clusters.of(id).is_some());
    let mut partition = assemble(typed, order, &clusters, refusals, options);
    for unit in &partition.order {
        if let Unit::Call(id) = unit
            && let Some(call) = typed.functions.get(id)
        {
            let functions = call.functions.iter();
            let parts = CallParts {
                functions: functions
                    .map(|function| partition_graph(function, options, Some(symbols), symbols))
                    .collect(),
                is_loop: typed.graph.node(*id).op.contains("While"),
                trips: call.trips,
            };
            partition.flops = partition.flops.saturating_add(parts.flops());
            partition.calls.insert(*id, parts);
        }
    }
    partition
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
            Unit::Residual(node) if typed.functions.contains_key(&node) => {
                partition.order.push(Unit::Call(node));
            }
            Unit::Residual(node) | Unit::Call(node) => {
                let reason = refusals
                    .remove(&node)
                    .unwrap_or_else(|| left_out(typed, node, options));
                partition.residual.push(Residual { node, reason });
                partition.order.push(unit);
            }
            Unit::Segment(cluster) => {
                let index = partition.segments.len();
                partition.segments.push(segments.segment(cluster));
                partition.order.push(Unit::Segment(index));
            }
        }
    }
    let plain = order.iter().filter(|id| !typed.functions.contains_key(*id));
    partition.flops = plain.map(|&id| flops(typed, id)).sum();
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
