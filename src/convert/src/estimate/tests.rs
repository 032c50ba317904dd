use std::sync::Arc;

use tfjet_core::{
    ActivationType, ComputeCapability, DType, ElementWiseOperation, Layer, LayerSpec,
    MatrixOperation, NetworkSpec, NetworkTensor, PaddingMode, Peak, Precision, ReshapeDim, Shape,
    Target, Tensor, TensorId,
};

use super::kernels::{Grouped, group};
use super::memory::memory;
use super::*;
use crate::lower::WeightsStore;

/// A network that grows layer by layer.
#[derive(Default)]
struct Net {
    spec: NetworkSpec,
    weights: WeightsStore,
}

impl Net {
    fn tensor(&mut self, shape: &[usize]) -> TensorId {
        let id = TensorId(u32::try_from(self.spec.tensors.len()).unwrap());
        self.spec.tensors.push(NetworkTensor {
            name: format!("t{}", id.0),
            dtype: DType::F32,
            shape: Shape::fixed(shape),
        });
        id
    }

    fn input(&mut self, shape: &[usize]) -> TensorId {
        let id = self.tensor(shape);
        self.spec.inputs.push(id);
        id
    }

    fn layer(
        &mut self,
        name: &str,
        layer: Layer,
        inputs: &[TensorId],
        shape: &[usize],
    ) -> TensorId {
        let output = self.tensor(shape);
        self.spec.layers.push(LayerSpec {
            name: name.into(),
            layer,
            inputs: inputs.to_vec(),
            outputs: vec![output],
        });
        output
    }

    fn conv(&mut self, name: &str, input: TensorId, kernel: &[usize], groups: usize) -> TensorId {
        let tensor = Tensor::zeros(DType::F32, kernel).unwrap();
        let size = self.spec.tensors[input.0 as usize]
            .shape
            .as_fixed()
            .unwrap();
        let layer = Layer::Convolution {
            kernel: self.weights.add(Arc::new(tensor)),
            bias: None,
            stride: vec![1, 1],
            dilation: vec![1, 1],
            pre_padding: vec![0, 0],
            post_padding: vec![0, 0],
            padding_mode: PaddingMode::SameUpper,
            groups,
        };
        self.layer(
            name,
            layer,
            &[input],
            &[size[0], kernel[0], size[2], size[3]],
        )
    }

    fn relu(&mut self, name: &str, input: TensorId) -> TensorId {
        let shape = self.spec.tensors[input.0 as usize]
            .shape
            .as_fixed()
            .unwrap();
        let layer = Layer::Activation {
            kind: ActivationType::Relu,
            alpha: 0.0,
            beta: 0.0,
        };
        self.layer(name, layer, &[input], &shape)
    }

    fn add(&mut self, name: &str, a: TensorId, b: TensorId) -> TensorId {
        let shape = self.spec.tensors[a.0 as usize].shape.as_fixed().unwrap();
        let operation = ElementWiseOperation::Sum;
        self.layer(name, Layer::ElementWise { operation }, &[a, b], &shape)
    }

    fn grouped(&mut self, outputs: &[TensorId]) -> Grouped {
        self.spec.outputs = outputs.to_vec();
        group(0, &self.spec, &self.weights)
    }
}

fn names(grouped: &Grouped) -> Vec<(&str, usize)> {
    let kernels = grouped.kernels.iter();
    kernels.map(|k| (k.name.as_str(), k.layers)).collect()
}

#[test]
fn a_residual_block_is_as_many_kernels_as_convolutions() {
    let mut net = Net::default();
    let x = net.input(&[1, 8, 4, 4]);
    let a = net.conv("a", x, &[8, 8, 3, 3], 1);
    let a = net.relu("a/relu", a);
    let b = net.conv("b", a, &[8, 8, 1, 1], 1);
    let sum = net.add("sum", b, x);
    let y = net.relu("y", sum);
    let grouped = net.grouped(&[y]);
    assert_eq!(names(&grouped), [("a", 2), ("b", 3)]);
    let [first, second] = &grouped.kernels[..] else {
        panic!("two kernels")
    };
    assert_eq!((first.weights, first.elements), (576, 256));
    // The sum reads the block's input again.
    assert_eq!((second.weights, second.elements), (64, 3 * 128));
    assert_eq!(second.flops, 2 * 128 * 8 + 128 + 128);
    assert_eq!((first.winograd, second.winograd), (true, false));
    assert_eq!(second.product, Some((16, 8)));
}

#[test]
fn what_two_layers_read_is_written() {
    let mut net = Net::default();
    let x = net.input(&[1, 8, 4, 4]);
    let a = net.conv("a", x, &[8, 8, 1, 1], 1);
    let b = net.relu("b", a);
    let c = net.relu("c", a);
    let grouped = net.grouped(&[b, c]);
    assert_eq!(names(&grouped), [("a", 1), ("b", 1), ("c", 1)]);
    assert!(grouped.kernels.iter().all(|kernel| kernel.elements == 256));
}

#[test]
fn joins_and_reshapes_cost_nothing_and_keep_their_parts() {
    let mut net = Net::default();
    let x = net.input(&[1, 8, 4, 4]);
    let a = net.conv("a", x, &[8, 8, 1, 1], 1);
    let b = net.conv("b", x, &[8, 8, 1, 1], 1);
    let both = net.layer(
        "both",
        Layer::Concatenation { axis: 1 },
        &[a, b],
        &[1, 16, 4, 4],
    );
    let reshape = Layer::Shuffle {
        first_transpose: vec![0, 1, 2, 3],
        reshape: Some(vec![ReshapeDim::Copy, ReshapeDim::Infer]),
        second_transpose: Vec::new(),
    };
    let flat = net.layer("flat", reshape, &[both], &[1, 256]);
    let y = net.layer("y", Layer::Softmax { axis: 1 }, &[flat], &[1, 256]);
    let grouped = net.grouped(&[y]);
    assert_eq!(names(&grouped), [("a", 1), ("b", 1), ("y", 1)]);
    assert_eq!(grouped.kernels[2].elements, 512);
    assert_eq!(grouped.lives.get(&a), Some(&(0, 2)));
    assert_eq!(grouped.lives.get(&b), Some(&(1, 2)));
    let memory = memory(&[(&net.spec, &grouped)], &net.weights, Precision::Fp16);
    // `a` and `b` together; the output is a buffer.
    assert_eq!(memory.activations, 2 * 256);
    assert_eq!(memory.buffers, 4 * (128 + 256));
}

#[test]
fn activations_are_the_most_that_live_at_once() {
    let mut net = Net::default();
    let x = net.input(&[1, 8, 4, 4]);
    let a = net.conv("a", x, &[32, 8, 1, 1], 1);
    let b = net.conv("b", a, &[8, 32, 1, 1], 1);
    let c = net.conv("c", b, &[8, 8, 1, 1], 1);
    let y = net.conv("y", c, &[8, 8, 1, 1], 1);
    let grouped = net.grouped(&[y]);
    let memory = memory(&[(&net.spec, &grouped)], &net.weights, Precision::Fp32);
    assert_eq!(memory.activations, 4 * (512 + 128));
    assert_eq!(
        memory.weights,
        4 * (256 + 256 + 64),
        "equal weights are held once"
    );
}

#[test]
fn sizes_are_computed_beside_the_gpu() {
    let mut net = Net::default();
    let x = net.input(&[1, 8, 4, 4]);
    let a = net.conv("a", x, &[8, 8, 1, 1], 1);
    let b = net.conv("b", a, &[8, 8, 1, 1], 1);
    let size = net.layer("size", Layer::Shape, &[a], &[4]);
    let half = net.add("half", size, size);
    for id in [size, half] {
        net.spec.tensors[id.0 as usize].dtype = DType::I64;
    }
    let c = net.layer("c", Layer::Reshape, &[b, half], &[1, 128]);
    let y = net.layer("y", Layer::Softmax { axis: 1 }, &[c], &[1, 128]);
    let grouped = net.grouped(&[y]);
    assert_eq!(names(&grouped), [("a", 1), ("b", 1), ("y", 1)]);
    assert_eq!(
        grouped.lives.get(&a),
        Some(&(0, 1)),
        "its sizes hold no tensor"
    );
    assert_eq!(grouped.lives.get(&b), Some(&(1, 2)));
}

#[test]
fn matrices_read_constants_as_weights() {
    let mut net = Net::default();
    let x = net.input(&[2, 64]);
    let tensor = Arc::new(Tensor::zeros(DType::F32, &[64, 10]).unwrap());
    let weights = net.weights.add(tensor);
    let w = net.layer("w", Layer::Constant { weights }, &[], &[64, 10]);
    let layer = Layer::MatrixMultiply {
        first: MatrixOperation::None,
        second: MatrixOperation::None,
    };
    let y = net.layer("y", layer, &[x, w], &[2, 10]);
    let grouped = net.grouped(&[y]);
    let [kernel] = &grouped.kernels[..] else {
        panic!("one kernel")
    };
    assert_eq!((kernel.weights, kernel.elements), (640, 128 + 20));
    assert_eq!(kernel.flops, 2 * 20 * 64);
    assert_eq!(kernel.product, Some((2, 10)));
}

fn board(major: u32) -> Target {
    Target {
        name: "board".into(),
        engine: EngineKind::TensorRt,
        compute_capability: Some(ComputeCapability { major, minor: 2 }),
        precisions: vec![Precision::Fp32, Precision::Fp16, Precision::Int8],
        peak_tflops: Some(Peak {
            fp32: Some(1.0),
            fp16: Some(8.0),
            int8: Some(16.0),
        }),
        bandwidth_gb_s: Some(1e9),
        ..Target::default()
    }
}

#[test]
fn tensor_cores_compute_products_only() {
    let kernels = |groups: usize, size: usize| {
        let mut net = Net::default();
        let x = net.input(&[1, 32, 16, 16]);
        let y = net.conv("y", x, &[32, 32 / groups, size, size], groups);
        net.grouped(&[y]).kernels
    };
    let arithmetic = |major: u32, kernels: &[Kernel], precision| {
        let target = board(major);
        let (arithmetic, _) = Board::new(&target, None)
            .unwrap()
            .kernel_ms(&kernels[0], precision)
            .unwrap();
        kernels[0].flops as f64 / arithmetic / 1e9
    };
    let (product, by_channel, three) = (kernels(1, 1), kernels(32, 1), kernels(1, 3));
    for (what, found, expected) in [
        (
            "product",
            arithmetic(7, &product, Precision::Fp16),
            8.0 * FACTORS.tensor_cores,
        ),
        (
            "without",
            arithmetic(6, &product, Precision::Fp16),
            8.0 * FACTORS.cuda_cores,
        ),
        (
            "32 bits",
            arithmetic(7, &product, Precision::Fp32),
            FACTORS.cuda_cores,
        ),
        (
            "by channel",
            arithmetic(7, &by_channel, Precision::Fp16),
            2.0 * FACTORS.cuda_cores,
        ),
        (
            "by channel, 8 bits",
            arithmetic(7, &by_channel, Precision::Int8),
            4.0 * FACTORS.cuda_cores,
        ),
        (
            "Winograd",
            arithmetic(7, &three, Precision::Fp16),
            8.0 * FACTORS.tensor_cores * FACTORS.winograd,
        ),
        (
            "8 bits",
            arithmetic(7, &three, Precision::Int8),
            16.0 * FACTORS.tensor_cores,
        ),
    ] {
        assert!(
            (found / expected - 1.0).abs() < 1e-9,
            "{what}: {found}, {expected}"
        );
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let memory = MemoryEstimate {
        precision: Precision::Fp16,
        weights: 3 << 30,
        activations: 0,
        buffers: 0,
        running: 3 << 30,
        building: 5 << 30,
    };
    let estimate = Estimate {
        power_mode: None,
        factors: FACTORS,
        batch: 1,
        frames: Vec::new(),
        without_times: Some("because".into()),
        open: false,
        memory: vec![memory],
        memory_of_target: Some(4 << 30),
        kernels: Vec::new(),
        inside: 1.0,
    };
    let text = estimate.to_text(&board(7));
    assert!(text.contains("3072 MiB (75.0 %): weights"), "{text}");
    assert!(
        text.contains("while building 5120 MiB (DOES NOT FIT)"),
        "{text}"
    );
}
