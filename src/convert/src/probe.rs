//! Bundles made of a bundle: in other numbers, and with tensors from inside segments as outputs.
//!
//! Both are made of the sections of one target: of a bundle for one, or of several after
//! [`Bundle::select`]. They are for that target alone, and have no engines. Weights and whatever
//! else stays as it is is not copied before the new bundle is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tfjet_bundle::{Bundle, BundleWriter, SectionId, SectionKind};
use tfjet_core::{
    DType, Layer, Manifest, NetworkSpec, OutputSpec, Quantization, Schedule, Step, TensorId, Value,
    ValueId, ValueSource,
};
use tfjet_onnx::rounds_fp16;

use crate::ConvertError;
use crate::emit::onnx;

/// A tensor inside a segment that a session of a [`Probed`] bundle gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbedTensor {
    /// Index of the segment.
    pub segment: u32,
    /// The tensor in its network.
    pub tensor: TensorId,
    /// The segment's name.
    pub segment_name: String,
    /// The tensor's name.
    pub name: String,
    /// Name of the layer that makes it; `None` for an input of the segment.
    pub layer: Option<String>,
}

/// What [`probe`] gives.
#[derive(Debug, Clone)]
pub struct Probed {
    /// The bundle.
    pub writer: BundleWriter,
    /// What a session of it gives after the model's own outputs, in this order: by segment, the
    /// segment's inputs first, then as its layers make them.
    pub tensors: Vec<ProbedTensor>,
    /// Names of the segments inside functions, which may run any number of times, or not: their
    /// tensors are not given.
    pub unseen: Vec<String>,
}

/// The same model in other numbers: `quantizations` has one entry for each segment, in their order,
/// and takes the place of what the bundle has. The ONNX models compute in them; `round_fp16` says
/// whether numbers of 16 bits are rounded there, see
/// [`OnnxOptions::round_fp16`](tfjet_onnx::OnnxOptions::round_fp16), which the bundle itself does
/// not hold.
///
/// # Errors
/// Where a target is to be chosen first, a section is missing or damaged, or a quantization does
/// not fit its network.
pub fn with_quantization(
    bundle: &Bundle,
    quantizations: &[Option<Quantization>],
    round_fp16: bool,
) -> Result<BundleWriter, ConvertError> {
    let source = Source::new(bundle)?;
    let expected = bundle.segment_count();
    if quantizations.len() != expected {
        let found = quantizations.len();
        return Err(ConvertError::Segments { found, expected });
    }
    let table = bundle.weights_table()?;
    let mut writer = source.writer(|kind| {
        matches!(
            kind,
            SectionKind::Onnx | SectionKind::Quantization | SectionKind::Manifest
        )
    })?;
    writer.add_postcard(SectionKind::Manifest, "", 0, &bundle.manifest()?)?;
    for (segment, quantization) in (0..).zip(quantizations) {
        let network = bundle.network(segment)?;
        let onnx = onnx(&network, &table, quantization.as_ref(), round_fp16)?;
        writer.add(SectionKind::Onnx, "", segment, onnx)?;
        if let Some(quantization) = quantization {
            writer.add_postcard(SectionKind::Quantization, "", segment, quantization)?;
        }
    }
    Ok(writer)
}

/// The same model with more outputs: those tensors inside segments that `wanted` names for each
/// network and that are 32-bit floats, but for the constants of [`Layer::Constant`]. The numbers that
/// it computes in stay as they are, rounded ones of 16 bits too.
///
/// A tensor that is rounded to 8 bits is given as it is after that: in a bundle without INT8 layers
/// the values are those before rounding, in one with such layers those that are read. An input of a
/// segment is given as the segment gets it.
///
/// ONNX Runtime merges fewer layers where what is between them is to be given. So the model's own
/// outputs may differ in their last bits from those of the bundle itself, and a run takes longer;
/// run the bundle itself for what it gives.
///
/// # Errors
/// Where a target is to be chosen first, or a section is missing or damaged.
pub fn probe(
    bundle: &Bundle,
    wanted: &dyn Fn(&NetworkSpec) -> BTreeSet<TensorId>,
) -> Result<Probed, ConvertError> {
    let source = Source::new(bundle)?;
    let mut probe = Probe {
        manifest: bundle.manifest()?,
        schedule: bundle.schedule()?,
        tensors: Vec::new(),
    };
    let runs = runs(&probe.schedule);
    let table = bundle.weights_table()?;
    let mut writer = source.writer(|kind| {
        matches!(
            kind,
            SectionKind::Onnx
                | SectionKind::Network
                | SectionKind::Manifest
                | SectionKind::Schedule
        )
    })?;
    let mut unseen = Vec::new();
    for segment in (0..).take(bundle.segment_count()) {
        let mut network = bundle.network(segment)?;
        let given = bundle.onnx(segment)?;
        let outputs = network.outputs.len();
        match runs.get(&segment) {
            Some(Run::Once(step)) => probe.segment(segment, *step, &mut network, wanted),
            Some(Run::Elsewhere) => unseen.push(network.name.clone()),
            None => {}
        }
        if network.outputs.len() == outputs {
            for kind in [SectionKind::Network, SectionKind::Onnx] {
                source.keep(&mut writer, kind, segment)?;
            }
            continue;
        }
        let quantization = bundle.quantization(segment)?;
        let onnx = onnx(&network, &table, quantization.as_ref(), rounds_fp16(given))?;
        writer.add_postcard(SectionKind::Network, "", segment, &network)?;
        writer.add(SectionKind::Onnx, "", segment, onnx)?;
    }
    let Probe {
        manifest,
        schedule,
        tensors,
    } = probe;
    writer.add_postcard(SectionKind::Manifest, "", 0, &manifest)?;
    writer.add_postcard(SectionKind::Schedule, "", 0, &schedule)?;
    Ok(Probed {
        writer,
        tensors,
        unseen,
    })
}

/// A bundle as it is for one target.
struct Source {
    bundle: Arc<Bundle>,
    /// The target that the sections of its lowering have.
    lowering: String,
}

impl Source {
    fn new(bundle: &Bundle) -> Result<Self, ConvertError> {
        // Says which targets there are where none is chosen.
        bundle.schedule()?;
        let info = match bundle.target() {
            Some(target) => bundle.target_info(target)?,
            None => None,
        };
        Ok(Self {
            bundle: Arc::new(bundle.clone()),
            lowering: info.map(|info| info.lowering).unwrap_or_default(),
        })
    }

    /// The sections of the target, but for engines and the kinds that are written anew.
    fn writer(&self, is_new: impl Fn(SectionKind) -> bool) -> Result<BundleWriter, ConvertError> {
        let own = self.bundle.target().unwrap_or_default();
        let has_own_report = self.has(&SectionId::new(SectionKind::Report, own, 0));
        let mut writer = BundleWriter::new();
        for section in self.bundle.sections() {
            let id = &section.id;
            let target = match id.kind {
                SectionKind::Schedule
                | SectionKind::Network
                | SectionKind::Onnx
                | SectionKind::Quantization => &self.lowering,
                SectionKind::Report if has_own_report => own,
                SectionKind::Report => &self.lowering,
                SectionKind::Manifest | SectionKind::WeightsTable | SectionKind::Weights => "",
                _ => continue,
            };
            if id.target == target && !is_new(id.kind) {
                writer.keep(&self.bundle, id, "")?;
            }
        }
        Ok(writer)
    }

    /// Adds a section of the target's lowering.
    fn keep(
        &self,
        writer: &mut BundleWriter,
        kind: SectionKind,
        index: u32,
    ) -> Result<(), ConvertError> {
        let id = SectionId::new(kind, &self.lowering, index);
        Ok(writer.keep(&self.bundle, &id, "")?)
    }

    fn has(&self, id: &SectionId) -> bool {
        let mut sections = self.bundle.sections().iter();
        sections.any(|section| section.id == *id)
    }
}

/// Where a segment runs.
enum Run {
    /// As this one of the schedule's own steps, and nowhere else.
    Once(usize),
    Elsewhere,
}

fn runs(schedule: &Schedule) -> BTreeMap<u32, Run> {
    let mut runs = BTreeMap::new();
    for (index, step) in schedule.steps.iter().enumerate() {
        if let Step::Engine { segment, .. } = step {
            let first = !runs.contains_key(segment);
            let run = if first {
                Run::Once(index)
            } else {
                Run::Elsewhere
            };
            runs.insert(*segment, run);
        }
    }
    for step in schedule.functions.iter().flat_map(|it| &it.steps) {
        if let Step::Engine { segment, .. } = step {
            runs.insert(*segment, Run::Elsewhere);
        }
    }
    runs
}

struct Probe {
    manifest: Manifest,
    schedule: Schedule,
    tensors: Vec<ProbedTensor>,
}

impl Probe {
    /// Adds the wanted tensors of a segment, which runs as step `step` of the schedule.
    fn segment(
        &mut self,
        segment: u32,
        step: usize,
        network: &mut NetworkSpec,
        wanted: &dyn Fn(&NetworkSpec) -> BTreeSet<TensorId>,
    ) {
        let wanted = wanted(network);
        let given = network.inputs.iter().map(|&id| (id, None));
        let made = network.layers.iter().flat_map(|layer| {
            let is_constant = matches!(layer.layer, Layer::Constant { .. });
            let outputs = layer.outputs.iter().filter(move |_| !is_constant);
            outputs.map(|&id| (id, Some(layer.name.clone())))
        });
        let all: Vec<(TensorId, Option<String>)> = given.chain(made).collect();
        for (id, layer) in all {
            let Some(tensor) = network.tensor(id).cloned() else {
                continue;
            };
            if tensor.dtype != DType::F32 || !wanted.contains(&id) {
                continue;
            }
            let value = Value {
                name: format!("{}/{}", network.name, tensor.name),
                dtype: tensor.dtype,
                shape: Some(tensor.shape),
                source: ValueSource::Computed,
            };
            let output = OutputSpec {
                name: value.name.clone(),
                dtype: value.dtype,
                shape: value.shape.clone(),
            };
            let Some(value) = self.value(step, network, id, value) else {
                continue;
            };
            self.schedule.outputs.push(value);
            self.manifest.outputs.push(output);
            self.tensors.push(ProbedTensor {
                segment,
                tensor: id,
                segment_name: network.name.clone(),
                name: tensor.name,
                layer,
            });
        }
    }

    /// The value that holds a tensor outside the segment: the one that is there, else `new`.
    fn value(
        &mut self,
        step: usize,
        network: &mut NetworkSpec,
        id: TensorId,
        new: Value,
    ) -> Option<ValueId> {
        let Some(Step::Engine {
            inputs, outputs, ..
        }) = self.schedule.steps.get_mut(step)
        else {
            return None;
        };
        let taken = network.inputs.iter().zip(inputs.iter());
        let given = network.outputs.iter().zip(outputs.iter());
        let mut known = taken.chain(given);
        if let Some((_, &value)) = known.find(|(tensor, _)| **tensor == id) {
            let known = self.schedule.values.get(value.index())?;
            return (known.dtype == new.dtype).then_some(value);
        }
        let value = ValueId(u32::try_from(self.schedule.values.len()).ok()?);
        outputs.push(value);
        network.outputs.push(id);
        self.schedule.values.push(new);
        Some(value)
    }
}
