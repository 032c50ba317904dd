//! What `tfjet-run prepare` builds engines for: `--shape`, `--profile-from` and
//! `--profile-strategy`. Engines are built where `TFJET_TENSORRT_RTX` names TensorRT-RTX's library.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Graph, Machine, convert, folder, npz, picture, rows_bundle, tfjet_run};
use serde_json::{Value, json};
use tfjet::core::{DType, Tensor};

/// A folder of sample inputs, one file for each number of rows.
fn samples(folder: &Path, rows: &[usize]) -> PathBuf {
    let samples = folder.join("samples");
    fs::create_dir_all(&samples).unwrap();
    for &rows in rows {
        let x = Tensor::zeros(DType::F32, &[rows, 3]).unwrap();
        npz(&samples, &format!("{rows}.npz"), &[("in:x", &x)]);
    }
    samples
}

fn one(rows: u32) -> Value {
    json!([[[rows, 3], [rows, 3], [rows, 3]]])
}

#[test]
fn strategies_make_profiles_of_samples_and_of_flags() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let samples = samples(machine.folder.path(), &[2, 3, 16]);
    let range = json!([[[2, 3], [16, 3], [16, 3]]]);
    let flags = "--shape x=2x3 --shape x=3x3 --shape x=16x3 ";
    let profiles = |words: &str, from: Option<&Path>| {
        let mut prepare = machine.prepare(words).words("--json");
        if let Some(from) = from {
            prepare = prepare.arg("--profile-from").arg(from);
        }
        let report = prepare.run().good().json();
        assert_eq!(report["assumed"], json!([]));
        let segment = report["segments"][0].clone();
        (segment["status"].clone(), segment["profiles"].clone())
    };
    for (strategy, expected) in [
        ("", json!([range])),
        (
            "--profile-strategy optimal",
            json!([one(16), one(2), one(3)]),
        ),
        (
            "--profile-strategy range+optimal",
            json!([one(16), one(2), one(3), range]),
        ),
    ] {
        // Files come in the order of their names: 16, 2, 3.
        let built = profiles(strategy, Some(&samples));
        assert_eq!(built, (json!("built"), expected.clone()), "{strategy}");
        let cached = profiles(strategy, Some(&samples));
        assert_eq!(cached, (json!("cached"), expected), "{strategy}");
    }
    let (status, found) = profiles(&format!("{flags}--profile-strategy range"), None);
    assert_eq!((status, found), (json!("cached"), json!([range])));
    let explicit = "--shape x=1x3:1x3:1x3 --shape x=2x3:8x3:8x3";
    let (_, found) = profiles(explicit, None);
    assert_eq!(
        found,
        json!([[[[1, 3], [1, 3], [1, 3]]], [[[2, 3], [8, 3], [8, 3]]]])
    );
    let text = machine.prepare(explicit).run().good().stdout;
    for line in ["profile 0: 1x3", "profile 1: 2x3:8x3:8x3", ", 2 profiles"] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn an_image_is_a_sample_where_the_bundle_makes_inputs_of_images() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let graph = Graph::new()
        .placeholder("image", "DT_FLOAT", &[-1, -1, -1, 3])
        .floats("c", &[3], &[1.0, 2.0, 3.0])
        .float_op("a", "AddV2", &["image", "c"])
        .float_op("r", "Relu", &["a"])
        .float_op("m", "Mul", &["r", "c"]);
    let model = graph.write(machine.folder.path(), "image.pbtxt");
    let bundle = machine.folder.path().join("image.jet");
    convert(&model, &bundle, "--image-size 32x24");
    let samples = machine.folder.path().join("pictures");
    fs::create_dir_all(&samples).unwrap();
    fs::write(samples.join("a.png"), "any").unwrap();
    let array = picture(&[2, 48, 40, 3]);
    npz(&samples, "b.npz", &[("image", &array)]);
    let prepare = machine.prepare_bundle(&bundle, "--json --profile-from");
    let report = prepare.arg(&samples).run().good().json();
    let expected = json!([[[[1, 24, 32, 3], [2, 48, 40, 3], [2, 48, 40, 3]]]]);
    assert_eq!(report["segments"][0]["profiles"], expected);
}

#[test]
fn samples_and_shapes_that_do_not_fit_are_refused_before_a_gpu_is_looked_for() {
    let folder = folder();
    let bundle = rows_bundle(folder.path());
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let wide = Tensor::zeros(DType::F32, &[2, 4]).unwrap();
    npz(&other, "a.npz", &[("x", &wide)]);
    let broken = folder.path().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("a.npz"), "no archive").unwrap();
    let pictures = folder.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    fs::write(pictures.join("a.jpg"), "any").unwrap();
    let many: String = (1..=65)
        .map(|rows| format!(" --shape x={rows}x3"))
        .collect();
    for (from, words, code, expected) in [
        (Some(&empty), "", 3, "empty: no .npz file and no image"),
        (
            Some(&other),
            "",
            2,
            "other/a.npz: x: 4 on axis 1, `x` is [x_0,3]",
        ),
        (Some(&broken), "", 3, "broken/a.npz"),
        (
            Some(&pictures),
            "",
            3,
            "pictures/a.jpg: the bundle says no way from an image",
        ),
        (
            Some(&folder.path().join("none")),
            "",
            3,
            "none: No such file",
        ),
        (
            None,
            &format!("--profile-strategy optimal{many}"),
            2,
            "65 different shapes make 65 profiles, and an engine has 64 at most",
        ),
    ] {
        let mut prepare = tfjet_run()
            .env("TFJET_TENSORRT", "/none/libnvinfer.so.8")
            .arg("prepare")
            .arg(&bundle)
            .words(words);
        if let Some(from) = from {
            prepare = prepare.arg("--profile-from").arg(from);
        }
        let ran = prepare.run();
        let line = ran.refused(code);
        assert!(line.contains(expected), "{line}");
    }
    let ran = tfjet_run().arg("prepare").arg(&bundle);
    let ran = ran.words("--profile-strategy best").run();
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert!(
        ran.stderr
            .contains("expected range, optimal or range+optimal"),
        "{ran:#?}"
    );
}
