use std::path::Path;
use std::sync::Arc;

use tfjet_core::{DType, Tensor};
use tfjet_cpu::{Engine, EngineOptions, Library};
use tfjet_onnx::{OnnxOptions, to_onnx};

use crate::case::{Case, Dims, compare, spec, tensor, weights};

/// The library that the environment names; says so where it names none.
pub fn library() -> Option<Library> {
    let Some(path) = std::env::var_os("TFJET_ONNXRUNTIME") else {
        eprintln!("skipped: TFJET_ONNXRUNTIME names no ONNX Runtime library");
        return None;
    };
    Some(Library::load(Some(Path::new(&path)), &[]).unwrap())
}

/// Runs a case twice. `Ok(false)` where the layer needs sizes that are only symbols.
pub fn run(library: &Library, case: &Case, dims: Dims) -> Result<bool, String> {
    let (table, blob) = weights(&case.stored());
    let onnx = match to_onnx(&spec(case, dims), &table, &OnnxOptions::default()) {
        Ok(onnx) => onnx,
        Err(_) if dims != Dims::Fixed => return Ok(false),
        Err(error) => return Err(error.to_string()),
    };
    let options = EngineOptions {
        threads: 1,
        ..EngineOptions::default()
    };
    let mut engine =
        Engine::new(library, &onnx, Arc::new(blob), &options).map_err(|e| e.to_string())?;
    let inputs: Vec<Tensor> = case
        .fed()
        .iter()
        .map(|(dtype, array)| tensor(*dtype, array))
        .collect();
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    for _ in 0..2 {
        let mut outputs = vec![Tensor::default(); case.expected.len()];
        engine
            .run(&views, &mut outputs)
            .map_err(|e| e.to_string())?;
        for (output, (dtype, expected)) in outputs.iter().zip(&case.expected) {
            compare(output, *dtype, expected, tolerance(*dtype))?;
        }
    }
    Ok(true)
}

fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 2e-6,
        DType::F64 => 1e-12,
        DType::F16 => 2e-3,
        DType::BF16 => 1e-2,
        _ => 0.0,
    }
}
