use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{AttrValue, Attrs, DType};

use super::conditions::Alive;
use crate::graph::{Graph, GraphInput, GraphOutput, Node, NodeId, WireId};

/// Something that a region computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A wire of the source.
    Wire(WireId),
    /// What a merge chooses: index of the choice, and the merge's output.
    Choice(usize, u32),
}

/// What a region is to the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The graph itself.
    Root,
    /// What a loop computes before it knows whether there is another pass.
    Condition,
    /// What a loop computes in a pass.
    Body,
    /// One side of a condition, and when what lies outside is run.
    Branch(Alive),
}

/// A graph or function while it is built.
pub(super) struct Region {
    pub(super) kind: Kind,
    /// The frame that its nodes lie in.
    pub(super) frame: Option<usize>,
    /// When it runs.
    pub(super) alive: Alive,
    pub(super) graph: Graph,
    pub(super) memo: BTreeMap<Key, WireId>,
    /// Nodes of the source that are in the graph.
    pub(super) copies: BTreeMap<NodeId, NodeId>,
    /// Calls by the frame or the first choice, made or about to be.
    pub(super) loops: BTreeMap<usize, Planned>,
    pub(super) conditions: BTreeMap<usize, Planned>,
    /// What is handed in from outside, in order, with the argument that holds it.
    captured: Vec<(Key, WireId)>,
    arguments: Vec<WireId>,
    /// Names of all arguments.
    names: BTreeSet<String>,
}

/// A call whose functions are built.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// The node, but for its inputs.
    pub(super) node: Node,
    pub(super) inputs: Vec<Key>,
    pub(super) made: Option<NodeId>,
}

impl Region {
    pub(super) fn new(kind: Kind, frame: Option<usize>, alive: Alive, graph: Graph) -> Self {
        Self {
            kind,
            frame,
            alive,
            graph,
            memo: BTreeMap::new(),
            copies: BTreeMap::new(),
            loops: BTreeMap::new(),
            conditions: BTreeMap::new(),
            captured: Vec::new(),
            arguments: Vec::new(),
            names: BTreeSet::new(),
        }
    }

    fn argument(&mut self, name: &str) -> WireId {
        let mut unique = name.to_owned();
        let mut count = 1;
        while !self.names.insert(unique.clone()) {
            count += 1;
            unique = format!("{name}#{count}");
        }
        let node = Node::new(unique, "_Arg", Attrs::default(), Vec::new());
        WireId::new(self.graph.add(node), 0)
    }

    /// An argument that the caller sets, such as what a loop carries.
    pub(super) fn declare(&mut self, name: &str) -> WireId {
        let wire = self.argument(name);
        self.arguments.push(wire);
        wire
    }

    /// The argument that holds something from outside.
    pub(super) fn capture(&mut self, key: Key, name: &str) -> WireId {
        if let Some((_, wire)) = self.captured.iter().find(|(other, _)| *other == key) {
            return *wire;
        }
        let wire = self.argument(name);
        self.captured.push((key, wire));
        wire
    }

    /// What is handed in from outside.
    pub(super) fn captures(&self) -> impl Iterator<Item = Key> {
        self.captured.iter().map(|(key, _)| *key)
    }

    pub(super) fn integer(&mut self, name: &str, value: i32) -> WireId {
        let tensor = tfjet_core::Tensor::from_slice(&[], &[value]).unwrap_or_default();
        let attrs = Attrs::default()
            .with("dtype", AttrValue::Type(Some(DType::I32)))
            .with("value", AttrValue::Tensor(tensor));
        let node = Node::new(format!("{name}/index"), "Const", attrs, Vec::new());
        WireId::new(self.graph.add(node), 0)
    }

    /// The function's graph: declared arguments, then `captures`; `results`, and the captures
    /// again where it is a loop's body.
    pub(super) fn finish(
        mut self,
        captures: &[Key],
        names: &dyn Fn(Key) -> String,
        results: &[WireId],
    ) -> Graph {
        let mut arguments = self.arguments.clone();
        for key in captures {
            arguments.push(self.capture(*key, &names(*key)));
        }
        let returned = match self.kind {
            Kind::Body => &arguments[self.arguments.len()..],
            _ => &[],
        };
        let outputs = results.iter().chain(returned).map(|wire| GraphOutput {
            name: self.graph.wire_name(*wire),
            wire: *wire,
        });
        self.graph.outputs = outputs.collect();
        let inputs = arguments.iter().map(|wire| GraphInput {
            name: self.graph.wire_name(*wire),
            wire: *wire,
            dtype: DType::F32,
            shape: None,
        });
        self.graph.inputs = inputs.collect();
        self.graph
    }
}
