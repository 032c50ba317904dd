//! The sample for three targets, two of which have the same networks.

use tfjet_bundle::{BundleWriter, SectionKind};
use tfjet_core::{
    ComputeCapability, EngineKind, NetworkSpec, Release, Schedule, Step, Summary, TargetInfo,
    ValueId,
};

use super::Sample;

pub(crate) const NAMES: [&str; 3] = ["nano", "x86-cpu", "xavier-nx"];

/// A target, `lowering` as in the table.
pub(crate) fn info(name: &str, lowering: &str) -> TargetInfo {
    let (engine, release, capability) = match name {
        "nano" => (EngineKind::TensorRt, Some(Release::new(8, 2, 1)), (5, 3)),
        "xavier-nx" => (EngineKind::TensorRt, Some(Release::new(8, 5, 2)), (7, 2)),
        _ => (EngineKind::Cpu, None, (0, 0)),
    };
    let (major, minor) = capability;
    TargetInfo {
        description: format!("the board {name}"),
        engine,
        release,
        compute_capability: release.map(|_| ComputeCapability { major, minor }),
        jetpack: release.map(|_| "4.6.6".into()),
        lowering: lowering.into(),
        summary: Summary {
            nodes: name.len(),
            ..Sample::new().manifest.summary
        },
    }
}

/// The CPU's lowering: one segment for all.
pub(crate) fn one_segment() -> (Schedule, NetworkSpec) {
    let sample = Sample::new();
    let mut schedule = sample.schedule;
    schedule.steps = vec![Step::Engine {
        segment: 0,
        inputs: vec![ValueId(0)],
        outputs: vec![ValueId(4)],
    }];
    (schedule, sample.networks[0].clone())
}

/// What the three targets have in common.
pub(crate) fn common() -> BundleWriter {
    let mut sample = Sample::new();
    sample.manifest.target = NAMES.join(",");
    sample.manifest.summary = Summary::default();
    let mut writer = BundleWriter::new();
    let (kind, manifest) = (SectionKind::Manifest, &sample.manifest);
    writer.add_postcard(kind, "", 0, manifest).unwrap();
    let (kind, table) = (SectionKind::WeightsTable, &sample.table);
    writer.add_postcard(kind, "", 0, table).unwrap();
    let (kind, weights) = (SectionKind::Weights, sample.weights.clone());
    writer.add(kind, "", 0, weights).unwrap();
    writer
}

/// Schedule, networks and ONNX models of the sample, for `target`.
pub(crate) fn add_sample(writer: &mut BundleWriter, target: &str) {
    let sample = Sample::new();
    let (kind, schedule) = (SectionKind::Schedule, &sample.schedule);
    writer.add_postcard(kind, target, 0, schedule).unwrap();
    for (index, (network, onnx)) in (0..).zip(sample.networks.iter().zip(&sample.onnx)) {
        let kind = SectionKind::Network;
        writer.add_postcard(kind, target, index, network).unwrap();
        let kind = SectionKind::Onnx;
        writer.add(kind, target, index, onnx.clone()).unwrap();
    }
}

/// `nano` and `xavier-nx` have the lowering of `nano`, `x86-cpu` its own; `xavier-nx` has its own
/// report.
pub(crate) fn writer() -> BundleWriter {
    let mut writer = common();
    add_sample(&mut writer, "nano");
    let (schedule, network) = one_segment();
    let (kind, cpu) = (SectionKind::Schedule, "x86-cpu");
    writer.add_postcard(kind, cpu, 0, &schedule).unwrap();
    let kind = SectionKind::Network;
    writer.add_postcard(kind, cpu, 0, &network).unwrap();
    writer
        .add(SectionKind::Onnx, cpu, 0, b"\x08\x08onnx cpu".to_vec())
        .unwrap();
    for name in NAMES {
        let lowering = if name == "x86-cpu" { name } else { "nano" };
        let info = info(name, lowering);
        let kind = SectionKind::Target;
        writer.add_postcard(kind, name, 0, &info).unwrap();
        let report = format!(r#"{{"target":"{name}"}}"#).into_bytes();
        writer.add(SectionKind::Report, name, 0, report).unwrap();
    }
    writer
}
