//! Where sizes that only the run time knows are worked out: inside segments wherever one needs
//! them, and op by op for what stays outside.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(dead_code, reason = "shared with other tests")]

mod source;

use std::collections::BTreeSet;

use tfjet_convert::graph::{OutputRequest, WireId};
use tfjet_convert::lower::{WeightsStore, lower_segment};
use tfjet_convert::partition::{Disposition, PartitionOptions, dispositions};
use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, NetworkSpec};

use source::{Parts, constant, node, placeholder, typed};

fn with(mut node: SourceNode, name: &str, value: AttrValue) -> SourceNode {
    node.attrs.insert(name, value);
    node
}

/// `x` of unknown height and width, and `size`, twice of both.
fn doubled() -> Vec<SourceNode> {
    let slice = node("hw", "StridedSlice", &["shape", "from", "to", "step"]);
    vec![
        placeholder("x", &[Some(1), None, None, Some(2)]),
        node("shape", "Shape", &["x"]),
        constant("from", &[1], &[1i32]),
        constant("to", &[1], &[3i32]),
        constant("step", &[1], &[1i32]),
        slice,
        constant("two", &[], &[2i32]),
        node("size", "Mul", &["hw", "two"]),
    ]
}

struct Cut {
    parts: Parts,
    networks: Vec<NetworkSpec>,
    options: PartitionOptions,
}

fn cut(nodes: &[SourceNode], outputs: &[&str], outside: &[&str]) -> Cut {
    let options = PartitionOptions {
        min_segment_size: 1,
        exclude_nodes: outside.iter().map(|&name| name.into()).collect(),
        ..PartitionOptions::default()
    };
    let outputs: Vec<OutputRequest> = outputs.iter().map(|name| name.parse().unwrap()).collect();
    let parts = Parts::new(typed(nodes, &outputs, &options).unwrap(), &options);
    let mut weights = WeightsStore::default();
    let networks = parts.partition.segments.iter().map(|segment| {
        let (nodes, inputs) = (&segment.nodes, &segment.inputs);
        let outputs = &segment.outputs;
        lower_segment(
            &parts.typed,
            &mut weights,
            &segment.name,
            nodes,
            inputs,
            outputs,
        )
        .unwrap()
    });
    Cut {
        networks: networks.collect(),
        parts,
        options,
    }
}

impl Cut {
    fn names(&self, wires: &[WireId]) -> Vec<String> {
        let graph = &self.parts.typed.graph;
        wires.iter().map(|wire| graph.wire_name(*wire)).collect()
    }

    /// Nodes outside with the reason.
    fn outside(&self) -> Vec<(String, String)> {
        let residual = self.parts.partition.residual.iter();
        residual
            .map(|residual| {
                let name = &self.parts.typed.graph.node(residual.node).name;
                (name.clone(), residual.reason.to_string())
            })
            .collect()
    }

    fn kinds(&self, segment: usize) -> BTreeSet<&'static str> {
        let layers = self.networks[segment].layers.iter();
        layers.map(|layer| layer.layer.kind()).collect()
    }
}

const SIZES: &str = "it computes sizes only, as engines do for themselves";

#[test]
fn a_segment_works_out_the_sizes_that_it_needs() {
    let mut nodes = doubled();
    nodes.push(node("fine", "Relu", &["x"]));
    nodes.push(node("y", "ResizeBilinear", &["fine", "size"]));
    let cut = cut(&nodes, &["y"], &[]);
    assert_eq!(cut.outside(), []);
    assert_eq!(cut.names(&cut.parts.partition.segments[0].inputs), ["x"]);
    // Twice the size of the input needs no sizes at all.
    assert!(cut.kinds(0).contains("ResizeBy"), "{:?}", cut.kinds(0));
    assert!(!cut.kinds(0).contains("Shape"), "{:?}", cut.kinds(0));
    let went = dispositions(&cut.parts.typed, &cut.parts.partition, &cut.options);
    for (node, went) in nodes.iter().zip(went).skip(1) {
        let inside = matches!(went, Disposition::Node(0) | Disposition::Folded(0));
        assert!(inside, "{}: {went:?}", node.name);
    }
}

#[test]
fn a_segment_reads_the_wire_whose_shape_tells_a_size() {
    let mut nodes = doubled();
    nodes.push(node("pooled", "MaxPool", &["x"]));
    for name in ["ksize", "strides"] {
        let pooled = nodes.pop().unwrap();
        nodes.push(with(pooled, name, AttrValue::Ints(vec![1, 2, 2, 1])));
    }
    nodes.push(node("outside", "Erfc", &["pooled"]));
    nodes.push(node("relu", "Relu", &["outside"]));
    nodes.push(node("y", "ResizeBilinear", &["relu", "size"]));
    let cut = cut(&nodes, &["y"], &["outside"]);
    assert_eq!(cut.outside().len(), 1, "{:?}", cut.outside());
    let [first, second] = &cut.parts.partition.segments[..] else {
        panic!("{:?}", cut.parts.partition.segments);
    };
    assert_eq!(cut.names(&first.inputs), ["x"]);
    assert_eq!(cut.names(&second.inputs), ["outside", "x"]);
    let expected = ["ElementWise", "ResizeTo", "Shape", "Slice"];
    assert!(
        cut.kinds(1).is_superset(&expected.into()),
        "{:?}",
        cut.kinds(1)
    );
}

#[test]
fn what_is_outside_gets_its_sizes_op_by_op() {
    let mut nodes = doubled();
    nodes.push(node("relu", "Relu", &["x"]));
    nodes.push(node("inside", "ResizeBilinear", &["relu", "size"]));
    nodes.push(node("y", "ResizeNearestNeighbor", &["inside", "size"]));
    let cut = cut(&nodes, &["y", "size"], &["y"]);
    let expected = [
        ("shape", SIZES),
        ("hw", SIZES),
        ("size", SIZES),
        ("y", "excluded by --exclude-node"),
    ];
    let expected: Vec<_> = expected.map(|(name, why)| (name.into(), why.into())).into();
    let mut found = cut.outside();
    found.sort_by_key(|(name, _)| nodes.iter().position(|node| node.name == *name));
    assert_eq!(found, expected);
    assert_eq!(
        cut.names(&cut.parts.partition.segments[0].outputs),
        ["inside"]
    );
}

#[test]
fn sizes_behind_an_excluded_op_are_not_followed() {
    let mut nodes = doubled();
    nodes.push(node("relu", "Relu", &["x"]));
    nodes.push(node("y", "ResizeBilinear", &["relu", "size"]));
    let cut = cut(&nodes, &["y"], &["hw"]);
    let outside = cut.outside();
    let reason = |name: &str| {
        outside
            .iter()
            .find(|(node, _)| node == name)
            .unwrap()
            .1
            .as_str()
    };
    assert_eq!(reason("hw"), "excluded by --exclude-node");
    assert_eq!(
        reason("y"),
        "the input \"size\" for ResizeBilinear must be a constant or follow from shapes"
    );
}

#[test]
fn a_few_whole_numbers_make_no_segment() {
    let number = |name: &str, op: &str, inputs: &[&str]| {
        let dtype = AttrValue::Type(Some(tfjet_core::DType::I32));
        with(
            with(node(name, op, inputs), "T", dtype.clone()),
            "dtype",
            dtype,
        )
    };
    let mut input = placeholder("n", &[Some(3)]);
    input = with(
        input,
        "dtype",
        AttrValue::Type(Some(tfjet_core::DType::I32)),
    );
    let nodes = vec![
        input,
        constant("two", &[], &[2i32]),
        number("more", "Mul", &["n", "two"]),
        number("most", "AddV2", &["more", "n"]),
        number("y", "Maximum", &["most", "more"]),
    ];
    let cut = cut(&nodes, &["y"], &[]);
    assert!(cut.parts.partition.segments.is_empty());
    for (name, reason) in cut.outside() {
        assert_eq!(
            reason, "a few whole numbers alone make no segment",
            "{name}"
        );
    }
}
