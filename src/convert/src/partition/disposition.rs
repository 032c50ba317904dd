use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Graph, SourceEntry, TypedGraph, WireId};
use crate::lower::Refusal;

use super::{Part, Partition, PartitionOptions, Unit, is_control_flow, parts};

/// Where a node of the source graph ended up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Computed by a segment.
    Node(usize),
    /// Its value was folded or merged into a segment.
    Folded(usize),
    /// Outside, with the reason.
    Residual(Refusal),
    /// A pass put an op outside, of this type, in its place or in that of what reads it.
    Replaced(String),
    /// No output needs it.
    Pruned,
}

/// Where each node of the source, [`Graph::source`], ended up. Of a loop that was written out, the
/// first copy of a node counts.
pub fn dispositions(
    typed: &TypedGraph,
    partition: &Partition,
    options: &PartitionOptions,
) -> Vec<Disposition> {
    let source = &typed.graph.source;
    let mut went: Vec<Option<Disposition>> = vec![None; source.len()];
    let parts = parts(typed, partition);
    for part in &parts {
        of_part(part, &mut went);
    }
    let wanted = typed.graph.outputs.iter().map(|output| output.wire);
    let needed = needed(typed, source, wanted);
    let owners = owners(source, &needed, &went);
    let replaced = replaced(&parts, source, |index, entry| {
        went[index].is_none() && owners[index].is_none() && !is_control_flow(&entry.op)
    });
    let inputs = inputs(&typed.graph);
    let rest = |index: usize, entry: &SourceEntry| -> Disposition {
        if inputs.contains(&index) {
            Disposition::Residual(Refusal("graph input".into()))
        } else if !needed[index] {
            Disposition::Pruned
        } else if let Some(reason) = options.exclusion(&entry.name, &entry.op) {
            Disposition::Residual(reason)
        } else if let Some(op) = replaced.get(&index) {
            Disposition::Replaced((*op).to_owned())
        } else if let Some(segment) = owners[index] {
            Disposition::Folded(segment)
        } else if is_control_flow(&entry.op) {
            Disposition::Residual(Refusal("part of a loop or a condition".into()))
        } else {
            Disposition::Residual(Refusal(
                "constant or no-op that no segment reads or makes".into(),
            ))
        }
    };
    let went = went.into_iter().zip(source.iter()).enumerate();
    went.map(|(index, (went, entry))| went.unwrap_or_else(|| rest(index, entry)))
        .collect()
}

fn place(number: Option<u32>) -> Option<usize> {
    usize::try_from(number?).ok()
}

/// The nodes that are in segments or run as steps.
fn of_part(part: &Part<'_>, went: &mut [Option<Disposition>]) {
    let graph = &part.typed.graph;
    let mut set = |source: Option<u32>, disposition: Disposition| {
        if let Some(slot) = place(source).and_then(|index| went.get_mut(index)) {
            slot.get_or_insert(disposition);
        }
    };
    for segment in &part.partition.segments {
        for id in &segment.nodes {
            let node = graph.node(*id);
            set(node.source, Disposition::Node(segment.number));
        }
    }
    for residual in &part.partition.residual {
        let node = graph.node(residual.node);
        set(node.source, Disposition::Residual(residual.reason.clone()));
    }
    for unit in &part.partition.order {
        if let Unit::Call(id) = unit {
            let node = graph.node(*id);
            let what = if node.op.contains("While") {
                "loop"
            } else {
                "condition"
            };
            let reason = Refusal(format!("{what} of the schedule"));
            set(node.source, Disposition::Residual(reason));
        }
    }
}

/// The places of the nodes that the caller feeds.
fn inputs(graph: &Graph) -> BTreeSet<usize> {
    let inputs = graph.inputs.iter();
    let nodes = inputs.map(|input| graph.node(input.wire.node).source);
    nodes.filter_map(place).collect()
}

/// Which nodes of the source the outputs need.
fn needed(
    typed: &TypedGraph,
    source: &[SourceEntry],
    wanted: impl Iterator<Item = WireId>,
) -> Vec<bool> {
    let graph = &typed.graph;
    let fed = inputs(graph);
    let mut needed = vec![false; source.len()];
    let names: BTreeMap<&str, usize> = source
        .iter()
        .zip(0..)
        .map(|(it, i)| (it.name.as_str(), i))
        .collect();
    // An output that was redirected still has the name of the wire that was asked for.
    let asked = graph.outputs.iter().filter_map(|output| {
        let name = output
            .name
            .rsplit_once(':')
            .map_or(output.name.as_str(), |(name, _)| name);
        names.get(name).copied()
    });
    let made = wanted.filter_map(|wire| place(graph.node(wire.node).source));
    let mut open: Vec<usize> = asked.chain(made).collect();
    while let Some(index) = open.pop() {
        if fed.contains(&index) {
            continue;
        }
        if let (Some(seen), Some(entry)) = (needed.get_mut(index), source.get(index))
            && !std::mem::replace(seen, true)
        {
            open.extend(entry.inputs.iter().filter_map(|from| place(Some(*from))));
        }
    }
    needed
}

/// The op outside that replaces a node, or what reads it where the node is `gone`.
fn replaced<'a>(
    parts: &[Part<'a>],
    source: &[SourceEntry],
    gone: impl Fn(usize, &SourceEntry) -> bool,
) -> BTreeMap<usize, &'a str> {
    let mut replaced = BTreeMap::new();
    for part in parts {
        for residual in &part.partition.residual {
            let node = part.typed.graph.node(residual.node);
            let places = node.replaces.iter().filter_map(|it| place(Some(*it)));
            replaced.extend(places.map(|index| (index, node.op.as_str())));
        }
    }
    let mut open: Vec<(usize, &str)> = replaced.iter().map(|(&it, &op)| (it, op)).collect();
    while let Some((reader, op)) = open.pop() {
        let inputs = source.get(reader).into_iter().flat_map(|it| &it.inputs);
        for from in inputs.filter_map(|from| place(Some(*from))) {
            let is_gone = source.get(from).is_some_and(|entry| gone(from, entry));
            if is_gone && !replaced.contains_key(&from) {
                replaced.insert(from, op);
                open.push((from, op));
            }
        }
    }
    replaced
}

/// For each node that no longer exists: a segment that reads what it made, else one that makes
/// what it passed on.
fn owners(
    source: &[SourceEntry],
    needed: &[bool],
    went: &[Option<Disposition>],
) -> Vec<Option<usize>> {
    let segment_of = |index: usize| match went.get(index) {
        Some(Some(Disposition::Node(segment))) => Some(*segment),
        _ => None,
    };
    let gone = |index: usize| went.get(index).is_some_and(Option::is_none);
    let mut owners: Vec<Option<usize>> = vec![None; source.len()];
    let mut open: Vec<(usize, usize)> = (0..source.len())
        .filter(|index| needed[*index])
        .filter_map(|index| Some((index, segment_of(index)?)))
        .collect();
    open.reverse();
    while let Some((reader, segment)) = open.pop() {
        for from in source[reader]
            .inputs
            .iter()
            .filter_map(|from| place(Some(*from)))
        {
            if let Some(owner) = owners.get_mut(from)
                && owner.is_none()
                && gone(from)
            {
                *owner = Some(segment);
                open.push((from, segment));
            }
        }
    }
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); source.len()];
    for (reader, entry) in source.iter().enumerate() {
        for from in entry.inputs.iter().filter_map(|from| place(Some(*from))) {
            if let Some(readers) = readers.get_mut(from) {
                readers.push(reader);
            }
        }
    }
    let mut open: Vec<(usize, usize)> = (0..source.len())
        .filter_map(|index| Some((index, segment_of(index).or(owners[index])?)))
        .collect();
    open.reverse();
    while let Some((maker, segment)) = open.pop() {
        for &reader in &readers[maker] {
            if needed[reader] && gone(reader) && owners[reader].is_none() {
                owners[reader] = Some(segment);
                open.push((reader, segment));
            }
        }
    }
    owners
}
