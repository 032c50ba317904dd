//! Every case of TensorFlow's goldens in a segment, where one takes it: lowered, written as ONNX and
//! run, against TensorFlow's outputs.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../../tests/goldens/cases.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod cases;
mod golden_nodes;
#[allow(dead_code, reason = "not all of it is used here")]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use tfjet_bundle::Bundle;
use tfjet_convert::lower::lowered_ops;
use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::{ConvertOptions, Report, Task, emit, lower_source};
use tfjet_core::{DType, Tensor, TensorView};
use tfjet_cpu::Library;
use tfjet_runtime::{Session, SessionOptions};

use cases::Case;
use golden_nodes::{Fed, feedings, nodes};

const VARIABLE: &str = "TFJET_ONNXRUNTIME";

/// Lowered ops that TensorFlow runs in no graph of one node on a CPU, and what stands for them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("Range", "tests/running.rs: one between constants is folded"),
    ("ResourceGather", "GatherV2: its variables are constants"),
];

/// Cases whose result is not TensorFlow's, and why.
const KNOWN: &[(&str, &str)] = &[
    (
        "FloorMod/edges",
        "the rest of an infinite divisor is no number",
    ),
    (
        "CombinedNonMaxSuppression/few_ties",
        "a layer leaves the order of equal scores open",
    ),
    ("CombinedNonMaxSuppression/ties", "as few_ties"),
    ("CombinedNonMaxSuppression/many_ties", "as few_ties"),
    ("CombinedNonMaxSuppression/all_tied", "as few_ties"),
    ("Mod/edges", "as FloorMod"),
    ("TruncateMod/edges", "as FloorMod"),
    ("Max/special", "an engine may pass over what is no number"),
    ("Min/special", "as Max"),
];

/// Ops that a pass makes lowered ones, with residual ops behind them.
const PADDED: &[&str] = &[
    "NonMaxSuppression",
    "NonMaxSuppressionV2",
    "NonMaxSuppressionV3",
];

/// A session of the case with the node in a segment, and outside only what passes put there; `None`
/// where no segment takes it.
fn session(
    case: &Case,
    inputs: &[Tensor],
    fed: &Fed,
    library: &Library,
) -> Option<Result<Session, String>> {
    let options = ConvertOptions {
        partition: PartitionOptions {
            min_segment_size: 1,
            lower_nms: true,
            ..PartitionOptions::default()
        },
        ..ConvertOptions::default()
    };
    let lowered = lower_source(source::graph(nodes(case, inputs, fed)), "graph", &options).ok()?;
    let mut residual = lowered.partition.residual.iter();
    if residual.any(|op| lowered.typed.graph.node(op.node).source.is_some()) {
        return None;
    }
    let report = Report::new(&lowered, &options.partition);
    let task = Task {
        image: None,
        ..Task::default()
    };
    let write = || {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = folder.path().join("graph.jet");
        let writer = emit(lowered, "graph", &task, &report).map_err(|error| error.to_string())?;
        writer.write(&path).map_err(|error| error.to_string())?;
        let bundle = Bundle::open(&path).map_err(|error| error.to_string())?;
        let options = SessionOptions {
            threads: 1,
            ..SessionOptions::default()
        };
        let session = Session::load(Arc::new(bundle), Some(library), &options);
        session.map_err(|error| error.to_string())
    };
    Some(write())
}

fn floats(tensor: &Tensor) -> Option<Vec<f64>> {
    match tensor.dtype() {
        DType::F32 => {
            let values = tensor.as_slice::<f32>().unwrap();
            Some(values.iter().map(|&x| x.into()).collect())
        }
        DType::F16 => {
            let values = tensor.as_slice::<half::f16>().unwrap();
            Some(values.iter().map(|&x| x.into()).collect())
        }
        _ => None,
    }
}

fn difference(found: &Tensor, expected: &Tensor) -> Option<String> {
    if (found.dtype(), found.shape()) != (expected.dtype(), expected.shape()) {
        return Some(format!(
            "{} {:?}, expected {} {:?}",
            found.dtype(),
            found.shape(),
            expected.dtype(),
            expected.shape()
        ));
    }
    let (Some(a), Some(e)) = (floats(found), floats(expected)) else {
        let (a, e) = (found.bytes(), expected.bytes());
        return (a != e).then(|| format!("{a:?}, expected {e:?}"));
    };
    let finite = e.iter().filter(|value| value.is_finite());
    let largest = finite.fold(0.0f64, |largest, value| largest.max(value.abs()));
    let relative = match expected.dtype() {
        DType::F16 => 4e-3,
        _ => 1e-5,
    };
    let wrong = a.iter().zip(&e).position(|(&a, &e)| {
        let equal = a == e || (a.is_nan() && e.is_nan());
        !(equal || (a - e).abs() <= relative * largest.max(1e-2))
    })?;
    Some(format!(
        "element {wrong} is {:e}, expected {:e}",
        a[wrong], e[wrong]
    ))
}

fn failure(mut session: Session, case: &Case, inputs: &[Tensor], fed: &Fed) -> Option<String> {
    let views: Vec<TensorView<'_>> = session
        .manifest()
        .inputs
        .iter()
        .map(|input| {
            let index = (0..fed.len()).find(|index| format!("input_{index}") == input.name);
            inputs[index.unwrap()].view()
        })
        .collect();
    let names: Vec<String> = session
        .manifest()
        .outputs
        .iter()
        .map(|output| output.name.clone())
        .collect();
    let found = match session.run(&views) {
        Ok(found) => found,
        Err(error) => return Some(error.to_string()),
    };
    let found: BTreeMap<usize, Tensor> = names
        .iter()
        .zip(found.iter())
        .map(|(name, (_, view))| {
            let slot = name
                .split_once(':')
                .map_or(0, |(_, slot)| slot.parse().unwrap());
            (slot, view.to_tensor())
        })
        .collect();
    let expected = case.outputs();
    found.iter().find_map(|(&slot, found)| {
        let wrong = difference(found, expected.get(slot)?)?;
        Some(format!("output {slot}: {wrong}"))
    })
}

#[test]
fn segments_compute_what_tensorflow_computes() {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED segments_compute_what_tensorflow_computes: {VARIABLE} names no ONNX Runtime"
        );
        return;
    };
    let library = Library::load(Some(Path::new(&path)), &[]).unwrap();
    let mut missed: BTreeSet<&str> = lowered_ops().chain(PADDED.iter().copied()).collect();
    for (op, _) in ELSEWHERE {
        assert!(missed.remove(op), "{op}");
    }
    let (mut runs, mut failures, mut known) = (0, Vec::new(), BTreeSet::new());
    for case in cases::cases().into_iter().chain(cases::segment_cases()) {
        let inputs = case.inputs();
        for fed in feedings(&inputs) {
            let Some(session) = session(&case, &inputs, &fed, &library) else {
                continue;
            };
            runs += 1;
            missed.remove(case.op.as_str());
            let failed =
                session.map_or_else(Some, |session| failure(session, &case, &inputs, &fed));
            let Some(failed) = failed else { continue };
            match KNOWN.iter().find(|(name, _)| *name == case.name) {
                Some((name, _)) => {
                    known.insert(*name);
                }
                None => failures.push(format!("{} {fed:?}: {failed}", case.name)),
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {runs} runs differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(
        missed.is_empty(),
        "no case that a segment takes for {missed:?}"
    );
    for (name, _) in KNOWN {
        assert!(known.contains(name), "{name} is as in TensorFlow now");
    }
}
