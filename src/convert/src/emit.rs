//! Writes a lowered model as a bundle.

use std::collections::{BTreeMap, BTreeSet};

use tfjet_bundle::{BundleWriter, SectionKind};
use tfjet_core::{
    InputSpec, Layer, Manifest, OutputSpec, Schedule, SegmentSummary, Step, Summary, Value,
    ValueId, ValueSource, WeightsId,
};
use tfjet_onnx::{OnnxOptions, to_onnx};

use crate::graph::{NodeId, TypedGraph, WireId, output_count};
use crate::lower::WeightsLayout;
use crate::partition::{Unit, is_control_flow};
use crate::report::Report;
use crate::stages::Lowered;
use crate::task::Task;
use crate::{ConvertError, partition::Partition};

/// Collects the sections of a bundle.
pub fn emit(
    mut lowered: Lowered,
    model: &str,
    task: &Task,
    report: &Report,
) -> Result<BundleWriter, ConvertError> {
    check_residual(&lowered.typed, &lowered.partition)?;
    let mut schedule = schedule(&mut lowered)?;
    let inputs: Vec<InputSpec> = lowered
        .typed
        .graph
        .inputs
        .iter()
        .map(|input| InputSpec {
            name: input.name.clone(),
            dtype: input.dtype,
            shape: input.shape.clone(),
        })
        .collect();
    let outputs: Vec<OutputSpec> = lowered
        .typed
        .graph
        .outputs
        .iter()
        .zip(&schedule.outputs)
        .filter_map(|(output, id)| {
            let value = schedule.value(*id)?;
            Some(OutputSpec {
                name: output.name.clone(),
                dtype: value.dtype,
                shape: value.shape.clone(),
            })
        })
        .collect();
    let used = used_weights(&lowered, &schedule);
    let WeightsLayout {
        table,
        blob,
        places,
    } = lowered.weights.lay_out(used)?;
    let place = |id: &mut WeightsId| {
        if let Some(new) = places.get(id) {
            *id = *new;
        }
    };
    for value in &mut schedule.values {
        if let ValueSource::Constant(id) = &mut value.source {
            place(id);
        }
    }
    for layer in lowered
        .networks
        .iter_mut()
        .flat_map(|network| &mut network.layers)
    {
        match &mut layer.layer {
            Layer::Constant { weights } => place(weights),
            Layer::Convolution { kernel, bias, .. } | Layer::Deconvolution { kernel, bias, .. } => {
                place(kernel);
                bias.iter_mut().for_each(place);
            }
            Layer::Scale { scale, shift } => {
                scale.iter_mut().chain(shift).for_each(place);
            }
            _ => {}
        }
    }
    let manifest = Manifest {
        model: model.into(),
        tfjet_version: env!("CARGO_PKG_VERSION").into(),
        target: report.target.name.clone(),
        preprocess: task.preprocess(&inputs)?,
        decoder: task.decoder(&outputs)?,
        labels: task.labels.clone(),
        inputs,
        outputs,
        summary: summary(&lowered),
    };
    let mut writer = BundleWriter::new();
    writer.add_postcard(SectionKind::Manifest, "", 0, &manifest)?;
    writer.add_postcard(SectionKind::Schedule, "", 0, &schedule)?;
    writer.add_postcard(SectionKind::WeightsTable, "", 0, &table)?;
    for (index, network) in (0..).zip(&lowered.networks) {
        let onnx = to_onnx(network, &table, &OnnxOptions::default()).map_err(|source| {
            ConvertError::Onnx {
                segment: network.name.clone(),
                source,
            }
        })?;
        writer.add_postcard(SectionKind::Network, "", index, network)?;
        writer.add(SectionKind::Onnx, "", index, onnx)?;
    }
    writer.add(SectionKind::Report, "", 0, report.to_json().into_bytes())?;
    if !blob.is_empty() {
        writer.add(SectionKind::Weights, "", 0, blob)?;
    }
    Ok(writer)
}

fn summary(lowered: &Lowered) -> Summary {
    Summary {
        nodes: lowered.typed.graph.nodes.len(),
        segments: lowered
            .partition
            .segments
            .iter()
            .zip(&lowered.networks)
            .map(|(segment, network)| SegmentSummary {
                name: segment.name.clone(),
                nodes: segment.nodes.len(),
                layers: network.layers.len(),
                flops: segment.flops,
            })
            .collect(),
        residual: lowered.partition.residual.len(),
        transposes: lowered.transposes(),
        flops_inside: lowered.partition.flops_inside(),
        notes: lowered.typed.notes.clone(),
    }
}

/// Refuses what cannot run outside an engine.
fn check_residual(typed: &TypedGraph, partition: &Partition) -> Result<(), ConvertError> {
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

/// The weights of networks and schedule, in the order of their first use.
fn used_weights(lowered: &Lowered, schedule: &Schedule) -> Vec<WeightsId> {
    let networks = lowered.networks.iter().flat_map(|network| &network.layers);
    let mut used: Vec<WeightsId> = networks.flat_map(|layer| layer.layer.weights()).collect();
    used.extend(
        schedule
            .values
            .iter()
            .filter_map(|value| match value.source {
                ValueSource::Constant(id) => Some(id),
                _ => None,
            }),
    );
    used
}

struct Values<'a> {
    lowered: &'a mut Lowered,
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
            Some(value) => ValueSource::Constant(self.lowered.weights.add(value)),
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

fn schedule(lowered: &mut Lowered) -> Result<Schedule, ConvertError> {
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
    let order = lowered.partition.order.clone();
    let mut values = Values {
        lowered,
        schedule: Schedule::default(),
        ids: BTreeMap::new(),
    };
    values.schedule.inputs = values.ids(&inputs)?;
    for unit in order {
        let step = match unit {
            Unit::Segment(index) => {
                let segment = values.lowered.partition.segments[index].clone();
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
    let node = values.lowered.typed.graph.node(id).clone();
    let count = output_count(&node.op, &node.attrs).unwrap_or(1);
    let outputs: Vec<WireId> = (0..count).map(|slot| WireId::new(id, slot)).collect();
    Ok(Step::Residual {
        inputs: values.ids(&node.inputs)?,
        outputs: values.ids(&outputs)?,
        node: node.name,
        op_type: node.op,
        attrs: node.attrs,
    })
}
