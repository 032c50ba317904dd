//! What `tfjet-run` says of a model's memory, and that one which does not fit is not loaded.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};

use common::{Graph, cached, convert, engine, folder, npz, tfjet_run};
use tfjet::bundle::Bundle;
use tfjet::core::Tensor;
use tfjet::runtime::{MemoryNeed, RunsOn};

/// 64 MiB of weights: a row of 4096 times a matrix.
fn large(folder: &Path) -> (PathBuf, PathBuf) {
    let model = Graph::new()
        .placeholder("x", "DT_FLOAT", &[1, 4096])
        .constant("w", "DT_FLOAT", &[4096, 4096], "float_val: 0.5")
        .node(
            "product",
            "MatMul",
            &["x", "w"],
            &[
                ("T", "type: DT_FLOAT"),
                ("transpose_a", "b: false"),
                ("transpose_b", "b: false"),
            ],
        )
        .float_op("y", "Relu", &["product"])
        .write(folder, "large.pbtxt");
    let bundle = folder.join("large.jet");
    convert(&model, &bundle, "");
    let x = Tensor::zeros(tfjet::core::DType::F32, &[1, 4096]).unwrap();
    (bundle, npz(folder, "x.npz", &[("x", &x)]))
}

#[test]
fn a_model_over_the_limit_is_refused_before_it_is_loaded() {
    if !engine() {
        return;
    }
    let folder = folder();
    let (bundle, inputs) = large(folder.path());
    let run = |limit: &str| {
        let ran = tfjet_run().words("run --device cpu --json").arg(&bundle);
        let ran = ran.arg("--inputs").arg(&inputs).words(limit);
        ran.run()
    };
    let line = run("--max-memory 100").refused(3).to_owned();
    for part in [
        "not enough memory: the program takes ",
        ", the limit is 100.0 MiB; of it ",
        "weights 64.0 MiB",
        "ONNX Runtime's copies of weights 64.0 MiB",
        "this program so far ",
    ] {
        assert!(line.contains(part), "{line} lacks {part}");
    }
    let told = run("--max-memory 2000").good().json();
    let need = &told["memory"];
    assert!(need["host_bytes"].as_u64().unwrap() > 128 << 20, "{told}");
    assert_eq!(need["device_bytes"], 0);
    assert_eq!(need["open"], false);
    assert_eq!(run("--max-memory 0").code, Some(2));
}

/// The estimate and what a run took at most, the code of programs and libraries in it.
#[test]
fn the_estimate_is_near_what_a_run_takes() {
    if !engine() {
        return;
    }
    const LIBRARIES: f64 = 35.0;
    let folder = folder();
    let (large, inputs) = large(folder.path());
    let mut models = vec![(large, inputs, vec![1, 4096])];
    if let Some(model) = cached("openpose", "openpose_mobilenet_thin.pb") {
        let bundle = folder.path().join("openpose.jet");
        convert(&model, &bundle, "");
        let shape = vec![1, 368, 656, 3];
        let image = Tensor::zeros(tfjet::core::DType::F32, &shape).unwrap();
        let inputs = npz(folder.path(), "image.npz", &[("image", &image)]);
        models.push((bundle, inputs, shape));
    }
    for (path, inputs, shape) in models {
        let bundle = Bundle::open(&path).unwrap();
        let need = MemoryNeed::of(&bundle, &RunsOn::Cpu, Some(&[shape])).unwrap();
        let estimate = (need.total() - need.program_bytes) as f64 / f64::from(1 << 20);
        let ran = tfjet_run().words("run --device cpu --threads 1 --repeat 3 --json");
        let ran = ran.arg(&path).arg("--inputs").arg(&inputs).run().good();
        let peak = ran.json()["peak_rss_mib"].as_f64().unwrap();
        let ratio = (estimate + LIBRARIES) / peak;
        assert!((0.6..1.7).contains(&ratio), "{need}; took {peak:.1} MiB");
    }
}
