use std::collections::BTreeMap;

use tfjet_core::{AttrValue, DType, Dim, Shape};

use super::function::instantiate;
use super::{
    Graph, GraphInput, GraphOutput, InputRequest, Node, NodeId, OutputRequest, WireId, output_count,
};
use crate::near::near_names;
use crate::tensorflow::{Signature, SourceGraph, SourceNode};

/// Why a source graph cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An input of a node names no node.
    #[error("node `{node}`: input `{input}` names no node of the graph")]
    DanglingInput {
        /// The node.
        node: String,
        /// The input as written.
        input: String,
    },
    /// An input of a node is not readable, or a data input follows a control input.
    #[error("node `{node}`: input `{input}` is malformed")]
    MalformedInput {
        /// The node.
        node: String,
        /// The input as written.
        input: String,
    },
    /// An input asks for an output that the producer does not have.
    #[error(
        "node `{node}`: input `{input}` asks for output {slot}, `{producer}` ({op}) has {count}"
    )]
    NoSuchPort {
        /// The node.
        node: String,
        /// The input as written.
        input: String,
        /// Output asked for.
        slot: u32,
        /// The node that was asked.
        producer: String,
        /// Its op.
        op: String,
        /// Outputs that it has.
        count: u32,
    },
    /// The graph goes round in a circle that no `NextIteration` closes.
    #[error("the graph has a cycle that no NextIteration closes: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// `--input` or `--output` names no node.
    #[error("{role} `{name}` names no node of the graph{}", near_text(near))]
    UnknownName {
        /// `input` or `output`.
        role: &'static str,
        /// The name asked for.
        name: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// `--input` or `--output` asks for an output that the node does not have.
    #[error("{role} `{name}:{port}`: the node ({op}) has {count} outputs")]
    UnknownPort {
        /// `input` or `output`.
        role: &'static str,
        /// The node.
        name: String,
        /// Output asked for.
        port: u32,
        /// Its op.
        op: String,
        /// Outputs that it has.
        count: u32,
    },
    /// `--input` names the same wire twice.
    #[error("input `{0}` is named twice")]
    Twice(String),
    /// A shape given with `--input` contradicts the graph.
    #[error("input `{name}`: shape {given} does not fit {declared}, which the graph declares")]
    InputShape {
        /// The input.
        name: String,
        /// Shape given.
        given: String,
        /// Shape in the graph.
        declared: String,
    },
    /// An input's element type is not known or cannot be held.
    #[error(
        "input `{0}`: its element type is not known; only numeric and boolean inputs can be fed"
    )]
    InputType(String),
    /// A node calls a function that the graph does not hold.
    #[error("node `{node}`: the graph has no function `{function}`")]
    NoSuchFunction {
        /// The node.
        node: String,
        /// The function.
        function: String,
    },
    /// A function calls itself, or calls are nested too deep.
    #[error("node `{node}`: function `{function}` calls itself, or its calls are nested too deep")]
    Recursion {
        /// The node.
        node: String,
        /// The function.
        function: String,
    },
    /// No output was found or named.
    #[error("the graph has no outputs: every node feeds another one; name some with --output")]
    NoOutputs,
}

fn near_text(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!("; near names: {}", names.join(", "))
}

/// Resolves names, finds inputs and outputs (`--input`/`--output`, else the signature, else
/// placeholders and sinks), and checks that only `NextIteration` closes a cycle.
pub fn build(
    source: SourceGraph,
    inputs: &[InputRequest],
    outputs: &[OutputRequest],
) -> Result<Graph, BuildError> {
    let signature = source.signature;
    let scope = Scope::new(&[], &source.nodes);
    let mut graph = Graph {
        nodes: scope.nodes(source.nodes)?,
        ..Graph::default()
    };
    for (number, node) in (0..).zip(&mut graph.nodes) {
        node.source = Some(number);
    }
    check_cycles(&graph)?;
    let finder = Finder {
        graph: &graph,
        by_name: &scope.by_name,
        counts: &scope.counts,
    };
    let found_inputs = finder.inputs(inputs)?;
    let found_outputs = finder.outputs(outputs, signature.as_ref())?;
    graph.inputs = found_inputs;
    graph.outputs = found_outputs;
    instantiate(&mut graph, source.functions)?;
    Ok(graph)
}

/// The nodes that a graph's or a function's nodes can refer to.
pub(super) struct Scope {
    by_name: BTreeMap<String, NodeId>,
    counts: Vec<Option<u32>>,
    kinds: Vec<(String, String)>,
}

/// Why a reference leads nowhere.
pub(super) enum BadReference {
    Malformed,
    Dangling,
    NoSuchPort {
        slot: u32,
        producer: String,
        op: String,
        count: u32,
    },
}

impl BadReference {
    /// The error for the node that refers to `input`.
    pub(super) fn of_node(self, node: &str, input: &str) -> BuildError {
        let (node, input) = (node.into(), input.into());
        match self {
            Self::Malformed => BuildError::MalformedInput { node, input },
            Self::Dangling => BuildError::DanglingInput { node, input },
            Self::NoSuchPort {
                slot,
                producer,
                op,
                count,
            } => BuildError::NoSuchPort {
                node,
                input,
                slot,
                producer,
                op,
                count,
            },
        }
    }
}

impl Scope {
    /// These nodes, the `arguments` of a function first.
    pub(super) fn new(arguments: &[Node], nodes: &[SourceNode]) -> Self {
        let arguments = arguments.iter().map(|it| (&it.name, &it.op, &it.attrs));
        let nodes = nodes.iter().map(|it| (&it.name, &it.op, &it.attrs));
        let mut scope = Self {
            by_name: BTreeMap::new(),
            counts: Vec::new(),
            kinds: Vec::new(),
        };
        for (index, (name, op, attrs)) in arguments.chain(nodes).enumerate() {
            scope
                .by_name
                .insert(name.clone(), NodeId::from_index(index));
            scope.counts.push(output_count(op, attrs));
            scope.kinds.push((name.clone(), op.clone()));
        }
        scope
    }

    /// The wire that a reference, `name` or `name:slot`, means.
    pub(super) fn wire(&self, reference: &str) -> Result<WireId, BadReference> {
        let (name, slot) = match reference.rsplit_once(':') {
            Some((name, slot)) => (name, slot.parse().map_err(|_| BadReference::Malformed)?),
            None => (reference, 0),
        };
        let producer = *self.by_name.get(name).ok_or(BadReference::Dangling)?;
        if let Some(count) = self.counts[producer.index()]
            && slot >= count
        {
            let (producer, op) = self.kinds[producer.index()].clone();
            return Err(BadReference::NoSuchPort {
                slot,
                producer,
                op,
                count,
            });
        }
        Ok(WireId::new(producer, slot))
    }

    /// The nodes, their inputs resolved.
    pub(super) fn nodes(&self, nodes: Vec<SourceNode>) -> Result<Vec<Node>, BuildError> {
        let mut resolved = Vec::with_capacity(nodes.len());
        for node in nodes {
            let mut data = Vec::new();
            let mut control = Vec::new();
            for input in &node.inputs {
                let bad = |problem: BadReference| problem.of_node(&node.name, input);
                if let Some(name) = input.strip_prefix('^') {
                    let from = self.by_name.get(name).copied();
                    control.push(from.ok_or_else(|| bad(BadReference::Dangling))?);
                } else if control.is_empty() {
                    data.push(self.wire(input).map_err(bad)?);
                } else {
                    return Err(bad(BadReference::Malformed));
                }
            }
            resolved.push(Node {
                name: node.name,
                op: node.op,
                attrs: node.attrs,
                inputs: data,
                control,
                ..Node::default()
            });
        }
        Ok(resolved)
    }
}

struct Finder<'a> {
    graph: &'a Graph,
    by_name: &'a BTreeMap<String, NodeId>,
    counts: &'a [Option<u32>],
}

impl Finder<'_> {
    fn find(&self, role: &'static str, name: &str, port: u32) -> Result<WireId, BuildError> {
        let Some(&node) = self.by_name.get(name) else {
            return Err(BuildError::UnknownName {
                role,
                name: name.into(),
                near: near_names(name, self.by_name.keys().map(String::as_str)),
            });
        };
        if let Some(count) = self.counts[node.index()]
            && port >= count
        {
            return Err(BuildError::UnknownPort {
                role,
                name: name.into(),
                port,
                op: self.graph.node(node).op.clone(),
                count,
            });
        }
        Ok(WireId::new(node, port))
    }

    fn inputs(&self, requests: &[InputRequest]) -> Result<Vec<GraphInput>, BuildError> {
        let mut inputs: Vec<GraphInput> = Vec::new();
        for request in requests {
            let wire = self.find("input", &request.node, request.port)?;
            if inputs.iter().any(|input| input.wire == wire) {
                return Err(BuildError::Twice(self.graph.wire_name(wire)));
            }
            inputs.push(self.input(wire, request.shape.clone())?);
        }
        for id in self.graph.ids() {
            let wire = WireId::new(id, 0);
            if self.graph.node(id).op == "Placeholder"
                && inputs.iter().all(|input: &GraphInput| input.wire != wire)
            {
                inputs.push(self.input(wire, None)?);
            }
        }
        Ok(inputs)
    }

    fn input(&self, wire: WireId, given: Option<Shape>) -> Result<GraphInput, BuildError> {
        let node = self.graph.node(wire.node);
        let name = self.graph.wire_name(wire);
        let attr_type = |name: &str| match node.attrs.get(name) {
            Some(AttrValue::Type(dtype)) => Some(*dtype),
            _ => None,
        };
        let dtype = match node.op.as_str() {
            "Placeholder" | "PlaceholderWithDefault" => attr_type("dtype"),
            "Cast" => attr_type("DstT"),
            _ => attr_type("T").or_else(|| attr_type("dtype")),
        };
        let dtype = match dtype {
            Some(Some(dtype)) => dtype,
            Some(None) => return Err(BuildError::InputType(name)),
            None => DType::F32,
        };
        let declared = match (node.op.as_str(), node.attrs.get("shape")) {
            ("Placeholder" | "PlaceholderWithDefault", Some(AttrValue::Shape(shape))) => {
                shape.clone()
            }
            _ => None,
        };
        let shape = match (given, declared) {
            (Some(given), Some(declared)) => {
                let fits = given.rank() == declared.rank()
                    && given
                        .dims()
                        .iter()
                        .zip(declared.dims())
                        .all(|(g, d)| g.fixed().is_none() || d.fixed().is_none() || g == d);
                // TensorFlow writes an unset shape of old placeholders as a scalar's.
                if !fits && declared.rank() > 0 {
                    return Err(BuildError::InputShape {
                        name,
                        given: given.to_string(),
                        declared: declared.to_string(),
                    });
                }
                let merged = given.dims().iter().enumerate().map(|(axis, dim)| {
                    match (dim, declared.dims().get(axis)) {
                        (Dim::Symbolic(_), Some(fixed @ Dim::Fixed(_))) => fixed.clone(),
                        _ => dim.clone(),
                    }
                });
                Some(Shape(merged.collect()))
            }
            (given, declared) => given.or(declared),
        };
        let shape = shape.map(|shape| {
            let dims = shape
                .0
                .into_iter()
                .enumerate()
                .map(|(axis, dim)| match dim {
                    Dim::Symbolic(_) => Dim::Symbolic(format!("{name}_{axis}")),
                    fixed => fixed,
                });
            Shape(dims.collect())
        });
        Ok(GraphInput {
            name,
            wire,
            dtype,
            shape,
        })
    }

    fn outputs(
        &self,
        requests: &[OutputRequest],
        signature: Option<&Signature>,
    ) -> Result<Vec<GraphOutput>, BuildError> {
        let mut wires = Vec::new();
        for request in requests {
            wires.push(self.find("output", &request.node, request.port)?);
        }
        if wires.is_empty()
            && let Some(signature) = signature
        {
            for tensor in &signature.outputs {
                let Ok(request) = tensor.tensor.parse::<OutputRequest>() else {
                    continue;
                };
                wires.push(self.find("output", &request.node, request.port)?);
            }
        }
        if wires.is_empty() {
            wires = self.sinks();
        }
        if wires.is_empty() {
            return Err(BuildError::NoOutputs);
        }
        let mut outputs: Vec<GraphOutput> = Vec::new();
        for wire in wires {
            if outputs.iter().all(|output| output.wire != wire) {
                outputs.push(GraphOutput {
                    name: self.graph.wire_name(wire),
                    wire,
                });
            }
        }
        Ok(outputs)
    }

    /// Every output of the nodes that feed no other node.
    fn sinks(&self) -> Vec<WireId> {
        let mut feeds = vec![false; self.graph.nodes.len()];
        for node in &self.graph.nodes {
            for wire in &node.inputs {
                feeds[wire.node.index()] = true;
            }
        }
        let mut wires = Vec::new();
        for id in self.graph.ids() {
            let node = self.graph.node(id);
            if feeds[id.index()] || matches!(node.op.as_str(), "Const" | "Placeholder") {
                continue;
            }
            let count = match node.op.as_str() {
                "FusedBatchNorm" | "FusedBatchNormV2" | "FusedBatchNormV3" => 1,
                _ => self.counts[id.index()].unwrap_or(1),
            };
            wires.extend((0..count).map(|slot| WireId::new(id, slot)));
        }
        wires
    }
}

pub(super) fn check_cycles(graph: &Graph) -> Result<(), BuildError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let predecessors = |id: NodeId| -> Vec<NodeId> {
        let node = graph.node(id);
        node.inputs
            .iter()
            .map(|wire| wire.node)
            .chain(node.control.iter().copied())
            .filter(|&from| !(graph.node(from).op == "NextIteration" && node.op == "Merge"))
            .collect()
    };
    let mut marks = vec![Mark::New; graph.nodes.len()];
    for root in graph.ids() {
        if marks[root.index()] != Mark::New {
            continue;
        }
        marks[root.index()] = Mark::Open;
        let mut stack = vec![(root, predecessors(root))];
        while let Some((node, pending)) = stack.last_mut() {
            let node = *node;
            let Some(next) = pending.pop() else {
                marks[node.index()] = Mark::Done;
                stack.pop();
                continue;
            };
            match marks[next.index()] {
                Mark::Done => {}
                Mark::New => {
                    marks[next.index()] = Mark::Open;
                    stack.push((next, predecessors(next)));
                }
                Mark::Open => {
                    let start = stack.iter().position(|(id, _)| *id == next).unwrap_or(0);
                    let mut names: Vec<String> = stack[start..]
                        .iter()
                        .rev()
                        .map(|(id, _)| graph.node(*id).name.clone())
                        .collect();
                    names.truncate(8);
                    if let Some(first) = names.first().cloned() {
                        names.push(first);
                    }
                    return Err(BuildError::Cycle(names));
                }
            }
        }
    }
    Ok(())
}
