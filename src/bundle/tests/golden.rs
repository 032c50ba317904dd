//! A bundle of every version stays readable, and unchanged when written again; one of the present
//! versions is written as it was before.
//!
//! After a deliberate change of a section kind's version, give the files of [`CURRENT`] the next
//! number and write them with `TFJET_REGENERATE_GOLDEN=1 cargo test -p tfjet-bundle --test golden`.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use common::{Sample, engines, targets};
use tfjet_bundle::{Bundle, BundleWriter, EngineSection, SectionKind};

/// The files that this code would write: version 1 knew no functions in a schedule.
const CURRENT: &str = "v2";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.jet"))
}

/// A file of the present version, which is made by `writer`.
fn written(suffix: &str, writer: &BundleWriter) -> Arc<Bundle> {
    let name = format!("{CURRENT}{suffix}");
    if std::env::var_os("TFJET_REGENERATE_GOLDEN").is_some() {
        writer.write(&path(&name)).unwrap();
    }
    let golden = fs::read(path(&name)).unwrap();
    assert!(golden.len() < 30_000);
    assert_eq!(
        writer.to_bytes().unwrap(),
        golden,
        "the encoding of a structured section changed"
    );
    read(&name)
}

/// A file of any version, which stays as it is when it is written again.
fn read(name: &str) -> Arc<Bundle> {
    let bundle = Arc::new(Bundle::open(&path(name)).unwrap());
    bundle.verify().unwrap();
    let copy = BundleWriter::from_bundle(&bundle).unwrap();
    assert_eq!(copy.to_bytes().unwrap(), fs::read(path(name)).unwrap());
    bundle
}

fn assert_holds(bundle: &Bundle, sample: &Sample) {
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
    assert_eq!(read, *sample);
}

#[test]
fn bundles_read_in_every_version() {
    assert_holds(&read("v1"), &Sample::new());
    let sample = Sample::with_functions();
    let bundle = written("", &sample.writer());
    assert_holds(&bundle, &sample);
    let report = bundle.verify().unwrap();
    assert_eq!((report.steps, report.functions), (7, 4));
}

#[test]
fn bundles_with_engines_read_in_every_version() {
    for bundle in [read("v1-engines"), written("-engines", &engines::writer())] {
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
    }
    let bundle = read(&format!("{CURRENT}-engines"));
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
    assert_eq!(without.to_bytes().unwrap(), Sample::new().bytes());
}

#[test]
fn bundles_for_several_targets_read_in_every_version() {
    for bundle in [read("v1-targets"), written("-targets", &targets::writer())] {
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
    }
}
