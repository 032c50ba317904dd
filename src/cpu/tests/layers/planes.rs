//! A resize behind a transpose, which is written channel by channel.

use std::sync::Arc;

use tfjet_core::{
    DType, InterpolationMode, Layer, LayerSpec, NetworkSpec, NetworkTensor,
    ResizeCoordinateTransformation, ResizeRounding, Shape, Tensor, TensorId, WeightsTable,
};
use tfjet_cpu::{Engine, EngineOptions, Library};
use tfjet_onnx::{OnnxOptions, to_onnx};

use crate::case::{compare, noise, tensor};
use crate::harness;
use crate::reference::{Array, resize};

/// Layers one behind the other, with the shapes of what goes in and of what each gives.
fn chain(layers: &[Layer], shapes: &[&[usize]]) -> NetworkSpec {
    let tensors = shapes.iter().enumerate().map(|(i, shape)| NetworkTensor {
        name: format!("t{i}"),
        dtype: DType::F32,
        shape: Shape::fixed(shape),
    });
    let specs = (0u32..).zip(layers).map(|(i, layer)| LayerSpec {
        name: format!("layer{i}"),
        layer: layer.clone(),
        inputs: vec![TensorId(i)],
        outputs: vec![TensorId(i + 1)],
    });
    NetworkSpec {
        name: "chain".into(),
        tensors: tensors.collect(),
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(layers.len() as u32)],
        layers: specs.collect(),
    }
}

fn run(library: &Library, onnx: &[u8], input: &Array) -> Tensor {
    let options = EngineOptions {
        threads: 1,
        ..EngineOptions::default()
    };
    let weights = Arc::new(Vec::<u8>::new());
    let mut engine = Engine::new(library, onnx, weights, &options).unwrap();
    let mut outputs = [Tensor::default()];
    let input = tensor(DType::F32, input);
    engine.run(&[input.view()], &mut outputs).unwrap();
    outputs[0].clone()
}

#[test]
fn a_transpose_before_a_resize_changes_no_value() {
    let Some(library) = harness::library() else {
        return;
    };
    let transpose = Layer::Shuffle {
        first_transpose: vec![0, 3, 1, 2],
        reshape: None,
        second_transpose: Vec::new(),
    };
    let (linear, floor) = (InterpolationMode::Linear, ResizeRounding::Floor);
    for coordinates in [
        ResizeCoordinateTransformation::AlignCorners,
        ResizeCoordinateTransformation::Asymmetric,
        ResizeCoordinateTransformation::HalfPixel,
    ] {
        for (channels, [height, width]) in [(3, [8, 12]), (5, [7, 9]), (1, [3, 11]), (2, [1, 1])] {
            let x = noise(&[2, 4, 6, channels], 40);
            let first = Array::build(&[2, channels, 4, 6], |at| {
                x.at(&[at[0], at[2], at[3], at[1]])
            });
            let shape = [2, channels, height, width];
            let expected = resize(&first, linear, coordinates, floor, &shape);
            let layer = Layer::Resize {
                mode: linear,
                coordinates,
                rounding: floor,
                size: vec![None, None, Some(height), Some(width)],
            };
            let plain = chain(std::slice::from_ref(&layer), &[&first.shape, &shape]);
            let layers = [transpose.clone(), layer];
            let planes = chain(&layers, &[&x.shape, &first.shape, &shape]);
            for (spec, input, reshapes) in [(plain, &first, 0), (planes, &x, 2)] {
                let options = OnnxOptions::default();
                let onnx = to_onnx(&spec, &WeightsTable::default(), &options).unwrap();
                // The field that says a node's op.
                let field = b"\x22\x07Reshape";
                let found = onnx.windows(field.len()).filter(|it| it == field);
                assert_eq!(found.count(), reshapes, "the form is another");
                compare(&run(&library, &onnx, input), DType::F32, &expected, 2e-6)
                    .unwrap_or_else(|error| panic!("{coordinates:?} {shape:?}: {error}"));
            }
        }
    }
}
