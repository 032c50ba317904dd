//! Random programs of nested loops, conditions and TensorArrays, as TensorFlow 1 writes them, compute
//! what TensorFlow's executor computes by its rule of dead tensors.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]
#![allow(clippy::print_stderr, reason = "a test says what is refused")]

#[allow(dead_code, reason = "not all of it is used here")]
mod control;
#[path = "control/executor.rs"]
mod executor;
#[path = "control/program.rs"]
mod program;

use std::collections::BTreeMap;

use tfjet_convert::tensorflow::{Format, SourceGraph};
use tfjet_core::{DType, Tensor};

use executor::{Value, execute};
use program::Program;

const PROGRAMS: u64 = 400;
/// Larger programs are left out: each loop multiplies what the executor has to do.
const MAX_NODES: usize = 900;

fn inputs(case: u64) -> (Vec<f32>, Vec<f32>, i32, i32) {
    let n = [0, 1, 2, 3][usize::try_from(case % 4).unwrap()];
    let m = [2, -1, 1][usize::try_from(case % 3).unwrap()];
    (vec![0.5, -1.25, 2.0], vec![-0.75, 0.125, 1.0], n, m)
}

/// Equal, but for the last bits of a sum in another order.
fn same(a: &Tensor, b: &Tensor) -> bool {
    if a.dtype() != b.dtype() || a.shape() != b.shape() {
        return false;
    }
    if a.dtype() != DType::F32 {
        return a.bytes() == b.bytes();
    }
    let pairs = a
        .as_slice::<f32>()
        .unwrap()
        .iter()
        .zip(b.as_slice::<f32>().unwrap());
    pairs
        .into_iter()
        .all(|(a, b)| a == b || (a - b).abs() <= 1e-4 * b.abs().max(1.0))
}

/// Number of functions in the schedule.
fn check(seed: u64, program: &Program) -> Result<usize, String> {
    let source = SourceGraph {
        nodes: program.nodes.clone(),
        signature: None,
        functions: Vec::new(),
        producer: 0,
        format: Format::FrozenGraph,
        notes: Vec::new(),
    };
    let outputs: Vec<&str> = program.outputs.iter().map(String::as_str).collect();
    let options = control::options(false, &outputs);
    let mut session = control::session(source, &options, None)?;
    for case in 0..3 {
        let (x, y, n, m) = inputs(seed + case);
        let values = BTreeMap::from([
            ("x", Value::Floats(x.clone())),
            ("y", Value::Floats(y.clone())),
            ("n", Value::Int(n)),
            ("m", Value::Int(m)),
        ]);
        let expected = execute(&program.nodes, &values, &program.outputs);
        let x = Tensor::from_slice(&[3], &x).unwrap();
        let y = Tensor::from_slice(&[3], &y).unwrap();
        let n = Tensor::from_slice(&[], &[n]).unwrap();
        let m = Tensor::from_slice(&[], &[m]).unwrap();
        let feed = [("x", &x), ("y", &y), ("n", &n), ("m", &m)];
        let given = control::run(&mut session, &feed)?;
        for (index, (given, expected)) in given.iter().zip(&expected).enumerate() {
            let expected = expected.tensor();
            if !same(given, &expected) {
                return Err(format!(
                    "output {index}: {given:?} in place of {expected:?}"
                ));
            }
        }
    }
    Ok(session.schedule().functions.len())
}

#[test]
fn programs_compute_what_the_executor_computes() {
    let (mut functions, mut programs, mut refused) = (0, 0, 0);
    for seed in 0..PROGRAMS {
        let program = Program::random(seed);
        if program.nodes.len() > MAX_NODES {
            continue;
        }
        programs += 1;
        match check(seed, &program) {
            Ok(count) => functions += count,
            Err(error) if error.starts_with("output ") => panic!("program {seed}: {error}"),
            Err(error) => {
                eprintln!("program {seed} is refused: {error}");
                refused += 1;
            }
        }
    }
    // Known: the converter takes some nested conditions for unstructured.
    eprintln!("{refused} of {programs} programs are refused");
    assert!(
        refused * 20 < programs,
        "{refused} of {programs} are refused"
    );
    assert!(programs > 200, "only {programs} programs were small enough");
    assert!(functions > 1000, "only {functions} functions were left");
}
