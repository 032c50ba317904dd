//! Sessions on ONNX Runtime, where `TFJET_ONNXRUNTIME` names its library.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

mod common;

use std::path::Path;

use common::{Model, f32s, shape};
use tfjet_core::{
    Attrs, DType, ElementWiseOperation, Layer, LayerSpec, NetworkSpec, NetworkTensor, Tensor,
    TensorId,
};
use tfjet_cpu::Library;
use tfjet_onnx::{OnnxOptions, to_onnx};
use tfjet_runtime::{Session, SessionError, SessionOptions};

fn library() -> Option<Library> {
    let Some(path) = std::env::var_os("TFJET_ONNXRUNTIME") else {
        eprintln!("skipped: TFJET_ONNXRUNTIME names no ONNX Runtime library");
        return None;
    };
    Some(Library::load(Some(Path::new(&path)), &[]).unwrap())
}

/// Adds segment `segment`: the input [`rows`,width] `operation` the weights \[1,width\].
fn add_segment(
    model: &mut Model,
    segment: u32,
    (input, rows, output): (u32, &str, u32),
    operation: ElementWiseOperation,
    values: &[f32],
) {
    let weights = model.weights(&f32s(&[1, values.len()], values));
    let tensor = |name: &str, rows: &str| NetworkTensor {
        name: name.into(),
        dtype: DType::F32,
        shape: shape(&format!("{rows},{}", values.len())),
    };
    let layer = |name: &str, layer, inputs, output| LayerSpec {
        name: name.into(),
        layer,
        inputs,
        outputs: vec![TensorId(output)],
    };
    let network = NetworkSpec {
        name: format!("segment{segment}"),
        tensors: vec![tensor("x", rows), tensor("w", "1"), tensor("y", rows)],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(2)],
        layers: vec![
            layer("w", Layer::Constant { weights }, vec![], 1),
            layer(
                "y",
                Layer::ElementWise { operation },
                vec![TensorId(0), TensorId(1)],
                2,
            ),
        ],
    };
    let onnx = to_onnx(&network, &model.table, &OnnxOptions::default()).unwrap();
    model.onnx.push((segment, onnx));
    model.engine(segment, &[input], &[output]);
    model.networks[segment as usize] = network;
}

/// `-(x * w) - c + b`: a segment, two residual ops, another segment.
fn model(rows: &str, width: usize) -> Model {
    let mut model = Model::default();
    let dims = format!("{rows},{width}");
    let x = model.input(DType::F32, &dims);
    let c = model.constant(&f32s(&[], &[7.0]));
    let made: Vec<u32> = (0..4).map(|_| model.computed(DType::F32, &dims)).collect();
    let ramp: Vec<f32> = (0..width).map(|i| i as f32).collect();
    let wire = (x, rows, made[0]);
    add_segment(&mut model, 0, wire, ElementWiseOperation::Prod, &ramp);
    model.op("Neg", Attrs::default(), &[made[0]], &[made[1]]);
    model.op("Sub", Attrs::default(), &[made[1], c], &[made[2]]);
    let wire = (made[2], rows, made[3]);
    add_segment(
        &mut model,
        1,
        wire,
        ElementWiseOperation::Sum,
        &vec![0.5; width],
    );
    model.output(made[3]);
    model
}

fn options() -> SessionOptions {
    SessionOptions {
        threads: 1,
        ..SessionOptions::default()
    }
}

#[test]
fn runs_segments_and_residual_ops_of_any_shape() {
    let Some(library) = library() else { return };
    for (rows, runs) in [("2", &[2, 2, 2][..]), ("n", &[3, 3, 1, 3, 3, 5])] {
        let bundle = model(rows, 40).bundle();
        let mut session = Session::load(bundle, Some(&library), &options()).unwrap();
        for &rows in runs {
            let values: Vec<f32> = (0..rows * 40).map(|i| i as f32 / 3.0).collect();
            let outputs = session.run(&[f32s(&[rows, 40], &values).view()]).unwrap();
            let output = outputs.get(0).unwrap();
            let expected = values.iter().enumerate().map(|(i, x)| {
                let ramp = (i % 40) as f32;
                -(x * ramp) - 7.0 + 0.5
            });
            assert_eq!(output.shape(), [rows, 40]);
            assert_eq!(
                output.as_slice::<f32>().unwrap(),
                expected.collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn the_output_stays_where_it_is_from_run_to_run() {
    let Some(library) = library() else { return };
    let bundle = model("n", 40).bundle();
    let mut session = Session::load(bundle, Some(&library), &options()).unwrap();
    let input = Tensor::zeros(DType::F32, &[2, 40]).unwrap();
    let mut address = || {
        let outputs = session.run(&[input.view()]).unwrap();
        outputs.get(0).unwrap().bytes().as_ptr()
    };
    let first = address();
    assert_eq!([address(), address()], [first, first]);
    assert_eq!(session.buffer_bytes(), 2 * 2 * 40 * 4);
}

#[test]
fn a_segment_without_its_model_is_named() {
    let Some(library) = library() else { return };
    let mut model = model("2", 4);
    model.onnx.pop();
    let error = Session::load(model.bundle(), Some(&library), &options()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "step 3, segment 1 on ONNX Runtime: the bundle in memory has no Onnx section 1"
    );
    assert!(!error.is_missing());
}

#[test]
fn a_damaged_model_is_named() {
    let Some(library) = library() else { return };
    let mut model = model("2", 4);
    model.onnx[0].1.truncate(20);
    let error = Session::load(model.bundle(), Some(&library), &options()).unwrap_err();
    assert!(matches!(
        error,
        SessionError::Engine {
            step: 0,
            segment: 0,
            ..
        }
    ));
}
