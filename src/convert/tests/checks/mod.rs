//! What must hold of any partition, judged on the source graph by code of its own.

use std::collections::{BTreeMap, BTreeSet};

use tfjet_convert::graph::{NodeId, TypedGraph, WireId};
use tfjet_convert::lower::validate;
use tfjet_convert::partition::{Disposition, Partition, PartitionOptions, Segment, Unit};

use crate::random_graph::RandomGraph;
use crate::tftrt;

/// The source graph as the file has it.
pub(crate) struct Source {
    pub(crate) nodes: Vec<tftrt::Node>,
    /// Does an output depend on the node?
    pub(crate) needed: Vec<bool>,
}

impl Source {
    pub(crate) fn new(graph: &RandomGraph) -> Self {
        let places: BTreeMap<&str, usize> = graph
            .nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (node.name.as_str(), index))
            .collect();
        let producer = |input: &String| places[input.split(':').next().unwrap_or(input)];
        let nodes: Vec<tftrt::Node> = graph
            .nodes
            .iter()
            .map(|node| tftrt::Node {
                name: node.name.clone(),
                op: node.op.clone(),
                inputs: node.inputs.iter().map(producer).collect(),
            })
            .collect();
        let mut pending: Vec<usize> = graph
            .outputs
            .iter()
            .map(|output| places[output.node.as_str()])
            .collect();
        if pending.is_empty() {
            let read: BTreeSet<usize> = nodes
                .iter()
                .flat_map(|node| node.inputs.iter().copied())
                .collect();
            pending = (0..nodes.len())
                .filter(|index| !read.contains(index))
                .filter(|&index| !matches!(nodes[index].op.as_str(), "Const" | "Placeholder"))
                .collect();
        }
        let mut needed = vec![false; nodes.len()];
        while let Some(index) = pending.pop() {
            if !std::mem::replace(&mut needed[index], true) {
                pending.extend(&nodes[index].inputs);
            }
        }
        Self { nodes, needed }
    }

    /// The part of the graph that the outputs depend on, with the places of its nodes here.
    pub(crate) fn pruned(&self) -> (Vec<tftrt::Node>, Vec<usize>) {
        let kept: Vec<usize> = (0..self.nodes.len())
            .filter(|&index| self.needed[index])
            .collect();
        let nodes = kept.iter().map(|&index| {
            let node = self.nodes[index].clone();
            let inputs = node
                .inputs
                .iter()
                .filter_map(|input| kept.binary_search(input).ok());
            tftrt::Node {
                inputs: inputs.collect(),
                ..node
            }
        });
        (nodes.collect(), kept)
    }

    /// Is the node neither a constant nor a no-op?
    pub(crate) fn counts(&self, index: usize) -> bool {
        let op = self.nodes[index].op.as_str();
        op != "Const" && op != "Placeholder" && !tftrt::is_no_op(op)
    }
}

/// Each segment taken as one node, the source graph has no cycle. A segment that is not convex
/// would be on one.
pub(crate) fn is_acyclic(
    source: &Source,
    partition: &Partition,
    options: &PartitionOptions,
) -> bool {
    let count = source.nodes.len();
    let mut group: Vec<usize> = (0..count).collect();
    for (number, segment) in partition.segments.iter().enumerate() {
        for id in &segment.nodes {
            group[id.index()] = count + number;
        }
    }
    let group_of = |mut index: usize| {
        loop {
            let node = &source.nodes[index];
            match node.inputs[..] {
                [input]
                    if tftrt::is_no_op(&node.op)
                        && options.exclusion(&node.name, &node.op).is_none() =>
                {
                    index = input;
                }
                _ => return group[index],
            }
        }
    };
    let mut readers: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut unread_inputs: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, node) in source.nodes.iter().enumerate() {
        let to = group_of(index);
        unread_inputs.entry(to).or_default();
        for from in node.inputs.iter().map(|&input| group_of(input)) {
            if from != to && readers.entry(from).or_default().insert(to) {
                *unread_inputs.entry(to).or_default() += 1;
            }
        }
    }
    let groups = unread_inputs.len();
    let mut ready: Vec<usize> = unread_inputs
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(group, _)| *group)
        .collect();
    let mut done = 0;
    while let Some(group) = ready.pop() {
        done += 1;
        for reader in readers.get(&group).into_iter().flatten() {
            if let Some(count) = unread_inputs.get_mut(reader) {
                *count -= 1;
                if *count == 0 {
                    ready.push(*reader);
                }
            }
        }
    }
    done == groups
}

/// Segments and residual ops run after what they read, each live node once, and each segment
/// takes and gives exactly the wires that cross its border.
pub(crate) fn runs_in_order(typed: &TypedGraph, partition: &Partition) {
    let mut made: BTreeSet<WireId> = typed.graph.inputs.iter().map(|input| input.wire).collect();
    let mut ran: BTreeSet<NodeId> = BTreeSet::new();
    let is_constant = |wire: WireId| typed.fact(wire).value.is_some();
    let mut segments = 0;
    for unit in &partition.order {
        let (nodes, takes): (&[NodeId], Option<&Segment>) = match unit {
            Unit::Segment(index) => {
                assert_eq!(*index, segments, "segments run in their order");
                segments += 1;
                (
                    &partition.segments[*index].nodes,
                    Some(&partition.segments[*index]),
                )
            }
            Unit::Residual(id) | Unit::Call(id) => (std::slice::from_ref(id), None),
        };
        if let Some(segment) = takes {
            assert_eq!(segment.name, format!("segment_{}", segments - 1));
            for input in &segment.inputs {
                assert!(
                    made.contains(input),
                    "{}: {input:?} is not made yet",
                    segment.name
                );
            }
            border(typed, segment);
        }
        let mut inside: BTreeSet<WireId> = BTreeSet::new();
        for &id in nodes {
            assert!(ran.insert(id), "{} runs twice", typed.graph.node(id).name);
            for &wire in &typed.graph.node(id).inputs {
                let known = is_constant(wire) || inside.contains(&wire) || made.contains(&wire);
                assert!(
                    known,
                    "{} reads {wire:?} too early",
                    typed.graph.node(id).name
                );
            }
            let slots = typed.facts[id.index()].len();
            inside.extend((0..slots).map(|slot| WireId::new(id, u32::try_from(slot).unwrap())));
        }
        match takes {
            Some(segment) => made.extend(&segment.outputs),
            None => made.extend(inside),
        }
    }
    assert_eq!(segments, partition.segments.len());
    assert_eq!(
        ran,
        typed.order.iter().copied().collect(),
        "the nodes that run are the live ones"
    );
    for output in &typed.graph.outputs {
        let known = is_constant(output.wire) || made.contains(&output.wire);
        assert!(known, "output {} is not made", output.name);
    }
}

/// A segment's inputs and outputs are the wires that cross its border.
fn border(typed: &TypedGraph, segment: &Segment) {
    let is_member = |id: NodeId| segment.nodes.contains(&id);
    let fed = |wire: WireId| typed.graph.is_input(wire);
    let inputs: BTreeSet<WireId> = segment
        .nodes
        .iter()
        .flat_map(|id| &typed.graph.node(*id).inputs)
        .copied()
        .filter(|&wire| fed(wire) || !is_member(wire.node))
        .filter(|&wire| typed.fact(wire).value.is_none())
        .collect();
    assert_eq!(
        BTreeSet::from_iter(segment.inputs.iter().copied()),
        inputs,
        "{}",
        segment.name
    );
    assert_eq!(
        segment.inputs.len(),
        inputs.len(),
        "{}: an input twice",
        segment.name
    );
    let read_outside = typed
        .order
        .iter()
        .filter(|id| !is_member(**id))
        .flat_map(|id| typed.graph.node(*id).inputs.iter().copied());
    let wanted = typed.graph.outputs.iter().map(|output| output.wire);
    let outputs: BTreeSet<WireId> = read_outside
        .chain(wanted)
        .filter(|&wire| is_member(wire.node) && !fed(wire))
        .collect();
    assert_eq!(
        BTreeSet::from_iter(segment.outputs.iter().copied()),
        outputs,
        "{}",
        segment.name
    );
    assert_eq!(
        segment.outputs.len(),
        outputs.len(),
        "{}: an output twice",
        segment.name
    );
}

/// Every segment has the nodes that the user asked for, its constants counted.
pub(crate) fn respects_minimum(source: &Source, partition: &Partition, options: &PartitionOptions) {
    for segment in &partition.segments {
        let members: BTreeSet<usize> = segment.nodes.iter().map(|id| id.index()).collect();
        let mut constants: BTreeSet<usize> = BTreeSet::new();
        let mut pending: Vec<usize> = members
            .iter()
            .flat_map(|&member| source.nodes[member].inputs.clone())
            .collect();
        while let Some(index) = pending.pop() {
            match source.nodes[index].op.as_str() {
                "Const" => {
                    constants.insert(index);
                }
                op if tftrt::is_no_op(op) => pending.extend(&source.nodes[index].inputs),
                _ => {}
            }
        }
        let size = members.len() + constants.len();
        assert!(
            size >= options.min_segment_size,
            "{} has {size} nodes",
            segment.name
        );
    }
}

/// Is the node outside although its lowering and the user accept it?
pub(crate) fn is_left_out_for_size(
    typed: &TypedGraph,
    id: NodeId,
    options: &PartitionOptions,
) -> bool {
    let node = typed.graph.node(id);
    options.exclusion(&node.name, &node.op).is_none()
        && validate(typed, id, &options.target).is_ok()
}

/// A node is said to be outside for the size of its segment where nothing else keeps it there.
pub(crate) fn gives_true_reasons(
    typed: &TypedGraph,
    partition: &Partition,
    options: &PartitionOptions,
) {
    let size = format!(
        "its segment would have fewer than {} nodes",
        options.min_segment_size
    );
    for residual in &partition.residual {
        let left_out = is_left_out_for_size(typed, residual.node, options);
        let name = &typed.graph.node(residual.node).name;
        assert_eq!(
            residual.reason.0 == size,
            left_out,
            "{name}: {}",
            residual.reason
        );
    }
}

/// Every source node stands in one place, and that place says the same.
pub(crate) fn stands_once(
    source: &Source,
    typed: &TypedGraph,
    partition: &Partition,
    dispositions: &[Disposition],
) {
    assert_eq!(dispositions.len(), source.nodes.len());
    let mut segment_of: BTreeMap<usize, usize> = BTreeMap::new();
    for (number, segment) in partition.segments.iter().enumerate() {
        for id in &segment.nodes {
            assert_eq!(
                segment_of.insert(id.index(), number),
                None,
                "{id:?} is in two segments"
            );
        }
    }
    let reasons: BTreeMap<usize, &str> = partition
        .residual
        .iter()
        .map(|residual| (residual.node.index(), residual.reason.0.as_str()))
        .collect();
    assert_eq!(
        reasons.len(),
        partition.residual.len(),
        "a residual op twice"
    );
    assert_eq!(segment_of.len() + reasons.len(), typed.order.len());
    for (index, disposition) in dispositions.iter().enumerate() {
        let node = &source.nodes[index];
        let place = format!("{} ({}): {disposition:?}", node.name, node.op);
        match disposition {
            Disposition::Node(segment) => {
                assert_eq!(segment_of.get(&index), Some(segment), "{place}");
            }
            Disposition::Folded(segment) => {
                assert!(!typed.live[index], "{place} computes something");
                assert!(*segment < partition.segments.len(), "{place}");
            }
            Disposition::Residual(reason) if node.op == "Placeholder" => {
                assert_eq!(reason.0, "graph input", "{place}");
            }
            Disposition::Residual(reason) => {
                assert!(!reason.0.trim().is_empty(), "{place} without a reason");
                assert!(source.needed[index], "{place}, but no output needs it");
                if typed.live[index] {
                    assert_eq!(reasons.get(&index), Some(&reason.0.as_str()), "{place}");
                }
            }
            Disposition::Replaced(op) => {
                assert!(!typed.live[index], "{place} computes something");
                assert!(typed.graph.nodes.iter().any(|it| it.op == *op), "{place}");
            }
            Disposition::Pruned => assert!(!source.needed[index], "{place}, but it is needed"),
        }
    }
}
