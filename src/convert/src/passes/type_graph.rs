use std::collections::BTreeMap;
use std::sync::Arc;

use tfjet_core::{AttrReader, AttrValue, Dim, Tensor};

use super::fold::{fold, known_vector};
use super::prune::{needed, topological};
use crate::graph::infer::{Context, InferError, infer};
use crate::graph::{Graph, Node, NodeId, Sizes, TypedGraph, WireFact, WireId, output_count};

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

/// Prunes to the outputs, bypasses no-ops, infers types and shapes and folds constants.
///
/// A node for which `keep` holds is left as it is: neither folded nor bypassed.
pub fn type_graph(mut graph: Graph, keep: &dyn Fn(&Node) -> bool) -> Result<TypedGraph, TypeError> {
    let source_inputs: Vec<Vec<WireId>> =
        graph.nodes.iter().map(|node| node.inputs.clone()).collect();
    let fed: BTreeMap<WireId, usize> = graph
        .inputs
        .iter()
        .enumerate()
        .map(|(index, input)| (input.wire, index))
        .collect();
    let needed_in_source = needed(
        &graph,
        |id| graph.node(id).inputs.clone(),
        graph.outputs.iter().map(|output| output.wire),
        |wire| fed.contains_key(&wire),
    );
    let source_order = topological(&graph, &needed_in_source, |id| {
        let inputs = &graph.node(id).inputs;
        inputs
            .iter()
            .copied()
            .filter(|wire| !fed.contains_key(wire))
            .collect()
    });
    let mut notes = Vec::new();
    let mut facts: Vec<Vec<WireFact>> = vec![Vec::new(); graph.nodes.len()];
    for input in &graph.inputs {
        let slots = &mut facts[input.wire.node.index()];
        let slot = usize::try_from(input.wire.slot).unwrap_or(0);
        slots.resize(slots.len().max(slot + 1), WireFact::default());
        slots[slot] = WireFact::new(input.dtype, input.shape.clone());
    }
    let mut sizes = Sizes::default();
    for input in &graph.inputs {
        if let Some(shape) = &input.shape {
            sizes.settle(input.wire, shape);
        }
    }
    let mut kept_nodes: Vec<bool> = vec![false; graph.nodes.len()];
    let mut aliases: BTreeMap<WireId, WireId> = BTreeMap::new();
    let mut frames: Vec<Option<String>> = vec![None; graph.nodes.len()];
    for &id in &source_order {
        let inputs: Vec<WireId> = graph
            .node(id)
            .inputs
            .iter()
            .map(|wire| {
                if fed.contains_key(wire) {
                    *wire
                } else {
                    *aliases.get(wire).unwrap_or(wire)
                }
            })
            .collect();
        frames[id.index()] = frame(&graph, id, &frames);
        let kept = graph.node(id).op != "Const" && keep(graph.node(id));
        if !kept {
            bypass(&graph, id, &inputs, &fed, &mut aliases, &mut notes);
        }
        kept_nodes[id.index()] = kept;
        let computed = outputs(&graph, id, &inputs, &facts, (&sizes, kept))?;
        let slots = &mut facts[id.index()];
        for (slot, fact) in computed.into_iter().enumerate() {
            let wire = WireId::new(id, u32::try_from(slot).unwrap_or(u32::MAX));
            if frames[id.index()].is_none()
                && let Some(shape) = fact.shape.as_ref().filter(|_| fact.value.is_none())
                && !fed.contains_key(&wire)
            {
                sizes.settle(wire, shape);
            }
            if slots.len() <= slot {
                slots.push(fact);
            } else if !fed.contains_key(&wire) {
                slots[slot] = fact;
            }
        }
        graph.nodes[id.index()].inputs = inputs;
        if !kept && graph.node(id).op == "Reshape" {
            state_target(&mut graph, id, &mut facts);
        }
    }
    for output in &mut graph.outputs {
        if !fed.contains_key(&output.wire)
            && let Some(alias) = aliases.get(&output.wire)
        {
            output.wire = *alias;
        }
    }
    let mut typed = TypedGraph {
        live: Vec::new(),
        order: Vec::new(),
        derived: Vec::new(),
        needed: needed_in_source,
        source_order,
        graph,
        source_inputs,
        facts,
        sizes,
        frames,
        notes,
    };
    let ids = typed.graph.ids();
    typed.derived = ids.map(|id| is_derived(&typed, id, &kept_nodes)).collect();
    let order = computed(&typed, &|_| false);
    typed.settle(order);
    let dropped = control_edges(&typed);
    if dropped > 0 {
        typed.notes.push(format!(
            "{dropped} control edges dropped: the ops that they order have no side effects"
        ));
    }
    Ok(typed)
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
    if kept[id.index()] || typed.frames[id.index()].is_some() || facts.is_empty() {
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

/// The while frame that a node lies in: `Enter` opens one, `Exit` leaves it.
fn frame(graph: &Graph, id: NodeId, frames: &[Option<String>]) -> Option<String> {
    let node = graph.node(id);
    match node.op.as_str() {
        "Enter" | "RefEnter" => match node.attrs.get("frame_name") {
            Some(AttrValue::Str(name)) => Some(String::from_utf8_lossy(name).into_owned()),
            _ => Some(node.name.clone()),
        },
        "Exit" | "RefExit" => None,
        _ => node
            .inputs
            .iter()
            .find_map(|wire| frames[wire.node.index()].clone()),
    }
}

/// Lets consumers of a no-op read its input instead.
fn bypass(
    graph: &Graph,
    id: NodeId,
    inputs: &[WireId],
    fed: &BTreeMap<WireId, usize>,
    aliases: &mut BTreeMap<WireId, WireId>,
    notes: &mut Vec<String>,
) {
    let node = graph.node(id);
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
        if !fed.contains_key(&wire) {
            aliases.insert(wire, input);
        }
    }
}

fn outputs(
    graph: &Graph,
    id: NodeId,
    inputs: &[WireId],
    facts: &[Vec<WireFact>],
    (sizes, kept): (&Sizes, bool),
) -> Result<Vec<WireFact>, TypeError> {
    static UNKNOWN: WireFact = WireFact {
        dtype: None,
        shape: None,
        value: None,
        elements: None,
    };
    let node = graph.node(id);
    let input_facts: Vec<&WireFact> = inputs
        .iter()
        .map(|wire| {
            facts[wire.node.index()]
                .get(usize::try_from(wire.slot).unwrap_or(usize::MAX))
                .unwrap_or(&UNKNOWN)
        })
        .collect();
    if matches!(node.op.as_str(), "Placeholder") {
        return Ok(Vec::new());
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
        inputs: input_facts,
        attrs: AttrReader::new(&node.attrs),
        sizes,
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

/// Gives a reshape whose result has one unknown size at most a constant target, so that the
/// arithmetic on shapes before it is not needed at run time. The constant stands behind the
/// node's own outputs, where no node of the source can refer to it.
fn state_target(graph: &mut Graph, id: NodeId, facts: &mut [Vec<WireFact>]) {
    let [_, target] = graph.node(id).inputs[..] else {
        return;
    };
    let slots = &facts[target.node.index()];
    let known = slots.get(usize::try_from(target.slot).unwrap_or(usize::MAX));
    if known.is_some_and(|fact| fact.value.is_some()) {
        return;
    }
    let Some(shape) = facts[id.index()]
        .first()
        .and_then(|fact| fact.shape.as_ref())
    else {
        return;
    };
    let sizes: Option<Vec<i32>> = shape
        .dims()
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(0) => None,
            Dim::Fixed(size) => i32::try_from(*size).ok(),
            Dim::Symbolic(_) => Some(-1),
        })
        .collect();
    let Some(sizes) = sizes.filter(|sizes| sizes.iter().filter(|&&size| size == -1).count() <= 1)
    else {
        return;
    };
    if let Ok(value) = Tensor::from_slice(&[sizes.len()], &sizes) {
        facts[id.index()].truncate(1);
        facts[id.index()].push(WireFact::constant(Arc::new(value)));
        graph.nodes[id.index()].inputs[1] = WireId::new(id, 1);
    }
}

fn control_edges(typed: &TypedGraph) -> usize {
    typed
        .order
        .iter()
        .filter(|id| typed.frames[id.index()].is_none())
        .map(|id| typed.graph.node(*id).control.len())
        .sum()
}
