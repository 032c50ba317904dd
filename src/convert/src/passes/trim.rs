//! What loops and conditions compute for nobody is dropped.

use std::collections::BTreeSet;
use std::sync::Arc;

use tfjet_core::{AttrValue, Attrs, DType, Tensor};

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
            (Some(Call::While { body: name, .. }), [condition, body]) => {
                trimmer.trim_loop(id, &name, condition, body, read);
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
        name: &str,
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
        if dropped {
            self.replace(name, changed);
        }
        for index in unread {
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
        let mut arguments = BTreeSet::new();
        for (name, function) in call.functions().into_iter().zip(functions) {
            let outputs = function.graph.outputs.iter().enumerate();
            let wanted = outputs.filter(|(index, _)| read.contains(index));
            arguments.extend(read_arguments(function, wanted.map(|(_, it)| it.wire)));
            if !unread.is_empty() {
                let mut changed = function.graph.clone();
                let nothing = nothing(&mut changed);
                for (index, output) in changed.outputs.iter_mut().enumerate() {
                    if unread.contains(&index) {
                        output.wire = nothing;
                    }
                }
                self.replace(name, changed);
            }
        }
        let count = self.typed.graph.node(id).inputs.len();
        for index in (1..count).filter(|index| !arguments.contains(&(index - 1))) {
            self.drop_input(id, index);
        }
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
        let wire = self.typed.graph.node(id).inputs[index];
        if self.typed.fact(wire).value.is_some() {
            return;
        }
        let made = self.nothing;
        let graph = self.graph();
        let nothing = made.unwrap_or_else(|| nothing(graph));
        graph.nodes[id.index()].inputs[index] = nothing;
        self.nothing = Some(nothing);
    }
}

/// A constant that nothing reads.
fn nothing(graph: &mut Graph) -> WireId {
    let attrs = Attrs::default()
        .with("dtype", AttrValue::Type(Some(DType::I32)))
        .with(
            "value",
            AttrValue::Tensor(Tensor::from_slice(&[], &[0i32]).unwrap_or_default()),
        );
    let name = format!("nothing/{}", graph.nodes.len());
    let id = graph.add(Node::new(name, "Const", attrs, Vec::new()));
    WireId::new(id, 0)
}
