//! Estimates of `tfjet plan --target BOARD`: time, memory, and what the board refuses.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::{Graph, Ran, convert, folder, root, tfjet};
use serde_json::Value;

fn plan(model: &Path, flags: &str) -> Ran {
    tfjet().arg("plan").arg(model).words(flags).run()
}

fn estimate(model: &Path, flags: &str) -> Value {
    plan(model, &format!("--json {flags}")).good().json()["board"]["estimate"].take()
}

/// A 3x3 convolution of 16 to 32 channels, then ReLU.
fn convolution(shape: &[i64]) -> Graph {
    Graph::new()
        .placeholder("x", "DT_FLOAT", shape)
        .constant("kernel", "DT_FLOAT", &[3, 3, 16, 32], "float_val: 0.5")
        .node(
            "conv",
            "Conv2D",
            &["x", "kernel"],
            &[
                ("T", "type: DT_FLOAT"),
                ("strides", "list { i: 1 i: 1 i: 1 i: 1 }"),
                ("padding", "s: \"SAME\""),
                ("data_format", "s: \"NHWC\""),
            ],
        )
        .float_op("y", "Relu", &["conv"])
}

/// Of one precision.
fn of<'a>(list: &'a Value, precision: &str) -> &'a Value {
    let mut all = list.as_array().unwrap().iter();
    all.find(|one| one["precision"] == precision)
        .unwrap_or_else(|| panic!("no {precision} in {list}"))
}

fn close(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap();
    assert!((value / expected - 1.0).abs() < 1e-6, "{value}, {expected}");
}

#[test]
fn a_kernel_takes_what_its_arithmetic_or_its_traffic_takes() {
    let folder = folder();
    let model = convolution(&[1, 8, 8, 16]).write(folder.path(), "g.pbtxt");
    let nano = estimate(&model, "--target nano");
    let kernels = nano["kernels"].as_array().unwrap();
    let kinds: Vec<_> = kernels.iter().map(|kernel| &kernel["kind"]).collect();
    assert_eq!(kinds, ["Shuffle", "Convolution", "Shuffle"], "{nano}");

    let (input, output, weights) = (8 * 8 * 16, 8 * 8 * 32, 3 * 3 * 16 * 32);
    let flops = 2 * output * 3 * 3 * 16 + output;
    let conv = &kernels[1];
    assert_eq!(conv["layers"], 2, "the ReLU joins: {conv}");
    assert_eq!(conv["flops"], flops);
    assert_eq!(conv["weights"], weights);
    assert_eq!(conv["elements"], input + output);
    assert_eq!(conv["product"], serde_json::json!([64, 32]));
    assert_eq!(conv["winograd"], true);

    let factor = |name: &str| nano["factors"][name].as_f64().unwrap();
    let peak = 0.236_f32;
    let share = f64::from(peak) * 1e9 * factor("cuda_cores") * factor("winograd");
    let arithmetic = f64::from(flops) / share;
    let bytes = f64::from(4 * 2 * (input + output));
    let memory = bytes / (f64::from(25.6_f32) * 1e6 * factor("bandwidth"));
    let launches = 3.0 * factor("launch_us") / 1e3;
    let fp32 = of(&nano["frames"], "fp32");
    close(&fp32["arithmetic_ms"], arithmetic);
    close(&fp32["memory_ms"], memory);
    close(&fp32["ms"], arithmetic + memory + launches);
    close(&of(&nano["frames"], "fp16")["memory_ms"], memory / 2.0);

    let fp16 = of(&nano["memory"], "fp16");
    assert_eq!(fp16["weights"], 2 * weights);
    assert_eq!(fp16["activations"], 2 * (input + output));
    assert_eq!(fp16["buffers"], 4 * (input + output));
    assert_eq!(fp16["running"], 2 * weights + 6 * (input + output));
    assert_eq!(nano["memory_of_target"], 4u64 << 30);
}

#[test]
fn each_precision_of_the_board_is_estimated_and_no_other() {
    let folder = folder();
    let model = convolution(&[1, 64, 64, 16]).write(folder.path(), "g.pbtxt");
    for (target, expected) in [
        ("nano", &["fp32", "fp16"][..]),
        ("tx2", &["fp32", "fp16"]),
        ("xavier-nx", &["fp32", "fp16", "int8"]),
        ("agx-orin", &["fp32", "fp16", "int8"]),
    ] {
        let estimate = estimate(&model, &format!("--target {target}"));
        for list in ["frames", "memory"] {
            let found: Vec<_> = estimate[list]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["precision"].as_str().unwrap())
                .collect();
            assert_eq!(found, expected, "{target}");
        }
        let times: Vec<f64> = estimate["frames"]
            .as_array()
            .unwrap()
            .iter()
            .map(|frame| frame["ms"].as_f64().unwrap())
            .collect();
        assert!(times.is_sorted_by(|a, b| a > b), "{target}: {times:?}");
    }
}

#[test]
fn the_text_says_that_nothing_was_measured() {
    let folder = folder();
    let model = convolution(&[1, 64, 64, 16]).write(folder.path(), "g.pbtxt");
    let text = plan(&model, "--target nano").good().stdout;
    for part in [
        "estimate   one frame in power mode MAXN; not measured, docs/boards.md",
        "  fp16     0.",
        "  longest  in fp16: `conv` (Convolution)",
        "memory     of 4096 MiB estimated; not in it: the system, CUDA, TensorRT",
        "refused    nothing because of TensorRT 8.2.1",
    ] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    let text = plan(&model, "").good().stdout;
    assert!(!text.contains("estimate"), "{text}");
    assert!(!text.contains("refused"), "{text}");
}

#[test]
fn slower_power_modes_take_longer() {
    let folder = folder();
    let model = convolution(&[1, 64, 64, 16]).write(folder.path(), "g.pbtxt");
    let fastest = estimate(&model, "--target nano");
    assert_eq!(fastest["power_mode"]["name"], "MAXN");
    let slow = estimate(&model, "--target nano --power-mode 5w");
    assert_eq!(slow["power_mode"]["name"], "5W");
    let (fast, slow) = (of(&fastest["frames"], "fp32"), of(&slow["frames"], "fp32"));
    let ms = |frame: &Value, part: &str| frame[part].as_f64().unwrap();
    close(
        &slow["arithmetic_ms"],
        ms(fast, "arithmetic_ms") * 921.6 / 640.0,
    );
    assert_eq!(slow["memory_ms"], fast["memory_ms"]);
    for (flags, expected) in [
        ("--target nano --power-mode 7W", "`7W`; it has MAXN, 5W"),
        ("--power-mode MAXN", "`x86-cpu` has no power mode `MAXN`"),
    ] {
        let ran = plan(&model, flags);
        let line = ran.refused(2);
        assert!(line.contains(expected), "{line} lacks {expected}");
    }
}

#[test]
fn an_open_batch_is_one_frame_and_open_sizes_have_no_time() {
    let folder = folder();
    let batch = convolution(&[-1, 8, 8, 16]).write(folder.path(), "batch.pbtxt");
    let fixed = convolution(&[1, 8, 8, 16]).write(folder.path(), "fixed.pbtxt");
    let open = estimate(&batch, "--target nano");
    assert_eq!(open["frames"], estimate(&fixed, "--target nano")["frames"]);
    let four = estimate(&batch, "--target nano --input x=4x8x8x16");
    assert_eq!((&open["batch"], &four["batch"]), (&1.into(), &4.into()));
    let (one, all) = (of(&open["frames"], "fp32"), of(&four["frames"], "fp32"));
    close(&all["memory_ms"], 4.0 * one["memory_ms"].as_f64().unwrap());
    let text = plan(&batch, "--target nano --input x=4x8x8x16")
        .good()
        .stdout;
    assert!(text.contains("estimate   a batch of 4 in"), "{text}");

    let sizes = convolution(&[-1, -1, 8, 16]).write(folder.path(), "sizes.pbtxt");
    let open = estimate(&sizes, "--target nano");
    assert_eq!(open["frames"], serde_json::json!([]));
    assert_eq!(open["open"], true);
    let text = plan(&sizes, "--target nano").good().stdout;
    assert!(
        text.contains(
            "estimate   none: the model leaves axis 1 of `x` open: give the sizes with --input"
        ),
        "{text}"
    );
    assert!(text.contains("and what the open sizes add"), "{text}");
}

#[test]
fn a_target_that_means_no_one_gpu_has_no_time() {
    let folder = folder();
    let model = convolution(&[1, 8, 8, 16]).write(folder.path(), "g.pbtxt");
    for target in ["x86-gpu", "x86-rtx"] {
        let estimate = estimate(&model, &format!("--target {target}"));
        assert_eq!(estimate["frames"], serde_json::json!([]), "{target}");
        assert!(
            estimate["without_times"]
                .as_str()
                .unwrap()
                .contains("`peak-tflops`")
        );
        assert!(estimate["memory"][0]["running"].as_u64().unwrap() > 0);
        let text = plan(&model, &format!("--target {target}")).good().stdout;
        assert!(text.contains("memory     estimated"), "{text}");
    }
}

#[test]
fn what_the_boards_library_refuses_is_told_apart() {
    let folder = folder();
    let to = |graph: Graph, name: &str, input: &str, from: &str, to: &str| {
        let (from, to) = (format!("type: {from}"), format!("type: {to}"));
        let attrs = [("SrcT", from.as_str()), ("DstT", to.as_str())];
        graph.node(name, "Cast", &[input], &attrs)
    };
    let graph = Graph::new()
        .placeholder("x", "DT_FLOAT", &[2, 9])
        .float_op("outside", "Erfc", &["x"])
        .float_op("a", "Relu", &["outside"]);
    let model = to(graph, "whole", "a", "DT_FLOAT", "DT_INT32")
        .constant("k", "DT_INT32", &[], "int_val: 3")
        .node(
            "top",
            "TopKV2",
            &["whole", "k"],
            &[("T", "type: DT_INT32"), ("sorted", "b: true")],
        )
        .op("y", "Neg", &["top"], "DT_INT32")
        .write(folder.path(), "g.pbtxt");
    let flags = "--json --min-segment-size 1 --target";
    let refused = |target: &str| {
        let report = plan(&model, &format!("{flags} {target}")).good().json();
        report["board"]["refused"].clone()
    };
    assert_eq!(refused("nano"), serde_json::json!(["top"]));
    assert_eq!(refused("agx-orin"), serde_json::json!([]));
    let text = plan(&model, "--min-segment-size 1 --target nano")
        .good()
        .stdout;
    let line = "refused    1 of them because of TensorRT 8.2.1: top";
    assert!(text.contains(line), "{text}");
    assert!(
        text.contains("not in it: ops outside the segments"),
        "{text}"
    );
}

#[test]
fn a_bundle_holds_no_estimate() {
    let folder = folder();
    let model = convolution(&[1, 8, 8, 16]).write(folder.path(), "g.pbtxt");
    let bundle = folder.path().join("g.jet");
    convert(&model, &bundle, "--target nano --min-segment-size 1");
    let bytes = std::fs::read(&bundle).unwrap();
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(
        holds("\"residual\""),
        "the report is no plain JSON any more"
    );
    assert!(!holds("estimate") && !holds("launch_us"));
}

/// The page's table of factors is made from the program's; a change of one without the other makes
/// the page wrong.
#[test]
fn the_page_has_the_factors_in_use() {
    let page = std::fs::read_to_string(root().join("docs/boards.md")).unwrap();
    let factors = tfjet::convert::FACTORS;
    for (row, value) in [
        (
            "| share of the peak on CUDA cores",
            percent(factors.cuda_cores),
        ),
        (
            "| share of the peak on tensor cores",
            percent(factors.tensor_cores),
        ),
        ("| share of the bandwidth", percent(factors.bandwidth)),
        ("| launch of a kernel", factors.launch_us.to_string()),
        ("| Winograd", factors.winograd.to_string()),
    ] {
        let line = page.lines().find(|line| line.starts_with(row));
        let line = line.unwrap_or_else(|| panic!("no {row}"));
        assert!(line.contains(&format!("| {value} |")), "{line}: {value}");
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}
