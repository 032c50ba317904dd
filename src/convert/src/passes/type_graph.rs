use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tfjet_core::{AttrReader, Dim, Tensor};

use super::fold::{fold, known_vector};
use super::prune::{needed, topological};
use super::type_call::{Caller, type_call};
use crate::graph::infer::{Context, InferError, infer};
use crate::graph::{
    Call, Function, Graph, Node, NodeId, Sizes, TypedCall, TypedGraph, WireFact, WireId,
    output_count,
};

/// A node contradicts TensorFlow's rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node `{node}` ({op}): {source}")]
pub struct TypeError {
    /// The node.
    pub node: String,
    /// Its op.
    pub op: String,
    /// What is wrong.
    pub source: InferError,
}

/// What the typing of a graph and of its functions shares.
pub(super) struct Typing<'a> {
    /// A node for which it holds is left as it is.
    pub(super) keep: &'a dyn Fn(&Node) -> bool,
    pub(super) library: &'a BTreeMap<String, Arc<Function>>,
}

/// What is known before a graph is typed.
#[derive(Default)]
pub(super) struct Given<'a> {
    /// Of each input.
    pub(super) inputs: Vec<WireFact>,
    /// Formulas that dims are named after.
    pub(super) sizes: Sizes,
    /// The same graph as it was typed before. Of nodes that are the same still, values are taken.
    pub(super) previous: Option<&'a TypedGraph>,
    /// How many functions lie around.
    pub(super) depth: usize,
}

/// Prunes to the outputs, bypasses no-ops, infers types and shapes and folds constants, in the
/// graph and in the functions that it calls.
///
/// A node for which `keep` holds is left as it is: neither folded nor bypassed.
pub fn type_graph(graph: Graph, keep: &dyn Fn(&Node) -> bool) -> Result<TypedGraph, TypeError> {
    let mut typed = type_again(graph, keep, None)?;
    finish(&mut typed, keep);
    Ok(typed)
}

/// What is done to a typed graph that no pass rewrites any more.
pub(super) fn finish(typed: &mut TypedGraph, keep: &dyn Fn(&Node) -> bool) {
    state_targets(typed, keep);
    let dropped = control_edges(typed);
    if dropped > 0 {
        typed.notes.push(format!(
            "{dropped} control edges dropped: the ops that they order have no side effects"
        ));
    }
}

/// [`type_graph`] after `previous`. No pass changes op or attributes of a node, so that values of
/// nodes that read the same hold still.
pub(super) fn type_again(
    graph: Graph,
    keep: &dyn Fn(&Node) -> bool,
    previous: Option<&TypedGraph>,
) -> Result<TypedGraph, TypeError> {
    let library = graph.functions.clone();
    let typing = Typing {
        keep,
        library: &library,
    };
    let inputs = graph.inputs.iter();
    let given = Given {
        inputs: inputs
            .map(|input| WireFact::new(input.dtype, input.shape.clone()))
            .collect(),
        previous,
        ..Given::default()
    };
    type_with(graph, given, &typing)
}

/// The graph of a function's or the model's nodes, typed with what is given.
pub(super) fn type_with(
    mut graph: Graph,
    given: Given<'_>,
    typing: &Typing<'_>,
) -> Result<TypedGraph, TypeError> {
    let source_inputs: Vec<Vec<WireId>> =
        graph.nodes.iter().map(|node| node.inputs.clone()).collect();
    let fed: BTreeSet<WireId> = graph.inputs.iter().map(|input| input.wire).collect();
    let needed_in_source = needed(
        &graph,
        |id| graph.node(id).inputs.clone(),
        graph.outputs.iter().map(|output| output.wire),
        |wire| fed.contains(&wire),
    );
    let source_order = topological(&graph, &needed_in_source, |id| {
        let inputs = graph.node(id).inputs.iter().copied();
        inputs.filter(|wire| !fed.contains(wire)).collect()
    });
    let mut typer = Typer {
        facts: vec![Vec::new(); graph.nodes.len()],
        kept: vec![false; graph.nodes.len()],
        sizes: given.sizes,
        previous: given.previous,
        depth: given.depth,
        aliases: BTreeMap::new(),
        functions: BTreeMap::new(),
        notes: Vec::new(),
        fed,
        typing,
    };
    for (input, fact) in graph.inputs.iter().zip(given.inputs) {
        let slots = &mut typer.facts[input.wire.node.index()];
        let slot = usize::try_from(input.wire.slot).unwrap_or(0);
        slots.resize(slots.len().max(slot + 1), WireFact::default());
        if let Some(shape) = &fact.shape {
            typer.sizes.settle(input.wire, shape);
        }
        slots[slot] = fact;
    }
    for &id in &source_order {
        typer.node(&mut graph, id)?;
    }
    for output in &mut graph.outputs {
        output.wire = typer.resolved(output.wire);
    }
    let mut typed = TypedGraph {
        live: Vec::new(),
        order: Vec::new(),
        derived: Vec::new(),
        needed: needed_in_source,
        source_order,
        graph,
        source_inputs,
        facts: typer.facts,
        sizes: typer.sizes,
        functions: typer.functions,
        image: None,
        take_ranges: false,
        notes: typer.notes,
    };
    let ids = typed.graph.ids();
    typed.derived = ids.map(|id| is_derived(&typed, id, &typer.kept)).collect();
    let order = computed(&typed, &|_| false);
    typed.settle(order);
    Ok(typed)
}

/// A graph while it is typed.
struct Typer<'a> {
    typing: &'a Typing<'a>,
    previous: Option<&'a TypedGraph>,
    depth: usize,
    fed: BTreeSet<WireId>,
    facts: Vec<Vec<WireFact>>,
    kept: Vec<bool>,
    sizes: Sizes,
    /// What readers of a wire read instead.
    aliases: BTreeMap<WireId, WireId>,
    functions: BTreeMap<NodeId, TypedCall>,
    notes: Vec<String>,
}

impl Typer<'_> {
    fn resolved(&self, wire: WireId) -> WireId {
        match self.aliases.get(&wire) {
            Some(alias) if !self.fed.contains(&wire) => *alias,
            _ => wire,
        }
    }

    fn fact(&self, wire: WireId) -> WireFact {
        let slots = self.facts.get(wire.node.index());
        let slot = usize::try_from(wire.slot).unwrap_or(usize::MAX);
        let fact = slots.and_then(|slots| slots.get(slot));
        fact.cloned().unwrap_or_default()
    }

    fn node(&mut self, graph: &mut Graph, id: NodeId) -> Result<(), TypeError> {
        let inputs = graph.node(id).inputs.iter();
        let inputs: Vec<WireId> = inputs.map(|wire| self.resolved(*wire)).collect();
        graph.nodes[id.index()].inputs = inputs;
        let node = graph.node(id);
        let kept = node.op != "Const" && (self.typing.keep)(node);
        if !kept {
            bypass(node, id, &self.fed, &mut self.aliases, &mut self.notes);
        }
        self.kept[id.index()] = kept;
        let computed = match Call::of(node) {
            Some(call) => self.call(node, id, &call)?,
            None => self.outputs(node, id, kept)?,
        };
        for (slot, fact) in computed.into_iter().enumerate() {
            let wire = WireId::new(id, u32::try_from(slot).unwrap_or(u32::MAX));
            let fed = self.fed.contains(&wire);
            if let Some(shape) = fact.shape.as_ref().filter(|_| fact.value.is_none() && !fed) {
                self.sizes.settle(wire, shape);
            }
            let slots = &mut self.facts[id.index()];
            if slots.len() <= slot {
                slots.push(fact);
            } else if !fed {
                slots[slot] = fact;
            }
        }
        Ok(())
    }

    fn call(&mut self, node: &Node, id: NodeId, call: &Call) -> Result<Vec<WireFact>, TypeError> {
        let inputs: Vec<WireFact> = node.inputs.iter().map(|wire| self.fact(*wire)).collect();
        let previous = self.previous.and_then(|typed| {
            let same = typed.graph.nodes.get(id.index())?.name == node.name;
            typed.functions.get(&id).filter(|_| same)
        });
        let caller = Caller {
            node,
            inputs: &inputs,
            sizes: &self.sizes,
            previous,
            depth: self.depth + 1,
            typing: self.typing,
        };
        let called = type_call(&caller, call)?;
        for (slot, passed) in (0..).zip(&called.passed) {
            let (wire, input) = (WireId::new(id, slot), node.inputs.get(slot_index(slot)));
            if let Some(input) = input.filter(|_| *passed && !self.fed.contains(&wire)) {
                self.aliases.insert(wire, *input);
            }
        }
        self.functions.insert(id, called.call);
        Ok(called.outputs)
    }

    fn outputs(&self, node: &Node, id: NodeId, kept: bool) -> Result<Vec<WireFact>, TypeError> {
        static UNKNOWN: WireFact = WireFact {
            dtype: None,
            shape: None,
            value: None,
            elements: None,
        };
        if matches!(node.op.as_str(), "Placeholder" | "_Arg") {
            return Ok(Vec::new());
        }
        let inputs = node.inputs.iter().map(|wire| {
            let slots = &self.facts[wire.node.index()];
            slots.get(slot_index(wire.slot)).unwrap_or(&UNKNOWN)
        });
        let inputs: Vec<&WireFact> = inputs.collect();
        if !kept && let Some(known) = self.folded_before(node, id, &inputs) {
            return Ok(known);
        }
        let count = output_count(&node.op, &node.attrs).unwrap_or(1);
        let count = usize::try_from(count).unwrap_or(0);
        if node.op == "Const"
            && let Some(values) = fold(node, &[], &[])
        {
            return Ok(values.into_iter().map(WireFact::constant).collect());
        }
        let error = |source| TypeError {
            node: node.name.clone(),
            op: node.op.clone(),
            source,
        };
        let context = Context {
            node,
            inputs,
            attrs: AttrReader::new(&node.attrs),
            sizes: &self.sizes,
        };
        let mut inferred = infer(&context, count).map_err(error)?;
        if kept {
            return Ok(inferred);
        }
        if let Some(values) = fold(node, &context.inputs, &inferred) {
            return Ok(values.into_iter().map(WireFact::constant).collect());
        }
        for fact in &mut inferred {
            if fact.value.is_none()
                && let Some(value) = known_vector(fact)
            {
                *fact = WireFact::constant(Arc::new(value));
            }
        }
        Ok(inferred)
    }

    /// The values of a node that was folded before from the same values.
    fn folded_before(
        &self,
        node: &Node,
        id: NodeId,
        inputs: &[&WireFact],
    ) -> Option<Vec<WireFact>> {
        let previous = self.previous?;
        let before = previous.graph.nodes.get(id.index())?;
        let facts = previous.facts.get(id.index())?;
        let known = !facts.is_empty() && facts.iter().all(|fact| fact.value.is_some());
        if !known || before.name != node.name || before.inputs.len() != inputs.len() {
            return None;
        }
        let same = before.inputs.iter().zip(inputs).all(|(wire, now)| {
            match (&previous.fact(*wire).value, &now.value) {
                (Some(before), Some(now)) => Arc::ptr_eq(before, now),
                _ => false,
            }
        });
        (before.op == node.op && same).then(|| facts.clone())
    }
}

fn slot_index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

/// What computes something at run time, in topological order, given the nodes that engines
/// compute: those work out sizes themselves, so that the arithmetic on shapes before them is not
/// needed.
pub(crate) fn computed(typed: &TypedGraph, in_engine: &dyn Fn(NodeId) -> bool) -> Vec<NodeId> {
    let given = |wire: WireId| typed.graph.is_input(wire) || typed.fact(wire).value.is_some();
    let inputs = |id: NodeId| -> Vec<WireId> {
        let mut reads = typed.reads(id, in_engine(id));
        reads.retain(|&wire| !given(wire));
        reads
    };
    let outputs = typed.graph.outputs.iter().map(|output| output.wire);
    let live = needed(&typed.graph, inputs, outputs, given);
    topological(&typed.graph, &live, inputs)
}

/// Does the node compute nothing but numbers that follow from sizes?
fn is_derived(typed: &TypedGraph, id: NodeId, kept: &[bool]) -> bool {
    let node = typed.graph.node(id);
    let facts = &typed.facts[id.index()];
    if kept[id.index()] || facts.is_empty() {
        return false;
    }
    let describes = matches!(node.op.as_str(), "Shape" | "ShapeN" | "Size" | "Rank");
    let stays = |wire: &WireId| kept[wire.node.index()] && typed.fact(*wire).value.is_none();
    if !describes && node.inputs.iter().any(stays) {
        return false;
    }
    (0..).zip(facts).all(|(slot, fact)| {
        let known = fact
            .elements
            .as_ref()
            .and_then(|all| typed.sizes.homes(all));
        known.is_some() && !typed.graph.is_input(WireId::new(id, slot))
    })
}

/// Lets consumers of a no-op read its input instead.
fn bypass(
    node: &Node,
    id: NodeId,
    fed: &BTreeSet<WireId>,
    aliases: &mut BTreeMap<WireId, WireId>,
    notes: &mut Vec<String>,
) {
    let inputs = &node.inputs;
    let passes = match node.op.as_str() {
        "Identity" | "Snapshot" | "StopGradient" | "PreventGradient" | "PlaceholderWithDefault" => {
            1
        }
        "CheckNumerics" => {
            notes.push(format!(
                "node `{}` (CheckNumerics) dropped: values are not checked",
                node.name
            ));
            1
        }
        "IdentityN" => inputs.len(),
        "Cast"
            if node
                .attrs
                .get("SrcT")
                .is_some_and(|from| node.attrs.get("DstT") == Some(from)) =>
        {
            1
        }
        _ => 0,
    };
    for (slot, &input) in inputs.iter().take(passes).enumerate() {
        let wire = WireId::new(id, u32::try_from(slot).unwrap_or(u32::MAX));
        if !fed.contains(&wire) {
            aliases.insert(wire, input);
        }
    }
}

/// Gives reshapes whose results have one unknown size at most a constant target, so that the
/// arithmetic on shapes before them is not needed at run time.
fn state_targets(typed: &mut TypedGraph, keep: &dyn Fn(&Node) -> bool) {
    let mut stated = false;
    for id in typed.order.clone() {
        let node = typed.graph.node(id);
        if node.op == "Reshape" && !keep(node) {
            stated |= state_target(typed, id);
        }
    }
    for function in typed
        .functions
        .values_mut()
        .flat_map(|it| &mut it.functions)
    {
        state_targets(function, keep);
    }
    if stated {
        let order = computed(typed, &|_| false);
        typed.settle(order);
    }
}

fn state_target(typed: &mut TypedGraph, id: NodeId) -> bool {
    let [_, target] = typed.graph.node(id).inputs[..] else {
        return false;
    };
    if typed.fact(target).value.is_some() {
        return false;
    }
    let Some(shape) = &typed.fact(WireId::new(id, 0)).shape else {
        return false;
    };
    let sizes = shape.dims().iter().map(|dim| match dim {
        Dim::Fixed(0) => None,
        Dim::Fixed(size) => i32::try_from(*size).ok(),
        Dim::Symbolic(_) => Some(-1),
    });
    let sizes: Option<Vec<i32>> = sizes.collect();
    let Some(sizes) = sizes.filter(|sizes| sizes.iter().filter(|&&size| size == -1).count() <= 1)
    else {
        return false;
    };
    let Ok(value) = Tensor::from_slice(&[sizes.len()], &sizes) else {
        return false;
    };
    let name = format!("{}/target", typed.graph.node(id).name);
    let wire = typed.add_constant(&name, value);
    typed.graph.nodes[id.index()].inputs[1] = wire;
    true
}

/// Control edges into what is computed.
fn control_edges(typed: &TypedGraph) -> usize {
    let order = typed.order.iter();
    let own: usize = order.map(|id| typed.graph.node(*id).control.len()).sum();
    let functions = typed.functions.values().flat_map(|call| &call.functions);
    own + functions.map(control_edges).sum::<usize>()
}
