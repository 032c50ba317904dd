use std::path::Path;
use std::sync::Arc;

use tfjet_core::{
    ActivationType, DType, ElementWiseOperation, Layer, LayerPrecision, LayerSpec, MatrixOperation,
    NetworkSpec, NetworkTensor, PaddingMode, PoolingType, Quantization, Shape, Tensor, TensorId,
    WeightsEntry, WeightsId, WeightsTable, quantized_weights,
};
use tfjet_cpu::{Engine, EngineOptions, Library};
use tfjet_onnx::{OnnxOptions, to_onnx};

use crate::interpreter::{Array, interpret, output_shape};

/// The library that the environment names; says so where it names none.
pub fn library() -> Option<Library> {
    let Some(path) = std::env::var_os("TFJET_ONNXRUNTIME") else {
        eprintln!("skipped: TFJET_ONNXRUNTIME names no ONNX Runtime library");
        return None;
    };
    Some(Library::load(Some(Path::new(&path)), &[]).unwrap())
}

/// A network under construction, its weights, and the numbers that it computes in.
#[derive(Debug, Clone, Default)]
pub struct Network {
    pub spec: NetworkSpec,
    pub weights: Vec<Array>,
    pub quantization: Quantization,
    pub inputs: Vec<Array>,
    pub round_fp16: bool,
    seed: u32,
}

/// Strides, dilations and paddings of both spatial axes.
#[derive(Debug, Clone)]
pub struct Window {
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub pre: [usize; 2],
    pub post: [usize; 2],
    pub groups: usize,
}

pub const SAME: Window = Window {
    stride: [1, 1],
    dilation: [1, 1],
    pre: [1, 1],
    post: [1, 1],
    groups: 1,
};

impl Network {
    /// Whole numbers from -`most` to `most`.
    pub fn whole(&mut self, shape: &[usize], most: i32) -> Array {
        self.seed += 1;
        let mut state = self.seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        let count = shape.iter().product();
        let data = (0..count).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) % (2 * most as u32 + 1)) as f32 - most as f32
        });
        Array {
            shape: shape.to_vec(),
            data: data.collect(),
        }
    }

    fn tensor(&mut self, shape: &[usize], range: Option<f32>) -> TensorId {
        let id = TensorId(self.spec.tensors.len() as u32);
        self.spec.tensors.push(NetworkTensor {
            name: format!("t{}", id.0),
            dtype: DType::F32,
            shape: Shape::fixed(shape),
        });
        self.quantization.ranges.push(range);
        id
    }

    pub fn range(&mut self, id: TensorId, range: f32) {
        self.quantization.ranges[id.0 as usize] = Some(range);
    }

    pub fn shape(&self, id: TensorId) -> Vec<usize> {
        self.spec.tensors[id.0 as usize].shape.as_fixed().unwrap()
    }

    pub fn input(&mut self, value: Array) -> TensorId {
        let id = self.tensor(&value.shape, None);
        self.spec.inputs.push(id);
        self.inputs.push(value);
        id
    }

    pub fn weight(&mut self, value: Array) -> WeightsId {
        self.weights.push(value);
        WeightsId(self.weights.len() as u32 - 1)
    }

    /// A layer in 16-bit floats, which are 32-bit ones where nothing is rounded.
    pub fn layer(&mut self, layer: Layer, inputs: &[TensorId]) -> TensorId {
        let shapes: Vec<_> = inputs.iter().map(|&id| self.shape(id)).collect();
        let shape = output_shape(&layer, &shapes, &self.weights);
        let id = self.tensor(&shape, None);
        self.spec.layers.push(LayerSpec {
            name: format!("layer{}", id.0),
            layer,
            inputs: inputs.to_vec(),
            outputs: vec![id],
        });
        self.quantization.layers.push(LayerPrecision::Fp16);
        id
    }

    /// The latest layer computes in INT8, with these magnitudes of its output channels.
    pub fn int8(&mut self, channels: Vec<f32>) {
        let last = self.quantization.layers.last_mut().unwrap();
        *last = LayerPrecision::Int8 { channels };
    }

    /// The latest layer computes in INT8, with the largest magnitudes of its weights.
    pub fn int8_of_weights(&mut self) {
        let layer = self.spec.layers.last().unwrap();
        let found = quantized_weights(&self.spec, layer).unwrap();
        let weights = &self.weights[found.weights.0 as usize];
        let channels = weights.magnitudes(found.axis);
        self.int8(channels);
    }

    pub fn convolution(
        &mut self,
        from: TensorId,
        kernel: Array,
        bias: Option<Array>,
        at: &Window,
    ) -> TensorId {
        let kernel = self.weight(kernel);
        let bias = bias.map(|bias| self.weight(bias));
        let layer = Layer::Convolution {
            kernel,
            bias,
            stride: at.stride.to_vec(),
            dilation: at.dilation.to_vec(),
            pre_padding: at.pre.to_vec(),
            post_padding: at.post.to_vec(),
            padding_mode: PaddingMode::Explicit,
            groups: at.groups,
        };
        self.layer(layer, &[from])
    }

    pub fn deconvolution(
        &mut self,
        from: TensorId,
        kernel: Array,
        bias: Option<Array>,
        at: &Window,
    ) -> TensorId {
        let kernel = self.weight(kernel);
        let bias = bias.map(|bias| self.weight(bias));
        let layer = Layer::Deconvolution {
            kernel,
            bias,
            stride: at.stride.to_vec(),
            pre_padding: at.pre.to_vec(),
            post_padding: at.post.to_vec(),
            groups: at.groups,
        };
        self.layer(layer, &[from])
    }

    pub fn constant(&mut self, value: Array) -> TensorId {
        let weights = self.weight(value);
        self.layer(Layer::Constant { weights }, &[])
    }

    pub fn product(
        &mut self,
        a: TensorId,
        b: TensorId,
        first: MatrixOperation,
        second: MatrixOperation,
    ) -> TensorId {
        self.layer(Layer::MatrixMultiply { first, second }, &[a, b])
    }

    pub fn activation(
        &mut self,
        kind: ActivationType,
        limits: [f32; 2],
        from: TensorId,
    ) -> TensorId {
        let [alpha, beta] = limits;
        self.layer(Layer::Activation { kind, alpha, beta }, &[from])
    }

    pub fn relu(&mut self, from: TensorId) -> TensorId {
        self.activation(ActivationType::Relu, [0.0, 0.0], from)
    }

    pub fn element_wise(
        &mut self,
        operation: ElementWiseOperation,
        a: TensorId,
        b: TensorId,
    ) -> TensorId {
        self.layer(Layer::ElementWise { operation }, &[a, b])
    }

    pub fn sum(&mut self, a: TensorId, b: TensorId) -> TensorId {
        self.element_wise(ElementWiseOperation::Sum, a, b)
    }

    pub fn concatenation(&mut self, parts: &[TensorId]) -> TensorId {
        self.layer(Layer::Concatenation { axis: 1 }, parts)
    }

    pub fn max_pool(&mut self, from: TensorId) -> TensorId {
        let layer = Layer::Pooling {
            kind: PoolingType::Max,
            window: vec![2, 2],
            stride: vec![1, 1],
            pre_padding: vec![0, 0],
            post_padding: vec![0, 0],
            padding_mode: PaddingMode::Explicit,
            average_count_excludes_padding: true,
        };
        self.layer(layer, &[from])
    }

    /// A weights section and its table.
    pub fn stored(&self) -> (WeightsTable, Vec<u8>) {
        let (mut table, mut blob) = (WeightsTable::default(), Vec::<u8>::new());
        for array in &self.weights {
            blob.resize(blob.len().next_multiple_of(64), 0);
            let bytes = array.data.iter().flat_map(|x| x.to_le_bytes());
            let offset = blob.len() as u64;
            blob.extend(bytes);
            table.entries.push(WeightsEntry {
                dtype: DType::F32,
                shape: array.shape.clone(),
                offset,
                len_bytes: blob.len() as u64 - offset,
            });
        }
        (table, blob)
    }

    pub fn onnx(&self) -> Vec<u8> {
        let options = OnnxOptions {
            quantization: Some(self.quantization.clone()),
            round_fp16: self.round_fp16,
            ..OnnxOptions::default()
        };
        to_onnx(&self.spec, &self.stored().0, &options).unwrap()
    }

    /// What ONNX Runtime gives for the outputs.
    pub fn run(&self, library: &Library, exact_quantization: bool) -> Vec<Array> {
        let options = EngineOptions {
            threads: 1,
            exact_quantization,
            ..EngineOptions::default()
        };
        let blob = Arc::new(self.stored().1);
        let mut engine = Engine::new(library, &self.onnx(), blob, &options).unwrap();
        let inputs = self.inputs.iter();
        let inputs = inputs.map(|input| Tensor::from_slice(&input.shape, &input.data).unwrap());
        let inputs: Vec<Tensor> = inputs.collect();
        let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
        let mut results = vec![Tensor::default(); self.spec.outputs.len()];
        engine.run(&views, &mut results).unwrap();
        let results = results.iter().map(|result| Array {
            shape: result.shape().to_vec(),
            data: result.as_slice::<f32>().unwrap().to_vec(),
        });
        results.collect()
    }

    /// What the loops give for the outputs.
    pub fn expected(&self) -> Vec<Array> {
        let values = interpret(self);
        let outputs = self.spec.outputs.iter();
        outputs.map(|id| values[id.0 as usize].clone()).collect()
    }
}
