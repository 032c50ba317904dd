//! tfjet's partition against TF-TRT's on random graphs.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod checks;
mod config;
mod random_graph;
mod source;
mod tftrt;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tfjet_convert::graph::NodeId;
use tfjet_convert::partition::{Partition, PartitionOptions, Segment, dispositions};

use checks::Source;
use random_graph::{RandomGraph, foldable_graph, random_graph};
use source::Parts;

fn parts(graph: &RandomGraph) -> Parts {
    let typed = source::typed(&graph.nodes, &graph.outputs, &graph.options)
        .unwrap_or_else(|error| panic!("{error}\n{graph:?}"));
    Parts::new(typed, &graph.options)
}

/// The same graph cut by both, as indices into the source's nodes.
struct Comparison {
    source: Source,
    tfjet: Vec<Vec<usize>>,
    tftrt: Vec<Vec<usize>>,
}

impl Comparison {
    /// Both judge the same candidates: what tfjet keeps outside for another reason than size is
    /// none.
    fn new(graph: &RandomGraph) -> Self {
        let Parts { typed, partition } = parts(graph);
        let source = Source::new(graph);
        let mut candidate: Vec<bool> = source
            .nodes
            .iter()
            .map(|node| node.op != "Placeholder")
            .collect();
        for residual in &partition.residual {
            let left_out = checks::is_left_out_for_size(&typed, residual.node, &graph.options);
            candidate[residual.node.index()] = left_out;
        }
        let (nodes, places) = source.pruned();
        let minimum = graph.options.min_segment_size;
        let tftrt = tftrt::segments(&nodes, &|node| candidate[places[node]], minimum)
            .iter()
            .map(|segment| segment.iter().map(|&node| places[node]).collect())
            .collect();
        let indices = |segment: &Segment| segment.nodes.iter().map(|id| id.index()).collect();
        let tfjet = partition.segments.iter().map(indices).collect();
        Self {
            source,
            tfjet,
            tftrt,
        }
    }

    /// Nodes in segments and number of segments, constants and no-ops not counted.
    fn coverage(&self, segments: &[Vec<usize>]) -> (usize, usize) {
        let sizes: Vec<usize> = segments
            .iter()
            .map(|nodes| {
                nodes
                    .iter()
                    .filter(|&&node| self.source.counts(node))
                    .count()
            })
            .filter(|&size| size > 0)
            .collect();
        (sizes.iter().sum(), sizes.len())
    }

    fn names(&self, segments: &[Vec<usize>]) -> Vec<Vec<&str>> {
        let name = |&node: &usize| self.source.nodes[node].name.as_str();
        segments
            .iter()
            .map(|segment| segment.iter().map(name).collect())
            .collect()
    }
}

proptest! {
    #![proptest_config(config::config())]

    #[test]
    fn segments_are_convex_and_run_in_order(graph in foldable_graph(60)) {
        let Parts { typed, partition } = parts(&graph);
        let source = Source::new(&graph);
        prop_assert!(checks::is_acyclic(&source, &partition, &graph.options));
        checks::runs_in_order(&typed, &partition);
    }

    #[test]
    fn segments_cover_what_tf_trt_covers_with_no_more_of_them(graph in random_graph(60)) {
        let both = Comparison::new(&graph);
        let (our_nodes, our_segments) = both.coverage(&both.tfjet);
        let (their_nodes, their_segments) = both.coverage(&both.tftrt);
        prop_assert!(
            our_nodes > their_nodes || (our_nodes == their_nodes && our_segments <= their_segments),
            "tfjet: {our_nodes} nodes in {:?}\nTF-TRT: {their_nodes} nodes in {:?}",
            both.names(&both.tfjet),
            both.names(&both.tftrt),
        );
    }

    #[test]
    fn every_source_node_stands_in_one_place(graph in foldable_graph(60)) {
        let Parts { typed, partition } = parts(&graph);
        let found = dispositions(&typed, &partition, &graph.options);
        checks::stands_once(&Source::new(&graph), &typed, &partition, &found);
        checks::gives_true_reasons(&typed, &partition, &graph.options);
    }

    #[test]
    fn segments_have_the_minimum_of_nodes(graph in random_graph(60)) {
        let Parts { partition, .. } = parts(&graph);
        checks::respects_minimum(&Source::new(&graph), &partition, &graph.options);
    }

    #[test]
    fn with_a_minimum_of_one_every_candidate_is_inside(graph in foldable_graph(60)) {
        let options = PartitionOptions { min_segment_size: 1, ..graph.options.clone() };
        let graph = RandomGraph { options, ..graph };
        let Parts { typed, partition } = parts(&graph);
        for residual in &partition.residual {
            prop_assert!(
                !checks::is_left_out_for_size(&typed, residual.node, &graph.options),
                "{residual:?}"
            );
        }
    }
}

#[test]
fn random_graphs_tell_the_two_apart() {
    let mut runner = TestRunner::deterministic();
    let (mut more_nodes, mut fewer_segments, mut several_segments) = (0, 0, 0);
    for _ in 0..500 {
        let graph = random_graph(60).new_tree(&mut runner).unwrap().current();
        let both = Comparison::new(&graph);
        let (our_nodes, our_segments) = both.coverage(&both.tfjet);
        let (their_nodes, their_segments) = both.coverage(&both.tftrt);
        more_nodes += usize::from(our_nodes > their_nodes);
        fewer_segments += usize::from(our_nodes == their_nodes && our_segments < their_segments);
        several_segments += usize::from(their_segments > 1);
    }
    let found = [more_nodes, fewer_segments, several_segments];
    assert!(found.iter().all(|&count| count >= 25), "{found:?} of 500");
}

#[test]
fn the_check_of_convexity_finds_what_is_not_convex() {
    let source = Source::new(&RandomGraph {
        nodes: vec![
            source::node("a", "Relu", &[]),
            source::node("identity", "Identity", &["a"]),
            source::node("b", "Erfc", &["identity"]),
            source::node("c", "Add", &["a", "b"]),
            source::node("d", "Relu", &["identity"]),
        ],
        outputs: Vec::new(),
        options: PartitionOptions::default(),
    });
    let acyclic = |segments: &[&[u32]]| {
        let segment = |ids: &&[u32]| Segment {
            name: String::new(),
            number: 0,
            nodes: ids.iter().map(|&id| NodeId(id)).collect(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            flops: 0,
        };
        let partition = Partition {
            segments: segments.iter().map(segment).collect(),
            ..Partition::default()
        };
        checks::is_acyclic(&source, &partition, &PartitionOptions::default())
    };
    assert!(
        acyclic(&[&[0, 4]]),
        "a no-op between two members is no way outside"
    );
    assert!(acyclic(&[&[0], &[3]]));
    assert!(
        !acyclic(&[&[0, 3]]),
        "the way over b leaves the segment and comes back"
    );
    assert!(!acyclic(&[&[0, 3, 4]]));
    assert!(
        !acyclic(&[&[0, 3], &[2, 4]]),
        "two segments that need each other"
    );
}
