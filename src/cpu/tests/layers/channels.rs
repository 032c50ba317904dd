//! Networks whose channels are no multiple of four, which are written with more.

use std::sync::Arc;

use tfjet_core::{
    ActivationType, DType, ElementWiseOperation, Layer, LayerSpec, NetworkSpec, NetworkTensor,
    PoolingType, Shape, Tensor, TensorId, WeightsId,
};
use tfjet_cpu::{Engine, EngineOptions};
use tfjet_onnx::{OnnxOptions, to_onnx};

use crate::case::{noise, tensor, values, weights};
use crate::harness::library;
use crate::reference::{Array, Window, broadcast, convolution, pooling};

/// A network and, beside it, what each of its tensors is.
#[derive(Default)]
struct Network {
    spec: NetworkSpec,
    values: Vec<Array>,
    weights: Vec<(DType, Array)>,
}

const SAME: Window<'static> = Window {
    stride: &[1, 1],
    dilation: &[1, 1],
    pre: &[1, 1],
    post: &[1, 1],
    groups: 1,
};

impl Network {
    fn value(&mut self, value: Array) -> TensorId {
        let id = TensorId(self.values.len() as u32);
        self.spec.tensors.push(NetworkTensor {
            name: format!("t{}", id.0),
            dtype: DType::F32,
            shape: Shape::fixed(&value.shape),
        });
        self.values.push(value);
        id
    }

    fn input(&mut self, channels: usize) -> TensorId {
        let value = noise(&[1, channels, 6, 5], 70 + self.values.len() as u32);
        let id = self.value(value);
        self.spec.inputs.push(id);
        id
    }

    fn layer(&mut self, layer: Layer, inputs: &[TensorId], value: Array) -> TensorId {
        let id = self.value(value);
        self.spec.layers.push(LayerSpec {
            name: format!("layer{}", id.0),
            layer,
            inputs: inputs.to_vec(),
            outputs: vec![id],
        });
        id
    }

    fn at(&self, id: TensorId) -> Array {
        self.values[id.0 as usize].clone()
    }

    fn weight(&mut self, shape: &[usize]) -> (WeightsId, Array) {
        let array = noise(shape, 90 + self.weights.len() as u32);
        self.weights.push((DType::F32, array.clone()));
        (WeightsId(self.weights.len() as u32 - 1), array)
    }

    fn convolution(&mut self, from: TensorId, to: usize, groups: usize) -> TensorId {
        let x = self.at(from);
        let (kernel, k) = self.weight(&[to, x.shape[1] / groups, 3, 3]);
        let (bias, b) = self.weight(&[to]);
        let layer = Layer::Convolution {
            kernel,
            bias: Some(bias),
            stride: vec![1, 1],
            dilation: vec![1, 1],
            pre_padding: vec![1, 1],
            post_padding: vec![1, 1],
            padding_mode: tfjet_core::PaddingMode::Explicit,
            groups,
        };
        let y = convolution(&x, &k, Some(&b), &Window { groups, ..SAME });
        self.layer(layer, &[from], y)
    }

    fn depthwise(&mut self, from: TensorId) -> TensorId {
        let channels = self.at(from).shape[1];
        self.convolution(from, channels, channels)
    }

    fn sigmoid(&mut self, from: TensorId) -> TensorId {
        let layer = Layer::Activation {
            kind: ActivationType::Sigmoid,
            alpha: 0.0,
            beta: 0.0,
        };
        let y = self.at(from).map(|x| 1.0 / (1.0 + (-x).exp()));
        self.layer(layer, &[from], y)
    }

    fn average(&mut self, from: TensorId) -> TensorId {
        let kind = PoolingType::Average;
        let layer = Layer::Pooling {
            kind,
            window: vec![3, 3],
            stride: vec![1, 1],
            pre_padding: vec![1, 1],
            post_padding: vec![1, 1],
            padding_mode: tfjet_core::PaddingMode::Explicit,
            average_count_excludes_padding: true,
        };
        let y = pooling(&self.at(from), kind, &[3, 3], &SAME, true);
        self.layer(layer, &[from], y)
    }

    fn sum(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let operation = ElementWiseOperation::Sum;
        let y = broadcast(&self.at(a), &self.at(b), |a, b| a + b);
        self.layer(Layer::ElementWise { operation }, &[a, b], y)
    }

    fn concatenation(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let (x, y) = (self.at(a), self.at(b));
        let split = x.shape[1];
        let both = Array::build(&[1, split + y.shape[1], 6, 5], |at| match at[1] {
            c if c < split => x.at(at),
            c => y.at(&[at[0], c - split, at[2], at[3]]),
        });
        self.layer(Layer::Concatenation { axis: 1 }, &[a, b], both)
    }

    /// Runs the network with these outputs.
    fn check(mut self, name: &str, outputs: &[TensorId]) {
        let Some(library) = library() else { return };
        self.spec.outputs = outputs.to_vec();
        let (table, blob) = weights(&self.weights);
        let onnx = to_onnx(&self.spec, &table, &OnnxOptions::default()).unwrap();
        let padded = onnx.windows(7).any(|window| window == b"/padded");
        let pads = onnx.windows(4).any(|window| window == b"/Pad");
        assert!(padded || pads, "{name}: nothing is padded");
        let options = EngineOptions {
            threads: 1,
            ..EngineOptions::default()
        };
        let mut engine = Engine::new(&library, &onnx, Arc::new(blob), &options).unwrap();
        let inputs: Vec<Tensor> = (self.spec.inputs.iter())
            .map(|&id| tensor(DType::F32, &self.at(id)))
            .collect();
        let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
        let mut results = vec![Tensor::default(); outputs.len()];
        engine.run(&views, &mut results).unwrap();
        for (result, &id) in results.iter().zip(outputs) {
            let expected = self.at(id);
            assert_eq!(result.shape(), expected.shape, "{name}");
            let largest = expected
                .data
                .iter()
                .fold(0.0, |most: f64, x| most.max(x.abs()));
            for (i, (a, e)) in values(result).iter().zip(&expected.data).enumerate() {
                assert!(
                    (a - e).abs() < 1e-5 * largest,
                    "{name}: element {i} is {a}, not {e}"
                );
            }
        }
    }
}

#[test]
fn odd_channels_between_convolutions_change_nothing() {
    let mut n = Network::default();
    let x = n.input(16);
    let a = n.convolution(x, 18, 1);
    let a = n.sigmoid(a);
    let b = n.depthwise(a);
    let b = n.sigmoid(b);
    let y = n.convolution(b, 8, 1);
    n.check("bottleneck", &[y]);

    let mut n = Network::default();
    let x = n.input(16);
    let a = n.convolution(x, 18, 1);
    let b = n.depthwise(a);
    let c = n.average(b);
    let c = n.sum(c, a);
    let y = n.convolution(c, 7, 1);
    n.check("other readers, all outputs", &[a, b, c, y]);
}

#[test]
fn odd_channels_from_elsewhere_change_nothing() {
    let mut n = Network::default();
    let (x, z) = (n.input(6), n.input(5));
    let c = n.concatenation(x, z);
    let d = n.depthwise(c);
    let y = n.convolution(d, 12, 1);
    n.check("concatenation", &[y]);

    let mut n = Network::default();
    let (x, z) = (n.input(16), n.input(3));
    let a = n.convolution(x, 9, 1);
    let a = n.sigmoid(a);
    let d = n.depthwise(a);
    let c = n.concatenation(d, z);
    let e = n.convolution(c, 10, 2);
    let f = n.convolution(e, 11, 1);
    let g = n.depthwise(f);
    n.check("cut, joined, grouped", &[c, g, e]);

    let mut n = Network::default();
    let x = n.input(9);
    let d = n.depthwise(x);
    let s = n.sum(d, x);
    let e = n.depthwise(s);
    let e = n.sigmoid(e);
    n.check("network input", &[e, s]);
}
