//! Graphs that were trained with rounding: what rounds activations to 8 bits becomes ranges.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[allow(dead_code, reason = "not all of it is used here")]
mod quantized;
#[allow(dead_code, reason = "not all of it is used here")]
mod source;

use tfjet_convert::calibrate::{CalibrateError, Choice, quantize};
use tfjet_convert::tensorflow::SourceNode;
use tfjet_convert::{ConvertOptions, Lowered};
use tfjet_core::{AttrValue, LayerPrecision};

use quantized::{
    conv, conv_by, image, input_of, kinds, lower, network, noise, options, precisions,
    range_before, rounded, table, with,
};
use source::{constant, node};

/// Without taking ranges the graph rounds in floats, by arithmetic.
fn expect_rounding(parts: &[Vec<SourceNode>]) {
    let lowered = lower(parts, &options(false));
    assert!(kinds(&lowered).contains(&"ElementWise"));
    assert!(lowered.graph_ranges.iter().all(|ranges| ranges.is_empty()));
}

fn taken(parts: &[Vec<SourceNode>]) -> Lowered {
    lower(parts, &options(true))
}

fn no_arithmetic(lowered: &Lowered) {
    let kinds = kinds(lowered);
    assert!(
        !kinds.contains(&"ElementWise") && !kinds.contains(&"Unary"),
        "{kinds:?}"
    );
}

#[test]
fn rounding_of_activations_becomes_ranges() {
    let vars = |name: &str, input: &str, low: f32, high: f32| {
        let (min, max) = (format!("{name}/min"), format!("{name}/max"));
        vec![
            constant(&min, &[], &[low]),
            constant(&max, &[], &[high]),
            node(name, "FakeQuantWithMinMaxVars", &[input, &min, &max]),
        ]
    };
    let graph = [
        vec![image()],
        vars("x_q", "x", -1.0, 2.0),
        conv("first", "x_q"),
        vec![
            node("relu", "Relu6", &["first"]),
            rounded("relu_q", "relu", 0.0, 6.0, 8),
        ],
        conv("second", "relu_q"),
        vars("out", "second", -7.5, 3.0),
    ];
    expect_rounding(&graph);
    let lowered = taken(&graph);
    no_arithmetic(&lowered);
    assert_eq!(range_before(&lowered, "first"), Some(2.0));
    assert_eq!(range_before(&lowered, "second"), Some(6.0));
    let network = network(&lowered);
    let of = |id| lowered.graph_ranges[0].get(&id).copied();
    assert_eq!(of(network.inputs[0]), Some(2.0));
    assert_eq!(of(network.outputs[0]), Some(7.5));
    assert_eq!(network.tensor(network.outputs[0]).unwrap().name, "out");
}

#[test]
fn every_op_that_rounds_in_one_range_is_taken() {
    let scalars = vec![
        constant("low", &[], &[-3.0f32]),
        constant("high", &[], &[1.5f32]),
    ];
    let given = ("range_given", AttrValue::Bool(true));
    let bits = constant("bits", &[], &[8i32]);
    let inputs = ["x", "low", "high"];
    let v3 = ["x", "low", "high", "bits"];
    for rounding in [
        vec![rounded("q", "x", -3.0, 1.5, 8)],
        vec![node("q", "FakeQuantWithMinMaxVars", &inputs)],
        vec![with(
            node("q", "QuantizeAndDequantizeV2", &inputs),
            std::slice::from_ref(&given),
        )],
        vec![
            bits,
            with(
                node("q", "QuantizeAndDequantizeV3", &v3),
                std::slice::from_ref(&given),
            ),
        ],
        vec![with(
            node("q", "QuantizeAndDequantizeV4", &inputs),
            std::slice::from_ref(&given),
        )],
    ] {
        let graph = [vec![image()], scalars.clone(), rounding, conv("conv", "q")];
        expect_rounding(&graph);
        let lowered = taken(&graph);
        no_arithmetic(&lowered);
        assert_eq!(range_before(&lowered, "conv"), Some(3.0));
    }
}

#[test]
fn other_widths_and_ranges_for_channels_round_in_floats() {
    let channels = |name: &str, value: f32| constant(name, &[4], &[value; 4]);
    let per_channel = node(
        "q",
        "FakeQuantWithMinMaxVarsPerChannel",
        &["x", "low", "high"],
    );
    for (rounding, because) in [
        (vec![rounded("q", "x", -1.0, 1.0, 4)], "4 bits"),
        (vec![rounded("q", "x", -1.0, 1.0, 16)], "16 bits"),
        (
            vec![channels("low", -1.0), channels("high", 1.0), per_channel],
            "a range for each channel",
        ),
    ] {
        let graph = [vec![image()], rounding, conv("conv", "q")];
        let (lowered, plain) = (taken(&graph), lower(&graph, &options(false)));
        assert_eq!(lowered.networks, plain.networks);
        assert!(lowered.graph_ranges[0].is_empty());
        let note =
            format!("1 nodes round in floats and give no range for INT8, first `q`: {because}");
        assert!(
            lowered.typed.notes.contains(&note),
            "{:?}",
            lowered.typed.notes
        );
    }
}

#[test]
fn of_several_ranges_of_a_tensor_the_widest_is_taken() {
    let graph = [
        vec![image(), node("relu", "Relu", &["x"])],
        vec![
            rounded("a", "relu", -1.0, 1.0, 8),
            rounded("b", "relu", 0.0, 4.0, 8),
        ],
        conv("first", "a"),
        conv("second", "b"),
    ];
    let lowered = taken(&graph);
    for layer in ["first", "second"] {
        assert_eq!(range_before(&lowered, layer), Some(4.0));
    }
    let note = "is rounded in 2 different ranges: the widest, 4, is taken";
    let notes = &lowered.typed.notes;
    assert!(notes.iter().any(|it| it.ends_with(note)), "{notes:?}");
    let same = [
        vec![image(), node("relu", "Relu", &["x"])],
        vec![
            rounded("a", "relu", -4.0, 1.0, 8),
            rounded("b", "relu", 0.0, 4.0, 8),
        ],
        conv("first", "a"),
        conv("second", "b"),
    ];
    let lowered = taken(&same);
    assert_eq!(range_before(&lowered, "first"), Some(4.0));
    assert!(
        !lowered
            .typed
            .notes
            .iter()
            .any(|it| it.contains("different ranges"))
    );
}

#[test]
fn rounding_twice_leaves_what_lies_in_both_ranges() {
    for (first, second) in [(6.0, 2.0), (2.0, 6.0)] {
        let twice = [
            vec![image(), rounded("a", "x", -first, first, 8)],
            vec![rounded("b", "a", -second, second, 8)],
            conv("conv", "b"),
        ];
        assert_eq!(range_before(&taken(&twice), "conv"), Some(2.0));
    }
    let shared = [
        vec![
            image(),
            rounded("a", "x", -6.0, 6.0, 8),
            rounded("b", "a", -2.0, 2.0, 8),
        ],
        conv("first", "a"),
        conv("second", "b"),
    ];
    let lowered = taken(&shared);
    for layer in ["first", "second"] {
        assert_eq!(range_before(&lowered, layer), Some(6.0));
    }
}

#[test]
fn rounded_weights_keep_their_steps() {
    // One range for all channels, so that most channels end below it.
    let kernel = constant(
        "weights",
        &[3, 3, 4, 4],
        &noise(144)
            .iter()
            .enumerate()
            .map(|(i, it)| it * [1.0f32, 0.61, 0.32, 0.0][i % 4])
            .collect::<Vec<_>>(),
    );
    let narrow = ("narrow_range", AttrValue::Bool(true));
    let factors: Vec<f32> = vec![0.37, -2.9, 1.3, 5.0];
    let graph = [
        vec![image(), rounded("x_q", "x", -1.0, 1.0, 8), kernel],
        vec![with(
            rounded("weights_q", "weights", -1.0, 1.0, 8),
            &[narrow],
        )],
        vec![
            conv_by("conv", "x_q", "weights_q"),
            constant("factors", &[4], &factors),
        ],
        vec![node("scaled", "Mul", &["conv", "factors"])],
    ];
    let mut lowered = taken(&graph);
    no_arithmetic(&lowered);
    let placed = quantize(&mut lowered, &Choice::default()).unwrap();
    assert_eq!((placed.int8, placed.fp16.len()), (1, 0));
    let network = network(&lowered);
    let index = network
        .layers
        .iter()
        .position(|it| it.layer.kind() == "Convolution")
        .unwrap();
    let LayerPrecision::Int8 { channels } =
        &lowered.quantizations[0].as_ref().unwrap().layers[index]
    else {
        panic!("not in INT8");
    };
    for (range, factor) in channels.iter().zip(&factors).take(3) {
        assert!((range / factor.abs() - 1.0).abs() < 1e-3, "{channels:?}");
    }
    assert_eq!(channels[3], 0.0);
    let id = network.layers[index].layer.weights()[0];
    let weights = lowered.weights.get(id).unwrap().as_slice::<f32>().unwrap();
    for (values, range) in weights.chunks(36).zip(channels).take(3) {
        for value in values {
            let steps = value / range * 127.0;
            assert!((steps - steps.round()).abs() < 1e-3, "{steps}");
        }
    }
}

#[test]
fn a_graph_that_only_rounds_copies() {
    let lowered = taken(&[vec![image(), rounded("q", "x", -1.0, 1.0, 8)]]);
    assert_eq!(kinds(&lowered), ["Shuffle"]);
    let network = network(&lowered);
    assert_eq!(network.tensor(network.outputs[0]).unwrap().name, "q");
    assert_eq!(lowered.graph_ranges[0].len(), 2);
}

#[test]
fn ranges_that_are_no_numbers_are_not_taken() {
    for (low, high) in [(f32::NAN, 1.0), (-1.0, f32::INFINITY), (-3e38, 3e38)] {
        let graph = [
            vec![image(), rounded("q", "x", low, high, 8)],
            conv("conv", "q"),
        ];
        assert!(taken(&graph).graph_ranges[0].is_empty(), "{low} {high}");
    }
}

#[test]
fn ranges_survive_the_folding_of_scales_and_padding() {
    let paddings = constant("paddings", &[4, 2], &[0i32, 0, 1, 1, 2, 2, 0, 0]);
    let graph = [
        vec![image()],
        conv("first", "x"),
        vec![constant("factors", &[4], &[0.5f32, 1.0, 2.0, 3.0])],
        vec![constant("offset", &[4], &[0.5f32; 4])],
        vec![node("scaled", "Mul", &["first", "factors"])],
        vec![node("bias", "BiasAdd", &["scaled", "offset"])],
        vec![rounded("bias_q", "bias", -3.0, 3.5, 8), paddings],
        vec![with(
            node("pad", "Pad", &["bias_q", "paddings"]),
            &[("Tpaddings", AttrValue::Type(Some(tfjet_core::DType::I32)))],
        )],
        vec![rounded("pad_q", "pad", -3.0, 3.5, 8)],
        conv("second", "pad_q"),
    ];
    let lowered = taken(&graph);
    let expected = ["Shuffle", "Convolution", "Convolution", "Shuffle"];
    assert_eq!(kinds(&lowered), expected);
    assert_eq!(range_before(&lowered, "second"), Some(3.5));
    // Only the padded tensor was rounded, and it is gone.
    let graph = [
        graph[..6].concat(),
        vec![graph[6][1].clone(), graph[7][0].clone()],
        vec![
            node("relu", "Relu", &["pad"]),
            rounded("pad_q", "pad", -2.0, 2.5, 8),
        ],
        conv("second", "pad_q"),
    ];
    let mut graph = graph.concat();
    for node in &mut graph {
        node.inputs
            .iter_mut()
            .filter(|it| *it == "bias_q")
            .for_each(|it| *it = "bias".into());
    }
    graph.retain(|node| node.name != "relu");
    let lowered = taken(&[graph]);
    assert_eq!(kinds(&lowered), expected);
    assert_eq!(range_before(&lowered, "second"), Some(2.5));
}

/// `y * factor * relu6(y + 3)` of a convolution, with everything rounded that can be.
fn hard_swish(factor: f32) -> Vec<Vec<SourceNode>> {
    vec![
        vec![image(), rounded("x_q", "x", -1.0, 1.0, 8)],
        conv("first", "x_q"),
        vec![
            rounded("y", "first", -5.0, 4.0, 8),
            constant("three", &[], &[3.0f32]),
        ],
        vec![
            node("shifted", "AddV2", &["y", "three"]),
            node("relu", "Relu6", &["shifted"]),
        ],
        vec![
            rounded("relu_q", "relu", 0.0, 6.0, 8),
            constant("sixth", &[], &[factor]),
        ],
        vec![
            node("share", "Mul", &["y", "sixth"]),
            node("swish", "Mul", &["share", "relu_q"]),
        ],
        vec![rounded("swish_q", "swish", -0.5, 4.5, 8)],
        conv("second", "swish_q"),
    ]
}

#[test]
fn ranges_follow_the_values_into_hard_sigmoids() {
    for factor in [1.0 / 6.0, 0.17, 0.25] {
        let lowered = taken(&hard_swish(factor));
        let expected = [
            "Shuffle",
            "Convolution",
            "Activation",
            "ElementWise",
            "Convolution",
            "Shuffle",
        ];
        assert_eq!(kinds(&lowered), expected);
        let network = network(&lowered);
        let range = |id| lowered.graph_ranges[0][&id];
        let product = input_of(network, "second");
        let expected = 4.5 / (factor * 6.0);
        assert!(
            (range(product) - expected).abs() < 1e-5,
            "{factor}: {}",
            range(product)
        );
        let multiply = network
            .layers
            .iter()
            .find(|it| it.outputs == [product])
            .unwrap();
        assert_eq!(range(multiply.inputs[0]), 5.0);
        assert!((range(multiply.inputs[1]) - 1.0).abs() < 1e-6);
    }
}

#[test]
fn a_trained_model_needs_no_table() {
    let graph = hard_swish(1.0 / 6.0);
    let mut lowered = taken(&graph);
    let placed = quantize(&mut lowered, &Choice::default()).unwrap();
    assert_eq!(
        (placed.int8, placed.fp16, placed.warnings),
        (2, vec![], vec![])
    );
    let mut without = lower(&graph, &options(false));
    let error = quantize(&mut without, &Choice::default()).unwrap_err();
    assert_eq!(error, CalibrateError::NoRanges);
    assert_eq!(without.quantizations, [None]);
}

#[test]
fn the_graphs_ranges_come_before_the_tables() {
    let graph = [
        vec![image(), rounded("q", "x", -2.0, 1.0, 8)],
        conv("first", "q"),
        vec![node("relu", "Relu", &["first"])],
        conv("second", "relu"),
    ];
    let mut lowered = taken(&graph);
    let choice = Choice {
        table: Some(table(&lowered, 9.0)),
        ..Choice::default()
    };
    assert_eq!(quantize(&mut lowered, &choice).unwrap().int8, 2);
    let ranges = lowered.quantizations[0].as_ref().unwrap();
    let range = |layer| ranges.range(input_of(&lowered.networks[0], layer));
    assert_eq!((range("first"), range("second")), (Some(2.0), Some(9.0)));
    let mut alone = taken(&graph);
    let placed = quantize(&mut alone, &Choice::default()).unwrap();
    let reason = &placed.fp16[0].reason;
    assert_eq!(reason, "no range of its input `relu` is known");
    let expected = [("first".to_owned(), "int8"), ("second".to_owned(), "fp16")];
    assert_eq!(precisions(&alone), expected.into());
}

#[test]
fn targets_have_the_same_ranges() {
    let graph = hard_swish(1.0 / 6.0);
    for name in ["x86-cpu", "agx-xavier", "agx-orin", "x86-rtx"] {
        let mut options: ConvertOptions = options(true);
        options.partition.target = tfjet_convert::find_target(name).unwrap();
        let lowered = lower(&graph, &options);
        assert_eq!(range_before(&lowered, "first"), Some(1.0), "{name}");
    }
}
