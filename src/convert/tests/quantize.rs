//! Which layers get INT8, by tables of ranges, and why others do not.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[allow(dead_code, reason = "not all of it is used here")]
mod quantized;
#[allow(dead_code, reason = "not all of it is used here")]
mod source;

use std::collections::BTreeMap;

use tfjet_convert::calibrate::{
    CalibrateError, Choice, Placed, Table, TableEntry, candidates, fingerprint, quantize,
    weight_magnitudes,
};
use tfjet_convert::tensorflow::SourceNode;
use tfjet_convert::{Lowered, lower_source};
use tfjet_core::{AttrValue, DType, Layer, LayerPrecision, Precision};

use quantized::{
    conv, entry, image, input_of, lower, network, noise, options, precisions, rounded, table, with,
};
use source::{constant, graph, node, placeholder};

/// `x -> first -> relu -> second`.
fn two() -> Vec<Vec<SourceNode>> {
    vec![
        vec![image()],
        conv("first", "x"),
        vec![node("relu", "Relu", &["first"])],
        conv("second", "relu"),
    ]
}

fn by(table: Table) -> Choice {
    Choice {
        table: Some(table),
        ..Choice::default()
    }
}

/// Quantizes `two` by a table that `change` has had its way with.
fn changed(change: impl FnOnce(&mut Table)) -> (Lowered, Result<Placed, CalibrateError>) {
    let mut lowered = lower(&two(), &options(false));
    let mut table = table(&lowered, 2.0);
    change(&mut table);
    let placed = quantize(&mut lowered, &by(table));
    (lowered, placed)
}

type Change = fn(&mut Table);

/// The entry of what layer `second` reads.
fn relu(table: &mut Table) -> &mut TableEntry {
    table.tensors.get_mut("segment_0/relu").unwrap()
}

fn expect(lowered: &Lowered, first: &'static str, second: &'static str) {
    let expected = [("first".to_owned(), first), ("second".to_owned(), second)];
    assert_eq!(precisions(lowered), expected.into());
}

#[test]
fn layers_of_known_ranges_are_int8() {
    let (lowered, placed) = changed(|_| {});
    let placed = placed.unwrap();
    assert_eq!(
        (placed.int8, placed.fp16, placed.warnings),
        (2, vec![], vec![])
    );
    expect(&lowered, "int8", "int8");
    let network = network(&lowered);
    let quantization = lowered.quantizations[0].as_ref().unwrap();
    quantization.check(network).unwrap();
    assert!(quantization.ranges.iter().all(|range| *range == Some(2.0)));
    let rounded = quantization.rounded(network);
    assert_eq!(rounded.iter().flatten().count(), 2);
    let weights = weight_magnitudes(&lowered);
    let expected: Vec<f32> = (0..4)
        .map(|k| {
            (0..36)
                .map(|i| noise(144)[i * 4 + k].abs())
                .fold(0.0, f32::max)
        })
        .collect();
    assert_eq!(weights["segment_0/first"], expected);
    for (layer, precision) in network.layers.iter().zip(&quantization.layers) {
        match (&layer.layer, precision) {
            (Layer::Convolution { .. }, LayerPrecision::Int8 { channels }) => {
                assert_eq!(*channels, expected);
            }
            (_, precision) => assert_eq!(*precision, LayerPrecision::Fp16),
        }
    }
}

#[test]
fn kept_layers_stay() {
    for (name, precision, first, second) in [
        ("second", Precision::Fp16, "int8", "fp16"),
        ("segment_0/first", Precision::Fp32, "fp32", "int8"),
        ("relu", Precision::Fp32, "int8", "int8"),
    ] {
        let mut lowered = lower(&two(), &options(false));
        let mut choice = by(table(&lowered, 2.0));
        choice.keep.insert(name.into(), precision);
        let placed = quantize(&mut lowered, &choice).unwrap();
        expect(&lowered, first, second);
        let kept = &placed.fp16[0];
        assert_eq!(placed.fp16.len(), 1);
        assert!(name.ends_with(&kept.layer) && kept.segment == "segment_0");
        assert_eq!(
            kept.reason,
            format!("kept in {}", precision.to_string().to_uppercase())
        );
        let layers = &lowered.quantizations[0].as_ref().unwrap().layers;
        let fp32 = layers
            .iter()
            .filter(|it| **it == LayerPrecision::Fp32)
            .count();
        assert_eq!(fp32, usize::from(precision == Precision::Fp32));
    }
    let mut lowered = lower(&two(), &options(false));
    let mut choice = by(table(&lowered, 2.0));
    choice.keep = ["first", "second"]
        .map(|it| (it.to_owned(), Precision::Fp16))
        .into();
    assert_eq!(quantize(&mut lowered, &choice).unwrap().int8, 0);
    expect(&lowered, "fp16", "fp16");
}

#[test]
fn layers_that_are_not_there_cannot_be_kept() {
    let mut lowered = lower(&two(), &options(false));
    for (name, precision, expected) in [
        (
            "secnd",
            Precision::Fp16,
            "no segment has a layer `secnd`; near names: second",
        ),
        (
            "segment_1/second",
            Precision::Fp16,
            "no segment has a layer `segment_1/second`",
        ),
        (
            "second",
            Precision::Int8,
            "layer `second` can be kept in fp16 or fp32, not in int8",
        ),
    ] {
        let mut choice = by(table(&lowered, 2.0));
        choice.keep.insert(name.into(), precision);
        let error = quantize(&mut lowered, &choice).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(lowered.quantizations, [None]);
    }
}

#[test]
fn a_layer_without_range_stays_and_says_why() {
    let nothing = TableEntry::default();
    let cases: [(Change, &str); 4] = [
        (
            |table| {
                *relu(table) = TableEntry {
                    count: 9,
                    ..TableEntry::default()
                }
            },
            "its input `relu` is 0 in all samples",
        ),
        (
            |table| {
                *relu(table) = TableEntry {
                    not_finite: 9,
                    ..TableEntry::default()
                }
            },
            "its input `relu` has no finite value in any sample",
        ),
        (
            |table| *relu(table) = entry(1e-30),
            "its input `relu` has values of 1e-30 at most, too small for 8 bits",
        ),
        (
            |table| table.tensors.retain(|name, _| name.ends_with("/x")),
            "no range of its input `relu` is known",
        ),
    ];
    for (change, expected) in cases {
        let (lowered, placed) = changed(change);
        let placed = placed.unwrap();
        expect(&lowered, "int8", "fp16");
        let reasons: Vec<&str> = placed.fp16.iter().map(|it| it.reason.as_str()).collect();
        assert_eq!(reasons, [expected]);
        assert_eq!(placed.fp16[0].kind, "Convolution");
    }
    let (_, placed) = changed(|table| table.tensors.values_mut().for_each(|it| *it = nothing));
    let error = placed.unwrap_err().to_string();
    assert!(
        error.starts_with("no layer can compute in INT8: of the 2 that could"),
        "{error}"
    );
    assert!(error.ends_with("is 0 in all samples"), "{error}");
}

#[test]
fn odd_values_are_warned_of() {
    let cases: [(Change, &str); 2] = [
        (
            |table| relu(table).not_finite = 5,
            "segment_0, tensor `relu`: 5 of 105 values were infinite or no number and are left out \
             of its range",
        ),
        (
            |table| (relu(table).min, relu(table).max) = (-2.0, -2.0),
            "segment_0, tensor `relu`: all values were -2; its range is 2",
        ),
    ];
    for (change, expected) in cases {
        let (lowered, placed) = changed(change);
        assert_eq!(placed.unwrap().warnings, [expected]);
        expect(&lowered, "int8", "int8");
    }
}

#[test]
fn only_results_of_fp16_layers_can_be_too_large() {
    let mut lowered = lower(&two(), &options(false));
    let mut table = table(&lowered, 2.0);
    table.tensors.get_mut("segment_0/first").unwrap().max = 1e6;
    let mut choice = by(table);
    let warning = "segment_0, tensor `first`: values up to 1e6 are infinite in FP16; keep the layer \
                   that makes it in FP32";
    // INT8 layers add up in integers and give floats of 32 bits.
    assert!(quantize(&mut lowered, &choice).unwrap().warnings.is_empty());
    for (precision, expected) in [(Precision::Fp16, &[warning][..]), (Precision::Fp32, &[])] {
        choice.keep.insert("first".into(), precision);
        let warnings = quantize(&mut lowered, &choice).unwrap().warnings;
        assert_eq!(warnings, expected);
    }
}

#[test]
fn a_table_of_another_model_is_refused() {
    let (lowered, placed) = changed(|table| table.model = "00ff".into());
    let error = placed.unwrap_err();
    assert_eq!(
        error,
        CalibrateError::OtherModel {
            name: "graph".into(),
            found: "00ff".into(),
            model: fingerprint(&lowered),
        }
    );
    let mut lowered = lower(&two(), &options(false));
    let mut choice = by(table(&lowered, 2.0));
    choice.table.as_mut().unwrap().model = "00ff".into();
    choice.unchecked = true;
    let placed = quantize(&mut lowered, &choice).unwrap();
    assert_eq!(placed.int8, 2);
    let expected = "the calibration table was made for another model, `graph` (00ff)";
    assert_eq!(placed.warnings, [expected]);
}

#[test]
fn a_fingerprint_is_of_the_source() {
    let of = |parts: &[Vec<SourceNode>], change: fn(&mut tfjet_convert::ConvertOptions)| {
        let mut options = options(false);
        change(&mut options);
        fingerprint(&lower(parts, &options))
    };
    let plain = of(&two(), |_| {});
    assert_eq!(plain.len(), 32);
    assert_eq!(of(&two(), |it| it.batch = Some(7)), plain);
    assert_eq!(of(&two(), |it| it.take_ranges = true), plain);
    assert_eq!(
        of(&two(), |it| it.partition.exclude_nodes =
            ["relu".to_owned()].into()),
        plain
    );
    let nano = |it: &mut tfjet_convert::ConvertOptions| {
        it.partition.target = tfjet_convert::find_target("nano").unwrap();
    };
    assert_eq!(of(&two(), nano), plain);
    let mut turned = two();
    turned.reverse();
    assert_eq!(of(&turned, |_| {}), plain);
    let mut retrained = two();
    let mut weights = noise(144);
    weights[77] = weights[77].next_up();
    retrained[1][0] = constant("first/kernel", &[3, 3, 4, 4], &weights);
    assert_ne!(of(&retrained, |_| {}), plain);
    let mut rewired = two();
    rewired[2] = vec![node("relu", "Relu6", &["first"])];
    assert_ne!(of(&rewired, |_| {}), plain);
}

#[test]
fn tables_serve_other_segments() {
    // The table knows both convolutions in one segment; here an op between them stays outside.
    let all = lower(&two(), &options(false));
    let mut choice = by(table(&all, 2.0));
    let mut options = options(false);
    options.partition.exclude_nodes = ["relu".to_owned()].into();
    let mut lowered = lower(&two(), &options);
    assert_eq!(lowered.networks.len(), 2);
    assert_eq!(quantize(&mut lowered, &choice).unwrap().int8, 2);
    let ranges = |lowered: &Lowered| {
        let quantization = lowered.quantizations[1].as_ref().unwrap();
        quantization.range(input_of(&lowered.networks[1], "second"))
    };
    assert_eq!(ranges(&lowered), Some(2.0));
    // Of one tensor in several other segments the widest range is taken, its own comes first.
    let tensors = &mut choice.table.as_mut().unwrap().tensors;
    tensors.insert("segment_7/relu".into(), entry(5.0));
    quantize(&mut lowered, &choice).unwrap();
    assert_eq!(ranges(&lowered), Some(5.0));
    let tensors = &mut choice.table.as_mut().unwrap().tensors;
    tensors.insert("segment_1/relu".into(), entry(3.0));
    quantize(&mut lowered, &choice).unwrap();
    assert_eq!(ranges(&lowered), Some(3.0));
}

#[test]
fn caches_of_tensorrt_are_tables() {
    let mut lowered = lower(&two(), &options(false));
    let cache = table(&lowered, 2.0).to_tensorrt_cache(8502);
    let placed = quantize(&mut lowered, &by(Table::read(&cache, "cache").unwrap())).unwrap();
    assert_eq!(placed.int8, 2);
    let quantization = lowered.quantizations[0].as_ref().unwrap();
    assert_eq!(
        quantization.range(input_of(network(&lowered), "second")),
        Some(2.0)
    );
    let expected = "the calibration table does not say of which model it is: its tensors are found \
                    by their names";
    assert_eq!(placed.warnings, [expected]);
    let other = Table::read("TRT-8201-EntropyCalibration2\nelsewhere: 3c010204\n", "c").unwrap();
    let error = quantize(&mut lowered, &by(other)).unwrap_err();
    assert!(
        matches!(error, CalibrateError::NothingMatches { candidates: 2, .. }),
        "{error}"
    );
}

#[test]
fn layouts_of_a_known_tensor_are_known() {
    let (lowered, placed) = changed(|table| {
        table
            .tensors
            .retain(|name, _| name.ends_with("/x") || name.ends_with("/relu"))
    });
    assert_eq!(placed.unwrap().int8, 2);
    let network = network(&lowered);
    assert_ne!(
        network.tensor(input_of(network, "first")).unwrap().name,
        "x"
    );
}

#[test]
fn what_cannot_compute_in_int8_says_why() {
    let matrix = placeholder("m", &[Some(4), Some(4)]);
    let mut product = with(node("product", "MatMul", &["m", "m"]), &[]);
    product.attrs.insert("transpose_a", AttrValue::Bool(false));
    let mut dense = with(node("dense", "MatMul", &["product", "w"]), &[]);
    dense.attrs.insert("transpose_b", AttrValue::Bool(true));
    let w = [
        1.013, -2.758, 3.137, 0.219, 0.0, 0.0, 0.0, 0.0, -9.311, 1.077, 0.463, 2.291f32,
    ];
    let w = constant("w", &[3, 4], &w);
    let mut lowered = lower(&[vec![matrix, product, w, dense]], &options(false));
    assert_eq!(candidates(&lowered).len(), 1);
    let choice = by(table(&lowered, 2.0));
    let placed = quantize(&mut lowered, &choice).unwrap();
    assert_eq!(placed.int8, 1);
    let kept: Vec<_> = placed
        .fp16
        .iter()
        .map(|it| (it.layer.as_str(), it.reason.as_str()))
        .collect();
    let reason = "a product computes in INT8 where its second operand is one constant matrix";
    assert_eq!(kept, [("product", reason)]);
    let layers = &lowered.quantizations[0].as_ref().unwrap().layers;
    let channels = layers.iter().find_map(|it| match it {
        LayerPrecision::Int8 { channels } => Some(channels.clone()),
        _ => None,
    });
    assert_eq!(channels, Some(vec![3.137, 0.0, 9.311]));
}

#[test]
fn weights_that_are_no_numbers_stay_in_floats() {
    let mut graph = two();
    let mut weights = noise(144);
    weights[3] = f32::NAN;
    graph[3][0] = constant("second/kernel", &[3, 3, 4, 4], &weights);
    let mut lowered = lower(&graph, &options(false));
    let choice = by(table(&lowered, 2.0));
    let placed = quantize(&mut lowered, &choice).unwrap();
    expect(&lowered, "int8", "fp16");
    assert_eq!(
        placed.fp16[0].reason,
        "the weights of `second` are not all finite"
    );
    assert!(!weight_magnitudes(&lowered).contains_key("segment_0/second"));
}

#[test]
fn a_graph_without_weights_has_nothing_to_quantize() {
    let mut lowered = lower(
        &[vec![image(), node("relu", "Relu", &["x"])]],
        &options(false),
    );
    let choice = by(table(&lowered, 2.0));
    assert_eq!(
        quantize(&mut lowered, &choice),
        Err(CalibrateError::NoCandidates)
    );
    let mut lowered = lower(&two(), &options(false));
    let error = quantize(&mut lowered, &Choice::default()).unwrap_err();
    assert_eq!(error, CalibrateError::NoRanges);
}

#[test]
fn layers_in_a_branch_without_statistics_stay() {
    let predicate = with(
        node("p", "Placeholder", &[]),
        &[
            ("dtype", AttrValue::Type(Some(DType::Bool))),
            (
                "shape",
                AttrValue::Shape(Some(tfjet_core::Shape::default())),
            ),
        ],
    );
    let branch = [
        vec![image(), predicate],
        conv("first", "x"),
        vec![node("switch", "Switch", &["first", "p"])],
        conv("inside", "switch:1"),
        vec![node("merge", "Merge", &["switch", "inside"])],
    ];
    let mut lowered = lower(&branch, &options(false));
    assert_eq!(lowered.networks.len(), 2, "{:?}", lowered.partition);
    let mut table = table(&lowered, 2.0);
    table
        .tensors
        .retain(|name, _| name.starts_with("segment_0/"));
    let placed = quantize(&mut lowered, &by(table.clone())).unwrap();
    assert_eq!(placed.int8, 1);
    let kept = &placed.fp16[0];
    assert_eq!(
        (kept.segment.as_str(), kept.kind.as_str()),
        ("segment_1", "Convolution")
    );
    assert!(
        kept.reason
            .ends_with("statistics are not taken in what loops and conditions call")
    );
    assert!(lowered.quantizations.iter().all(Option::is_some));
}

#[test]
fn options_of_one_graph_give_equal_networks() {
    // Taking ranges changes nothing in a graph that has none.
    let (plain, taken) = (
        lower(&two(), &options(false)),
        lower(&two(), &options(true)),
    );
    assert_eq!(plain.networks, taken.networks);
    assert_eq!(taken.graph_ranges, [BTreeMap::new()]);
    let source = || graph([two().concat(), vec![rounded("q", "second", -1.0, 1.0, 8)]].concat());
    let first = lower_source(source(), "graph", &options(true)).unwrap();
    let second = lower_source(source(), "graph", &options(true)).unwrap();
    assert_eq!(
        (first.networks, first.graph_ranges),
        (second.networks, second.graph_ranges)
    );
}
