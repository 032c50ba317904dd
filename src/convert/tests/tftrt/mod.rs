//! TF-TRT's way to cut a graph into segments, written anew from a description of its rules.
//!
//! In: nodes by name, op and inputs, and what may be in a segment. Out: the members of each
//! segment, in the order in which TF-TRT numbers its engines.
//!
//! Does not: know batch sizes (it is the explicit-batch mode), devices, or the limit on the
//! number of engines.

mod cases;
mod contraction;

use std::collections::BTreeSet;

use contraction::contract;

/// A node of the graph to be cut.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) op: String,
    /// The nodes that it reads, once for each data input.
    pub(crate) inputs: Vec<usize>,
}

/// What may be in a segment. The functions take the index of a node.
pub(crate) struct Rules<'a> {
    pub(crate) candidate: &'a dyn Fn(usize) -> bool,
    /// May the node read from outside its segment?
    pub(crate) reads_outside: &'a dyn Fn(usize) -> bool,
    /// May the node be read from outside its segment?
    pub(crate) read_outside: &'a dyn Fn(usize) -> bool,
    pub(crate) minimum_segment_size: usize,
}

/// The segments that TF-TRT makes of a frozen graph: only constants may not be engine outputs.
pub(crate) fn segments(
    nodes: &[Node],
    candidate: &dyn Fn(usize) -> bool,
    minimum_segment_size: usize,
) -> Vec<Vec<usize>> {
    let rules = Rules {
        candidate,
        reads_outside: &|_| true,
        read_outside: &|node| nodes[node].op != "Const",
        minimum_segment_size,
    };
    segments_by(nodes, &rules)
}

/// The segments under any rules; each sorted by name.
pub(crate) fn segments_by(nodes: &[Node], rules: &Rules<'_>) -> Vec<Vec<usize>> {
    let mut clusters = contract(nodes, rules.candidate);
    clusters.sort_by(|a, b| nodes[a.root].name.cmp(&nodes[b.root].name));
    let mut segments = Vec::new();
    for cluster in clusters {
        let mut members = cluster.members;
        trim(nodes, &mut members, rules);
        let effective = members
            .iter()
            .filter(|&&node| !is_no_op(&nodes[node].op))
            .count();
        if effective == 0 || effective < rules.minimum_segment_size {
            continue;
        }
        let mut members: Vec<usize> = members.into_iter().collect();
        members.sort_by(|&a, &b| nodes[a].name.cmp(&nodes[b].name));
        segments.push(members);
    }
    segments
}

/// The ops that do not count for the size of a segment.
pub(crate) fn is_no_op(op: &str) -> bool {
    matches!(op, "Identity" | "Snapshot" | "StopGradient")
}

/// Takes members off the border until no edge crosses it that may not.
fn trim(nodes: &[Node], members: &mut BTreeSet<usize>, rules: &Rules<'_>) {
    loop {
        let mut with_inputs = Vec::new();
        let mut with_outputs = Vec::new();
        for &node in members.iter() {
            let reads = nodes[node]
                .inputs
                .iter()
                .any(|input| !members.contains(input));
            let is_read = || {
                let mut readers = (0..nodes.len()).filter(|reader| !members.contains(reader));
                readers.any(|reader| nodes[reader].inputs.contains(&node))
            };
            if reads && !(rules.reads_outside)(node) {
                with_inputs.push(node);
            } else if is_read() && !(rules.read_outside)(node) {
                if nodes[node].op == "Const" {
                    with_inputs.push(node);
                } else {
                    with_outputs.push(node);
                }
            }
        }
        if with_inputs.is_empty() && with_outputs.is_empty() {
            return;
        }
        while let Some(node) = with_inputs.pop() {
            if members.remove(&node) {
                with_inputs.extend(&nodes[node].inputs);
            }
        }
        while let Some(node) = with_outputs.pop() {
            if members.remove(&node) {
                let readers = (0..nodes.len()).filter(|&other| nodes[other].inputs.contains(&node));
                with_outputs.extend(readers);
            }
        }
    }
}
