//! Loops and conditions of both versions of TensorFlow's control flow compute what TensorFlow
//! computes. `tests/goldens/make_control_flow_goldens.py` makes the graphs.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod control;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tfjet_convert::tensorflow::import;
use tfjet_core::{DType, Tensor};

use control::{lowered, options, run, session};

#[derive(Deserialize)]
struct Goldens {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    outputs: Vec<String>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    x: Values,
    n: i32,
    outputs: Vec<Values>,
}

#[derive(Deserialize)]
struct Values {
    shape: Vec<usize>,
    dtype: String,
    data: Vec<f64>,
}

impl Values {
    fn tensor(&self) -> Tensor {
        match self.dtype.as_str() {
            "float32" => {
                let data: Vec<f32> = self.data.iter().map(|&value| value as f32).collect();
                Tensor::from_slice(&self.shape, &data).unwrap()
            }
            "int32" => {
                let data: Vec<i32> = self.data.iter().map(|&value| value as i32).collect();
                Tensor::from_slice(&self.shape, &data).unwrap()
            }
            other => panic!("{other}"),
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/control_flow")
}

fn goldens() -> Vec<Case> {
    let text = std::fs::read_to_string(folder().join("cases.json")).unwrap();
    serde_json::from_str::<Goldens>(&text).unwrap().cases
}

fn agrees(given: &Tensor, expected: &Values) -> Result<(), String> {
    let expected = expected.tensor();
    if given.shape() != expected.shape() || given.dtype() != expected.dtype() {
        return Err(format!("{given:?} in place of {expected:?}"));
    }
    if given.dtype() == DType::I32 {
        let same = given.as_slice::<i32>().unwrap() == expected.as_slice::<i32>().unwrap();
        return same
            .then_some(())
            .ok_or(format!("{given:?}, not {expected:?}"));
    }
    let (given, expected) = (
        given.as_slice::<f32>().unwrap(),
        expected.as_slice::<f32>().unwrap(),
    );
    let largest = expected
        .iter()
        .fold(0f32, |most, value| most.max(value.abs()));
    let beyond = given
        .iter()
        .zip(expected)
        .find(|(a, b)| (*a - *b).abs() > 1e-5 * largest.max(1.0));
    match beyond {
        Some((a, b)) => Err(format!("{a} in place of {b}")),
        None => Ok(()),
    }
}

#[test]
fn graphs_compute_what_tensorflow_computes() {
    let library = control::library();
    let mut failures = Vec::new();
    let cases = goldens();
    assert!(cases.len() >= 40, "{}", cases.len());
    for case in &cases {
        let path = folder().join(format!("{}.pb", case.name));
        let outputs: Vec<&str> = case.outputs.iter().map(String::as_str).collect();
        for inside in [false, true] {
            if inside && library.is_none() {
                continue;
            }
            let source = import(&path).unwrap();
            let options = options(inside, &outputs);
            let mut session = match session(source, &options, library.as_ref()) {
                Ok(session) => session,
                Err(error) => {
                    failures.push(format!("{} (inside: {inside}): {error}", case.name));
                    continue;
                }
            };
            for expected in &case.runs {
                let (x, n) = (
                    expected.x.tensor(),
                    Tensor::from_slice(&[], &[expected.n]).unwrap(),
                );
                let result = run(&mut session, &[("x", &x), ("n", &n)]).and_then(|given| {
                    let pairs = given.iter().zip(&expected.outputs);
                    pairs
                        .map(|(given, expected)| agrees(given, expected))
                        .collect()
                });
                if let Err::<Vec<()>, _>(error) = result {
                    failures.push(format!(
                        "{} (inside: {inside}) for n = {}: {error}",
                        case.name, expected.n
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_is_known_before_leaves_no_loop() {
    for (name, batch, calls) in [
        ("short_loop_v1", None, 0),
        ("short_loop_v2", None, 0),
        ("mapped_v1", None, 1),
        ("mapped_v1", Some(1), 0),
        ("mapped_v2", Some(1), 0),
        ("mapped_pairs_v1", Some(1), 0),
        ("mapped_pairs_v2", Some(1), 0),
        ("scanned_v2", Some(1), 0),
    ] {
        let cases = goldens();
        let case = cases.iter().find(|case| case.name == name).unwrap();
        let outputs: Vec<&str> = case.outputs.iter().map(String::as_str).collect();
        let mut options = options(true, &outputs);
        options.batch = batch;
        let source = import(&folder().join(format!("{name}.pb"))).unwrap();
        let lowered = lowered(source, &options).unwrap();
        assert_eq!(lowered.partition.calls.len(), calls, "{name}");
        let lists = lowered.typed.order.iter().filter(|id| {
            let op = &lowered.typed.graph.node(**id).op;
            op.contains("TensorList")
        });
        assert!(calls > 0 || lists.count() == 0, "{name}: a list is left");
    }
}
