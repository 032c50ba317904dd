use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Untouched, good_bundle, says};
use crate::common::{Ran, engine, listing, tfjet, tfjet_run};
use tfjet::bundle::{Bundle, BundleWriter, EngineHeader, SectionKind};

const TARGET: &str = "trt8.5.2-sm90-fp16";

fn header() -> EngineHeader {
    EngineHeader {
        library: "trt8.5.2".into(),
        compute_capability: Some((9, 0)),
        precision: "fp16".into(),
        gpu: "NVIDIA H200".into(),
        ..EngineHeader::default()
    }
}

/// The bundle with what `add` puts into it.
fn grown(bundle: &Path, add: impl FnOnce(&mut BundleWriter)) -> PathBuf {
    let open = Arc::new(Bundle::open(bundle).unwrap());
    let mut writer = BundleWriter::from_bundle(&open).unwrap();
    add(&mut writer);
    let path = bundle.with_file_name("grown.jet");
    writer.write(&path).unwrap();
    path
}

fn with_engine(bundle: &Path, segment: u32) -> PathBuf {
    grown(bundle, |writer| {
        writer.set_engine(&header(), segment, b"an engine").unwrap();
        let (kind, target) = (SectionKind::TimingCache, "trt8.5.2-sm90");
        writer.set(kind, target, 0, b"timings".to_vec()).unwrap();
    })
}

fn verify(bundle: &Path) -> Ran {
    tfjet().arg("verify").arg(bundle).run()
}

/// On the CPU, which needs no engine.
fn run(bundle: &Path, inputs: &Path) -> Ran {
    let run = tfjet_run().words("run --device cpu").arg(bundle);
    run.arg("--inputs").arg(inputs).run()
}

#[test]
fn any_changed_byte_of_an_engine_fails() {
    let folder = Untouched::new();
    let (bundle, inputs) = good_bundle(folder.path());
    let path = with_engine(&bundle, 0);
    verify(&path).good();
    let has_library = engine();
    if has_library {
        run(&path, &inputs).good();
    }
    let good = std::fs::read(&path).unwrap();
    let open = Bundle::open(&path).unwrap();
    let sections: Vec<_> = open.sections().iter().rev().take(2).cloned().collect();
    drop(open);
    let before = listing(folder.path());
    for section in sections {
        let start = usize::try_from(section.offset).unwrap();
        let end = start + usize::try_from(section.len_bytes).unwrap();
        for at in (start..end).step_by(9).chain([end - 1]) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, bytes).unwrap();
            let kind = section.id.kind.name();
            says(verify(&path).refused(3), &["grown.jet", kind, "expected"]);
            if has_library {
                says(run(&path, &inputs).refused(3), &["grown.jet", kind]);
            }
        }
    }
    assert_eq!(listing(folder.path()), before);
}

#[test]
fn engine_of_a_segment_that_is_not_there() {
    let folder = Untouched::new();
    let (bundle, _) = good_bundle(folder.path());
    let path = with_engine(&bundle, 7);
    says(
        verify(&path).refused(3),
        &["grown.jet", "segment 7", "there are 1"],
    );
}

#[test]
fn engine_under_the_name_of_another_machine() {
    let folder = Untouched::new();
    let (bundle, inputs) = good_bundle(folder.path());
    let whole = Bundle::open(&with_engine(&bundle, 0)).unwrap();
    let engine_bytes = whole.section(SectionKind::Engine, TARGET, 0).unwrap();
    let path = grown(&bundle, |writer| {
        let (kind, target) = (SectionKind::Engine, "trt8.5.2-sm87-fp16");
        writer.set(kind, target, 0, engine_bytes.to_vec()).unwrap();
    });
    let words = ["grown.jet", "trt8.5.2-sm87-fp16", TARGET];
    says(verify(&path).refused(3), &words);
    if engine() {
        says(run(&path, &inputs).refused(3), &words);
    }
}

#[test]
fn bytes_in_the_place_of_an_engine() {
    let folder = Untouched::new();
    let (bundle, _) = good_bundle(folder.path());
    for bytes in [&b""[..], b"ftrt", &[0xff; 500], &[0; 500]] {
        let path = grown(&bundle, |writer| {
            let kind = SectionKind::Engine;
            writer.set(kind, TARGET, 0, bytes.to_vec()).unwrap();
        });
        says(verify(&path).refused(3), &["grown.jet", "Engine section 0"]);
    }
}

#[test]
fn damaged_bundle_is_not_prepared() {
    let folder = Untouched::new();
    let (bundle, _) = good_bundle(folder.path());
    let good = std::fs::read(&bundle).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let damaged = folder.file("damaged.jet", flipped);
    let cut = folder.file("cut.jet", &good[..good.len() / 2]);
    let before = listing(folder.path());
    for path in [&damaged, &cut, &folder.path().join("none.jet")] {
        let prepare = tfjet_run().arg("prepare").arg(path).arg("--cache");
        let ran = prepare.arg(folder.path().join("cache")).run();
        says(ran.refused(3), &[path.to_str().unwrap()]);
    }
    assert_eq!(listing(folder.path()), before);
}
