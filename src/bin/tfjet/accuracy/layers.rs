//! How far the tensors inside the segments lie from those in 32-bit floats.

use anyhow::Context as _;
use serde::Serialize;
use tfjet::bundle::{Bundle, BundleWriter};
use tfjet::convert::calibrate::Histogram;
use tfjet::convert::probe::{ProbedTensor, probe, with_quantization};
use tfjet::core::{LayerPrecision, NetworkSpec, Quantization, Tensor, TensorView};
use tfjet::runtime::Session;

use super::SignalToNoise;
use crate::calibration::{Cpu, Progress, Samples, Weighted, floats, in_memory, is_activation};

/// One tensor, and the layer that makes it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LayerReport {
    pub(crate) segment: String,
    /// The layer; an input of the segment has none.
    pub(crate) layer: Option<String>,
    pub(crate) kind: String,
    pub(crate) tensor: String,
    /// What the layer computes in.
    pub(crate) precision: String,
    /// Signal to quantization noise; null where nothing differs.
    pub(crate) sqnr_db: Option<f64>,
    pub(crate) not_finite: u64,
    /// Largest magnitude in 32-bit floats.
    pub(crate) largest: Option<f32>,
    /// The range by which the tensor is rounded to 8 bits, where an INT8 layer reads it, and how
    /// many of its values lie beyond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) range: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clipped_percent: Option<f64>,
    /// Place in the order of the layers.
    pub(crate) order: usize,
    /// Of the magnitudes in 32-bit floats, where there is a range.
    #[serde(skip)]
    pub(crate) histogram: Option<Histogram>,
}

/// What [`Layers::run`] gives.
pub(crate) struct Layers {
    /// The worst first.
    pub(crate) reports: Vec<LayerReport>,
    pub(crate) samples: usize,
    /// Segments whose tensors cannot be seen.
    pub(crate) unseen: Vec<String>,
}

struct Probe {
    session: Session,
    tensors: Vec<ProbedTensor>,
    unseen: Vec<String>,
}

impl Probe {
    fn new(cpu: &Cpu, writer: &BundleWriter) -> anyhow::Result<Self> {
        let bundle = in_memory(writer)?;
        let probed = probe(&bundle, &|network, id| {
            is_activation(network, id) && Weighted::new(network).has(id)
        })?;
        Ok(Self {
            session: cpu.exact(&probed.writer)?,
            tensors: probed.tensors,
            unseen: probed.unseen,
        })
    }
}

/// What is seen of one tensor.
#[derive(Default)]
struct Seen {
    ratio: SignalToNoise,
    histogram: Histogram,
}

impl Layers {
    /// Runs `bundle` in 32-bit floats and in the numbers of `quantizations`, as a GPU has them, over
    /// up to `count` samples.
    pub(crate) fn run(
        cpu: &Cpu,
        bundle: &Bundle,
        quantizations: &[Option<Quantization>],
        samples: &mut Samples,
        count: usize,
    ) -> anyhow::Result<Self> {
        let none = vec![None; quantizations.len()];
        let mut reference = Probe::new(cpu, &with_quantization(bundle, &none, false)?)?;
        let mut ours = Probe::new(cpu, &with_quantization(bundle, quantizations, true)?)?;
        let first = bundle.manifest()?.outputs.len();
        let mut seen: Vec<Seen> = Vec::new();
        seen.resize_with(reference.tensors.len(), Seen::default);
        let picked = samples.some(count);
        let mut progress = Progress::new("layers", picked.len());
        let mut ran = 0;
        for (done, index) in (1..).zip(picked) {
            let file = samples.name(index);
            if let Some(inputs) = samples.read(index)? {
                let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
                let expected = reference
                    .session
                    .run(&views)
                    .with_context(|| file.clone())?;
                let found = ours.session.run(&views).with_context(|| file)?;
                for (offset, seen) in seen.iter_mut().enumerate() {
                    let expected = floats(&expected, first + offset).unwrap_or_default();
                    seen.ratio
                        .add(expected, floats(&found, first + offset).unwrap_or_default());
                    seen.histogram.add(expected);
                }
                ran += 1;
            }
            progress.show(done);
        }
        let networks = (0..u32::try_from(bundle.segment_count())?)
            .map(|segment| bundle.network(segment))
            .collect::<Result<Vec<_>, _>>()?;
        let tensors = reference.tensors.into_iter().zip(seen).enumerate();
        let mut reports: Vec<(LayerReport, SignalToNoise)> = tensors
            .map(|(order, (tensor, seen))| {
                let segment = tensor.segment as usize;
                let network = networks.get(segment);
                let quantization = quantizations.get(segment).and_then(Option::as_ref);
                let ratio = seen.ratio;
                (describe(order, tensor, seen, network, quantization), ratio)
            })
            .collect();
        reports.sort_by(|a, b| {
            a.1.order()
                .cmp(&b.1.order())
                .then(a.0.order.cmp(&b.0.order))
        });
        Ok(Self {
            reports: reports.into_iter().map(|(report, _)| report).collect(),
            samples: ran,
            unseen: reference.unseen,
        })
    }
}

fn describe(
    order: usize,
    tensor: ProbedTensor,
    seen: Seen,
    network: Option<&NetworkSpec>,
    quantization: Option<&Quantization>,
) -> LayerReport {
    let made_by = |network: &NetworkSpec| {
        let mut layers = network.layers.iter();
        layers.position(|layer| layer.outputs.contains(&tensor.tensor))
    };
    let layer = network.and_then(made_by);
    let kind = match (network, layer) {
        (Some(network), Some(layer)) => network.layers.get(layer).map(|it| it.layer.kind()),
        _ => None,
    };
    let precision = match (quantization, layer) {
        (Some(quantization), Some(layer)) => match quantization.layers.get(layer) {
            Some(LayerPrecision::Int8 { .. }) => "int8",
            Some(LayerPrecision::Fp16) => "fp16",
            _ => "fp32",
        },
        _ => "fp32",
    };
    let rounded = quantization
        .zip(network)
        .and_then(|(quantization, network)| {
            let index = usize::try_from(tensor.tensor.0).ok()?;
            quantization.rounded(network).get(index).copied().flatten()
        });
    LayerReport {
        segment: tensor.segment_name,
        layer: tensor.layer,
        kind: kind.unwrap_or("input").into(),
        tensor: tensor.name,
        precision: precision.into(),
        sqnr_db: seen.ratio.db(),
        not_finite: seen.ratio.not_finite,
        largest: seen.histogram.magnitude(),
        range: rounded,
        clipped_percent: rounded.map(|range| clipped(&seen.histogram, range)),
        order,
        histogram: rounded.is_some().then_some(seen.histogram),
    }
}

/// How much of a histogram lies beyond a range, in percent.
fn clipped(histogram: &Histogram, range: f32) -> f64 {
    let width = histogram.bin_width();
    let beyond = histogram.bins().iter().enumerate();
    let beyond: u64 = beyond
        .filter(|(bin, _)| *bin as f32 * width >= range)
        .map(|(_, count)| count)
        .sum();
    100.0 * beyond as f64 / histogram.count().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beyond_the_range_is_clipped() {
        let mut histogram = Histogram::new();
        histogram.add(&[0.5, -1.0, 2.0, 8.0]);
        assert_eq!(clipped(&histogram, 9.0), 0.0);
        assert_eq!(clipped(&histogram, 4.0), 25.0);
        assert_eq!(clipped(&histogram, 1.5), 50.0);
        assert_eq!(clipped(&Histogram::new(), 1.0), 0.0);
    }
}
