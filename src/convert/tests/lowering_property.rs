//! What the partition accepts can be lowered, on random graphs of every op family.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod config;
mod source;
mod typed_graph;

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tfjet_convert::find_target;
use tfjet_convert::lower::{WeightsStore, lacking, lower_segment, lowered_ops};
use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::passes::fold_scales;
use tfjet_core::{NetworkSpec, Target};

use source::Parts;
use typed_graph::{TypedSource, typed_graph};

fn parts(source: &TypedSource, target: &Target) -> Parts {
    let options = PartitionOptions {
        min_segment_size: 1,
        lower_nms: true,
        target: target.clone(),
        ..PartitionOptions::default()
    };
    let typed = source::typed(&source.0, &[], &options).unwrap();
    Parts::new(typed, &options)
}

/// Targets of every engine, and of the oldest TensorRT and a new one.
fn target() -> impl Strategy<Value = Target> {
    const NAMES: &[&str] = &["x86-cpu", "nano", "agx-xavier", "agx-orin", "x86-rtx"];
    prop::sample::select(NAMES).prop_map(|name| find_target(name).unwrap())
}

/// Every tensor that a layer or an output reads is an input or an earlier layer's output.
fn is_in_order(network: &NetworkSpec) -> bool {
    let mut made: BTreeSet<_> = network.inputs.iter().copied().collect();
    for layer in &network.layers {
        if !layer.inputs.iter().all(|input| made.contains(input)) {
            return false;
        }
        made.extend(&layer.outputs);
    }
    network.outputs.iter().all(|output| made.contains(output))
}

proptest! {
    #![proptest_config(config::config())]

    #[test]
    fn what_validates_can_be_lowered(source in typed_graph(24), target in target()) {
        let Parts { typed, partition } = parts(&source, &target);
        let mut weights = WeightsStore::default();
        for segment in &partition.segments {
            let lowered = lower_segment(
                &typed,
                &mut weights,
                &segment.name,
                &segment.nodes,
                &segment.inputs,
                &segment.outputs,
            );
            let mut network = match lowered {
                Ok(network) => network,
                Err((id, refusal)) => {
                    let node = typed.graph.node(id);
                    return Err(TestCaseError::fail(format!("{} ({}): {refusal}", node.name, node.op)));
                }
            };
            prop_assert_eq!(network.inputs.len(), segment.inputs.len());
            prop_assert_eq!(network.outputs.len(), segment.outputs.len());
            prop_assert!(is_in_order(&network), "{:#?}", network);
            prop_assert!(fold_scales(&mut network, &mut weights).is_ok());
            prop_assert!(is_in_order(&network), "after folding: {:#?}", network);
            let lacking = lacking(&network, 0, &target);
            prop_assert!(lacking.is_none(), "{}: {lacking:?}", target.name);
        }
    }
}

#[test]
fn random_graphs_reach_every_lowering() {
    let mut runner = TestRunner::deterministic();
    let mut missed: BTreeSet<&str> = lowered_ops().collect();
    for _ in 0..2000 {
        let source = typed_graph(24).new_tree(&mut runner).unwrap().current();
        let Parts { typed, partition } = parts(&source, &Target::default());
        for id in partition.segments.iter().flat_map(|segment| &segment.nodes) {
            missed.remove(typed.graph.node(*id).op.as_str());
        }
    }
    assert!(
        missed.is_empty(),
        "`typed_graph` has no case for {missed:?}"
    );
}
