//! Post-processing is found in every way in which it is written, and the one op gives the same
//! bits as the many.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod detector;
#[allow(dead_code, reason = "not all of it is used here")]
mod source;

use std::collections::BTreeSet;
use std::sync::Arc;

use tfjet_bundle::Bundle;
use tfjet_convert::graph::OutputRequest;
use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::tensorflow::SourceNode;
use tfjet_convert::{ConvertOptions, Lowered, Report, Task, emit, lower_source};
use tfjet_core::{AttrValue, DType, Tensor};
use tfjet_runtime::{Session, SessionOptions};

use detector::{Detector, Style};

const FUSED: &str = "became one TfjetMultiClassNonMaxSuppression";
const OP: &str = "TfjetMultiClassNonMaxSuppression";

fn options(outputs: &[&str], keep: bool) -> ConvertOptions {
    ConvertOptions {
        outputs: outputs
            .iter()
            .map(|name| name.parse::<OutputRequest>().unwrap())
            .collect(),
        allow_residual_only: true,
        keep_post_processing: keep,
        partition: PartitionOptions {
            min_segment_size: 1 << 20,
            ..PartitionOptions::default()
        },
        ..ConvertOptions::default()
    }
}

fn outputs(detector: &Detector) -> Vec<&'static str> {
    let mut outputs = vec![
        "detection_boxes",
        "detection_scores",
        "detection_classes",
        "num_detections",
    ];
    if detector.fields {
        outputs.extend(["detection_masks", "detection_features"]);
    }
    outputs
}

fn lower(nodes: &[SourceNode], options: &ConvertOptions) -> Lowered {
    lower_source(source::graph(nodes.to_vec()), "graph", options).unwrap()
}

/// What runs of the graph, as ops.
fn live_ops(lowered: &Lowered) -> Vec<String> {
    let graph = &lowered.typed.graph;
    let order = lowered.typed.order.iter();
    order.map(|id| graph.node(*id).op.clone()).collect()
}

fn session(lowered: Lowered, options: &ConvertOptions) -> Session {
    let report = Report::new(&lowered, &options.partition);
    let task = Task {
        image: None,
        ..Task::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.jet");
    emit(lowered, "graph", &task, &report)
        .unwrap()
        .write(&path)
        .unwrap();
    let bundle = Arc::new(Bundle::open(&path).unwrap());
    let options = SessionOptions {
        threads: 1,
        ..SessionOptions::default()
    };
    Session::load(bundle, None, &options).unwrap()
}

/// Boxes on a coarse grid and scores with many ties, some of them no number.
fn feed(session: &Session, seed: u64) -> Vec<Tensor> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = move |limit: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let mut tensor = |name: &str, shape: &[usize]| {
        let count: usize = shape.iter().product();
        let mut values: Vec<f32> = (0..count)
            .map(|_| match name {
                "scores" => next(12) as f32 / 12.0,
                _ => next(8) as f32 / 6.0 - 0.1,
            })
            .collect();
        match name {
            "boxes" => {
                for (index, corners) in values.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    let [a, b, c, d] = *corners;
                    *corners = match index % 9 {
                        0 => [a, b, c, d],
                        1 => [f32::NAN, b, c, d],
                        2 => [a, b, a, d],
                        _ => [a.min(c), b.min(d), a.max(c) + 0.1, b.max(d) + 0.1],
                    };
                }
            }
            "scores" => values.iter_mut().step_by(17).for_each(|v| *v = f32::NAN),
            "window" => values = vec![0.05, 0.1, 0.9, 0.8],
            _ => {}
        }
        match name {
            "rows" => Tensor::scalar(41i32),
            _ => Tensor::from_slice(shape, &values).unwrap(),
        }
    };
    let inputs = session.manifest().inputs.iter();
    inputs
        .map(|input| {
            let dims = input.shape.as_ref().unwrap().dims().iter();
            let shape: Vec<usize> = dims.map(|dim| dim.fixed().unwrap()).collect();
            tensor(&input.name, &shape)
        })
        .collect()
}

fn run(session: &mut Session, inputs: &[Tensor]) -> Vec<Tensor> {
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let outputs = session.run(&views).unwrap();
    outputs.iter().map(|(_, view)| view.to_tensor()).collect()
}

/// Runs the graph with one op and with many; returns the counts of the detections.
fn check(name: &str, detector: &Detector) -> Vec<i32> {
    check_nodes(name, &detector.nodes(), &outputs(detector))
}

fn check_nodes(name: &str, nodes: &[SourceNode], names: &[&str]) -> Vec<i32> {
    let fused_options = options(names, false);
    let lowered = lower(nodes, &fused_options);
    let notes = &lowered.typed.notes;
    assert!(
        notes.iter().any(|note| note.contains(FUSED)),
        "{name}: {notes:?}"
    );
    let ops = live_ops(&lowered);
    let count = ops.iter().filter(|op| *op == OP).count();
    assert_eq!(count, 1, "{name}");
    let left: Vec<_> = ops
        .iter()
        .filter(|op| {
            let beside = [
                "Slice", "Pack", "Reshape", "Max", "ArgMax", "Cast", "Squeeze",
            ];
            *op != OP && !beside.contains(&op.as_str())
        })
        .collect();
    assert!(left.is_empty(), "{name}: {left:?}");
    let many_options = options(names, true);
    let many = lower(nodes, &many_options);
    assert!(many.typed.notes.iter().all(|note| !note.contains(FUSED)));
    let mut fused = session(lowered, &fused_options);
    let mut many = session(many, &many_options);
    (0..6)
        .map(|seed| {
            let inputs = feed(&fused, seed);
            let expected = run(&mut many, &inputs);
            let actual = run(&mut fused, &inputs);
            for ((actual, expected), output) in actual.iter().zip(&expected).zip(names) {
                assert_eq!(
                    actual.shape(),
                    expected.shape(),
                    "{name}, seed {seed}: {output}"
                );
                assert_eq!(
                    actual.bytes(),
                    expected.bytes(),
                    "{name}, seed {seed}: {output}"
                );
            }
            actual[3].as_slice::<i32>().unwrap()[0]
        })
        .collect()
}

#[test]
fn every_way_of_writing_it_becomes_one_op_with_the_same_bits() {
    let mut counts = Vec::new();
    for style in [Style::Filtered, Style::PaddedV3, Style::PaddedV5] {
        let plain = Detector {
            style,
            ..Detector::default()
        };
        let cases = [
            ("plain", plain),
            (
                "one class",
                Detector {
                    classes: 1,
                    ..plain
                },
            ),
            (
                "twelve classes",
                Detector {
                    classes: 12,
                    per_class: 2,
                    ..plain
                },
            ),
            (
                "boxes per class",
                Detector {
                    boxes_per_class: true,
                    ..plain
                },
            ),
            (
                "fields",
                Detector {
                    fields: true,
                    ..plain
                },
            ),
            (
                "fields per class",
                Detector {
                    fields: true,
                    boxes_per_class: true,
                    ..plain
                },
            ),
            (
                "some rows",
                Detector {
                    sliced: true,
                    fields: true,
                    ..plain
                },
            ),
            (
                "window",
                Detector {
                    constant_window: true,
                    ..plain
                },
            ),
            (
                "pixels",
                Detector {
                    change_coordinate_frame: false,
                    ..plain
                },
            ),
            (
                "all kept",
                Detector {
                    total: 500,
                    ..plain
                },
            ),
            (
                "few",
                Detector {
                    score_threshold: 0.9,
                    ..plain
                },
            ),
            (
                "more per class than boxes",
                Detector {
                    per_class: 200,
                    ..plain
                },
            ),
        ];
        for (name, detector) in cases {
            counts.extend(check(&format!("{style:?}, {name}"), &detector));
        }
        if style != Style::Filtered {
            let agnostic = Detector {
                agnostic: true,
                ..plain
            };
            check(&format!("{style:?}, agnostic"), &agnostic);
            let fields = Detector {
                fields: true,
                sliced: true,
                ..agnostic
            };
            check(&format!("{style:?}, agnostic with fields"), &fields);
        }
    }
    let full = counts.iter().filter(|count| **count == 10).count();
    assert!(
        full > 20 && full < counts.len(),
        "{full} of {} cases are full",
        counts.len()
    );
}

#[test]
fn labels_may_be_any_numbers() {
    let detector = Detector::default();
    let mut nodes = detector.nodes();
    let zeros = nodes
        .iter()
        .rposition(|node| node.op == "ZerosLike")
        .unwrap();
    let label = &mut nodes[zeros + 1];
    assert_eq!(label.op, "Const");
    let value = AttrValue::Tensor(Tensor::scalar(2.98f32));
    label.attrs = label.attrs.clone().with("value", value);
    check_nodes("labels", &nodes, &outputs(&detector));
}

#[test]
fn an_output_that_is_not_asked_for_is_not_missed() {
    let detector = Detector::default();
    let options = options(&["detection_boxes", "num_detections"], false);
    let lowered = lower(&detector.nodes(), &options);
    assert!(live_ops(&lowered).contains(&OP.to_owned()));
}

/// The graph with one node changed.
fn changed(change: impl Fn(&mut SourceNode) -> bool) -> Vec<SourceNode> {
    let mut nodes = Detector::default().nodes();
    let changed = nodes
        .iter_mut()
        .filter_map(|node| change(node).then_some(()))
        .count();
    assert!(changed > 0, "no node was changed");
    nodes
}

#[test]
fn what_differs_in_a_detail_stays_and_the_report_says_why() {
    let names = outputs(&Detector::default());
    let check = |nodes: &[SourceNode], reason: &str| {
        let lowered = lower(nodes, &options(&names, false));
        let notes = lowered.typed.notes.join("\n");
        assert!(
            notes.contains("post-processing not fused: "),
            "{reason}: {notes}"
        );
        assert!(notes.contains(reason), "{notes} lacks {reason}");
        assert!(!live_ops(&lowered).contains(&OP.to_owned()), "{reason}");
    };
    let negative = Detector {
        score_threshold: -2.0,
        ..Detector::default()
    };
    check(&negative.nodes(), "the score threshold is -2");
    let padded = changed(|node| {
        let hit = node.op == "Less";
        if hit {
            node.op = "LessEqual".into();
        }
        hit
    });
    check(&padded, "suppressions");
    let soft = changed(|node| {
        let hit = node.op == "NonMaxSuppressionV5";
        if hit {
            // The score threshold as sigma.
            node.inputs[5] = node.inputs[4].clone();
        }
        hit
    });
    check(&soft, "lowers scores instead of dropping boxes");
    let kept = ConvertOptions {
        partition: PartitionOptions {
            deny_ops: ["TopKV2".to_owned()].into(),
            ..options(&names, false).partition
        },
        ..options(&names, false)
    };
    let lowered = lower(&Detector::default().nodes(), &kept);
    let notes = lowered.typed.notes.join("\n");
    assert!(notes.contains("is excluded"), "{notes}");
    let flag = lower(&Detector::default().nodes(), &options(&names, true));
    let notes = flag.typed.notes.join("\n");
    assert!(
        notes.contains("post-processing not fused: --keep-post-processing"),
        "{notes}"
    );
}

#[test]
fn the_report_says_what_replaces_a_node() {
    let detector = Detector::default();
    let nodes = detector.nodes();
    let options = options(&outputs(&detector), false);
    let report = Report::new(&lower(&nodes, &options), &options.partition);
    let replaced = report.replaced.iter();
    assert!(replaced.clone().all(|it| it.by == OP));
    let names: BTreeSet<&str> = replaced.map(|it| it.node.as_str()).collect();
    let mut suppressions = nodes
        .iter()
        .filter(|node| node.op.starts_with("NonMaxSuppression"));
    assert!(suppressions.clone().count() > 1);
    assert!(suppressions.all(|node| names.contains(node.name.as_str())));
    for node in &report.residual {
        let is_left = ["Placeholder", "Const", "Identity"].contains(&node.op.as_str());
        assert!(is_left, "{node:?}");
    }
    let line = format!("replaced   {} nodes by {OP}\n", names.len());
    let text = report.to_text("model", "graph");
    assert!(text.contains(&line), "{text}");
    let lines = report.to_csv();
    let lines = lines
        .lines()
        .filter(|line| line.ends_with(&format!(",replaced,,{OP}")));
    assert_eq!(lines.count(), names.len());
}

#[test]
fn rows_that_something_else_reads_are_not_padded() {
    let detector = Detector::default();
    let mut nodes = detector.nodes();
    let classes = nodes
        .iter()
        .position(|node| node.name == "detection_classes")
        .unwrap();
    let pad = nodes[classes].inputs[0].clone();
    let pad = nodes.iter().position(|node| node.name == pad).unwrap();
    let unpadded = nodes[pad].inputs[0].clone();
    nodes[classes].inputs[0] = unpadded;
    let names = outputs(&detector);
    let lowered = lower(&nodes, &options(&names, false));
    let ops = live_ops(&lowered);
    assert!(
        ops.contains(&OP.to_owned()) && ops.contains(&"Pad".to_owned()),
        "{ops:?}"
    );
    let (mut fused, mut many) = (
        session(lowered, &options(&names, false)),
        session(
            lower(&nodes, &options(&names, true)),
            &options(&names, true),
        ),
    );
    let inputs = feed(&fused, 3);
    let expected = run(&mut many, &inputs);
    for (actual, expected) in run(&mut fused, &inputs).iter().zip(&expected) {
        assert_eq!(actual.dtype(), expected.dtype());
        assert_eq!(actual.shape(), expected.shape());
        assert_eq!(actual.bytes(), expected.bytes());
    }
    assert_eq!(expected[0].dtype(), DType::F32);
}
