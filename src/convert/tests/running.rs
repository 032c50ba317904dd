//! Random graphs of every op family compute the same in segments as op by op, at several sizes.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "not all of it is used here")]
mod source;
mod typed_graph;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::TestRunner;
use tfjet_bundle::Bundle;
use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::{ConvertOptions, Report, Task, emit, lower_source};
use tfjet_core::{DType, Tensor, TensorView};
use tfjet_cpu::Library;
use tfjet_runtime::{Session, SessionOptions};

use typed_graph::{TypedSource, typed_graph};

const VARIABLE: &str = "TFJET_ONNXRUNTIME";
const RUNS: usize = 900;
const ROWS: [usize; 3] = [2, 3, 5];
/// Where a number is no number or two are nearly equal, what these find is a matter of rounding.
const SEARCHES: [&str; 3] = ["ArgMax", "ArgMin", "TopKV2"];

/// A session of the graph, all of it in segments where they take it, or none.
fn session(
    source: &TypedSource,
    inside: bool,
    library: Option<&Library>,
) -> Result<Session, String> {
    let mut options = ConvertOptions {
        allow_residual_only: true,
        partition: PartitionOptions {
            min_segment_size: 1,
            ..PartitionOptions::default()
        },
        ..ConvertOptions::default()
    };
    if !inside {
        let ops = source.0.iter().map(|node| node.op.clone());
        let computing = ops.filter(|op| op != "Const" && op != "Placeholder");
        options.partition.deny_ops = computing.collect::<BTreeSet<_>>();
    }
    let graph = source::graph(source.0.clone());
    let lowered = lower_source(graph, "graph", &options).map_err(|error| error.to_string())?;
    let report = Report::new(&lowered, &options.partition);
    let task = Task {
        image: None,
        ..Task::default()
    };
    let writer = emit(lowered, "graph", &task, &report);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.jet");
    writer
        .map_err(|error| error.to_string())?
        .write(&path)
        .unwrap();
    let bundle = Arc::new(Bundle::open(&path).unwrap());
    let options = SessionOptions {
        threads: 1,
        ..SessionOptions::default()
    };
    Session::load(bundle, library, &options).map_err(|error| error.to_string())
}

fn feed(session: &Session, rows: usize) -> Vec<Tensor> {
    let inputs = session.manifest().inputs.iter();
    inputs
        .map(|input| {
            let dims = input.shape.as_ref().unwrap().dims().iter();
            let shape: Vec<usize> = dims.map(|dim| dim.fixed().unwrap_or(rows)).collect();
            let count = shape.iter().product::<usize>();
            let values: Vec<f32> = (0..count)
                .map(|i| ((i * 37 + 11) % 64) as f32 / 16.0 - 2.0)
                .collect();
            Tensor::from_slice(&shape, &values).unwrap()
        })
        .collect()
}

fn results(session: &mut Session, rows: usize) -> Result<Vec<Tensor>, String> {
    let inputs = feed(session, rows);
    let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
    let outputs = session.run(&views).map_err(|error| error.to_string())?;
    Ok(outputs.iter().map(|(_, view)| view.to_tensor()).collect())
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    match tensor.dtype() {
        DType::F32 => tensor
            .as_slice::<f32>()
            .unwrap()
            .iter()
            .map(|&v| v.into())
            .collect(),
        DType::I32 => tensor
            .as_slice::<i32>()
            .unwrap()
            .iter()
            .map(|&v| v.into())
            .collect(),
        DType::I64 => tensor
            .as_slice::<i64>()
            .unwrap()
            .iter()
            .map(|&v| v as f64)
            .collect(),
        DType::F16 => tensor
            .as_slice::<half::f16>()
            .unwrap()
            .iter()
            .map(|v| v.to_f64())
            .collect(),
        _ => tensor.bytes().iter().map(|&byte| byte.into()).collect(),
    }
}

fn difference(found: &Tensor, expected: &Tensor, values: bool) -> Option<String> {
    if (found.dtype(), found.shape()) != (expected.dtype(), expected.shape()) {
        return Some(format!(
            "{} {:?}, not {} {:?}",
            found.dtype(),
            found.shape(),
            expected.dtype(),
            expected.shape()
        ));
    }
    if !values {
        return None;
    }
    let pairs = floats(found).into_iter().zip(floats(expected));
    let off = |(a, b): &(f64, f64)| (a - b).abs() > 1e-4 * (1.0 + b.abs());
    let (a, b) = pairs.into_iter().find(off)?;
    Some(format!("{a}, not {b}"))
}

#[test]
fn segments_compute_what_single_ops_compute() {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED segments_compute_what_single_ops_compute: {VARIABLE} names no ONNX Runtime"
        );
        return;
    };
    let library = Library::load(Some(Path::new(&path)), &[]).unwrap();
    let mut runner = TestRunner::deterministic();
    let (mut compared, mut failures) = (0, Vec::new());
    while compared < RUNS {
        let source = typed_graph(24).new_tree(&mut runner).unwrap().current();
        // Some graphs have ops without a kernel.
        let Ok(mut plain) = session(&source, false, None) else {
            continue;
        };
        let mut inside = match session(&source, true, Some(&library)) {
            Ok(session) => session,
            Err(error) => {
                failures.push(format!("{error}\n{source:?}"));
                continue;
            }
        };
        let mut ops = source.0.iter().map(|node| node.op.as_str());
        let values = !ops.any(|op| SEARCHES.contains(&op));
        for rows in ROWS {
            // The graph may not fit the size.
            let Ok(expected) = results(&mut plain, rows) else {
                continue;
            };
            compared += 1;
            match results(&mut inside, rows) {
                Ok(found) => {
                    let differences = found.iter().zip(&expected).enumerate();
                    failures.extend(differences.filter_map(|(index, (found, expected))| {
                        let difference = difference(found, expected, values)?;
                        let name = &inside.manifest().outputs[index].name;
                        Some(format!("{rows} rows: {name}: {difference}\n{source:?}"))
                    }));
                }
                Err(error) => failures.push(format!("{rows} rows: {error}\n{source:?}")),
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {compared}, first: {}",
        failures.len(),
        failures[0]
    );
}
