//! A bundle of every format version stays readable, and unchanged when written again.
//!
//! After a deliberate change of a section kind's version, `TFJET_REGENERATE_GOLDEN=1 cargo test -p
//! tfjet-bundle --test golden` writes the file anew; keep the old one under its own name.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::Path;

use common::Sample;
use tfjet_bundle::{Bundle, BundleWriter};

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
