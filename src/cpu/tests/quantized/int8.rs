//! Steps that are powers of two, so that every sum of products is exact in 32-bit floats as well,
//! and both ways of computing have to give the very numbers of the loops.

use tfjet_core::{ActivationType, ElementWiseOperation, LayerPrecision, MatrixOperation, TensorId};

use crate::interpreter::Array;
use crate::network::{Network, SAME, Window, library};

/// The range in which a step is this power of two.
fn range(power: i32) -> f32 {
    127.0 * 2f32.powi(power)
}

const NO: MatrixOperation = MatrixOperation::None;
const TRANSPOSE: MatrixOperation = MatrixOperation::Transpose;

impl Network {
    /// An input of halves and quarters of a step, up to half as large again as the range.
    fn image(&mut self, channels: usize) -> TensorId {
        let x = self.whole(&[2, channels, 6, 5], 760).map(|x| x / 128.0);
        let x = self.input(x);
        self.range(x, range(-5));
        x
    }

    /// Weights of quarters of steps, which differ between the channels, and the magnitudes.
    fn kernel(&mut self, shape: &[usize], axis: usize) -> (Array, Vec<f32>) {
        let mut kernel = self.whole(shape, 508);
        let inner: usize = shape[axis + 1..].iter().product();
        let power = |channel: usize| -9 - (channel % 3) as i32;
        for (i, x) in kernel.data.iter_mut().enumerate() {
            *x *= 2f32.powi(power(i / inner % shape[axis]) - 2);
        }
        let channels = (0..shape[axis]).map(|channel| range(power(channel)));
        (kernel, channels.collect())
    }

    fn int8_convolution(&mut self, from: TensorId, to: usize, at: &Window) -> TensorId {
        let shape = [to, self.shape(from)[1] / at.groups, 3, 3];
        let (kernel, channels) = self.kernel(&shape, 0);
        let bias = self.whole(&[to], 40).map(|x| x / 32.0);
        let y = self.convolution(from, kernel, Some(bias), at);
        self.int8(channels);
        self.range(y, range(-5));
        y
    }

    fn depthwise(&mut self, from: TensorId) -> TensorId {
        let channels = self.shape(from)[1];
        let groups = channels;
        self.int8_convolution(from, channels, &Window { groups, ..SAME })
    }

    /// Both ways of computing give what the loops give.
    fn check(mut self, name: &str, outputs: &[TensorId]) {
        let Some(library) = library() else { return };
        self.spec.outputs = outputs.to_vec();
        let expected = self.expected();
        for exact in [true, false] {
            for (result, expected) in self.run(&library, exact).iter().zip(&expected) {
                assert_eq!(result.shape, expected.shape, "{name}");
                let varied = expected.data.iter().any(|x| *x != expected.data[0]);
                assert!(varied, "{name}: the output is constant");
                let pairs = result.data.iter().zip(&expected.data).enumerate();
                for (i, (a, e)) in pairs {
                    assert_eq!(a, e, "{name}, exact: {exact}: element {i}");
                }
            }
        }
    }
}

#[test]
fn convolutions_of_any_window() {
    let mut n = Network::default();
    let x = n.image(5);
    let window = Window {
        stride: [2, 1],
        dilation: [1, 2],
        pre: [1, 0],
        post: [1, 2],
        groups: 1,
    };
    let y = n.int8_convolution(x, 6, &window);
    n.check("stride, dilation, padding", &[y]);

    let mut n = Network::default();
    let x = n.image(6);
    let y = n.int8_convolution(x, 4, &Window { groups: 2, ..SAME });
    n.check("two groups", &[y]);

    let mut n = Network::default();
    let x = n.image(9);
    let a = n.depthwise(x);
    let b = n.int8_convolution(a, 18, &Window { groups: 9, ..SAME });
    n.check("depthwise, with a multiplier", &[b]);
}

#[test]
fn convolutions_whose_channels_are_filled_up() {
    let mut n = Network::default();
    let x = n.image(16);
    let a = n.int8_convolution(x, 18, &SAME);
    let a = n.relu(a);
    n.range(a, range(-5));
    let b = n.depthwise(a);
    let b = n.activation(ActivationType::Clip, [0.0, 2.75], b);
    n.range(b, range(-6));
    let c = n.int8_convolution(b, 7, &SAME);
    n.clone().check("bottleneck", &[c]);
    n.check("bottleneck, with what is inside", &[a, b, c]);

    let mut n = Network::default();
    let x = n.image(9);
    let a = n.depthwise(x);
    let b = n.sum(a, x);
    n.range(b, range(-4));
    let c = n.depthwise(b);
    n.check("an input filled up", &[c, b]);
}

#[test]
fn activations_that_clip() {
    for (kind, limits) in [
        (ActivationType::Relu, [0.0, 0.0]),
        (ActivationType::Clip, [0.0, 3.0]),
        (ActivationType::Clip, [-1.296875, 1.328125]),
        (ActivationType::Clip, [-100.0, 100.0]),
        (ActivationType::Clip, [0.25, 100.0]),
    ] {
        let mut n = Network::default();
        let x = n.image(5);
        let a = n.int8_convolution(x, 10, &SAME);
        let b = n.activation(kind, limits, a);
        n.range(b, range(-5));
        let c = n.int8_convolution(b, 3, &SAME);
        n.clone().check("only rounded", &[c]);
        n.check("read as it is too", &[a, b, c]);
    }
}

#[test]
fn deconvolutions() {
    let mut n = Network::default();
    let x = n.image(5);
    let (kernel, channels) = n.kernel(&[5, 3, 4, 3], 1);
    let bias = n.whole(&[3], 40).map(|x| x / 32.0);
    let window = Window {
        stride: [2, 3],
        pre: [1, 0],
        post: [0, 1],
        ..SAME
    };
    let a = n.deconvolution(x, kernel, Some(bias), &window);
    n.int8(channels);
    n.range(a, range(-4));
    let b = n.int8_convolution(a, 4, &SAME);
    n.clone().check("deconvolution, rounded after it", &[b]);
    n.check("deconvolution, with its result", &[a, b]);
}

#[test]
fn products_of_matrices() {
    for first in [NO, TRANSPOSE] {
        for second in [NO, TRANSPOSE] {
            for batches in [&[][..], &[3]] {
                let mut n = Network::default();
                let mut shape = match first {
                    NO => [6, 10],
                    TRANSPOSE => [10, 6],
                };
                let shape_of = |matrix: [usize; 2], batches: &[usize]| [batches, &matrix].concat();
                let x = n.whole(&shape_of(shape, batches), 760).map(|x| x / 128.0);
                let x = n.input(x);
                n.range(x, range(-5));
                shape = match second {
                    NO => [10, 7],
                    TRANSPOSE => [7, 10],
                };
                let ones = vec![1; batches.len()];
                let shape = shape_of(shape, &ones);
                let axis = batches.len() + usize::from(second == NO);
                let (weights, channels) = n.kernel(&shape, axis);
                let w = n.constant(weights);
                let y = n.product(x, w, first, second);
                n.int8(channels);
                n.check(&format!("{first:?} {second:?} {batches:?}"), &[y]);
            }
        }
    }
}

#[test]
fn tensors_that_others_read_too() {
    let mut n = Network::default();
    let x = n.image(8);
    let a = n.int8_convolution(x, 8, &SAME);
    let a = n.relu(a);
    n.range(a, range(-6));
    let b = n.int8_convolution(a, 8, &SAME);
    let c = n.sum(a, b);
    n.range(c, range(-4));
    let d = n.int8_convolution(c, 5, &SAME);
    n.clone().check("residual", &[d]);
    n.clone().check("residual, with what is inside", &[a, c, d]);
    let e = n.sum(x, b);
    n.check("an input that is added", &[e, d]);

    let mut n = Network::default();
    let (x, z) = (n.image(6), n.image(5));
    let a = n.int8_convolution(x, 7, &SAME);
    let b = n.int8_convolution(z, 9, &SAME);
    n.range(b, range(-3));
    let (e, f) = (
        n.int8_convolution(a, 3, &SAME),
        n.int8_convolution(b, 3, &SAME),
    );
    let c = n.concatenation(&[a, b, z]);
    n.range(c, range(-4));
    let d = n.depthwise(c);
    n.check("concatenation", &[c, d, e, f]);

    let mut n = Network::default();
    let x = n.image(8);
    let a = n.int8_convolution(x, 8, &SAME);
    let b = n.max_pool(a);
    n.range(b, range(-4));
    let c = n.int8_convolution(b, 8, &SAME);
    let d = n.int8_convolution(a, 4, &SAME);
    n.check("pooling", &[c, d]);
}

#[test]
fn constants_that_are_rounded() {
    let mut n = Network::default();
    let x = n.image(4);
    let value = n.whole(&[2, 4, 6, 5], 760).map(|x| x / 128.0);
    let a = n.constant(value);
    n.range(a, range(-5));
    let b = n.int8_convolution(a, 4, &SAME);
    let c = n.sum(a, b);
    let d = n.sum(c, x);
    n.check("constant", &[d]);
}

#[test]
fn values_beyond_the_range_stop_at_127_both_ways() {
    let Some(library) = library() else { return };
    let mut n = Network::default();
    let x = Array {
        shape: vec![1, 1, 1, 8],
        data: vec![-200.0, -127.5, -128.0, -127.0, -126.5, 126.5, 127.5, 1e9],
    };
    let x = n.input(x);
    n.range(x, 127.0);
    let kernel = Array {
        shape: vec![1, 1, 1, 1],
        data: vec![-5.0],
    };
    let window = Window {
        pre: [0, 0],
        post: [0, 0],
        ..SAME
    };
    let y = n.convolution(x, kernel, None, &window);
    n.int8(vec![2.0]);
    n.spec.outputs = vec![y];
    for exact in [true, false] {
        let result = n.run(&library, exact).remove(0);
        let expected = [-127, -127, -127, -127, -126, 126, 127, 127].map(|q: i32| -2.0 * q as f32);
        assert_eq!(result.data, expected);
    }
}

#[test]
fn channels_of_no_weights_or_of_tiny_ones_give_their_bias() {
    let mut n = Network::default();
    let x = n.image(8);
    let (mut kernel, mut channels) = n.kernel(&[5, 8, 3, 3], 0);
    kernel.data[..72].fill(0.0);
    channels[0] = 0.0;
    for w in &mut kernel.data[72..144] {
        *w *= 2f32.powi(-60);
    }
    channels[1] *= 2f32.powi(-60);
    let bias = Array {
        shape: vec![5],
        data: vec![1.25, -2.5, 0.5, 0.0, -0.25],
    };
    let y = n.convolution(x, kernel, Some(bias), &SAME);
    n.int8(channels);
    n.range(y, range(-5));
    let z = n.int8_convolution(y, 4, &SAME);
    n.clone().check("one after the other", &[z]);
    n.check("with what is inside", &[y, z]);

    let mut n = Network::default();
    let x = n.image(4);
    let kernel = Array {
        shape: vec![3, 4, 1, 1],
        data: vec![0.0; 12],
    };
    let window = Window {
        pre: [0, 0],
        post: [0, 0],
        ..SAME
    };
    let y = n.convolution(x, kernel, None, &window);
    n.int8(vec![0.0; 3]);
    let zero = n.whole(&[2, 3, 6, 5], 3);
    let zero = n.input(zero);
    let z = n.sum(y, zero);
    n.check("no weights at all", &[z]);
}

#[test]
fn layers_in_floats_between_them() {
    let mut n = Network::default();
    let x = n.image(6);
    let a = n.int8_convolution(x, 6, &SAME);
    let (kernel, _) = n.kernel(&[6, 6, 3, 3], 0);
    let kernel = kernel.map(|w| (w * 4096.0).round() / 4096.0);
    let bias = n.whole(&[6], 40).map(|x| x / 32.0);
    let b = n.convolution(a, kernel, Some(bias), &SAME);
    *n.quantization.layers.last_mut().unwrap() = LayerPrecision::Fp32;
    n.range(b, range(-5));
    let c = n.element_wise(ElementWiseOperation::Sum, a, b);
    let d = n.int8_convolution(b, 3, &SAME);
    let e = n.int8_convolution(a, 3, &SAME);
    n.clone().check("a convolution in floats", &[c, d, e]);
    n.check("a convolution in floats that nothing else reads", &[d, e]);
}

/// A dense layer, which ONNX Runtime would make integers of, in floats and in INT8.
#[test]
fn products_with_a_bias() {
    for is_int8 in [false, true] {
        let mut n = Network::default();
        let x = n.whole(&[3, 20], 760).map(|x| x / 128.0);
        let x = n.input(x);
        n.range(x, range(-5));
        let (weights, channels) = n.kernel(&[20, 9], 1);
        let w = n.constant(weights.map(|w| (w * 4096.0).round() / 4096.0));
        let y = n.product(x, w, NO, NO);
        if is_int8 {
            n.int8(channels);
        }
        let bias = n.whole(&[9], 40).map(|x| x / 32.0);
        let bias = n.constant(Array {
            shape: vec![1, 9],
            data: bias.data,
        });
        let (weights, channels) = n.kernel(&[9, 5], 1);
        let z = n.sum(y, bias);
        n.range(z, range(-5));
        let w = n.constant(weights);
        let a = n.product(z, w, NO, NO);
        n.int8(channels);
        let (weights, channels) = n.kernel(&[20, 3], 1);
        let w = n.constant(weights);
        let b = n.product(x, w, NO, NO);
        n.int8(channels);
        n.check(&format!("dense, INT8: {is_int8}"), &[a, b]);
    }
}

/// Ranges as they come: the exact way agrees to the rounding of floats but for numbers next to
/// halves, the other one nearly so.
#[test]
fn any_ranges() {
    let Some(library) = library() else { return };
    let mut n = Network::default();
    let x = n.whole(&[2, 11, 9, 9], 1000).map(|x| x / 333.0);
    let x = n.input(x);
    n.range(x, 2.71);
    let mut at = x;
    for (i, (to, groups)) in [(18, 1), (18, 18), (13, 1), (6, 1)].into_iter().enumerate() {
        let kernel = n.whole(&[to, n.shape(at)[1] / groups, 3, 3], 997);
        let kernel = kernel.map(|w| w / 997.0 / if groups == 1 { 8.0 } else { 3.0 });
        let bias = n.whole(&[to], 100).map(|x| x / 77.0);
        at = n.convolution(at, kernel, Some(bias), &Window { groups, ..SAME });
        n.int8_of_weights();
        if i < 3 {
            at = match i {
                0 => n.relu(at),
                1 => n.activation(ActivationType::Sigmoid, [0.0, 0.0], at),
                _ => n.activation(ActivationType::Clip, [-1.0, 6.0], at),
            };
            n.range(at, [3.3, 0.97, 2.2][i]);
        }
    }
    n.spec.outputs = vec![at];
    let expected = n.expected().remove(0);
    let largest = expected.data.iter().fold(0f32, |most, x| most.max(x.abs()));
    for (exact, tolerance, others) in [(true, 1e-5, 0.01), (false, 1e-3, 0.02)] {
        let result = n.run(&library, exact).remove(0);
        let pairs = result.data.iter().zip(&expected.data);
        let errors: Vec<f32> = pairs.map(|(a, e)| (a - e).abs() / largest).collect();
        let far = errors.iter().filter(|&&error| error > tolerance).count();
        let worst = errors.iter().fold(0f32, |most, x| most.max(*x));
        eprintln!("exact: {exact}: {far} of {}, at most {worst}", errors.len());
        assert!(
            far as f64 <= others * errors.len() as f64,
            "exact: {exact}: {far}"
        );
        assert!(worst < 0.01, "exact: {exact}: {worst}");
    }
}
