use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{DType, Shape};

use super::Dag;
use super::contract::contract;
use super::levels::{anchored, earliest};
use crate::graph::{NodeId, TypedGraph, WireFact, WireId};
use crate::lower::is_suppression;
use crate::passes::computed;

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

fn views(typed: &TypedGraph, order: &[NodeId], candidate: &dyn Fn(NodeId) -> bool) -> Views {
    let live_ids = restricted(typed, order, candidate);
    let edges = edges(typed, &live_ids, |at| candidate(live_ids[at]));
    let live = Dag::new(live_ids.iter().map(|id| candidate(*id)).collect(), edges);
    Views { live, live_ids }
}

/// The nodes of `order` that are computed where engines compute `inside`.
fn restricted(
    typed: &TypedGraph,
    order: &[NodeId],
    inside: &dyn Fn(NodeId) -> bool,
) -> Vec<NodeId> {
    let computed: BTreeSet<NodeId> = computed(typed, inside).into_iter().collect();
    let order = order.iter().copied();
    order.filter(|id| computed.contains(id)).collect()
}

/// From maker to reader, as places in `ids`.
fn edges(
    typed: &TypedGraph,
    ids: &[NodeId],
    inside: impl Fn(usize) -> bool,
) -> Vec<(usize, usize)> {
    let place: BTreeMap<NodeId, usize> = (0..).zip(ids).map(|(index, id)| (*id, index)).collect();
    let mut edges = Vec::new();
    for (to, &id) in ids.iter().enumerate() {
        for wire in typed.reads(id, inside(to)) {
            if !typed.graph.is_input(wire)
                && let Some(&from) = place.get(&wire.node)
                && from < to
            {
                edges.push((from, to));
            }
        }
    }
    edges
}

/// Can the clusters run one after the other? What is outside them reads sizes as the source does.
fn is_acyclic(
    typed: &TypedGraph,
    order: &[NodeId],
    ids: &[NodeId],
    clusters: &[Option<usize>],
) -> bool {
    let inside: BTreeMap<NodeId, usize> = ids
        .iter()
        .zip(clusters)
        .filter_map(|(id, cluster)| Some((*id, (*cluster)?)))
        .collect();
    let ids = restricted(typed, order, &|id| inside.contains_key(&id));
    let clusters: Vec<_> = ids.iter().map(|id| inside.get(id).copied()).collect();
    let edges = edges(typed, &ids, |at| clusters[at].is_some());
    Dag::new(clusters.iter().map(Option::is_some).collect(), edges).is_acyclic(&clusters)
}

/// The best of the groupings of the nodes in `order`, clusters under `min_size` dropped.
pub fn best(
    typed: &TypedGraph,
    order: &[NodeId],
    candidate: &dyn Fn(NodeId) -> bool,
    min_size: usize,
) -> Clustering {
    let Views { live, live_ids } = views(typed, order, candidate);
    let finish = |clusters: Vec<Option<usize>>| {
        let clusters = drop_arithmetic(typed, &live_ids, clusters);
        drop_small(typed, &live_ids, clusters, min_size)
    };
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
        .filter(|clusters| is_acyclic(typed, order, &live_ids, clusters))
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
        if typed.live[id.index()] && !typed.derived[id.index()] {
            candidate(id)
        } else {
            !typed.graph.is_input(WireId::new(id, 0)) && !typed.functions.contains_key(&id)
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

/// Most elements of a tensor that counts as arithmetic on shapes.
const MAX_NUMBERS: usize = 64;

/// Does the node compute a few whole numbers or truth values, as arithmetic on shapes does?
pub(super) fn is_arithmetic(typed: &TypedGraph, id: NodeId) -> bool {
    let few = |fact: &WireFact| {
        let whole = matches!(fact.dtype, Some(DType::I32 | DType::I64 | DType::Bool));
        let elements = fact.shape.as_ref().filter(|shape| shape.rank() <= 1);
        let elements = elements.and_then(Shape::elements);
        whole && elements.is_some_and(|elements| elements <= MAX_NUMBERS)
    };
    let chooses = is_suppression(&typed.graph.node(id).op);
    !chooses && typed.facts[id.index()].iter().all(few)
}

/// Drops the clusters that compute nothing else than a few numbers: an engine for them would take
/// longer to start than to run.
fn drop_arithmetic(
    typed: &TypedGraph,
    live_ids: &[NodeId],
    mut clusters: Vec<Option<usize>>,
) -> Vec<Option<usize>> {
    let mut worth: BTreeSet<usize> = BTreeSet::new();
    for (id, cluster) in live_ids.iter().zip(&clusters) {
        worth.extend(cluster.filter(|_| !is_arithmetic(typed, *id)));
    }
    for cluster in &mut clusters {
        *cluster = cluster.filter(|cluster| worth.contains(cluster));
    }
    clusters
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
