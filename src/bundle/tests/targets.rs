//! Bundles for several targets: looked at as one of them, and refused where they do not fit
//! together.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;

use common::targets::{NAMES, add_sample, common as common_sections, info, one_segment, writer};
use common::{Sample, engines};
use tfjet_bundle::{AddProblem, Bundle, BundleError, BundleWriter, SectionKind};

fn bundle() -> Bundle {
    Bundle::from_bytes(writer().to_bytes().unwrap()).unwrap()
}

#[test]
fn a_target_that_is_chosen_has_its_own_networks() {
    let bundle = bundle();
    assert_eq!(bundle.targets().unwrap(), NAMES);
    assert_eq!(bundle.target(), None);
    let sample = Sample::new();
    for name in ["nano", "xavier-nx"] {
        let board = bundle.select(name).unwrap();
        assert_eq!(board.target(), Some(name));
        assert_eq!(board.schedule().unwrap(), sample.schedule);
        assert_eq!(board.segment_count(), 2);
        assert_eq!(board.network(1).unwrap(), sample.networks[1]);
        assert_eq!(board.onnx(1).unwrap(), sample.onnx[1]);
        let manifest = board.manifest().unwrap();
        assert_eq!(
            (manifest.target.as_str(), manifest.summary.nodes),
            (name, name.len())
        );
        assert_eq!(manifest.labels, sample.manifest.labels);
        assert_eq!(board.report().unwrap(), format!(r#"{{"target":"{name}"}}"#));
        assert_eq!(board.target_info(name).unwrap(), Some(info(name, "nano")));
    }
    let cpu = bundle.select("nano").unwrap().select("x86-cpu").unwrap();
    let (schedule, network) = one_segment();
    assert_eq!(cpu.schedule().unwrap(), schedule);
    assert_eq!((cpu.segment_count(), cpu.network(0).unwrap()), (1, network));
    assert_eq!(cpu.onnx(0).unwrap(), b"\x08\x08onnx cpu");
    assert!(cpu.network(1).is_err());
    let section = |bundle: &Bundle| bundle.network_section(0).unwrap().id.target.clone();
    assert_eq!(section(&cpu), "x86-cpu");
    assert_eq!(section(&bundle.select("xavier-nx").unwrap()), "nano");
}

#[test]
fn before_one_is_chosen_there_is_what_they_have_in_common() {
    let bundle = bundle();
    let manifest = bundle.manifest().unwrap();
    assert_eq!(manifest.target, "nano,x86-cpu,xavier-nx");
    assert_eq!(manifest.summary, Default::default());
    assert_eq!(bundle.weights().unwrap(), Sample::new().weights);
    assert_eq!(bundle.segment_count(), 2);
    for error in [
        bundle.schedule().unwrap_err(),
        bundle.network(0).unwrap_err(),
        bundle.onnx(0).unwrap_err(),
        bundle.report().unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "the bundle in memory is for several targets: choose one of nano, x86-cpu, xavier-nx"
        );
    }
    assert!(bundle.network_section(0).is_none());
    let error = bundle.select("tx2").unwrap_err();
    assert!(matches!(error, BundleError::NoTarget { .. }));
    assert_eq!(
        error.to_string(),
        "the bundle in memory is not for target `tx2`; it is for nano, x86-cpu, xavier-nx"
    );
}

#[test]
fn a_bundle_for_one_target_can_be_asked_for_it() {
    let bundle = Bundle::from_bytes(Sample::new().bytes()).unwrap();
    assert_eq!(bundle.targets().unwrap(), ["x86-cpu"]);
    let selected = bundle.select("x86-cpu").unwrap();
    assert_eq!(selected.target(), None);
    assert_eq!(selected.target_info("x86-cpu").unwrap(), None);
    assert_eq!(selected.report().unwrap(), Sample::new().report);
    assert!(bundle.select("nano").is_err());
}

#[test]
fn sections_are_kept_under_another_target() {
    let bundle = Arc::new(bundle());
    let mut writer = BundleWriter::new();
    let mut kept = 0;
    for section in bundle.sections() {
        let id = &section.id;
        if id.kind == SectionKind::Network && id.target != "nano" {
            let error = writer.keep(&bundle, id, "no target").unwrap_err();
            let problem = AddProblem::Target;
            assert!(matches!(error, BundleError::Add { problem: it, .. } if it == problem));
            writer.keep(&bundle, id, "other").unwrap();
            let twice = writer.keep(&bundle, id, "other").unwrap_err().to_string();
            assert!(twice.contains("there already"), "{twice}");
            kept += 1;
            let copy = Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap();
            let (from, to) = (
                bundle.section(id.kind, &id.target, id.index).unwrap(),
                copy.section(id.kind, "other", id.index).unwrap(),
            );
            assert_eq!(from, to);
            assert_eq!(copy.sections()[kept - 1].version, section.version);
        }
    }
    assert!(kept > 0);
    let mut id = bundle.sections()[0].id.clone();
    id.index = 77;
    let error = writer.keep(&bundle, &id, "").unwrap_err();
    assert!(matches!(error, BundleError::Missing { .. }), "{error}");
}

#[test]
fn all_targets_are_verified_and_copied_whichever_is_chosen() {
    let bytes = writer().to_bytes().unwrap();
    let bundle = bundle();
    for bundle in [bundle.clone(), bundle.select("x86-cpu").unwrap()] {
        let report = bundle.verify().unwrap();
        assert_eq!((report.targets, report.segments, report.steps), (3, 3, 4));
        let copy = BundleWriter::from_bundle(&Arc::new(bundle)).unwrap();
        assert_eq!(copy.to_bytes().unwrap(), bytes);
    }
    let mut grown = BundleWriter::from_bundle(&Arc::new(bundle)).unwrap();
    let (_, header, engine) = engines::engines().remove(0);
    grown.set_engine(&header, 1, &engine).unwrap();
    let grown = Bundle::from_bytes(grown.to_bytes().unwrap()).unwrap();
    assert_eq!(grown.verify().unwrap().engines, 1);
    let board = grown.select("nano").unwrap();
    assert_eq!(board.engine(&header.target(), 1).unwrap().1, engine);
}

#[test]
fn any_flipped_byte_is_found() {
    let good = writer().to_bytes().unwrap();
    for offset in 0..good.len() {
        let mut bytes = good.clone();
        bytes[offset] ^= 1 << (offset % 8);
        let verified = Bundle::from_bytes(bytes).and_then(|bundle| bundle.verify());
        assert!(verified.is_err(), "byte {offset} is not found");
    }
}

#[test]
fn targets_that_do_not_fit_together_are_refused() {
    type Change = fn(&mut BundleWriter);
    fn set_target(writer: &mut BundleWriter, name: &str, lowering: &str) {
        let info = postcard::to_allocvec(&info(name, lowering)).unwrap();
        writer.set(SectionKind::Target, name, 0, info).unwrap();
    }
    let cases: [(Change, &str); 8] = [
        (
            |it| it.add(SectionKind::Onnx, "tx2", 0, vec![]).unwrap(),
            "Onnx section 0 for target \"tx2\" at offset OFFSET: no target of the bundle uses it",
        ),
        (
            |it| add_sample(it, ""),
            "Schedule section at offset OFFSET: no target of the bundle uses it",
        ),
        (
            |it| it.add(SectionKind::Report, "", 0, vec![]).unwrap(),
            "Report section at offset OFFSET: no target of the bundle uses it",
        ),
        (
            |it| it.add(SectionKind::Weights, "nano", 0, vec![]).unwrap(),
            "Weights section for target \"nano\" at offset OFFSET: no target of the bundle uses it",
        ),
        (
            |it| set_target(it, "tx2", "nano"),
            "Manifest section at offset OFFSET: it is for \"nano,x86-cpu,xavier-nx\", the bundle \
             for \"nano,tx2,x86-cpu,xavier-nx\"",
        ),
        (
            |it| set_target(it, "x86-cpu", "nano"),
            "Schedule section for target \"x86-cpu\" at offset OFFSET: no target of the bundle \
             uses it",
        ),
        (
            |it| set_target(it, "xavier-nx", "orin"),
            " has no Schedule section for target \"orin\"",
        ),
        (
            |it| {
                it.set(SectionKind::Target, "nano", 0, vec![0xff; 3])
                    .unwrap()
            },
            "Target section for target \"nano\" at offset OFFSET: cannot decode:",
        ),
    ];
    for (change, expected) in cases {
        let mut writer = writer();
        change(&mut writer);
        let bundle = Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap();
        let error = bundle.verify().unwrap_err().to_string();
        let digits = |text: &str| {
            text.split_once(" at offset ").map(|(before, after)| {
                let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
                format!("{before} at offset OFFSET{rest}")
            })
        };
        let plain = digits(&error).unwrap_or(error);
        assert!(plain.contains(expected), "{plain:?} lacks {expected:?}");
    }
}

#[test]
fn a_lowering_that_is_missing_or_contradicts_the_common_part_is_refused() {
    let mut without = common_sections();
    let kind = SectionKind::Target;
    for name in NAMES {
        without
            .add_postcard(kind, name, 0, &info(name, ""))
            .unwrap();
    }
    let error = |writer: &BundleWriter| {
        let bundle = Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap();
        bundle.verify().unwrap_err().to_string()
    };
    assert!(error(&without).ends_with("has no Schedule section"));
    let mut shared = without;
    add_sample(&mut shared, "");
    let bundle = Bundle::from_bytes(shared.to_bytes().unwrap()).unwrap();
    assert_eq!(bundle.verify().unwrap().targets, 3);
    let (mut schedule, _) = one_segment();
    schedule.outputs.clear();
    let mut other = writer();
    let bytes = postcard::to_allocvec(&schedule).unwrap();
    other
        .set(SectionKind::Schedule, "x86-cpu", 0, bytes)
        .unwrap();
    let error = error(&other);
    assert!(
        error.contains("the manifest has 1 outputs, the schedule has 0"),
        "{error}"
    );
}

#[test]
fn a_target_has_a_name() {
    let add = BundleWriter::new().add(SectionKind::Target, "", 0, vec![]);
    assert!(matches!(
        add,
        Err(BundleError::Add {
            problem: AddProblem::Unnamed,
            ..
        })
    ));
    let mut writer = BundleWriter::new();
    writer.add(SectionKind::Target, "a", 0, vec![]).unwrap();
    let bytes = writer.to_bytes().unwrap();
    let unnamed = common::patched(&bytes, &[(common::entry_field(0, 32), &[0])]);
    let error = Bundle::from_bytes(unnamed).unwrap_err().to_string();
    assert!(
        error.ends_with("a Target section without the target's name"),
        "{error}"
    );
}
