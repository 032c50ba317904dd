//! What INT8 costs, layer by layer: each alone in INT8, all others in 32-bit floats.

use std::collections::BTreeSet;

use serde::Serialize;
use tfjet::bundle::Bundle;
use tfjet::core::{
    DType, LayerPrecision, Manifest, NetworkSpec, Quantization, TensorId, quantized_weights,
};

use super::evaluate::Answer;
use super::{Cpu, Probe, Progress, Question, Samples, floats};
use crate::accuracy::{Db, SignalToNoise, db};

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
    heads: BTreeSet<TensorId>,
    /// What such layers read, or what leads there.
    before: BTreeSet<TensorId>,
}

impl Weighted {
    pub(crate) fn new(network: &NetworkSpec) -> Self {
        let mut before = BTreeSet::new();
        let mut heads = BTreeSet::new();
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

    /// All of them.
    pub(crate) fn tensors(mut self) -> BTreeSet<TensorId> {
        self.before.append(&mut self.heads);
        self.before
    }
}

/// One sample of the reference: the heads, and the answer.
struct Reference {
    index: usize,
    heads: Vec<Vec<f32>>,
    answer: Option<Answer>,
}

/// What INT8 in one layer alone is judged by.
struct Judge<'a> {
    cpu: &'a Cpu,
    probe: Probe,
    /// The outputs that are the heads. A graph without visible segments is judged by its own.
    heads: Vec<usize>,
    manifest: Manifest,
    question: Option<&'a Question>,
    references: Vec<Reference>,
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
    let networks = (0..u32::try_from(bundle.segment_count())?)
        .map(|segment| bundle.network(segment))
        .collect::<Result<Vec<_>, _>>()?;
    let judge = Judge::new(cpu, bundle, samples, question, count)?;
    let mut ranked = Vec::new();
    for (segment, (network, quantization)) in networks.iter().zip(quantizations).enumerate() {
        let layers = quantization.iter().flat_map(|it| &it.layers);
        for (layer, (spec, precision)) in network.layers.iter().zip(layers).enumerate() {
            if matches!(precision, LayerPrecision::Int8 { .. }) {
                ranked.push(Ranked {
                    segment: network.name.clone(),
                    layer: spec.name.clone(),
                    kind: spec.layer.kind().into(),
                    sqnr_db: None,
                    changed: 0,
                    place: (segment, layer),
                });
            }
        }
    }
    let mut progress = Progress::new("ranking layers", ranked.len());
    for (done, ranked) in (1..).zip(&mut ranked) {
        let alone = alone(quantizations, ranked.place);
        (ranked.sqnr_db, ranked.changed) = judge.cost(&alone, samples)?;
        progress.show(done);
    }
    ranked.sort_by(|a, b| {
        let order = Db(a.sqnr_db).cmp(&Db(b.sqnr_db));
        order
            .then(b.changed.cmp(&a.changed))
            .then(a.place.cmp(&b.place))
    });
    Ok((ranked, judge.references.len()))
}

/// These numbers with one layer in INT8 and all others in 32-bit floats.
fn alone(
    quantizations: &[Option<Quantization>],
    (segment, layer): (usize, usize),
) -> Vec<Option<Quantization>> {
    let mut alone = quantizations.to_vec();
    for (index, quantization) in alone.iter_mut().enumerate() {
        let layers = quantization.iter_mut().flat_map(|it| &mut it.layers);
        for (_, precision) in layers
            .enumerate()
            .filter(|(other, _)| (index, *other) != (segment, layer))
        {
            *precision = LayerPrecision::Fp32;
        }
    }
    alone
}

impl<'a> Judge<'a> {
    /// Runs the model in 32-bit floats over up to `count` samples.
    fn new(
        cpu: &'a Cpu,
        bundle: &Bundle,
        samples: &mut Samples,
        question: Option<&'a Question>,
        count: usize,
    ) -> anyhow::Result<Self> {
        let manifest = bundle.manifest()?;
        let probe = Probe::new(bundle, &|network| Weighted::new(network).heads)?;
        let own = manifest.outputs.iter().enumerate();
        let own = own.filter(|(_, output)| output.dtype == DType::F32);
        let heads: Vec<usize> = match probe.tensors.len() {
            0 => own.map(|(index, _)| index).collect(),
            count => (probe.first..).take(count).collect(),
        };
        let none = vec![None; bundle.segment_count()];
        let mut session = probe.session_in(cpu, &none, false)?;
        let mut references: Vec<Reference> = Vec::new();
        let mut bytes = 0;
        let picked = samples.some(count).into_iter();
        samples.each(Some("ranking layers: reference"), picked, |sample| {
            if bytes > REFERENCE_BYTES && references.len() > 1 {
                return Ok(());
            }
            let outputs = session.run(sample.inputs)?;
            let answer = question.map(|it| it.answer(&manifest, &outputs));
            let heads = heads.iter().map(|&head| floats(&outputs, head));
            let heads = heads.map(|head| head.map(<[f32]>::to_vec));
            let heads = heads.collect::<anyhow::Result<Vec<_>>>()?;
            bytes += heads
                .iter()
                .map(|head| size_of_val(head.as_slice()))
                .sum::<usize>();
            references.push(Reference {
                index: sample.index,
                heads,
                answer: answer.transpose()?,
            });
            Ok(())
        })?;
        samples.check_any()?;
        Ok(Self {
            cpu,
            probe,
            heads,
            manifest,
            question,
            references,
        })
    }

    /// Noise at the heads and changed answers in other numbers. The heads count alike: the ratio is
    /// that of the mean of their ratios of noise to signal.
    fn cost(
        &self,
        quantizations: &[Option<Quantization>],
        samples: &mut Samples,
    ) -> anyhow::Result<(Option<f64>, usize)> {
        let mut session = self.probe.session_in(self.cpu, quantizations, false)?;
        let mut ratios = vec![SignalToNoise::default(); self.heads.len()];
        let mut changed = 0;
        let mut references = self.references.iter();
        let files = self.references.iter().map(|it| it.index);
        samples.each(None, files, |sample| {
            let Some(reference) = references.find(|it| it.index == sample.index) else {
                return Ok(());
            };
            let outputs = session.run(sample.inputs)?;
            let heads = self.heads.iter().zip(&reference.heads);
            for (ratio, (&head, expected)) in ratios.iter_mut().zip(heads) {
                ratio.add(expected, floats(&outputs, head)?);
            }
            if let (Some(question), Some(expected)) = (self.question, &reference.answer) {
                let answer = question.answer(&self.manifest, &outputs)?;
                changed += question.changed(expected, &answer);
            }
            Ok(())
        })?;
        let noises: Vec<f64> = ratios.iter().filter_map(SignalToNoise::noise).collect();
        Ok((db(noises.len() as f64, noises.iter().sum()), changed))
    }
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
        assert_eq!(weighted.heads, BTreeSet::from([TensorId(3)]));
        let tensors = [0, 1, 2, 3].map(TensorId);
        assert_eq!(weighted.tensors(), BTreeSet::from(tensors));
    }
}
