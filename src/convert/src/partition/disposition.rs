use crate::graph::{NodeId, TypedGraph, WireId};
use crate::lower::Refusal;

use super::{Partition, PartitionOptions};

/// Where a node of the source graph ended up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Computed by a segment.
    Node(usize),
    /// Its value was folded or merged into a segment.
    Folded(usize),
    /// Outside, with the reason.
    Residual(Refusal),
    /// No output needs it.
    Pruned,
}

/// Where each node of the source graph ended up, in the source's order.
pub fn dispositions(
    typed: &TypedGraph,
    partition: &Partition,
    options: &PartitionOptions,
) -> Vec<Disposition> {
    let count = typed.graph.nodes.len();
    let mut segment_of: Vec<Option<usize>> = vec![None; count];
    for (index, segment) in partition.segments.iter().enumerate() {
        for id in &segment.nodes {
            segment_of[id.index()] = Some(index);
        }
    }
    let owners = owners(typed, &segment_of);
    let mut result: Vec<Disposition> = typed
        .graph
        .ids()
        .map(|id| {
            let node = typed.graph.node(id);
            if let Some(index) = segment_of[id.index()] {
                Disposition::Node(index)
            } else if (0..count_slots(typed, id))
                .any(|slot| typed.graph.is_input(WireId::new(id, slot)))
            {
                Disposition::Residual(Refusal("graph input".into()))
            } else if !typed.needed[id.index()] {
                Disposition::Pruned
            } else if let Some(reason) = options.exclusion(&node.name, &node.op) {
                Disposition::Residual(reason)
            } else if let Some(index) = owners[id.index()] {
                Disposition::Folded(index)
            } else {
                Disposition::Residual(Refusal(
                    "constant or no-op that no segment reads or makes".into(),
                ))
            }
        })
        .collect();
    for residual in &partition.residual {
        result[residual.node.index()] = Disposition::Residual(residual.reason.clone());
    }
    result
}

fn count_slots(typed: &TypedGraph, id: NodeId) -> u32 {
    u32::try_from(typed.facts[id.index()].len().max(1)).unwrap_or(u32::MAX)
}

/// For each node that no longer exists: a segment that reads what it made, else one that makes
/// what it passed on.
fn owners(typed: &TypedGraph, segment_of: &[Option<usize>]) -> Vec<Option<usize>> {
    let mut owners: Vec<Option<usize>> = vec![None; segment_of.len()];
    for &id in typed.source_order.iter().rev() {
        let reader = if typed.live[id.index()] {
            segment_of[id.index()]
        } else {
            owners[id.index()]
        };
        if let Some(segment) = reader {
            for wire in &typed.source_inputs[id.index()] {
                let owner = &mut owners[wire.node.index()];
                *owner = owner.or(Some(segment));
            }
        }
    }
    for &id in &typed.source_order {
        if typed.live[id.index()] || owners[id.index()].is_some() {
            continue;
        }
        owners[id.index()] = typed.source_inputs[id.index()]
            .iter()
            .find_map(|wire| segment_of[wire.node.index()].or(owners[wire.node.index()]));
    }
    owners
}
