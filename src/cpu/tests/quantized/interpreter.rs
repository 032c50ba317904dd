//! Plain loops: sums of products of integers where a layer computes in INT8, of 64-bit floats
//! elsewhere.

use half::f16;
use tfjet_core::{
    ActivationType, ElementWiseOperation, Layer, LayerPrecision, LayerSpec, MatrixOperation,
    TensorId,
};

use crate::network::Network;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

impl Array {
    pub fn map(&self, f: impl Fn(f32) -> f32) -> Self {
        Self {
            shape: self.shape.clone(),
            data: self.data.iter().map(|&x| f(x)).collect(),
        }
    }

    /// The largest magnitude at each index of `axis`.
    pub fn magnitudes(&self, axis: usize) -> Vec<f32> {
        let mut most = vec![0f32; self.shape[axis]];
        let inner: usize = self.shape[axis + 1..].iter().product();
        for (i, x) in self.data.iter().enumerate() {
            let slot = &mut most[i / inner % self.shape[axis]];
            *slot = slot.max(x.abs());
        }
        most
    }
}

/// `round(clip(x, -r, r) * 127 / r)`.
pub fn number(x: f32, range: f32) -> i8 {
    let (x, range) = (f64::from(x), f64::from(range));
    (x.clamp(-range, range) * 127.0 / range).round_ties_even() as i8
}

/// What the number stands for.
fn meaning(number: i8, range: f32) -> f32 {
    (f64::from(number) * f64::from(range) / 127.0) as f32
}

fn through_int8(x: f32, range: f32) -> f32 {
    meaning(number(x, range), range)
}

fn through_fp16(x: f32) -> f32 {
    f16::from_f32(x).to_f32()
}

/// Factors of a sum of products: numbers, and what 1 stands for on each side.
enum Factors {
    Int8 {
        x: Vec<i8>,
        w: Vec<i8>,
        unit: Vec<f64>,
    },
    Float {
        x: Vec<f32>,
        w: Vec<f32>,
    },
}

impl Factors {
    /// `channel` tells the output channel of each weight.
    fn new(
        x: &Array,
        range: Option<f32>,
        w: &Array,
        precision: &LayerPrecision,
        channel: impl Fn(usize) -> usize,
    ) -> Self {
        let LayerPrecision::Int8 { channels } = precision else {
            let (x, w) = (x.data.clone(), w.data.clone());
            return Self::Float { x, w };
        };
        let range = range.unwrap();
        let weight = |(i, &w): (usize, &f32)| match channels[channel(i)] {
            0.0 => 0,
            magnitude => number(w, magnitude),
        };
        Self::Int8 {
            x: x.data.iter().map(|&x| number(x, range)).collect(),
            w: w.data.iter().enumerate().map(weight).collect(),
            unit: (channels.iter())
                .map(|&magnitude| f64::from(range) / 127.0 * f64::from(magnitude) / 127.0)
                .collect(),
        }
    }

    /// The sum of the products of these pairs.
    fn sum(&self, pairs: impl Iterator<Item = (usize, usize)>, channel: usize) -> f64 {
        match self {
            Self::Int8 { x, w, unit } => {
                let products = pairs.map(|(i, j)| i32::from(x[i]) * i32::from(w[j]));
                f64::from(products.sum::<i32>()) * unit[channel]
            }
            Self::Float { x, w } => pairs.map(|(i, j)| f64::from(x[i]) * f64::from(w[j])).sum(),
        }
    }
}

pub fn output_shape(layer: &Layer, inputs: &[Vec<usize>], weights: &[Array]) -> Vec<usize> {
    match layer {
        Layer::Constant { weights: id } => weights[id.0 as usize].shape.clone(),
        Layer::Convolution {
            kernel,
            stride,
            dilation,
            pre_padding,
            post_padding,
            ..
        } => {
            let k = &weights[kernel.0 as usize].shape;
            let size = |axis: usize| {
                let reach = dilation[axis] * (k[axis + 2] - 1) + 1;
                (inputs[0][axis + 2] + pre_padding[axis] + post_padding[axis] - reach)
                    / stride[axis]
                    + 1
            };
            vec![inputs[0][0], k[0], size(0), size(1)]
        }
        Layer::Deconvolution {
            kernel,
            stride,
            pre_padding,
            post_padding,
            groups,
            ..
        } => {
            let k = &weights[kernel.0 as usize].shape;
            let size = |axis: usize| {
                (inputs[0][axis + 2] - 1) * stride[axis] + k[axis + 2]
                    - pre_padding[axis]
                    - post_padding[axis]
            };
            vec![inputs[0][0], k[1] * groups, size(0), size(1)]
        }
        Layer::MatrixMultiply { first, second } => {
            let rank = inputs[0].len();
            let mut shape = inputs[0].clone();
            shape[rank - 2] =
                inputs[0][rank - 2 + usize::from(*first == MatrixOperation::Transpose)];
            shape[rank - 1] =
                inputs[1][rank - 1 - usize::from(*second == MatrixOperation::Transpose)];
            shape
        }
        Layer::Concatenation { .. } => {
            let mut shape = inputs[0].clone();
            shape[1] = inputs.iter().map(|shape| shape[1]).sum();
            shape
        }
        Layer::Pooling { .. } => vec![
            inputs[0][0],
            inputs[0][1],
            inputs[0][2] - 1,
            inputs[0][3] - 1,
        ],
        _ => inputs[0].clone(),
    }
}

/// All tensors of a network.
pub fn interpret(network: &Network) -> Vec<Array> {
    let spec = &network.spec;
    let rounded = network.quantization.rounded(spec);
    let mut values = vec![Array::default(); spec.tensors.len()];
    let make = |id: TensorId, value: Array| match rounded[id.0 as usize] {
        Some(range) => value.map(|x| through_int8(x, range)),
        None => value,
    };
    for (&id, value) in spec.inputs.iter().zip(&network.inputs) {
        values[id.0 as usize] = make(id, value.clone());
    }
    for (layer, precision) in spec.layers.iter().zip(&network.quantization.layers) {
        let is_fp16 = network.round_fp16 && *precision == LayerPrecision::Fp16;
        let read = |value: &Array| match is_fp16 {
            true => value.map(through_fp16),
            false => value.clone(),
        };
        let inputs: Vec<Array> = (layer.inputs.iter())
            .map(|id| read(&values[id.0 as usize]))
            .collect();
        let weights: Vec<Array> = network.weights.iter().map(read).collect();
        let range = layer.inputs.first().and_then(|id| rounded[id.0 as usize]);
        let mut value = compute(layer, precision, range, &inputs, &weights);
        if is_fp16 && !matches!(layer.layer, Layer::Constant { .. }) {
            value = value.map(through_fp16);
        } else if let Layer::Constant { weights } = layer.layer {
            value = network.weights[weights.0 as usize].clone();
        }
        let id = layer.outputs[0];
        values[id.0 as usize] = make(id, value);
    }
    values
}

fn compute(
    layer: &LayerSpec,
    precision: &LayerPrecision,
    range: Option<f32>,
    inputs: &[Array],
    weights: &[Array],
) -> Array {
    let shapes: Vec<_> = inputs.iter().map(|input| input.shape.clone()).collect();
    let shape = output_shape(&layer.layer, &shapes, weights);
    let data = match &layer.layer {
        Layer::Constant { weights: id } => weights[id.0 as usize].data.clone(),
        Layer::Convolution { .. } => convolution(layer, precision, range, inputs, weights, &shape),
        Layer::Deconvolution { .. } => {
            deconvolution(layer, precision, range, inputs, weights, &shape)
        }
        Layer::MatrixMultiply { first, second } => {
            let transposed = [*first, *second].map(|it| it == MatrixOperation::Transpose);
            product(transposed, precision, range, inputs, &shape)
        }
        Layer::Activation { kind, alpha, beta } => {
            let f = |x: f32| match kind {
                ActivationType::Relu => x.max(0.0),
                ActivationType::Clip => x.clamp(*alpha, *beta),
                ActivationType::Sigmoid => (1.0 / (1.0 + f64::from(-x).exp())) as f32,
                other => panic!("{other:?}"),
            };
            inputs[0].map(f).data
        }
        Layer::ElementWise { operation } => {
            let pairs = inputs[0].data.iter().zip(inputs[1].data.iter().cycle());
            let f = |(&a, &b)| match operation {
                ElementWiseOperation::Sum => a + b,
                ElementWiseOperation::Prod => a * b,
                other => panic!("{other:?}"),
            };
            pairs.map(f).collect()
        }
        Layer::Scale { scale, shift } => {
            let inner: usize = shape[2..].iter().product();
            let of = |id: &Option<_>, i: usize, none: f32| {
                id.map_or(none, |id: tfjet_core::WeightsId| {
                    weights[id.0 as usize].data[i / inner % shape[1]]
                })
            };
            let each = inputs[0].data.iter().enumerate();
            each.map(|(i, x)| x * of(scale, i, 1.0) + of(shift, i, 0.0))
                .collect()
        }
        Layer::Concatenation { .. } => {
            let mut data = Vec::new();
            for batch in 0..shape[0] {
                for input in inputs {
                    let len = input.data.len() / shape[0];
                    data.extend_from_slice(&input.data[batch * len..][..len]);
                }
            }
            data
        }
        Layer::Pooling { .. } => {
            let x = &inputs[0];
            let (h, w) = (x.shape[2], x.shape[3]);
            indices(&shape)
                .map(|at| {
                    let plane = (at[0] * shape[1] + at[1]) * h * w;
                    let corner = plane + at[2] * w + at[3];
                    let window = [corner, corner + 1, corner + w, corner + w + 1];
                    window.iter().map(|&i| x.data[i]).fold(f32::MIN, f32::max)
                })
                .collect()
        }
        other => panic!("{}", other.kind()),
    };
    Array { shape, data }
}

fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<> {
    let shape = shape.to_vec();
    let count: usize = shape.iter().product();
    (0..count).map(move |mut flat| {
        let mut at = vec![0; shape.len()];
        for (index, size) in at.iter_mut().zip(&shape).rev() {
            *index = flat % size;
            flat /= size;
        }
        at
    })
}

fn convolution(
    layer: &LayerSpec,
    precision: &LayerPrecision,
    range: Option<f32>,
    inputs: &[Array],
    weights: &[Array],
    shape: &[usize],
) -> Vec<f32> {
    let Layer::Convolution {
        kernel,
        bias,
        stride,
        dilation,
        pre_padding,
        groups,
        ..
    } = &layer.layer
    else {
        panic!("no convolution");
    };
    let (x, w) = (&inputs[0], &weights[kernel.0 as usize]);
    let taps: usize = w.shape[1..].iter().product();
    let factors = Factors::new(x, range, w, precision, |i| i / taps);
    let (c, h, width) = (x.shape[1], x.shape[2], x.shape[3]);
    let of_group = c / groups;
    let result = indices(shape).map(|at| {
        let first = at[1] / (shape[1] / groups) * of_group;
        let pairs = indices(&w.shape[1..]).filter_map(|tap| {
            let y = (at[2] * stride[0] + tap[1] * dilation[0]).checked_sub(pre_padding[0])?;
            let z = (at[3] * stride[1] + tap[2] * dilation[1]).checked_sub(pre_padding[1])?;
            let inside = y < h && z < width;
            let i = ((at[0] * c + first + tap[0]) * h + y) * width + z;
            let j = ((at[1] * of_group + tap[0]) * w.shape[2] + tap[1]) * w.shape[3] + tap[2];
            inside.then_some((i, j))
        });
        let added = bias.map_or(0.0, |bias| weights[bias.0 as usize].data[at[1]]);
        (factors.sum(pairs, at[1]) + f64::from(added)) as f32
    });
    result.collect()
}

fn deconvolution(
    layer: &LayerSpec,
    precision: &LayerPrecision,
    range: Option<f32>,
    inputs: &[Array],
    weights: &[Array],
    shape: &[usize],
) -> Vec<f32> {
    let Layer::Deconvolution {
        kernel,
        bias,
        stride,
        pre_padding,
        groups: 1,
        ..
    } = &layer.layer
    else {
        panic!("no deconvolution of one group");
    };
    let (x, w) = (&inputs[0], &weights[kernel.0 as usize]);
    let taps = w.shape[2] * w.shape[3];
    let factors = Factors::new(x, range, w, precision, |i| i / taps % shape[1]);
    let (c, h, width) = (x.shape[1], x.shape[2], x.shape[3]);
    let result = indices(shape).map(|at| {
        let pairs = indices(&[c, w.shape[2], w.shape[3]]).filter_map(|tap| {
            let y = (at[2] + pre_padding[0]).checked_sub(tap[1])?;
            let z = (at[3] + pre_padding[1]).checked_sub(tap[2])?;
            let whole = y % stride[0] == 0 && z % stride[1] == 0;
            let (y, z) = (y / stride[0], z / stride[1]);
            let i = ((at[0] * c + tap[0]) * h + y) * width + z;
            let j = ((tap[0] * shape[1] + at[1]) * w.shape[2] + tap[1]) * w.shape[3] + tap[2];
            (whole && y < h && z < width).then_some((i, j))
        });
        let added = bias.map_or(0.0, |bias| weights[bias.0 as usize].data[at[1]]);
        (factors.sum(pairs, at[1]) + f64::from(added)) as f32
    });
    result.collect()
}

fn product(
    transposed: [bool; 2],
    precision: &LayerPrecision,
    range: Option<f32>,
    inputs: &[Array],
    shape: &[usize],
) -> Vec<f32> {
    let (x, w) = (&inputs[0], &inputs[1]);
    let rank = shape.len();
    let (rows, columns) = (shape[rank - 2], shape[rank - 1]);
    let depth = x.shape[rank - 1 - usize::from(transposed[0])];
    let channel = |i: usize| match transposed[1] {
        true => i / depth % columns,
        false => i % columns,
    };
    let factors = Factors::new(x, range, w, precision, channel);
    let batches: usize = shape[..rank - 2].iter().product();
    let result = indices(&[batches, rows, columns]).map(|at| {
        let pairs = (0..depth).map(|k| {
            let i = match transposed[0] {
                true => (at[0] * depth + k) * rows + at[1],
                false => (at[0] * rows + at[1]) * depth + k,
            };
            let j = match transposed[1] {
                true => at[2] * depth + k,
                false => k * columns + at[2],
            };
            (i, j)
        });
        factors.sum(pairs, at[2]) as f32
    });
    result.collect()
}
