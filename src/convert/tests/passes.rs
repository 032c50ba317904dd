//! What the passes make of small graphs, seen in the lowered networks.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use tfjet_convert::tensorflow::{Format, SourceGraph, SourceNode};
use tfjet_convert::{ConvertOptions, Lowered, lower_source};
use tfjet_core::{ActivationType, AttrValue, Attrs, DType, Dim, Layer, Shape, Tensor};

struct Source(Vec<SourceNode>);

impl Source {
    fn image() -> Self {
        let mut source = Self(Vec::new());
        let dims = vec![
            Dim::Symbolic("?".into()),
            Dim::Fixed(8),
            Dim::Fixed(8),
            Dim::Fixed(4),
        ];
        source.node(
            "x",
            "Placeholder",
            &[],
            &[
                ("dtype", AttrValue::Type(Some(DType::F32))),
                ("shape", AttrValue::Shape(Some(Shape(dims)))),
            ],
        );
        source
    }

    fn node(&mut self, name: &str, op: &str, inputs: &[&str], attrs: &[(&str, AttrValue)]) {
        let mut all = Attrs::default().with("T", AttrValue::Type(Some(DType::F32)));
        for (name, value) in attrs {
            all.insert(*name, value.clone());
        }
        self.0.push(SourceNode {
            name: name.into(),
            op: op.into(),
            device: String::new(),
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            attrs: all,
        });
    }

    fn constant(&mut self, name: &str, value: Tensor) {
        let dtype = AttrValue::Type(Some(value.dtype()));
        let attrs = Attrs::default()
            .with("dtype", dtype)
            .with("value", AttrValue::Tensor(value));
        self.0.push(SourceNode {
            name: name.into(),
            op: "Const".into(),
            device: String::new(),
            inputs: Vec::new(),
            attrs,
        });
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.constant(name, Tensor::from_slice(shape, values).unwrap());
    }

    fn integers(&mut self, name: &str, shape: &[usize], values: &[i32]) {
        self.constant(name, Tensor::from_slice(shape, values).unwrap());
    }

    fn conv(&mut self, name: &str, input: &str, padding: &str) {
        let kernel: Vec<f32> = (0..4 * 4 * 9).map(|i| i as f32 / 100.0).collect();
        self.floats(&format!("{name}/kernel"), &[3, 3, 4, 4], &kernel);
        self.node(
            name,
            "Conv2D",
            &[input, &format!("{name}/kernel")],
            &[
                ("strides", AttrValue::Ints(vec![1, 1, 1, 1])),
                ("padding", AttrValue::Str(padding.into())),
            ],
        );
    }

    fn lower(self) -> Lowered {
        let source = SourceGraph {
            nodes: self.0,
            signature: None,
            functions: Vec::new(),
            producer: 0,
            format: Format::FrozenGraph,
            notes: Vec::new(),
        };
        lower_source(source, "test", &ConvertOptions::default()).unwrap()
    }
}

fn kinds(lowered: &Lowered) -> Vec<&'static str> {
    assert_eq!(
        lowered.networks.len(),
        1,
        "{:?}",
        lowered.partition.residual
    );
    let layers = lowered.networks[0].layers.iter();
    layers.map(|layer| layer.layer.kind()).collect()
}

#[test]
fn batch_norm_and_bias_merge_into_the_convolution() {
    let mut source = Source::image();
    source.conv("conv", "x", "SAME");
    for (name, value) in [
        ("gamma", 2.0),
        ("beta", 1.0),
        ("mean", 0.5),
        ("variance", 0.25),
    ] {
        source.floats(name, &[4], &[value; 4]);
    }
    source.node(
        "norm",
        "FusedBatchNormV3",
        &["conv", "gamma", "beta", "mean", "variance"],
        &[
            ("is_training", AttrValue::Bool(false)),
            ("epsilon", AttrValue::Float(0.0)),
        ],
    );
    source.floats("offset", &[4], &[10.0; 4]);
    source.node("bias", "BiasAdd", &["norm", "offset"], &[]);
    source.node("relu", "Relu", &["bias"], &[]);
    let lowered = source.lower();
    assert_eq!(
        kinds(&lowered),
        ["Shuffle", "Convolution", "Activation", "Shuffle"]
    );
    let Layer::Convolution { kernel, bias, .. } = &lowered.networks[0].layers[1].layer else {
        panic!("no convolution");
    };
    let kernel = lowered.weights.get(*kernel).unwrap();
    // gamma / sqrt(variance) = 4; HWIO (0, 0, 0, 1) is KCRS (1, 0, 0, 0).
    assert_eq!(kernel.as_slice::<f32>().unwrap()[36], 0.01 * 4.0);
    let bias = lowered.weights.get(bias.unwrap()).unwrap();
    // beta - mean * 4 + 10
    assert_eq!(bias.as_slice::<f32>().unwrap(), [9.0; 4]);
    assert_eq!(lowered.transposes(), 2);
}

#[test]
fn zero_padding_merges_into_the_convolution_behind_it() {
    let mut source = Source::image();
    source.integers("paddings", &[4, 2], &[0, 0, 1, 2, 3, 0, 0, 0]);
    source.node("pad", "Pad", &["x", "paddings"], &[]);
    source.conv("conv", "pad", "VALID");
    let lowered = source.lower();
    let convolution = lowered.networks[0]
        .layers
        .iter()
        .find_map(|layer| match &layer.layer {
            Layer::Convolution {
                pre_padding,
                post_padding,
                ..
            } => Some((pre_padding.clone(), post_padding.clone())),
            _ => None,
        });
    assert!(!kinds(&lowered).contains(&"Slice"));
    assert_eq!(convolution, Some((vec![1, 3], vec![2, 0])));
}

#[test]
fn zero_padding_merges_into_the_maximum_behind_it_where_nothing_is_negative() {
    for (before, pool, padding, merged) in [
        (Some("Relu"), "MaxPool", 1, true),
        (Some("Relu6"), "MaxPool", 2, true),
        (Some("Sigmoid"), "MaxPool", 1, true),
        (Some("Relu"), "MaxPool", 3, false),
        (Some("Relu"), "AvgPool", 1, false),
        (Some("Elu"), "MaxPool", 1, false),
        (None, "MaxPool", 1, false),
    ] {
        let mut source = Source::image();
        source.conv("conv", "x", "SAME");
        let mut last = "conv";
        if let Some(op) = before {
            source.node("positive", op, &["conv"], &[]);
            last = "positive";
        }
        let paddings = [0, 0, padding, 1, 0, padding, 0, 0];
        source.integers("paddings", &[4, 2], &paddings);
        source.node("pad", "Pad", &[last, "paddings"], &[]);
        source.node(
            "pool",
            pool,
            &["pad"],
            &[
                ("ksize", AttrValue::Ints(vec![1, 3, 3, 1])),
                ("strides", AttrValue::Ints(vec![1, 2, 2, 1])),
                ("padding", AttrValue::Str("VALID".into())),
            ],
        );
        let lowered = source.lower();
        let layers = &lowered.networks[0].layers;
        let found = layers.iter().find_map(|layer| match &layer.layer {
            Layer::Pooling {
                pre_padding,
                post_padding,
                ..
            } => Some((pre_padding.clone(), post_padding.clone())),
            _ => None,
        });
        let amount = usize::try_from(padding).unwrap();
        let expected = match merged {
            true => (vec![amount, 0], vec![1, amount]),
            false => (vec![0, 0], vec![0, 0]),
        };
        assert_eq!(found, Some(expected), "{before:?} {pool} {padding}");
        let slices = kinds(&lowered)
            .iter()
            .filter(|kind| **kind == "Slice")
            .count();
        assert_eq!(slices, usize::from(!merged), "{before:?} {pool} {padding}");
    }
}

#[test]
fn a_written_out_hard_swish_becomes_a_hard_sigmoid() {
    for (sixth, behind, fused) in [
        (1.0 / 6.0, false, true),
        (0.166_625_98, true, true),
        (0.166_625_98, false, false),
    ] {
        let mut source = Source::image();
        source.conv("conv", "x", "SAME");
        source.floats("three", &[], &[3.0]);
        source.floats("sixth", &[], &[sixth]);
        source.node("shift", "AddV2", &["conv", "three"], &[]);
        source.node("clip", "Relu6", &["shift"], &[]);
        source.node("scaled", "Mul", &["conv", "sixth"], &[]);
        source.node("swish", "Mul", &["scaled", "clip"], &[]);
        if behind {
            source.conv("next", "swish", "SAME");
        }
        let lowered = source.lower();
        let hard = lowered.networks[0].layers.iter().any(|layer| {
            matches!(
                layer.layer,
                Layer::Activation {
                    kind: ActivationType::HardSigmoid,
                    beta: 0.5,
                    ..
                }
            )
        });
        assert_eq!(hard, fused, "{sixth} {behind}");
        assert_eq!(
            kinds(&lowered).contains(&"Scale"),
            !fused,
            "{sixth} {behind}"
        );
    }
}

#[test]
fn shape_arithmetic_over_an_unknown_batch_folds_away() {
    let mut source = Source::image();
    source.conv("conv", "x", "SAME");
    source.node(
        "shape",
        "Shape",
        &["conv"],
        &[("out_type", AttrValue::Type(Some(DType::I32)))],
    );
    source.integers("zero", &[1], &[0]);
    source.integers("one", &[1], &[1]);
    source.node(
        "batch",
        "StridedSlice",
        &["shape", "zero", "one", "one"],
        &[("shrink_axis_mask", AttrValue::Int(1))],
    );
    source.integers("rest", &[], &[-1]);
    source.node(
        "target",
        "Pack",
        &["batch", "rest"],
        &[("N", AttrValue::Int(2)), ("axis", AttrValue::Int(0))],
    );
    source.node("flat", "Reshape", &["conv", "target"], &[]);
    source.node("relu", "Relu", &["flat"], &[]);
    let lowered = source.lower();
    assert!(lowered.partition.residual.is_empty());
    let output = lowered.typed.fact(lowered.typed.graph.outputs[0].wire);
    assert_eq!(output.shape.as_ref().unwrap().to_string(), "[x_0,256]");
    assert_eq!(kinds(&lowered).last(), Some(&"Activation"));
}

#[test]
fn no_ops_and_constant_expressions_leave_no_layer() {
    let mut source = Source::image();
    source.floats("two", &[], &[2.0]);
    source.node("four", "Mul", &["two", "two"], &[]);
    source.node("same", "Identity", &["x"], &[]);
    source.node("sum", "AddV2", &["same", "four"], &[]);
    source.node("stop", "StopGradient", &["sum"], &[]);
    source.node("product", "Mul", &["stop", "four"], &[]);
    source.node("out", "Identity", &["product"], &[]);
    let lowered = source.lower();
    let computing = kinds(&lowered)
        .into_iter()
        .filter(|kind| *kind != "Constant");
    assert_eq!(
        computing.collect::<Vec<_>>(),
        ["ElementWise", "ElementWise"]
    );
}
