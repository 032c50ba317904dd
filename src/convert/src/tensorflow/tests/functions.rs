use super::*;
use crate::tensorflow::proto::generated::NameAttrList;
use crate::tensorflow::proto::generated::op_def::ArgDef;
use crate::tensorflow::{SourceFunction, SourceNode};

fn call(name: &str, inputs: &[&str], function: &str) -> NodeDef {
    let function = NameAttrList {
        name: function.into(),
        ..Default::default()
    };
    with_attr(
        node(name, "PartitionedCall", inputs),
        "f",
        attr_value::Value::Func(function),
    )
}

fn arg(name: &str) -> ArgDef {
    ArgDef {
        name: name.into(),
        r#type: 1,
        ..Default::default()
    }
}

fn function(
    name: &str,
    inputs: &[&str],
    nodes: Vec<NodeDef>,
    results: &[(&str, &str)],
) -> FunctionDef {
    FunctionDef {
        signature: Some(OpDef {
            name: name.into(),
            input_arg: inputs.iter().map(|name| arg(name)).collect(),
            output_arg: results.iter().map(|(name, _)| arg(name)).collect(),
            ..Default::default()
        }),
        node_def: nodes,
        ret: results
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        ..Default::default()
    }
}

fn with_functions(nodes: Vec<NodeDef>, functions: Vec<FunctionDef>) -> Result<SourceGraph, String> {
    let files = Files::new();
    let graph = GraphDef {
        library: Some(FunctionDefLibrary {
            function: functions,
            ..Default::default()
        }),
        ..graph(nodes)
    };
    let path = files.write("graph.pb", graph.encode_to_vec());
    import(&path).map_err(|error| {
        let message = error.to_string();
        message
            .split_once(": ")
            .map_or(message.clone(), |(_, rest)| rest.to_owned())
    })
}

fn brief(nodes: &[SourceNode]) -> Vec<String> {
    nodes
        .iter()
        .map(|node| format!("{} = {}({})", node.name, node.op, node.inputs.join(", ")))
        .collect()
}

#[test]
fn calls_are_inlined_with_readable_names() {
    let inner = function(
        "inner",
        &["a", "b"],
        vec![
            with_attr(
                node("split", "Split", &["axis:output:0", "a"]),
                "num_split",
                attr_value::Value::I(2),
            ),
            node("axis", "Const", &[]),
            node("norm", "FusedBatchNormV3", &["split:output:1", "b"]),
            node(
                "best",
                "TopKV2",
                &["norm:batch_variance:0", "split:output:0", "^axis"],
            ),
        ],
        &[
            ("values", "best:values:0"),
            ("indices", "best:indices:0"),
            ("same", "b"),
        ],
    );
    let outer = function(
        "outer",
        &["x"],
        vec![
            call("call", &["x", "x"], "inner"),
            node("sum", "Add", &["call:output:1", "call:output:2"]),
        ],
        &[("y", "sum:z:0")],
    );
    let graph = with_functions(
        vec![
            node("x", "Placeholder", &[]),
            call("first", &["x"], "outer"),
            call("second", &["first"], "outer"),
            node("end", "Identity", &["second:0", "^first"]),
            call("sink", &["end", "x"], "inner"),
        ],
        vec![inner, outer],
    )
    .unwrap();
    assert_eq!(
        brief(&graph.nodes),
        [
            "x = Placeholder()",
            "first/call/split = Split(first/call/axis, x)",
            "first/call/axis = Const()",
            "first/call/norm = FusedBatchNormV3(first/call/split:1, x)",
            "first/call/best = TopKV2(first/call/norm:2, first/call/split, ^first/call/axis)",
            "first/sum = Add(first/call/best:1, x)",
            "second/call/split = Split(second/call/axis, first/sum)",
            "second/call/axis = Const()",
            "second/call/norm = FusedBatchNormV3(second/call/split:1, first/sum)",
            "second/call/best = TopKV2(second/call/norm:2, second/call/split, ^second/call/axis)",
            "second/sum = Add(second/call/best:1, first/sum)",
            "end = Identity(second/sum, ^first/done)",
            "sink/split = Split(sink/axis, end)",
            "sink/axis = Const()",
            "sink/norm = FusedBatchNormV3(sink/split:1, x)",
            "sink/best = TopKV2(sink/norm:2, sink/split, ^sink/axis)",
            "sink = IdentityN(sink/best, sink/best:1, x)",
            "first/done = NoOp(^first/sum)",
        ]
    );
    assert_eq!(graph.functions, []);
    assert_eq!(graph.notes, ["5 function calls inlined"]);
}

#[test]
fn a_call_by_the_functions_name_takes_its_attributes() {
    let typed = with_attr(
        node("y", "Cast", &["x"]),
        "DstT",
        attr_value::Value::Placeholder("T".into()),
    );
    let halve = function("halve", &["x"], vec![typed], &[("y", "y:y:0")]);
    let call = with_attr(
        node("call", "halve", &["x"]),
        "T",
        attr_value::Value::Type(3),
    );
    let graph = with_functions(
        vec![
            node("x", "Placeholder", &[]),
            call,
            node("z", "Neg", &["call"]),
        ],
        vec![halve],
    )
    .unwrap();
    let cast = &graph.nodes[1];
    assert_eq!((cast.name.as_str(), cast.op.as_str()), ("call/y", "Cast"));
    assert_eq!(
        cast.attrs.get("DstT"),
        Some(&AttrValue::Type(Some(DType::I32)))
    );
    assert_eq!(graph.nodes[2].inputs, ["call/y"]);
}

#[test]
fn names_stay_unique() {
    let f = function(
        "f",
        &["x"],
        vec![node("y", "Neg", &["x"])],
        &[("r", "y:y:0")],
    );
    let graph = with_functions(
        vec![
            node("c/y", "Placeholder", &[]),
            call("c", &["c/y"], "f"),
            node("z", "Neg", &["c"]),
        ],
        vec![f],
    )
    .unwrap();
    assert_eq!(
        brief(&graph.nodes),
        ["c/y = Placeholder()", "c/y_1 = Neg(c/y)", "z = Neg(c/y_1)"]
    );
}

fn looping(name: &str, condition: &str, body: &str) -> NodeDef {
    let function = |name: &str| {
        attr_value::Value::Func(NameAttrList {
            name: name.into(),
            ..Default::default()
        })
    };
    let types = attr_value::ListValue {
        r#type: vec![1],
        ..Default::default()
    };
    let node = with_attr(node(name, "While", &["x"]), "cond", function(condition));
    let node = with_attr(node, "body", function(body));
    with_attr(node, "T", attr_value::Value::List(types))
}

#[test]
fn functions_of_loops_are_kept_without_their_calls() {
    let f = function(
        "f",
        &["x"],
        vec![node("y", "Neg", &["x"])],
        &[("r", "y:y:0")],
    );
    let condition = function(
        "c",
        &["a"],
        vec![node("less", "Less", &["a", "a"])],
        &[("r", "less:z:0")],
    );
    let body = function(
        "b",
        &["a"],
        vec![call("call", &["a"], "f"), node("unused", "Abs", &["a"])],
        &[("r", "call:output:0")],
    );
    let nodes = vec![node("x", "Placeholder", &[]), looping("while", "c", "b")];
    let graph = with_functions(nodes, vec![f, condition, body]).unwrap();
    let [b, c] = &graph.functions[..] else {
        panic!("{:?}", graph.functions);
    };
    assert_eq!(brief(&b.nodes), ["call/y = Neg(a)"]);
    assert_eq!(b.outputs[0].tensor, "call/y");
    assert_eq!(b.inputs[0].dtype, Some(DType::F32));
    assert_eq!(brief(&c.nodes), ["less = Less(a, a)"]);
    let names: Vec<&str> = graph
        .functions
        .iter()
        .map(|it: &SourceFunction| it.name.as_str())
        .collect();
    assert_eq!(names, ["b", "c"]);
}

#[test]
fn bad_functions_are_refused_by_name() {
    let x = || node("x", "Placeholder", &[]);
    let f = |nodes: Vec<NodeDef>, result: &str| function("f", &["a"], nodes, &[("r", result)]);
    let simple = || f(vec![node("y", "Neg", &["a"])], "y:y:0");
    for (nodes, functions, expected) in [
        (
            vec![x(), call("c", &["x"], "g")],
            vec![simple()],
            "function `g` is not in the graph's library; node `c` calls it",
        ),
        (
            vec![x(), call("c", &["x"], "f")],
            vec![simple(), simple()],
            "function `f` is defined twice",
        ),
        (
            vec![x(), call("c", &["x"], "f")],
            vec![
                f(vec![call("again", &["a"], "g")], "again:output:0"),
                function(
                    "g",
                    &["a"],
                    vec![call("back", &["a"], "f")],
                    &[("r", "back:output:0")],
                ),
            ],
            "function `f` calls itself (f -> g -> f), which is not supported",
        ),
        (
            vec![x(), looping("w", "f", "f")],
            vec![f(
                vec![NodeDef {
                    input: vec!["a".into()],
                    ..looping("w", "f", "f")
                }],
                "w:output:0",
            )],
            "function `f` calls itself (f -> f), which is not supported",
        ),
        (
            vec![x(), call("c", &["x", "x"], "f")],
            vec![simple()],
            "function `f` takes 1 arguments, node `c` gives 2",
        ),
        (
            vec![x(), call("c", &["x"], "f"), node("z", "Neg", &["c:1"])],
            vec![simple()],
            "function `c` returns 1 tensors, something asks for number 1 (from 0) of node `c`",
        ),
        (
            vec![
                x(),
                call("c", &["d"], "f"),
                call("d", &["c"], "f"),
                node("z", "Neg", &["c"]),
            ],
            vec![f(vec![], "a")],
            "function `",
        ),
        (
            vec![x(), call("c", &["x"], "f")],
            vec![f(vec![node("y", "Neg", &["b"])], "y:y:0")],
            "function `f` node `y`: input `b` names no output of a node and no argument",
        ),
        (
            vec![x(), call("c", &["x"], "f")],
            vec![f(vec![node("y", "TopKV2", &["a"])], "y:value:0")],
            "function `f` node `r`: input `y:value:0` names no output of a node and no argument",
        ),
        (
            vec![x(), call("c", &["x"], "f")],
            vec![f(vec![node("a", "Neg", &["a"])], "a")],
            "function `f` two nodes or arguments are named `a`",
        ),
    ] {
        let error = with_functions(nodes, functions).unwrap_err();
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn an_odd_function_that_nothing_calls_is_no_obstacle() {
    let odd = function("odd", &["a"], vec![constant("c", 8)], &[("r", "nothing")]);
    let graph = with_functions(vec![node("x", "Placeholder", &[])], vec![odd]).unwrap();
    assert_eq!(graph.nodes.len(), 1);
}

#[test]
fn calls_cannot_grow_a_graph_without_bound() {
    let mut functions = vec![function(
        "f0",
        &["a"],
        vec![node("y", "Neg", &["a"])],
        &[("r", "y:y:0")],
    )];
    for level in 1..40 {
        let below = format!("f{}", level - 1);
        functions.push(function(
            &format!("f{level}"),
            &["a"],
            vec![
                call("p", &["a"], &below),
                call("q", &["p:output:0"], &below),
            ],
            &[("r", "q:output:0")],
        ));
    }
    let nodes = vec![node("x", "Placeholder", &[]), call("c", &["x"], "f39")];
    let error = with_functions(nodes, functions).unwrap_err();
    assert!(error.contains("would grow without bound"), "{error}");
    let deep: Vec<FunctionDef> = (0..200)
        .map(|level| {
            let below = format!("f{}", level + 1);
            function(
                &format!("f{level}"),
                &["a"],
                vec![call("c", &["a"], &below)],
                &[("r", "c:output:0")],
            )
        })
        .collect();
    let nodes = vec![node("x", "Placeholder", &[]), call("c", &["x"], "f0")];
    let error = with_functions(nodes, deep).unwrap_err();
    assert_eq!(error, "function `f64` lies more than 64 calls deep");
}
