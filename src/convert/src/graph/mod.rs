//! The source graph, resolved: names became ids, inputs and outputs are known, the order is
//! topological. TensorFlow's meaning (NHWC, HWIO, SAME) is untouched.

mod build;
mod fact;
mod function;
pub mod infer;
mod io;
mod ports;
mod sizes;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tfjet_core::{Attrs, Dim};

pub use build::{BuildError, build};
pub use fact::{TypedCall, TypedGraph, WireFact};
pub use function::{Call, Function, MAX_DEPTH, SourceEntry};
pub use io::{InputRequest, OutputRequest, RequestError};
pub use ports::output_count;
pub use sizes::{Atom, Formula, Sizes, SymbolicInt};

/// Index of a node in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The id as an index.
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// The id of the node at `index`.
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

/// One output of a node: TensorFlow's `name:slot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WireId {
    /// The node that makes the tensor.
    pub node: NodeId,
    /// Which of its outputs.
    pub slot: u32,
}

impl WireId {
    /// Output `slot` of `node`.
    pub fn new(node: NodeId, slot: u32) -> Self {
        Self { node, slot }
    }
}

/// A node as the source gave it or as a pass made it, its inputs resolved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// Unique in the graph.
    pub name: String,
    /// TensorFlow op.
    pub op: String,
    /// Every attribute of the source.
    pub attrs: Attrs,
    /// Data inputs in the op's order.
    pub inputs: Vec<WireId>,
    /// Control inputs (`^name`).
    pub control: Vec<NodeId>,
    /// Index in [`Graph::source`] of the node that it stands for; `None` where a pass made it of
    /// several or of none.
    pub source: Option<u32>,
    /// Indices in [`Graph::source`] of the nodes that a pass replaced by this one.
    pub replaces: Vec<u32>,
}

impl Node {
    /// A node that a pass makes.
    pub fn new(
        name: impl Into<String>,
        op: impl Into<String>,
        attrs: Attrs,
        inputs: Vec<WireId>,
    ) -> Self {
        Self {
            name: name.into(),
            op: op.into(),
            attrs,
            inputs,
            control: Vec::new(),
            source: None,
            replaces: Vec::new(),
        }
    }
}

/// A resolved graph.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// All nodes of the source, in its order, then those that passes made.
    pub nodes: Vec<Node>,
    /// Wires that the caller feeds, with the shape that is known for each.
    pub inputs: Vec<GraphInput>,
    /// Wires that the caller wants.
    pub outputs: Vec<GraphOutput>,
    /// The functions that loops and conditions call, those of functions among them; a function's
    /// own graph has none here. Each is called once.
    pub functions: BTreeMap<String, Arc<Function>>,
    /// What the source had before any pass; a function's own graph has none here.
    pub source: Arc<Vec<SourceEntry>>,
}

/// A wire that the caller feeds.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphInput {
    /// TensorFlow's name, `node` or `node:port`.
    pub name: String,
    /// The wire.
    pub wire: WireId,
    /// Element type.
    pub dtype: tfjet_core::DType,
    /// Shape; `None` for unknown rank.
    pub shape: Option<tfjet_core::Shape>,
}

/// A wire that the caller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphOutput {
    /// TensorFlow's name, `node` or `node:port`.
    pub name: String,
    /// The wire.
    pub wire: WireId,
}

impl Graph {
    /// The node of `id`.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Adds a node.
    pub fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId::from_index(self.nodes.len());
        self.nodes.push(node);
        id
    }

    /// Lets all nodes and outputs that read `from` read `to`, but for the node `except`.
    pub fn redirect(&mut self, from: WireId, to: WireId, except: Option<NodeId>) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if except != Some(NodeId::from_index(index)) {
                let inputs = node.inputs.iter_mut().filter(|wire| **wire == from);
                inputs.for_each(|wire| *wire = to);
            }
        }
        let outputs = self.outputs.iter_mut().filter(|it| it.wire == from);
        outputs.for_each(|output| output.wire = to);
    }

    /// Gives the first dimension of every input a size where it is open.
    pub fn set_batch(&mut self, batch: usize) {
        for input in &mut self.inputs {
            let first = input.shape.as_mut().and_then(|shape| shape.0.first_mut());
            if let Some(first @ Dim::Symbolic(_)) = first {
                *first = Dim::Fixed(batch);
            }
        }
    }

    /// TensorFlow's name of a wire: `node` for slot 0, else `node:slot`.
    pub fn wire_name(&self, wire: WireId) -> String {
        WireName(&self.node(wire.node).name, wire.slot).to_string()
    }

    /// All node ids in the source's order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId::from_index)
    }

    /// Is the wire fed by the caller?
    pub fn is_input(&self, wire: WireId) -> bool {
        self.inputs.iter().any(|input| input.wire == wire)
    }
}

struct WireName<'a>(&'a str, u32);

impl fmt::Display for WireName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            0 => f.write_str(self.0),
            slot => write!(f, "{}:{slot}", self.0),
        }
    }
}
