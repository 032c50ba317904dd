//! The two SSD graphs of the Object Detection API from image to detections, against what
//! TensorFlow computed, with their post-processing as one op and as many. What is not there is
//! skipped loudly; `src/convert/tests/post_processing.rs` tests the same on graphs that it makes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};

use common::{arrays, convert, engine, folder, npz, shared, tfjet, tfjet_run};

const OUTPUTS: &str = "--output detection_boxes --output detection_scores \
                       --output detection_classes --output num_detections";
const FUSED: &str = "became one TfjetMultiClassNonMaxSuppression";
const GRAPHS: [&str; 2] = [
    "ssd_mobilenet_v1_0.25_coco90",
    "ssd_mobilenet_v1_0.25_coco90_agnostic_nms",
];

/// A graph with TensorFlow's results.
fn graph(name: &str) -> Option<(PathBuf, PathBuf)> {
    let model = shared(&format!("models/{name}.pb"))?;
    let reference = shared(&format!("models/ref/{name}.npz"))?;
    engine().then_some((model, reference))
}

fn notes(bundle: &Path) -> Vec<String> {
    let inspect = tfjet().arg("inspect").arg(bundle).words("--json").run();
    let json = inspect.good().json();
    let manifest = json.get("manifest").unwrap_or(&json);
    let notes = manifest["summary"]["notes"].as_array().unwrap();
    notes
        .iter()
        .map(|note| note.as_str().unwrap().to_owned())
        .collect()
}

fn is_fused(notes: &[String]) -> bool {
    notes.iter().any(|note| note.contains(FUSED))
}

/// The image alone, as a bundle's input.
fn image(folder: &Path, reference: &Path) -> PathBuf {
    let arrays = arrays(reference);
    let (name, image) = arrays
        .iter()
        .find(|(name, _)| name.starts_with("in:"))
        .unwrap();
    npz(folder, "image.npz", &[(name, image)])
}

#[track_caller]
fn run(bundle: &Path, inputs: &Path, outputs: &Path) {
    let run = tfjet_run()
        .arg("run")
        .arg(bundle)
        .words("--device cpu --threads 1");
    let run = run
        .words("--inputs")
        .arg(inputs)
        .words("--outputs")
        .arg(outputs);
    run.run().good();
}

#[test]
fn ssd_finds_what_tensorflow_finds() {
    for name in GRAPHS {
        let Some((model, reference)) = graph(name) else {
            return;
        };
        for batch in ["--batch 1", ""] {
            let folder = folder();
            let bundle = folder.path().join("ssd.jet");
            convert(&model, &bundle, &format!("{OUTPUTS} {batch}"));
            let notes = notes(&bundle);
            assert!(is_fused(&notes), "{name} {batch}: {notes:?}");
            let compare = tfjet().arg("compare").arg(&bundle).arg(&reference);
            let flags = "--json --detections --score-tolerance 1e-4 --box-tolerance 1e-3";
            let outcome = compare.words(flags).run().good().json();
            assert_eq!(outcome["good"], true, "{name} {batch}: {outcome}");
            assert_eq!(
                outcome["detections"]["rows"], 100,
                "{name} {batch}: {outcome}"
            );
        }
    }
}

#[test]
fn one_op_gives_the_bits_of_the_many() {
    for name in GRAPHS {
        let Some((model, reference)) = graph(name) else {
            return;
        };
        let folder = folder();
        let at = |file: &str| folder.path().join(file);
        let inputs = image(folder.path(), &reference);
        for (file, flag) in [("one", ""), ("many", "--keep-post-processing")] {
            let bundle = at(&format!("{file}.jet"));
            convert(&model, &bundle, &format!("{OUTPUTS} --batch 1 {flag}"));
            assert_eq!(is_fused(&notes(&bundle)), flag.is_empty(), "{name} {file}");
            run(&bundle, &inputs, &at(&format!("{file}.npz")));
        }
        let (one, many) = (arrays(&at("one.npz")), arrays(&at("many.npz")));
        assert_eq!(one.len(), 4);
        for (output, expected) in many {
            let (_, actual) = one.iter().find(|(other, _)| *other == output).unwrap();
            assert_eq!(actual.shape(), expected.shape(), "{name}: {output}");
            assert_eq!(actual.bytes(), expected.bytes(), "{name}: {output}");
        }
    }
}

#[test]
fn frames_take_over_the_pre_processing_where_that_is_asked() {
    let Some((model, _)) = graph(GRAPHS[0]) else {
        return;
    };
    let folder = folder();
    let bundle = folder.path().join("ssd.jet");
    convert(
        &model,
        &bundle,
        &format!("{OUTPUTS} --batch 1 --fold-preprocessing"),
    );
    let inspect = tfjet().arg("inspect").arg(&bundle).words("--json").run();
    let json = inspect.good().json();
    let manifest = json.get("manifest").unwrap_or(&json);
    let input = &manifest["inputs"][0];
    assert_eq!(input["dtype"], "F32", "{input}");
    let preprocess = &manifest["preprocess"];
    assert_eq!(preprocess["width"], 300, "{preprocess}");
    assert_eq!(preprocess["height"], 300, "{preprocess}");
    let number = |name: &str| preprocess[name][1].as_f64().unwrap();
    assert!((number("mean") - 127.5).abs() < 1e-4, "{preprocess}");
    assert!((number("scale") - 2.0 / 255.0).abs() < 1e-6, "{preprocess}");
    let notes = notes(&bundle);
    assert!(
        notes
            .iter()
            .any(|note| note.contains("pre-processing folded")),
        "{notes:?}"
    );
}
