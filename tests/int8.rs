//! Bundles in INT8, as `tfjet-run` prepares and refuses them, and `convert` builds their engines.
//! Engines are built where `TFJET_TENSORRT_RTX` names TensorRT-RTX's library, which needs no GPU.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{
    Graph, Machine, Program, engine, folder, listing, pictures, rows_bundle, tfjet, tfjet_run,
};
use tfjet::bundle::{Bundle, BundleWriter, SectionKind};
use tfjet::core::{LayerPrecision, Quantization};
use tfjet::runtime::bundle_precision;
use tfjet::tensorrt::Precision;

/// The classifier of the tests, calibrated.
fn classifier(folder: &Path, out: &str, words: &str) -> Program {
    let model = Graph::classifier().write(folder, "toy.pbtxt");
    let images = pictures(&folder.join("images"), 32, |_| 0);
    let program = tfjet().arg("convert").arg(model).arg("-o");
    let program = program.arg(folder.join(out)).words("--precision int8");
    program.arg("--calibrate").arg(images).words(words)
}

/// A bundle without INT8 layers, whose networks are said to compute in `precision`.
fn said(folder: &Path, precision: tfjet::core::Precision) -> PathBuf {
    let bundle = rows_bundle(folder);
    let opened = std::sync::Arc::new(Bundle::open(&bundle).unwrap());
    let network = opened.network(0).unwrap();
    let section = opened.network_section(0).unwrap().id.clone();
    let mut writer = BundleWriter::from_bundle(&opened).unwrap();
    let floats = Quantization::floats(&network, precision);
    writer
        .add_postcard(SectionKind::Quantization, &section.target, 0, &floats)
        .unwrap();
    let path = folder.join(format!("{precision}.jet"));
    writer.write(&path).unwrap();
    path
}

#[test]
fn int8_without_ranges_is_refused_on_any_machine() {
    let folder = folder();
    let bundle = rows_bundle(folder.path());
    let before = listing(folder.path());
    let halves = said(folder.path(), tfjet::core::Precision::Fp16);
    for bundle in [&bundle, &halves] {
        let prepare = tfjet_run().arg("prepare").arg(bundle);
        let ran = prepare.words("--precision int8").run();
        let line = ran.refused(2);
        let expected = format!(
            "--precision int8: {} has no ranges of tensors: convert it with --precision int8 and \
             calibration images",
            bundle.display()
        );
        assert!(line.ends_with(&expected), "{line}");
    }
    let config = folder.path().join("serve.toml");
    let text = "bundle = \"rows.jet\"\nsource = \"videotestsrc\"\n[engine]\nprecision = \"int8\"\n";
    fs::write(&config, text).unwrap();
    let ran = tfjet_run().arg("check").arg(&config).run();
    assert!(ran.refused(2).contains("rows.jet has no ranges of tensors"));
    let ran = tfjet_run()
        .arg("check")
        .words("--file-only")
        .arg(&config)
        .run();
    assert_eq!(ran.code, Some(0), "int8 is a precision: {ran:#?}");
    let made = ["fp16.jet", "serve.toml"];
    let mut after = listing(folder.path());
    after.retain(|name| !made.contains(&name.as_str()));
    assert_eq!(after, before);
}

#[test]
fn engines_are_in_the_bundles_own_precision() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let halves = said(machine.folder.path(), tfjet::core::Precision::Fp16);
    let floats = said(machine.folder.path(), tfjet::core::Precision::Fp32);
    for (bundle, expected) in [
        (&machine.bundle, "fp32"),
        (&halves, "fp16"),
        (&floats, "fp32"),
    ] {
        let prepare = machine.prepare_bundle(bundle, "--shape x=1x3 --json");
        let report = prepare.run().good().json();
        assert_eq!(report["precision"], expected, "{}", bundle.display());
    }
}

#[test]
fn a_bundle_in_int8_is_prepared_in_int8() {
    let Some(machine) = Machine::new().filter(|_| engine()) else {
        return;
    };
    let folder = machine.folder.path();
    classifier(folder, "int8.jet", "--target x86-gpu")
        .run()
        .good();
    let path = folder.join("int8.jet");
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(bundle_precision(&bundle).unwrap(), Some(Precision::Int8));
    let out = folder.join("out.jet");
    let prepare = machine
        .prepare_bundle(&path, "--json --write-back")
        .arg(&out);
    let report = prepare.run().good().json();
    assert_eq!(report["precision"], "int8");
    assert_eq!(report["segments"][0]["status"], "built");
    let flags = "tf32=on workspace=default tactics=default dla=none layers=names";
    assert_eq!(report["flags"], flags);
    let engines = Bundle::open(&out).unwrap();
    let (header, _) = engines.engine("rtx1.7.1-any-int8", 0).unwrap();
    assert_eq!(
        (header.precision.as_str(), header.flags.as_str()),
        ("int8", flags)
    );
    for (words, status) in [
        ("", "cached"),
        ("--precision int8", "cached"),
        ("--quantization explicit", "built"),
        ("--precision fp16", "built"),
        ("--precision fp32", "built"),
    ] {
        let prepare = machine.prepare_bundle(&path, words).words("--json");
        let report = prepare.run().good().json();
        assert_eq!(report["segments"][0]["status"], status, "{words}");
    }
    let ran = machine
        .prepare_bundle(&path, "--quantization implicit")
        .run();
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stderr
            .contains("TensorRT-RTX 1.7.1 has no implicit quantization"),
        "{ran:#?}"
    );
    let ran = machine.prepare_bundle(&path, "--quantization some").run();
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert!(
        ran.stderr.contains("known are auto, implicit and explicit"),
        "{ran:#?}"
    );
}

#[test]
fn convert_builds_int8_engines_for_any_rtx_gpu() {
    let Some(machine) = Machine::new().filter(|_| engine()) else {
        return;
    };
    let convert = |out: &str, words: &str| {
        let program = classifier(machine.folder.path(), out, "--target x86-rtx");
        let program = program.env("TFJET_TENSORRT_RTX", &machine.library);
        let ran = program.words(words).run().good();
        let bundle = Bundle::open(&machine.folder.path().join(out)).unwrap();
        (ran.stdout, bundle)
    };
    let (said, bundle) = convert("all.jet", "");
    assert!(said.contains("rtx1.7.1-any-int8: "), "{said}");
    let (header, all) = bundle.engine("rtx1.7.1-any-int8", 0).unwrap();
    assert_eq!(header.precision, "int8");
    // A layer kept in FP32 makes another engine of the same network.
    let (_, kept) = convert("kept.jet", "--keep conv=fp32");
    let quantization = kept.quantization(0).unwrap().unwrap();
    assert!(quantization.layers.contains(&LayerPrecision::Fp32));
    let (_, other) = kept.engine("rtx1.7.1-any-int8", 0).unwrap();
    assert!(all != other);
}
