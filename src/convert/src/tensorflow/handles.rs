//! Where the handles of variables go.

use std::collections::HashMap;

use tfjet_core::{AttrValue, DType, Shape};

use super::inline::data_inputs;
use super::refuse::is_variable;
use super::{SourceNode, reference};

/// A variable whose handle a tensor is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) dtype: Option<DType>,
    pub(super) shape: Option<Shape>,
    /// Is it one of TensorFlow 1, which any op reads without more ado?
    pub(super) is_reference: bool,
    /// Place of the argument that it comes in by, in a function.
    pub(super) argument: Option<usize>,
}

/// One output of a node, or an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Wire<'a> {
    Node(usize, usize),
    Argument(&'a str),
}

/// The nodes of a scope and how they refer to each other.
pub(super) struct Wires<'a> {
    pub(super) nodes: &'a [SourceNode],
    pub(super) by_name: &'a HashMap<&'a str, usize>,
}

impl<'a> Wires<'a> {
    /// The output or the argument that an input is; `None` for a name of nothing.
    pub(super) fn wire<'b>(
        &self,
        input: &str,
        arguments: &'b HashMap<String, Variable>,
    ) -> Option<Wire<'b>> {
        if let Some((argument, _)) = arguments.get_key_value(input) {
            return Some(Wire::Argument(argument));
        }
        let (name, port) = reference(input);
        Some(Wire::Node(*self.by_name.get(name)?, port))
    }

    /// Every wire that is the handle of a variable.
    pub(super) fn handles<'b>(
        &self,
        runs: &[bool],
        arguments: &'b HashMap<String, Variable>,
    ) -> HashMap<Wire<'b>, Variable> {
        let mut takers: HashMap<Wire<'b>, Vec<(usize, usize)>> = HashMap::new();
        let mut open: Vec<(Wire<'b>, Variable)> = Vec::new();
        for (index, (node, runs)) in self.nodes.iter().zip(runs).enumerate() {
            if !runs {
                continue;
            }
            for (place, input) in data_inputs(node).iter().enumerate() {
                if let Some(wire) = self.wire(input, arguments) {
                    takers.entry(wire).or_default().push((index, place));
                }
            }
            if is_variable(&node.op) {
                open.push((Wire::Node(index, 0), variable(node)));
            }
        }
        let arguments = arguments.iter();
        open.extend(arguments.map(|(name, variable)| (Wire::Argument(name), variable.clone())));
        let mut handles = HashMap::new();
        while let Some((wire, variable)) = open.pop() {
            if handles.contains_key(&wire) {
                continue;
            }
            for &(index, place) in takers.get(&wire).into_iter().flatten() {
                let ports = self
                    .nodes
                    .get(index)
                    .map(|node| handed_on(node, place, &variable));
                let wires = ports.unwrap_or_default();
                let wires = wires.iter().map(|port| Wire::Node(index, *port));
                open.extend(wires.map(|wire| (wire, variable.clone())));
            }
            handles.insert(wire, variable);
        }
        handles
    }
}

/// The variable that `node` holds.
fn variable(node: &SourceNode) -> Variable {
    Variable {
        name: node.name.clone(),
        dtype: match node.attrs.get("dtype") {
            Some(AttrValue::Type(dtype)) => *dtype,
            _ => None,
        },
        shape: match node.attrs.get("shape") {
            Some(AttrValue::Shape(shape)) => shape.clone(),
            _ => None,
        },
        is_reference: node.op != "VarHandleOp",
        argument: None,
    }
}

/// The outputs of `node` that are the handle which comes in at `place`. A reference that is read
/// is a value from there on.
fn handed_on(node: &SourceNode, place: usize, variable: &Variable) -> Vec<usize> {
    let op = match (node.op.strip_prefix("Ref"), variable.is_reference) {
        (Some(op), true) => op,
        (None, false) => node.op.as_str(),
        _ => return Vec::new(),
    };
    match (op, place) {
        ("IdentityN" | "While" | "StatelessWhile", place) => vec![place],
        ("Switch", 0) => vec![0, 1],
        ("Merge", _) => vec![0],
        ("Identity" | "Enter" | "Exit" | "NextIteration", 0) => vec![0],
        _ => Vec::new(),
    }
}
