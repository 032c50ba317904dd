//! A bundle of every format version stays readable, and unchanged when written again.
//!
//! After a deliberate change of a section kind's version, `TFJET_REGENERATE_GOLDEN=1 cargo test -p
//! tfjet-bundle --test golden` writes the file anew; keep the old one under its own name.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{Sample, engines, targets};
use tfjet_bundle::{Bundle, BundleWriter, EngineSection, SectionKind};

#[test]
fn version_1_reads_and_is_written_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.jet");
    let sample = Sample::new();
    if std::env::var_os("TFJET_REGENERATE_GOLDEN").is_some() {
        sample.writer().write(&path).unwrap();
    }
    let bundle = Bundle::open(&path).unwrap();
    bundle.verify().unwrap();
    let read = Sample {
        manifest: bundle.manifest().unwrap(),
        schedule: bundle.schedule().unwrap(),
        table: bundle.weights_table().unwrap(),
        weights: bundle.weights().unwrap().to_vec(),
        networks: vec![bundle.network(0).unwrap(), bundle.network(1).unwrap()],
        onnx: vec![
            bundle.onnx(0).unwrap().to_vec(),
            bundle.onnx(1).unwrap().to_vec(),
        ],
        report: bundle.report().unwrap().into(),
    };
    assert_eq!(read, sample);
    let golden = fs::read(&path).unwrap();
    assert!(golden.len() < 20_000);
    assert_eq!(
        read.bytes(),
        golden,
        "the encoding of a structured section changed"
    );

    let mut copy = BundleWriter::new();
    for section in bundle.sections() {
        let id = &section.id;
        let contents = bundle.section(id.kind, &id.target, id.index).unwrap();
        copy.add(id.kind, &id.target, id.index, contents.to_vec())
            .unwrap();
    }
    assert_eq!(copy.to_bytes().unwrap(), golden);
}

#[test]
fn version_1_with_engines_reads_and_is_written_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1-engines.jet");
    if std::env::var_os("TFJET_REGENERATE_GOLDEN").is_some() {
        engines::writer().write(&path).unwrap();
    }
    let bundle = Bundle::open(&path).unwrap();
    let report = bundle.verify().unwrap();
    assert_eq!((report.sections, report.engines), (14, 4));
    let mut read: Vec<EngineSection<'_>> = bundle.engines().map(Result::unwrap).collect();
    read.sort_by_key(|engine| (engine.header.library.clone(), engine.segment));
    let expected = engines::engines();
    let expected: Vec<_> = expected.iter().map(|it| (&it.1, it.0, &*it.2)).collect();
    let read: Vec<_> = read
        .iter()
        .map(|it| (&it.header, it.segment, it.bytes))
        .collect();
    assert_eq!(read, expected);
    let timing = bundle.timing_cache("trt8.5.2-sm90").unwrap();
    assert_eq!(timing, Some(engines::TIMING));
    let golden = fs::read(&path).unwrap();
    assert_eq!(engines::writer().to_bytes().unwrap(), golden);
    let stripped = Sample::new().bytes();
    let mut without = BundleWriter::new();
    for section in bundle.sections() {
        let id = &section.id;
        if !matches!(id.kind, SectionKind::Engine | SectionKind::TimingCache) {
            let contents = bundle.section(id.kind, &id.target, id.index).unwrap();
            without
                .add(id.kind, &id.target, id.index, contents.to_vec())
                .unwrap();
        }
    }
    assert_eq!(without.to_bytes().unwrap(), stripped);
}

#[test]
fn version_1_for_several_targets_reads_and_is_written_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1-targets.jet");
    if std::env::var_os("TFJET_REGENERATE_GOLDEN").is_some() {
        targets::writer().write(&path).unwrap();
    }
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(bundle.verify().unwrap().targets, 3);
    for (name, lowering) in targets::NAMES.into_iter().zip(["nano", "x86-cpu", "nano"]) {
        let board = bundle.select(name).unwrap();
        let info = board.target_info(name).unwrap();
        assert_eq!(info, Some(targets::info(name, lowering)));
    }
    let cpu = bundle.select("x86-cpu").unwrap();
    assert_eq!(cpu.schedule().unwrap(), targets::one_segment().0);
    let nano = bundle.select("nano").unwrap();
    assert_eq!(nano.schedule().unwrap(), Sample::new().schedule);
    let golden = fs::read(&path).unwrap();
    assert_eq!(targets::writer().to_bytes().unwrap(), golden);
}
