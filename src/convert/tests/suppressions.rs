//! Where suppressions of boxes run, with `--lower-nms` and without.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "not all of it is used here")]
mod source;

use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::tensorflow::SourceNode;
use tfjet_convert::{ConvertOptions, Lowered, find_target, lower_source};
use tfjet_core::{AttrValue, DType, Layer, NetworkSpec};

use source::{constant, node, placeholder};

/// What differs between the graphs here.
struct Graph {
    op: &'static str,
    boxes: Option<usize>,
    limit: i32,
    sigma: f32,
    pads: bool,
}

const PLAIN: Graph = Graph {
    op: "NonMaxSuppressionV3",
    boxes: Some(100),
    limit: 10,
    sigma: 0.0,
    pads: false,
};

impl Graph {
    /// The suppression reads what three other ops make.
    fn nodes(&self) -> Vec<SourceNode> {
        let mut inputs = vec!["scaled", "positive", "limit"];
        match self.op {
            "NonMaxSuppression" => {}
            "NonMaxSuppressionV2" => inputs.push("iou"),
            "NonMaxSuppressionV5" => inputs.extend(["iou", "score", "sigma"]),
            _ => inputs.extend(["iou", "score"]),
        }
        let mut op = node("nms", self.op, &inputs);
        if self.pads {
            op.attrs
                .insert("pad_to_max_output_size", AttrValue::Bool(true));
        }
        vec![
            placeholder("boxes", &[self.boxes, Some(4)]),
            constant("axis", &[1], &[1i32]),
            node("scores", "Max", &["boxes", "axis"]),
            constant("two", &[], &[2.0f32]),
            node("scaled", "Mul", &["boxes", "two"]),
            node("positive", "Relu", &["scores"]),
            constant("limit", &[], &[self.limit]),
            constant("iou", &[], &[0.5f32]),
            constant("score", &[], &[0.25f32]),
            constant("sigma", &[], &[self.sigma]),
            op,
        ]
    }

    fn lower(&self, target: &str, options: impl FnOnce(&mut PartitionOptions)) -> Lowered {
        let mut partition = PartitionOptions {
            min_segment_size: 1,
            lower_nms: true,
            target: find_target(target).unwrap(),
            ..PartitionOptions::default()
        };
        options(&mut partition);
        let options = ConvertOptions {
            partition,
            ..ConvertOptions::default()
        };
        lower_source(source::graph(self.nodes()), "graph", &options).unwrap()
    }
}

fn has_nms(network: &NetworkSpec) -> bool {
    let mut layers = network.layers.iter();
    layers.any(|layer| matches!(layer.layer, Layer::Nms { .. }))
}

/// The residual ops, each with the reason why it stays outside.
fn residual(lowered: &Lowered) -> Vec<(&str, &str)> {
    let residual = lowered.partition.residual.iter();
    let described = residual.map(|it| {
        let node = lowered.typed.graph.node(it.node);
        (node.op.as_str(), it.reason.0.as_str())
    });
    described.collect()
}

/// What the report says of padding.
fn padded(lowered: &Lowered) -> Option<&str> {
    let mut notes = lowered.typed.notes.iter();
    let note = notes.find(|note| note.contains("padded"));
    note.map(String::as_str)
}

#[test]
fn it_stays_outside_unless_it_is_asked_for() {
    for pads in [false, true] {
        let graph = Graph {
            op: "NonMaxSuppressionV4",
            pads,
            ..PLAIN
        };
        let lowered = graph.lower("x86-cpu", |options| options.lower_nms = false);
        assert!(!lowered.networks.iter().any(has_nms));
        let reason = "op type NonMaxSuppressionV4 is lowered with --lower-nms only";
        assert_eq!(residual(&lowered), [("NonMaxSuppressionV4", reason)]);
        assert_eq!(padded(&lowered), None);
    }
}

#[test]
fn a_graph_without_one_is_told_of() {
    let lower = |nodes: Vec<SourceNode>| {
        let options = ConvertOptions {
            partition: PartitionOptions {
                min_segment_size: 1,
                lower_nms: true,
                ..PartitionOptions::default()
            },
            ..ConvertOptions::default()
        };
        lower_source(source::graph(nodes), "graph", &options).unwrap()
    };
    let told = |lowered: &Lowered| {
        let mut notes = lowered.typed.notes.iter();
        notes.any(|note| note.starts_with("--lower-nms: there is no"))
    };
    let without = vec![
        placeholder("x", &[Some(2), Some(4)]),
        node("y", "Relu", &["x"]),
    ];
    assert!(told(&lower(without)));
    assert!(!told(&lower(PLAIN.nodes())));
}

#[test]
fn a_padded_one_is_in_the_segment_whole() {
    for op in ["NonMaxSuppressionV4", "NonMaxSuppressionV5"] {
        let graph = Graph {
            op,
            pads: true,
            limit: 200,
            ..PLAIN
        };
        for target in ["x86-cpu", "agx-xavier", "agx-orin"] {
            let lowered = graph.lower(target, |_| {});
            assert_eq!(residual(&lowered), [], "{op} for {target}");
            assert_eq!(lowered.networks.len(), 1);
            assert!(lowered.networks[0].waits_for_values());
            let outputs = &lowered.networks[0].outputs;
            let first = lowered.networks[0].tensor(outputs[0]).unwrap();
            assert_eq!(
                (first.dtype, first.shape.as_fixed()),
                (DType::I32, Some(vec![200]))
            );
            assert_eq!(padded(&lowered), None);
        }
    }
}

#[test]
fn of_an_open_one_what_is_selected_is_cut_outside() {
    for (op, cuts) in [
        ("NonMaxSuppression", 1),
        ("NonMaxSuppressionV2", 1),
        ("NonMaxSuppressionV3", 1),
        ("NonMaxSuppressionV4", 1),
        ("NonMaxSuppressionV5", 2),
    ] {
        for (limit, size) in [(10, 10), (1 << 30, 100)] {
            let lowered = Graph { op, limit, ..PLAIN }.lower("agx-orin", |_| {});
            let ops: Vec<&str> = residual(&lowered).iter().map(|(op, _)| *op).collect();
            assert_eq!(ops, vec!["Slice"; cuts], "{op}");
            assert_eq!(lowered.networks.len(), 1, "{op}");
            let mut layers = lowered.networks[0].layers.iter();
            let asked = layers.find_map(|layer| match layer.layer {
                Layer::Nms {
                    max_output_boxes,
                    score_threshold,
                    ..
                } => Some((max_output_boxes, score_threshold)),
                _ => None,
            });
            let threshold = match op {
                "NonMaxSuppression" | "NonMaxSuppressionV2" => f32::MIN,
                _ => 0.25,
            };
            assert_eq!(asked, Some((size, threshold)), "{op}");
            let note = "1 suppression of boxes padded for the engine, the result cut behind it";
            assert_eq!(padded(&lowered), Some(note));
        }
    }
}

#[test]
fn what_a_release_lacks_is_a_reason() {
    let whole = Graph {
        op: "NonMaxSuppressionV4",
        pads: true,
        ..PLAIN
    };
    for (graph, target, expected) in [
        (&whole, "nano", "TensorRT 8.2.1 has no Nms before 8.5"),
        (&PLAIN, "nano", "TensorRT 8.2.1 has no Nms before 8.5"),
        (&PLAIN, "x86-rtx", "has nothing that computes an Nms"),
        (
            &Graph {
                boxes: Some(5001),
                ..PLAIN
            },
            "agx-xavier",
            "has Nms look at 5000 boxes at most, not 5001",
        ),
        (
            &Graph {
                boxes: None,
                ..PLAIN
            },
            "agx-xavier",
            "has Nms look at 5000 boxes at most, and how many there are is open",
        ),
    ] {
        let lowered = graph.lower(target, |_| {});
        let found = residual(&lowered);
        let (op, reason) = found[0];
        assert_eq!(op, "NonMaxSuppressionV4");
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn what_no_layer_does_stays_as_it_is() {
    let open = |limit, sigma| Graph {
        op: "NonMaxSuppressionV5",
        limit,
        sigma,
        ..PLAIN
    };
    for (graph, expected) in [
        (open(10, 0.5), "it lowers scores instead of dropping boxes"),
        (
            Graph {
                pads: true,
                ..open(10, 0.5)
            },
            "it lowers scores instead of dropping boxes",
        ),
        (
            Graph {
                boxes: None,
                limit: 5001,
                ..PLAIN
            },
            "the size of its result follows from values",
        ),
    ] {
        let lowered = graph.lower("x86-cpu", |_| {});
        let found = residual(&lowered);
        let (op, reason) = found[0];
        assert_eq!((op, found.len()), (graph.op, 1));
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(padded(&lowered), None);
    }
}

#[test]
fn an_excluded_one_stays_as_it_is() {
    let lowered = PLAIN.lower("x86-cpu", |options| {
        options.exclude_nodes.insert("nms".into());
    });
    let reason = "excluded by --exclude-node";
    assert_eq!(residual(&lowered), [("NonMaxSuppressionV3", reason)]);
}

/// A `CombinedNonMaxSuppression` of what two other ops make: images, boxes, sets of boxes and
/// classes.
fn combined([images, boxes, sets, classes]: [Option<usize>; 4], limit: i32) -> Vec<SourceNode> {
    vec![
        placeholder("boxes", &[images, boxes, sets, Some(4)]),
        placeholder("scores", &[images, boxes, classes]),
        node("scaled", "Abs", &["boxes"]),
        node("positive", "Relu", &["scores"]),
        constant("of_class", &[], &[10i32]),
        constant("limit", &[], &[limit]),
        constant("iou", &[], &[0.5f32]),
        constant("score", &[], &[0.25f32]),
        node(
            "nms",
            "CombinedNonMaxSuppression",
            &["scaled", "positive", "of_class", "limit", "iou", "score"],
        ),
    ]
}

fn lower_combined(nodes: Vec<SourceNode>, target: &str, lower_nms: bool) -> Lowered {
    let options = ConvertOptions {
        partition: PartitionOptions {
            min_segment_size: 1,
            lower_nms,
            target: find_target(target).unwrap(),
            ..PartitionOptions::default()
        },
        ..ConvertOptions::default()
    };
    lower_source(source::graph(nodes), "graph", &options).unwrap()
}

#[test]
fn a_combined_one_is_in_the_segment_whole_where_it_is_asked_for() {
    for (sizes, rows) in [
        ([1, 100, 1, 80], 800),
        ([2, 9, 3, 3], 54),
        ([1, 5, 1, 1], 5),
    ] {
        let nodes = || combined(sizes.map(Some), 20);
        let reason = "op type CombinedNonMaxSuppression is lowered with --lower-nms only";
        let lowered = lower_combined(nodes(), "agx-orin", false);
        assert_eq!(residual(&lowered), [("CombinedNonMaxSuppression", reason)]);
        let lowered = lower_combined(nodes(), "agx-orin", true);
        assert_eq!(residual(&lowered), []);
        let network = &lowered.networks[0];
        let mut layers = network.layers.iter();
        let nms = layers.find(|layer| matches!(layer.layer, Layer::Nms { .. }));
        let selected = network.tensor(nms.unwrap().outputs[0]).unwrap();
        assert_eq!(selected.shape.as_fixed(), Some(vec![rows, 2]));
        let shapes = network.outputs.iter().map(|id| {
            let shape = network.tensor(*id).unwrap().shape.as_fixed();
            shape.unwrap()
        });
        let images = sizes[0];
        let expected = [
            vec![images, 20, 4],
            vec![images, 20],
            vec![images, 20],
            vec![images],
        ];
        assert_eq!(shapes.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_keeps_a_combined_one_outside_is_a_reason() {
    let sizes = [1, 100, 1, 80].map(Some);
    for (nodes, target, expected) in [
        (
            combined(sizes, 20),
            "nano",
            "TensorRT 8.2.1 has no Nms before 8.5",
        ),
        (
            combined(sizes, 20),
            "x86-rtx",
            "has nothing that computes an Nms",
        ),
        (
            combined([1, 5000, 1, 400].map(Some), 4000),
            "agx-orin",
            "it sorts for the best 4000 boxes, 3840 is the most",
        ),
        (
            combined([1, 5001, 1, 80].map(Some), 20),
            "agx-orin",
            "has Nms look at 5000 boxes at most, not 5001",
        ),
        (
            combined([Some(1), None, Some(1), Some(80)], 20),
            "agx-orin",
            "are not known to be [b, n, q, 4] and [b, n, c]",
        ),
        (
            combined([64, 5000, 1, 600].map(Some), 20),
            "agx-orin",
            "it has too many boxes to sort",
        ),
    ] {
        let lowered = lower_combined(nodes, target, true);
        let found = residual(&lowered);
        let (op, reason) = found[0];
        assert_eq!(op, "CombinedNonMaxSuppression");
        assert!(reason.contains(expected), "{reason}");
    }
}
