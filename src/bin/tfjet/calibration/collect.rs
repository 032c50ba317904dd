//! Calibration: the values of all tensors over the samples, and the ranges that a method chooses.

use anyhow::{Context as _, bail};
use tfjet::bundle::Bundle;
use tfjet::convert::Lowered;
use tfjet::convert::calibrate::{
    Histogram, Method, Table, TableEntry, fingerprint, weight_magnitudes,
};
use tfjet::convert::probe::{Probed, ProbedTensor, probe};
use tfjet::core::{DType, Layer, NetworkSpec, Tensor, TensorId, TensorView};
use tfjet::runtime::Outputs;

use super::{Cpu, FEW, Progress, Samples};

/// A table of ranges, and what a user should know of it.
pub(crate) struct Collected {
    pub(crate) table: Table,
    pub(crate) warnings: Vec<String>,
}

/// The largest number of 16 bits.
const LARGEST_FP16: f32 = 65504.0;

/// Most names in one warning.
const NAMED: usize = 5;

/// Is this a tensor of floats that depends on the inputs?
pub(crate) fn is_activation(network: &NetworkSpec, id: TensorId) -> bool {
    let is_float = network.tensor(id).is_some_and(|it| it.dtype == DType::F32);
    let is_constant = network
        .layers
        .iter()
        .any(|layer| layer.outputs.contains(&id) && matches!(layer.layer, Layer::Constant { .. }));
    is_float && !is_constant
}

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
    let Probed {
        writer,
        tensors,
        unseen,
    } = probe(bundle, &is_activation)?;
    if tensors.is_empty() {
        bail!("`{name}` has no tensor of floats in a segment: there is nothing to calibrate");
    }
    let first = bundle.manifest()?.outputs.len();
    let mut session = cpu.exact(&writer)?;
    let mut histograms = vec![Histogram::new(); tensors.len()];
    let mut progress = Progress::new("calibrating", samples.len());
    for index in 0..samples.len() {
        let file = samples.name(index);
        if let Some(inputs) = samples.read(index)? {
            let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
            let outputs = session.run(&views).with_context(|| file.clone())?;
            for (offset, histogram) in histograms.iter_mut().enumerate() {
                if let Some(view) = outputs.get(first + offset) {
                    histogram.add(view.as_slice()?);
                }
            }
        }
        progress.show(index + 1);
    }
    drop(progress);
    let count = samples.check_any()?;
    let mut warnings = Vec::new();
    if count < FEW {
        warnings.push(format!(
            "{}: {count} samples say little about ranges; give {FEW} or more, of the kind that the \
             model will see",
            samples.folder().display()
        ));
    }
    if !unseen.is_empty() {
        warnings.push(format!(
            "segments of loops and conditions cannot be calibrated: {}",
            list(&unseen)
        ));
    }
    warnings.extend(odd(&tensors, &histograms));
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

/// Output `index` as floats; none where it is of another type.
pub(crate) fn floats<'a>(outputs: &Outputs<'a>, index: usize) -> Option<&'a [f32]> {
    outputs.get(index)?.as_slice().ok()
}
