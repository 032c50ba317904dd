//! What becomes of the patterns of TensorFlow's control flow, one by one.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[allow(dead_code, reason = "not all of it is used here")]
mod control;
#[allow(dead_code, reason = "not all of it is used here")]
mod source;

use std::collections::BTreeMap;

use tfjet_convert::tensorflow::{
    SourceArgument, SourceFunction, SourceGraph, SourceNode, SourceResult,
};
use tfjet_convert::{Lowered, Report};
use tfjet_core::{AttrValue, DType, Tensor};

use source::{constant, node, placeholder};

/// A node with attributes.
fn with(mut node: SourceNode, attrs: &[(&str, AttrValue)]) -> SourceNode {
    for (name, value) in attrs {
        node.attrs.insert(*name, value.clone());
    }
    node
}

fn integers(name: &str, op: &str, inputs: &[&str]) -> SourceNode {
    with(
        node(name, op, inputs),
        &[("T", AttrValue::Type(Some(DType::I32)))],
    )
}

fn enter(name: &str, input: &str, frame: &str, is_constant: bool) -> SourceNode {
    let frame = AttrValue::Str(frame.as_bytes().to_vec());
    let attrs = [
        ("frame_name", frame),
        ("is_constant", AttrValue::Bool(is_constant)),
    ];
    with(node(name, "Enter", &[input]), &attrs)
}

fn after(mut node: SourceNode, control: &str) -> SourceNode {
    node.inputs.push(format!("^{control}"));
    node
}

/// `for i in 0..limit { v = v + x }` under the names `P/...`; the results are `P/exit_i` and
/// `P/exit_v`.
fn counting(p: &str, limit: &str, v: &str, x: &str) -> Vec<SourceNode> {
    let n = |name: &str| format!("{p}/{name}");
    vec![
        constant(&n("zero"), &[], &[0i32]),
        enter(&n("enter_i"), &n("zero"), p, false),
        enter(&n("enter_v"), v, p, false),
        enter(&n("limit"), limit, p, true),
        enter(&n("x"), x, p, true),
        node(&n("merge_i"), "Merge", &[&n("enter_i"), &n("next_i")]),
        node(&n("merge_v"), "Merge", &[&n("enter_v"), &n("next_v")]),
        integers(&n("less"), "Less", &[&n("merge_i"), &n("limit")]),
        node(&n("LoopCond"), "LoopCond", &[&n("less")]),
        node(&n("switch_i"), "Switch", &[&n("merge_i"), &n("LoopCond")]),
        node(&n("switch_v"), "Switch", &[&n("merge_v"), &n("LoopCond")]),
        node(&n("i"), "Identity", &[&format!("{}:1", n("switch_i"))]),
        node(&n("v"), "Identity", &[&format!("{}:1", n("switch_v"))]),
        after(constant(&n("one"), &[], &[1i32]), &n("i")),
        integers(&n("add_i"), "AddV2", &[&n("i"), &n("one")]),
        node(&n("add_v"), "AddV2", &[&n("v"), &n("x")]),
        node(&n("next_i"), "NextIteration", &[&n("add_i")]),
        node(&n("next_v"), "NextIteration", &[&n("add_v")]),
        node(&n("exit_i"), "Exit", &[&n("switch_i")]),
        node(&n("exit_v"), "Exit", &[&n("switch_v")]),
    ]
}

fn integer_input(name: &str) -> SourceNode {
    let attrs = [
        ("dtype", AttrValue::Type(Some(DType::I32))),
        (
            "shape",
            AttrValue::Shape(Some(tfjet_core::Shape::default())),
        ),
    ];
    with(node(name, "Placeholder", &[]), &attrs)
}

fn inputs() -> Vec<SourceNode> {
    vec![placeholder("x", &[Some(2)]), integer_input("n")]
}

/// `n > 2`, its pivots and `x` on either side.
fn sides() -> Vec<SourceNode> {
    vec![
        constant("two", &[], &[2i32]),
        integers("p", "Greater", &["n", "two"]),
        node("pivot", "Switch", &["p", "p"]),
        node("on_true", "Identity", &["pivot:1"]),
        node("on_false", "Identity", &["pivot"]),
        node("x_side", "Switch", &["x", "p"]),
    ]
}

fn graph(parts: &[Vec<SourceNode>]) -> SourceGraph {
    source::graph(parts.concat())
}

fn lowered(source: SourceGraph, outputs: &[&str]) -> Result<Lowered, String> {
    control::lowered(source, &control::options(false, outputs))
}

/// Loops and conditions that are left, by op.
fn calls(lowered: &Lowered) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for part in tfjet_convert::partition::parts(&lowered.typed, &lowered.partition) {
        for id in part.partition.calls.keys() {
            let op = part.typed.graph.node(*id).op.clone();
            *counts.entry(op).or_default() += 1;
        }
    }
    counts
}

fn expect_calls(source: SourceGraph, outputs: &[&str], expected: &[(&str, usize)]) {
    let found = calls(&lowered(source, outputs).unwrap());
    let expected = expected
        .iter()
        .map(|(op, count)| ((*op).to_owned(), *count));
    assert_eq!(found, expected.collect());
}

/// Runs the graph for `n` with `x` = [1, 2].
fn run(source: SourceGraph, outputs: &[&str], n: i32) -> Vec<Vec<f32>> {
    let options = control::options(false, outputs);
    let mut session = control::session(source, &options, None).unwrap();
    let x = Tensor::from_slice(&[2], &[1.0f32, 2.0]).unwrap();
    let n = Tensor::from_slice(&[], &[n]).unwrap();
    let results = control::run(&mut session, &[("x", &x), ("n", &n)]).unwrap();
    let numbers = results.iter().map(|tensor| match tensor.dtype() {
        DType::I32 => {
            let values = tensor.as_slice::<i32>().unwrap().iter();
            values.map(|value| *value as f32).collect()
        }
        _ => tensor.as_slice::<f32>().unwrap().to_vec(),
    });
    numbers.collect()
}

#[test]
fn a_frame_becomes_a_loop_that_carries_what_is_merged() {
    let source = graph(&[inputs(), counting("loop", "n", "x", "x")]);
    let result = lowered(source.clone(), &["loop/exit_v"]).unwrap();
    assert_eq!(calls(&result), BTreeMap::from([("While".to_owned(), 1)]));
    let call = result.typed.functions.values().next().unwrap();
    assert_eq!(
        call.functions[1].graph.inputs.len(),
        4,
        "two carried, two from outside"
    );
    for (n, expected) in [(0, [1.0, 2.0]), (3, [4.0, 8.0]), (-1, [1.0, 2.0])] {
        assert_eq!(run(source.clone(), &["loop/exit_v"], n), [expected]);
    }
}

#[test]
fn several_exits_leave_one_loop() {
    let source = graph(&[inputs(), counting("loop", "n", "x", "x")]);
    let outputs = ["loop/exit_v", "loop/exit_i"];
    expect_calls(source.clone(), &outputs, &[("While", 1)]);
    assert_eq!(run(source, &outputs, 2), [vec![3.0, 6.0], vec![2.0]]);
}

#[test]
fn loops_one_after_the_other_and_side_by_side_stay_loops() {
    let behind = counting("second", "first/exit_i", "first/exit_v", "x");
    let beside = counting("third", "n", "x", "x");
    let source = graph(&[inputs(), counting("first", "n", "x", "x"), behind, beside]);
    let outputs = ["second/exit_v", "third/exit_v"];
    expect_calls(source.clone(), &outputs, &[("While", 3)]);
    assert_eq!(run(source, &outputs, 2), [[5.0, 10.0], [3.0, 6.0]]);
}

#[test]
fn a_loop_of_known_length_is_written_out() {
    let three = vec![constant("three", &[], &[3i32])];
    let source = graph(&[inputs(), three, counting("loop", "three", "x", "x")]);
    let result = lowered(source.clone(), &["loop/exit_v"]).unwrap();
    assert!(calls(&result).is_empty());
    let note = "loop `loop` of 3 passes is written out";
    assert!(
        result.typed.notes.iter().any(|it| it == note),
        "{:?}",
        result.typed.notes
    );
    assert_eq!(run(source, &["loop/exit_v"], 0), [[4.0, 8.0]]);
}

#[test]
fn a_long_loop_of_known_length_stays_a_loop() {
    let many = vec![constant("many", &[], &[3000i32])];
    let source = graph(&[inputs(), many, counting("loop", "many", "x", "x")]);
    let result = lowered(source.clone(), &["loop/exit_v"]).unwrap();
    let call = result.partition.calls.values().next().unwrap();
    assert_eq!(call.trips, Some(3000));
    assert_eq!(run(source, &["loop/exit_v"], 0), [[3001.0, 6002.0]]);
}

#[test]
fn switch_and_merge_become_a_condition() {
    let branches = vec![
        node("neg", "Neg", &["x_side:1"]),
        node("merge", "Merge", &["x_side", "neg"]),
    ];
    let source = graph(&[inputs(), sides(), branches]);
    expect_calls(source.clone(), &["merge"], &[("If", 1)]);
    assert_eq!(run(source.clone(), &["merge"], 3), [[-1.0, -2.0]]);
    assert_eq!(run(source, &["merge"], 2), [[1.0, 2.0]]);
}

#[test]
fn control_edges_alone_tell_the_side_of_a_constant() {
    let branches = vec![
        after(constant("a", &[1], &[10.0f32]), "on_true"),
        after(constant("b", &[1], &[20.0f32]), "on_false"),
        node("merge", "Merge", &["b", "a"]),
        node("sum", "AddV2", &["merge", "x"]),
    ];
    let source = graph(&[inputs(), sides(), branches]);
    assert_eq!(run(source.clone(), &["sum"], 3), [[11.0, 12.0]]);
    assert_eq!(run(source, &["sum"], 0), [[21.0, 22.0]]);
}

#[test]
fn a_merge_says_which_input_it_took() {
    let branches = vec![
        node("neg", "Neg", &["x_side:1"]),
        node("merge", "Merge", &["x_side", "neg"]),
        integers("same", "Identity", &["merge:1"]),
    ];
    let source = graph(&[inputs(), sides(), branches]);
    assert_eq!(run(source.clone(), &["same"], 3), [[1.0]]);
    assert_eq!(run(source, &["same"], 0), [[0.0]]);
}

#[test]
fn merges_of_one_predicate_share_a_condition_unless_one_follows_from_the_other() {
    let first = vec![
        node("neg", "Neg", &["x_side:1"]),
        node("a", "Merge", &["x_side", "neg"]),
        node("twice", "AddV2", &["x_side:1", "x_side:1"]),
        node("b", "Merge", &["x_side", "twice"]),
    ];
    let second = vec![
        node("c_side", "Switch", &["a", "p"]),
        node("more", "AddV2", &["c_side:1", "c_side:1"]),
        node("c", "Merge", &["c_side", "more"]),
    ];
    let source = graph(&[inputs(), sides(), first, second]);
    expect_calls(source.clone(), &["a", "b"], &[("If", 1)]);
    expect_calls(source.clone(), &["a", "b", "c"], &[("If", 2)]);
    let outputs = ["a", "b", "c"];
    assert_eq!(
        run(source, &outputs, 3),
        [[-1.0, -2.0], [2.0, 4.0], [-2.0, -4.0]]
    );
}

#[test]
fn a_loop_on_one_side_of_a_condition_runs_there_only() {
    let mut looped = counting("loop", "n_side:1", "x_side:1", "x_side:1");
    looped[0] = after(looped[0].clone(), "on_true");
    let branches = vec![
        node("n_side", "Switch", &["n", "p"]),
        node("merge", "Merge", &["x_side", "loop/exit_v"]),
    ];
    let source = graph(&[inputs(), sides(), looped, branches]);
    expect_calls(source.clone(), &["merge"], &[("If", 1), ("While", 1)]);
    assert_eq!(run(source.clone(), &["merge"], 3), [[4.0, 8.0]]);
    assert_eq!(run(source, &["merge"], 1), [[1.0, 2.0]]);
}

#[test]
fn a_known_predicate_leaves_one_side() {
    let branches = vec![
        constant("three", &[], &[3i32]),
        constant("four", &[], &[4i32]),
        integers("q", "Less", &["three", "four"]),
        node("side", "Switch", &["x", "q"]),
        node("neg", "Neg", &["side:1"]),
        node("merge", "Merge", &["side", "neg"]),
    ];
    let source = graph(&[inputs(), branches]);
    expect_calls(source.clone(), &["merge"], &[]);
    assert_eq!(run(source, &["merge"], 0), [[-1.0, -2.0]]);
}

#[test]
fn shapes_stay_where_nothing_else_of_a_tensor_is_read() {
    let branches = vec![
        node("y", "AddV2", &["x", "x"]),
        node("y_side", "Switch", &["y", "p"]),
        integers("inner", "Shape", &["y_side:1"]),
        after(constant("ten", &[], &[10.0f32]), "on_true"),
        node("tens", "Fill", &["inner", "ten"]),
        after(constant("b", &[2], &[20.0f32, 30.0]), "on_false"),
        node("merge", "Merge", &["b", "tens"]),
        node("neg", "Neg", &["x_side:1"]),
        node("unread", "Merge", &["x_side", "neg"]),
        integers("outer", "Shape", &["unread"]),
        constant("one", &[], &[1.0f32]),
        node("ones", "Fill", &["outer", "one"]),
    ];
    for (n, expected) in [(3, [10.0, 10.0]), (0, [20.0, 30.0])] {
        let source = graph(&[inputs(), sides(), branches.clone()]);
        assert_eq!(run(source, &["merge", "ones"], n), [expected, [1.0; 2]]);
    }
}

#[test]
fn what_is_not_structured_is_refused_by_name() {
    let looped = || counting("loop", "n", "x", "x");
    let without = |name: &str| {
        let nodes = looped().into_iter().filter(|node| node.name != name);
        nodes.collect::<Vec<_>>()
    };
    let mut no_cond = without("loop/LoopCond");
    for node in &mut no_cond {
        for input in &mut node.inputs {
            if input == "loop/LoopCond" {
                *input = "loop/less".into();
            }
        }
    }
    let bare = vec![node("bare", "Relu", &["loop/switch_v:1"])];
    let torn = vec![node("torn", "Merge", &["x_side:1", "x"])];
    let lonely = vec![node("lonely", "Neg", &["x_side:1"])];
    for (nodes, output, expected) in [
        (no_cond, "loop/exit_v", "while frame `loop`"),
        ([looped(), bare].concat(), "bare", "past Enter and Exit"),
        (
            [sides(), torn].concat(),
            "torn",
            "no predicate tells which of its inputs is alive",
        ),
        (
            [sides(), lonely].concat(),
            "lonely",
            "it is computed only where `p` is true",
        ),
    ] {
        let error = lowered(graph(&[inputs(), nodes]), &[output]).unwrap_err();
        assert!(error.contains(expected), "{output}: {error}");
    }
}

#[test]
fn every_node_of_the_source_is_in_the_report_once() {
    let mut looped = counting("loop", "n_side:1", "x_side:1", "x_side:1");
    looped[0] = after(looped[0].clone(), "on_true");
    let branches = vec![
        node("n_side", "Switch", &["n", "p"]),
        node("merge", "Merge", &["x_side", "loop/exit_v"]),
        node("unread", "Neg", &["x"]),
    ];
    let source = graph(&[inputs(), sides(), looped, branches]);
    let names: Vec<String> = source.nodes.iter().map(|node| node.name.clone()).collect();
    let options = control::options(true, &["merge"]);
    let lowered = control::lowered(source, &options).unwrap();
    let report = Report::new(&lowered, &options.partition);
    let mut shown: Vec<String> = report.pruned.clone();
    shown.extend(report.residual.iter().map(|it| it.node.clone()));
    for segment in &report.segments {
        shown.extend(segment.nodes.iter().chain(&segment.folded).cloned());
    }
    shown.sort();
    let mut expected = names;
    expected.sort();
    assert_eq!(shown, expected);
    assert_eq!(report.nodes, expected.len());
    let calls: Vec<&str> = report.calls.iter().map(|call| call.kind).collect();
    assert_eq!(calls, ["condition", "loop"]);
    assert!(report.to_text("graph", "test").contains("\nloop       "));
}

/// A function of one node over its arguments, each of which it returns after that node.
fn function(
    name: &str,
    arguments: &[(&str, Option<DType>)],
    nodes: Vec<SourceNode>,
    results: &[&str],
) -> SourceFunction {
    let inputs = arguments.iter().map(|(name, dtype)| SourceArgument {
        name: (*name).into(),
        dtype: *dtype,
    });
    let outputs = results
        .iter()
        .enumerate()
        .map(|(index, tensor)| SourceResult {
            name: format!("result{index}"),
            tensor: (*tensor).into(),
        });
    SourceFunction {
        name: name.into(),
        inputs: inputs.collect(),
        nodes,
        outputs: outputs.collect(),
    }
}

fn while_node(inputs: &[&str]) -> SourceNode {
    let types = AttrValue::Types(vec![Some(DType::F32); inputs.len()]);
    let attrs = [
        ("T", types),
        ("cond", AttrValue::Func("cond".into())),
        ("body", AttrValue::Func("body".into())),
    ];
    with(node("while", "StatelessWhile", inputs), &attrs)
}

#[test]
fn a_type_that_changes_from_pass_to_pass_is_an_error() {
    let arguments = [("i", Some(DType::I32)), ("v", Some(DType::F32))];
    let condition = vec![
        constant("ten", &[], &[10i32]),
        integers("less", "Less", &["i", "ten"]),
    ];
    let cast = with(
        node("cast", "Cast", &["v"]),
        &[
            ("SrcT", AttrValue::Type(Some(DType::F32))),
            ("DstT", AttrValue::Type(Some(DType::I32))),
        ],
    );
    let mut source = graph(&[inputs(), vec![while_node(&["n", "x"])]]);
    source.functions = vec![
        function("body", &arguments, vec![cast], &["i", "cast"]),
        function("cond", &arguments, condition, &["less"]),
    ];
    let error = lowered(source, &["while:1"]).unwrap_err();
    assert!(
        error.contains("node `while`") && error.contains("`v`"),
        "{error}"
    );
}

#[test]
fn a_loop_that_carries_strings_is_refused_by_name() {
    let text = SourceNode {
        attrs: tfjet_core::Attrs::default()
            .with("dtype", AttrValue::Type(None))
            .with(
                "value",
                AttrValue::StringTensor(vec![], vec![b"a".to_vec()]),
            ),
        ..node("text", "Const", &[])
    };
    let arguments = [("i", Some(DType::I32)), ("s", None)];
    let condition = vec![
        constant("ten", &[], &[10i32]),
        integers("less", "Less", &["i", "ten"]),
    ];
    let body = vec![
        constant("one", &[], &[1i32]),
        integers("add", "AddV2", &["i", "one"]),
        node("join", "StringUpper", &["s"]),
        node("length", "StringLength", &["s"]),
        integers("sum", "AddV2", &["add", "length"]),
    ];
    let mut source = graph(&[inputs(), vec![text, while_node(&["n", "text"])]]);
    source.functions = vec![
        function("body", &arguments, body, &["sum", "join"]),
        function("cond", &arguments, condition, &["less"]),
    ];
    let options = control::options(false, &["while:0"]);
    let error = control::session(source, &options, None).unwrap_err();
    assert!(
        error.contains("while") && !error.contains("panic"),
        "{error}"
    );
}

#[test]
fn a_function_that_calls_itself_is_refused() {
    let arguments = [("i", Some(DType::I32)), ("v", Some(DType::F32))];
    let mut again = while_node(&["i", "v"]);
    again.name = "again".into();
    let condition = vec![
        constant("ten", &[], &[10i32]),
        integers("less", "Less", &["i", "ten"]),
    ];
    let mut source = graph(&[inputs(), vec![while_node(&["n", "x"])]]);
    source.functions = vec![
        function("body", &arguments, vec![again], &["again", "again:1"]),
        function("cond", &arguments, condition, &["less"]),
    ];
    let error = lowered(source, &["while:1"]).unwrap_err();
    assert!(error.contains("calls itself"), "{error}");
}
