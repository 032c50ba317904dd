//! What training and debugging leave behind in a graph.

use std::collections::BTreeSet;

use super::simplify::{Rewrite, RewriteOptions};
use crate::graph::{Graph, NodeId, TypedGraph, WireId};

/// Bypasses dropouts that are still switched on, in the three ways in which TensorFlow wrote them:
///
/// - `x / keep * floor(keep + random)`
/// - `x * scale * cast(random >= rate)`
/// - `select(random >= rate, x * scale, 0)`
pub(super) fn drop_dropouts(typed: &TypedGraph, options: &RewriteOptions<'_>) -> Option<Rewrite> {
    let found: Vec<(WireId, WireId)> = typed
        .order
        .iter()
        .filter(|id| !(options.keep)(typed.graph.node(**id)))
        .filter_map(|&id| {
            let wire = WireId::new(id, 0);
            dropout(typed, wire).map(|x| (wire, x))
        })
        .collect();
    if found.is_empty() {
        return None;
    }
    let mut graph = typed.graph.clone();
    for &(from, to) in &found {
        graph.redirect(from, source(&found, to), None);
    }
    let count = found.len();
    let s = if count == 1 { "" } else { "s" };
    Some(Rewrite {
        graph,
        notes: vec![format!(
            "{count} dropout{s} dropped: they matter in training only"
        )],
    })
}

/// The wire before a row of dropouts.
fn source(found: &[(WireId, WireId)], mut wire: WireId) -> WireId {
    for _ in 0..found.len() {
        match found.iter().find(|(from, _)| *from == wire) {
            Some((_, to)) => wire = *to,
            None => break,
        }
    }
    wire
}

/// What was dropped that no pass replaces, a line each.
pub(super) fn leftovers(typed: &TypedGraph) -> Vec<String> {
    let mut asserts = 0;
    count_asserts(typed, &mut asserts);
    let mut notes = Vec::new();
    if asserts > 0 {
        let s = if asserts == 1 { "" } else { "s" };
        notes.push(format!(
            "{asserts} Assert node{s} dropped: conditions are not checked"
        ));
    }
    notes
}

fn count_asserts(typed: &TypedGraph, count: &mut usize) {
    for call in typed.functions.values() {
        for function in &call.functions {
            count_asserts(function, count);
        }
    }
    let graph = &typed.graph;
    let mut seen = BTreeSet::new();
    let mut stack: Vec<NodeId> = graph
        .ids()
        .filter(|id| typed.needed.get(id.index()).copied().unwrap_or(false))
        .flat_map(|id| graph.node(id).control.iter().copied())
        .collect();
    while let Some(id) = stack.pop() {
        if seen.insert(id) {
            *count += usize::from(graph.node(id).op == "Assert");
            stack.extend(graph.node(id).control.iter().copied());
        }
    }
}

/// The inputs of the node that makes `wire`, where its op is one of `ops` and it has so many.
fn inputs<const N: usize>(graph: &Graph, wire: WireId, ops: &[&str]) -> Option<[WireId; N]> {
    let node = graph.node(wire.node);
    let known = ops.contains(&node.op.as_str()) && wire.slot == 0;
    known.then(|| node.inputs.as_slice().try_into().ok())?
}

/// What goes into a dropout.
fn dropout(typed: &TypedGraph, wire: WireId) -> Option<WireId> {
    let graph = &typed.graph;
    if let Some([mask, scaled, zero]) = inputs(graph, wire, &["Select", "SelectV2"]) {
        let zero = typed.fact(zero).value.as_ref()?;
        let zeros = zero
            .as_slice::<f32>()
            .ok()?
            .iter()
            .all(|&value| value == 0.0);
        return (zeros && is_mask(typed, mask)).then(|| unscaled(typed, scaled))?;
    }
    let [a, b] = inputs::<2>(graph, wire, &["Mul"])?;
    [(a, b), (b, a)].into_iter().find_map(|(scaled, mask)| {
        if let Some([sum]) = inputs(graph, mask, &["Floor"]) {
            let [keep, random] = inputs::<2>(graph, sum, &["Add", "AddV2"])?;
            let keep = match (is_random(typed, keep), is_random(typed, random)) {
                (false, true) => keep,
                (true, false) => random,
                _ => return None,
            };
            let [x, by] = inputs::<2>(graph, scaled, &["RealDiv", "Div"])?;
            return (by == keep || same_value(typed, by, keep)).then_some(x);
        }
        let [mask] = inputs(graph, mask, &["Cast"])?;
        is_mask(typed, mask).then(|| unscaled(typed, scaled))?
    })
}

fn same_value(typed: &TypedGraph, a: WireId, b: WireId) -> bool {
    let value = |wire: WireId| typed.fact(wire).value.as_ref();
    value(a).is_some() && value(a) == value(b)
}

/// `random >= rate`
fn is_mask(typed: &TypedGraph, wire: WireId) -> bool {
    inputs::<2>(&typed.graph, wire, &["GreaterEqual"])
        .is_some_and(|[random, rate]| is_random(typed, random) && !is_random(typed, rate))
}

/// `x` in `x * scale` or `x / keep`, the second a number.
fn unscaled(typed: &TypedGraph, wire: WireId) -> Option<WireId> {
    let graph = &typed.graph;
    let is_number = |wire: WireId| typed.fact(wire).rank() == Some(0);
    if let Some([x, keep]) = inputs(graph, wire, &["RealDiv", "Div"]) {
        return is_number(keep).then_some(x);
    }
    let [x, scale] = inputs::<2>(graph, wire, &["Mul"])?;
    if is_number(scale) {
        Some(x)
    } else {
        is_number(x).then_some(scale)
    }
}

/// A random number, shifted and scaled at most.
fn is_random(typed: &TypedGraph, wire: WireId) -> bool {
    let graph = &typed.graph;
    let mut wire = wire;
    for _ in 0..4 {
        if graph.node(wire.node).op.contains("RandomUniform") {
            return true;
        }
        let Some([a, b]) = inputs::<2>(graph, wire, &["Add", "AddV2", "Mul", "Sub"]) else {
            return false;
        };
        wire = if typed.fact(b).value.is_some() { a } else { b };
    }
    false
}
