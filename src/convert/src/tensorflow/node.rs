use std::collections::{HashMap, HashSet};

use tfjet_core::{AttrValue, Attrs};

use super::attr::attr_value;
use super::defaults;
use super::error::ImportProblem;
use super::function::Library;
use super::functions::Functions;
use super::proto::{FunctionDefLibrary, NodeDef};
use super::tensor::RepeatBudget;
use super::{Format, Signature, SourceGraph, SourceNode};

/// The node with all its attributes; `index` is its place among the nodes.
pub(super) fn source_node(
    node: NodeDef,
    index: usize,
    budget: &mut RepeatBudget,
) -> Result<SourceNode, ImportProblem> {
    if node.name.is_empty() {
        return Err(ImportProblem::UnnamedNode(index));
    }
    if node.op.is_empty() {
        return Err(ImportProblem::NoOp(node.name));
    }
    let mut attrs = Attrs::default();
    for (attr, value) in node.attr {
        match attr_value(value, budget) {
            Ok(value) => attrs.insert(attr, value),
            Err(problem) => {
                return Err(ImportProblem::Attr {
                    node: node.name,
                    op: node.op,
                    attr,
                    problem,
                });
            }
        }
    }
    defaults::fill(&node.op, &mut attrs);
    Ok(SourceNode {
        name: node.name,
        op: node.op,
        device: node.device,
        inputs: node.input,
        attrs,
    })
}

/// Builds a [`SourceGraph`] node by node.
pub(super) struct GraphCollector {
    graph: SourceGraph,
    names: HashSet<String>,
    budget: RepeatBudget,
    library: FunctionDefLibrary,
    constants: HashMap<String, AttrValue>,
}

impl GraphCollector {
    pub(super) fn new(format: Format) -> Self {
        Self {
            graph: SourceGraph {
                nodes: Vec::new(),
                signature: None,
                functions: Vec::new(),
                producer: 0,
                format,
                notes: Vec::new(),
            },
            names: HashSet::new(),
            budget: RepeatBudget::default(),
            library: FunctionDefLibrary::default(),
            constants: HashMap::new(),
        }
    }

    /// Number of nodes so far.
    pub(super) fn len(&self) -> usize {
        self.graph.nodes.len()
    }

    pub(super) fn push(&mut self, node: NodeDef) -> Result<(), ImportProblem> {
        let node = source_node(node, self.len(), &mut self.budget)?;
        if !self.names.insert(node.name.clone()) {
            return Err(ImportProblem::DuplicateNode(node.name));
        }
        self.graph.nodes.push(node);
        Ok(())
    }

    /// Like [`GraphCollector::push`], with attribute `value` from elsewhere.
    pub(super) fn push_constant(
        &mut self,
        mut node: NodeDef,
        value: AttrValue,
    ) -> Result<(), ImportProblem> {
        node.attr.remove("value");
        self.push(node)?;
        if let Some(node) = self.graph.nodes.last_mut() {
            node.attrs.insert("value", value);
        }
        Ok(())
    }

    pub(super) fn add_library(&mut self, library: FunctionDefLibrary) {
        self.library.function.extend(library.function);
    }

    /// Gives a Const node of the library's functions its value.
    pub(super) fn add_function_constant(&mut self, node: String, value: AttrValue) {
        self.constants.insert(node, value);
    }

    pub(super) fn set_producer(&mut self, producer: i32) {
        self.graph.producer = producer;
    }

    pub(super) fn set_signature(&mut self, signature: Signature) {
        self.graph.signature = Some(signature);
    }

    /// The graph, its calls inlined; a node that `keep` names keeps its name.
    pub(super) fn finish(mut self, keep: &[String]) -> Result<SourceGraph, ImportProblem> {
        if self.graph.nodes.is_empty() {
            return Err(ImportProblem::EmptyGraph);
        }
        let library = Library::new(self.library, self.constants)?;
        let mut functions = Functions::new(library, self.budget);
        functions.resolve(&mut self.graph, keep)?;
        Ok(self.graph)
    }
}
