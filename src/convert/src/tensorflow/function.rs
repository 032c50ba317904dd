//! Functions of a graph's library, with the references between their nodes resolved.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use tfjet_core::{AttrValue, DType};

use super::attr::dtype;
use super::error::ImportProblem;
use super::node::source_node;
use super::proto::attr_value::Value;
use super::proto::{FunctionDef, FunctionDefLibrary, NodeDef};
use super::tensor::RepeatBudget;
use super::{SourceArgument, SourceFunction, SourceNode, SourceResult};

/// What is wrong with a function; the sentence's subject is the function.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionProblem {
    /// A call of a function that the library does not have.
    #[error("is not in the graph's library; node `{0}` calls it")]
    Unknown(String),
    /// It calls itself, directly or through others.
    #[error("calls itself ({0}), which is not supported")]
    Recursive(String),
    /// Calls inside calls, more than a reader follows.
    #[error("lies more than {0} calls deep")]
    TooDeep(usize),
    /// A call with too many or too few arguments.
    #[error("takes {expected} arguments, node `{node}` gives {found}")]
    Arguments {
        /// The call.
        node: String,
        /// Arguments of the function.
        expected: usize,
        /// Data inputs of the call.
        found: usize,
    },
    /// A call's output that the function does not return.
    #[error(
        "returns {results} tensors, something asks for number {port} (from 0) of node `{node}`"
    )]
    Result {
        /// The call.
        node: String,
        /// Results of the function.
        results: usize,
        /// Output asked for.
        port: usize,
    },
    /// Calls that return each other's results.
    #[error("is called in a circle: node `{0}` depends on itself")]
    Circle(String),
    /// Two functions of one name.
    #[error("is defined twice")]
    Twice,
    /// An argument that stands for several.
    #[error("argument `{0}` is a list, which is not supported")]
    ListArgument(String),
    /// Two nodes or arguments of one name.
    #[error("two nodes or arguments are named `{0}`")]
    DuplicateNode(String),
    /// A reference to nothing.
    #[error("node `{node}`: input `{input}` names no output of a node and no argument")]
    Reference {
        /// The node, or the result.
        node: String,
        /// As written.
        input: String,
    },
    /// A result without a value.
    #[error("result `{0}` has no value")]
    NoResult(String),
    /// So many copies of functions that memory would run out.
    #[error("is called so often that the graph would grow without bound, last by node `{0}`")]
    TooMany(String),
}

impl FunctionProblem {
    pub(super) fn of(self, function: impl Into<String>) -> ImportProblem {
        ImportProblem::Function {
            function: function.into(),
            problem: self,
        }
    }
}

/// A function as the importer needs it.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) source: SourceFunction,
    /// Element types of the results.
    pub(super) result_types: Vec<Option<DType>>,
    /// Nodes that run in any case, for what they do and not for what they return.
    pub(super) control: Vec<String>,
}

/// The functions of a graph. One is converted when it is first asked for, so that an odd one that
/// nothing needs is no obstacle.
#[derive(Debug, Default)]
pub(super) struct Library {
    defs: BTreeMap<String, FunctionDef>,
    converted: HashMap<String, Arc<Function>>,
    /// Values of Const nodes that lie elsewhere, by the nodes' names.
    constants: HashMap<String, AttrValue>,
}

impl Library {
    pub(super) fn new(
        library: FunctionDefLibrary,
        constants: HashMap<String, AttrValue>,
    ) -> Result<Self, ImportProblem> {
        let mut defs = BTreeMap::new();
        for function in library.function {
            let name = function.signature.as_ref().map(|it| it.name.clone());
            let name = name.unwrap_or_default();
            if defs.insert(name.clone(), function).is_some() {
                return Err(FunctionProblem::Twice.of(name));
            }
        }
        Ok(Self {
            defs,
            converted: HashMap::new(),
            constants,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.defs.is_empty()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.defs.contains_key(name)
    }

    /// Function `name`, which `node` refers to.
    pub(super) fn get(
        &mut self,
        name: &str,
        node: &str,
        budget: &mut RepeatBudget,
    ) -> Result<Arc<Function>, ImportProblem> {
        if let Some(function) = self.converted.get(name) {
            return Ok(Arc::clone(function));
        }
        let Some(def) = self.defs.get(name) else {
            return Err(FunctionProblem::Unknown(node.into()).of(name));
        };
        let function = Arc::new(self.convert(name, def, budget)?);
        self.converted.insert(name.into(), Arc::clone(&function));
        Ok(function)
    }

    fn convert(
        &self,
        name: &str,
        def: &FunctionDef,
        budget: &mut RepeatBudget,
    ) -> Result<Function, ImportProblem> {
        let signature = def.signature.clone().unwrap_or_default();
        let mut names = HashSet::new();
        let mut inputs = Vec::with_capacity(signature.input_arg.len());
        for arg in signature.input_arg {
            if !arg.number_attr.is_empty() || !arg.type_list_attr.is_empty() {
                return Err(FunctionProblem::ListArgument(arg.name).of(name));
            }
            if !names.insert(arg.name.clone()) {
                return Err(FunctionProblem::DuplicateNode(arg.name).of(name));
            }
            inputs.push(SourceArgument {
                name: arg.name,
                dtype: dtype(arg.r#type),
            });
        }
        let mut by_name: HashMap<&str, &NodeDef> = HashMap::new();
        for node in &def.node_def {
            if !names.insert(node.name.clone()) {
                return Err(FunctionProblem::DuplicateNode(node.name.clone()).of(name));
            }
            by_name.insert(&node.name, node);
        }
        let references = References {
            library: self,
            nodes: by_name,
            arguments: inputs.iter().map(|input| input.name.clone()).collect(),
        };
        let mut nodes = Vec::with_capacity(def.node_def.len());
        for (index, node) in def.node_def.iter().enumerate() {
            let value = self.constants.get(&node.name);
            let value = value.filter(|_| node.op == "Const");
            let mut node_def = node.clone();
            if value.is_some() {
                node_def.attr.remove("value");
            }
            let mut converted = source_node(node_def, index, budget)?;
            if let Some(value) = value {
                converted.attrs.insert("value", value.clone());
            }
            converted.inputs = references.all(node).map_err(|problem| problem.of(name))?;
            nodes.push(converted);
        }
        let mut outputs = Vec::with_capacity(signature.output_arg.len());
        let mut result_types = Vec::with_capacity(signature.output_arg.len());
        for arg in signature.output_arg {
            let Some(tensor) = def.ret.get(&arg.name) else {
                return Err(FunctionProblem::NoResult(arg.name).of(name));
            };
            let resolved = references.tensor(tensor).ok_or_else(|| {
                let (node, input) = (arg.name.clone(), tensor.clone());
                FunctionProblem::Reference { node, input }.of(name)
            })?;
            result_types.push(dtype(arg.r#type));
            outputs.push(SourceResult {
                name: arg.name,
                tensor: resolved,
            });
        }
        let control = def.control_ret.values();
        let control = control
            .filter(|node| references.nodes.contains_key(node.as_str()))
            .cloned()
            .collect();
        Ok(Function {
            source: SourceFunction {
                name: name.into(),
                inputs,
                nodes,
                outputs,
            },
            result_types,
            control,
        })
    }

    /// The function that `node` calls; its inputs are the function's arguments.
    pub(super) fn called_by<'a>(&self, node: &'a SourceNode) -> Option<&'a str> {
        match node.op.as_str() {
            "PartitionedCall" | "StatefulPartitionedCall" | "BatchFunction" => {
                match node.attrs.get("f") {
                    Some(AttrValue::Func(name)) => Some(name),
                    _ => None,
                }
            }
            op if self.contains(op) => Some(op),
            _ => None,
        }
    }
}

/// Finds what references inside a function stand for.
struct References<'a> {
    library: &'a Library,
    nodes: HashMap<&'a str, &'a NodeDef>,
    arguments: HashSet<String>,
}

impl References<'_> {
    fn all(&self, node: &NodeDef) -> Result<Vec<String>, FunctionProblem> {
        let mut inputs = Vec::with_capacity(node.input.len());
        for input in &node.input {
            let resolved = match input.strip_prefix('^') {
                Some(control) if self.is_argument(control) => continue,
                Some(control) => self.nodes.get(control).map(|_| input.clone()),
                None => self.tensor(input),
            };
            inputs.push(resolved.ok_or_else(|| FunctionProblem::Reference {
                node: node.name.clone(),
                input: input.clone(),
            })?);
        }
        Ok(inputs)
    }

    fn is_argument(&self, name: &str) -> bool {
        self.arguments.contains(name)
    }

    /// `argument`, `node:output` or `node:output:index` as `argument`, `node` or `node:port`.
    fn tensor(&self, reference: &str) -> Option<String> {
        let mut parts = reference.splitn(3, ':');
        let (name, output, index) = (parts.next()?, parts.next(), parts.next());
        if self.is_argument(name) {
            return (output.is_none_or(|it| it == "0") && index.is_none()).then(|| name.into());
        }
        let node = self.nodes.get(name)?;
        let index: usize = index.map_or(Some(0), |index| index.parse().ok())?;
        let port = match output {
            None => 0,
            Some(output) => match output.parse::<usize>() {
                Ok(port) => port,
                Err(_) => self.first_port(node, output)?,
            },
        };
        match port.checked_add(index)? {
            0 => Some(name.into()),
            port => Some(format!("{name}:{port}")),
        }
    }

    /// The first port of an output. An op that is not in the table has one output, which may be a
    /// list.
    fn first_port(&self, node: &NodeDef, output: &str) -> Option<usize> {
        if let Some(function) = self.library.defs.get(&node.op) {
            let signature = function.signature.as_ref()?;
            let mut outputs = signature.output_arg.iter();
            return outputs.position(|arg| arg.name == output);
        }
        let Some(outputs) = OUTPUTS.get(node.op.as_str()) else {
            return Some(0);
        };
        let mut port = 0usize;
        for (name, count) in outputs {
            if *name == output {
                return Some(port);
            }
            port = port.checked_add(match count {
                None => 1,
                Some(attr) => list_length(node, attr)?,
            })?;
        }
        None
    }
}

fn list_length(node: &NodeDef, attr: &str) -> Option<usize> {
    match node.attr.get(attr)?.value.as_ref()? {
        Value::I(count) => usize::try_from(*count).ok(),
        Value::List(list) => Some(list.r#type.len()),
        _ => None,
    }
}

/// Name of an output, and the attribute with its length where it is a list.
type Output = (&'static str, Option<&'static str>);

/// The outputs of ops that have several.
static OUTPUTS: LazyLock<HashMap<&'static str, Vec<Output>>> = LazyLock::new(|| {
    include_str!("output_args.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let op = words.next()?;
            let outputs = words.map(|word| match word.split_once('*') {
                Some((name, attr)) => (name, Some(attr)),
                None => (word, None),
            });
            Some((op, outputs.collect()))
        })
        .collect()
});
