//! Networks in INT8: built with TensorRT-RTX, which needs no GPU, by layers that quantize; and built
//! and run with TensorRT in every form where there is a GPU.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "helpers of tests")]

mod device;
mod model;

use std::path::Path;

use model::{classifier, depthwise, detector, heavy};
use tfjet_core::{LayerPrecision, Quantization, Tensor};
use tfjet_tensorrt::{BuildOptions, Flavor, Library, Precision, QuantizationForm, build_engine};

fn rtx() -> Option<Library> {
    let Some(path) = std::env::var_os("TFJET_TENSORRT_RTX") else {
        eprintln!("SKIPPED: TFJET_TENSORRT_RTX does not name libtensorrt_rtx.so.1");
        return None;
    };
    Some(Library::load(Flavor::TensorRtRtx, Some(Path::new(&path)), &[]).unwrap())
}

#[test]
fn networks_build_with_layers_that_quantize() {
    let Some(library) = rtx() else { return };
    for model in [classifier(), detector()] {
        let all = model.quantization(&[]);
        let several = [
            (all.clone(), Precision::Int8),
            (all, Precision::Fp16),
            (
                model.quantization(&[
                    ("a", LayerPrecision::Fp32),
                    ("sum", LayerPrecision::Fp32),
                    ("up", LayerPrecision::Fp32),
                    ("clip", LayerPrecision::Fp32),
                    ("c", LayerPrecision::Fp16),
                    ("product", LayerPrecision::Fp32),
                ]),
                Precision::Int8,
            ),
        ];
        let mut engines = Vec::new();
        for (quantization, precision) in several {
            let built = model.build(&library, precision, Some(quantization));
            let built = built.unwrap_or_else(|error| panic!("{}: {error}", model.spec.name));
            engines.push(built.engine);
        }
        assert!(engines[0] != engines[1] && engines[0] != engines[2]);
    }
}

#[test]
fn weights_in_int8_take_a_byte_each() {
    let Some(library) = rtx() else { return };
    for product in [false, true] {
        let model = heavy(product);
        let weights: usize = model.weights.iter().map(Tensor::elements).sum();
        let [half, whole] = [Precision::Fp16, Precision::Int8].map(|precision| {
            let built = model.build(&library, precision, Some(model.quantization(&[])));
            built.unwrap().engine.len()
        });
        assert!(half > 2 * weights, "{half} bytes of {weights} halves");
        assert!(
            whole > weights && whole < weights * 3 / 2,
            "{whole} bytes of {weights} numbers of 8 bits"
        );
    }
}

/// In INT8 TensorRT-RTX would make a dense kernel of a depthwise one, a hundred times its size.
#[test]
fn depthwise_weights_stay_as_few_as_they_are() {
    let Some(library) = rtx() else { return };
    let model = depthwise();
    let weights: usize = model.weights.iter().map(Tensor::elements).sum();
    let built = model.build(&library, Precision::Int8, Some(model.quantization(&[])));
    let bytes = built.unwrap().engine.len();
    assert!(
        bytes > weights && bytes < weights * 3 / 2,
        "{bytes} bytes of {weights} numbers"
    );
}

#[test]
fn fp16_engines_are_as_without_a_quantization() {
    let Some(library) = rtx() else { return };
    let model = classifier();
    let floats = Quantization::floats(&model.spec, tfjet_core::Precision::Fp16);
    let [with, without] = [Some(floats), None].map(|quantization| {
        let built = model.build(&library, Precision::Fp16, quantization);
        built.unwrap().engine.len()
    });
    assert_eq!(with, without);
}

#[test]
fn what_cannot_be_int8_is_named() {
    let Some(library) = rtx() else { return };
    let model = classifier();
    let implicit = BuildOptions {
        precision: Precision::Int8,
        quantization: Some(model.quantization(&[])),
        quantization_form: QuantizationForm::Implicit,
        profiles: model.profiles(),
        ..BuildOptions::default()
    };
    let refused = |options: &BuildOptions| {
        let built = build_engine(&library, &model.spec, &model, options, None, &mut |_| ());
        built.unwrap_err().to_string()
    };
    assert_eq!(
        refused(&implicit),
        "TensorRT-RTX 1.7.1 has no implicit quantization"
    );
    let none = BuildOptions {
        quantization: None,
        ..implicit.clone()
    };
    assert!(refused(&none).contains("convert the model with --precision int8"));
    let mut other = model.quantization(&[]);
    other.layers.pop();
    let other = BuildOptions {
        quantization: Some(other),
        ..implicit
    };
    assert_eq!(
        refused(&other),
        "network classifier: its quantization does not fit it: it is for 11 layers, the network \
         has 12"
    );
}
