use std::collections::{BTreeMap, BTreeSet};

use tfjet_core::{Schedule, Step, Value, ValueId, ValueSource};

use crate::ConvertError;
use crate::graph::{NodeId, TypedGraph, WireId, output_count};
use crate::lower::WeightsStore;
use crate::partition::{Partition, Unit, is_control_flow};
use crate::stages::Lowered;

/// Refuses what cannot run outside an engine.
pub(super) fn check_residual(
    typed: &TypedGraph,
    partition: &Partition,
) -> Result<(), ConvertError> {
    let nodes: Vec<NodeId> = partition
        .residual
        .iter()
        .map(|residual| residual.node)
        .collect();
    let control: Vec<NodeId> = nodes
        .iter()
        .copied()
        .filter(|id| {
            is_control_flow(&typed.graph.node(*id).op) || typed.frames[id.index()].is_some()
        })
        .collect();
    if let Some(&first) = control.first() {
        let frames: BTreeSet<&str> = control
            .iter()
            .filter_map(|id| typed.frames[id.index()].as_deref())
            .collect();
        let frames: Vec<&str> = frames.into_iter().collect();
        let node = typed.graph.node(first);
        return Err(ConvertError::ControlFlow {
            count: control.len(),
            node: node.name.clone(),
            op: node.op.clone(),
            frames: match frames.as_slice() {
                [] => String::new(),
                frames => format!(" (while frames: {})", frames.join(", ")),
            },
        });
    }
    let bad: Vec<(NodeId, String)> = nodes
        .into_iter()
        .filter_map(|id| {
            let node = typed.graph.node(id);
            let error = tfjet_ops::kernel(&node.op, &node.attrs).err()?;
            Some((id, error.to_string()))
        })
        .collect();
    let Some((first, reason)) = bad.first() else {
        return Ok(());
    };
    let node = typed.graph.node(*first);
    let others: BTreeSet<&str> = bad
        .iter()
        .map(|(id, _)| typed.graph.node(*id).op.as_str())
        .filter(|op| *op != node.op)
        .collect();
    let others: Vec<&str> = others.into_iter().collect();
    Err(ConvertError::NoKernel {
        count: bad.len(),
        node: node.name.clone(),
        op: node.op.clone(),
        reason: reason.clone(),
        more: match others.as_slice() {
            [] => String::new(),
            others => format!("; also {}", others.join(", ")),
        },
    })
}

struct Values<'a> {
    lowered: &'a Lowered,
    weights: &'a mut WeightsStore,
    schedule: Schedule,
    ids: BTreeMap<WireId, ValueId>,
}

impl Values<'_> {
    /// The value that holds `wire`.
    fn id(&mut self, wire: WireId) -> Result<ValueId, ConvertError> {
        if let Some(id) = self.ids.get(&wire) {
            return Ok(*id);
        }
        let typed = &self.lowered.typed;
        let fact = typed.fact(wire);
        let name = typed.graph.wire_name(wire);
        let Some(dtype) = fact.dtype else {
            return Err(ConvertError::UnknownType(name));
        };
        let shape = fact.shape.clone();
        let source = match fact.value.clone() {
            _ if typed.graph.is_input(wire) => ValueSource::Input,
            Some(value) => ValueSource::Constant(self.weights.add(value)),
            None => ValueSource::Computed,
        };
        let id = ValueId(u32::try_from(self.schedule.values.len()).unwrap_or(u32::MAX));
        self.schedule.values.push(Value {
            name,
            dtype,
            shape,
            source,
        });
        self.ids.insert(wire, id);
        Ok(id)
    }

    fn ids(&mut self, wires: &[WireId]) -> Result<Vec<ValueId>, ConvertError> {
        wires.iter().map(|&wire| self.id(wire)).collect()
    }
}

/// The steps of a partitioned graph; `weights` takes the constants that they read.
pub(super) fn schedule(
    lowered: &Lowered,
    weights: &mut WeightsStore,
) -> Result<Schedule, ConvertError> {
    let inputs: Vec<WireId> = lowered
        .typed
        .graph
        .inputs
        .iter()
        .map(|input| input.wire)
        .collect();
    let outputs: Vec<WireId> = lowered
        .typed
        .graph
        .outputs
        .iter()
        .map(|output| output.wire)
        .collect();
    let mut values = Values {
        lowered,
        weights,
        schedule: Schedule::default(),
        ids: BTreeMap::new(),
    };
    values.schedule.inputs = values.ids(&inputs)?;
    for &unit in &lowered.partition.order {
        let step = match unit {
            Unit::Segment(index) => {
                let segment = &lowered.partition.segments[index];
                Step::Engine {
                    segment: u32::try_from(index).unwrap_or(u32::MAX),
                    inputs: values.ids(&segment.inputs)?,
                    outputs: values.ids(&segment.outputs)?,
                }
            }
            Unit::Residual(id) => residual(&mut values, id)?,
        };
        values.schedule.steps.push(step);
    }
    values.schedule.outputs = values.ids(&outputs)?;
    Ok(values.schedule)
}

fn residual(values: &mut Values<'_>, id: NodeId) -> Result<Step, ConvertError> {
    let lowered = values.lowered;
    let node = lowered.typed.graph.node(id);
    let count = output_count(&node.op, &node.attrs).unwrap_or(1);
    let outputs: Vec<WireId> = (0..count).map(|slot| WireId::new(id, slot)).collect();
    Ok(Step::Residual {
        inputs: values.ids(&node.inputs)?,
        outputs: values.ids(&outputs)?,
        node: node.name.clone(),
        op_type: node.op.clone(),
        attrs: node.attrs.clone(),
    })
}
