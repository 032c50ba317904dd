//! Writes a lowered model as a bundle.

mod part;
mod schedule;

use tfjet_bundle::{BundleWriter, SectionKind};
use tfjet_core::{NetworkSpec, Precision, Quantization, Summary, WeightsId, WeightsTable};
use tfjet_onnx::{OnnxOptions, to_onnx};

use crate::ConvertError;
use crate::lower::{WeightsLayout, WeightsStore};
use crate::report::{Report, TargetReport};
use crate::stages::Lowered;
use crate::task::Task;

use part::Part;

/// Collects the sections of a bundle.
pub fn emit(
    lowered: Lowered,
    model: &str,
    task: &Task,
    report: &Report,
) -> Result<BundleWriter, ConvertError> {
    emit_targets(vec![(lowered, report.clone())], model, task)
}

/// Collects the sections of a bundle for several targets, as
/// [`lower_targets`](crate::lower_targets) gave them, each with its report; the order is of no
/// matter. What targets have in common is stored once: weights, inputs and outputs, schedules with
/// their networks, and reports that differ in the target's name only.
pub fn emit_targets(
    mut targets: Vec<(Lowered, Report)>,
    model: &str,
    task: &Task,
) -> Result<BundleWriter, ConvertError> {
    targets.sort_by(|(a, _), (b, _)| a.target.name.cmp(&b.target.name));
    let stores = targets.iter_mut();
    let stores = stores.map(|(lowered, _)| std::mem::take(&mut lowered.weights));
    // Each target's store holds those of the targets that were lowered before it.
    let mut weights = stores.max_by_key(WeightsStore::len).unwrap_or_default();
    let count = targets.len();
    let mut parts = Vec::with_capacity(count);
    for (lowered, report) in targets {
        let target = lowered.target.name.clone();
        let part = Part::new(lowered, report, &mut weights);
        parts.push(part.map_err(|error| error.of_target(&target, count))?);
    }
    let used: Vec<WeightsId> = parts.iter().flat_map(Part::weights).collect();
    let WeightsLayout {
        table,
        blob,
        places,
    } = weights.lay_out(used)?;
    parts.iter_mut().for_each(|part| part.place(&places));
    let mut writer = BundleWriter::new();
    if let [part] = parts.as_slice() {
        let summary = part.summary();
        let manifest = part.manifest(part.name(), summary, model, task)?;
        writer.add_postcard(SectionKind::Manifest, "", 0, &manifest)?;
        part.add_lowering(&mut writer, "", &table)?;
        add_report(&mut writer, "", &part.report)?;
    } else {
        add_targets(&mut writer, &parts, &table)?;
        if let Some(part) = parts.first() {
            let names: Vec<&str> = parts.iter().map(Part::name).collect();
            let summary = Summary::default();
            let manifest = part.manifest(&names.join(","), summary, model, task)?;
            writer.add_postcard(SectionKind::Manifest, "", 0, &manifest)?;
        }
    }
    writer.add_postcard(SectionKind::WeightsTable, "", 0, &table)?;
    if !blob.is_empty() {
        writer.add(SectionKind::Weights, "", 0, blob)?;
    }
    Ok(writer)
}

/// The ONNX model of a segment, in the numbers that the CPU engine computes in: 8 bits where a layer
/// has such, 16 bits where they are to be rounded, 32 bits elsewhere.
pub(crate) fn onnx(
    network: &NetworkSpec,
    table: &WeightsTable,
    quantization: Option<&Quantization>,
    round_fp16: bool,
) -> Result<Vec<u8>, ConvertError> {
    let counts = |it: &&Quantization| it.precision() == Precision::Int8 || round_fp16;
    let options = OnnxOptions {
        quantization: quantization.filter(counts).cloned(),
        round_fp16,
        ..OnnxOptions::default()
    };
    to_onnx(network, table, &options).map_err(|source| ConvertError::Onnx {
        segment: network.name.clone(),
        source,
    })
}

/// The sections of each of several targets. A lowering that all have belongs to none of them, else
/// to the first that has it; so does its report.
fn add_targets(
    writer: &mut BundleWriter,
    parts: &[Part],
    table: &WeightsTable,
) -> Result<(), ConvertError> {
    let owners: Vec<usize> = parts
        .iter()
        .enumerate()
        .map(|(index, part)| {
            let same = parts.iter().position(|other| other.has_lowering_of(part));
            same.unwrap_or(index)
        })
        .collect();
    let is_shared = owners.iter().all(|&owner| owner == 0);
    for (index, (part, &owner)) in parts.iter().zip(&owners).enumerate() {
        let lowering = match is_shared {
            true => "",
            false => parts[owner].name(),
        };
        let group = parts.iter().zip(&owners).filter(|(_, it)| **it == owner);
        let reports: Vec<&Report> = group.map(|(part, _)| &part.report).collect();
        let shared = shared_report(&reports);
        if owner == index {
            part.add_lowering(writer, lowering, table)?;
            if let Some(report) = &shared {
                add_report(writer, lowering, report)?;
            }
        }
        if shared.is_none() {
            add_report(writer, part.name(), &part.report)?;
        }
        let info = part.info(lowering);
        writer.add_postcard(SectionKind::Target, part.name(), 0, &info)?;
    }
    Ok(())
}

/// One report for all of these targets, where theirs differ in the target only.
fn shared_report(reports: &[&Report]) -> Option<Report> {
    let with = |report: &Report, target: &TargetReport| {
        let mut report = report.clone();
        report.target = target.clone();
        report
    };
    let joined = |part: fn(&TargetReport) -> &str| {
        let mut parts: Vec<&str> = reports.iter().map(|report| part(&report.target)).collect();
        parts.dedup();
        parts.join(", ")
    };
    let target = TargetReport {
        name: joined(|target| &target.name),
        library: joined(|target| &target.library),
    };
    let first = with(reports.first()?, &target);
    let same = reports.iter().all(|report| with(report, &target) == first);
    same.then_some(first)
}

fn add_report(
    writer: &mut BundleWriter,
    target: &str,
    report: &Report,
) -> Result<(), ConvertError> {
    let report = report.to_json().into_bytes();
    Ok(writer.add(SectionKind::Report, target, 0, report)?)
}
