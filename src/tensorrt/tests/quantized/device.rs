//! What the library computes in INT8, against the definition of its numbers.

use std::path::Path;

use tfjet_core::{Layer, LayerPrecision, LayerSpec, MatrixOperation, Quantization, WeightsId};
use tfjet_cuda::{Context, DeviceBuffer, Driver, Region, Stream};
use tfjet_tensorrt::{
    BuildOptions, EntryPoints, Flavor, Library, Precision, QuantizationForm, Runtime,
    WeightsSource as _, build_engine,
};

use crate::model::{Model, RELU, fixed};

/// x -> a -> ReLU -> b -> y, convolutions over 16 channels. Ranges are so wide that rounding shows.
fn coarse() -> (Model, Quantization) {
    let mut m = Model::default();
    let dims = || fixed(&[1, 16, 8, 8]);
    let x = m.input(dims());
    let a = m.convolution("a", x, &[16, 16, 3, 3], (1, 1), dims());
    let a = m.add("a/relu", RELU, &[a], dims());
    let y = m.convolution("b", a, &[16, 16, 1, 1], (1, 1), dims());
    m.spec.outputs = vec![y];
    m.spec.name = "coarse".into();
    let mut quantization = m.quantization(&[]);
    quantization.ranges = [8.0, 400.0, 400.0, 4000.0].map(Some).to_vec();
    (m, quantization)
}

impl Model {
    /// Values of weights, of output channel `channel`, rounded where `channels` says how.
    fn values(&self, id: WeightsId, rounding: Option<&[f32]>) -> Vec<f32> {
        let view = self.weights(id).unwrap();
        let values = view.as_slice::<f32>().unwrap();
        let inner = values.len() / view.shape()[0];
        let values = values.iter().enumerate();
        values
            .map(|(i, &value)| match rounding {
                Some(channels) => to_8_bits(value, channels[i / inner]),
                None => value,
            })
            .collect()
    }

    /// What a convolution with a kernel of odd size makes of 16 channels of 8 x 8.
    fn convolved(&self, layer: &LayerSpec, input: &[f32], channels: Option<&[f32]>) -> Vec<f32> {
        let Layer::Convolution { kernel, bias, .. } = &layer.layer else {
            panic!("{} is no convolution", layer.name)
        };
        let size = self.weights(*kernel).unwrap().shape()[2];
        let (kernel, bias) = (
            self.values(*kernel, channels),
            self.values(bias.unwrap(), None),
        );
        let mut output = vec![0f32; 16 * 64];
        for (i, value) in output.iter_mut().enumerate() {
            let (map, row, column) = (i / 64, i / 8 % 8, i % 8);
            let mut sum = f64::from(bias[map]);
            for channel in 0..16 {
                for (k, l) in (0..size).flat_map(|k| (0..size).map(move |l| (k, l))) {
                    let (y, x) = (row + k, column + l);
                    let half = size / 2;
                    if (half..8 + half).contains(&y) && (half..8 + half).contains(&x) {
                        let weight = kernel[((map * 16 + channel) * size + k) * size + l];
                        let read = input[channel * 64 + (y - half) * 8 + x - half];
                        sum += f64::from(weight) * f64::from(read);
                    }
                }
            }
            *value = sum as f32;
        }
        output
    }
}

fn to_8_bits(value: f32, range: f32) -> f32 {
    if range == 0.0 {
        return 0.0;
    }
    (value.clamp(-range, range) * 127.0 / range).round_ties_even() * range / 127.0
}

/// The values of tensor `tensor` as INT8 layers read them.
fn rounded(values: &[f32], quantization: Option<&Quantization>, tensor: usize) -> Vec<f32> {
    let range = quantization.and_then(|it| it.ranges[tensor]);
    let values = values.iter();
    values
        .map(|&x| range.map_or(x, |range| to_8_bits(x, range)))
        .collect()
}

/// What the network of [`coarse`] makes, in INT8 by the quantization or in floats.
fn reference(model: &Model, input: &[f32], quantization: Option<&Quantization>) -> Vec<f32> {
    let round = |values: &[f32], tensor: usize| rounded(values, quantization, tensor);
    let channels = |layer: usize| match quantization.map(|it| &it.layers[layer]) {
        Some(LayerPrecision::Int8 { channels }) => Some(channels.as_slice()),
        _ => None,
    };
    let layers = &model.spec.layers;
    let mut a = model.convolved(&layers[0], &round(input, 0), channels(0));
    a.iter_mut().for_each(|x| *x = x.max(0.0));
    model.convolved(&layers[2], &round(&a, 2), channels(2))
}

/// x -> p -> ReLU -> q -> y, products of 8 x 128 numbers with weights, those of `q` transposed.
fn dense() -> (Model, Quantization) {
    let mut m = Model::default();
    let dims = || fixed(&[8, 128]);
    let x = m.input(dims());
    let p = m.product("p", x, &[128, 128], MatrixOperation::None, dims());
    let p = m.add("p/relu", RELU, &[p], dims());
    let y = m.product("q", p, &[128, 128], MatrixOperation::Transpose, dims());
    m.spec.outputs = vec![y];
    m.spec.name = "dense".into();
    let quantization = m.quantization(&[]);
    (m, quantization)
}

/// What the network of [`dense`] makes: what `p/relu` gives, and y.
fn dense_reference(
    model: &Model,
    input: &[f32],
    quantization: Option<&Quantization>,
) -> [Vec<f32>; 2] {
    let round = |values: &[f32], tensor: usize| rounded(values, quantization, tensor);
    // Weight of row `k` for column `j`, by the column's own magnitude.
    let weight = |id: u32, layer: usize, transposed: bool, k: usize, j: usize| {
        let view = model.weights(WeightsId(id)).unwrap();
        let place = if transposed { j * 128 + k } else { k * 128 + j };
        let value = view.as_slice::<f32>().unwrap()[place];
        match quantization.map(|it| &it.layers[layer]) {
            Some(LayerPrecision::Int8 { channels }) => to_8_bits(value, channels[j]),
            _ => value,
        }
    };
    let product = |input: &[f32], id: u32, layer: usize, transposed: bool| -> Vec<f32> {
        let places = (0..8usize).flat_map(|i| (0..128usize).map(move |j| (i, j)));
        let sum = |(i, j): (usize, usize)| {
            let terms = (0..128).map(|k| {
                f64::from(input[i * 128 + k]) * f64::from(weight(id, layer, transposed, k, j))
            });
            terms.sum::<f64>() as f32
        };
        places.map(sum).collect()
    };
    // Layers: p/weights, p, p/relu, q/weights, q; tensors: x, then what they make.
    let mut made = product(&round(input, 0), 0, 1, false);
    made.iter_mut().for_each(|x| *x = x.max(0.0));
    let y = product(&round(&made, 3), 1, 4, true);
    [made, y]
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, x| largest.max(x.abs()))
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    let pairs = a.iter().zip(b);
    pairs.fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}

/// Runs an engine of one input and one output of as many values.
fn run(library: &Library, context: &Context, engine: &[u8], input: &[f32]) -> Vec<f32> {
    let engine = Runtime::new(library).unwrap().deserialize(engine).unwrap();
    let mut execution = engine.context(EntryPoints::Newest).unwrap();
    let bytes: Vec<u8> = input.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut output = vec![0u8; bytes.len()];
    let stream = Stream::new(context).unwrap();
    let [from, to] = [(); 2].map(|()| DeviceBuffer::new(context, bytes.len()).unwrap());
    let regions: Vec<Region> = engine
        .io()
        .iter()
        .map(|tensor| {
            if tensor.is_input {
                from.region()
            } else {
                to.region()
            }
        })
        .collect();
    stream
        .scope(|scope| {
            scope.upload(&from.region(), &bytes).unwrap();
            execution.enqueue(scope, &regions).unwrap();
            scope.download(&mut output, &to.region()).unwrap();
        })
        .unwrap();
    let words = output.as_chunks::<4>().0;
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// A network, and what it makes of an input in INT8 and in floats.
struct Case {
    model: Model,
    quantization: Quantization,
    input: Vec<f32>,
    expected: Vec<f32>,
    floats: Vec<f32>,
}

fn cases() -> [Case; 2] {
    let input: Vec<f32> = (0..16 * 64)
        .map(|i| (i * 7919 % 1601) as f32 / 100.0 - 8.0)
        .collect();
    let (model, quantization) = coarse();
    let convolutions = Case {
        expected: reference(&model, &input, Some(&quantization)),
        floats: reference(&model, &input, None),
        model,
        quantization,
        input: input.clone(),
    };
    let (model, mut quantization) = dense();
    let [made, floats] = dense_reference(&model, &input, None);
    for (tensor, range) in [
        (0, 8.0),
        (2, largest(&made)),
        (3, largest(&made)),
        (5, largest(&floats)),
    ] {
        // So wide that rounding shows.
        quantization.ranges[tensor] = Some(4.0 * range);
    }
    let [_, expected] = dense_reference(&model, &input, Some(&quantization));
    let products = Case {
        expected,
        floats,
        model,
        quantization,
        input,
    };
    [convolutions, products]
}

#[test]
fn every_form_computes_what_the_quantization_says() {
    let Some(path) = std::env::var_os("TFJET_TENSORRT") else {
        eprintln!("SKIPPED: TFJET_TENSORRT does not name libnvinfer");
        return;
    };
    let context = Context::new(&Driver::load().unwrap(), 0).unwrap();
    context.make_current().unwrap();
    let library = Library::load(Flavor::TensorRt, Some(Path::new(&path)), &[]).unwrap();
    let mut wrong = Vec::new();
    for case in cases() {
        let rounding = largest_difference(&case.expected, &case.floats);
        for (form, pin_precisions) in [
            (QuantizationForm::Implicit, true),
            (QuantizationForm::Explicit, false),
            (QuantizationForm::Explicit, true),
            (QuantizationForm::Implicit, false),
        ] {
            let options = BuildOptions {
                precision: Precision::Int8,
                quantization: Some(case.quantization.clone()),
                quantization_form: form,
                pin_precisions,
                tactic_sources: Some(0),
                ..BuildOptions::default()
            };
            let (model, spec) = (&case.model, &case.model.spec);
            let name = format!("{}, {form}, pinned {pin_precisions}", spec.name);
            let built = build_engine(&library, spec, model, &options, None, &mut |_| ());
            let Ok(built) = built.inspect_err(|error| wrong.push(format!("{name}: {error}")))
            else {
                continue;
            };
            let found = run(&library, &context, &built.engine, &case.input);
            let off = largest_difference(&found, &case.expected);
            let from_floats = largest_difference(&found, &case.floats);
            eprintln!(
                "{name}: {off:e} from INT8 as defined, {from_floats:e} from floats ({rounding:e} apart)"
            );
            // Unpinned, TensorRT may find floats faster.
            let exact = form == QuantizationForm::Explicit || pin_precisions;
            if off > rounding / 4.0 && (exact || from_floats > rounding / 4.0) {
                wrong.push(format!("{name}: {off:e} off"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_networks_tell_int8_from_floats() {
    for case in cases() {
        case.quantization.check(&case.model.spec).unwrap();
        let whole = largest(&case.floats);
        let apart = largest_difference(&case.floats, &case.expected);
        eprintln!("{}: largest {whole}, apart {apart}", case.model.spec.name);
        assert!(apart > whole / 200.0 && apart < whole / 4.0);
    }
}
