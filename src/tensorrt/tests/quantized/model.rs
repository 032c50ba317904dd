//! Small networks with their weights.

use tfjet_core::{
    ActivationType, DType, Dim, ElementWiseOperation, Layer, LayerPrecision, LayerSpec,
    MatrixOperation, NetworkSpec, NetworkTensor, PaddingMode, PoolingType, Quantization,
    ReduceOperation, ReshapeDim, Shape, Tensor, TensorId, TensorView, WeightsId, quantized_weights,
};
use tfjet_tensorrt::{
    BuildOptions, BuiltEngine, Library, Precision, Profile, ShapeRange, TensorRtError,
    WeightsSource, build_engine,
};

/// A network in the making, with its weights.
#[derive(Debug, Default, Clone)]
pub(crate) struct Model {
    pub(crate) spec: NetworkSpec,
    pub(crate) weights: Vec<Tensor>,
}

impl WeightsSource for Model {
    fn weights(&self, id: WeightsId) -> Option<TensorView<'_>> {
        Some(self.weights.get(usize::try_from(id.0).ok()?)?.view())
    }
}

pub(crate) fn fixed(sizes: &[usize]) -> Vec<Dim> {
    sizes.iter().map(|&size| Dim::Fixed(size)).collect()
}

/// Sizes with an open batch.
fn batch(sizes: &[usize]) -> Vec<Dim> {
    let mut dims = fixed(sizes);
    dims[0] = Dim::Symbolic("n".into());
    dims
}

pub(crate) const RELU: Layer = Layer::Activation {
    kind: ActivationType::Relu,
    alpha: 0.0,
    beta: 0.0,
};

impl Model {
    fn tensor(&mut self, name: &str, dims: Vec<Dim>) -> TensorId {
        self.spec.tensors.push(NetworkTensor {
            name: name.into(),
            dtype: DType::F32,
            shape: Shape(dims),
        });
        TensorId(u32::try_from(self.spec.tensors.len() - 1).unwrap())
    }

    pub(crate) fn input(&mut self, dims: Vec<Dim>) -> TensorId {
        let id = self.tensor("x", dims);
        self.spec.inputs.push(id);
        id
    }

    pub(crate) fn add(
        &mut self,
        name: &str,
        layer: Layer,
        inputs: &[TensorId],
        dims: Vec<Dim>,
    ) -> TensorId {
        let made = self.tensor(name, dims);
        self.spec.layers.push(LayerSpec {
            name: name.into(),
            layer,
            inputs: inputs.to_vec(),
            outputs: vec![made],
        });
        made
    }

    /// Weights that differ from channel to channel; those of channel 1 are zeros.
    fn weight(&mut self, shape: &[usize], axis: usize) -> WeightsId {
        let inner: usize = shape[axis + 1..].iter().product();
        let values: Vec<f32> = (0..shape.iter().product::<usize>())
            .map(|i| match i / inner % shape[axis] {
                1 => 0.0,
                channel => ((i * 7919 % 255) as f32 / 127.0 - 1.0) * (channel + 1) as f32 * 0.1,
            })
            .collect();
        self.weights
            .push(Tensor::from_slice(shape, &values).unwrap());
        WeightsId(u32::try_from(self.weights.len() - 1).unwrap())
    }

    pub(crate) fn convolution(
        &mut self,
        name: &str,
        input: TensorId,
        kernel: &[usize],
        (stride, groups): (usize, usize),
        dims: Vec<Dim>,
    ) -> TensorId {
        let pad = kernel[2] / 2;
        let layer = Layer::Convolution {
            kernel: self.weight(kernel, 0),
            bias: Some(self.weight(&kernel[..1], 0)),
            stride: vec![stride; 2],
            dilation: vec![1; 2],
            pre_padding: vec![pad; 2],
            post_padding: vec![pad; 2],
            padding_mode: PaddingMode::Explicit,
            groups,
        };
        self.add(name, layer, &[input], dims)
    }

    /// `input` times constant weights of \[rows, columns\], or the other way round.
    pub(crate) fn product(
        &mut self,
        name: &str,
        input: TensorId,
        shape: &[usize],
        second: MatrixOperation,
        dims: Vec<Dim>,
    ) -> TensorId {
        let axis = match second {
            MatrixOperation::None => 1,
            MatrixOperation::Transpose => 0,
        };
        let weights = self.weight(shape, axis);
        let constant = Layer::Constant { weights };
        let operand = self.add(&format!("{name}/weights"), constant, &[], fixed(shape));
        let layer = Layer::MatrixMultiply {
            first: MatrixOperation::None,
            second,
        };
        self.add(name, layer, &[input, operand], dims)
    }

    /// Everything that can be in INT8, by the weights' own magnitudes; every float tensor has a
    /// range. Layers of `keep` are of another precision.
    pub(crate) fn quantization(&self, keep: &[(&str, LayerPrecision)]) -> Quantization {
        let layers = self.spec.layers.iter().map(|layer| {
            if let Some((_, precision)) = keep.iter().find(|(name, _)| *name == layer.name) {
                return precision.clone();
            }
            let Some(found) = quantized_weights(&self.spec, layer) else {
                return LayerPrecision::Fp16;
            };
            let view = self.weights(found.weights).unwrap();
            let (shape, values) = (view.shape(), view.as_slice::<f32>().unwrap());
            let inner: usize = shape[found.axis + 1..].iter().product();
            let mut channels = vec![0f32; shape[found.axis]];
            for (i, value) in values.iter().enumerate() {
                let channel = &mut channels[i / inner % shape[found.axis]];
                *channel = channel.max(value.abs());
            }
            LayerPrecision::Int8 { channels }
        });
        Quantization {
            layers: layers.collect(),
            ranges: (1u16..)
                .take(self.spec.tensors.len())
                .map(|i| Some(f32::from(i) / 3.0))
                .collect(),
        }
    }

    pub(crate) fn build(
        &self,
        library: &Library,
        precision: Precision,
        quantization: Option<Quantization>,
    ) -> Result<BuiltEngine, TensorRtError> {
        let options = BuildOptions {
            precision,
            quantization,
            profiles: self.profiles(),
            ..BuildOptions::default()
        };
        build_engine(library, &self.spec, self, &options, None, &mut |_| ())
    }

    pub(crate) fn profiles(&self) -> Vec<Profile> {
        let inputs = self.spec.inputs.iter();
        let shapes: Vec<_> = inputs
            .map(|&id| &self.spec.tensor(id).unwrap().shape)
            .collect();
        if shapes.iter().all(|shape| shape.as_fixed().is_some()) {
            return Vec::new();
        }
        let range = |shape: &&Shape| {
            let [min, opt, max] = [1, 4, 8].map(|n| {
                let dims = shape.dims().iter();
                dims.map(|dim| dim.fixed().unwrap_or(n)).collect()
            });
            ShapeRange { min, opt, max }
        };
        vec![Profile(shapes.iter().map(range).collect())]
    }
}

/// Convolution, ReLU, a residual block, pooling, and a dense layer.
pub(crate) fn classifier() -> Model {
    let mut m = Model::default();
    let x = m.input(batch(&[1, 3, 32, 32]));
    let stem = m.convolution("stem", x, &[32, 3, 3, 3], (2, 1), batch(&[1, 32, 16, 16]));
    let stem = m.add("stem/relu", RELU, &[stem], batch(&[1, 32, 16, 16]));
    let a = m.convolution("a", stem, &[32, 32, 3, 3], (1, 1), batch(&[1, 32, 16, 16]));
    let a = m.add("a/relu", RELU, &[a], batch(&[1, 32, 16, 16]));
    let b = m.convolution("b", a, &[32, 32, 1, 1], (1, 1), batch(&[1, 32, 16, 16]));
    let sum = Layer::ElementWise {
        operation: ElementWiseOperation::Sum,
    };
    let sum = m.add("sum", sum, &[b, stem], batch(&[1, 32, 16, 16]));
    let c = m.convolution("c", sum, &[512, 32, 1, 1], (1, 1), batch(&[1, 512, 16, 16]));
    let pool = Layer::Pooling {
        kind: PoolingType::Max,
        window: vec![2, 2],
        stride: vec![2, 2],
        pre_padding: vec![0, 0],
        post_padding: vec![0, 0],
        padding_mode: PaddingMode::Explicit,
        average_count_excludes_padding: true,
    };
    let c = m.add("pool", pool, &[c], batch(&[1, 512, 8, 8]));
    let mean = Layer::Reduce {
        operation: ReduceOperation::Avg,
        axes: vec![2, 3],
        keep_dims: false,
    };
    let mean = m.add("mean", mean, &[c], batch(&[1, 512]));
    let y = m.product(
        "dense",
        mean,
        &[512, 1024],
        MatrixOperation::None,
        batch(&[1, 1024]),
    );
    let y = m.add(
        "softmax",
        Layer::Softmax { axis: 1 },
        &[y],
        batch(&[1, 1024]),
    );
    m.spec.outputs = vec![y];
    m.spec.name = "classifier".into();
    m
}

/// Depthwise convolution, a transposed product, a deconvolution, a concatenation of what two INT8
/// layers make, and a resize; the first and the last tensors are rounded too.
pub(crate) fn detector() -> Model {
    let mut m = Model::default();
    let x = m.input(fixed(&[1, 16, 16, 16]));
    let dims = || fixed(&[1, 16, 16, 16]);
    let depth = m.convolution("depthwise", x, &[16, 1, 3, 3], (1, 16), dims());
    let clip = Layer::Activation {
        kind: ActivationType::Clip,
        alpha: 0.0,
        beta: 6.0,
    };
    let depth = m.add("clip", clip, &[depth], dims());
    let point = m.convolution(
        "pointwise",
        depth,
        &[32, 16, 1, 1],
        (2, 1),
        fixed(&[1, 32, 8, 8]),
    );
    let up = Layer::Deconvolution {
        kernel: m.weight(&[32, 16, 2, 2], 1),
        bias: None,
        stride: vec![2, 2],
        pre_padding: vec![0, 0],
        post_padding: vec![0, 0],
        groups: 1,
    };
    let up = m.add("up", up, &[point], dims());
    let both = Layer::Concatenation { axis: 1 };
    let both = m.add("both", both, &[up, x], fixed(&[1, 32, 16, 16]));
    let grouped = m.convolution(
        "grouped",
        both,
        &[32, 8, 3, 3],
        (1, 4),
        fixed(&[1, 32, 16, 16]),
    );
    let flat = Layer::Shuffle {
        first_transpose: Vec::new(),
        reshape: Some(vec![ReshapeDim::Fixed(32), ReshapeDim::Fixed(256)]),
        second_transpose: Vec::new(),
    };
    let flat = m.add("flat", flat, &[grouped], fixed(&[32, 256]));
    let y = m.product(
        "product",
        flat,
        &[24, 256],
        MatrixOperation::Transpose,
        fixed(&[32, 24]),
    );
    m.spec.outputs = vec![y, x, up, both];
    m.spec.name = "detector".into();
    m
}

/// One convolution or product with many weights.
pub(crate) fn heavy(product: bool) -> Model {
    let mut m = Model::default();
    let y = if product {
        let x = m.input(fixed(&[64, 1024]));
        m.product(
            "product",
            x,
            &[1024, 2048],
            MatrixOperation::None,
            fixed(&[64, 2048]),
        )
    } else {
        let x = m.input(fixed(&[8, 512, 16, 16]));
        m.convolution(
            "convolution",
            x,
            &[512, 512, 3, 3],
            (1, 1),
            fixed(&[8, 512, 16, 16]),
        )
    };
    m.spec.outputs = vec![y];
    m.spec.name = "heavy".into();
    m
}

/// A depthwise convolution of 512 channels, ReLU, and a convolution with many weights.
pub(crate) fn depthwise() -> Model {
    let mut m = Model::default();
    let dims = |channels| fixed(&[8, channels, 16, 16]);
    let x = m.input(dims(512));
    let a = m.convolution("a", x, &[512, 1, 3, 3], (1, 512), dims(512));
    let a = m.add("a/relu", RELU, &[a], dims(512));
    let y = m.convolution("b", a, &[1024, 512, 3, 3], (1, 1), dims(1024));
    m.spec.outputs = vec![y];
    m.spec.name = "depthwise".into();
    m
}
