//! `tfjet-run bench` on the CPU engine.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Graph, convert, engine, folder, npz, tfjet_run};
use serde_json::Value;
use tfjet::core::Tensor;

#[test]
fn measures_a_bundle_and_says_what_it_cannot() {
    if !engine() {
        return;
    }
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "g.pbtxt");
    let bundle = folder.path().join("g.jet");
    convert(&model, &bundle, "");
    let x = Tensor::from_slice(&[2, 3], &[1.0f32; 6]).unwrap();
    let file = npz(folder.path(), "in.npz", &[("x", &x)]);
    let file = file.to_str().unwrap();
    for feed in [["--shape", "x=2x3"], ["--inputs", file]] {
        let bench = tfjet_run().arg("bench").arg(&bundle);
        let bench = bench.words("--duration 0.05 --warm-up 0 --streams 2 --json");
        let report = bench.arg(feed[0]).arg(feed[1]).run().good().json();
        assert_eq!(report["device"], "CPU");
        assert_eq!(
            (&report["batch"], &report["streams"]),
            (&2.into(), &2.into())
        );
        let host = &report["host_to_host"];
        let number = |value: &Value| value.as_f64().unwrap();
        assert!(number(&host["runs"]) >= 2.0);
        let rate = number(&host["per_second"]);
        assert!((number(&host["images_per_second"]) / rate - 2.0).abs() < 1e-9);
        let at = &host["latency_ms"];
        assert!(number(&at["min"]) <= number(&at["median"]));
        assert!(number(&at["median"]) <= number(&at["p99"]));
        assert!(number(&at["p99"]) <= number(&at["max"]));
        assert!(report["resident"].is_null());
        assert!(
            report["no_resident"]
                .as_str()
                .unwrap()
                .contains("on the CPU")
        );
    }
}

#[test]
fn what_cannot_be_measured_is_said_in_a_line() {
    if !engine() {
        return;
    }
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "g.pbtxt");
    let bundle = folder.path().join("g.jet");
    convert(&model, &bundle, "");
    for (flags, expected) in [
        ("", "give --shape x=..."),
        ("--shape y=2x3", "the model's inputs are x"),
        ("--shape x=2x4", "does not fit"),
        ("--shape x=2x3 --layers", "this session runs on the CPU"),
    ] {
        let bench = tfjet_run().arg("bench").arg(&bundle);
        let ran = bench
            .words(flags)
            .words("--warm-up 0 --duration 0.01")
            .run();
        let error = ran.refused(2);
        assert!(error.contains(expected), "{flags}: {error}");
    }
}
