//! What of a graph with signatures and variables is needed, before its calls are inlined.

use std::collections::{HashMap, HashSet};

use super::proto::{NodeDef, SaverDef};
use super::refuse::{is_assignment, is_variable};
use super::signature::Entries;
use super::{ImportOptions, reference};

/// What is needed of the graph before calls are inlined.
pub(super) fn roots(
    nodes: &[&NodeDef],
    entries: &Entries,
    options: &ImportOptions,
    saver: &SaverDef,
) -> Vec<String> {
    if options.outputs.is_empty() && entries.outputs.is_empty() {
        return sinks(nodes, saver);
    }
    let names: HashSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let mut roots = Vec::new();
    let mut is_inside = false;
    for output in &options.outputs {
        let name = reference(output).0;
        is_inside |= !names.contains(name);
        // A node inside a call has the call's name in front.
        let mut parts = name
            .rmatch_indices('/')
            .filter_map(|(end, _)| name.get(..end));
        let call = parts.find(|part| names.contains(part));
        roots.push(call.unwrap_or(name).to_owned());
    }
    if options.outputs.is_empty() || is_inside {
        roots.extend(entries.outputs.iter().map(|entry| entry.node.clone()));
    }
    roots
}

/// Nodes that depend on a placeholder.
fn fed(nodes: &[&NodeDef], by_name: &HashMap<&str, usize>) -> HashSet<usize> {
    let mut takers: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for input in &node.input {
            if let Some(&from) = by_name.get(reference(input).0) {
                takers.entry(from).or_default().push(index);
            }
        }
    }
    let is_fed = |node: &NodeDef| node.op == "Placeholder";
    let nodes = nodes.iter().enumerate();
    let mut open: Vec<usize> = nodes
        .filter(|(_, it)| is_fed(it))
        .map(|(index, _)| index)
        .collect();
    let mut fed = HashSet::new();
    while let Some(index) = open.pop() {
        if fed.insert(index) {
            open.extend(takers.get(&index).into_iter().flatten());
        }
    }
    fed
}

/// Nodes that feed no other, apart from those that run for what they do and what only they need,
/// and those that depend on no input where others do.
fn sinks(nodes: &[&NodeDef], saver: &SaverDef) -> Vec<String> {
    let by_name: HashMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| (node.name.as_str(), index))
        .collect();
    let find = |input: &String| by_name.get(reference(input).0).copied();
    let mut takers = vec![0usize; nodes.len()];
    for input in nodes.iter().flat_map(|node| &node.input) {
        if let Some(count) = find(input).and_then(|index| takers.get_mut(index)) {
            *count += 1;
        }
    }
    let is_done = |op: &str| {
        is_assignment(op)
            || op.contains("Summary")
            || matches!(
                op,
                "NoOp"
                    | "Save"
                    | "SaveSlices"
                    | "SaveV2"
                    | "ShardedFilename"
                    | "ShardedFilespec"
                    | "MergeV2Checkpoints"
            )
            || matches!(op, "Assert" | "Print" | "PrintV2" | "Const" | "Placeholder")
            || is_variable(op)
    };
    let ends = takers.iter().enumerate().filter(|(_, count)| **count == 0);
    let mut open: Vec<usize> = ends.map(|(index, _)| index).collect();
    let mut sinks = Vec::new();
    let mut removed = vec![false; nodes.len()];
    while let Some(index) = open.pop() {
        let Some(node) = nodes.get(index) else {
            continue;
        };
        let was_fed = removed.get(index).copied().unwrap_or(false);
        let saves = reference(&saver.save_tensor_name).0 == node.name;
        if !is_done(&node.op) && !was_fed && !saves {
            sinks.push(index);
            continue;
        }
        for input in &node.input {
            let Some(from) = find(input) else { continue };
            if let (Some(count), Some(mark)) = (takers.get_mut(from), removed.get_mut(from)) {
                *count = count.saturating_sub(1);
                *mark = true;
                if *count == 0 {
                    open.push(from);
                }
            }
        }
    }
    let fed = fed(nodes, &by_name);
    if sinks.iter().any(|sink| fed.contains(sink)) {
        sinks.retain(|sink| fed.contains(sink));
    }
    sinks.sort_unstable();
    let nodes = sinks.into_iter().filter_map(|index| nodes.get(index));
    nodes.map(|node| node.name.clone()).collect()
}

/// The nodes that `roots` depend on; what feeds an input of the signature is not looked at.
pub(super) fn needed<'a>(
    nodes: &[&'a NodeDef],
    roots: &[String],
    entries: &Entries,
) -> Vec<&'a NodeDef> {
    let by_name: HashMap<&str, &NodeDef> = nodes
        .iter()
        .map(|node| (node.name.as_str(), *node))
        .collect();
    let fed: HashSet<(&str, usize)> = entries
        .inputs
        .iter()
        .map(|entry| (entry.node.as_str(), entry.port))
        .collect();
    let mut found: HashSet<&str> = HashSet::new();
    let inputs = entries.inputs.iter().filter(|entry| {
        by_name
            .get(entry.node.as_str())
            .is_some_and(|node| node.input.is_empty())
    });
    let inputs = inputs.map(|entry| entry.node.as_str());
    let mut open: Vec<&str> = roots.iter().map(String::as_str).chain(inputs).collect();
    while let Some(input) = open.pop() {
        if let Some(&node) = by_name.get(reference(input).0)
            && found.insert(&node.name)
        {
            let inputs = node.input.iter().map(String::as_str);
            open.extend(inputs.filter(|input| !fed.contains(&reference(input))));
        }
    }
    let nodes = nodes.iter().copied();
    nodes
        .filter(|node| found.contains(node.name.as_str()))
        .collect()
}
