//! What the partition accepts for TensorRT-RTX its builder accepts too, on random graphs of every
//! op family, without a GPU.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod source;
mod typed_graph;

use std::io::Write as _;
use std::path::Path;

use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::TestRunner;
use tfjet_convert::graph::TypedGraph;
use tfjet_convert::lower::{WeightsStore, lower_segment};
use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::{ConvertOptions, Lowered, find_target, lower_file};
use tfjet_core::{NetworkSpec, TensorId, TensorView, WeightsId};
use tfjet_tensorrt::{
    BuildOptions, Flavor, Library, Precision, Profile, ShapeRange, WeightsSource, build_engine,
};

use source::Parts;
use typed_graph::typed_graph;

const VARIABLE: &str = "TFJET_TENSORRT_RTX";
/// A build takes a twentieth of a second or so.
const ENGINES: usize = 150;

/// What TensorRT says where a graph does not fit the sizes that it is tried with, such as one that
/// adds n rows and n + 1 rows.
const MISFITS: &[&str] = &[
    "broadcast dimensions must be conformable",
    "changes volume",
    "dimensions must be equal for concatenation",
    "has no integer solution",
    "has out of bounds access",
    "mismatching dimensions",
    "reshape of non-empty tensor to empty tensor",
];

struct Weights(WeightsStore);

impl WeightsSource for Weights {
    fn weights(&self, id: WeightsId) -> Option<TensorView<'_>> {
        Some(self.0.get(id).ok()?.view())
    }
}

/// The sizes of the network's inputs where each symbol stands for `size`; `None` where one is below
/// 1 or follows from none.
fn profile(typed: &TypedGraph, network: &NetworkSpec, size: i64) -> Option<Profile> {
    let one = |id: &TensorId| {
        let dims = network.tensor(*id)?.shape.dims();
        let sizes = dims.iter().map(|dim| {
            let size = typed.sizes.formula(dim).value(&|_| Some(size))?;
            usize::try_from(size).ok().filter(|size| *size > 0)
        });
        Some(ShapeRange::only(&sizes.collect::<Option<Vec<_>>>()?))
    };
    network
        .inputs
        .iter()
        .map(one)
        .collect::<Option<_>>()
        .map(Profile)
}

fn has_fixed_inputs(network: &NetworkSpec) -> bool {
    let mut inputs = network.inputs.iter().filter_map(|id| network.tensor(*id));
    inputs.all(|input| input.shape.as_fixed().is_some())
}

fn library(test: &str) -> Option<Library> {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: {VARIABLE} does not name TensorRT-RTX's library"
        );
        return None;
    };
    Some(Library::load(Flavor::TensorRtRtx, Some(Path::new(&path)), &[]).unwrap())
}

#[test]
fn what_validates_builds() {
    let Some(library) = library("what_validates_builds") else {
        return;
    };
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
            // Four is a multiple of most steps.
            let Some(profile) = profile(&typed, &network, 4) else {
                continue;
            };
            let precision = [Precision::Fp32, Precision::Fp16][built % 2];
            let options = BuildOptions {
                precision,
                profiles: vec![profile],
                ..BuildOptions::default()
            };
            let engine = build_engine(&library, &network, &weights, &options, None, &mut |_| {});
            if let Err(error) = engine {
                let text = error.to_string();
                if !has_fixed_inputs(&network) && MISFITS.iter().any(|word| text.contains(word)) {
                    continue;
                }
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

/// A graph of `goldens/dynamic_goldens.json`.
#[derive(serde::Deserialize)]
struct Golden {
    name: String,
    graph: String,
    runs: Vec<Run>,
}

#[derive(serde::Deserialize)]
struct Run {
    inputs: Vec<Vec<usize>>,
    outputs: Vec<serde::de::IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Goldens {
    graphs: Vec<Golden>,
}

fn goldens() -> Vec<Golden> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("../../tests/goldens/dynamic_goldens.json");
    let goldens: Goldens = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    goldens.graphs
}

impl Golden {
    fn lower(&self, target: &str) -> Lowered {
        let digits = self.graph.as_bytes().chunks_exact(2);
        let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.pb");
        std::fs::write(&path, digits.map(byte).collect::<Vec<u8>>()).unwrap();
        let outputs = 0..self.runs[0].outputs.len();
        let options = ConvertOptions {
            outputs: outputs
                .map(|i| format!("out_{i}").parse().unwrap())
                .collect(),
            partition: PartitionOptions {
                target: find_target(target).unwrap(),
                ..PartitionOptions::default()
            },
            ..ConvertOptions::default()
        };
        lower_file(&path, &options).unwrap()
    }

    /// From the smallest to the largest size of each axis, for the inputs of the only segment.
    fn range(&self, lowered: &Lowered) -> Profile {
        let given = &lowered.typed.graph.inputs;
        let segment = &lowered.partition.segments[0];
        let inputs = segment.inputs.iter().map(|wire| {
            let place = given.iter().position(|input| input.wire == *wire);
            place.unwrap()
        });
        let extreme = |input: usize, pick: fn(usize, usize) -> usize| {
            let shapes = self.runs.iter().map(|run| run.inputs[input].clone());
            let pick = |a: Vec<usize>, b: Vec<usize>| {
                a.iter().zip(&b).map(|(a, b)| pick(*a, *b)).collect()
            };
            shapes.reduce(pick).unwrap()
        };
        Profile(
            inputs
                .map(|input| ShapeRange {
                    min: extreme(input, usize::min),
                    opt: self.runs[0].inputs[input].clone(),
                    max: extreme(input, usize::max),
                })
                .collect(),
        )
    }
}

#[test]
fn graphs_of_unknown_sizes_are_one_segment_on_every_board() {
    for name in [
        "nano",
        "xavier-nx",
        "orin-nano",
        "x86-gpu",
        "x86-rtx",
        "x86-cpu",
    ] {
        for golden in goldens() {
            let lowered = golden.lower(name);
            let (segments, residual) = (lowered.networks.len(), &lowered.partition.residual);
            assert!(
                segments == 1 && residual.is_empty(),
                "{name}: {}: {residual:?}",
                golden.name
            );
        }
    }
}

#[test]
fn graphs_of_unknown_sizes_build_for_a_range_of_them() {
    let Some(library) = library("graphs_of_unknown_sizes_build_for_a_range_of_them") else {
        return;
    };
    let mut failures = Vec::new();
    for golden in goldens() {
        let lowered = golden.lower("x86-rtx");
        let profile = golden.range(&lowered);
        let weights = Weights(lowered.weights);
        for precision in [Precision::Fp32, Precision::Fp16] {
            let options = BuildOptions {
                precision,
                profiles: vec![profile.clone()],
                ..BuildOptions::default()
            };
            let network = &lowered.networks[0];
            let engine = build_engine(&library, network, &weights, &options, None, &mut |_| {});
            failures.extend(
                engine
                    .err()
                    .map(|error| format!("{} {precision}: {error}", golden.name)),
            );
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
