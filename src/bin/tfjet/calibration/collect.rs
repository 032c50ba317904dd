//! Calibration: the values of all tensors over the samples, and the ranges that a method chooses.

use anyhow::bail;
use tfjet::bundle::Bundle;
use tfjet::convert::Lowered;
use tfjet::convert::calibrate::{
    Histogram, Method, Table, TableEntry, fingerprint, weight_magnitudes,
};
use tfjet::convert::probe::ProbedTensor;
use tfjet::core::TensorId;

use super::{Cpu, FEW, Probe, Samples, floats};

/// A table of ranges, and what a user should know of it.
pub(crate) struct Collected {
    pub(crate) table: Table,
    pub(crate) warnings: Vec<String>,
}

/// The largest number of 16 bits.
const LARGEST_FP16: f32 = 65504.0;

/// Most names in one warning.
const NAMED: usize = 5;

/// Runs `bundle`, a bundle of `lowered` in floats, over all samples, and lets `method` choose the
/// range of each tensor.
pub(crate) fn collect(
    cpu: &Cpu,
    bundle: &Bundle,
    lowered: &Lowered,
    name: &str,
    samples: &mut Samples,
    method: Method,
) -> anyhow::Result<Collected> {
    let probe = Probe::new(bundle, &|network| {
        (0..).map(TensorId).take(network.tensors.len()).collect()
    })?;
    let tensors = &probe.tensors;
    if tensors.is_empty() {
        bail!("`{name}` has no tensor of floats in a segment: there is nothing to calibrate");
    }
    let mut session = probe.session(cpu)?;
    let mut histograms = vec![Histogram::new(); tensors.len()];
    samples.each(Some("calibrating"), 0..samples.len(), |sample| {
        let outputs = session.run(sample.inputs)?;
        for (index, histogram) in (probe.first..).zip(&mut histograms) {
            histogram.add(floats(&outputs, index)?);
        }
        Ok(())
    })?;
    let count = samples.check_any()?;
    let mut warnings = Vec::new();
    if count < FEW {
        warnings.push(format!(
            "{}: {count} samples say little about ranges; give {FEW} or more, of the kind that the \
             model will see",
            samples.folder().display()
        ));
    }
    if !probe.unseen.is_empty() {
        warnings.push(format!(
            "segments of loops and conditions cannot be calibrated: {}",
            list(&probe.unseen)
        ));
    }
    warnings.extend(odd(tensors, &histograms));
    Ok(Collected {
        table: Table {
            model: fingerprint(lowered),
            name: name.into(),
            method: method.to_string(),
            samples: count,
            tensors: tensors
                .iter()
                .zip(&histograms)
                .map(|(tensor, histogram)| (key(tensor), entry(histogram, method)))
                .collect(),
            layers: weight_magnitudes(lowered),
        },
        warnings,
    })
}

fn key(tensor: &ProbedTensor) -> String {
    format!("{}/{}", tensor.segment_name, tensor.name)
}

fn entry(histogram: &Histogram, method: Method) -> TableEntry {
    TableEntry {
        range: method.range(histogram),
        min: histogram.min().unwrap_or(0.0),
        max: histogram.max().unwrap_or(0.0),
        count: histogram.count(),
        not_finite: histogram.not_finite(),
    }
}

/// Tensors whose values are no basis for a range.
fn odd(tensors: &[ProbedTensor], histograms: &[Histogram]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut say = |is_odd: &dyn Fn(&Histogram) -> bool, text: &dyn Fn(usize) -> String| {
        let odd = tensors.iter().zip(histograms);
        let odd = odd.filter(|(_, histogram)| is_odd(histogram));
        let names: Vec<String> = odd.map(|(tensor, _)| key(tensor)).collect();
        if !names.is_empty() {
            warnings.push(format!("{}: {}", text(names.len()), list(&names)));
        }
    };
    say(&|it| it.not_finite() > 0, &|count| {
        format!("{count} tensors have values that are infinite or no number, which no range covers")
    });
    say(
        &|it| it.count() > 1 && it.min() == it.max() && it.not_finite() == 0,
        &|count| format!("{count} tensors have the same value in all samples"),
    );
    say(
        &|it| {
            it.magnitude()
                .is_some_and(|magnitude| magnitude > LARGEST_FP16)
        },
        &|count| {
            format!(
                "{count} tensors have values beyond {LARGEST_FP16}, which FP16 cannot hold; keep \
                 their layers with --keep LAYER=fp32"
            )
        },
    );
    warnings
}

/// The first names, and how many more there are.
pub(crate) fn list(names: &[String]) -> String {
    match names.len() {
        count if count > NAMED => {
            let (first, rest) = names.split_at(NAMED);
            format!("{} and {} more", first.join(", "), rest.len())
        }
        _ => names.join(", "),
    }
}
