//! tfjet's partition against TF-TRT's on random graphs.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod checks;
mod config;
mod random_graph;
mod source;
mod tftrt;

use proptest::prelude::*;
use tfjet_convert::partition::dispositions;

use checks::Source;
use random_graph::{RandomGraph, random_graph};
use source::Parts;

fn size() -> usize { std::env::var("PROPS_SIZE").map_or(60, |s| s.parse().unwrap()) }

fn parts(graph: &RandomGraph) -> Parts {
    let typed = source::typed(&graph.nodes, &graph.outputs, &graph.options)
        .unwrap_or_else(|error| panic!("{error}\n{graph:?}"));
    Parts::new(typed, &graph.options)
}

/// Nodes in segments and number of segments, constants and no-ops not counted.
fn coverage<'a>(source: &Source, segments: impl Iterator<Item = &'a [usize]>) -> (usize, usize) {
    let sizes = segments.map(|nodes| nodes.iter().filter(|&&node| source.counts(node)).count());
    let sizes: Vec<usize> = sizes.filter(|&size| size > 0).collect();
    (sizes.iter().sum(), sizes.len())
}

proptest! {
    #![proptest_config(config::config())]

    #[test]
    fn segments_are_convex_and_run_in_order(graph in random_graph(size())) {
        let Parts { typed, partition } = parts(&graph);
        let source = Source::new(&graph);
        prop_assert!(checks::is_acyclic(&source, &partition, &graph.options));
        checks::runs_in_order(&typed, &partition);
        checks::respects_minimum(&source, &partition, &graph.options);
    }

    #[test]
    fn segments_cover_at_least_what_tf_trt_covers_with_no_more_of_them(graph in random_graph(size())) {
        let Parts { typed, partition } = parts(&graph);
        let source = Source::new(&graph);
        let mut candidate = vec![true; source.nodes.len()];
        for (index, node) in source.nodes.iter().enumerate() {
            candidate[index] = node.op != "Placeholder";
        }
        for residual in &partition.residual {
            let left_out = checks::is_left_out_for_size(&typed, residual.node, &graph.options);
            candidate[residual.node.index()] = left_out;
        }
        let (nodes, places) = source.pruned();
        let theirs = tftrt::segments(&nodes, &|node| candidate[places[node]], graph.options.min_segment_size);
        let theirs: Vec<Vec<usize>> = theirs
            .iter()
            .map(|segment| segment.iter().map(|&node| places[node]).collect())
            .collect();
        let ours: Vec<Vec<usize>> = partition
            .segments
            .iter()
            .map(|segment| segment.nodes.iter().map(|id| id.index()).collect())
            .collect();
        let (our_nodes, our_segments) = coverage(&source, ours.iter().map(Vec::as_slice));
        let (their_nodes, their_segments) = coverage(&source, theirs.iter().map(Vec::as_slice));
        let names = |segments: &[Vec<usize>]| -> Vec<Vec<&str>> {
            let name = |&node: &usize| source.nodes[node].name.as_str();
            segments.iter().map(|segment| segment.iter().map(name).collect()).collect()
        };
        prop_assert!(
            our_nodes > their_nodes || (our_nodes == their_nodes && our_segments <= their_segments),
            "tfjet: {our_nodes} nodes in {:?}\nTF-TRT: {their_nodes} nodes in {:?}",
            names(&ours),
            names(&theirs),
        );
    }

    #[test]
    fn every_source_node_stands_in_one_place(graph in random_graph(size())) {
        let Parts { typed, partition } = parts(&graph);
        let found = dispositions(&typed, &partition, &graph.options);
        checks::stands_once(&Source::new(&graph), &typed, &partition, &found);
    }

    #[test]
    fn with_a_minimum_of_one_only_refused_ops_stay_outside(graph in random_graph(40)) {
        let mut graph = graph;
        graph.options.min_segment_size = 1;
        let Parts { typed, partition } = parts(&graph);
        for residual in &partition.residual {
            prop_assert!(
                !checks::is_left_out_for_size(&typed, residual.node, &graph.options),
                "{residual:?}"
            );
        }
    }
}
