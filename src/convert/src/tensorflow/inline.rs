//! Puts the nodes of called functions in the place of the calls.

use std::collections::{HashMap, HashSet};

use tfjet_core::{AttrValue, Attrs, DType};

use super::error::ImportProblem;
use super::function::{Function, FunctionProblem, Library};
use super::tensor::RepeatBudget;
use super::{SourceNode, reference};

/// How deep calls may lie in calls.
pub(super) const MAX_DEPTH: usize = 64;

/// What inlining may add to a graph.
#[derive(Debug)]
pub(super) struct Growth {
    nodes: usize,
    bytes: usize,
}

impl Default for Growth {
    fn default() -> Self {
        Self {
            nodes: 1 << 18,
            bytes: 1 << 29,
        }
    }
}

impl Growth {
    /// Counts a node that is added.
    pub(super) fn spend(&mut self, node: &SourceNode) -> Option<()> {
        let inputs = node.inputs.iter().map(String::len).sum::<usize>();
        let bytes = size_of::<SourceNode>() + node.name.len() + inputs + attr_bytes(&node.attrs);
        self.nodes = self.nodes.checked_sub(1)?;
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(())
    }
}

fn attr_bytes(attrs: &Attrs) -> usize {
    let bytes = |value: &AttrValue| match value {
        AttrValue::Tensor(tensor) => tensor.bytes().len(),
        AttrValue::StringTensor(_, values) | AttrValue::Strs(values) => {
            values.iter().map(|value| value.len() + 24).sum()
        }
        AttrValue::Tensors(tensors) => tensors.iter().map(|it| it.bytes().len() + 64).sum(),
        AttrValue::Ints(values) => values.len() * 8,
        AttrValue::Floats(values) => values.len() * 4,
        AttrValue::Str(value) => value.len(),
        AttrValue::Shapes(shapes) => {
            let dims = |it: &Option<tfjet_core::Shape>| it.as_ref().map_or(0, |it| it.rank());
            shapes.iter().map(|it| 24 + dims(it) * 32).sum()
        }
        AttrValue::Types(types) => types.len(),
        AttrValue::Funcs(names) => names.iter().map(|it| it.len() + 24).sum(),
        _ => 16,
    };
    attrs
        .0
        .iter()
        .map(|(name, value)| name.len() + 64 + bytes(value))
        .sum()
}

/// Nodes that refer to one another: those of the graph, or of one function.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) nodes: Vec<SourceNode>,
    names: HashSet<String>,
    calls: HashMap<String, Call>,
    depth: Vec<String>,
    has_frames: bool,
}

/// What stands for a call that was inlined.
#[derive(Debug, Default)]
struct Call {
    results: Vec<String>,
    types: Vec<Option<DType>>,
    /// Nodes that are done when the call is.
    control: Vec<String>,
    /// The node that stands for all of them.
    done: Option<String>,
}

impl Scope {
    /// Inlines all calls among `nodes`. `arguments` are names that are no nodes.
    pub(super) fn new(
        nodes: Vec<SourceNode>,
        arguments: impl Iterator<Item = String>,
        library: &mut Library,
        budget: &mut RepeatBudget,
        growth: &mut Growth,
    ) -> Result<Self, ImportProblem> {
        let mut names: HashSet<String> = arguments.collect();
        names.extend(nodes.iter().map(|node| node.name.clone()));
        let mut scope = Self {
            has_frames: nodes.iter().any(|node| is_flow(&node.op)),
            names,
            ..Self::default()
        };
        for node in nodes {
            scope.add(node, library, budget, growth)?;
        }
        Ok(scope)
    }

    fn add(
        &mut self,
        node: SourceNode,
        library: &mut Library,
        budget: &mut RepeatBudget,
        growth: &mut Growth,
    ) -> Result<(), ImportProblem> {
        let Some(name) = library.called_by(&node).map(str::to_owned) else {
            self.nodes.push(node);
            return Ok(());
        };
        if let Some(start) = self.depth.iter().position(|open| *open == name) {
            let mut round = self.depth.get(start..).unwrap_or_default().to_vec();
            round.truncate(8);
            round.push(name.clone());
            return Err(FunctionProblem::Recursive(round.join(" -> ")).of(name));
        }
        if self.depth.len() >= MAX_DEPTH {
            return Err(FunctionProblem::TooDeep(MAX_DEPTH).of(name));
        }
        let function = library.get(&name, &node.name, budget)?;
        let arguments = data_inputs(&node);
        if arguments.len() != function.source.inputs.len() {
            return Err(FunctionProblem::Arguments {
                node: node.name.clone(),
                expected: function.source.inputs.len(),
                found: arguments.len(),
            }
            .of(name));
        }
        self.depth.push(name.clone());
        let renamed = self.renamed(&node, &function);
        let start = self.start(&node, arguments);
        for inner in &function.source.nodes {
            let mut copy = renamed.node(inner, &node);
            let waits = match self.has_frames {
                true => inner.inputs.is_empty(),
                false => renamed.is_entry(inner),
            };
            if let Some(start) = start.as_ref().filter(|_| waits) {
                copy.inputs.push(format!("^{start}"));
            }
            growth
                .spend(&copy)
                .ok_or_else(|| FunctionProblem::TooMany(node.name.clone()).of(name.as_str()))?;
            self.add(copy, library, budget, growth)?;
        }
        self.depth.pop();
        let outputs = function.source.outputs.iter();
        let control = function.control.iter();
        let call = Call {
            results: outputs
                .map(|result| renamed.tensor(&result.tensor))
                .collect(),
            types: function.result_types.clone(),
            control: control.map(|node| renamed.tensor(node)).collect(),
            done: None,
        };
        self.calls.insert(node.name, call);
        Ok(())
    }

    fn renamed<'a>(&mut self, call: &'a SourceNode, function: &'a Function) -> Renamed<'a> {
        let arguments = function.source.inputs.iter().zip(data_inputs(call));
        let nodes = function.source.nodes.iter();
        Renamed {
            arguments: arguments
                .map(|(it, tensor)| (it.name.as_str(), tensor))
                .collect(),
            nodes: nodes
                .map(|node| {
                    let name = self.unique(format!("{}/{}", call.name, node.name));
                    (node.name.as_str(), name)
                })
                .collect(),
        }
    }

    /// The node that what the call needs to wait for goes through, where there is such.
    fn start(&mut self, call: &SourceNode, arguments: &[String]) -> Option<String> {
        let controls = call.inputs.get(arguments.len()..).unwrap_or_default();
        let mut inputs = controls.to_vec();
        if self.has_frames
            && let Some(first) = arguments.first()
        {
            inputs.push(format!("^{}", reference(first).0));
        }
        if inputs.is_empty() {
            return None;
        }
        let name = self.unique(format!("{}/start", call.name));
        self.nodes.push(no_op(&name, inputs));
        Some(name)
    }

    /// A name that no other node has.
    pub(super) fn unique(&mut self, wish: String) -> String {
        let mut name = wish.clone();
        let mut count = 0usize;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{wish}_{count}");
        }
        name
    }

    /// Number of calls that were inlined.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    /// The node that is done when `name` is: itself, or what stands for a call.
    pub(super) fn control(&mut self, name: &str) -> String {
        self.done(name).unwrap_or_else(|| name.to_owned())
    }

    /// Redirects what refers to calls to the nodes that stand for them. A call that `keep` names,
    /// or that feeds no node while `keep_sinks`, becomes an identity of its name.
    pub(super) fn connect(
        &mut self,
        keep: &HashSet<&str>,
        keep_sinks: bool,
    ) -> Result<(), ImportProblem> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let mut feeding: HashSet<&str> = HashSet::new();
        if keep_sinks {
            let inputs = self.nodes.iter().flat_map(|node| &node.inputs);
            let results = self.calls.values().flat_map(|call| &call.results);
            feeding.extend(inputs.chain(results).map(|input| reference(input).0));
        }
        let mut kept: Vec<SourceNode> = self
            .calls
            .iter()
            .filter(|(name, _)| {
                keep.contains(name.as_str()) || (keep_sinks && !feeding.contains(name.as_str()))
            })
            .map(|(name, call)| identity(name, call))
            .collect();
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        let mut nodes = std::mem::take(&mut self.nodes);
        nodes.append(&mut kept);
        let mut next = 0;
        while let Some(node) = nodes.get_mut(next) {
            for input in &mut node.inputs {
                if let Some(name) = input.strip_prefix('^') {
                    if let Some(done) = self.done(name) {
                        *input = format!("^{done}");
                    }
                } else if let Some(resolved) = self.resolve(input)? {
                    *input = resolved;
                }
            }
            // A call's own node is made when it is first asked for, so it comes after.
            nodes.append(&mut self.nodes);
            next += 1;
        }
        self.nodes = nodes;
        Ok(())
    }

    /// The tensor that stands for one of a call; `None` where `tensor` is no call's.
    pub(super) fn resolve(&mut self, tensor: &str) -> Result<Option<String>, ImportProblem> {
        let mut path: Vec<(String, usize)> = Vec::new();
        let mut seen: HashSet<(String, usize)> = HashSet::new();
        let mut current = tensor.to_owned();
        loop {
            let (name, port) = reference(&current);
            let Some(call) = self.calls.get(name) else {
                break;
            };
            let Some(result) = call.results.get(port) else {
                let results = call.results.len();
                let node = name.to_owned();
                return Err(FunctionProblem::Result {
                    results,
                    port,
                    node: node.clone(),
                }
                .of(node));
            };
            let step = (name.to_owned(), port);
            if !seen.insert(step.clone()) {
                return Err(FunctionProblem::Circle(name.into()).of(name));
            }
            path.push(step);
            current = result.clone();
        }
        if path.is_empty() {
            return Ok(None);
        }
        for (name, port) in path {
            if let Some(result) = self
                .calls
                .get_mut(&name)
                .and_then(|call| call.results.get_mut(port))
            {
                result.clone_from(&current);
            }
        }
        Ok(Some(current))
    }

    /// The node that is done when call `name` is.
    fn done(&mut self, name: &str) -> Option<String> {
        let call = self.calls.get(name)?;
        if let Some(done) = &call.done {
            return Some(done.clone());
        }
        let producers = call.results.iter().map(|tensor| reference(tensor).0);
        let mut inputs: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        for node in call.control.iter().map(String::as_str).chain(producers) {
            if seen.insert(node) {
                inputs.push(format!("^{node}"));
            }
        }
        let done = self.unique(format!("{name}/done"));
        self.nodes.push(no_op(&done, inputs));
        self.calls.get_mut(name)?.done = Some(done.clone());
        Some(done)
    }
}

/// Ops of TensorFlow 1's control flow, for which control inputs decide whether a node runs.
pub(super) fn is_flow(op: &str) -> bool {
    matches!(
        op.strip_prefix("Ref").unwrap_or(op),
        "Enter" | "Switch" | "Merge" | "_SwitchN"
    )
}

fn no_op(name: &str, inputs: Vec<String>) -> SourceNode {
    SourceNode {
        name: name.into(),
        op: "NoOp".into(),
        device: String::new(),
        inputs,
        attrs: Attrs::default(),
    }
}

/// A node of the call's name with the call's outputs.
fn identity(name: &str, call: &Call) -> SourceNode {
    let (op, attrs) = match call.types.as_slice() {
        [] => ("NoOp", Attrs::default()),
        [dtype] => (
            "Identity",
            Attrs::default().with("T", AttrValue::Type(*dtype)),
        ),
        types => (
            "IdentityN",
            Attrs::default().with("T", AttrValue::Types(types.to_vec())),
        ),
    };
    let mut inputs = call.results.clone();
    if inputs.is_empty() {
        inputs.extend(call.control.iter().map(|node| format!("^{node}")));
    }
    SourceNode {
        name: name.into(),
        op: op.into(),
        device: String::new(),
        inputs,
        attrs,
    }
}

/// The inputs before the first control input.
pub(super) fn data_inputs(node: &SourceNode) -> &[String] {
    let count = node
        .inputs
        .iter()
        .take_while(|input| !input.starts_with('^'));
    node.inputs.get(..count.count()).unwrap_or_default()
}

/// A function's names as they are at one call.
struct Renamed<'a> {
    arguments: HashMap<&'a str, &'a String>,
    nodes: HashMap<&'a str, String>,
}

impl Renamed<'_> {
    fn node(&self, node: &SourceNode, call: &SourceNode) -> SourceNode {
        let mut copy = node.clone();
        if let Some(name) = self.nodes.get(node.name.as_str()) {
            copy.name.clone_from(name);
        }
        for input in &mut copy.inputs {
            *input = self.tensor(input);
        }
        for value in copy.attrs.0.values_mut() {
            if let AttrValue::Placeholder(attr) = value
                && let Some(given) = call.attrs.get(attr)
            {
                *value = given.clone();
            }
        }
        copy
    }

    /// Does it depend on no other node of the function?
    fn is_entry(&self, node: &SourceNode) -> bool {
        let mut inputs = node.inputs.iter();
        inputs.all(|input| self.arguments.contains_key(input.as_str()))
    }

    fn tensor(&self, input: &str) -> String {
        if let Some(tensor) = self.arguments.get(input) {
            return (*tensor).clone();
        }
        let (control, rest) = match input.strip_prefix('^') {
            Some(rest) => ("^", rest),
            None => ("", input),
        };
        let (name, port) = reference(rest);
        let name = self.nodes.get(name).map_or(name, String::as_str);
        match port {
            0 => format!("{control}{name}"),
            port => format!("{control}{name}:{port}"),
        }
    }
}
