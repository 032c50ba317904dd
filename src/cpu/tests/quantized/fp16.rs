use tfjet_core::{
    ActivationType, ElementWiseOperation, Layer, LayerPrecision, MatrixOperation, TensorId,
};

use crate::interpreter::Array;
use crate::network::{Network, SAME, library};

impl Network {
    /// Whole numbers of up to 13 bits, more than 16-bit floats have, times a power of two.
    fn fine(&mut self, shape: &[usize], power: i32) -> Array {
        self.whole(shape, 8191).map(|x| x * 2f32.powi(power))
    }

    /// The result is that of the loops, bit by bit, and another than without rounding.
    fn check_fp16(mut self, name: &str, outputs: &[TensorId]) {
        let Some(library) = library() else { return };
        self.spec.outputs = outputs.to_vec();
        self.round_fp16 = false;
        let plain = self.run(&library, true);
        self.round_fp16 = true;
        let expected = self.expected();
        for exact in [true, false] {
            let results = self.run(&library, exact);
            assert_eq!(results, expected, "{name}");
            assert_ne!(results, plain, "{name}");
        }
    }
}

#[test]
fn inputs_weights_and_results_are_rounded() {
    let mut n = Network::default();
    let x = n.fine(&[1, 5, 4, 4], -10);
    let x = n.input(x);
    let kernel = n.whole(&[6, 5, 1, 1], 4095).map(|w| w * 2f32.powi(-20));
    let window = crate::network::Window {
        pre: [0, 0],
        post: [0, 0],
        ..SAME
    };
    let kernel = kernel.map(|w| if w > 0.0 { w } else { 0.0 });
    let mut one = kernel.clone();
    for (i, w) in one.data.iter_mut().enumerate() {
        *w = if i % 5 == i / 5 % 5 { *w } else { 0.0 };
    }
    let a = n.convolution(x, one, None, &window);
    n.clone().check_fp16("convolution", &[a]);
    let b = n.activation(ActivationType::Relu, [0.0, 0.0], a);
    let scale = n.fine(&[6], -12);
    let (scale, shift) = (n.weight(scale), None);
    let c = n.layer(
        Layer::Scale {
            scale: Some(scale),
            shift,
        },
        &[b],
    );
    n.clone().check_fp16("scale", &[c]);
    let d = n.element_wise(ElementWiseOperation::Prod, b, c);
    let e = n.concatenation(&[d, x]);
    n.check_fp16("all results", &[a, b, c, d, e]);
}

#[test]
fn constants_are_rounded_where_they_are_read() {
    let mut n = Network::default();
    let x = n.fine(&[3, 1], -10);
    let x = n.input(x);
    let w = n.fine(&[1, 7], -10);
    let w = n.constant(w);
    let y = n.product(x, w, MatrixOperation::None, MatrixOperation::None);
    n.clone().check_fp16("product", &[y]);
    let z = n.fine(&[3, 7], -10);
    let z = n.constant(z);
    let a = n.element_wise(ElementWiseOperation::Prod, y, z);
    let b = n.element_wise(ElementWiseOperation::Prod, y, z);
    *n.quantization.layers.last_mut().unwrap() = LayerPrecision::Fp32;
    n.check_fp16("a layer in 32 bits reads the constant as it is", &[a, b, z]);
}

#[test]
fn what_is_too_large_is_infinite() {
    let Some(library) = library() else { return };
    let mut n = Network::default();
    let array = |data: &[f32]| Array {
        shape: vec![1, data.len()],
        data: data.to_vec(),
    };
    let x = n.input(array(&[300.0, -300.0, 65504.0, 65519.9, 65520.0, 1e-8]));
    let z = n.input(array(&[300.0, 300.0, 1.0, 1.0, 1.0, 1.0]));
    let y = n.element_wise(ElementWiseOperation::Prod, x, z);
    let half = n.input(array(&[0.5; 6]));
    let a = n.element_wise(ElementWiseOperation::Prod, y, half);
    let still = n.element_wise(ElementWiseOperation::Prod, y, half);
    *n.quantization.layers.last_mut().unwrap() = LayerPrecision::Fp32;
    n.spec.outputs = vec![y, a, still];
    n.round_fp16 = true;
    let (most, inf) = (65504.0, f32::INFINITY);
    let results = n.run(&library, false);
    assert_eq!(results, n.expected());
    assert_eq!(results[0].data, [inf, -inf, most, most, inf, 0.0]);
    assert_eq!(
        results[1].data,
        [inf, -inf, most / 2.0, most / 2.0, inf, 0.0]
    );
    assert_eq!(results[1], results[2]);
}

#[test]
fn numbers_of_8_and_16_bits_together() {
    let mut n = Network::default();
    let x = n.fine(&[1, 6, 4, 4], -10);
    let x = n.input(x);
    let ones = Array {
        shape: vec![6, 1, 1, 1],
        data: vec![1.0; 6],
    };
    let window = crate::network::Window {
        pre: [0, 0],
        post: [0, 0],
        groups: 6,
        ..SAME
    };
    let a = n.element_wise(ElementWiseOperation::Prod, x, x);
    let a = n.relu(a);
    n.range(a, 127.0);
    let b = n.convolution(a, ones, None, &window);
    n.int8_of_weights();
    let c = n.element_wise(ElementWiseOperation::Prod, b, x);
    n.check_fp16("mixed", &[a, b, c]);
}
