//! Loops of few passes and conditions that are known are written out.

use std::collections::BTreeMap;
use std::sync::Arc;

use tfjet_core::DType;

use super::simplify::{Rewrite, RewriteOptions};
use crate::graph::{Call, Function, Graph, Node, NodeId, TypedCall, TypedGraph, WireFact, WireId};

/// A loop of several passes is written out where that makes no more nodes than this.
const MAX_UNROLLED_NODES: usize = 2048;

/// Writes out what runs a known number of times: a loop of one pass or none, a loop of several
/// passes that stays small, the side of a condition that is known.
pub(super) fn expand(typed: &TypedGraph, options: &RewriteOptions<'_>) -> Option<Rewrite> {
    let mut inliner = Inliner {
        graph: typed.graph.clone(),
        typed,
        replaced: BTreeMap::new(),
    };
    let mut notes = Vec::new();
    for (&id, called) in &typed.functions {
        let node = typed.graph.node(id);
        if !typed.live[id.index()] || (options.keep)(node) {
            continue;
        }
        match Call::of(node) {
            Some(Call::While { body: name, .. }) => {
                let Some(trips) = called.trips.filter(|trips| is_worth(called, *trips)) else {
                    continue;
                };
                let mut state = node.inputs.clone();
                for pass in 0..trips {
                    let body = called.functions.get(1)?;
                    let copy = Pass { of: &name, pass };
                    state = inliner.inline(body, &state, copy);
                }
                inliner.replace(id, state);
                notes.push(match trips {
                    1 => format!("loop `{}` runs once and is written out", node.name),
                    _ => format!("loop `{}` of {trips} passes is written out", node.name),
                });
            }
            Some(_) => {
                let [index, arguments @ ..] = node.inputs.as_slice() else {
                    continue;
                };
                let Some(branch) = branch(typed.fact(*index), called.functions.len()) else {
                    continue;
                };
                let results = inliner.inline(
                    called.functions.get(branch)?,
                    arguments,
                    Pass { of: "", pass: 0 },
                );
                inliner.replace(id, results);
                notes.push(format!(
                    "condition `{}` is known: its other side is dropped",
                    node.name
                ));
            }
            None => {}
        }
    }
    inliner.finish(notes)
}

/// Is it better to write out a loop of so many passes?
fn is_worth(call: &TypedCall, trips: u64) -> bool {
    let nodes = call.functions.get(1).map_or(0, nodes);
    let trips = usize::try_from(trips).unwrap_or(usize::MAX);
    trips <= 1 || nodes.saturating_mul(trips) <= MAX_UNROLLED_NODES
}

/// Nodes that compute something, those of inner functions among them.
fn nodes(typed: &TypedGraph) -> usize {
    let functions = typed.functions.values().flat_map(|call| &call.functions);
    typed.order.len() + functions.map(nodes).sum::<usize>()
}

/// The function that an `If` or `Case` calls, where the first input says it.
fn branch(index: &WireFact, count: usize) -> Option<usize> {
    let value = index.value.as_ref()?;
    if value.dtype() == DType::Bool {
        return Some(usize::from(*value.bytes().first()? == 0));
    }
    let number = *value.as_slice::<i32>().ok()?.first()?;
    let last = count.checked_sub(1)?;
    Some(usize::try_from(number).map_or(last, |number| number.min(last)))
}

/// A function that is written out, and which of its copies it is.
#[derive(Clone, Copy)]
struct Pass<'a> {
    of: &'a str,
    pass: u64,
}

/// A graph into which functions are written out.
struct Inliner<'a> {
    graph: Graph,
    typed: &'a TypedGraph,
    replaced: BTreeMap<WireId, WireId>,
}

impl Inliner<'_> {
    /// Adds the nodes of a function; the wires of its results. Copies after the first have the
    /// number of the pass in their names.
    fn inline(
        &mut self,
        function: &TypedGraph,
        arguments: &[WireId],
        number: Pass<'_>,
    ) -> Vec<WireId> {
        let pass = number.pass;
        let mut places: BTreeMap<NodeId, NodeId> = BTreeMap::new();
        let inputs = function.graph.inputs.iter().zip(arguments);
        let given: BTreeMap<WireId, WireId> =
            inputs.map(|(input, wire)| (input.wire, *wire)).collect();
        let find = |places: &BTreeMap<NodeId, NodeId>, wire: &WireId| match given.get(wire) {
            Some(outer) => *outer,
            None => {
                let node = places.get(&wire.node).copied().unwrap_or(wire.node);
                WireId::new(node, wire.slot)
            }
        };
        for &id in &function.source_order {
            let node = function.graph.node(id);
            let name = match pass {
                0 => node.name.clone(),
                _ => format!("{}/pass{pass}", node.name),
            };
            let mut copy = Node {
                inputs: node.inputs.iter().map(|wire| find(&places, wire)).collect(),
                control: Vec::new(),
                name,
                ..node.clone()
            };
            if pass > 0
                && let Some(call) = function.functions.get(&id)
            {
                copy_functions(&mut self.graph, &mut copy, call, number);
            }
            places.insert(id, self.graph.add(copy));
        }
        let results = function.graph.outputs.iter();
        results.map(|it| find(&places, &it.wire)).collect()
    }

    fn replace(&mut self, id: NodeId, results: Vec<WireId>) {
        for (slot, wire) in (0..).zip(results) {
            self.replaced.insert(WireId::new(id, slot), wire);
        }
    }

    fn finish(mut self, notes: Vec<String>) -> Option<Rewrite> {
        if self.replaced.is_empty() {
            return None;
        }
        let replaced = &self.replaced;
        let last = |mut wire: WireId| {
            let mut steps = self.typed.graph.nodes.len();
            while let Some(next) = replaced.get(&wire).filter(|_| steps > 0) {
                wire = *next;
                steps -= 1;
            }
            wire
        };
        let readers = self
            .graph
            .nodes
            .iter_mut()
            .flat_map(|node| &mut node.inputs);
        readers.for_each(|wire| *wire = last(*wire));
        let outputs = self.graph.outputs.iter_mut();
        outputs.for_each(|output| output.wire = last(output.wire));
        Some(Rewrite {
            graph: self.graph,
            notes,
        })
    }
}

/// Gives a copied call copies of its functions, since each function is called once. Their names
/// tell which loop was written out: another one may call functions of the same names.
fn copy_functions(graph: &mut Graph, node: &mut Node, call: &TypedCall, number: Pass<'_>) {
    let Pass { of, pass } = number;
    let Some(own) = Call::of(node) else {
        return;
    };
    let mut names = Vec::new();
    for (name, function) in own.functions().into_iter().zip(&call.functions) {
        let name = format!("{name}/{of}/pass{pass}");
        let mut copy = function.graph.clone();
        for (id, inner) in &function.functions {
            if let Some(node) = copy.nodes.get_mut(id.index()) {
                copy_functions(graph, node, inner, number);
            }
        }
        for node in &mut copy.nodes {
            node.name = format!("{}/pass{pass}", node.name);
        }
        let function = Function {
            name: name.clone(),
            graph: copy,
        };
        graph.functions.insert(name.clone(), Arc::new(function));
        names.push(name);
    }
    node.attrs = Call::renamed(node, &names);
}
