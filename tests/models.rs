//! Trained models against what TensorFlow computed. A model or reference that is not there is
//! skipped loudly.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};

use common::{arrays, cached, convert, engine, folder, npz, picture, shared, tfjet, tfjet_run};

const DETECTIONS: &str = "--detections --top 20 --box-tolerance 0.5 --score-tolerance 0.001";

/// A model with its reference, where both and the engine are there.
fn with_reference(model: Option<PathBuf>, reference: &str) -> Option<(PathBuf, PathBuf)> {
    let model = model?;
    let reference = shared(&format!("models/ref/{reference}.npz"))?;
    engine().then_some((model, reference))
}

fn efficientnet() -> Option<PathBuf> {
    cached("efficientnet-lite0", "efficientnet_lite0.pb")
}

fn openpose() -> Option<PathBuf> {
    cached("openpose", "openpose_mobilenet_thin.pb")
}

fn centernet() -> Option<PathBuf> {
    cached("centernet", "centernet.json")
}

/// `tfjet compare`, which must agree.
#[track_caller]
fn agrees(model: &Path, reference: &Path, flags: &str) -> serde_json::Value {
    let compare = tfjet().arg("compare").arg(model).arg(reference);
    let ran = compare.words("--json").words(flags).run().good();
    let outcome = ran.json();
    assert_eq!(outcome["good"], true, "{outcome}");
    outcome
}

#[test]
fn centernet_finds_what_tensorflow_finds() {
    let Some((model, reference)) = with_reference(centernet(), "centernet") else {
        return;
    };
    let folder = folder();
    let outcome = agrees(&model, &reference, DETECTIONS);
    assert_eq!(outcome["detections"]["rows"], 20, "{outcome}");

    let bundle = folder.path().join("centernet.jet");
    convert(&model, &bundle, "");
    assert_eq!(agrees(&bundle, &reference, DETECTIONS), outcome);
}

#[test]
fn compare_says_where_results_differ() {
    let Some((model, reference)) = with_reference(centernet(), "centernet") else {
        return;
    };
    let folder = folder();
    let mut arrays = arrays(&reference);
    let (_, rows) = arrays
        .iter_mut()
        .find(|(name, _)| name.starts_with("out:"))
        .unwrap();
    let width = rows.shape()[2];
    rows.as_mut_slice::<f32>().unwrap()[3 * width + 4] += 0.01;
    let named: Vec<_> = arrays
        .iter()
        .map(|(name, array)| (name.as_str(), array))
        .collect();
    let changed = npz(folder.path(), "changed.npz", &named);
    let compare = tfjet().arg("compare").arg(&model).arg(&changed);
    let ran = compare.words("--json").words(DETECTIONS).run();
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert_eq!(ran.json()["good"], false);
    assert!(
        ran.json()["detections"]["problems"][0]
            .as_str()
            .unwrap()
            .contains("score")
    );
}

#[test]
fn efficientnet_agrees_to_one_in_a_hundred_thousand() {
    let reference = "efficientnet_lite0_imagenet";
    let Some((model, reference)) = with_reference(efficientnet(), reference) else {
        return;
    };
    let folder = folder();
    let kept: Vec<_> = arrays(&reference)
        .into_iter()
        .filter(|(name, _)| name != "out:head/logits")
        .collect();
    let named: Vec<_> = kept
        .iter()
        .map(|(name, array)| (name.as_str(), array))
        .collect();
    let softmax = npz(folder.path(), "softmax.npz", &named);
    let outcome = agrees(&model, &softmax, "--atol 1e-5 --rtol 0");
    assert_eq!(outcome["outputs"][0]["name"], "Softmax");
    assert_eq!(outcome["outputs"][0]["elements"], 4000);

    // A model gives inner wires too, a bundle names those that it lacks.
    let outcome = agrees(&model, &reference, "");
    assert_eq!(outcome["outputs"].as_array().unwrap().len(), 2);
    let bundle = folder.path().join("efficientnet.jet");
    convert(&model, &bundle, "");
    let outcome = agrees(&bundle, &reference, "--atol 1e-5 --rtol 0");
    assert_eq!(outcome["skipped"], serde_json::json!(["head/logits"]));
}

#[test]
fn openpose_agrees_with_and_without_a_shape() {
    let reference = "openpose_mobilenet_thin";
    let Some((model, reference)) = with_reference(openpose(), reference) else {
        return;
    };
    let symbolic = agrees(&model, &reference, "--atol 1e-3 --rtol 0");
    let fixed = agrees(
        &model,
        &reference,
        "--atol 1e-3 --rtol 0 --input image=1x184x216x3",
    );
    for outcome in [symbolic, fixed] {
        assert_eq!(outcome["outputs"][0]["elements"], 23 * 27 * 57, "{outcome}");
    }
}

#[test]
fn fer_agrees_to_one_in_a_hundred_thousand() {
    let model = shared("models/fer_minixception.pb");
    let Some((model, reference)) = with_reference(model, "fer_minixception") else {
        return;
    };
    let folder = folder();
    let outcome = agrees(&model, &reference, "--atol 1e-5 --rtol 0");
    let bundle = folder.path().join("fer.jet");
    convert(&model, &bundle, "");
    assert_eq!(agrees(&bundle, &reference, "--atol 1e-5 --rtol 0"), outcome);
}

/// The part of a detector between resized image and non-maximum suppression.
struct Convolutional {
    input: &'static str,
    size: usize,
    outputs: &'static [(&'static str, &'static [usize])],
}

impl Convolutional {
    /// Plans, converts, verifies and runs it.
    fn check(&self, model: &Path) {
        let folder = folder();
        let mut flags = format!("--input {}=1x{size}x{size}x3", self.input, size = self.size);
        for (name, _) in self.outputs {
            flags.push_str(&format!(" --output {name}"));
        }
        let plan = tfjet()
            .arg("plan")
            .arg(model)
            .words("--json")
            .words(&flags)
            .run()
            .good();
        let plan = plan.json();
        assert_eq!(plan["segments"].as_array().unwrap().len(), 1, "segments");
        let residual = plan["residual"].as_array().unwrap();
        assert_eq!(residual.len(), 1, "{residual:?}");
        assert_eq!(residual[0]["reason"], "graph input");

        let bundle = folder.path().join("part.jet");
        convert(model, &bundle, &flags);
        tfjet().arg("verify").arg(&bundle).run().good();
        if !engine() {
            return;
        }
        let image = picture(&[1, self.size, self.size, 3]);
        let inputs = npz(folder.path(), "in.npz", &[(self.input, &image)]);
        let outputs = folder.path().join("out.npz");
        let run = tfjet_run().arg("run").arg(&bundle);
        run.arg("--inputs")
            .arg(&inputs)
            .arg("--outputs")
            .arg(&outputs)
            .run()
            .good();
        let outputs = arrays(&outputs);
        assert_eq!(outputs.len(), self.outputs.len());
        for (name, shape) in self.outputs {
            let key = format!("out:{name}");
            let (_, array) = outputs.iter().find(|(name, _)| *name == key).unwrap();
            assert_eq!(array.shape(), *shape, "{name}");
            let values = array.as_slice::<f32>().unwrap();
            assert!(values.iter().all(|value| value.is_finite()), "{name}");
            assert!(
                values.iter().any(|value| *value != values[0]),
                "{name} is constant"
            );
        }
    }
}

#[test]
fn convolutional_part_of_ssd_runs() {
    let part = Convolutional {
        input: "Preprocessor/map/TensorArrayStack/TensorArrayGatherV3",
        size: 300,
        outputs: &[
            ("Squeeze", &[1, 1917, 4]),
            ("concat_1", &[1, 1917, 91]),
            ("Postprocessor/convert_scores", &[1, 1917, 91]),
        ],
    };
    for name in ["coco90", "coco90_agnostic_nms"] {
        if let Some(model) = shared(&format!("models/ssd_mobilenet_v1_0.25_{name}.pb")) {
            part.check(&model);
        }
    }
}

#[test]
fn convolutional_part_of_handtrack_runs() {
    let part = Convolutional {
        input: "StatefulPartitionedCall/map/TensorArrayV2Stack/TensorListStack",
        size: 320,
        outputs: &[
            ("StatefulPartitionedCall/concat", &[1, 12804, 4]),
            ("StatefulPartitionedCall/concat_1", &[1, 12804, 8]),
        ],
    };
    if let Some(model) = cached("handtrack", "handtrack.json") {
        part.check(&model);
    }
}

#[test]
fn converting_twice_gives_the_same_bytes() {
    let models = [
        cached("centernet", "centernet.json"),
        efficientnet(),
        openpose(),
        shared("models/fer_minixception.pb"),
    ];
    let folder = folder();
    for model in models.into_iter().flatten() {
        let [first, second] = ["first.jet", "second.jet"].map(|name| {
            let path = folder.path().join(name);
            convert(&model, &path, "");
            std::fs::read(path).unwrap()
        });
        assert!(first == second, "{} gives two bundles", model.display());
    }
}

#[test]
fn efficientnet_names_eighteen_of_twenty_photos() {
    let (Some(model), Some(photos)) = (efficientnet(), shared("images/imagenet20")) else {
        return;
    };
    if !engine() {
        return;
    }
    let folder = folder();
    let bundle = folder.path().join("efficientnet.jet");
    convert(&model, &bundle, "");
    let lines = folder.path().join("out.jsonl");
    let run = tfjet_run()
        .arg("run")
        .arg(&bundle)
        .arg("--source")
        .arg(&photos);
    run.arg("--sink").arg(&lines).run().good();
    let text = std::fs::read_to_string(&lines).unwrap();
    let mut right = 0;
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let source = line["source"].as_str().unwrap();
        let (_, class) = source
            .strip_suffix(".jpg")
            .unwrap()
            .rsplit_once('_')
            .unwrap();
        let classes = line["classes"].as_array().unwrap();
        assert_eq!(classes.len(), 5, "{line}");
        right += usize::from(classes[0]["class"] == class.parse::<u64>().unwrap());
    }
    assert_eq!(text.lines().count(), 20);
    assert!(right >= 18, "{right} of 20 photos are named right");
}

#[test]
fn full_detectors_with_control_flow_give_what_tensorflow_computes() {
    if !engine() {
        return;
    }
    for name in ["coco90", "coco90_agnostic_nms"] {
        let name = format!("ssd_mobilenet_v1_0.25_{name}");
        let (Some(model), Some(reference)) = (
            shared(&format!("models/{name}.pb")),
            shared(&format!("models/ref/{name}.npz")),
        ) else {
            continue;
        };
        for flags in ["", "--batch 1"] {
            tfjet()
                .arg("compare")
                .arg(&model)
                .arg(&reference)
                .words(flags)
                .run()
                .good();
        }
    }
}
