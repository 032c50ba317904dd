//! The functions that loops and conditions call.

use std::collections::BTreeMap;
use std::sync::Arc;

use tfjet_core::{AttrValue, Attrs, DType};

use super::build::{BuildError, Scope, check_cycles};
use super::{Graph, GraphInput, GraphOutput, Node, NodeId, WireId};
use crate::tensorflow::SourceFunction;

/// Loops and conditions are nested at most so deep.
pub const MAX_DEPTH: usize = tfjet_core::Schedule::MAX_DEPTH;

/// Functions with more nodes than this, each counted as often as it is called, are refused.
const MAX_NODES: usize = 1 << 21;

/// What a loop or a condition calls.
#[derive(Debug, Clone, Default)]
pub struct Function {
    /// Unique in the graph.
    pub name: String,
    /// Its inputs are the arguments in order, nodes of op `_Arg`, its outputs the results in order.
    /// What is known of an argument is known where it is called.
    pub graph: Graph,
}

/// A node of the source, for the report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceEntry {
    /// Its name; the name of the calling node and what the function is to it stand before that of
    /// a function's node.
    pub name: String,
    /// Its op.
    pub op: String,
    /// What it reads. A call reads what its functions return as well, and what reads an argument
    /// of a function reads the call.
    pub inputs: Vec<u32>,
}

/// A node that calls functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `While`: as long as the condition holds, what is carried becomes what the body makes of it.
    While {
        /// Name of the condition's function.
        condition: String,
        /// Name of the body's function.
        body: String,
    },
    /// `If`: one of two functions, chosen by the first input.
    If {
        /// Where it is true.
        then_branch: String,
        /// Where it is false.
        else_branch: String,
    },
    /// `Case`: one of several functions, chosen by the first input.
    Case {
        /// In order; the last one stands for every index outside.
        branches: Vec<String>,
    },
}

impl Call {
    /// What the node calls; `None` for a node that calls nothing.
    pub fn of(node: &Node) -> Option<Self> {
        let name = |attr: &str| match node.attrs.get(attr) {
            Some(AttrValue::Func(name)) => Some(name.clone()),
            _ => None,
        };
        match node.op.as_str() {
            "While" | "StatelessWhile" => Some(Self::While {
                condition: name("cond")?,
                body: name("body")?,
            }),
            "If" | "StatelessIf" => Some(Self::If {
                then_branch: name("then_branch")?,
                else_branch: name("else_branch")?,
            }),
            "Case" | "StatelessCase" => match node.attrs.get("branches") {
                Some(AttrValue::Funcs(branches)) => Some(Self::Case {
                    branches: branches.clone(),
                }),
                _ => None,
            },
            _ => None,
        }
    }

    /// Names of the functions in order.
    pub fn functions(&self) -> Vec<&str> {
        match self {
            Self::While { condition, body } => vec![condition, body],
            Self::If {
                then_branch,
                else_branch,
            } => vec![then_branch, else_branch],
            Self::Case { branches } => branches.iter().map(String::as_str).collect(),
        }
    }

    /// What the functions are to the node, in order.
    pub fn roles(&self) -> Vec<String> {
        match self {
            Self::While { .. } => vec!["cond".into(), "body".into()],
            Self::If { .. } => vec!["then".into(), "else".into()],
            Self::Case { branches } => (0..branches.len()).map(|i| format!("branch{i}")).collect(),
        }
    }

    /// The attributes of a node that calls these functions in place of its own.
    pub fn renamed(node: &Node, names: &[String]) -> Attrs {
        let mut attrs = node.attrs.clone();
        let keys: &[&str] = match node.op.as_str() {
            "While" | "StatelessWhile" => &["cond", "body"],
            "If" | "StatelessIf" => &["then_branch", "else_branch"],
            _ => {
                attrs.insert("branches", AttrValue::Funcs(names.to_vec()));
                return attrs;
            }
        };
        for (key, name) in keys.iter().zip(names) {
            attrs.insert(*key, AttrValue::Func(name.clone()));
        }
        attrs
    }
}

/// Resolves the library's functions and gives every call its own copies, so that names of nodes
/// are unique and what is known at one call is not mixed with what is known at another.
pub(super) fn instantiate(
    graph: &mut Graph,
    library: Vec<SourceFunction>,
) -> Result<(), BuildError> {
    let mut resolved = BTreeMap::new();
    for function in library {
        resolved.insert(function.name.clone(), resolve(function)?);
    }
    let mut copies = Copies {
        library: resolved,
        functions: BTreeMap::new(),
        entries: entries(&graph.nodes, None),
        nodes: 0,
    };
    for index in 0..graph.nodes.len() {
        copies.call(&mut graph.nodes[index], &mut Vec::new())?;
    }
    graph.functions = copies.functions;
    graph.source = Arc::new(copies.entries);
    Ok(())
}

/// The entries of nodes. An argument is no node of the source: what reads it reads the call
/// `caller` here.
fn entries(nodes: &[Node], caller: Option<u32>) -> Vec<SourceEntry> {
    let number = |id: NodeId| match nodes.get(id.index()) {
        Some(node) if node.op == "_Arg" && caller.is_some() => caller,
        Some(node) => node.source,
        None => None,
    };
    let own = nodes.iter().filter(|node| node.source.is_some());
    own.map(|node| SourceEntry {
        name: node.name.clone(),
        op: node.op.clone(),
        inputs: node
            .inputs
            .iter()
            .filter_map(|wire| number(wire.node))
            .collect(),
    })
    .collect()
}

struct Copies {
    library: BTreeMap<String, Graph>,
    functions: BTreeMap<String, Arc<Function>>,
    entries: Vec<SourceEntry>,
    nodes: usize,
}

impl Copies {
    /// Gives a call its own copies of what it calls; `callers` are the functions around it.
    fn call(&mut self, node: &mut Node, callers: &mut Vec<String>) -> Result<(), BuildError> {
        let Some(call) = Call::of(node) else {
            return Ok(());
        };
        let mut names = Vec::new();
        for (function, role) in call.functions().into_iter().zip(call.roles()) {
            let Some(graph) = self.library.get(function) else {
                return Err(BuildError::NoSuchFunction {
                    node: node.name.clone(),
                    function: function.into(),
                });
            };
            self.nodes = self.nodes.saturating_add(graph.nodes.len());
            let too_deep = callers.len() >= MAX_DEPTH || self.nodes > MAX_NODES;
            if too_deep || callers.iter().any(|caller| caller == function) {
                return Err(BuildError::Recursion {
                    node: node.name.clone(),
                    function: function.into(),
                });
            }
            let mut graph = graph.clone();
            let name = format!("{}/{role}", node.name);
            let mut number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
            for copy in &mut graph.nodes {
                copy.name = format!("{name}/{}", copy.name);
                if copy.op != "_Arg" {
                    copy.source = Some(number);
                    number = number.saturating_add(1);
                }
            }
            let entries = entries(&graph.nodes, node.source);
            self.entries.extend(entries);
            if let Some(caller) = node.source
                && let Ok(caller) = usize::try_from(caller)
            {
                let results = graph.outputs.iter();
                let results = results.filter_map(|it| graph.node(it.wire.node).source);
                let results: Vec<u32> = results.collect();
                if let Some(entry) = self.entries.get_mut(caller) {
                    entry.inputs.extend(results);
                }
            }
            callers.push(function.into());
            for copy in &mut graph.nodes {
                self.call(copy, callers)?;
            }
            callers.pop();
            names.push(name.clone());
            let function = Function {
                name: name.clone(),
                graph,
            };
            self.functions.insert(name, Arc::new(function));
        }
        node.attrs = Call::renamed(node, &names);
        Ok(())
    }
}

fn resolve(function: SourceFunction) -> Result<Graph, BuildError> {
    let arguments: Vec<Node> = function
        .inputs
        .iter()
        .map(|argument| {
            let attrs = Attrs::default().with("T", AttrValue::Type(argument.dtype));
            Node::new(argument.name.clone(), "_Arg", attrs, Vec::new())
        })
        .collect();
    let scope = Scope::new(&arguments, &function.nodes);
    let mut outputs = Vec::new();
    for result in &function.outputs {
        outputs.push(GraphOutput {
            name: result.name.clone(),
            wire: scope.wire(&result.tensor).map_err(|problem| {
                problem.of_node(&format!("{} (function)", function.name), &result.tensor)
            })?,
        });
    }
    let inputs = arguments.iter().zip(&function.inputs).enumerate();
    let inputs = inputs.map(|(index, (node, argument))| GraphInput {
        name: node.name.clone(),
        wire: WireId::new(NodeId::from_index(index), 0),
        dtype: argument.dtype.unwrap_or(DType::F32),
        shape: None,
    });
    let mut graph = Graph {
        inputs: inputs.collect(),
        outputs,
        ..Graph::default()
    };
    let nodes = scope.nodes(function.nodes)?;
    graph.nodes = arguments.into_iter().chain(nodes).collect();
    check_cycles(&graph)?;
    Ok(graph)
}
