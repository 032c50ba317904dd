//! What INT8 costs, layer by layer: each alone in INT8, all others in 32-bit floats.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde::Serialize;
use tfjet::bundle::{Bundle, BundleWriter};
use tfjet::convert::probe::{probe, with_quantization};
use tfjet::core::{
    LayerPrecision, Manifest, NetworkSpec, Quantization, Tensor, TensorId, TensorView,
    quantized_weights,
};

use super::evaluate::Answer;
use super::{Cpu, Progress, Question, Samples, floats, in_memory};
use crate::accuracy::{Db, SignalToNoise};

/// Most memory for the reference's tensors; where they are larger, fewer samples are taken.
const REFERENCE_BYTES: usize = 512 << 20;

/// What INT8 in one layer alone costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Ranked {
    pub(crate) segment: String,
    pub(crate) layer: String,
    pub(crate) kind: String,
    /// Signal to quantization noise where the last layers that multiply by weights end; null where
    /// nothing changes.
    pub(crate) sqnr_db: Option<f64>,
    /// Answers that are others, or detections that are lost.
    pub(crate) changed: usize,
    /// Index of segment and layer.
    #[serde(skip)]
    pub(crate) place: (usize, usize),
}

/// The tensors of a network up to the last layers that can compute in INT8.
pub(crate) struct Weighted {
    /// What those layers give from which no other such layer takes anything. They lie before
    /// sorting and suppression, which would make noise of a change of order.
    heads: Vec<TensorId>,
    /// What such layers read, or what leads there.
    before: BTreeSet<TensorId>,
}

impl Weighted {
    pub(crate) fn new(network: &NetworkSpec) -> Self {
        let mut before = BTreeSet::new();
        let mut heads = Vec::new();
        for layer in network.layers.iter().rev() {
            let multiplies = quantized_weights(network, layer).is_some();
            let continues = layer.outputs.iter().any(|id| before.contains(id));
            if multiplies && !continues {
                heads.extend(layer.outputs.first());
            }
            if multiplies || continues {
                before.extend(&layer.inputs);
            }
        }
        Self { heads, before }
    }

    /// Is it one of them?
    pub(crate) fn has(&self, id: TensorId) -> bool {
        self.before.contains(&id) || self.heads.contains(&id)
    }
}

/// One sample of the reference: the heads, and the answer.
struct Reference {
    index: usize,
    heads: Vec<Vec<f32>>,
    answer: Option<Answer>,
}

/// A session over a bundle that gives its heads too.
struct Probe {
    session: tfjet::runtime::Session,
    first: usize,
    heads: usize,
}

impl Probe {
    fn new(cpu: &Cpu, writer: &BundleWriter, outputs: usize) -> anyhow::Result<Self> {
        let probed = probe(&*in_memory(writer)?, &|network, id| {
            Weighted::new(network).heads.contains(&id)
        })?;
        let heads = probed.tensors.len();
        Ok(Self {
            session: cpu.exact(&probed.writer)?,
            // A graph without visible segments is judged by its outputs.
            first: if heads == 0 { 0 } else { outputs },
            heads: if heads == 0 { outputs } else { heads },
        })
    }
}

/// The layers in INT8 of `quantizations`, those that cost most first, by up to `count` samples.
/// Also how many samples that were.
pub(crate) fn rank(
    cpu: &Cpu,
    bundle: &Bundle,
    quantizations: &[Option<Quantization>],
    samples: &mut Samples,
    question: Option<&Question>,
    count: usize,
) -> anyhow::Result<(Vec<Ranked>, usize)> {
    let manifest = bundle.manifest()?;
    let networks = (0..u32::try_from(bundle.segment_count())?)
        .map(|segment| bundle.network(segment))
        .collect::<Result<Vec<_>, _>>()?;
    let layers: Vec<(usize, usize)> = quantizations
        .iter()
        .enumerate()
        .flat_map(|(segment, quantization)| {
            let layers = quantization
                .iter()
                .flat_map(|it| it.layers.iter().enumerate());
            layers
                .filter(|(_, layer)| matches!(layer, LayerPrecision::Int8 { .. }))
                .map(move |(layer, _)| (segment, layer))
        })
        .collect();
    let mut progress = Progress::new("ranking layers", layers.len() + 1);
    let none = vec![None; networks.len()];
    let references = references(cpu, bundle, &none, samples, (&manifest, question), count)?;
    let mut ranked = Vec::with_capacity(layers.len());
    for (done, &(segment, layer)) in (1..).zip(&layers) {
        progress.show(done);
        let one = quantizations
            .iter()
            .enumerate()
            .map(|(index, quantization)| {
                let mut alone = quantization.clone()?;
                for (other, precision) in alone.layers.iter_mut().enumerate() {
                    if (index, other) != (segment, layer) {
                        *precision = LayerPrecision::Fp32;
                    }
                }
                Some(alone)
            })
            .collect::<Vec<_>>();
        let writer = with_quantization(bundle, &one, false)?;
        let (sqnr_db, changed) = cost(cpu, &writer, samples, (&manifest, question), &references)?;
        let spec = networks.get(segment).and_then(|it| it.layers.get(layer));
        ranked.push(Ranked {
            segment: networks
                .get(segment)
                .map(|it| it.name.clone())
                .unwrap_or_default(),
            layer: spec.map(|it| it.name.clone()).unwrap_or_default(),
            kind: spec
                .map(|it| it.layer.kind().to_owned())
                .unwrap_or_default(),
            sqnr_db,
            changed,
            place: (segment, layer),
        });
    }
    ranked.sort_by(|a, b| {
        let order = Db(a.sqnr_db).cmp(&Db(b.sqnr_db));
        order
            .then(b.changed.cmp(&a.changed))
            .then(a.place.cmp(&b.place))
    });
    Ok((ranked, references.len()))
}

/// Runs the model in floats.
fn references(
    cpu: &Cpu,
    bundle: &Bundle,
    none: &[Option<Quantization>],
    samples: &mut Samples,
    (manifest, question): (&Manifest, Option<&Question>),
    count: usize,
) -> anyhow::Result<Vec<Reference>> {
    let writer = with_quantization(bundle, none, false)?;
    let mut probe = Probe::new(cpu, &writer, manifest.outputs.len())?;
    let mut references: Vec<Reference> = Vec::new();
    let mut bytes = 0;
    for index in samples.some(count) {
        let file = samples.name(index);
        let Some(inputs) = samples.read(index)? else {
            continue;
        };
        let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
        let outputs = probe.session.run(&views).with_context(|| file)?;
        let answer = question
            .map(|it| it.answer(manifest, &outputs))
            .transpose()?;
        let heads = (0..probe.heads).map(|head| {
            floats(&outputs, probe.first + head)
                .unwrap_or_default()
                .to_vec()
        });
        let heads: Vec<Vec<f32>> = heads.collect();
        bytes += heads
            .iter()
            .map(|head| size_of_val(head.as_slice()))
            .sum::<usize>();
        if bytes > REFERENCE_BYTES && references.len() > 1 {
            break;
        }
        references.push(Reference {
            index,
            heads,
            answer,
        });
    }
    samples.check_any()?;
    Ok(references)
}

/// Noise at the heads and changed answers of a bundle. The heads count alike: the ratio is that of
/// the mean of their ratios of noise to signal.
fn cost(
    cpu: &Cpu,
    writer: &BundleWriter,
    samples: &mut Samples,
    (manifest, question): (&Manifest, Option<&Question>),
    references: &[Reference],
) -> anyhow::Result<(Option<f64>, usize)> {
    let mut probe = Probe::new(cpu, writer, manifest.outputs.len())?;
    let mut ratios = vec![SignalToNoise::default(); probe.heads];
    let mut changed = 0;
    for reference in references {
        let file = samples.name(reference.index);
        let Some(inputs) = samples.read(reference.index)? else {
            continue;
        };
        let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
        let outputs = probe.session.run(&views).with_context(|| file)?;
        for (head, (ratio, expected)) in ratios.iter_mut().zip(&reference.heads).enumerate() {
            ratio.add(
                expected,
                floats(&outputs, probe.first + head).unwrap_or_default(),
            );
        }
        if let (Some(question), Some(expected)) = (question, &reference.answer) {
            changed += question.changed(expected, &question.answer(manifest, &outputs)?);
        }
    }
    let mut mean = SignalToNoise::default();
    for ratio in &ratios {
        if ratio.signal > 0.0 {
            mean.signal += 1.0;
            mean.noise += ratio.noise / ratio.signal;
        }
    }
    Ok((mean.db(), changed))
}

#[cfg(test)]
mod tests {
    use tfjet::core::{DType, Layer, LayerSpec, MatrixOperation, NetworkTensor, Shape, WeightsId};

    use super::*;

    /// x * w -> a, a * w -> b, a -> Softmax -> c
    fn network() -> NetworkSpec {
        let shape = Shape::fixed(&[2, 2]);
        let tensor = |name: &str| NetworkTensor {
            name: name.into(),
            dtype: DType::F32,
            shape: shape.clone(),
        };
        let layer = |name: &str, layer: Layer, inputs: &[u32], output: u32| LayerSpec {
            name: name.into(),
            layer,
            inputs: inputs.iter().map(|&id| TensorId(id)).collect(),
            outputs: vec![TensorId(output)],
        };
        let multiply = || Layer::MatrixMultiply {
            first: MatrixOperation::None,
            second: MatrixOperation::None,
        };
        let weights = WeightsId(0);
        NetworkSpec {
            name: "s".into(),
            tensors: ["x", "w", "a", "b", "c"].map(tensor).to_vec(),
            inputs: vec![TensorId(0)],
            outputs: vec![TensorId(3), TensorId(4)],
            layers: vec![
                layer("w", Layer::Constant { weights }, &[], 1),
                layer("first", multiply(), &[0, 1], 2),
                layer("second", multiply(), &[2, 1], 3),
                layer("soft", Layer::Softmax { axis: 1 }, &[3], 4),
            ],
        }
    }

    #[test]
    fn noise_is_looked_at_where_the_last_weights_are() {
        let weighted = Weighted::new(&network());
        assert_eq!(weighted.heads, [TensorId(3)]);
        let has: Vec<bool> = (0..5).map(|id| weighted.has(TensorId(id))).collect();
        assert_eq!(has, [true, true, true, true, false]);
    }
}
