//! `tfjet calibrate`, and `tfjet convert --precision`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{Graph, Place, Program, convert, engine, folder, npz, pictures, tfjet};
use serde_json::Value;
use tfjet::bundle::Bundle;
use tfjet::core::{LayerPrecision, Precision, Tensor};

impl Place {
    fn calibrate(&self, table: &str) -> Program {
        let program = tfjet().arg("calibrate").arg(&self.model);
        let program = program.arg("--images").arg(&self.images);
        program.arg("-o").arg(self.path(table))
    }

    fn convert(&self, bundle: &str) -> Program {
        let program = tfjet().arg("convert").arg(&self.model);
        program.arg("-o").arg(self.path(bundle))
    }

    /// What the layers of the only segment compute in.
    fn layers(&self, bundle: &str) -> Vec<(String, LayerPrecision)> {
        let bundle = Bundle::open(&self.path(bundle)).unwrap();
        layers_of(&bundle)
    }
}

fn layers_of(bundle: &Bundle) -> Vec<(String, LayerPrecision)> {
    let network = bundle.network(0).unwrap();
    let Some(quantization) = bundle.quantization(0).unwrap() else {
        return Vec::new();
    };
    let names = network.layers.into_iter().map(|layer| layer.name);
    names.zip(quantization.layers).collect()
}

fn int8(layers: &[(String, LayerPrecision)]) -> Vec<&str> {
    let int8 = layers
        .iter()
        .filter(|(_, it)| matches!(it, LayerPrecision::Int8 { .. }));
    int8.map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_table_is_the_same_each_time_and_says_what_was_seen() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 40);
    let ran = place
        .calibrate("a.calibration")
        .words("--json")
        .run()
        .good();
    assert_eq!(ran.stderr, "", "{ran:#?}");
    let summary = ran.json();
    assert_eq!(
        (&summary["samples"], &summary["found"]),
        (&40.into(), &40.into())
    );
    assert!(summary["ranges"].as_u64().unwrap() >= 5, "{summary}");
    assert_eq!(summary["warnings"], Value::Array(Vec::new()));
    place.calibrate("b.calibration").run().good();
    let read = |name: &str| fs::read_to_string(place.path(name)).unwrap();
    assert_eq!(read("a.calibration"), read("b.calibration"));
    // Every second picture, and another method.
    let ran = place
        .calibrate("c.calibration")
        .words("--samples 33 --method min-max --json")
        .run();
    let ran = ran.good();
    assert_eq!(
        (&ran.json()["samples"], &ran.json()["found"]),
        (&33.into(), &40.into())
    );
    assert_ne!(read("a.calibration"), read("c.calibration"));
}

#[test]
fn what_cannot_be_read_is_named_and_counted() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 4);
    let good = fs::read(place.images.join("00_0.png")).unwrap();
    fs::write(place.images.join("01_1.png"), &good[..60]).unwrap();
    fs::write(place.images.join("zz.jpg"), b"not a picture").unwrap();
    let ran = place.calibrate("t").words("--json").run().good();
    let summary = ran.json();
    assert_eq!(summary["samples"], 3);
    let named: Vec<&str> = summary["unreadable"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["file"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["01_1.png", "zz.jpg"]);
    for word in ["01_1.png", "zz.jpg", "3 samples say little"] {
        assert!(ran.stderr.contains(word), "{ran:#?}");
    }
    for file in fs::read_dir(&place.images).unwrap() {
        fs::write(file.unwrap().path(), b"x").unwrap();
    }
    let ran = place.calibrate("u").run();
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stderr.contains("none of its 5 files can be read"),
        "{ran:#?}"
    );
    assert!(!place.path("u").exists());
}

#[test]
fn models_of_several_inputs_take_arrays() {
    if !engine() {
        return;
    }
    let folder = folder();
    let graph = Graph::new()
        .placeholder("a", "DT_FLOAT", &[2, 3])
        .placeholder("b", "DT_FLOAT", &[2, 3])
        .float_op("sum", "AddV2", &["a", "b"])
        .floats("w", &[3, 2], &[1.0, -1.0, 0.5, 2.0, 0.25, 1.0])
        .float_op("product", "MatMul", &["sum", "w"])
        .float_op("y", "Relu", &["product"]);
    let model = graph.write(folder.path(), "two.pbtxt");
    let images = pictures(&folder.path().join("images"), 1, |_| 0);
    let calibrate = |flag: &str, from: &Path| {
        let program = tfjet().arg("calibrate").arg(&model).arg(flag).arg(from);
        program.arg("-o").arg(folder.path().join("t")).run()
    };
    let refused = calibrate("--images", &images);
    assert!(
        refused.refused(2).contains("has 2 inputs (a, b)"),
        "{refused:#?}"
    );
    let arrays = folder.path().join("arrays");
    fs::create_dir(&arrays).unwrap();
    let a = Tensor::from_slice(&[2, 3], &[1.0f32, 2.0, 3.0, 4.0, 5.0, f32::NAN]).unwrap();
    let b = Tensor::from_slice(&[2, 3], &[1.0f32; 6]).unwrap();
    npz(&arrays, "0.npz", &[("a", &a), ("in:b", &b)]);
    let ran = calibrate("--inputs", &arrays).good();
    assert!(ran.stderr.contains("infinite or no number"), "{ran:#?}");
    assert!(ran.stderr.contains("same value in all samples"), "{ran:#?}");
    let large = Tensor::from_slice(&[2, 3], &[70000.0f32; 6]).unwrap();
    npz(&arrays, "0.npz", &[("a", &large), ("in:b", &b)]);
    let ran = calibrate("--inputs", &arrays).good();
    assert!(ran.stderr.contains("FP16 cannot hold"), "{ran:#?}");
    npz(&arrays, "1.npz", &[("a", &a), ("c", &b)]);
    let ran = calibrate("--inputs", &arrays);
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stderr.contains("1.npz") && ran.stderr.contains("`b`"),
        "{ran:#?}"
    );
}

#[test]
fn wrong_flags_are_refused() {
    let place = Place::new(&Graph::classifier(), 1);
    for (words, expected) in [
        ("", "--images"),
        ("--images x --inputs y", "cannot be used with"),
        ("--images x --method median", "median"),
        ("--images x --samples 0", "1 or more"),
    ] {
        let ran = tfjet()
            .arg("calibrate")
            .arg(&place.model)
            .words(words)
            .run();
        assert_eq!(ran.code, Some(2), "{words}: {ran:#?}");
        assert!(ran.stderr.contains(expected), "{words}: {ran:#?}");
    }
    for (words, expected) in [
        ("--calibration t", "needs --precision int8"),
        ("--allow-downgrade", "needs --precision int8"),
        ("--keep conv=fp16", "--keep needs"),
        ("--precision fp16 --keep conv=fp16", "fp32 only"),
        ("--precision int4", "expected fp32, fp16 or int8"),
        ("--precision int8 --method mse", "--calibrate"),
        ("--precision int8 --max-accuracy-drop 1", "--evaluate"),
        (
            "--precision int8 --score 0.5",
            "--score is for --max-accuracy",
        ),
        (
            "--iou 0.5",
            "--iou is for --max-accuracy-drop with --evaluate",
        ),
        (
            "--precision int8 --labels-from-names *_{class}",
            "--max-accuracy-drop",
        ),
        (
            "--precision int8 --target nano",
            "nano cannot compute in int8: its GPU (SM 5.3)",
        ),
        (
            "--precision int8 --target nano,xavier-nx,tx2",
            "nano, tx2 cannot compute in int8",
        ),
    ] {
        let ran = place.convert("out.jet").words(words).run();
        assert_eq!(ran.code, Some(2), "{words}: {ran:#?}");
        assert!(ran.stderr.contains(expected), "{words}: {ran:#?}");
        assert!(!place.path("out.jet").exists());
    }
    let none = place.convert("out.jet").words("--precision int8").run();
    assert!(none.refused(3).contains("ranges"), "{none:#?}");
}

#[test]
fn int8_takes_tables_caches_and_images_alike() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 36);
    let cache = place.path("t.cache");
    let written = place
        .calibrate("t")
        .arg("--write-tensorrt-cache")
        .arg(&cache);
    written.run().good();
    assert!(fs::read_to_string(&cache).unwrap().starts_with("TRT-8502"));
    for (name, flag, from) in [
        ("table.jet", "--calibration", place.path("t")),
        ("cache.jet", "--calibration", cache),
        ("images.jet", "--calibrate", place.images.clone()),
    ] {
        let program = place.convert(name).words("--precision int8 --json");
        let ran = program.arg(flag).arg(from).run().good();
        let report = ran.json();
        assert_eq!(report["precision"]["precision"], "int8", "{report}");
        assert_eq!(report["precision"]["int8"], 2, "{report}");
        let layers = place.layers(name);
        assert_eq!(int8(&layers).len(), 2, "{layers:?}");
    }
    assert_eq!(place.layers("table.jet"), place.layers("images.jet"));
    let read = |name: &str| {
        Bundle::open(&place.path(name))
            .unwrap()
            .quantization(0)
            .unwrap()
    };
    assert_eq!(read("table.jet"), read("images.jet"));
}

#[test]
fn kept_layers_stay_in_the_floats_that_were_asked_for() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 36);
    place.calibrate("t").run().good();
    let convert = |words: &str| {
        let program = place
            .convert("kept.jet")
            .arg("--calibration")
            .arg(place.path("t"));
        program.words(words).run()
    };
    convert("--precision int8 --keep conv=fp32").good();
    let layers = place.layers("kept.jet");
    assert_eq!(int8(&layers).len(), 1, "{layers:?}");
    let conv = layers.iter().find(|(name, _)| name == "conv").unwrap();
    assert_eq!(conv.1, LayerPrecision::Fp32);
    let ran = convert("--precision int8 --keep cvon=fp16");
    assert!(ran.refused(3).contains("cvon"), "{ran:#?}");
    place
        .convert("fp16.jet")
        .words("--precision fp16 --keep conv=fp32")
        .run()
        .good();
    let layers = place.layers("fp16.jet");
    let fp32: Vec<&str> = layers
        .iter()
        .filter(|(_, precision)| *precision == LayerPrecision::Fp32)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(fp32, ["conv"]);
    let ran = place
        .convert("x.jet")
        .words("--precision fp16 --keep cvon=fp32")
        .run();
    assert!(ran.refused(3).contains("cvon"), "{ran:#?}");
    // Without the flag nothing is said of precision.
    convert_plain(&place);
}

fn convert_plain(place: &Place) {
    convert(&place.model, &place.path("plain.jet"), "");
    assert_eq!(place.layers("plain.jet"), []);
}

#[test]
fn a_table_of_another_model_is_refused() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 36);
    place.calibrate("t").run().good();
    let other = Graph::fragile_classifier().write(place.folder.path(), "other.pbtxt");
    let convert = |words: &str| {
        let program = tfjet()
            .arg("convert")
            .arg(&other)
            .arg("-o")
            .arg(place.path("o.jet"));
        let program = program.words("--precision int8").words(words);
        program.arg("--calibration").arg(place.path("t")).run()
    };
    let ran = convert("");
    assert!(ran.refused(3).contains("of another model"), "{ran:#?}");
    assert!(!place.path("o.jet").exists());
    let ran = convert("--unchecked-calibration").good();
    assert!(ran.stderr.contains("another model"), "{ran:#?}");
    fs::write(place.path("t"), "something else\n").unwrap();
    let ran = convert("");
    assert!(ran.refused(3).contains("no calibration table"), "{ran:#?}");
}

#[test]
fn boards_without_int8_get_fp16_where_that_is_allowed() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::classifier(), 36);
    place.calibrate("t").run().good();
    let program = place
        .convert("all.jet")
        .arg("--calibration")
        .arg(place.path("t"));
    let words = "--precision int8 --target nano,xavier-nx --allow-downgrade";
    let ran = program.words(words).run().good();
    assert!(
        ran.stderr.contains("fp16 instead of int8 for nano"),
        "{ran:#?}"
    );
    let bundle = Bundle::open(&place.path("all.jet")).unwrap();
    for (target, precision, said) in [
        ("nano", Precision::Fp16, true),
        ("xavier-nx", Precision::Int8, false),
    ] {
        let bundle = bundle.select(target).unwrap();
        assert_eq!(
            bundle.quantization(0).unwrap().unwrap().precision(),
            precision,
            "{target}"
        );
        let report: Value = serde_json::from_str(bundle.report().unwrap()).unwrap();
        let reason = report["precision"]["downgraded"].as_str();
        assert_eq!(
            reason.is_some_and(|it| it.contains("SM 5.3")),
            said,
            "{report}"
        );
    }
}

#[test]
fn the_search_keeps_the_layer_that_8_bits_break() {
    if !engine() {
        return;
    }
    let place = Place::new(&Graph::fragile_classifier(), 48);
    let convert = |words: &str| {
        let program = place.convert("s.jet").arg("--calibrate").arg(&place.images);
        let program = program.arg("--evaluate").arg(&place.images);
        program
            .words("--precision int8 --method min-max --json")
            .words(words)
            .run()
    };
    let ran = convert("--max-accuracy-drop 3").good();
    let precision = &ran.json()["precision"];
    let search = &precision["search"];
    assert!(search["int8_percent"].as_f64().unwrap() > 20.0, "{search}");
    assert!(search["percent"].as_f64().unwrap() <= 3.0, "{search}");
    assert_eq!(precision["int8"], 1, "{precision}");
    assert_eq!(
        precision["kept"][0]["kind"], "MatrixMultiply",
        "{precision}"
    );
    let ranking = search["ranking"].as_array().unwrap();
    assert_eq!(ranking.len(), 2);
    assert_eq!(ranking[0]["layer"], precision["kept"][0]["layer"]);
    assert_eq!(int8(&place.layers("s.jet")), ["conv"]);
    assert!(
        ran.stderr.contains("samples of the calibration"),
        "{ran:#?}"
    );
    // All in INT8 is good enough for a loose limit.
    let ran = convert("--max-accuracy-drop 100").good();
    assert_eq!(ran.json()["precision"]["int8"], 2);
    assert_eq!(
        ran.json()["precision"]["search"]["evaluations"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
