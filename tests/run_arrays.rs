//! `tfjet-run run --inputs`: arrays in, arrays out, and what a run takes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::{Graph, arrays, convert, engine, folder, npz, rows_bundle, tfjet, tfjet_run};
use half::f16;
use tfjet::core::{DType, Tensor};

/// Converts a graph, runs it on arrays and gives the outputs, sorted by name.
#[track_caller]
fn run(graph: &Graph, flags: &str, inputs: &[(&str, &Tensor)]) -> Vec<(String, Tensor)> {
    let folder = folder();
    let model = graph.write(folder.path(), "g.pbtxt");
    let bundle = folder.path().join("g.jet");
    convert(&model, &bundle, flags);
    run_bundle(folder.path(), &bundle, inputs)
}

#[track_caller]
fn run_bundle(folder: &Path, bundle: &Path, inputs: &[(&str, &Tensor)]) -> Vec<(String, Tensor)> {
    let inputs = npz(folder, "in.npz", inputs);
    let outputs = folder.join("out.npz");
    let ran = tfjet_run()
        .arg("run")
        .arg(bundle)
        .arg("--inputs")
        .arg(&inputs);
    ran.arg("--outputs").arg(&outputs).run().good();
    arrays(&outputs)
}

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_slice(shape, values).unwrap()
}

#[test]
fn keys_have_a_prefix_a_port_or_neither() {
    if !engine() {
        return;
    }
    let x = floats(&[1, 3], &[-1.5, 0.5, -4.0]);
    let expected = floats(&[1, 3], &[0.0, 5.0, 0.0]);
    for key in ["x", "in:x", "x:0", "in:x:0"] {
        let outputs = run(&Graph::rows_of_three(), "", &[(key, &x)]);
        assert_eq!(outputs, [("out:y".to_owned(), expected.clone())], "{key}");
    }
}

#[test]
fn one_bundle_takes_any_batch() {
    if !engine() {
        return;
    }
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "g.pbtxt");
    for flags in [
        "",
        "--input x=?x3",
        "--min-segment-size 9 --allow-residual-only",
    ] {
        let bundle = folder.path().join("g.jet");
        convert(&model, &bundle, flags);
        for (x, y) in [
            (
                floats(&[1, 3], &[1.0, 1.0, 1.0]),
                floats(&[1, 3], &[2.0, 6.0, 12.0]),
            ),
            (
                floats(&[3, 3], &[0.0, 0.0, 0.0, -9.0, -9.0, -9.0, 1.0, 2.0, 3.0]),
                floats(&[3, 3], &[1.0, 4.0, 9.0, 0.0, 0.0, 0.0, 2.0, 8.0, 18.0]),
            ),
            (floats(&[0, 3], &[]), floats(&[0, 3], &[])),
        ] {
            let outputs = run_bundle(folder.path(), &bundle, &[("x", &x)]);
            assert_eq!(outputs, [("out:y".to_owned(), y)], "{flags}");
        }
    }
}

#[test]
fn outputs_and_inner_wires_are_named_as_in_the_graph() {
    if !engine() {
        return;
    }
    let x = floats(&[1, 3], &[-1.5, 0.5, -4.0]);
    let outputs = run(
        &Graph::rows_of_three(),
        "--output r --output y --output a",
        &[("x", &x)],
    );
    let expected = [
        ("out:a", floats(&[1, 3], &[-0.5, 2.5, -1.0])),
        ("out:r", floats(&[1, 3], &[0.0, 2.5, 0.0])),
        ("out:y", floats(&[1, 3], &[0.0, 5.0, 0.0])),
    ];
    assert_eq!(
        outputs,
        expected.map(|(name, array)| (name.to_owned(), array))
    );
}

#[test]
fn an_inner_wire_can_be_fed() {
    if !engine() {
        return;
    }
    let a = floats(&[2, 3], &[1.0, -1.0, 2.0, 0.5, 0.25, -3.0]);
    let outputs = run(
        &Graph::rows_of_three(),
        "--input a=2x3 --min-segment-size 2",
        &[("a", &a)],
    );
    let expected = floats(&[2, 3], &[1.0, 0.0, 6.0, 0.5, 0.5, 0.0]);
    assert_eq!(outputs, [("out:y".to_owned(), expected)]);
}

#[test]
fn bytes_become_floats() {
    if !engine() {
        return;
    }
    let graph = Graph::new()
        .placeholder("image", "DT_UINT8", &[1, 2, 2])
        .node(
            "cast",
            "Cast",
            &["image"],
            &[("SrcT", "type: DT_UINT8"), ("DstT", "type: DT_FLOAT")],
        )
        .floats("mean", &[], &[127.5])
        .floats("scale", &[], &[0.5])
        .float_op("sub", "Sub", &["cast", "mean"])
        .float_op("mul", "Mul", &["sub", "scale"]);
    let image = Tensor::from_slice(&[1, 2, 2], &[0u8, 1, 127, 255]).unwrap();
    let outputs = run(&graph, "", &[("image", &image)]);
    let expected = floats(&[1, 2, 2], &[-63.75, -63.25, -0.25, 63.75]);
    assert_eq!(outputs, [("out:mul".to_owned(), expected)]);
}

#[test]
fn integers_stay_exact() {
    let graph = Graph::new()
        .placeholder("x", "DT_INT32", &[-1])
        .constant("c", "DT_INT32", &[], "int_val: 3")
        .op("add", "AddV2", &["x", "c"], "DT_INT32")
        .op("mul", "Mul", &["add", "add"], "DT_INT32")
        .op("div", "FloorDiv", &["mul", "c"], "DT_INT32");
    let x = Tensor::from_slice(&[4], &[-5, 0, 16_777_214, 46_337]).unwrap();
    // (x + 3)^2 wraps in 32 bits, the quotient is rounded down.
    let square = |x: i32| x.wrapping_add(3).wrapping_mul(x.wrapping_add(3));
    let values = [-5, 0, 16_777_214, 46_337].map(|x| square(x).div_euclid(3));
    let outputs = run(
        &graph,
        "--min-segment-size 99 --allow-residual-only",
        &[("x", &x)],
    );
    assert_eq!(
        outputs,
        [(
            "out:div".to_owned(),
            Tensor::from_slice(&[4], &values).unwrap()
        )]
    );
}

#[test]
fn long_integers_keep_all_bits() {
    let graph = Graph::new()
        .placeholder("x", "DT_INT64", &[2])
        .constant("c", "DT_INT64", &[], "int64_val: 1")
        .op("add", "AddV2", &["x", "c"], "DT_INT64");
    let x = Tensor::from_slice(&[2], &[(1i64 << 53), -2]).unwrap();
    let outputs = run(
        &graph,
        "--min-segment-size 99 --allow-residual-only",
        &[("x", &x)],
    );
    let expected = Tensor::from_slice(&[2], &[(1i64 << 53) + 1, -1]).unwrap();
    assert_eq!(outputs, [("out:add".to_owned(), expected)]);
}

#[test]
fn truth_values_go_in_and_out() {
    let graph = Graph::new()
        .placeholder("p", "DT_BOOL", &[4])
        .placeholder("q", "DT_BOOL", &[4])
        .node("and", "LogicalAnd", &["p", "q"], &[])
        .node("not", "LogicalNot", &["and"], &[]);
    let p = Tensor::from_bools(&[4], &[false, true, false, true]).unwrap();
    let q = Tensor::from_bools(&[4], &[false, false, true, true]).unwrap();
    let flags = "--min-segment-size 99 --allow-residual-only";
    let outputs = run(&graph, flags, &[("p", &p), ("q", &q)]);
    let expected = Tensor::from_bools(&[4], &[true, true, true, false]).unwrap();
    assert_eq!(outputs, [("out:not".to_owned(), expected)]);
}

#[test]
fn engines_compare_and_select() {
    if !engine() {
        return;
    }
    let graph = Graph::new()
        .placeholder("x", "DT_FLOAT", &[4])
        .placeholder("y", "DT_FLOAT", &[4])
        .float_op("less", "Less", &["x", "y"])
        .float_op("sum", "AddV2", &["x", "y"])
        .float_op("pick", "SelectV2", &["less", "sum", "x"]);
    let x = floats(&[4], &[1.0, 2.0, 3.0, -1.0]);
    let y = floats(&[4], &[2.0, 2.0, 1.0, 0.0]);
    let outputs = run(
        &graph,
        "--output pick --output less",
        &[("x", &x), ("y", &y)],
    );
    let less = Tensor::from_bools(&[4], &[true, false, false, true]).unwrap();
    let expected = [
        ("out:less".to_owned(), less),
        ("out:pick".to_owned(), floats(&[4], &[3.0, 2.0, 3.0, -1.0])),
    ];
    assert_eq!(outputs, expected);
}

#[test]
fn half_precision_goes_in_and_out() {
    let values = |values: [f32; 3]| Tensor::from_slice(&[3], &values.map(f16::from_f32)).unwrap();
    let graph = Graph::new()
        .placeholder("x", "DT_HALF", &[3])
        .op("relu", "Relu", &["x"], "DT_HALF")
        .op("y", "AddV2", &["relu", "x"], "DT_HALF");
    let x = values([-1.5, 0.25, 1000.0]);
    let flags = "--min-segment-size 99 --allow-residual-only";
    let outputs = run(&graph, flags, &[("x", &x)]);
    assert_eq!(outputs, [("out:y".to_owned(), values([-1.5, 0.5, 2000.0]))]);
}

#[test]
fn one_op_outside_splits_the_graph_and_changes_nothing() {
    if !engine() {
        return;
    }
    let x = floats(&[1, 3], &[-1.5, 0.5, 2.0]);
    let whole = run(&Graph::rows_of_three(), "", &[("x", &x)]);
    for flags in [
        "--deny-op Relu --min-segment-size 1",
        "--exclude-node m --min-segment-size 1",
        "--min-segment-size 99 --allow-residual-only",
    ] {
        assert_eq!(
            run(&Graph::rows_of_three(), flags, &[("x", &x)]),
            whole,
            "{flags}"
        );
    }
}

#[test]
fn measurements_are_one_json_object() {
    if !engine() {
        return;
    }
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "rows.pbtxt");
    let bundle = folder.path().join("rows.jet");
    convert(&model, &bundle, "");
    let inputs = npz(
        folder.path(),
        "in.npz",
        &[("x", &floats(&[1, 3], &[1.0; 3]))],
    );
    let run = tfjet_run()
        .arg("run")
        .arg(&bundle)
        .arg("--inputs")
        .arg(&inputs);
    let ran = run.words("--repeat 20 --json --threads 1").run().good();
    assert_eq!(ran.stderr, "", "{ran:#?}");
    let measured = ran.json();
    let object = measured.as_object().unwrap();
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys.retain(|key| *key != "no_gpu");
    let expected = [
        "device",
        "engines",
        "first_result_ms",
        "library",
        "load_ms",
        "median_ms",
        "memory",
        "model",
        "p99_ms",
        "peak_rss_mib",
        "precision",
        "runs",
    ];
    assert_eq!(keys, expected);
    assert_eq!(measured["runs"], 20);
    assert_eq!(measured["model"], "rows");
    let number = |key: &str| measured[key].as_f64().unwrap();
    assert!(number("load_ms") > 0.0);
    assert!(number("first_result_ms") >= number("load_ms"));
    assert!(number("p99_ms") >= number("median_ms"));
    assert!((1.0..4096.0).contains(&number("peak_rss_mib")));
    assert!(measured["memory"]["host_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn all_files_of_a_folder_are_run_in_order() {
    if !engine() {
        return;
    }
    let folder = folder();
    let bundle = rows_bundle(folder.path());
    let inputs = folder.path().join("inputs");
    std::fs::create_dir(&inputs).unwrap();
    std::fs::write(inputs.join("notes.txt"), "no arrays").unwrap();
    let run = |outputs: &Path| {
        let run = tfjet_run().arg("run").arg(&bundle).words("--inputs");
        let run = run.arg(&inputs).words("--json --outputs").arg(outputs);
        run.run()
    };
    let outputs = folder.path().join("outputs");
    let none = run(&outputs);
    assert!(
        none.refused(3).contains("inputs: no .npz file"),
        "{none:#?}"
    );
    for rows in [1usize, 4, 9] {
        let x = floats(&[rows, 3], &vec![rows as f32; rows * 3]);
        npz(&inputs, &format!("{rows}.npz"), &[("x", &x)]);
    }
    let measured = run(&outputs).good().json();
    assert_eq!(
        (&measured["files"], &measured["runs"]),
        (&3.into(), &3.into())
    );
    for rows in [1usize, 4, 9] {
        let found = arrays(&outputs.join(format!("{rows}.npz")));
        let value = rows as f32;
        let row = [value + 1.0, 2.0 * (value + 2.0), 3.0 * (value + 3.0)];
        let expected = floats(&[rows, 3], &row.repeat(rows));
        assert_eq!(found, [("out:y".to_owned(), expected)]);
    }
    let same = run(&inputs);
    assert!(
        same.refused(2).contains("would replace its input"),
        "{same:#?}"
    );
    let bad = floats(&[1, 4], &[0.0; 4]);
    npz(&inputs, "4.npz", &[("x", &bad)]);
    let refused = run(&outputs);
    assert!(refused.refused(3).contains("inputs/4.npz"), "{refused:#?}");
}

#[test]
fn a_model_that_takes_more_memory_than_allowed_is_refused_before_it_is_loaded() {
    if !engine() {
        return;
    }
    let folder = folder();
    let bundle = rows_bundle(folder.path());
    let x = floats(&[1, 3], &[1.0; 3]);
    let inputs = npz(folder.path(), "in.npz", &[("x", &x)]);
    let run = |words: &str| {
        let run = tfjet_run()
            .arg("run")
            .arg(&bundle)
            .arg("--inputs")
            .arg(&inputs);
        run.words(words).run()
    };
    run("--max-memory 4096").good();
    let refused = run("--max-memory 1");
    let line = refused.refused(3);
    assert!(
        line.contains("not enough memory") && line.contains("the limit is 1.0 MiB"),
        "{line}"
    );
    assert_eq!(run("--max-memory 0").code, Some(2));
}

#[test]
fn flags_on_shapes_that_come_need_a_mode_and_mean_nothing_to_the_cpu() {
    if !engine() {
        return;
    }
    let folder = folder();
    let bundle = rows_bundle(folder.path());
    let x = floats(&[1, 3], &[1.0; 3]);
    let inputs = npz(folder.path(), "in.npz", &[("x", &x)]);
    let run = |words: &str| {
        let run = tfjet_run()
            .arg("run")
            .arg(&bundle)
            .arg("--inputs")
            .arg(&inputs);
        run.words("--device cpu --json").words(words).run()
    };
    for words in ["--workspace 64", "--no-tf32", "--dynamic-capacity 2"] {
        let refused = run(words);
        assert!(
            refused.refused(2).contains("need --dynamic"),
            "{refused:#?}"
        );
    }
    for mode in ["block", "fallback", "never-build"] {
        let ran = run(&format!(
            "--dynamic {mode} --dynamic-capacity 2 --workspace 64"
        ))
        .good();
        assert_eq!(ran.json()["engine_cache"], serde_json::Value::Null);
        assert_eq!(ran.stderr, "", "{ran:#?}");
    }
    assert_eq!(run("--dynamic sometimes").code, Some(2));
    assert_eq!(run("--dynamic block --dynamic-capacity 0").code, Some(2));
}

#[test]
fn compare_takes_bundles_and_models_of_any_type() {
    let folder = folder();
    let graph = Graph::new()
        .placeholder("x", "DT_INT32", &[3])
        .constant("c", "DT_INT32", &[], "int_val: 3")
        .op("y", "AddV2", &["x", "c"], "DT_INT32");
    let model = graph.write(folder.path(), "g.pbtxt");
    let bundle = folder.path().join("g.jet");
    convert(&model, &bundle, "--allow-residual-only");
    let x = Tensor::from_slice(&[3], &[1, 2, 3]).unwrap();
    for (y, code) in [([4, 5, 6], 0), ([4, 5, 7], 1)] {
        let y = Tensor::from_slice(&[3], &y).unwrap();
        assert_eq!(y.dtype(), DType::I32);
        let reference = npz(folder.path(), "ref.npz", &[("in:x", &x), ("out:y", &y)]);
        let of_model = tfjet().arg("compare").arg(&model).arg(&reference);
        let of_model = of_model.words("--json --allow-residual-only").run();
        let of_bundle = tfjet()
            .arg("compare")
            .arg(&bundle)
            .arg(&reference)
            .words("--json")
            .run();
        assert_eq!(of_model.code, Some(code), "{of_model:#?}");
        assert_eq!(of_bundle.code, Some(code), "{of_bundle:#?}");
        assert_eq!(of_model.json(), of_bundle.json());
    }
}
