use std::collections::BTreeMap;

use tfjet_core::{AttrValue, DType, Dim, Shape};

use super::{
    Graph, GraphInput, GraphOutput, InputRequest, Node, NodeId, OutputRequest, WireId, output_count,
};
use crate::tensorflow::{Signature, SourceGraph};

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
    let by_name: BTreeMap<String, NodeId> = source
        .nodes
        .iter()
        .enumerate()
        .map(|(index, node)| (node.name.clone(), NodeId::from_index(index)))
        .collect();
    let counts: Vec<Option<u32>> = source
        .nodes
        .iter()
        .map(|node| output_count(&node.op, &node.attrs))
        .collect();
    let mut nodes = Vec::with_capacity(source.nodes.len());
    let names: Vec<(String, String)> = source
        .nodes
        .iter()
        .map(|node| (node.name.clone(), node.op.clone()))
        .collect();
    for node in source.nodes {
        let mut data = Vec::new();
        let mut control = Vec::new();
        for input in &node.inputs {
            let malformed = || BuildError::MalformedInput {
                node: node.name.clone(),
                input: input.clone(),
            };
            let dangling = || BuildError::DanglingInput {
                node: node.name.clone(),
                input: input.clone(),
            };
            if let Some(name) = input.strip_prefix('^') {
                control.push(*by_name.get(name).ok_or_else(dangling)?);
                continue;
            }
            if !control.is_empty() {
                return Err(malformed());
            }
            let (name, slot) = match input.rsplit_once(':') {
                Some((name, slot)) => (name, slot.parse().map_err(|_| malformed())?),
                None => (input.as_str(), 0),
            };
            let producer = *by_name.get(name).ok_or_else(dangling)?;
            if let Some(count) = counts[producer.index()]
                && slot >= count
            {
                let (producer, op) = names[producer.index()].clone();
                return Err(BuildError::NoSuchPort {
                    node: node.name.clone(),
                    input: input.clone(),
                    slot,
                    producer,
                    op,
                    count,
                });
            }
            data.push(WireId::new(producer, slot));
        }
        nodes.push(Node {
            name: node.name,
            op: node.op,
            attrs: node.attrs,
            inputs: data,
            control,
        });
    }
    let mut graph = Graph {
        nodes,
        ..Graph::default()
    };
    check_cycles(&graph)?;
    let finder = Finder {
        graph: &graph,
        by_name: &by_name,
        counts: &counts,
    };
    let found_inputs = finder.inputs(inputs)?;
    let found_outputs = finder.outputs(outputs, signature.as_ref())?;
    graph.inputs = found_inputs;
    graph.outputs = found_outputs;
    Ok(graph)
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
                near: near_names(name, self.by_name.keys()),
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

/// The names that share the most with `name`: same last part, or few letters changed.
fn near_names<'a>(name: &str, all: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut scored: Vec<(usize, &String)> = all
        .filter_map(|candidate| {
            let distance = edit_distance(name, candidate, 6)?;
            Some((distance, candidate))
        })
        .collect();
    scored.sort();
    scored
        .into_iter()
        .take(3)
        .map(|(_, name)| name.clone())
        .collect()
}

/// Levenshtein distance where it is at most `limit` and less than the longer text; letter case
/// counts half, and a candidate that contains the name is near.
fn edit_distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (lower_a, lower_b) = (a.to_lowercase(), b.to_lowercase());
    if a.len() >= 3 && lower_b.contains(&lower_a) {
        return Some(limit.min(b.len().saturating_sub(a.len())));
    }
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let b_chars: Vec<char> = lower_b.chars().collect();
    let mut row: Vec<usize> = (0..=b_chars.len()).collect();
    for (i, ca) in lower_a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b_chars.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row.last()
        .copied()
        .filter(|&distance| distance <= limit && distance < a.len().max(b.len()).div_ceil(2))
}

fn check_cycles(graph: &Graph) -> Result<(), BuildError> {
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
