//! Which nodes a tensor depends on.

use std::collections::HashMap;

use super::{SourceNode, reference};

/// Nodes by name.
pub(super) fn index(nodes: &[SourceNode]) -> HashMap<&str, usize> {
    let nodes = nodes.iter().enumerate();
    nodes
        .map(|(index, node)| (node.name.as_str(), index))
        .collect()
}

/// Marks the nodes that `roots` depend on. A root is `node`, `node:port` or `^node`; names of no
/// node are passed over. `follow` says of a node's input whether it counts.
pub(super) fn reach<'a>(
    nodes: &[SourceNode],
    by_name: &HashMap<&str, usize>,
    roots: impl Iterator<Item = &'a str>,
    follow: impl Fn(&SourceNode, &str) -> bool,
) -> Vec<bool> {
    let find = |input: &str| by_name.get(reference(input).0).copied();
    let mut reached = vec![false; nodes.len()];
    let mut open: Vec<usize> = roots.filter_map(find).collect();
    while let Some(index) = open.pop() {
        let Some(mark) = reached.get_mut(index).filter(|mark| !**mark) else {
            continue;
        };
        *mark = true;
        if let Some(node) = nodes.get(index) {
            let inputs = node.inputs.iter().filter(|input| follow(node, input));
            open.extend(inputs.filter_map(|input| find(input)));
        }
    }
    reached
}

/// Is the input one that a value comes through?
pub(super) fn is_data(_: &SourceNode, input: &str) -> bool {
    !input.starts_with('^')
}
