//! How far the tensors inside the segments lie from those in 32-bit floats.

use serde::Serialize;
use tfjet::bundle::Bundle;
use tfjet::convert::calibrate::Histogram;
use tfjet::convert::probe::ProbedTensor;
use tfjet::core::{LayerPrecision, NetworkSpec, Quantization};

use super::SignalToNoise;
use crate::calibration::{Cpu, Probe, Samples, Weighted, floats};

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
#[derive(Default)]
pub(crate) struct Layers {
    /// The worst first.
    pub(crate) reports: Vec<LayerReport>,
    pub(crate) samples: usize,
    /// Segments whose tensors cannot be seen.
    pub(crate) unseen: Vec<String>,
}

/// What is seen of one tensor.
#[derive(Clone, Default)]
struct Seen {
    ratio: SignalToNoise,
    histogram: Histogram,
}

/// A network in the numbers that are looked at.
struct Segment<'a> {
    network: NetworkSpec,
    quantization: Option<&'a Quantization>,
    /// The range of each tensor that is rounded.
    rounded: Vec<Option<f32>>,
}

impl<'a> Segment<'a> {
    fn new(network: NetworkSpec, quantization: Option<&'a Quantization>) -> Self {
        let rounded = quantization.map(|quantization| quantization.rounded(&network));
        Self {
            rounded: rounded.unwrap_or_default(),
            network,
            quantization,
        }
    }

    fn report(&self, order: usize, tensor: ProbedTensor, seen: Seen) -> LayerReport {
        let mut layers = self.network.layers.iter();
        let layer = layers.position(|layer| layer.outputs.contains(&tensor.tensor));
        let kind = layer.and_then(|layer| self.network.layers.get(layer));
        let precision = layer.and_then(|layer| self.quantization?.layers.get(layer));
        let index = usize::try_from(tensor.tensor.0).ok();
        let range = index.and_then(|index| *self.rounded.get(index)?);
        LayerReport {
            segment: tensor.segment_name,
            layer: tensor.layer,
            kind: kind.map_or("input", |spec| spec.layer.kind()).into(),
            tensor: tensor.name,
            precision: match precision {
                Some(LayerPrecision::Int8 { .. }) => "int8",
                Some(LayerPrecision::Fp16) => "fp16",
                Some(LayerPrecision::Fp32) | None => "fp32",
            }
            .into(),
            sqnr_db: seen.ratio.db(),
            not_finite: seen.ratio.not_finite,
            largest: seen.histogram.magnitude(),
            range,
            clipped_percent: range.map(|range| clipped(&seen.histogram, range)),
            order,
            histogram: range.is_some().then_some(seen.histogram),
        }
    }
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
        let probe = Probe::new(bundle, &|network| Weighted::new(network).tensors())?;
        let none = vec![None; quantizations.len()];
        let mut reference = probe.session_in(cpu, &none, false)?;
        let mut ours = probe.session_in(cpu, quantizations, true)?;
        let mut seen = vec![Seen::default(); probe.tensors.len()];
        let mut ran = 0;
        let picked = samples.some(count).into_iter();
        samples.each(Some("layers"), picked, |sample| {
            let expected = reference.run(sample.inputs)?;
            let found = ours.run(sample.inputs)?;
            for (index, seen) in (probe.first..).zip(&mut seen) {
                let expected = floats(&expected, index)?;
                seen.ratio.add(expected, floats(&found, index)?);
                seen.histogram.add(expected);
            }
            ran += 1;
            Ok(())
        })?;
        let segments = (0..)
            .zip(quantizations)
            .map(|(segment, quantization)| {
                let network = bundle.network(segment)?;
                Ok(Segment::new(network, quantization.as_ref()))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut reports: Vec<(_, LayerReport)> = Vec::with_capacity(seen.len());
        for (order, (tensor, seen)) in probe.tensors.into_iter().zip(seen).enumerate() {
            if let Some(segment) = segments.get(usize::try_from(tensor.segment)?) {
                reports.push((seen.ratio.order(), segment.report(order, tensor, seen)));
            }
        }
        // Those that are equally bad stay in the order of the layers.
        reports.sort_by_key(|(order, _)| *order);
        Ok(Self {
            reports: reports.into_iter().map(|(_, report)| report).collect(),
            samples: ran,
            unseen: probe.unseen,
        })
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
