//! How often a loop runs, where that follows from constants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tfjet_core::{Tensor, TensorView};
use tfjet_ops::Kernel;

use crate::graph::{NodeId, TypedGraph, WireFact, WireId, output_count};

/// Passes after which counting ends.
const MAX_TRIPS: u64 = 10_000;
/// What decides about another pass has no more elements than this.
const MAX_ELEMENTS: usize = 256;
/// Nodes that decide about another pass, at most.
const MAX_NODES: usize = 64;

/// How often the body runs, found by running the part of it that decides.
pub(super) fn trips(condition: &TypedGraph, body: &TypedGraph, inputs: &[WireFact]) -> Option<u64> {
    let truth = condition.graph.outputs.first()?.wire;
    let mut deciding = BTreeSet::new();
    let mut open: Vec<usize> = arguments(condition, truth)?.into_iter().collect();
    while let Some(index) = open.pop() {
        if deciding.insert(index) {
            open.extend(arguments(body, body.graph.outputs.get(index)?.wire)?);
        }
    }
    let mut state = BTreeMap::new();
    for &index in &deciding {
        let value = inputs.get(index)?.value.clone()?;
        if value.elements() > MAX_ELEMENTS {
            return None;
        }
        state.insert(index, value);
    }
    let condition = Slice::new(condition, [truth])?;
    let results = deciding.iter().map(|index| body.graph.outputs[*index].wire);
    let body = Slice::new(body, results)?;
    for trip in 0..=MAX_TRIPS {
        let truth = condition.run(&state)?;
        if *truth.first()?.bytes().first()? == 0 {
            return Some(trip);
        }
        let next = body.run(&state)?;
        state = deciding.iter().copied().zip(next).collect();
    }
    None
}

/// The arguments that a wire of a function depends on; `None` where too many nodes lie between.
fn arguments(typed: &TypedGraph, wire: WireId) -> Option<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![wire];
    while let Some(wire) = open.pop() {
        if let Some(index) = typed.graph.inputs.iter().position(|it| it.wire == wire) {
            if typed.fact(wire).value.is_none() {
                found.insert(index);
            }
        } else if typed.fact(wire).value.is_none() && seen.insert(wire.node) {
            if seen.len() > MAX_NODES {
                return None;
            }
            open.extend(typed.graph.node(wire.node).inputs.iter().copied());
        }
    }
    Some(found)
}

/// A part of a function that is run at conversion.
struct Slice<'a> {
    typed: &'a TypedGraph,
    steps: Vec<(NodeId, Box<dyn Kernel>)>,
    results: Vec<WireId>,
}

impl<'a> Slice<'a> {
    fn new(typed: &'a TypedGraph, results: impl IntoIterator<Item = WireId>) -> Option<Self> {
        let results: Vec<WireId> = results.into_iter().collect();
        let given = |wire: WireId| typed.graph.is_input(wire) || typed.fact(wire).value.is_some();
        let mut wanted = BTreeSet::new();
        let mut open = results.clone();
        while let Some(wire) = open.pop() {
            if !given(wire) && wanted.insert(wire.node) {
                open.extend(typed.graph.node(wire.node).inputs.iter().copied());
            }
        }
        let order = typed.source_order.iter().filter(|id| wanted.contains(id));
        let steps = order.map(|id| {
            let node = typed.graph.node(*id);
            let count = output_count(&node.op, &node.attrs)?;
            let kernel = tfjet_ops::kernel(&node.op, &node.attrs).ok()?;
            (count > 0).then_some((*id, kernel))
        });
        Some(Self {
            steps: steps.collect::<Option<_>>()?,
            typed,
            results,
        })
    }

    fn run(&self, arguments: &BTreeMap<usize, Arc<Tensor>>) -> Option<Vec<Arc<Tensor>>> {
        let inputs = &self.typed.graph.inputs;
        let mut made: BTreeMap<WireId, Arc<Tensor>> = arguments
            .iter()
            .filter_map(|(index, value)| Some((inputs.get(*index)?.wire, value.clone())))
            .collect();
        let find = |made: &BTreeMap<WireId, Arc<Tensor>>, wire: &WireId| {
            let known = made.get(wire).or(self.typed.fact(*wire).value.as_ref());
            known.cloned()
        };
        for (id, kernel) in &self.steps {
            let wires = self.typed.graph.node(*id).inputs.iter();
            let values: Vec<Arc<Tensor>> =
                wires.map(|wire| find(&made, wire)).collect::<Option<_>>()?;
            let views: Vec<TensorView<'_>> = values.iter().map(|value| value.view()).collect();
            let mut outputs = vec![Tensor::default(); kernel.output_count()];
            kernel.run(&views, &mut outputs).ok()?;
            if outputs
                .iter()
                .any(|output| output.elements() > MAX_ELEMENTS)
            {
                return None;
            }
            for (slot, output) in (0..).zip(outputs) {
                made.insert(WireId::new(*id, slot), Arc::new(output));
            }
        }
        self.results.iter().map(|wire| find(&made, wire)).collect()
    }
}
