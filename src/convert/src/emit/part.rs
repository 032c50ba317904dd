use std::collections::BTreeMap;

use tfjet_bundle::{BundleWriter, SectionKind};
use tfjet_core::{
    InputSpec, Layer, Manifest, OutputSpec, Schedule, SegmentSummary, Summary, TargetInfo,
    ValueSource, WeightsId, WeightsTable,
};

use super::onnx;
use super::schedule::{check_residual, schedule};
use crate::ConvertError;
use crate::lower::WeightsStore;
use crate::partition::parts;
use crate::report::Report;
use crate::stages::Lowered;
use crate::task::Task;

/// One target of a bundle.
pub(super) struct Part {
    lowered: Lowered,
    schedule: Schedule,
    pub(super) report: Report,
}

impl Part {
    /// Makes the schedule; `weights` takes the constants that it reads.
    pub(super) fn new(
        lowered: Lowered,
        report: Report,
        weights: &mut WeightsStore,
    ) -> Result<Self, ConvertError> {
        check_residual(&lowered.typed, &lowered.partition)?;
        Ok(Self {
            schedule: schedule(&lowered, weights)?,
            lowered,
            report,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.lowered.target.name
    }

    /// Are schedule, networks and the numbers that they compute in the same?
    pub(super) fn has_lowering_of(&self, other: &Self) -> bool {
        self.schedule == other.schedule
            && self.lowered.networks == other.lowered.networks
            && self.lowered.quantizations == other.lowered.quantizations
    }

    /// The weights of networks and schedule, in the order of their first use.
    pub(super) fn weights(&self) -> Vec<WeightsId> {
        let layers = self.lowered.networks.iter().flat_map(|it| &it.layers);
        let mut used: Vec<WeightsId> = layers.flat_map(|layer| layer.layer.weights()).collect();
        let values = self.schedule.values.iter();
        used.extend(values.filter_map(|value| match value.source {
            ValueSource::Constant(id) => Some(id),
            _ => None,
        }));
        used
    }

    /// Gives the weights their places in the bundle.
    pub(super) fn place(&mut self, places: &BTreeMap<WeightsId, WeightsId>) {
        let place = |id: &mut WeightsId| {
            if let Some(new) = places.get(id) {
                *id = *new;
            }
        };
        for value in &mut self.schedule.values {
            if let ValueSource::Constant(id) = &mut value.source {
                place(id);
            }
        }
        let networks = self.lowered.networks.iter_mut();
        for layer in networks.flat_map(|network| &mut network.layers) {
            match &mut layer.layer {
                Layer::Constant { weights } => place(weights),
                Layer::Convolution { kernel, bias, .. }
                | Layer::Deconvolution { kernel, bias, .. } => {
                    place(kernel);
                    bias.iter_mut().for_each(place);
                }
                Layer::Scale { scale, shift } => {
                    scale.iter_mut().chain(shift).for_each(place);
                }
                _ => {}
            }
        }
    }

    pub(super) fn manifest(
        &self,
        target: &str,
        summary: Summary,
        model: &str,
        task: &Task,
    ) -> Result<Manifest, ConvertError> {
        let graph = &self.lowered.typed.graph;
        let inputs = graph.inputs.iter().map(|input| InputSpec {
            name: input.name.clone(),
            dtype: input.dtype,
            shape: input.shape.clone(),
        });
        let inputs: Vec<InputSpec> = inputs.collect();
        let outputs = graph.outputs.iter().zip(&self.schedule.outputs);
        let outputs = outputs.filter_map(|(output, id)| {
            let value = self.schedule.value(*id)?;
            Some(OutputSpec {
                name: output.name.clone(),
                dtype: value.dtype,
                shape: value.shape.clone(),
            })
        });
        let outputs: Vec<OutputSpec> = outputs.collect();
        Ok(Manifest {
            model: model.into(),
            tfjet_version: env!("CARGO_PKG_VERSION").into(),
            target: target.into(),
            preprocess: task.preprocess(&inputs, self.lowered.typed.image.as_ref())?,
            decoder: task.decoder(&outputs)?,
            labels: task.labels.clone(),
            inputs,
            outputs,
            summary,
        })
    }

    pub(super) fn info(&self, lowering: &str) -> TargetInfo {
        let target = &self.lowered.target;
        TargetInfo {
            description: target.description.clone(),
            engine: target.engine,
            release: target.release,
            compute_capability: target.compute_capability,
            jetpack: target.jetpack.clone(),
            lowering: lowering.into(),
            summary: self.summary(),
        }
    }

    pub(super) fn add_lowering(
        &self,
        writer: &mut BundleWriter,
        target: &str,
        table: &WeightsTable,
    ) -> Result<(), ConvertError> {
        writer.add_postcard(SectionKind::Schedule, target, 0, &self.schedule)?;
        for (index, network) in (0..).zip(&self.lowered.networks) {
            let quantization = usize::try_from(index)
                .ok()
                .and_then(|index| self.lowered.quantizations.get(index)?.as_ref());
            let onnx = onnx(network, table, quantization, false)?;
            writer.add_postcard(SectionKind::Network, target, index, network)?;
            writer.add(SectionKind::Onnx, target, index, onnx)?;
        }
        for (index, quantization) in (0..).zip(&self.lowered.quantizations) {
            if let Some(quantization) = quantization {
                writer.add_postcard(SectionKind::Quantization, target, index, quantization)?;
            }
        }
        Ok(())
    }

    pub(super) fn summary(&self) -> Summary {
        let lowered = &self.lowered;
        let parts = parts(&lowered.typed, &lowered.partition);
        let segments = parts.iter().flat_map(|part| &part.partition.segments);
        Summary {
            nodes: lowered.typed.graph.source.len(),
            segments: segments
                .zip(&lowered.networks)
                .map(|(segment, network)| SegmentSummary {
                    name: segment.name.clone(),
                    nodes: segment.nodes.len(),
                    layers: network.layers.len(),
                    flops: segment.flops,
                })
                .collect(),
            residual: lowered.partition.residual_count(),
            transposes: lowered.transposes(),
            flops_inside: lowered.partition.flops_inside(),
            notes: lowered.typed.notes.clone(),
        }
    }
}
