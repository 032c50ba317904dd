//! Puts the values of variables into the graph.
//!
//! A variable becomes a Const node, and what reads it an ordinary op. A handle that is passed on,
//! into a loop or a branch, is replaced by the value: the function then takes a tensor.

use std::collections::{BTreeMap, HashMap, HashSet};

use tfjet_core::{AttrValue, Attrs, DType, Tensor};

use super::error::ImportProblem;
use super::functions::{Functions, Kind, kind};
use super::handles::{Variable, Wire, Wires};
use super::inline::{Scope, data_inputs, is_flow};
use super::reach::{index, is_data, reach};
use super::refuse::{is_assignment, is_variable, refusal};
use super::{SourceNode, reference};

/// Where values of variables come from.
pub(super) trait Values {
    /// The value of the variable that `node` holds.
    fn value(&mut self, node: &SourceNode) -> Result<AttrValue, ImportProblem>;
}

/// A scope to freeze.
pub(super) struct Freeze<'a> {
    /// The function that the nodes are of; empty for the graph.
    pub(super) function: &'a str,
    /// Arguments that are handles.
    pub(super) arguments: HashMap<String, Variable>,
    /// What is returned.
    pub(super) results: &'a [String],
    /// Nodes that run for what they do.
    pub(super) control: &'a [String],
    /// Nodes that the caller feeds.
    pub(super) fed: HashSet<String>,
}

/// A frozen scope.
pub(super) struct Frozen {
    /// The nodes that results depend on.
    pub(super) nodes: Vec<SourceNode>,
    /// Results that are handles: their places, and those of the arguments that they are.
    pub(super) handles: Vec<(usize, Option<usize>)>,
    /// What was frozen and dropped.
    pub(super) counts: Counts,
}

/// What became of nodes.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Variables that became constants.
    pub(super) frozen: usize,
    /// Nodes that ran only for what they do, by op.
    pub(super) dropped: BTreeMap<String, usize>,
}

impl Counts {
    /// Adds those of another scope.
    pub(super) fn add(&mut self, other: Self) {
        self.frozen += other.frozen;
        for (op, count) in other.dropped {
            *self.dropped.entry(op).or_default() += count;
        }
    }

    /// A line for each kind.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match self.frozen {
            0 => {}
            1 => notes.push("1 variable frozen".into()),
            count => notes.push(format!("{count} variables frozen")),
        }
        if !self.dropped.is_empty() {
            let ops = self
                .dropped
                .iter()
                .map(|(op, count)| format!("{count}x {op}"));
            let ops: Vec<String> = ops.collect();
            notes.push(format!(
                "dropped, as no output needs them: {}",
                ops.join(", ")
            ));
        }
        notes
    }
}

impl Freeze<'_> {
    /// Freezes what `results` depend on.
    pub(super) fn run(
        &self,
        mut scope: Scope,
        functions: &mut Functions,
        values: &mut dyn Values,
    ) -> Result<Frozen, ImportProblem> {
        let nodes = std::mem::take(&mut scope.nodes);
        let by_name = index(&nodes);
        let results = || self.results.iter().map(String::as_str);
        let control = self.control.iter().map(String::as_str);
        let runs = reach(&nodes, &by_name, results().chain(control), |_, _| true);
        let needed = reach(&nodes, &by_name, results(), is_data);
        let has_frames = nodes
            .iter()
            .zip(&needed)
            .any(|(it, needed)| *needed && is_flow(&it.op));
        let keeps = match has_frames {
            false => needed.clone(),
            true => reach(&nodes, &by_name, results(), |_, input| {
                let target = by_name
                    .get(reference(input).0)
                    .and_then(|&it| nodes.get(it));
                !input.starts_with('^') || target.is_some_and(|it| !is_effect(&it.op))
            }),
        };
        let wires = Wires {
            nodes: &nodes,
            by_name: &by_name,
        };
        let handles = wires.handles(&runs, &self.arguments);
        self.check_assignments(&wires, &runs, &needed, &handles)?;

        let mut counts = Counts::default();
        for ((node, runs), keeps) in nodes.iter().zip(&runs).zip(&keeps) {
            if *runs && !keeps && is_effect(&node.op) {
                *counts.dropped.entry(node.op.clone()).or_default() += 1;
            }
        }
        let of_results = (self.results.iter().enumerate())
            .filter_map(|(place, tensor)| {
                let wire = wires.wire(tensor, &self.arguments)?;
                Some((place, handles.get(&wire)?.argument))
            })
            .collect();
        let kept_names: HashSet<String> = (nodes.iter().zip(&keeps))
            .filter(|(_, keeps)| **keeps)
            .map(|(node, _)| node.name.clone())
            .collect();
        let given: Vec<Vec<Option<Variable>>> = nodes
            .iter()
            .map(|node| {
                let inputs = data_inputs(node).iter();
                inputs
                    .map(|input| {
                        let wire = wires.wire(input, &self.arguments)?;
                        handles.get(&wire).cloned()
                    })
                    .collect()
            })
            .collect();
        let mut frozen = Vec::with_capacity(kept_names.len());
        for ((mut node, keeps), given) in nodes.into_iter().zip(keeps).zip(given) {
            if !keeps {
                continue;
            }
            if has_frames {
                let is_kept = |input: &String| {
                    let target = input.strip_prefix('^');
                    target.is_none_or(|it| kept_names.contains(it))
                };
                node.inputs.retain(is_kept);
            } else {
                node.inputs.retain(|input| !input.starts_with('^'));
            }
            counts.frozen += usize::from(is_variable(&node.op));
            self.node(node, &given, &mut scope, functions, values, &mut frozen)?;
        }
        Ok(Frozen {
            nodes: frozen,
            handles: of_results,
            counts,
        })
    }

    /// Refuses assignments that what is returned depends on.
    fn check_assignments(
        &self,
        wires: &Wires<'_>,
        runs: &[bool],
        needed: &[bool],
        handles: &HashMap<Wire<'_>, Variable>,
    ) -> Result<(), ImportProblem> {
        let read: HashSet<&str> = (wires.nodes.iter().zip(needed))
            .filter(|(_, needed)| **needed)
            .flat_map(|(node, _)| data_inputs(node))
            .filter_map(|input| wires.wire(input, &self.arguments))
            .filter_map(|wire| handles.get(&wire))
            .map(|variable| variable.name.as_str())
            .collect();
        for ((node, runs), needed) in wires.nodes.iter().zip(runs).zip(needed) {
            if !runs || !is_assignment(&node.op) {
                continue;
            }
            let target = data_inputs(node).first();
            let variable = target
                .and_then(|input| wires.wire(input, &self.arguments))
                .and_then(|wire| handles.get(&wire));
            let Some(variable) = variable else {
                if *needed {
                    return Err(self.refused(node, "assigns a variable, which cannot be frozen"));
                }
                continue;
            };
            if *needed || !self.function.is_empty() || read.contains(variable.name.as_str()) {
                return Err(self.refused(
                    node,
                    &format!(
                        "assigns variable `{}`, which an output depends on: a model with state from run to run cannot be frozen; export one without it, or cut with --output",
                        variable.name
                    ),
                ));
            }
        }
        Ok(())
    }

    fn refused(&self, node: &SourceNode, why: &str) -> ImportProblem {
        not_frozen(self.function, node, why)
    }

    /// Adds what stands for `node`; `given` are the variables among its data inputs.
    fn node(
        &self,
        mut node: SourceNode,
        given: &[Option<Variable>],
        scope: &mut Scope,
        functions: &mut Functions,
        values: &mut dyn Values,
        frozen: &mut Vec<SourceNode>,
    ) -> Result<(), ImportProblem> {
        if self.fed.contains(&node.name) {
            frozen.push(node);
            return Ok(());
        }
        if is_variable(&node.op) {
            frozen.push(constant(&node.name, values.value(&node)?));
            return Ok(());
        }
        if let Some(why) = refusal(&node.op) {
            return Err(self.refused(&node, why));
        }
        if let Some(op) = node.op.strip_prefix("Ref")
            && matches!(
                op,
                "Identity" | "Enter" | "Exit" | "NextIteration" | "Switch" | "Merge" | "Select"
            )
        {
            node.op = op.into();
        }
        if functions.resolve_node(&mut node, given, self.function, values)? || passes(&node.op) {
            for (place, variable) in given.iter().enumerate() {
                if let Some(variable) = variable {
                    retype(&mut node, place, variable);
                }
            }
            frozen.push(node);
            return Ok(());
        }
        let mut resources = given.iter().flatten().filter(|it| !it.is_reference);
        let first = given.first().and_then(Option::as_ref);
        let Some(variable) = first.filter(|it| !it.is_reference || node.op.starts_with("Is"))
        else {
            if let Some(variable) = resources.next() {
                return Err(self.unreadable(&node, variable));
            }
            frozen.push(node);
            return Ok(());
        };
        let dtype = node.attrs.0.remove("dtype");
        let dtype = dtype.unwrap_or(AttrValue::Type(variable.dtype));
        match node.op.as_str() {
            "ReadVariableOp" => {
                node.op = "Identity".into();
                node.attrs = Attrs::default().with("T", dtype);
            }
            "ResourceGather" => {
                let axis = match node.attrs.get("batch_dims") {
                    Some(AttrValue::Int(dims)) => i32::try_from(*dims).unwrap_or(0),
                    _ => 0,
                };
                let name = scope.unique(format!("{}/axis", node.name));
                frozen.push(constant(&name, AttrValue::Tensor(Tensor::scalar(axis))));
                let place = data_inputs(&node).len();
                node.inputs.insert(place, name);
                node.op = "GatherV2".into();
                node.attrs.insert("Tparams", dtype);
                node.attrs
                    .insert("Taxis", AttrValue::Type(Some(DType::I32)));
            }
            "ResourceGatherNd" => {
                node.op = "GatherNd".into();
                node.attrs.insert("Tparams", dtype);
            }
            "VariableShape" => {
                node.op = "Shape".into();
                node.attrs.insert("T", AttrValue::Type(variable.dtype));
            }
            "VarIsInitializedOp" | "IsVariableInitialized" => {
                let yes = Tensor::from_bools(&[], &[true])
                    .map_err(|_| self.unreadable(&node, variable))?;
                node = constant(&node.name, AttrValue::Tensor(yes));
            }
            _ => return Err(self.unreadable(&node, variable)),
        }
        frozen.push(node);
        Ok(())
    }

    fn unreadable(&self, node: &SourceNode, variable: &Variable) -> ImportProblem {
        let name = &variable.name;
        self.refused(
            node,
            &format!("uses variable `{name}` in a way that cannot be frozen; cut with --output"),
        )
    }
}

/// Ops that hand a handle on.
fn passes(op: &str) -> bool {
    matches!(
        op,
        "Identity" | "IdentityN" | "Enter" | "Exit" | "NextIteration" | "Switch" | "Merge"
    )
}

/// Ops that run for what they do.
fn is_effect(op: &str) -> bool {
    is_assignment(op) || op.starts_with("Write") || matches!(op, "Assert" | "Print" | "PrintV2")
}

/// The type of the handle at `place` among the inputs becomes that of its variable's value.
fn retype(node: &mut SourceNode, place: usize, variable: &Variable) {
    let place = match kind(&node.op) {
        Some(Kind::Branch) => place.saturating_sub(1),
        _ => place,
    };
    for (name, value) in &mut node.attrs.0 {
        match (name.as_str(), value) {
            ("T", AttrValue::Type(dtype)) => *dtype = variable.dtype,
            ("T" | "Tin", AttrValue::Types(types)) => {
                if let Some(dtype) = types.get_mut(place) {
                    *dtype = variable.dtype;
                }
            }
            ("output_shapes", AttrValue::Shapes(shapes)) => {
                if let Some(shape) = shapes.get_mut(place) {
                    shape.clone_from(&variable.shape);
                }
            }
            _ => {}
        }
    }
}

/// The error for a node that cannot be frozen; `function` is empty for the graph.
pub(super) fn not_frozen(function: &str, node: &SourceNode, why: &str) -> ImportProblem {
    ImportProblem::NotFrozen {
        node: match function {
            "" => node.name.clone(),
            function => format!("{function}/{}", node.name),
        },
        op: node.op.clone(),
        why: why.into(),
    }
}

fn constant(name: &str, value: AttrValue) -> SourceNode {
    let dtype = match &value {
        AttrValue::Tensor(tensor) => Some(tensor.dtype()),
        _ => None,
    };
    SourceNode {
        name: name.into(),
        op: "Const".into(),
        device: String::new(),
        inputs: Vec::new(),
        attrs: Attrs::default()
            .with("dtype", AttrValue::Type(dtype))
            .with("value", value),
    }
}
