//! What loops and conditions compute for nobody is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tfjet_core::{AttrValue, Attrs, Tensor};

use super::simplify::{Rewrite, RewriteOptions};
use crate::graph::{Call, Function, Graph, Node, NodeId, TypedGraph, WireId};

/// Has loops carry only what is read, conditions return only what is read, and either take only
/// what they read. Numbers of inputs and outputs stay: what is dropped is handed round or is a
/// constant.
pub(super) fn trim(typed: &TypedGraph, options: &RewriteOptions<'_>) -> Option<Rewrite> {
    let mut trimmer = Trimmer {
        graph: None,
        typed,
        nothing: None,
    };
    for (&id, called) in &typed.functions {
        let node = typed.graph.node(id);
        if !typed.live[id.index()] || (options.keep)(node) {
            continue;
        }
        let read = read_outputs(typed, id);
        let functions: Vec<&TypedGraph> = called.functions.iter().collect();
        match (Call::of(node), functions.as_slice()) {
            (Some(call @ Call::While { .. }), [condition, body]) => {
                trimmer.trim_loop(id, &call, condition, body, read);
            }
            (Some(call), functions) => trimmer.trim_branches(id, &call, functions, &read),
            _ => {}
        }
    }
    trimmer.graph.map(|graph| Rewrite {
        graph,
        notes: Vec::new(),
    })
}

/// The outputs of a call that something reads.
fn read_outputs(typed: &TypedGraph, id: NodeId) -> BTreeSet<usize> {
    let readers = typed
        .order
        .iter()
        .flat_map(|id| &typed.graph.node(*id).inputs);
    let wanted = typed.graph.outputs.iter().map(|output| &output.wire);
    let wires = readers.chain(wanted).filter(|wire| wire.node == id);
    wires
        .filter_map(|wire| usize::try_from(wire.slot).ok())
        .collect()
}

/// The arguments that these wires of a function depend on.
fn read_arguments(typed: &TypedGraph, wires: impl Iterator<Item = WireId>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<WireId> = wires.collect();
    while let Some(wire) = open.pop() {
        if typed.fact(wire).value.is_some() || !seen.insert(wire) {
            continue;
        }
        match typed.graph.inputs.iter().position(|it| it.wire == wire) {
            Some(index) => {
                found.insert(index);
            }
            None => open.extend(typed.graph.node(wire.node).inputs.iter().copied()),
        }
    }
    found
}

/// Puts constants in place of what is known and follows from wires that are dropped, such as their
/// shapes.
fn state_known(typed: &TypedGraph, dropped: &BTreeSet<WireId>, changed: &mut Graph) {
    let mut follows = BTreeSet::new();
    for &id in &typed.source_order {
        let mut inputs = typed.graph.node(id).inputs.iter();
        if inputs.any(|wire| dropped.contains(wire) || follows.contains(&wire.node)) {
            follows.insert(id);
        }
    }
    let mut made = BTreeMap::new();
    let mut state = |graph: &mut Graph, wire: WireId| -> WireId {
        match &typed.fact(wire).value {
            Some(value) if follows.contains(&wire.node) => *made
                .entry(wire)
                .or_insert_with(|| constant(graph, "known", Tensor::clone(value))),
            _ => wire,
        }
    };
    for &id in &typed.source_order {
        for index in 0..changed.node(id).inputs.len() {
            let wire = changed.node(id).inputs[index];
            changed.nodes[id.index()].inputs[index] = state(changed, wire);
        }
    }
    for index in 0..changed.outputs.len() {
        let wire = changed.outputs[index].wire;
        changed.outputs[index].wire = state(changed, wire);
    }
}

/// The wires of a function's arguments.
fn arguments(function: &TypedGraph, indices: &BTreeSet<usize>) -> BTreeSet<WireId> {
    let inputs = indices
        .iter()
        .filter_map(|it| function.graph.inputs.get(*it));
    inputs.map(|input| input.wire).collect()
}

struct Trimmer<'a> {
    typed: &'a TypedGraph,
    /// The changed graph, once there is a change.
    graph: Option<Graph>,
    /// A constant for what is not read.
    nothing: Option<WireId>,
}

impl Trimmer<'_> {
    fn graph(&mut self) -> &mut Graph {
        self.graph.get_or_insert_with(|| self.typed.graph.clone())
    }

    fn trim_loop(
        &mut self,
        id: NodeId,
        call: &Call,
        condition: &TypedGraph,
        body: &TypedGraph,
        mut read: BTreeSet<usize>,
    ) {
        let results = |index: &usize| body.graph.outputs.get(*index).map(|it| it.wire);
        let truth = condition.graph.outputs.iter().map(|it| it.wire);
        read.extend(read_arguments(condition, truth));
        loop {
            let more = read_arguments(body, read.iter().filter_map(results));
            let before = read.len();
            read.extend(more);
            if read.len() == before {
                break;
            }
        }
        let unread = (0..body.graph.inputs.len()).filter(|index| !read.contains(index));
        let unread: Vec<usize> = unread.collect();
        let mut changed = body.graph.clone();
        let mut dropped = false;
        for &index in &unread {
            let argument = body.graph.inputs[index].wire;
            let result = &mut changed.outputs[index].wire;
            dropped |= *result != argument;
            *result = argument;
        }
        let gone: BTreeSet<usize> = unread
            .iter()
            .copied()
            .filter(|index| self.is_open(id, *index))
            .collect();
        if gone.is_empty() && !dropped {
            return;
        }
        let mut asked = condition.graph.clone();
        state_known(condition, &arguments(condition, &gone), &mut asked);
        state_known(body, &arguments(body, &gone), &mut changed);
        for (name, graph) in call.functions().into_iter().zip([asked, changed]) {
            self.replace(name, graph);
        }
        self.drop_outputs(id, &unread);
        for index in gone {
            self.drop_input(id, index);
        }
    }

    fn trim_branches(
        &mut self,
        id: NodeId,
        call: &Call,
        functions: &[&TypedGraph],
        read: &BTreeSet<usize>,
    ) {
        let count = functions.first().map_or(0, |it| it.graph.outputs.len());
        let is_known = |function: &TypedGraph, index: usize| {
            let output = function.graph.outputs.get(index);
            output.is_some_and(|output| function.fact(output.wire).value.is_some())
        };
        // All branches return nothing in its place, so that its type stays the same in all.
        let unread: Vec<usize> = (0..count)
            .filter(|index| !read.contains(index))
            .filter(|index| !functions.iter().all(|function| is_known(function, *index)))
            .collect();
        let mut needed = BTreeSet::new();
        for function in functions {
            let outputs = function.graph.outputs.iter().enumerate();
            let wanted = outputs.filter(|(index, _)| read.contains(index));
            needed.extend(read_arguments(function, wanted.map(|(_, it)| it.wire)));
        }
        let inputs = self.typed.graph.node(id).inputs.len().saturating_sub(1);
        let gone: BTreeSet<usize> = (0..inputs)
            .filter(|index| !needed.contains(index) && self.is_open(id, index + 1))
            .collect();
        if gone.is_empty() && unread.is_empty() {
            return;
        }
        for (name, function) in call.functions().into_iter().zip(functions) {
            let mut changed = function.graph.clone();
            if !unread.is_empty() {
                let nothing = nothing(&mut changed);
                for index in &unread {
                    changed.outputs[*index].wire = nothing;
                }
            }
            state_known(function, &arguments(function, &gone), &mut changed);
            self.replace(name, changed);
        }
        self.drop_outputs(id, &unread);
        for index in gone {
            self.drop_input(id, index + 1);
        }
    }

    /// What follows from outputs that keep neither type nor shape is stated.
    fn drop_outputs(&mut self, id: NodeId, slots: &[usize]) {
        let slots = slots.iter().filter_map(|slot| u32::try_from(*slot).ok());
        let dropped = slots.map(|slot| WireId::new(id, slot)).collect();
        let typed = self.typed;
        state_known(typed, &dropped, self.graph());
    }

    /// Is an input something else than a constant?
    fn is_open(&self, id: NodeId, index: usize) -> bool {
        let wire = self.typed.graph.node(id).inputs[index];
        self.typed.fact(wire).value.is_none()
    }

    fn replace(&mut self, name: &str, graph: Graph) {
        let function = Function {
            name: name.into(),
            graph,
        };
        self.graph()
            .functions
            .insert(name.into(), Arc::new(function));
    }

    fn drop_input(&mut self, id: NodeId, index: usize) {
        let made = self.nothing;
        let graph = self.graph();
        let nothing = made.unwrap_or_else(|| nothing(graph));
        graph.nodes[id.index()].inputs[index] = nothing;
        self.nothing = Some(nothing);
    }
}

/// A constant that nothing reads.
fn nothing(graph: &mut Graph) -> WireId {
    let value = Tensor::from_slice(&[], &[0i32]).unwrap_or_default();
    constant(graph, "nothing", value)
}

fn constant(graph: &mut Graph, base: &str, value: Tensor) -> WireId {
    let attrs = Attrs::default()
        .with("dtype", AttrValue::Type(Some(value.dtype())))
        .with("value", AttrValue::Tensor(value));
    let name = format!("{base}/{}", graph.nodes.len());
    let id = graph.add(Node::new(name, "Const", attrs, Vec::new()));
    WireId::new(id, 0)
}
