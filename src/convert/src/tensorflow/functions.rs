//! The functions that a graph's If, While and Case nodes refer to.

use std::collections::{BTreeMap, HashMap, HashSet};

use tfjet_core::{AttrValue, DType};

use super::error::ImportProblem;
use super::freeze::{Counts, Freeze, Values, not_frozen};
use super::function::{FunctionProblem, Library};
use super::handles::Variable;
use super::inline::{Growth, MAX_DEPTH, Scope, data_inputs};
use super::node::source_node;
use super::proto::NodeDef;
use super::tensor::RepeatBudget;
use super::{SourceArgument, SourceFunction, SourceGraph, SourceNode, SourceResult};

/// How a node calls its functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With all inputs, which are the outputs as well.
    Loop,
    /// With all inputs but the first, which chooses the function.
    Branch,
}

/// How nodes of this op call functions.
pub(super) fn kind(op: &str) -> Option<Kind> {
    match op {
        "While" | "StatelessWhile" => Some(Kind::Loop),
        "If" | "StatelessIf" | "Case" | "StatelessCase" => Some(Kind::Branch),
        _ => None,
    }
}

/// A graph's library, and the functions that are left of it.
#[derive(Debug)]
pub(super) struct Functions {
    library: Library,
    budget: RepeatBudget,
    growth: Growth,
    made: BTreeMap<String, SourceFunction>,
    done: HashMap<Key, Made>,
    open: Vec<String>,
    counts: Counts,
}

/// A function, and the types of the arguments that are values instead of handles.
type Key = (String, Vec<Option<Option<DType>>>);

#[derive(Debug, Clone)]
struct Made {
    name: String,
    /// Results that are handles: their places, and those of the arguments that they are.
    handles: Vec<(usize, Option<usize>)>,
}

/// For graphs without variables.
struct NoValues;

impl Values for NoValues {
    fn value(&mut self, node: &SourceNode) -> Result<AttrValue, ImportProblem> {
        Err(ImportProblem::NoCheckpoint {
            node: node.name.clone(),
            op: node.op.clone(),
        })
    }
}

impl Functions {
    pub(super) fn new(library: Library, budget: RepeatBudget) -> Self {
        Self {
            library,
            budget,
            growth: Growth::default(),
            made: BTreeMap::new(),
            done: HashMap::new(),
            open: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// The nodes with all their attributes.
    pub(super) fn convert<'a>(
        &mut self,
        nodes: impl Iterator<Item = &'a NodeDef>,
    ) -> Result<Vec<SourceNode>, ImportProblem> {
        let nodes = nodes.enumerate();
        nodes
            .map(|(index, node)| source_node(node.clone(), index, &mut self.budget))
            .collect()
    }

    /// A scope of `nodes` in which no call is left.
    pub(super) fn scope(
        &mut self,
        nodes: Vec<SourceNode>,
        arguments: &[SourceArgument],
    ) -> Result<Scope, ImportProblem> {
        let arguments = arguments.iter().map(|argument| argument.name.clone());
        Scope::new(
            nodes,
            arguments,
            &mut self.library,
            &mut self.budget,
            &mut self.growth,
        )
    }

    /// Inlines the calls of a graph that stays as it is otherwise. A call that `keep` names keeps a
    /// node of its name.
    pub(super) fn resolve(
        &mut self,
        graph: &mut SourceGraph,
        keep: &[String],
    ) -> Result<(), ImportProblem> {
        if self.library.is_empty() {
            return Ok(());
        }
        let nodes = std::mem::take(&mut graph.nodes);
        let mut scope = self.scope(nodes, &[])?;
        let keep: HashSet<&str> = keep.iter().map(|name| super::reference(name).0).collect();
        scope.connect(&keep, true)?;
        if scope.calls() > 0 {
            graph.notes.push(calls_text(scope.calls()));
        }
        graph.nodes = scope.nodes;
        for node in &mut graph.nodes {
            let given = vec![None; data_inputs(node).len()];
            self.resolve_node(node, &given, "", &mut NoValues)?;
        }
        graph.functions = self.take().0;
        Ok(())
    }

    /// The functions that nodes refer to, in the order of their names, and what became of theirs.
    pub(super) fn take(&mut self) -> (Vec<SourceFunction>, Counts) {
        let made = std::mem::take(&mut self.made).into_values().collect();
        (made, std::mem::take(&mut self.counts))
    }

    /// Makes the functions that `node` of `function` calls, where it does. `given` are the
    /// variables whose handles its inputs are. Says whether it is If, While or Case.
    pub(super) fn resolve_node(
        &mut self,
        node: &mut SourceNode,
        given: &[Option<Variable>],
        function: &str,
        values: &mut dyn Values,
    ) -> Result<bool, ImportProblem> {
        let kind = kind(&node.op);
        let given = match kind {
            Some(Kind::Branch) => given.get(1..).unwrap_or_default(),
            _ => given,
        };
        let mut attrs = std::mem::take(&mut node.attrs);
        for (attr, value) in &mut attrs.0 {
            let names: Vec<&mut String> = match value {
                AttrValue::Func(name) => vec![name],
                AttrValue::Funcs(names) => names.iter_mut().collect(),
                _ => continue,
            };
            for name in names {
                if kind.is_none() && !self.library.contains(name) {
                    continue;
                }
                let made = self.make(name, &node.name, given, kind.is_some(), values)?;
                let is_body = attr == "body";
                let mut returned = made.handles.iter();
                if returned.any(|&(place, argument)| !is_body || argument != Some(place)) {
                    let why = format!(
                        "calls function `{name}`, which returns a variable instead of its value; cut with --output"
                    );
                    return Err(not_frozen(function, node, &why));
                }
                *name = made.name;
            }
        }
        node.attrs = attrs;
        Ok(kind.is_some())
    }

    /// Makes `function` with values in place of the handles in `given`.
    fn make(
        &mut self,
        name: &str,
        node: &str,
        given: &[Option<Variable>],
        is_flow: bool,
        values: &mut dyn Values,
    ) -> Result<Made, ImportProblem> {
        let types = given.iter().map(|it| it.as_ref().map(|it| it.dtype));
        let key: Key = (name.into(), types.collect());
        if let Some(made) = self.done.get(&key) {
            return Ok(made.clone());
        }
        if let Some(start) = self.open.iter().position(|open| open == name) {
            let mut round = self.open.get(start..).unwrap_or_default().to_vec();
            round.truncate(8);
            round.push(name.into());
            return Err(FunctionProblem::Recursive(round.join(" -> ")).of(name));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(FunctionProblem::TooDeep(MAX_DEPTH).of(name));
        }
        let function = self.library.get(name, node, &mut self.budget)?;
        let source = &function.source;
        if is_flow && source.inputs.len() != given.len() {
            return Err(FunctionProblem::Arguments {
                node: node.into(),
                expected: source.inputs.len(),
                found: given.len(),
            }
            .of(name));
        }
        self.open.push(name.into());
        let mut inputs = source.inputs.clone();
        let mut arguments = HashMap::new();
        for (place, (input, given)) in inputs.iter_mut().zip(given).enumerate() {
            if let Some(given) = given {
                input.dtype = given.dtype;
                let argument = Some(place);
                let given = given.clone();
                arguments.insert(input.name.clone(), Variable { argument, ..given });
            }
        }
        for node in &source.nodes {
            self.growth
                .spend(node)
                .ok_or_else(|| FunctionProblem::TooMany(node.name.clone()).of(name))?;
        }
        let mut scope = self.scope(source.nodes.clone(), &inputs)?;
        let control: Vec<String> = function
            .control
            .iter()
            .map(|it| scope.control(it))
            .collect();
        scope.connect(&HashSet::new(), false)?;
        let mut results = Vec::with_capacity(source.outputs.len());
        for output in &source.outputs {
            let resolved = scope.resolve(&output.tensor)?;
            results.push(resolved.unwrap_or_else(|| output.tensor.clone()));
        }
        let freeze = Freeze {
            function: name,
            arguments,
            results: &results,
            control: &control,
            fed: HashSet::new(),
        };
        let frozen = freeze.run(scope, self, values)?;
        self.counts.add(frozen.counts);
        self.open.pop();
        let mut own = name.to_owned();
        let mut count = 0usize;
        while self.made.contains_key(&own) {
            count += 1;
            own = format!("{name}_{count}");
        }
        let outputs = source.outputs.iter().zip(results);
        let made = SourceFunction {
            name: own.clone(),
            inputs,
            nodes: frozen.nodes,
            outputs: outputs
                .map(|(output, tensor)| SourceResult {
                    name: output.name.clone(),
                    tensor,
                })
                .collect(),
        };
        self.made.insert(own.clone(), made);
        let made = Made {
            name: own,
            handles: frozen.handles,
        };
        self.done.insert(key, made.clone());
        Ok(made)
    }
}

/// What is said of inlined calls.
pub(super) fn calls_text(calls: usize) -> String {
    match calls {
        1 => "1 function call inlined".into(),
        calls => format!("{calls} function calls inlined"),
    }
}
