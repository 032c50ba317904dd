//! Targets: what is listed, what a board's TensorRT refuses while it is planned, and files of one's
//! own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::{Graph, arrays, convert, engine, folder, npz, root, tfjet, tfjet_run};
use serde_json::Value;
use tfjet::convert::{find_target, targets};
use tfjet::core::Tensor;

const NAMES: [&str; 10] = [
    "nano",
    "tx2",
    "xavier-nx",
    "agx-xavier",
    "orin-nano",
    "orin-nx",
    "agx-orin",
    "x86-cpu",
    "x86-gpu",
    "x86-rtx",
];

#[test]
fn targets_are_listed() {
    let text = tfjet().words("targets").run().good().stdout;
    let names: Vec<_> = text
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(names, NAMES);
    let nano = text.lines().next().unwrap();
    for fact in ["JetPack 4.6.6", "TensorRT 8.2.1", "fp32 fp16", "5.3"] {
        assert!(nano.contains(fact), "{nano} lacks {fact}");
    }
    let json = tfjet().words("targets --json").run().good().json();
    let found: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str())
        .collect();
    assert_eq!(found, NAMES.map(Some));
    assert_eq!(json[0]["release"], "8.2.1");
    assert_eq!(json[0]["engine"], "tensorrt");
    assert_eq!(targets().unwrap().len(), NAMES.len());
}

#[test]
fn one_target_is_shown_whole() {
    let text = tfjet().words("targets nano").run().good().stdout;
    for line in [
        "engine       TensorRT 8.2.1, fp32 fp16",
        "software     JetPack 4.6.6, L4T 32.7.6, CUDA 10.2.300, GStreamer 1.14.5, glibc 2.27",
        "chip         tegra210",
        "CPU          4 cores, Cortex-A57, 1479 MHz",
        "GPU          compute capability 5.3, at most 0.236 fp32, 0.472 fp16 Tera operations/s",
        "memory       4 GiB, 25.6 GB/s, CPU and GPU share it",
        "power modes  MAXN (0, 10 W): GPU 921.6 MHz, memory 1600 MHz, 4 CPU cores, 1479 MHz",
        "             5W (1, 5 W): GPU 640 MHz",
    ] {
        assert!(text.contains(line), "no `{line}` in {text}");
    }
    let text = tfjet().words("targets x86-cpu").run().good().stdout;
    assert_eq!(text.lines().count(), 2, "{text}");
    let json = tfjet()
        .words("targets agx-xavier --json")
        .run()
        .good()
        .json();
    assert_eq!(json["power-modes"][1]["name"], "MODE_30W_ALL");
    let peak = json["peak-tflops"]["int8"].as_f64().unwrap();
    assert!((peak - 22.56).abs() < 1e-3, "{peak}");
    let ran = tfjet().words("targets nanno").run();
    assert!(ran.refused(2).contains("`nano` is near"));

    let file = root().join("targets/tx2.toml");
    let by_file = tfjet().arg("targets").arg(&file).run().good().stdout;
    assert_eq!(by_file, tfjet().words("targets tx2").run().good().stdout);
}

fn plan(model: &Path, target: &str) -> Value {
    let plan = tfjet().arg("plan").arg(model);
    let flags = "--json --min-segment-size 1 --allow-residual-only --target";
    plan.words(flags).arg(target).run().good().json()
}

/// Why a node stays outside; `None` where it does not.
fn reason(report: &Value, node: &str) -> Option<String> {
    let mut residual = report["residual"].as_array().unwrap().iter();
    let found = residual.find(|residual| residual["node"] == node)?;
    Some(found["reason"].as_str().unwrap().to_owned())
}

fn cast(graph: Graph, name: &str, input: &str, from: &str, to: &str) -> Graph {
    let (from, to) = (format!("type: {from}"), format!("type: {to}"));
    graph.node(
        name,
        "Cast",
        &[input],
        &[("SrcT", &from), ("DstT", &to), ("Truncate", "b: false")],
    )
}

/// The three largest of a row of whole numbers, between layers that every release has.
fn integer_top_k() -> Graph {
    let graph = Graph::new()
        .placeholder("x", "DT_FLOAT", &[2, 9])
        .float_op("a", "Relu", &["x"]);
    cast(graph, "whole", "a", "DT_FLOAT", "DT_INT32")
        .constant("k", "DT_INT32", &[], "int_val: 3")
        .node(
            "top",
            "TopKV2",
            &["whole", "k"],
            &[("T", "type: DT_INT32"), ("sorted", "b: true")],
        )
        .op("y", "Neg", &["top"], "DT_INT32")
}

/// `y = relu(node(x))`, where `node` takes and makes `dtype`.
fn between(dtype: &str, shape: &[i64], node: impl FnOnce(Graph) -> Graph) -> Graph {
    let graph = Graph::new().placeholder("x", "DT_FLOAT", shape);
    let graph = node(cast(graph, "from", "x", "DT_FLOAT", dtype));
    cast(graph, "to", "node", dtype, "DT_FLOAT").float_op("y", "Relu", &["to"])
}

fn reshaped(graph: Graph, dtype: &str) -> Graph {
    let dtype = format!("type: {dtype}");
    graph
        .constant("size", "DT_INT32", &[1], "int_val: -1")
        .node(
            "node",
            "Reshape",
            &["from", "size"],
            &[("T", &dtype), ("Tshape", "type: DT_INT32")],
        )
}

/// What it is, the graph, the node that is asked for, and for targets a part of the reason, empty
/// where the node is inside.
type Case = (
    &'static str,
    Graph,
    &'static str,
    &'static [(&'static str, &'static str)],
);

#[test]
fn what_a_release_lacks_stays_outside_with_the_reason() {
    let folder = folder();
    let far = 1i64 << 40;
    let cases: Vec<Case> = vec![
        (
            "int32 top-k",
            integer_top_k(),
            "top",
            &[
                ("nano", "TensorRT 8.2.1 has no TopK of int32 before 10.0"),
                ("x86-gpu", "TensorRT 8.5.2 has no TopK of int32 before 10.0"),
                ("agx-orin", ""),
                ("x86-rtx", ""),
                ("x86-cpu", ""),
            ],
        ),
        (
            "a scalar function",
            between("DT_FLOAT", &[], |graph| {
                graph.op("node", "Exp", &["from"], "DT_FLOAT")
            }),
            "node",
            &[("tx2", ""), ("orin-nano", ""), ("x86-cpu", "")],
        ),
        (
            "int8",
            between("DT_INT8", &[2, 3], |graph| reshaped(graph, "DT_INT8")),
            "node",
            &[
                ("nano", "TensorRT 8.2.1 takes int8 only as quantized floats"),
                (
                    "agx-orin",
                    "TensorRT 10.3.0 takes int8 only as quantized floats",
                ),
                (
                    "x86-rtx",
                    "TensorRT-RTX 1.7.1 takes int8 only as quantized floats",
                ),
                ("x86-cpu", ""),
            ],
        ),
        (
            "uint8",
            between("DT_UINT8", &[2, 3], |graph| reshaped(graph, "DT_UINT8")),
            "node",
            &[
                ("nano", ""),
                ("agx-orin", ""),
                ("x86-rtx", ""),
                ("x86-cpu", ""),
            ],
        ),
        (
            "a large int64",
            between("DT_INT64", &[2, 3], |graph| {
                graph
                    .constant("far", "DT_INT64", &[], &format!("int64_val: {far}"))
                    .op("node", "Minimum", &["from", "far"], "DT_INT64")
            }),
            "node",
            &[
                (
                    "agx-xavier",
                    "holds 1099511627776, and the target computes int64 as int32",
                ),
                ("agx-orin", ""),
                ("x86-cpu", ""),
            ],
        ),
    ];
    for (what, graph, node, expected) in cases {
        let model = graph.write(folder.path(), "g.pbtxt");
        for (target, text) in expected {
            let found = reason(&plan(&model, target), node);
            match (&found, *text) {
                (None, "") => {}
                (Some(found), text) if !text.is_empty() && found.contains(text) => {}
                _ => panic!("{what} for {target}: {found:?}, expected `{text}`"),
            }
        }
    }
}

#[test]
fn int64_that_is_narrowed_is_noted() {
    let folder = folder();
    let graph = between("DT_INT64", &[2, 3], |graph| {
        graph.op("node", "Neg", &["from"], "DT_INT64")
    });
    let model = graph.write(folder.path(), "g.pbtxt");
    let note = |target| {
        let report = plan(&model, target);
        let notes = report["notes"].as_array().unwrap();
        notes
            .iter()
            .any(|note| note.as_str().unwrap().contains("computed as int32"))
    };
    // `Neg` of int64 has no lowering; the casts around it hold int64 all the same.
    assert!(note("nano"));
    assert!(!note("agx-orin"));
    assert!(!note("x86-cpu"));
}

#[test]
fn the_report_names_the_target() {
    let folder = folder();
    let model = integer_top_k().write(folder.path(), "g.pbtxt");
    let text = tfjet()
        .arg("plan")
        .arg(&model)
        .words("--target nano --min-segment-size 1");
    let text = text.run().good().stdout;
    assert!(text.contains("target     nano (TensorRT 8.2.1)"), "{text}");
    assert!(
        text.contains("TensorRT 8.2.1 has no TopK of int32"),
        "{text}"
    );
    let report = plan(&model, "agx-orin");
    assert_eq!(report["target"]["name"], "agx-orin");
    assert_eq!(report["target"]["library"], "TensorRT 10.3.0");
}

#[test]
fn a_bundle_for_a_board_computes_what_the_model_does() {
    if !engine() {
        return;
    }
    let folder = folder();
    let model = integer_top_k().write(folder.path(), "g.pbtxt");
    let values: Vec<f32> = (0..18).map(|i| ((i * 7) % 11) as f32 - 2.0).collect();
    let input = npz(
        folder.path(),
        "x.npz",
        &[("x", &Tensor::from_slice(&[2, 9], &values).unwrap())],
    );
    let result = |target: &str| {
        let bundle = folder.path().join(format!("{target}.jet"));
        convert(
            &model,
            &bundle,
            &format!("--min-segment-size 1 --target {target}"),
        );
        let inspect = tfjet()
            .arg("inspect")
            .arg(&bundle)
            .words("--json")
            .run()
            .good()
            .json();
        assert_eq!(inspect["manifest"]["target"], target);
        let segments = inspect["manifest"]["summary"]["segments"]
            .as_array()
            .unwrap()
            .len();
        let out = folder.path().join(format!("{target}.npz"));
        let run = tfjet_run().arg("run").arg(&bundle);
        let run = run.arg("--inputs").arg(&input);
        run.arg("--outputs").arg(&out).run().good();
        (segments, arrays(&out))
    };
    let (nano, outside) = result("nano");
    let (orin, inside) = result("agx-orin");
    assert_eq!((nano, orin), (2, 1));
    assert_eq!(outside, inside);
}

#[test]
fn a_file_of_ones_own_is_a_target() {
    let folder = folder();
    let model = integer_top_k().write(folder.path(), "g.pbtxt");
    let nano = std::fs::read_to_string(root().join("targets/nano.toml")).unwrap();
    let board = folder.path().join("board.toml");
    let board_name = board.to_str().unwrap();
    let with = |from: &str, to: &str| {
        assert!(nano.contains(from), "{from}");
        std::fs::write(&board, nano.replace(from, to)).unwrap();
        tfjet()
            .arg("plan")
            .arg(&model)
            .words("--json --min-segment-size 1 --target")
            .arg(&board)
            .run()
    };
    let report = with("name = \"nano\"", "name = \"my-board\"").good().json();
    assert_eq!(report["target"]["name"], "my-board");
    for (from, to, expected) in [
        ("8.2.1", "8.0.1", "update to JetPack 4.6.1 or later"),
        ("8.2.1", "11.0.0", "known are 8.2 to 8.6"),
        ("memory-gib", "memory-gb", "unknown field `memory-gb`"),
        ("io-coherent = false\n", "", "missing field `io-coherent`"),
        (
            "fp16 = 0.472\n",
            "",
            "`precisions` has fp16, `peak-tflops` has not",
        ),
        (
            "gpu-mhz = 640.0",
            "gpu-mhz = 64000.0",
            "power mode `5W` is faster",
        ),
        ("watts = 5", "wats = 5", "unknown field `wats`"),
    ] {
        let ran = with(from, to);
        let line = ran.refused(3);
        assert!(line.contains(expected), "{line} lacks {expected}");
        assert!(line.contains(board_name), "{line}");
    }
}

#[test]
fn unknown_targets_and_idle_flags_are_refused() {
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "g.pbtxt");
    for (command, expected) in [
        ("plan --target nono", "`nano` is near; targets: nano, tx2"),
        ("plan --target moon", "target `moon` is not known"),
        (
            "convert --target orin",
            "x86-rtx, or the path of a TOML file",
        ),
        (
            "convert --target nano --precision int8",
            "its GPU (SM 5.3) has no INT8 arithmetic",
        ),
        ("convert --shape x=1x3", "--shape needs a target"),
        (
            "convert --target x86-gpu --tensorrt-rtx lib.so",
            "--tensorrt-rtx needs",
        ),
    ] {
        let out = folder.path().join("out.jet");
        let mut program = tfjet().words(command).arg(&model);
        if command.starts_with("convert") {
            program = program.arg("-o").arg(&out);
        }
        let ran = program.run();
        let line = ran.refused(2);
        assert!(line.contains(expected), "{command}: {line}");
        assert!(!out.exists());
    }
}

#[test]
fn every_target_plans_a_plain_graph_whole() {
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "g.pbtxt");
    for name in NAMES {
        let report = plan(&model, name);
        assert_eq!(report["segments"].as_array().unwrap().len(), 1, "{name}");
        assert_eq!(
            report["target"]["library"],
            find_target(name).unwrap().library()
        );
    }
}
