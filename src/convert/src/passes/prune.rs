use crate::graph::{Graph, NodeId, WireId};

/// Which nodes an output needs through data edges, given each node's inputs. Wires for which
/// `stop` holds are taken as given.
pub(super) fn needed(
    graph: &Graph,
    inputs: impl Fn(NodeId) -> Vec<WireId>,
    outputs: impl Iterator<Item = WireId>,
    stop: impl Fn(WireId) -> bool,
) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes.len()];
    let mut stack: Vec<WireId> = outputs.collect();
    while let Some(wire) = stack.pop() {
        if stop(wire) || std::mem::replace(&mut needed[wire.node.index()], true) {
            continue;
        }
        stack.extend(inputs(wire.node));
    }
    needed
}

/// The nodes for which `keep` holds, producers first. The edge that closes a TensorFlow 1 loop,
/// from `NextIteration` to `Merge`, does not count.
pub(super) fn topological(
    graph: &Graph,
    keep: &[bool],
    inputs: impl Fn(NodeId) -> Vec<WireId>,
) -> Vec<NodeId> {
    let predecessors = |id: NodeId| -> Vec<NodeId> {
        let merge = graph.node(id).op == "Merge";
        let mut nodes: Vec<NodeId> = inputs(id)
            .into_iter()
            .map(|wire| wire.node)
            .filter(|from| {
                keep[from.index()] && !(merge && graph.node(*from).op == "NextIteration")
            })
            .collect();
        nodes.reverse();
        nodes
    };
    let mut order = Vec::new();
    let mut seen = vec![false; graph.nodes.len()];
    for root in graph.ids() {
        if !keep[root.index()] || std::mem::replace(&mut seen[root.index()], true) {
            continue;
        }
        let mut stack = vec![(root, predecessors(root))];
        while let Some((node, pending)) = stack.last_mut() {
            match pending.pop() {
                Some(next) => {
                    if !std::mem::replace(&mut seen[next.index()], true) {
                        let following = predecessors(next);
                        stack.push((next, following));
                    }
                }
                None => {
                    order.push(*node);
                    stack.pop();
                }
            }
        }
    }
    order
}
