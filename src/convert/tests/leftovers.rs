//! Dropouts and assertions do not reach the bundle, and the report says so.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "not all of it is used here")]
mod source;

use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::tensorflow::SourceNode;
use tfjet_convert::{ConvertOptions, Lowered, lower_source};
use tfjet_core::{AttrValue, DType};

use source::{constant, node, placeholder};

fn lower(nodes: Vec<SourceNode>, outputs: &[&str]) -> Lowered {
    let options = ConvertOptions {
        outputs: outputs.iter().map(|name| name.parse().unwrap()).collect(),
        allow_residual_only: true,
        partition: PartitionOptions {
            min_segment_size: 1,
            ..PartitionOptions::default()
        },
        ..ConvertOptions::default()
    };
    lower_source(source::graph(nodes), "graph", &options).unwrap()
}

fn live(lowered: &Lowered) -> Vec<&str> {
    let graph = &lowered.typed.graph;
    let order = lowered.typed.order.iter();
    order.map(|id| graph.node(*id).name.as_str()).collect()
}

fn cast(name: &str, input: &str) -> SourceNode {
    let mut node = node(name, "Cast", &[input]);
    node.attrs
        .insert("SrcT", AttrValue::Type(Some(DType::Bool)));
    node.attrs.insert("DstT", AttrValue::Type(Some(DType::F32)));
    node
}

/// The input through a random number of the input's shape.
fn start() -> Vec<SourceNode> {
    let mut random = node("random", "RandomUniform", &["shape"]);
    random.attrs = tfjet_core::Attrs::default()
        .with("T", AttrValue::Type(Some(DType::I32)))
        .with("dtype", AttrValue::Type(Some(DType::F32)));
    vec![
        placeholder("x", &[Some(2), Some(3)]),
        node("before", "Relu", &["x"]),
        node("shape", "Shape", &["before"]),
        random,
        constant("half", &[], &[0.5f32]),
        constant("two", &[], &[2f32]),
        constant("zero", &[], &[0f32]),
    ]
}

#[test]
fn dropouts_in_every_way_of_writing_them_are_bypassed() {
    let ways: [(&str, Vec<SourceNode>); 4] = [
        (
            "floor",
            vec![
                node("sum", "Add", &["half", "random"]),
                node("floor", "Floor", &["sum"]),
                node("scaled", "RealDiv", &["before", "half"]),
                node("dropped", "Mul", &["scaled", "floor"]),
            ],
        ),
        (
            "floor of a random number from a range",
            vec![
                node("wide", "Mul", &["random", "two"]),
                node("shifted", "Add", &["wide", "zero"]),
                node("sum", "Add", &["half", "shifted"]),
                node("floor", "Floor", &["sum"]),
                node("scaled", "RealDiv", &["before", "half"]),
                node("dropped", "Mul", &["scaled", "floor"]),
            ],
        ),
        (
            "mask",
            vec![
                node("kept", "GreaterEqual", &["random", "half"]),
                cast("mask", "kept"),
                node("scaled", "Mul", &["before", "two"]),
                node("dropped", "Mul", &["scaled", "mask"]),
            ],
        ),
        (
            "select",
            vec![
                node("kept", "GreaterEqual", &["random", "half"]),
                node("scaled", "Mul", &["before", "two"]),
                node("dropped", "SelectV2", &["kept", "scaled", "zero"]),
            ],
        ),
    ];
    for (name, way) in ways {
        let mut nodes = start();
        nodes.extend(way);
        nodes.push(node("after", "Neg", &["dropped"]));
        let lowered = lower(nodes, &["after"]);
        assert_eq!(live(&lowered), ["before", "after"], "{name}");
        let notes = lowered.typed.notes.join("\n");
        assert!(notes.contains("1 dropout dropped"), "{name}: {notes}");
    }
}

#[test]
fn a_mask_that_is_not_random_stays() {
    let mut nodes = start();
    nodes.extend([
        node("kept", "GreaterEqual", &["before", "half"]),
        cast("mask", "kept"),
        node("scaled", "Mul", &["before", "two"]),
        node("dropped", "Mul", &["scaled", "mask"]),
    ]);
    let lowered = lower(nodes, &["dropped"]);
    assert!(live(&lowered).contains(&"dropped"));
    let notes = lowered.typed.notes.join("\n");
    assert!(!notes.contains("dropout"), "{notes}");
}

#[test]
fn assertions_that_only_order_are_counted() {
    let mut assertion = node("assert", "Assert", &["checked", "x"]);
    assertion.attrs = tfjet_core::Attrs::default();
    let nodes = vec![
        placeholder("x", &[Some(2)]),
        constant("half", &[], &[0.5f32]),
        node("checked", "Greater", &["x", "half"]),
        assertion,
        node("after", "Neg", &["x", "^assert"]),
    ];
    let lowered = lower(nodes, &["after"]);
    let notes = lowered.typed.notes.join("\n");
    assert!(notes.contains("1 Assert node dropped"), "{notes}");
    assert_eq!(live(&lowered), ["after"]);
}
