use std::collections::HashSet;

use tfjet_core::{AttrValue, Attrs};

use super::attr::attr_value;
use super::error::ImportProblem;
use super::proto::{FunctionDefLibrary, NodeDef};
use super::tensor::RepeatBudget;
use super::{Format, Signature, SourceGraph, SourceNode};

/// Builds a [`SourceGraph`] node by node.
pub(super) struct GraphCollector {
    graph: SourceGraph,
    names: HashSet<String>,
    budget: RepeatBudget,
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
            },
            names: HashSet::new(),
            budget: RepeatBudget::default(),
        }
    }

    /// Number of nodes so far.
    pub(super) fn len(&self) -> usize {
        self.graph.nodes.len()
    }

    pub(super) fn push(&mut self, node: NodeDef) -> Result<(), ImportProblem> {
        if node.name.is_empty() {
            return Err(ImportProblem::UnnamedNode(self.len()));
        }
        if node.op.is_empty() {
            return Err(ImportProblem::NoOp(node.name));
        }
        if !self.names.insert(node.name.clone()) {
            return Err(ImportProblem::DuplicateNode(node.name));
        }
        let mut attrs = Attrs::default();
        for (attr, value) in node.attr {
            match attr_value(value, &mut self.budget) {
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
        self.graph.nodes.push(SourceNode {
            name: node.name,
            op: node.op,
            device: node.device,
            inputs: node.input,
            attrs,
        });
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
        let names = library
            .function
            .into_iter()
            .filter_map(|function| function.signature);
        self.graph
            .functions
            .extend(names.map(|signature| signature.name));
    }

    pub(super) fn set_producer(&mut self, producer: i32) {
        self.graph.producer = producer;
    }

    pub(super) fn set_signature(&mut self, signature: Signature) {
        self.graph.signature = Some(signature);
    }

    pub(super) fn finish(self) -> Result<SourceGraph, ImportProblem> {
        if self.graph.nodes.is_empty() {
            return Err(ImportProblem::EmptyGraph);
        }
        Ok(self.graph)
    }
}
