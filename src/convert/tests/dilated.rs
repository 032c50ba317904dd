//! Convolutions between `SpaceToBatchND` and `BatchToSpaceND` become dilated ones, and compute what
//! the three ops compute.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "not all of it is used here")]
mod source;

use tfjet_convert::graph::{OutputRequest, WireId};
use tfjet_convert::lower::{WeightsStore, lower_segment};
use tfjet_convert::partition::{PartitionOptions, partition};
use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, Attrs, Layer, NetworkSpec, Tensor};
use tfjet_ops::kernel;

use source::{constant, node, placeholder, typed};

struct Case {
    size: [usize; 2],
    kernel: [usize; 2],
    block: [i32; 2],
    /// Before and after each axis.
    paddings: [[i32; 2]; 2],
    crops: [[i32; 2]; 2],
    depthwise: bool,
}

/// The paddings of TensorFlow's atrous convolution: of SAME, or none, filled up to whole blocks.
fn atrous(
    size: [usize; 2],
    kernel: [usize; 2],
    block: [i32; 2],
    same: bool,
    depthwise: bool,
) -> Case {
    let (mut paddings, mut crops) = ([[0; 2]; 2], [[0; 2]; 2]);
    for axis in 0..2 {
        let reach = (kernel[axis] as i32 - 1) * block[axis];
        let base = if same { reach } else { 0 };
        let before = base / 2;
        let whole = size[axis] as i32 + base;
        let fill = (block[axis] - whole % block[axis]) % block[axis];
        paddings[axis] = [before, base - before + fill];
        crops[axis] = [0, fill];
    }
    Case {
        size,
        kernel,
        block,
        paddings,
        crops,
        depthwise,
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (size, kernel, block) in [
        ([8, 8], [3, 3], [2, 2]),
        ([7, 9], [3, 3], [2, 2]),
        ([13, 10], [3, 2], [4, 3]),
        ([9, 9], [2, 3], [1, 2]),
        ([16, 11], [1, 1], [3, 2]),
    ] {
        for same in [true, false] {
            for depthwise in [true, false] {
                cases.push(atrous(size, kernel, block, same, depthwise));
            }
        }
    }
    // What is cut off before, not only after.
    cases.push(Case {
        size: [7, 8],
        kernel: [3, 3],
        block: [2, 2],
        paddings: [[3, 2], [2, 2]],
        crops: [[1, 0], [2, 1]],
        depthwise: false,
    });
    cases
}

fn values(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 37 + 11) % 64) as f32 / 16.0 - 2.0)
        .collect()
}

const CHANNELS: usize = 3;

fn nodes(case: &Case, known: bool) -> Vec<SourceNode> {
    let maps = 2;
    let shape = [case.kernel[0], case.kernel[1], CHANNELS, maps];
    let op = match case.depthwise {
        true => "DepthwiseConv2dNative",
        false => "Conv2D",
    };
    let convolution = SourceNode {
        attrs: Attrs::default()
            .with("padding", AttrValue::Str(b"VALID".to_vec()))
            .with("strides", AttrValue::Ints(vec![1; 4])),
        ..node("convolution", op, &["split", "filter"])
    };
    let size = |axis: usize| known.then_some(case.size[axis]);
    vec![
        placeholder("x", &[Some(2), size(0), size(1), Some(CHANNELS)]),
        constant("filter", &shape, &values(shape.iter().product())),
        constant("block", &[2], &case.block),
        constant("paddings", &[2, 2], &case.paddings.concat()),
        constant("crops", &[2, 2], &case.crops.concat()),
        node("split", "SpaceToBatchND", &["x", "block", "paddings"]),
        convolution,
        node("join", "BatchToSpaceND", &["convolution", "block", "crops"]),
        node("y", "Relu", &["join"]),
    ]
}

fn network(nodes: &[SourceNode], outputs: &[OutputRequest]) -> NetworkSpec {
    let options = PartitionOptions {
        min_segment_size: 1,
        ..PartitionOptions::default()
    };
    let mut typed = typed(nodes, outputs, &options).unwrap();
    let partition = partition(&typed, &options);
    typed.settle(partition.computed.clone());
    let [segment] = &partition.segments[..] else {
        panic!(
            "{} segments: {:?}",
            partition.segments.len(),
            partition.residual
        );
    };
    let mut weights = WeightsStore::default();
    let (inputs, outputs): (&[WireId], &[WireId]) = (&segment.inputs, &segment.outputs);
    lower_segment(&typed, &mut weights, "s", &segment.nodes, inputs, outputs).unwrap()
}

/// The parameters of the only convolution, and the number of layers that move data.
fn convolution(network: &NetworkSpec) -> (Vec<usize>, Vec<usize>, Vec<usize>, usize) {
    let mut found = None;
    for layer in &network.layers {
        if let Layer::Convolution {
            dilation,
            pre_padding,
            post_padding,
            ..
        } = &layer.layer
        {
            let parameters = (dilation.clone(), pre_padding.clone(), post_padding.clone());
            assert!(found.replace(parameters).is_none());
        }
    }
    let (dilation, pre, post) = found.unwrap();
    (dilation, pre, post, network.transposes())
}

/// The three ops one by one.
fn apart(case: &Case, x: &Tensor) -> Tensor {
    let run = |node: &SourceNode, inputs: &[&Tensor]| {
        let kernel = kernel(&node.op, &node.attrs).unwrap();
        let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
        let mut outputs = vec![Tensor::default(); kernel.output_count()];
        kernel.run(&views, &mut outputs).unwrap();
        outputs.swap_remove(0)
    };
    let nodes = nodes(case, true);
    let value = |name: &str| {
        let node = nodes.iter().find(|node| node.name == name).unwrap();
        match node.attrs.get("value") {
            Some(AttrValue::Tensor(tensor)) => tensor.clone(),
            _ => panic!("{name}"),
        }
    };
    let split = run(&nodes[5], &[x, &value("block"), &value("paddings")]);
    let convolved = run(&nodes[6], &[&split, &value("filter")]);
    run(&nodes[7], &[&convolved, &value("block"), &value("crops")])
}

/// One convolution with the found parameters.
fn together(
    case: &Case,
    x: &Tensor,
    found: &(Vec<usize>, Vec<usize>, Vec<usize>, usize),
) -> Tensor {
    let (dilation, pre, post, _) = found;
    let ints = |values: &[usize]| AttrValue::Ints(values.iter().map(|&v| v as i64).collect());
    let attrs = nodes(case, true)[6]
        .attrs
        .clone()
        .with("padding", AttrValue::Str(b"EXPLICIT".to_vec()))
        .with(
            "explicit_paddings",
            ints(&[0, 0, pre[0], post[0], pre[1], post[1], 0, 0]),
        )
        .with("dilations", ints(&[1, dilation[0], dilation[1], 1]));
    let node = SourceNode {
        attrs,
        ..nodes(case, true)[6].clone()
    };
    let kernel = kernel(&node.op, &node.attrs).unwrap();
    let Some(AttrValue::Tensor(filter)) = nodes(case, true)[1].attrs.get("value").cloned() else {
        panic!("no filter");
    };
    let mut outputs = vec![Tensor::default(); 1];
    kernel
        .run(&[x.view(), filter.view()], &mut outputs)
        .unwrap();
    outputs.swap_remove(0)
}

#[test]
fn a_convolution_between_blocks_is_one_with_gaps() {
    for case in cases() {
        let found = convolution(&network(&nodes(&case, true), &[]));
        let block: Vec<usize> = case.block.iter().map(|&b| b as usize).collect();
        assert_eq!(found.0, block);
        assert!(found.3 <= 2, "{} transposes", found.3);
        let shape = [2, case.size[0], case.size[1], CHANNELS];
        let x = Tensor::from_slice(&shape, &values(shape.iter().product())).unwrap();
        let (a, b) = (apart(&case, &x), together(&case, &x, &found));
        assert_eq!(a.shape(), b.shape());
        let pairs = a
            .as_slice::<f32>()
            .unwrap()
            .iter()
            .zip(b.as_slice::<f32>().unwrap());
        for (a, b) in pairs {
            assert!((a - b).abs() <= 1e-4 * (1.0 + a.abs()), "{a} {b}");
        }
    }
}

/// Only what is cut off again must be known, not the size.
#[test]
fn the_size_may_be_unknown() {
    let case = atrous([8, 8], [3, 3], [2, 2], true, false);
    let found = convolution(&network(&nodes(&case, false), &[]));
    assert_eq!((&found.0[..], &found.1[..]), (&[2, 2][..], &[2, 2][..]));
}

/// The pieces are needed where something else reads them.
#[test]
fn other_readers_keep_the_blocks() {
    let case = atrous([8, 8], [3, 3], [2, 2], true, false);
    let mut nodes = nodes(&case, true);
    nodes.push(node("also", "Tanh", &["split"]));
    let (dilation, ..) = convolution(&network(&nodes, &[]));
    assert_eq!(dilation, [1, 1]);
}
