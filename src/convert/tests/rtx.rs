//! What the partition accepts for TensorRT-RTX its builder accepts too, on random graphs of every
//! op family, without a GPU.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod source;
mod typed_graph;

use std::io::Write as _;
use std::path::Path;

use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::TestRunner;
use tfjet_convert::find_target;
use tfjet_convert::lower::{WeightsStore, lower_segment};
use tfjet_convert::partition::PartitionOptions;
use tfjet_core::{NetworkSpec, TensorView, WeightsId};
use tfjet_tensorrt::{BuildOptions, Flavor, Library, Precision, WeightsSource, build_engine};

use source::Parts;
use typed_graph::typed_graph;

const VARIABLE: &str = "TFJET_TENSORRT_RTX";
/// A build takes a twentieth of a second or so.
const ENGINES: usize = 150;

struct Weights(WeightsStore);

impl WeightsSource for Weights {
    fn weights(&self, id: WeightsId) -> Option<TensorView<'_>> {
        Some(self.0.get(id).ok()?.view())
    }
}

fn has_fixed_inputs(network: &NetworkSpec) -> bool {
    let mut inputs = network.inputs.iter().filter_map(|id| network.tensor(*id));
    inputs.all(|input| input.shape.as_fixed().is_some())
}

#[test]
fn what_validates_builds() {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED what_validates_builds: {VARIABLE} does not name TensorRT-RTX's library"
        );
        return;
    };
    let library = Library::load(Flavor::TensorRtRtx, Some(Path::new(&path)), &[]).unwrap();
    let options = PartitionOptions {
        min_segment_size: 1,
        target: find_target("x86-rtx").unwrap(),
        ..PartitionOptions::default()
    };
    let mut runner = TestRunner::deterministic();
    let mut built = 0;
    let mut failures = Vec::new();
    while built < ENGINES {
        let source = typed_graph(24).new_tree(&mut runner).unwrap().current();
        let typed = source::typed(&source.0, &[], &options).unwrap();
        let Parts { typed, partition } = Parts::new(typed, &options);
        for segment in &partition.segments {
            let mut weights = Weights(WeightsStore::default());
            let network = lower_segment(
                &typed,
                &mut weights.0,
                &segment.name,
                &segment.nodes,
                &segment.inputs,
                &segment.outputs,
            )
            .unwrap();
            if !has_fixed_inputs(&network) {
                continue;
            }
            let precision = [Precision::Fp32, Precision::Fp16][built % 2];
            let options = BuildOptions {
                precision,
                ..BuildOptions::default()
            };
            let engine = build_engine(&library, &network, &weights, &options, None, &mut |_| {});
            if let Err(error) = engine {
                failures.push(format!("{precision}: {error}: {network:#?}"));
            }
            built += 1;
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {built}, first: {}",
        failures.len(),
        failures[0]
    );
}
