//! The cases that TF-TRT's own tests settle, for the rules as written here and for tfjet.

use std::collections::BTreeSet;

use tfjet_convert::graph::Graph;
use tfjet_convert::partition::{PartitionOptions, partition};
use tfjet_convert::passes::type_graph;
use tfjet_convert::tensorflow::SourceNode;

use super::{Node, Rules, segments, segments_by};
use crate::source::{self, Parts};

/// Name, op, inputs.
type Case<'a> = &'a [(&'a str, &'a str, &'a [&'a str])];

const SIMPLE: Case<'_> = &[
    ("feed", "Placeholder", &[]),
    ("add0", "Add", &["feed", "feed"]),
    ("add1", "Add", &["feed", "feed"]),
    ("add2", "Add", &["add0", "add1"]),
    ("add3", "Add", &["add0", "add2"]),
    ("add4", "Add", &["add2", "add2"]),
];

const MULTIPLE: Case<'_> = &[
    ("feed", "Placeholder", &[]),
    ("add0", "Add", &["feed", "feed"]),
    ("add1", "Add", &["feed", "feed"]),
    ("add7", "Add", &["feed", "feed"]),
    ("add2", "Add", &["add0", "add1"]),
    ("add5", "Add", &["add2", "add7"]),
    ("add8", "Add", &["add7", "add7"]),
    ("add3", "Add", &["add0", "add2"]),
    ("add4", "Add", &["add2", "add5"]),
    ("add6", "Add", &["add5", "add8"]),
];

const IDENTITIES: Case<'_> = &[
    ("feed", "Placeholder", &[]),
    ("identity0", "Identity", &["feed"]),
    ("identity1", "Identity", &["identity0"]),
    ("identity2", "Identity", &["identity1"]),
    ("identity3", "Identity", &["identity2"]),
];

/// `Erfc` stands for an op without a layer.
const CONST_INPUT: Case<'_> = &[
    ("input_0", "Placeholder", &[]),
    ("c", "Const", &[]),
    ("incompatible", "Atan2", &["input_0", "c"]),
    ("add", "Add", &["incompatible", "c"]),
    ("mul", "Mul", &["add", "add"]),
    ("add1", "Add", &["mul", "mul"]),
    ("incompatible1", "Erfc", &["add1"]),
    ("add2", "Add", &["incompatible1", "c"]),
    ("mul1", "Mul", &["add2", "add2"]),
    ("add3", "Add", &["mul1", "mul1"]),
    ("output_0", "Erfc", &["add3"]),
];

const CONST_DATA_INPUT: Case<'_> = &[
    ("input_0", "Placeholder", &[]),
    ("c", "Const", &[]),
    ("add", "Add", &["input_0", "c"]),
    ("mul", "Mul", &["add", "add"]),
    ("add1", "Add", &["mul", "mul"]),
    ("output_0", "Erfc", &["add1"]),
];

const TWO_CHAINS: Case<'_> = &[
    ("input_0", "Placeholder", &[]),
    ("c0", "Const", &[]),
    ("c1", "Const", &[]),
    ("c2", "Const", &[]),
    ("c3", "Const", &[]),
    ("add2", "Add", &["input_0", "c2"]),
    ("mul2", "Mul", &["add2", "add2"]),
    ("add3", "Add", &["mul2", "c3"]),
    ("mul3", "Mul", &["add3", "add3"]),
    ("incompatible", "Erfc", &["mul3"]),
    ("add0", "Add", &["incompatible", "c0"]),
    ("mul0", "Mul", &["add0", "add0"]),
    ("add1", "Add", &["mul0", "c1"]),
    ("mul1", "Mul", &["add1", "add1"]),
    ("output_0", "Erfc", &["mul1"]),
];

const SIMPLE_MULTI_ENGINES: Case<'_> = &[
    ("input_0", "Placeholder", &[]),
    ("weights", "Const", &[]),
    ("conv", "Maximum", &["input_0", "weights"]),
    ("c1", "Const", &[]),
    ("mul", "Mul", &["conv", "c1"]),
    ("c2", "Const", &[]),
    ("div", "RealDiv", &["conv", "c2"]),
    ("incompatible", "Erfc", &["div"]),
    ("one", "Const", &[]),
    ("one_sub", "Sub", &["one", "incompatible"]),
    ("div1", "RealDiv", &["one_sub", "one_sub"]),
    ("add", "Add", &["div1", "div1"]),
    ("sub", "Sub", &["mul", "div1"]),
    ("mul1", "Mul", &["div", "div1"]),
    ("add1", "Add", &["sub", "mul1"]),
    ("sub1", "Sub", &["add1", "add"]),
    ("output_0", "Erfc", &["sub1"]),
];

/// Which branch the constant joins depends on the placeholder's place in the walk.
const BY_NAME: Case<'_> = &[
    ("feed", "Placeholder", &[]),
    ("relu", "Relu", &["feed"]),
    ("gain", "Const", &[]),
    ("mul", "Mul", &["relu", "gain"]),
    ("abs", "Abs", &["mul"]),
    ("erfc", "Erfc", &["relu"]),
    ("add", "Add", &["erfc", "gain"]),
    ("exp", "Exp", &["add"]),
];

fn nodes(case: Case<'_>) -> Vec<Node> {
    case.iter()
        .map(|(name, op, inputs)| Node {
            name: (*name).into(),
            op: (*op).into(),
            inputs: inputs
                .iter()
                .map(|input| case.iter().position(|(name, ..)| name == input).unwrap())
                .collect(),
        })
        .collect()
}

fn names(nodes: &[Node], segments: &[Vec<usize>]) -> Vec<Vec<String>> {
    segments
        .iter()
        .map(|segment| {
            segment
                .iter()
                .map(|&node| nodes[node].name.clone())
                .collect()
        })
        .collect()
}

/// The segments where three lists of names say what may be a member, what may read from outside,
/// and what may be read from outside.
fn by_lists(case: Case<'_>, member: &[&str], reads: &[&str], read: &[&str]) -> Vec<Vec<String>> {
    let nodes = nodes(case);
    let among = |list: &[&str], node: usize| list.contains(&nodes[node].name.as_str());
    let rules = Rules {
        candidate: &|node| among(member, node),
        reads_outside: &|node| among(reads, node),
        read_outside: &|node| among(read, node),
        minimum_segment_size: 2,
    };
    names(&nodes, &segments_by(&nodes, &rules))
}

/// The segments of a frozen graph in which every op but `Erfc` and `DivNoNan` has a layer.
fn by_ops(case: Case<'_>, minimum: usize) -> Vec<Vec<String>> {
    let nodes = nodes(case);
    let candidate =
        |node: usize| !matches!(nodes[node].op.as_str(), "Placeholder" | "Erfc" | "Atan2");
    names(&nodes, &segments(&nodes, &candidate, minimum))
}

/// What tfjet makes of the same graph: the names in each segment.
fn by_tfjet(case: Case<'_>, excluded: &[&str], minimum: usize) -> Vec<BTreeSet<String>> {
    let source: Vec<SourceNode> = case
        .iter()
        .map(|(name, op, inputs)| match *op {
            "Placeholder" => source::placeholder(name, &[None, Some(4)]),
            "Const" => source::constant(name, &[], &[0.5f32]),
            op => source::node(name, op, inputs),
        })
        .collect();
    let options = PartitionOptions {
        min_segment_size: minimum,
        exclude_nodes: excluded.iter().map(|&name| name.into()).collect(),
        ..PartitionOptions::default()
    };
    let typed = source::typed(&source, &[], &options).unwrap();
    let Parts { typed, partition } = Parts::new(typed, &options);
    partition
        .segments
        .iter()
        .map(|segment| {
            let names = segment
                .nodes
                .iter()
                .map(|id| typed.graph.node(*id).name.clone());
            names.collect()
        })
        .collect()
}

fn sets(expected: &[&[&str]]) -> Vec<BTreeSet<String>> {
    expected
        .iter()
        .map(|names| names.iter().map(|&name| name.into()).collect())
        .collect()
}

/// The members of all segments, sorted.
fn together(segments: &[BTreeSet<String>]) -> Vec<String> {
    let mut names: Vec<String> = segments.iter().flatten().cloned().collect();
    names.sort();
    names
}

#[test]
fn an_empty_graph_has_no_segments() {
    assert!(by_lists(&[], &[], &[], &[]).is_empty());
    let typed = type_graph(Graph::default(), &|_| false).unwrap();
    let parts = partition(&typed, &PartitionOptions::default());
    assert!(parts.segments.is_empty() && parts.order.is_empty());
}

#[test]
fn simple_graph_is_one_segment() {
    let all = ["add0", "add1", "add2", "add3", "add4"];
    assert_eq!(by_lists(SIMPLE, &all, &all, &all), [all]);
    assert_eq!(by_tfjet(SIMPLE, &[], 2), sets(&[&all]));
}

#[test]
fn simple_graph_without_a_border_node_is_one_segment() {
    let most = ["add0", "add2", "add3", "add4"];
    assert_eq!(by_lists(SIMPLE, &most, &most, &most), [most]);
    assert_eq!(by_tfjet(SIMPLE, &["add1"], 2), sets(&[&most]));
}

#[test]
fn a_node_that_may_not_read_from_outside_leaves_with_its_inputs() {
    let member = ["add0", "add2", "add3", "add4"];
    let reads = ["add0", "add1", "add3", "add4"];
    assert_eq!(
        by_lists(SIMPLE, &member, &reads, &member),
        [["add3", "add4"]]
    );
}

#[test]
fn a_node_that_may_not_be_read_from_outside_leaves_with_its_readers() {
    let all = ["add0", "add1", "add2", "add3", "add4"];
    let member = ["add0", "add1", "add2", "add4"];
    let read = ["add0", "add1", "add3", "add4"];
    assert_eq!(by_lists(SIMPLE, &member, &all, &read), [["add0", "add1"]]);
}

#[test]
fn an_edge_that_closes_a_cycle_is_not_contracted() {
    let member = ["add0", "add1", "add3", "add4"];
    assert!(by_lists(SIMPLE, &member, &member, &member).is_empty());
    assert_eq!(
        by_tfjet(SIMPLE, &["add2"], 2),
        sets(&[&["add0", "add1"], &["add3", "add4"]])
    );
}

#[test]
fn a_node_outside_cuts_a_graph_in_two() {
    let most = [
        "add0", "add1", "add2", "add3", "add4", "add6", "add7", "add8",
    ];
    assert_eq!(
        by_lists(MULTIPLE, &most, &most, &most),
        [&["add0", "add1", "add2", "add3"][..], &["add6", "add8"]]
    );
    let found = by_tfjet(MULTIPLE, &["add5"], 2);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(together(&found), most, "{found:?}");
}

#[test]
fn identities_alone_are_no_segment() {
    let all = ["identity0", "identity1", "identity2", "identity3"];
    assert!(by_lists(IDENTITIES, &all, &all, &all).is_empty());
    assert!(by_tfjet(IDENTITIES, &[], 2).is_empty());
}

#[test]
fn a_constant_that_ops_outside_read_stays_outside() {
    let expected: &[&[&str]] = &[&["add", "add1", "mul"], &["add2", "add3", "mul1"]];
    assert_eq!(by_ops(CONST_INPUT, 2), expected);
    assert_eq!(by_tfjet(CONST_INPUT, &[], 2), sets(expected));
}

#[test]
fn a_constant_that_members_read_is_a_member() {
    assert_eq!(by_ops(CONST_DATA_INPUT, 2), [["add", "add1", "c", "mul"]]);
    assert_eq!(
        by_tfjet(CONST_DATA_INPUT, &[], 2),
        sets(&[&["add", "add1", "mul"]])
    );
}

#[test]
fn chains_on_both_sides_of_an_op_are_two_segments() {
    assert_eq!(
        by_ops(TWO_CHAINS, 2),
        [
            ["add0", "add1", "c0", "c1", "mul0", "mul1"],
            ["add2", "add3", "c2", "c3", "mul2", "mul3"]
        ]
    );
    let expected: &[&[&str]] = &[
        &["add2", "add3", "mul2", "mul3"],
        &["add0", "add1", "mul0", "mul1"],
    ];
    assert_eq!(by_tfjet(TWO_CHAINS, &[], 2), sets(expected));
}

#[test]
fn a_branch_goes_to_the_segment_that_reads_it() {
    assert_eq!(
        by_ops(SIMPLE_MULTI_ENGINES, 2),
        [
            &[
                "add", "add1", "c1", "div1", "mul", "mul1", "one", "one_sub", "sub", "sub1"
            ][..],
            &["c2", "conv", "div", "weights"]
        ]
    );
    let found = by_tfjet(SIMPLE_MULTI_ENGINES, &[], 2);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        together(&found),
        [
            "add", "add1", "conv", "div", "div1", "mul", "mul1", "one_sub", "sub", "sub1"
        ]
    );
}

#[test]
fn a_constant_joins_two_branches_where_it_is_walked_first() {
    assert_eq!(by_ops(BY_NAME, 4), [["abs", "add", "exp", "gain", "mul"]]);
    let found = by_tfjet(BY_NAME, &[], 4);
    assert_eq!(together(&found).len(), 4, "{found:?}");
}
