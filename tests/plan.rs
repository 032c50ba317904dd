//! `tfjet plan`: where every node goes, and why.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Graph, Ran, folder, shared, tfjet};
use serde_json::Value;

fn plan(model: &Path, flags: &str) -> Ran {
    tfjet().arg("plan").arg(model).words(flags).run()
}

fn plan_json(model: &Path, flags: &str) -> Value {
    plan(model, &format!("--json {flags}")).good().json()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect()
}

/// How often each node stands in the report.
fn counts(report: &Value) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    let mut add = |name| *counts.entry(name).or_default() += 1;
    for segment in report["segments"].as_array().unwrap() {
        names(&segment["nodes"]).into_iter().for_each(&mut add);
        names(&segment["folded"]).into_iter().for_each(&mut add);
    }
    for residual in report["residual"].as_array().unwrap() {
        assert_ne!(residual["reason"], "", "{residual}");
        assert_ne!(residual["op"], "", "{residual}");
        add(residual["node"].as_str().unwrap());
    }
    for replaced in report["replaced"].as_array().unwrap() {
        add(replaced["node"].as_str().unwrap());
    }
    names(&report["pruned"]).into_iter().for_each(&mut add);
    counts
}

fn reason<'a>(report: &'a Value, node: &str) -> &'a str {
    let residual = report["residual"].as_array().unwrap();
    let found = residual.iter().find(|residual| residual["node"] == node);
    found.unwrap_or_else(|| panic!("{node} is not outside: {report}"))["reason"]
        .as_str()
        .unwrap()
}

/// Two chains of four, between them an op that no engine takes, and a branch nobody needs.
fn two_chains() -> Graph {
    Graph::new()
        .placeholder("x", "DT_FLOAT", &[4, 3])
        .floats("c", &[3], &[1.0, 2.0, 3.0])
        .float_op("a1", "AddV2", &["x", "c"])
        .float_op("a2", "Relu", &["a1"])
        .float_op("a3", "Mul", &["a2", "c"])
        .float_op("a4", "Tanh", &["a3"])
        .float_op("outside", "Erfc", &["a4"])
        .float_op("b1", "AddV2", &["outside", "c"])
        .float_op("b2", "Sigmoid", &["b1"])
        .float_op("b3", "Mul", &["b2", "c"])
        .float_op("y", "Relu", &["b3"])
        .float_op("unused", "Neg", &["a1"])
}

#[test]
fn json_stands_alone_and_holds_every_node_once() {
    let folder = folder();
    let model = two_chains().write(folder.path(), "g.pbtxt");
    let report = plan_json(&model, "--output y");
    let counts = counts(&report);
    assert_eq!(report["nodes"], 12);
    assert_eq!(counts.len(), 12, "{counts:?}");
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert_eq!(names(&report["pruned"]), ["unused"]);

    let segments = report["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 2, "{report}");
    for (segment, (nodes, input, output)) in segments.iter().zip([
        (["a1", "a2", "a3", "a4"], "x", "a4"),
        (["b1", "b2", "b3", "y"], "outside", "y"),
    ]) {
        assert_eq!(names(&segment["nodes"]), nodes);
        assert_eq!(names(&segment["inputs"]), [input]);
        assert_eq!(names(&segment["outputs"]), [output]);
        assert!(segment["flops"].as_u64().unwrap() > 0);
        assert_ne!(segment["name"], "");
    }
    assert!(reason(&report, "outside").contains("Erfc"), "{report}");
}

#[test]
fn every_node_of_real_graphs_stands_once() {
    for name in ["coco90", "coco90_agnostic_nms"] {
        let Some(model) = shared(&format!("models/ssd_mobilenet_v1_0.25_{name}.pb")) else {
            continue;
        };
        let report = plan_json(&model, "");
        let counts = counts(&report);
        assert_eq!(report["nodes"].as_u64().unwrap(), counts.len() as u64);
        assert!(counts.values().all(|count| *count == 1));
        let added = report["added"].to_string();
        assert!(
            added.contains("TfjetMultiClassNonMaxSuppression"),
            "{added}"
        );
    }
}

#[test]
fn files_hold_what_the_flags_say() {
    let folder = folder();
    let model = two_chains().write(folder.path(), "g.pbtxt");
    let path = |name: &str| folder.path().join(name);
    let ran = tfjet()
        .arg("plan")
        .arg(&model)
        .words("--output y")
        .arg(format!("--json={}", path("r.json").display()))
        .arg(format!("--csv={}", path("r.csv").display()))
        .arg(format!("--svg={}", path("r.svg").display()))
        .run()
        .good();
    for word in [
        "segments   2",
        "8 of 9 computing nodes",
        "Erfc",
        "pruned     1 nodes",
    ] {
        assert!(ran.stdout.contains(word), "no `{word}` in {ran:#?}");
    }

    let json = std::fs::read_to_string(path("r.json")).unwrap();
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report, plan_json(&model, "--output y"));

    let csv = std::fs::read_to_string(path("r.csv")).unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("node,op,disposition,segment,reason"));
    let mut rows: Vec<&str> = lines.map(|line| line.split(',').next().unwrap()).collect();
    rows.sort_unstable();
    assert_eq!(rows, counts(&report).into_keys().collect::<Vec<_>>());
    let ops: Vec<&str> = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap())
        .collect();
    assert!(
        ops.iter().all(|op| !op.is_empty()),
        "a line has no op: {csv}"
    );

    let svg = std::fs::read_to_string(path("r.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for name in ["segment_0", "segment_1", "outside"] {
        assert!(svg.contains(name), "no {name} in the picture");
    }
    assert_eq!(
        common::listing(folder.path()),
        ["g.pbtxt", "r.csv", "r.json", "r.svg"]
    );
}

#[test]
fn excluded_nodes_denied_ops_and_small_segments_stay_outside() {
    let folder = folder();
    let model = two_chains().write(folder.path(), "g.pbtxt");
    let segments = |report: &Value| -> Vec<Vec<String>> {
        let segments = report["segments"].as_array().unwrap().iter();
        segments
            .map(|s| names(&s["nodes"]).iter().map(ToString::to_string).collect())
            .collect()
    };

    let report = plan_json(&model, "--output y --exclude-node a1 --exclude-node y");
    assert_eq!(segments(&report), [["a2", "a3", "a4"], ["b1", "b2", "b3"]]);
    assert!(reason(&report, "a1").contains("--exclude-node"));
    assert!(reason(&report, "y").contains("--exclude-node"));

    // The constant counts too.
    let report = plan_json(
        &model,
        "--output y --deny-op Tanh --deny-op Sigmoid --min-segment-size 4",
    );
    assert_eq!(segments(&report), [["a1", "a2", "a3"]]);
    assert!(reason(&report, "a4").contains("--deny-op"));
    assert!(reason(&report, "b2").contains("--deny-op"));
    assert!(
        reason(&report, "b3").contains("fewer than 4 nodes"),
        "{report}"
    );

    let report = plan_json(&model, "--output y --exclude-node a1 --min-segment-size 5");
    assert_eq!(segments(&report), [["b1", "b2", "b3", "y"]]);
    assert!(
        reason(&report, "a3").contains("fewer than 5 nodes"),
        "{report}"
    );

    let report = plan_json(
        &model,
        "--output y --deny-op Tanh --deny-op Sigmoid --min-segment-size 1",
    );
    assert_eq!(segments(&report).len(), 3, "{report}");
}

#[test]
fn conversion_takes_the_same_flags() {
    let folder = folder();
    let model = two_chains().write(folder.path(), "g.pbtxt");
    let bundle = folder.path().join("g.jet");
    common::convert(
        &model,
        &bundle,
        "--output y --deny-op Tanh --min-segment-size 2",
    );
    let inspect = tfjet()
        .arg("inspect")
        .arg(&bundle)
        .words("--json")
        .run()
        .good()
        .json();
    let report = plan_json(&model, "--output y --deny-op Tanh --min-segment-size 2");
    assert_eq!(
        inspect["manifest"]["summary"]["segments"]
            .as_array()
            .unwrap()
            .len(),
        report["segments"].as_array().unwrap().len()
    );
}

#[test]
fn names_that_are_not_there_are_errors() {
    let folder = folder();
    let model = two_chains().write(folder.path(), "g.pbtxt");
    for (flags, name) in [
        ("--exclude-node nobody", "nobody"),
        ("--deny-op Nothing", "Nothing"),
        ("--output nobody", "nobody"),
        ("--input nobody=1x3", "nobody"),
        ("--output y:7", "y:7"),
        ("--target moon", "moon"),
    ] {
        let ran = plan(&model, flags);
        let code = ran.code.unwrap_or_default();
        assert!(code == 2 || code == 3, "{flags}: {ran:#?}");
        let line = ran.refused(code);
        assert!(line.contains(name), "{flags}: {line}");
    }
}

#[test]
fn no_segment_is_an_error_unless_accepted() {
    let folder = folder();
    let model = two_chains().write(folder.path(), "g.pbtxt");
    let flags = "--output y --min-segment-size 100";
    let ran = plan(&model, flags);
    let line = ran.refused(3);
    assert!(line.contains("no segment"), "{line}");
    assert!(line.contains("fewer than 100 nodes"), "{line}");
    assert!(line.contains("--allow-residual-only"), "{line}");

    let report = plan_json(&model, &format!("{flags} --allow-residual-only"));
    assert_eq!(report["segments"], serde_json::json!([]));
    assert_eq!(counts(&report).len(), 12);
}
