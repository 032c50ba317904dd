//! What is written is read again, the same bytes every time.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::sync::Arc;
use std::thread;

use common::Sample;
use tfjet_bundle::{AddProblem, Bundle, BundleError, BundleWriter, HEADER_LEN, SectionKind};
use tfjet_core::DType;

fn assert_holds(bundle: &Bundle, sample: &Sample) {
    assert_eq!(bundle.manifest().unwrap(), sample.manifest);
    assert_eq!(bundle.schedule().unwrap(), sample.schedule);
    assert_eq!(bundle.weights_table().unwrap(), sample.table);
    assert_eq!(bundle.weights().unwrap(), sample.weights);
    assert_eq!(bundle.segment_count(), sample.networks.len());
    for (segment, (network, onnx)) in (0..).zip(sample.networks.iter().zip(&sample.onnx)) {
        assert_eq!(bundle.network(segment).unwrap(), *network);
        assert_eq!(bundle.onnx(segment).unwrap(), *onnx);
    }
    assert_eq!(bundle.report().unwrap(), sample.report);
}

#[test]
fn reads_from_a_file_what_was_written() {
    let sample = Sample::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.jet");
    sample.writer().write(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), sample.bytes());
    let bundle = Bundle::open(&path).unwrap();
    assert_holds(&bundle, &sample);
    assert_eq!(bundle.path(), Some(path.as_path()));
    let report = bundle.verify().unwrap();
    assert_eq!((report.sections, report.segments), (9, 2));
    assert_eq!((report.steps, report.weights), (3, 3));
    assert_eq!(report.len_bytes, bundle.len_bytes());
    let weights = bundle.sections().last().unwrap();
    assert_eq!(weights.id.kind, SectionKind::Weights);
    assert_eq!(bundle.weights().unwrap().as_ptr().addr() % 4096, 0);
}

#[test]
fn reads_from_memory_what_was_written() {
    let sample = Sample::new();
    let bundle = Bundle::from_bytes(sample.bytes()).unwrap();
    assert_holds(&bundle, &sample);
    assert_eq!(bundle.path(), None);
    bundle.verify().unwrap();
}

#[test]
fn lends_weights_in_place() {
    let bundle = Bundle::from_bytes(Sample::new().bytes()).unwrap();
    let table = bundle.weights_table().unwrap();
    let kernel = bundle.weights_view(&table.entries[0]).unwrap();
    assert_eq!(
        (kernel.dtype(), kernel.shape()),
        (DType::F32, &[2, 3, 1, 1][..])
    );
    assert_eq!(
        kernel.as_slice::<f32>().unwrap(),
        [1.0, -2.0, 0.5, 3.0, 4.0, -0.25]
    );
    let all = bundle.weights().unwrap().as_ptr_range();
    assert!(all.contains(&kernel.bytes().as_ptr()));
    let half = bundle.weights_view(&table.entries[1]).unwrap();
    assert_eq!(
        half.as_slice::<half::f16>().unwrap(),
        [1.0, -2.0].map(half::f16::from_f32)
    );
    let mut foreign = table.entries[0].clone();
    foreign.offset = 128;
    assert_eq!(
        bundle.weights_view(&foreign).unwrap_err().to_string(),
        "the bundle in memory: Weights section at offset 8192: an array that takes 24 bytes from \
         offset 128, the Weights section has 136"
    );
}

#[test]
fn bytes_do_not_depend_on_the_order_of_adding() {
    let add = |order: [u32; 3]| {
        let mut writer = BundleWriter::new();
        for index in order {
            let kind = SectionKind::Onnx;
            writer
                .add(kind, "nano", index, vec![index as u8; 5])
                .unwrap();
            writer.add(kind, "", index, vec![index as u8; 70]).unwrap();
        }
        writer.to_bytes().unwrap()
    };
    assert_eq!(add([0, 1, 2]), add([2, 0, 1]));
}

#[test]
fn sections_of_different_targets_are_told_apart() {
    let mut writer = BundleWriter::new();
    writer
        .add(SectionKind::Onnx, "", 0, b"all".to_vec())
        .unwrap();
    writer
        .add(SectionKind::Onnx, "nano", 0, b"nano".to_vec())
        .unwrap();
    let bundle = Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap();
    assert_eq!(bundle.section(SectionKind::Onnx, "", 0).unwrap(), b"all");
    assert_eq!(
        bundle.section(SectionKind::Onnx, "nano", 0).unwrap(),
        b"nano"
    );
    assert_eq!(
        bundle
            .section(SectionKind::Onnx, "tx2", 0)
            .unwrap_err()
            .to_string(),
        "the bundle in memory has no Onnx section 0 for target \"tx2\""
    );
}

#[test]
fn holds_empty_sections_and_no_sections() {
    let empty = BundleWriter::new().to_bytes().unwrap();
    assert_eq!(empty.len(), HEADER_LEN);
    assert_eq!(Bundle::from_bytes(empty).unwrap().sections(), []);
    let mut writer = BundleWriter::new();
    writer.add(SectionKind::Onnx, "", 0, vec![]).unwrap();
    writer.add(SectionKind::Onnx, "", 1, vec![]).unwrap();
    writer.add(SectionKind::Weights, "", 0, vec![]).unwrap();
    let bundle = Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap();
    assert_eq!(bundle.onnx(1).unwrap(), b"");
    assert_eq!(bundle.weights().unwrap(), b"");
}

#[test]
fn refuses_sections_that_no_bundle_may_have() {
    let mut writer = BundleWriter::new();
    writer.add(SectionKind::Report, "", 0, vec![]).unwrap();
    for (kind, target, index, expected) in [
        (SectionKind::Report, "", 0, AddProblem::Twice),
        (SectionKind::Report, "", 1, AddProblem::Index),
        (SectionKind::Onnx, "Nano", 0, AddProblem::Target),
        (SectionKind::TimingCache, "nano", 1, AddProblem::Index),
        (SectionKind::Signature, "", 0, AddProblem::Reserved),
    ] {
        match writer.add(kind, target, index, vec![]) {
            Err(BundleError::Add { section, problem }) => {
                assert_eq!((section.kind, problem), (kind, expected));
            }
            other => panic!("{kind} {target} {index}: {other:?}"),
        }
    }
    let large = vec![0; (64 << 20) + 1];
    let error = writer.add(SectionKind::Manifest, "", 0, large).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot add Manifest section to a bundle: 67108865 bytes, at most 67108864 are read"
    );
}

#[test]
fn a_bundle_is_shared_between_threads() {
    let sample = Sample::new();
    let bundle = Arc::new(Bundle::from_bytes(sample.bytes()).unwrap());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let bundle = Arc::clone(&bundle);
            thread::spawn(move || bundle.verify().map(|report| report.sections))
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap().unwrap(), 9);
    }
}

#[test]
fn replacing_a_bundle_leaves_an_open_one_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.jet");
    let sample = Sample::new();
    sample.writer().write(&path).unwrap();
    let open = Bundle::open(&path).unwrap();
    let mut writer = BundleWriter::new();
    writer
        .add(SectionKind::Report, "", 0, b"{}".to_vec())
        .unwrap();
    writer.write(&path).unwrap();
    assert_holds(&open, &sample);
    open.verify().unwrap();
    assert_eq!(Bundle::open(&path).unwrap().report().unwrap(), "{}");
    let names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["model.jet"], "a temporary file is left");
}

#[test]
fn a_failed_write_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let occupied = directory.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    let writer = Sample::new().writer();
    for path in [
        occupied.clone(),
        directory.path().join("absent/model.jet"),
        directory.path().join(".."),
        "/dev/null".into(),
    ] {
        let error = writer.write(&path).unwrap_err().to_string();
        let start = format!("cannot write {}: ", path.display());
        assert!(error.starts_with(&start), "{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn writes_through_a_symbolic_link() {
    let directory = tempfile::tempdir().unwrap();
    let (file, link) = (
        directory.path().join("a.jet"),
        directory.path().join("b.jet"),
    );
    fs::write(&file, b"old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    Sample::new().writer().write(&link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&file).unwrap(), Sample::new().bytes());
}
