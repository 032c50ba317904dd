//! Random programs of nested loops, conditions and TensorArrays, as TensorFlow 1 writes them, compute
//! what TensorFlow's executor computes by its rule of dead tensors.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[allow(dead_code, reason = "not all of it is used here")]
mod control;
#[path = "control/executor.rs"]
mod executor;
#[path = "control/program.rs"]
mod program;

use std::collections::BTreeMap;

use tfjet_convert::tensorflow::{Format, SourceGraph, SourceNode};
use tfjet_core::{AttrValue, Attrs, DType, Shape, Tensor};

use executor::{Value, execute};
use program::Program;

const PROGRAMS: u64 = 800;
const THREADS: u64 = 2;
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

/// Compares the outputs for inputs of these numbers. Number of functions in the schedule.
fn check(
    nodes: &[SourceNode],
    outputs: &[String],
    cases: std::ops::Range<u64>,
) -> Result<usize, String> {
    let source = SourceGraph {
        nodes: nodes.to_vec(),
        signature: None,
        functions: Vec::new(),
        producer: 0,
        format: Format::FrozenGraph,
        notes: Vec::new(),
    };
    let names: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let options = control::options(false, &names);
    let mut session = control::session(source, &options, None)?;
    for case in cases {
        let (x, y, n, m) = inputs(case);
        let values = BTreeMap::from([
            ("x", Value::Floats(x.clone())),
            ("y", Value::Floats(y.clone())),
            ("n", Value::Int(n)),
            ("m", Value::Int(m)),
        ]);
        let expected = execute(nodes, &values, outputs);
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
    let share = |first: u64| {
        let (mut functions, mut programs) = (0, 0);
        for seed in (first..PROGRAMS).step_by(usize::try_from(THREADS).unwrap()) {
            let program = Program::random(seed);
            if program.nodes.len() > MAX_NODES {
                continue;
            }
            programs += 1;
            match check(&program.nodes, &program.outputs, seed..seed + 3) {
                Ok(count) => functions += count,
                Err(error) => panic!("program {seed}: {error}"),
            }
        }
        (functions, programs)
    };
    let (functions, programs) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| scope.spawn(move || share(first)))
            .collect();
        let counts = threads.into_iter().map(|thread| thread.join().unwrap());
        counts.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    });
    assert!(programs > 600, "only {programs} programs were small enough");
    assert!(functions > 3000, "only {functions} functions were left");
}

/// `for i in 0..n { v = merge }`, where `v` is `x` first.
const LOOP: &str = "zero Const; enter_i Enter zero; enter_v Enter x; limit Invariant n; \
    a Invariant m; other Invariant y; merge_i Merge enter_i next_i; \
    merge_v Merge enter_v next_v; less Less merge_i limit; cond LoopCond less; \
    switch_i Switch merge_i cond; switch_v Switch merge_v cond; i Identity switch_i:1; \
    v Identity switch_v:1; one Const ^i; add_i Count i one; result Identity merge ^i; \
    next_i NextIteration add_i; next_v NextIteration result; exit Exit switch_v";

/// Nodes that are given as `name op inputs`, with the program's inputs.
fn nodes(text: &str) -> Vec<SourceNode> {
    let text = format!("x Float; y Float; n Int; m Int; {text}");
    let nodes = text.split(';').map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (word, frame) = words[1].split_once('/').unwrap_or((words[1], "loop"));
        let (op, dtype, shape) = match word {
            "Float" => ("Placeholder", DType::F32, Shape::fixed(&[3])),
            "Int" => ("Placeholder", DType::I32, Shape::default()),
            "Invariant" => ("Enter", DType::F32, Shape::default()),
            "Count" => ("AddV2", DType::I32, Shape::default()),
            op @ ("Less" | "Greater" | "Const") => (op, DType::I32, Shape::default()),
            op => (op, DType::F32, Shape::default()),
        };
        let value = Tensor::from_slice(
            &[],
            &[match words[0].get(..3) {
                Some("one") => 1i32,
                Some("two") => 2,
                _ => 0,
            }],
        )
        .unwrap();
        let constant = AttrValue::Bool(word == "Invariant");
        let attrs: &[(&str, AttrValue)] = match op {
            "Placeholder" => &[
                ("dtype", AttrValue::Type(Some(dtype))),
                ("shape", AttrValue::Shape(Some(shape))),
            ],
            "Const" => &[
                ("dtype", AttrValue::Type(Some(dtype))),
                ("value", AttrValue::Tensor(value)),
            ],
            "Enter" => &[
                ("frame_name", AttrValue::Str(frame.as_bytes().to_vec())),
                ("is_constant", constant),
            ],
            "AddV2" | "Less" | "Greater" => &[("T", AttrValue::Type(Some(dtype)))],
            _ => &[],
        };
        let attrs = attrs.iter().cloned();
        SourceNode {
            name: words[0].into(),
            op: op.into(),
            device: String::new(),
            inputs: words[2..].iter().map(|it| (*it).to_owned()).collect(),
            attrs: attrs.fold(Attrs::default(), |all, (name, value)| all.with(name, value)),
        }
    });
    nodes.collect()
}

#[test]
fn sides_that_are_not_alive_alike_compute_what_the_executor_computes() {
    for (name, text) in [
        (
            "what is carried, where the predicate holds",
            "q Less a limit; v_q Switch v q; y_q Switch other q; yes AddV2 v_q:1 y_q:1; \
             merge Merge y_q yes",
        ),
        (
            "what is carried, where it does not",
            "q Less a limit; v_q Switch v q; y_q Switch other q; no AddV2 v_q y_q; \
             merge Merge no y_q:1",
        ),
        (
            "on a side of another condition",
            "q Less a limit; v_q Switch v q; y_q Switch other q; a_q Switch a q; \
             n_q Switch limit q; sum Count a_q:1 a_q:1; r Greater n_q:1 sum; v_r Switch v_q:1 r; \
             y_r Switch y_q:1 r; more AddV2 v_r v_r; inner Merge more y_r:1; \
             merge Merge y_q inner",
        ),
        (
            "a condition on what another one makes",
            "q Less a limit; v_q Switch v q; y_q Switch other q; first Merge y_q v_q:1; \
             f_q Switch first q; twice AddV2 f_q:1 v_q:1; merge Merge f_q twice",
        ),
        (
            "a predicate that enters the loop twice",
            "p Less m n; p1 Invariant p; p2 Invariant p; v_p Switch v p1; y_p Switch other p2; \
             yes AddV2 v_p:1 v_p:1; merge Merge y_p yes",
        ),
        (
            "a predicate that is asked again on its own side",
            "q Less a limit; v_q Switch v q; v_qq Switch v_q:1 q; yes AddV2 v_qq:1 v_qq:1; \
             inner Merge v_qq yes; y_q Switch other q; merge Merge y_q inner",
        ),
    ] {
        let nodes = nodes(&format!("{LOOP}; {text}"));
        let functions = check(&nodes, &["exit".to_owned()], 0..12);
        let functions = functions.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(functions > 2, "{name}: no condition is left in the loop");
    }
}

#[test]
fn a_condition_in_a_loop_in_a_loop_is_written_out_for_each_pass_by_itself() {
    let nodes = nodes(
        "zero Const; two Const; i0 Enter zero; v0 Enter x; two1 Invariant two; y1 Invariant y; \
         n1 Invariant n; m1 Invariant m; mi Merge i0 ni; mv Merge v0 nv; less Less mi two1; \
         cond LoopCond less; si Switch mi cond; sv Switch mv cond; i Identity si:1; \
         v Identity sv:1; one Const ^i; add Count i one; ni NextIteration add; zero2 Const ^i; \
         j0 Enter/inner zero2; a0 Enter/inner v; b0 Enter/inner y1; two2 Invariant/inner two1; \
         n2 Invariant/inner n1; m2 Invariant/inner m1; mj Merge j0 nj; ma Merge a0 na; \
         mb Merge b0 nb; less2 Less mj two2; cond2 LoopCond less2; sj Switch mj cond2; \
         sa Switch ma cond2; sb Switch mb cond2; j Identity sj:1; a Identity sa:1; \
         b Identity sb:1; one2 Const ^j; add2 Count j one2; nj NextIteration add2; \
         p Less n2 m2; a_p Switch a p; b_p Switch b p; more AddV2 a_p:1 b_p:1; \
         a1 Merge a_p more; b1 Merge b_p a_p:1; na NextIteration a1; nb NextIteration b1; \
         ea Exit sa; nv NextIteration ea; exit Exit sv",
    );
    let functions = check(&nodes, &["exit".to_owned()], 0..12).unwrap();
    assert_eq!(functions, 8, "two sides for each of four passes");
}
