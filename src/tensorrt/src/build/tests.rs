//! What TensorRT is told of precisions, by objects that stand in for its own.

use std::collections::BTreeMap;

use tfjet_core::{
    ActivationType, DType, ElementWiseOperation, Layer, LayerPrecision, LayerSpec, MatrixOperation,
    NetworkSpec, NetworkTensor, PaddingMode, Quantization, Shape, Tensor, TensorId, TensorView,
    WeightsId,
};

use super::engine::set_precisions;
use super::numbers::Numbers;
use super::{BuildOptions, Precision, QuantizationForm, WeightsSource, build_network};
use crate::fake::network::{Told, builder, config, flags, told};
use crate::{TensorRtError, Version};

/// Numbers of `DataType`.
const FLOAT: Option<i32> = Some(0);
const HALF: Option<i32> = Some(1);
const INT8: Option<i32> = Some(2);

/// Every convolution has the same weights, as every product has.
struct Weights([Tensor; 2]);

impl Weights {
    fn new() -> Self {
        let ramp: Vec<f32> = (0..9 * 16).map(|i| i as f32 / 64.0 - 0.5).collect();
        Self(
            [&[4, 4, 3, 3], &[1, 1, 12, 12]].map(|shape| Tensor::from_slice(shape, &ramp).unwrap()),
        )
    }
}

impl WeightsSource for Weights {
    fn weights(&self, id: WeightsId) -> Option<TensorView<'_>> {
        Some(self.0.get(id.0 as usize)?.view())
    }
}

struct Net(NetworkSpec);

impl Net {
    fn tensor(&mut self, name: &str, dtype: DType) -> TensorId {
        self.0.tensors.push(NetworkTensor {
            name: name.into(),
            dtype,
            shape: Shape::fixed(&[1, 4, 12, 12]),
        });
        TensorId(u32::try_from(self.0.tensors.len() - 1).unwrap())
    }

    fn add(&mut self, name: &str, layer: Layer, inputs: &[TensorId]) -> TensorId {
        let dtype = match layer {
            Layer::Cast { to } => to,
            _ => DType::F32,
        };
        let made = self.tensor(name, dtype);
        if let Layer::Constant { .. } = layer {
            self.0.tensors[made.0 as usize].shape = Shape::fixed(&[1, 1, 12, 12]);
        }
        self.0.layers.push(LayerSpec {
            name: name.into(),
            layer,
            inputs: inputs.to_vec(),
            outputs: vec![made],
        });
        made
    }

    fn convolution(&mut self, name: &str, input: TensorId) -> TensorId {
        let layer = Layer::Convolution {
            kernel: WeightsId(0),
            bias: None,
            stride: vec![1, 1],
            dilation: vec![1, 1],
            pre_padding: vec![1, 1],
            post_padding: vec![1, 1],
            padding_mode: PaddingMode::Explicit,
            groups: 1,
        };
        self.add(name, layer, &[input])
    }

    fn activation(&mut self, name: &str, kind: ActivationType, input: TensorId) -> TensorId {
        let (alpha, beta) = (0.0, 6.0);
        self.add(name, Layer::Activation { kind, alpha, beta }, &[input])
    }
}

/// x -> a -> a/relu -> b -> sum(b, a/relu) -> c -> d -> up -> e -> sigmoid -> whole numbers ->
/// floats -> dense -> y, where `d` is a convolution whose input, `c`, another INT8 layer reads too.
fn net() -> NetworkSpec {
    let mut net = Net(NetworkSpec {
        name: "net".into(),
        ..NetworkSpec::default()
    });
    let x = net.tensor("x", DType::F32);
    net.0.inputs = vec![x];
    let a = net.convolution("a", x);
    let relu = net.activation("a/relu", ActivationType::Relu, a);
    let b = net.convolution("b", relu);
    let operation = ElementWiseOperation::Sum;
    let sum = net.add("sum", Layer::ElementWise { operation }, &[b, relu]);
    let c = net.convolution("c", sum);
    let d = net.convolution("d", c);
    let up = Layer::Deconvolution {
        kernel: WeightsId(0),
        bias: None,
        stride: vec![1, 1],
        pre_padding: vec![1, 1],
        post_padding: vec![1, 1],
        groups: 1,
    };
    let up = net.add("up", up, &[c]);
    let e = net.convolution("e", d);
    let sum = net.add("join", Layer::ElementWise { operation }, &[e, up]);
    let sigmoid = net.activation("sigmoid", ActivationType::Sigmoid, sum);
    let whole = net.add("whole", Layer::Cast { to: DType::I32 }, &[sigmoid]);
    let shuffle = Layer::Shuffle {
        first_transpose: Vec::new(),
        reshape: None,
        second_transpose: Vec::new(),
    };
    let whole = {
        let made = net.add("moved", shuffle, &[whole]);
        net.0.tensors[made.0 as usize].dtype = DType::I32;
        made
    };
    let back = net.add("back", Layer::Cast { to: DType::F32 }, &[whole]);
    let weights = Layer::Constant {
        weights: WeightsId(1),
    };
    let weights = net.add("dense/weights", weights, &[]);
    let product = Layer::MatrixMultiply {
        first: MatrixOperation::None,
        second: MatrixOperation::None,
    };
    let dense = net.add("dense", product, &[back, weights]);
    let y = net.convolution("y", dense);
    net.0.outputs = vec![y];
    net.0
}

/// INT8 but for `d`, in FP16, and `e` and `join`, in FP32; ranges for all floats but `dense/weights`.
fn quantization(spec: &NetworkSpec) -> Quantization {
    let precision = |layer: &LayerSpec| match (layer.name.as_str(), &layer.layer) {
        ("d", _) => LayerPrecision::Fp16,
        ("e" | "join", _) => LayerPrecision::Fp32,
        (_, Layer::MatrixMultiply { .. }) => LayerPrecision::Int8 {
            channels: vec![1.0; 12],
        },
        (_, Layer::Convolution { .. } | Layer::Deconvolution { .. }) => LayerPrecision::Int8 {
            channels: vec![0.5, 0.0, 1.0, 2.0],
        },
        _ => LayerPrecision::Fp16,
    };
    let known =
        |tensor: &NetworkTensor| tensor.dtype == DType::F32 && tensor.name != "dense/weights";
    Quantization {
        ranges: (1u16..)
            .zip(&spec.tensors)
            .map(|(i, tensor)| known(tensor).then_some(f32::from(i)))
            .collect(),
        layers: spec.layers.iter().map(precision).collect(),
    }
}

fn options(form: QuantizationForm, pin_precisions: bool) -> BuildOptions {
    BuildOptions {
        precision: Precision::Int8,
        quantization: Some(quantization(&net())),
        quantization_form: form,
        pin_precisions,
        ..BuildOptions::default()
    }
}

fn build(version: (u32, u32), options: &BuildOptions) -> BTreeMap<String, Told> {
    let builder = builder(version.0, version.1, &[]);
    let weights = Weights::new();
    build_network(&builder, &net(), &weights, options).unwrap();
    told()
}

/// Which layers were told a precision or a type of their output.
fn words(told: &BTreeMap<String, Told>) -> Vec<(&str, Option<i32>, Option<i32>)> {
    let words = told.values().filter(|it| {
        // Identities that stand for casts have the type of their result.
        let cast = ["whole", "back"].contains(&it.name.as_str());
        !cast && (it.precision.is_some() || it.output.is_some())
    });
    words
        .map(|it| (it.name.as_str(), it.precision, it.output))
        .collect()
}

const WEAKLY: [(u32, u32); 5] = [(8, 2), (8, 4), (8, 5), (8, 6), (10, 3)];

#[test]
fn implicit_quantization_sets_the_range_of_every_tensor() {
    for version in WEAKLY {
        let told = build(version, &options(QuantizationForm::Implicit, false));
        let spec = net();
        for (i, tensor) in (1u16..).zip(&spec.tensors) {
            let name = match tensor.name.as_str() {
                "x" => "input:0",
                name => name,
            };
            let range = f32::from(i);
            let expected = match (tensor.dtype, name) {
                // The constant's own largest magnitude.
                (DType::F32, "dense/weights") => Some((-1.734_375, 1.734_375)),
                (DType::F32, _) => Some((-range, range)),
                _ => None,
            };
            let found = told.get(name).map(|told| told.range);
            match name {
                // A layer that does nothing is left out.
                "moved" => assert_eq!(found, None),
                _ => assert_eq!(found, Some(expected), "{name} of {version:?}"),
            }
        }
        let scaled = told.keys().find(|name| name.contains("quantize"));
        assert_eq!(scaled, None, "{version:?}");
    }
}

#[test]
fn layers_that_are_kept_in_floats_say_so() {
    for version in WEAKLY {
        let told = build(version, &options(QuantizationForm::Implicit, false));
        // An INT8 layer reads what `dense` makes, so that may be made in INT8.
        let expected = [
            ("d", HALF, HALF),
            ("dense", HALF, None),
            ("e", FLOAT, FLOAT),
            ("join", FLOAT, FLOAT),
        ];
        assert_eq!(words(&told), expected, "{version:?}");
    }
}

#[test]
fn pinned_layers_all_say_what_they_compute_in() {
    for version in WEAKLY {
        let told = build(version, &options(QuantizationForm::Implicit, true));
        let expected = [
            ("a", INT8, None),  // a/relu is computed with it
            ("b", INT8, FLOAT), // the sum reads floats
            ("c", INT8, INT8),  // an INT8 layer reads it, so all read it rounded
            ("d", HALF, None),
            ("dense", HALF, None), // no INT8 by ranges
            ("e", FLOAT, FLOAT),
            ("join", FLOAT, FLOAT),
            ("sigmoid", HALF, None),
            ("sum", HALF, None),
            ("y", INT8, FLOAT), // an output
        ];
        assert_eq!(words(&told), expected, "{version:?}");
    }
}

/// x -> matrix/a -> matrix/relu -> matrix/b, products of matrices in INT8.
fn products() -> (NetworkSpec, Weights, Quantization) {
    let mut net = Net(NetworkSpec::default());
    let x = net.tensor("x", DType::F32);
    net.0.inputs = vec![x];
    let weights = Layer::Constant {
        weights: WeightsId(0),
    };
    let weights = net.add("matrix/weights", weights, &[]);
    let product = |second| Layer::MatrixMultiply {
        first: MatrixOperation::None,
        second,
    };
    let a = net.add("matrix/a", product(MatrixOperation::None), &[x, weights]);
    let relu = net.activation("matrix/relu", ActivationType::Relu, a);
    let second = product(MatrixOperation::Transpose);
    let b = net.add("matrix/b", second, &[relu, weights]);
    net.0.outputs = vec![b];
    for tensor in &mut net.0.tensors {
        tensor.shape = Shape::fixed(&[2, 2]);
    }
    let ramp = Tensor::from_slice(&[2, 2], &[1f32, 2.0, 3.0, 4.0]).unwrap();
    let layers = net.0.layers.iter().map(|layer| match layer.layer {
        Layer::MatrixMultiply { .. } => LayerPrecision::Int8 {
            channels: vec![4.0; 2],
        },
        _ => LayerPrecision::Fp32,
    });
    let quantization = Quantization {
        ranges: [1.0, 4.0, 2.0, 3.0, 5.0].map(Some).to_vec(),
        layers: layers.collect(),
    };
    (net.0, Weights([ramp.clone(), ramp]), quantization)
}

#[test]
fn products_of_matrices_are_convolutions_by_ranges() {
    let (spec, weights, quantization) = products();
    for version in WEAKLY {
        let options = BuildOptions {
            quantization: Some(quantization.clone()),
            ..options(QuantizationForm::Implicit, true)
        };
        let builder = builder(version.0, version.1, &[]);
        build_network(&builder, &spec, &weights, &options).unwrap();
        let told = told();
        let expected = [
            ("matrix/a", FLOAT, FLOAT),
            ("matrix/a/convolution_2", INT8, FLOAT),
            ("matrix/a/shuffle_1", INT8, INT8),
            ("matrix/b", FLOAT, FLOAT),
            ("matrix/b/convolution_2", INT8, FLOAT),
            ("matrix/b/shuffle_1", INT8, INT8),
            ("matrix/relu", FLOAT, None),
        ];
        assert_eq!(words(&told), expected, "{version:?}");
        for (name, range) in [
            ("matrix/a/shuffle_1", 1.0),
            ("matrix/a/convolution_2", 2.0),
            ("matrix/a", 2.0),
            ("matrix/b/shuffle_1", 3.0),
            ("matrix/b", 5.0),
        ] {
            assert_eq!(told[name].range, Some((-range, range)), "{name}");
        }
        assert_eq!(told["matrix/a/convolution_2"].weights, Some(4));
    }
}

#[test]
fn shape_tensors_are_told_nothing() {
    let builder = builder(8, 5, &["sum", "sigmoid", "a"]);
    let weights = Weights::new();
    let options = options(QuantizationForm::Implicit, true);
    build_network(&builder, &net(), &weights, &options).unwrap();
    let told = told();
    for name in ["sum", "sigmoid", "a"] {
        assert_eq!(
            (told[name].precision, told[name].output),
            (None, None),
            "{name}"
        );
        assert_eq!(told[name].range, None, "{name}");
    }
    assert_eq!(told["b"].precision, INT8);
}

#[test]
fn explicit_quantization_encloses_each_int8_layer_once() {
    for version in WEAKLY {
        let told = build(version, &options(QuantizationForm::Explicit, false));
        let mut scaled: Vec<&str> = told.keys().map(String::as_str).collect();
        scaled.retain(|name| name.ends_with("/dequantize"));
        // What INT8 layers read (b reads a/relu, c the sum, up c, dense what came back), and weights.
        let expected = [
            "a/relu/dequantize",
            "a/weights/dequantize",
            "b/weights/dequantize",
            "back/dequantize",
            "c/dequantize",
            "c/weights/dequantize",
            "dense/dequantize",
            "dense/weights/dequantize",
            "sum/dequantize",
            "up/weights/dequantize",
            "x/dequantize",
            "y/weights/dequantize",
        ];
        assert_eq!(scaled, expected, "{version:?}");
        for (layer, axis) in [("a", 0), ("up", 1), ("y", 0), ("dense", 3)] {
            for kind in ["quantize", "dequantize"] {
                let name = format!("{layer}/weights/{kind}");
                assert_eq!(told[&name].axis, Some(axis), "{name} of {version:?}");
            }
        }
        assert_eq!(told["sum/quantize"].axis, None);
        for (layer, weights) in [("a", 0), ("up", 0), ("d", 144), ("e", 144)] {
            assert_eq!(told[layer].weights, Some(weights), "{layer}");
            let second = (weights == 0).then(|| format!("{layer}/weights/dequantize"));
            assert_eq!(told[layer].inputs.get(&1), second.as_ref(), "{layer}");
        }
        assert!(told.values().all(|it| it.range.is_none()), "{version:?}");
        assert_eq!(words(&told), [("e", FLOAT, FLOAT), ("join", FLOAT, FLOAT)]);
    }
}

#[test]
fn the_form_follows_from_the_version_and_the_accelerator() {
    let spec = net();
    for ((major, minor), dla_core, explicit) in [
        ((8, 2), None, false),
        ((8, 6), None, false),
        ((10, 0), None, true),
        ((10, 16), None, true),
        ((10, 3), Some(0), false),
    ] {
        let options = BuildOptions {
            dla_core,
            ..options(QuantizationForm::Auto, false)
        };
        let version = crate::fake::api(major, minor).version;
        let numbers = Numbers::new(version, &spec, &options).unwrap();
        assert_eq!(numbers.is_explicit(), explicit, "{version} {dla_core:?}");
        assert_eq!(numbers.is_implicit(), !explicit, "{version} {dla_core:?}");
    }
}

#[test]
fn flags_are_those_of_the_version_and_of_what_is_built() {
    use Precision::{Fp16, Fp32, Int8};
    let spec = net();
    for (version, obey, prefer) in [((8, 2), 10, 11), ((8, 6), 10, 11), ((10, 0), 9, 10)] {
        for (precision, pinned, constrained, expected) in [
            (Fp32, false, false, vec![]),
            (Fp16, false, false, vec![0]),
            (Fp16, false, true, vec![0, prefer]),
            (Fp16, true, true, vec![0, obey]),
            (Int8, false, false, vec![0, 1]),
            (Int8, false, true, vec![0, 1, prefer]),
            (Int8, true, true, vec![0, 1, obey]),
        ] {
            let options = BuildOptions {
                precision,
                ..options(QuantizationForm::Implicit, pinned)
            };
            let (major, minor) = version;
            let known = crate::fake::api(major, minor).version;
            let numbers = Numbers::new(known, &spec, &options).unwrap();
            let mut config = config(major, minor);
            set_precisions(&mut config, &numbers, constrained).unwrap();
            assert_eq!(flags(), expected, "{known} {precision} {pinned}");
        }
    }
}

#[test]
fn int8_is_never_set_without_ranges() {
    let spec = net();
    let version: Version = crate::fake::api(8, 5).version;
    let none = BuildOptions {
        precision: Precision::Int8,
        ..BuildOptions::default()
    };
    let error = Numbers::new(version, &spec, &none).unwrap_err();
    assert_eq!(
        error.to_string(),
        "network net: INT8 needs the ranges of its tensors: convert the model with --precision int8 \
         and calibration images"
    );
    let mut without = options(QuantizationForm::Auto, false);
    if let Some(quantization) = &mut without.quantization {
        quantization.ranges.fill(None);
    }
    let error = Numbers::new(version, &spec, &without).unwrap_err();
    assert!(
        matches!(error, TensorRtError::Quantization { .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("layer `a` is INT8, but its input `x` has no range"),
        "{text}"
    );
    // A segment without INT8 layers beside others that have some.
    let floats = BuildOptions {
        quantization: Some(Quantization::floats(&spec, tfjet_core::Precision::Fp16)),
        ..none
    };
    let numbers = Numbers::new(version, &spec, &floats).unwrap();
    assert!(!numbers.has_int8());
    let mut config = config(8, 5);
    set_precisions(&mut config, &numbers, false).unwrap();
    assert_eq!(flags(), [0]);
}

#[test]
fn fp16_keeps_layers_of_32_bits_and_takes_int8_ones_as_its_own() {
    let options = |pin_precisions| BuildOptions {
        precision: Precision::Fp16,
        ..options(QuantizationForm::Auto, pin_precisions)
    };
    let free = build((8, 5), &options(false));
    assert_eq!(words(&free), [("e", FLOAT, FLOAT), ("join", FLOAT, FLOAT)]);
    assert!(free.values().all(|it| it.range.is_none()));
    let pinned = build((8, 5), &options(true));
    assert_eq!(pinned["a"].precision, HALF);
    assert_eq!(pinned["dense"].precision, HALF);
    assert_eq!(pinned["e"].precision, FLOAT);
    let fp32 = BuildOptions {
        precision: Precision::Fp32,
        ..options(true)
    };
    assert_eq!(words(&build((8, 5), &fp32)), []);
}

#[test]
fn channels_that_are_not_those_of_the_weights_are_named() {
    let builder = builder(8, 5, &[]);
    let mut options = options(QuantizationForm::Explicit, false);
    if let Some(quantization) = &mut options.quantization {
        quantization.layers[0] = LayerPrecision::Int8 {
            channels: vec![1.0; 3],
        };
    }
    let weights = Weights::new();
    let error = build_network(&builder, &net(), &weights, &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layer a (Convolution): its quantization is of 3 channels, its weights of 4"
    );
}
