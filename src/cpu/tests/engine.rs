//! Models, weights and tensors that do not fit, and buffers that are reused.

#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a test panics")]

use std::path::Path;
use std::sync::Arc;

use tfjet_core::{
    ActivationType, DType, Dim, ElementWiseOperation, Layer, LayerSpec, NetworkSpec, NetworkTensor,
    Shape, Tensor, TensorId, TensorView, WeightsEntry, WeightsId, WeightsTable,
};
use tfjet_cpu::{CpuError, Engine, EngineOptions, Library};
use tfjet_onnx::{OnnxOptions, to_onnx};

fn library() -> Option<Library> {
    let Some(path) = std::env::var_os("TFJET_ONNXRUNTIME") else {
        eprintln!("skipped: TFJET_ONNXRUNTIME names no ONNX Runtime library");
        return None;
    };
    Some(Library::load(Some(Path::new(&path)), &[]).unwrap())
}

fn options() -> EngineOptions {
    EngineOptions {
        threads: 1,
        ..EngineOptions::default()
    }
}

/// `y = relu(x + w)` with `w` of 1,000 floats, `x` of `rows` rows.
fn model(rows: Dim) -> Vec<u8> {
    let table = WeightsTable {
        entries: vec![WeightsEntry {
            dtype: DType::F32,
            shape: vec![1, 1000],
            offset: 64,
            len_bytes: 4000,
        }],
    };
    let tensor = |name: &str, rows: Dim| NetworkTensor {
        name: name.into(),
        dtype: DType::F32,
        shape: Shape(vec![rows, Dim::Fixed(1000)]),
    };
    let layer = |name: &str, layer, inputs: &[u32], output| LayerSpec {
        name: name.into(),
        layer,
        inputs: inputs.iter().copied().map(TensorId).collect(),
        outputs: vec![TensorId(output)],
    };
    let sum = Layer::ElementWise {
        operation: ElementWiseOperation::Sum,
    };
    let relu = Layer::Activation {
        kind: ActivationType::Relu,
        alpha: 0.0,
        beta: 0.0,
    };
    let spec = NetworkSpec {
        name: "model".into(),
        tensors: vec![
            tensor("x", rows.clone()),
            tensor("w", Dim::Fixed(1)),
            tensor("sum", rows.clone()),
            tensor("y", rows),
        ],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(3)],
        layers: vec![
            layer(
                "w",
                Layer::Constant {
                    weights: WeightsId(0),
                },
                &[],
                1,
            ),
            layer("sum", sum, &[0, 1], 2),
            layer("relu", relu, &[2], 3),
        ],
    };
    to_onnx(&spec, &table, &OnnxOptions::default()).unwrap()
}

fn blob() -> Vec<u8> {
    let weights = (0..1000).flat_map(|i| (i as f32 - 500.0).to_le_bytes());
    [0u8; 64].into_iter().chain(weights).collect()
}

fn expected(rows: usize) -> Vec<f32> {
    (0..rows * 1000)
        .map(|i| ((i % 1000) as f32 - 500.0 + (i / 1000) as f32).max(0.0))
        .collect()
}

fn input(rows: usize) -> Tensor {
    let values: Vec<f32> = (0..rows * 1000).map(|i| (i / 1000) as f32).collect();
    Tensor::from_slice(&[rows, 1000], &values).unwrap()
}

#[test]
fn keeps_the_output_buffer_where_the_shape_is_fixed() {
    let Some(library) = library() else { return };
    let onnx = model(Dim::Fixed(2));
    let mut engine = Engine::new(&library, &onnx, Arc::new(blob()), &options()).unwrap();
    assert_eq!(engine.inputs()[0].dims, [Some(2), Some(1000)]);
    let mut outputs = [Tensor::default()];
    let mut address = None;
    for _ in 0..3 {
        engine.run(&[input(2).view()], &mut outputs).unwrap();
        assert_eq!(outputs[0].as_slice::<f32>().unwrap(), expected(2));
        let now = outputs[0].bytes().as_ptr();
        assert_eq!(*address.get_or_insert(now), now);
    }
}

#[test]
fn follows_the_shape_of_its_inputs() {
    let Some(library) = library() else { return };
    let onnx = model(Dim::Symbolic("n".into()));
    let mut engine = Engine::new(&library, &onnx, Arc::new(blob()), &options()).unwrap();
    assert_eq!(engine.outputs()[0].dims, [None, Some(1000)]);
    let mut outputs = [Tensor::default()];
    for rows in [1, 3, 3, 2, 0, 1, 1] {
        engine.run(&[input(rows).view()], &mut outputs).unwrap();
        assert_eq!(outputs[0].shape(), [rows, 1000]);
        assert_eq!(outputs[0].as_slice::<f32>().unwrap(), expected(rows));
    }
}

#[test]
fn rejects_every_truncation_of_a_model() {
    let Some(library) = library() else { return };
    let onnx = model(Dim::Fixed(1));
    let weights = Arc::new(blob());
    for len in 0..onnx.len() {
        let error = Engine::new(&library, &onnx[..len], weights.clone(), &options()).unwrap_err();
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
}

#[test]
fn survives_every_changed_byte_of_a_model() {
    let Some(library) = library() else { return };
    let onnx = model(Dim::Fixed(1));
    let weights = Arc::new(blob());
    for at in 0..onnx.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = onnx.clone();
            changed[at] ^= flip;
            if let Ok(mut engine) = Engine::new(&library, &changed, weights.clone(), &options()) {
                let mut outputs = vec![Tensor::default(); engine.outputs().len()];
                let _ = engine.run(&[input(1).view()], &mut outputs);
            }
        }
    }
}

#[test]
fn rejects_weights_that_are_too_short() {
    let Some(library) = library() else { return };
    let onnx = model(Dim::Fixed(1));
    for len in [0, 64, 4063] {
        let weights = Arc::new(blob()[..len].to_vec());
        let error = Engine::new(&library, &onnx, weights, &options()).unwrap_err();
        let error = error.to_string();
        let reason = format!("lies at offset 64, length 4000, but the weights have {len} bytes");
        assert!(error.starts_with("ONNX model: initializer w"), "{error}");
        assert!(error.ends_with(&reason), "{error}");
    }
}

#[test]
fn rejects_tensors_that_do_not_fit() {
    let Some(library) = library() else { return };
    let onnx = model(Dim::Fixed(1));
    let mut engine = Engine::new(&library, &onnx, Arc::new(blob()), &options()).unwrap();
    let bytes = vec![0u64; 501];
    let bytes: Vec<u8> = bytes.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let odd = usize::from((bytes.as_ptr() as usize).is_multiple_of(2));
    let misaligned = TensorView::new(DType::F32, &[1, 1000], &bytes[odd..odd + 4000]).unwrap();
    let (short, wrong) = (
        Tensor::zeros(DType::F32, &[1, 999]).unwrap(),
        Tensor::zeros(DType::I32, &[1, 1000]).unwrap(),
    );
    let right = input(1);
    let mut run = |inputs: &[TensorView<'_>], outputs: usize| {
        engine
            .run(inputs, &mut vec![Tensor::default(); outputs])
            .map_err(|e| e.to_string())
    };
    let error = |reason: &str| Err(format!("input `x`: {reason}"));
    assert_eq!(
        run(&[short.view()], 1),
        error("expected shape [1,1000], got [1, 999]")
    );
    assert_eq!(
        run(&[wrong.view()], 1),
        error("expected float32, got int32")
    );
    assert_eq!(
        run(&[misaligned], 1),
        error("the bytes are not aligned for float32")
    );
    assert_eq!(run(&[], 1), Err("the model has 1 inputs, got 0".into()));
    assert_eq!(
        run(&[right.view()], 2),
        Err("the model has 1 outputs, got 2".into())
    );
    assert_eq!(run(&[right.view()], 1), Ok(()));
}

#[test]
fn names_the_one_library_of_the_process() {
    let Some(library) = library() else { return };
    assert!(library.version().starts_with("1."), "{}", library.version());
    assert_eq!(
        Library::load(Some(library.path()), &[]).unwrap().path(),
        library.path()
    );
    let other = tempfile::NamedTempFile::new().unwrap();
    let error = Library::load(Some(other.path()), &[]).unwrap_err();
    assert!(matches!(error, CpuError::LibraryLoaded { .. }), "{error}");
}

#[test]
fn moves_to_another_thread() {
    let Some(library) = library() else { return };
    let onnx = model(Dim::Fixed(1));
    let mut engine = Engine::new(&library, &onnx, Arc::new(blob()), &options()).unwrap();
    let thread = std::thread::spawn(move || {
        let mut outputs = [Tensor::default()];
        engine.run(&[input(1).view()], &mut outputs).unwrap();
        outputs
    });
    let outputs = thread.join().unwrap();
    assert_eq!(outputs[0].as_slice::<f32>().unwrap(), expected(1));
}
