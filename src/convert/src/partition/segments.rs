//! The wires and the order of the parts, once it is known which node is in which.

use std::collections::{BTreeMap, BTreeSet};

use super::{Clustering, Segment, Unit};
use crate::flops::flops;
use crate::graph::{NodeId, TypedGraph, WireId};
use crate::lower::missing_inputs;

/// Clusters with what they read.
pub(super) struct Segments<'a> {
    typed: &'a TypedGraph,
    order: &'a [NodeId],
    computed: BTreeSet<NodeId>,
    clusters: &'a Clustering,
    members: BTreeMap<usize, Members>,
}

struct Members {
    nodes: Vec<NodeId>,
    inputs: Vec<WireId>,
}

impl<'a> Segments<'a> {
    /// The parts of the nodes in `order`.
    pub(super) fn new(
        typed: &'a TypedGraph,
        order: &'a [NodeId],
        clusters: &'a Clustering,
    ) -> Self {
        let mut nodes: BTreeMap<usize, Vec<NodeId>> = BTreeMap::new();
        for &id in order {
            if let Some(cluster) = clusters.of(id) {
                nodes.entry(cluster).or_default().push(id);
            }
        }
        let members = nodes.into_iter().map(|(cluster, nodes)| {
            let inputs = inputs(typed, &nodes);
            (cluster, Members { nodes, inputs })
        });
        Self {
            members: members.collect(),
            computed: order.iter().copied().collect(),
            typed,
            order,
            clusters,
        }
    }

    fn unit(&self, id: NodeId) -> Unit {
        match self.clusters.of(id) {
            Some(cluster) => Unit::Segment(cluster),
            None => Unit::Residual(id),
        }
    }

    /// The wires that a part reads.
    fn reads(&self, unit: Unit) -> &[WireId] {
        match unit {
            Unit::Segment(cluster) => self
                .members
                .get(&cluster)
                .map_or(&[], |members| &members.inputs),
            Unit::Residual(id) | Unit::Call(id) => &self.typed.graph.node(id).inputs,
        }
    }

    /// Clusters and single nodes in topological order; `Unit::Segment` holds the cluster's number.
    pub(super) fn order(&self) -> Vec<Unit> {
        let typed = self.typed;
        let mut done: BTreeSet<(usize, usize)> = BTreeSet::new();
        let mut order = Vec::new();
        for &root in self.order {
            let mut stack = vec![(self.unit(root), false)];
            while let Some((current, visited)) = stack.pop() {
                if visited {
                    order.push(current);
                    continue;
                }
                if !done.insert(key(current)) {
                    continue;
                }
                stack.push((current, true));
                for wire in self.reads(current).iter().rev() {
                    if self.computed.contains(&wire.node)
                        && !typed.graph.is_input(*wire)
                        && typed.fact(*wire).value.is_none()
                        && self.unit(wire.node) != current
                    {
                        stack.push((self.unit(wire.node), false));
                    }
                }
            }
        }
        order
    }

    /// The segment of a cluster, without its number.
    pub(super) fn segment(&self, cluster: usize) -> Segment {
        let typed = self.typed;
        let (nodes, inputs) = match self.members.get(&cluster) {
            Some(members) => (members.nodes.clone(), members.inputs.clone()),
            None => (Vec::new(), Vec::new()),
        };
        let others = self.members.keys().filter(|other| **other != cluster);
        let segments = others.map(|other| Unit::Segment(*other));
        let outside = self
            .order
            .iter()
            .filter(|id| self.clusters.of(**id).is_none());
        let parts = segments.chain(outside.map(|id| Unit::Residual(*id)));
        let read = parts.flat_map(|part| self.reads(part)).copied();
        let wanted = typed.graph.outputs.iter().map(|output| output.wire);
        let leaving: BTreeSet<WireId> = read
            .chain(wanted)
            .filter(|wire| self.clusters.of(wire.node) == Some(cluster))
            .filter(|wire| !typed.graph.is_input(*wire) && typed.fact(*wire).value.is_none())
            .collect();
        Segment {
            name: String::new(),
            number: 0,
            flops: nodes.iter().map(|&id| flops(typed, id)).sum(),
            nodes,
            inputs,
            outputs: leaving.into_iter().collect(),
        }
    }
}

fn key(unit: Unit) -> (usize, usize) {
    match unit {
        Unit::Segment(cluster) => (0, cluster),
        Unit::Residual(id) | Unit::Call(id) => (1, id.index()),
    }
}

/// The wires that enter, and those whose shapes tell a size that is needed inside.
fn inputs(typed: &TypedGraph, nodes: &[NodeId]) -> Vec<WireId> {
    let members: BTreeSet<NodeId> = nodes.iter().copied().collect();
    let mut inputs = Vec::new();
    for &id in nodes {
        for &wire in &typed.graph.node(id).inputs {
            let inside = members.contains(&wire.node) && !typed.graph.is_input(wire);
            let known = typed.fact(wire).value.is_some() || typed.is_derived(wire);
            if !inside && !known && !inputs.contains(&wire) {
                inputs.push(wire);
            }
        }
    }
    let more = missing_inputs(typed, nodes, &inputs);
    inputs.extend(more);
    inputs
}
