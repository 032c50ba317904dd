use std::collections::{BTreeMap, BTreeSet};

use super::Dag;
use super::contract::contract;
use super::levels::{anchored, earliest};
use crate::graph::{NodeId, TypedGraph, WireId};

/// Which segment each live node is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clustering(BTreeMap<NodeId, usize>);

impl Clustering {
    /// The cluster of a node; `None` outside.
    pub fn of(&self, id: NodeId) -> Option<usize> {
        self.0.get(&id).copied()
    }
}

/// The graph of live nodes, and of all needed source nodes with constants and no-ops.
struct Views {
    live: Dag,
    live_ids: Vec<NodeId>,
}

fn views(typed: &TypedGraph, candidate: &dyn Fn(NodeId) -> bool) -> Views {
    let live_ids = typed.order.clone();
    let place: BTreeMap<NodeId, usize> = live_ids
        .iter()
        .enumerate()
        .map(|(index, id)| (*id, index))
        .collect();
    let mut edges = Vec::new();
    for (to, &id) in live_ids.iter().enumerate() {
        for wire in &typed.graph.node(id).inputs {
            if typed.fact(*wire).value.is_none()
                && !typed.graph.is_input(*wire)
                && let Some(&from) = place.get(&wire.node)
                && from < to
            {
                edges.push((from, to));
            }
        }
    }
    let live = Dag::new(live_ids.iter().map(|id| candidate(*id)).collect(), edges);
    Views { live, live_ids }
}

/// The best of the groupings, clusters under `min_size` dropped.
pub fn best(typed: &TypedGraph, candidate: &dyn Fn(NodeId) -> bool, min_size: usize) -> Clustering {
    let Views { live, live_ids } = views(typed, candidate);
    let finish = |clusters: Vec<Option<usize>>| drop_small(typed, &live_ids, clusters, min_size);
    let mut choices = vec![finish(earliest(&live)), finish(anchored(&live))];
    let all = live
        .candidate
        .iter()
        .filter(|&&candidate| candidate)
        .count();
    if choices
        .iter()
        .all(|choice| choice.iter().flatten().count() < all)
    {
        choices.push(finish(contracted(typed, candidate, &live, &live_ids)));
    }
    let border = |clusters: &[Option<usize>]| {
        let crossing = |from: usize| {
            live.successors[from]
                .iter()
                .any(|&to| clusters[from] != clusters[to])
        };
        (0..live.len()).filter(|&from| crossing(from)).count()
    };
    let score = |clusters: &Vec<Option<usize>>| {
        let covered = clusters.iter().flatten().count();
        let segments = clusters.iter().flatten().collect::<BTreeSet<_>>().len();
        (
            covered,
            usize::MAX - segments,
            usize::MAX - border(clusters),
        )
    };
    let chosen = choices
        .into_iter()
        .filter(|clusters| live.is_acyclic(clusters))
        .rev()
        .max_by_key(score)
        .unwrap_or_default();
    Clustering(
        live_ids
            .into_iter()
            .zip(chosen)
            .filter_map(|(id, cluster)| Some((id, cluster?)))
            .collect(),
    )
}

/// TF-TRT's grouping over the source graph, where constants and no-ops join what they touch.
fn contracted(
    typed: &TypedGraph,
    candidate: &dyn Fn(NodeId) -> bool,
    live: &Dag,
    live_ids: &[NodeId],
) -> Vec<Option<usize>> {
    // What the caller feeds has a place in TF-TRT's walk too.
    let mut ids: Vec<NodeId> = typed
        .graph
        .inputs
        .iter()
        .map(|input| input.wire.node)
        .filter(|id| !typed.source_order.contains(id))
        .collect();
    ids.dedup();
    ids.extend(&typed.source_order);
    let place: BTreeMap<NodeId, usize> = ids
        .iter()
        .enumerate()
        .map(|(index, id)| (*id, index))
        .collect();
    let mut edges = Vec::new();
    for (to, &id) in ids.iter().enumerate() {
        for wire in &typed.source_inputs[id.index()] {
            if let Some(&from) = place.get(&wire.node)
                && from < to
            {
                edges.push((from, to));
            }
        }
    }
    let joins = |id: NodeId| {
        if typed.live[id.index()] {
            candidate(id)
        } else {
            !typed.graph.is_input(WireId::new(id, 0)) && typed.frames[id.index()].is_none()
        }
    };
    let dag = Dag::new(ids.iter().map(|&id| joins(id)).collect(), edges);
    let names: Vec<&str> = ids
        .iter()
        .map(|id| typed.graph.node(*id).name.as_str())
        .collect();
    let clusters = contract(&dag, &names);
    let result: Vec<Option<usize>> = live_ids
        .iter()
        .zip(&live.candidate)
        .map(|(id, &candidate)| {
            if candidate {
                clusters[*place.get(id)?]
            } else {
                None
            }
        })
        .collect();
    result
}

/// Drops the clusters with fewer than `min_size` nodes. The constants that a cluster reads count.
fn drop_small(
    typed: &TypedGraph,
    live_ids: &[NodeId],
    mut clusters: Vec<Option<usize>>,
    min_size: usize,
) -> Vec<Option<usize>> {
    let mut sizes: BTreeMap<usize, (usize, BTreeSet<WireId>)> = BTreeMap::new();
    for (id, cluster) in live_ids.iter().zip(&clusters) {
        let Some(cluster) = cluster else {
            continue;
        };
        let (nodes, constants) = sizes.entry(*cluster).or_default();
        *nodes += 1;
        let inputs = &typed.graph.node(*id).inputs;
        constants.extend(
            inputs
                .iter()
                .filter(|wire| typed.fact(**wire).value.is_some()),
        );
    }
    for cluster in &mut clusters {
        if let Some(number) = cluster
            && let Some((nodes, constants)) = sizes.get(number)
            && nodes + constants.len() < min_size
        {
            *cluster = None;
        }
    }
    clusters
}
