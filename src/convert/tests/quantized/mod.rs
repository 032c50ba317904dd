//! Small graphs of convolutions with and without rounding, lowered.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use tfjet_convert::calibrate::{Table, TableEntry, fingerprint};
use tfjet_convert::partition::PartitionOptions;
use tfjet_convert::tensorflow::SourceNode;
use tfjet_convert::{ConvertOptions, Lowered, lower_source};
use tfjet_core::{AttrValue, LayerPrecision, NetworkSpec, TensorId};

use crate::source::{constant, graph, node, placeholder};

pub(crate) fn with(mut node: SourceNode, attrs: &[(&str, AttrValue)]) -> SourceNode {
    for (name, value) in attrs {
        node.attrs.insert(*name, value.clone());
    }
    node
}

/// Numbers from -1 to 1.
pub(crate) fn noise(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| (i as f32 * 12.9898 + 0.3).sin())
        .collect()
}

/// Images `x` of 8 by 8 and 4 channels.
pub(crate) fn image() -> SourceNode {
    placeholder("x", &[Some(1), Some(8), Some(8), Some(4)])
}

/// A convolution of 4 channels to 4 whose kernel is another node.
pub(crate) fn conv_by(name: &str, input: &str, kernel: &str) -> SourceNode {
    with(
        node(name, "Conv2D", &[input, kernel]),
        &[
            ("strides", AttrValue::Ints(vec![1, 1, 1, 1])),
            ("padding", AttrValue::Str(b"SAME".to_vec())),
        ],
    )
}

pub(crate) fn kernel(name: &str) -> SourceNode {
    constant(name, &[3, 3, 4, 4], &noise(144))
}

pub(crate) fn conv(name: &str, input: &str) -> Vec<SourceNode> {
    let weights = format!("{name}/kernel");
    vec![kernel(&weights), conv_by(name, input, &weights)]
}

/// `FakeQuantWithMinMaxArgs`.
pub(crate) fn rounded(name: &str, input: &str, low: f32, high: f32, bits: i64) -> SourceNode {
    with(
        node(name, "FakeQuantWithMinMaxArgs", &[input]),
        &[
            ("min", AttrValue::Float(low)),
            ("max", AttrValue::Float(high)),
            ("num_bits", AttrValue::Int(bits)),
        ],
    )
}

pub(crate) fn options(take_ranges: bool) -> ConvertOptions {
    ConvertOptions {
        take_ranges,
        partition: PartitionOptions {
            min_segment_size: 1,
            ..PartitionOptions::default()
        },
        ..ConvertOptions::default()
    }
}

pub(crate) fn lower(parts: &[Vec<SourceNode>], options: &ConvertOptions) -> Lowered {
    lower_source(graph(parts.concat()), "graph", options).unwrap()
}

/// The only network.
pub(crate) fn network(lowered: &Lowered) -> &NetworkSpec {
    let residual = &lowered.partition.residual;
    assert_eq!(lowered.networks.len(), 1, "{residual:?}");
    &lowered.networks[0]
}

pub(crate) fn kinds(lowered: &Lowered) -> Vec<&'static str> {
    let layers = network(lowered).layers.iter();
    layers.map(|layer| layer.layer.kind()).collect()
}

/// The tensor that the layer reads first.
pub(crate) fn input_of(network: &NetworkSpec, layer: &str) -> TensorId {
    let found = network.layers.iter().find(|it| it.name == layer);
    found
        .unwrap_or_else(|| panic!("no layer {layer}: {network:#?}"))
        .inputs[0]
}

/// The graph's range of the tensor that the layer reads first.
pub(crate) fn range_before(lowered: &Lowered, layer: &str) -> Option<f32> {
    let input = input_of(network(lowered), layer);
    lowered.graph_ranges[0].get(&input).copied()
}

pub(crate) fn entry(range: f32) -> TableEntry {
    TableEntry {
        range: Some(range),
        min: -range,
        max: range / 2.0,
        count: 100,
        not_finite: 0,
    }
}

/// A table of the model in which every tensor has this range.
pub(crate) fn table(lowered: &Lowered, range: f32) -> Table {
    let tensors = lowered.networks.iter().flat_map(|network| {
        let tensors = network.tensors.iter();
        tensors.map(|tensor| (format!("{}/{}", network.name, tensor.name), entry(range)))
    });
    Table {
        model: fingerprint(lowered),
        name: "graph".into(),
        method: "entropy".into(),
        samples: 8,
        tensors: tensors.collect(),
        layers: BTreeMap::new(),
    }
}

/// The numbers of each layer that multiplies, by its name.
pub(crate) fn precisions(lowered: &Lowered) -> BTreeMap<String, &'static str> {
    let pairs = lowered.networks.iter().zip(&lowered.quantizations);
    let layers = pairs.flat_map(|(network, quantization)| {
        let precisions = &quantization.as_ref().unwrap().layers;
        network.layers.iter().zip(precisions)
    });
    layers
        .filter(|(layer, _)| layer.layer.kind() == "Convolution")
        .map(|(layer, precision)| {
            let precision = match precision {
                LayerPrecision::Fp32 => "fp32",
                LayerPrecision::Fp16 => "fp16",
                LayerPrecision::Int8 { .. } => "int8",
            };
            (layer.name.clone(), precision)
        })
        .collect()
}
