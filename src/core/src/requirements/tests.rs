use super::*;
use crate::{
    GatherMode, MatrixOperation, PaddingMode, PoolingType, ResizeCoordinateTransformation,
    ResizeRounding, Shape, TopKOperation, WeightsId,
};

const NANO: Release = Release::new(8, 2, 1);
const XAVIER: Release = Release::new(8, 5, 2);
const ORIN: Release = Release::new(10, 3, 0);

/// A network of one layer over inputs of one type and shape.
fn network(layer: Layer, inputs: usize, from: DType, dims: &[usize], to: DType) -> NetworkSpec {
    let tensor = |name: String, dtype| NetworkTensor {
        name,
        dtype,
        shape: Shape::fixed(dims),
    };
    let mut tensors: Vec<_> = (0..inputs).map(|i| tensor(format!("x{i}"), from)).collect();
    tensors.push(tensor("y".into(), to));
    let ids: Vec<TensorId> = (0..).take(inputs).map(TensorId).collect();
    let output = vec![TensorId(u32::try_from(inputs).unwrap())];
    NetworkSpec {
        name: "one".into(),
        tensors,
        inputs: ids.clone(),
        outputs: output.clone(),
        layers: vec![LayerSpec {
            name: "layer".into(),
            layer,
            inputs: ids,
            outputs: output,
        }],
    }
}

fn tensorrt(release: Release, network: &NetworkSpec) -> Option<String> {
    lacks(EngineKind::TensorRt, release, network, &network.layers[0])
}

fn unary(operation: UnaryOperation, dtype: DType, dims: &[usize]) -> NetworkSpec {
    network(Layer::Unary { operation }, 1, dtype, dims, dtype)
}

fn cast(from: DType, to: DType) -> NetworkSpec {
    network(Layer::Cast { to }, 1, from, &[2, 3], to)
}

fn top_k(dtype: DType, dims: &[usize], k: usize, axis: usize) -> NetworkSpec {
    let operation = TopKOperation::Max;
    network(Layer::TopK { operation, k, axis }, 1, dtype, dims, dtype)
}

fn element_wise(operation: ElementWiseOperation, dtype: DType) -> NetworkSpec {
    network(Layer::ElementWise { operation }, 2, dtype, &[2, 3], dtype)
}

fn slice(mode: SampleMode, dtype: DType, dims: &[usize]) -> NetworkSpec {
    let layer = Layer::Slice {
        start: vec![0; dims.len()],
        size: vec![None; dims.len()],
        stride: vec![1; dims.len()],
        mode,
    };
    network(layer, 1, dtype, dims, dtype)
}

fn gather(mode: GatherMode) -> NetworkSpec {
    network(Layer::Gather { mode }, 2, DType::I32, &[2, 3], DType::I32)
}

fn softmax(dims: &[usize]) -> NetworkSpec {
    let layer = Layer::Softmax { axis: 0 };
    network(layer, 1, DType::F32, dims, DType::F32)
}

fn open_tuples() -> NetworkSpec {
    let mut network = gather(GatherMode::Nd);
    network.tensors[1].shape.0[1] = Dim::Symbolic("n".into());
    network
}

fn nms(boxes: &[usize], dtype: DType) -> NetworkSpec {
    let layer = Layer::Nms {
        max_output_boxes: 10,
        iou_threshold: 0.5,
        score_threshold: 0.0,
    };
    network(layer, 2, dtype, boxes, DType::I32)
}

fn open_boxes() -> NetworkSpec {
    let mut network = nms(&[9, 4], DType::F32);
    network.tensors[0].shape.0[0] = Dim::Symbolic("n".into());
    network
}

fn reduce(operation: ReduceOperation, dtype: DType) -> NetworkSpec {
    let layer = Layer::Reduce {
        operation,
        axes: vec![0],
        keep_dims: true,
    };
    network(layer, 1, dtype, &[2, 3], dtype)
}

fn pooling(axes: usize, dtype: DType) -> NetworkSpec {
    let layer = Layer::Pooling {
        kind: PoolingType::Max,
        window: vec![1; axes],
        stride: vec![1; axes],
        pre_padding: vec![0; axes],
        post_padding: vec![0; axes],
        padding_mode: PaddingMode::Explicit,
        average_count_excludes_padding: false,
    };
    network(layer, 1, dtype, &[1, 2, 3, 4], dtype)
}

fn resize(mode: InterpolationMode, size: Vec<Option<usize>>, dtype: DType) -> NetworkSpec {
    let layer = Layer::Resize {
        mode,
        coordinates: ResizeCoordinateTransformation::HalfPixel,
        rounding: ResizeRounding::Floor,
        size,
    };
    network(layer, 1, dtype, &[1, 2, 3, 4], dtype)
}

fn constant(dtype: DType) -> NetworkSpec {
    let weights = WeightsId(0);
    network(Layer::Constant { weights }, 0, dtype, &[2], dtype)
}

fn resize_to(mode: InterpolationMode, dtype: DType, to: &[usize]) -> NetworkSpec {
    let layer = Layer::ResizeTo {
        mode,
        coordinates: ResizeCoordinateTransformation::HalfPixel,
        rounding: ResizeRounding::Floor,
    };
    let mut network = network(layer, 2, dtype, &[1, 2, 3, 4], dtype);
    network.tensors[1].dtype = DType::I64;
    network.tensors[2].shape = Shape::fixed(to);
    network
}

fn resize_by(scales: &[usize]) -> NetworkSpec {
    let layer = Layer::ResizeBy {
        mode: InterpolationMode::Linear,
        coordinates: ResizeCoordinateTransformation::HalfPixel,
        rounding: ResizeRounding::Floor,
        scales: scales.to_vec(),
    };
    network(layer, 1, DType::F32, &[1, 2, 3, 4], DType::F32)
}

fn numbers(values: &[i64]) -> NetworkSpec {
    let layer = Layer::Numbers {
        values: values.to_vec(),
    };
    network(layer, 0, DType::I64, &[values.len()], DType::I64)
}

/// Networks, and for each the first release that takes it: `None` where none does.
fn cases() -> Vec<(&'static str, NetworkSpec, Option<Release>)> {
    use DType::{Bool, F16, F32, I8, I32, I64, U8};
    let product = || Layer::MatrixMultiply {
        first: MatrixOperation::None,
        second: MatrixOperation::None,
    };
    let activation = |kind| Layer::Activation {
        kind,
        alpha: 0.0,
        beta: 0.0,
    };
    let rows = |axis, batch_dims| gather(GatherMode::Default { axis, batch_dims });
    let (half, whole) = (vec![None, None, Some(1), None], vec![Some(1); 4]);
    let (nearest, linear) = (InterpolationMode::Nearest, InterpolationMode::Linear);
    let strict = |dtype, dims: &[usize]| slice(SampleMode::Strict, dtype, dims);
    vec![
        ("cast uint8", cast(U8, F32), Some(NANO)),
        ("cast to uint8", cast(F32, U8), Some(NANO)),
        ("cast int64", cast(I64, F32), Some(NANO)),
        ("cast to bool", cast(F32, Bool), Some(NANO)),
        ("cast int8", cast(I8, F32), None),
        ("slice uint8", strict(U8, &[2]), Some(NANO)),
        ("slice int8", strict(I8, &[2]), None),
        ("slice bool", strict(Bool, &[2]), Some(NANO)),
        ("reflect", slice(SampleMode::Reflect, F32, &[2]), Some(NANO)),
        ("reflect int64", slice(SampleMode::Reflect, I64, &[2]), None),
        ("slice int64", strict(I64, &[2]), Some(NANO)),
        ("symmetric", slice(SampleMode::Symmetric, F32, &[2]), None),
        ("tile", network(Layer::Tile, 2, F32, &[2], F32), Some(NANO)),
        ("tile int64", network(Layer::Tile, 2, I64, &[2], I64), None),
        (
            "expand",
            network(Layer::Expand, 2, I64, &[2], I64),
            Some(NANO),
        ),
        (
            "pad by sizes",
            network(
                Layer::Pad {
                    mode: SampleMode::Fill(1.0),
                },
                2,
                I32,
                &[2],
                I32,
            ),
            Some(NANO),
        ),
        (
            "mirror by sizes",
            network(
                Layer::Pad {
                    mode: SampleMode::Symmetric,
                },
                2,
                F32,
                &[2],
                F32,
            ),
            None,
        ),
        (
            "resize to sizes",
            resize_to(linear, F32, &[1, 2, 6, 5]),
            Some(NANO),
        ),
        (
            "resize all to sizes",
            resize_to(linear, F32, &[2, 2, 6, 5]),
            None,
        ),
        (
            "resize int32 to sizes",
            resize_to(nearest, I32, &[1, 2, 6, 5]),
            None,
        ),
        ("resize by factors", resize_by(&[1, 1, 2, 3]), Some(NANO)),
        ("resize all by factors", resize_by(&[2, 1, 2, 3]), None),
        ("shape", network(Layer::Shape, 1, U8, &[2], I64), Some(NANO)),
        (
            "reshape to sizes",
            network(Layer::Reshape, 2, Bool, &[2], Bool),
            Some(NANO),
        ),
        (
            "range of int64",
            network(Layer::LinSpace, 3, I64, &[2], I64),
            Some(NANO),
        ),
        (
            "range of float16",
            network(Layer::LinSpace, 3, I64, &[2], F16),
            None,
        ),
        ("numbers", numbers(&[1 << 31, -1]), Some(ORIN)),
        (
            "small numbers",
            numbers(&[i64::from(i32::MAX), -1]),
            Some(NANO),
        ),
        ("rank 8", strict(F32, &[1; 8]), Some(NANO)),
        ("rank 9", strict(F32, &[1; 9]), None),
        ("2^31 elements", strict(F32, &[1 << 16, 1 << 15]), None),
        ("float64", strict(DType::F64, &[2]), None),
        ("round", unary(UnaryOperation::Round, F32, &[2]), Some(NANO)),
        (
            "sign of int32",
            unary(UnaryOperation::Sign, I32, &[2]),
            Some(NANO),
        ),
        (
            "neg of int64",
            unary(UnaryOperation::Neg, I64, &[2]),
            Some(NANO),
        ),
        ("abs of uint8", unary(UnaryOperation::Abs, U8, &[2]), None),
        ("exp of int32", unary(UnaryOperation::Exp, I32, &[2]), None),
        (
            "not of float32",
            unary(UnaryOperation::Not, F32, &[2]),
            None,
        ),
        ("not", unary(UnaryOperation::Not, Bool, &[2]), Some(NANO)),
        (
            "exp of a scalar",
            unary(UnaryOperation::Exp, F32, &[]),
            Some(ORIN),
        ),
        (
            "relu of int32",
            network(activation(ActivationType::Relu), 1, I32, &[2], I32),
            Some(NANO),
        ),
        (
            "tanh",
            network(activation(ActivationType::Tanh), 1, F32, &[2], F32),
            Some(NANO),
        ),
        (
            "tanh of int32",
            network(activation(ActivationType::Tanh), 1, I32, &[2], I32),
            None,
        ),
        (
            "tanh of a scalar",
            network(activation(ActivationType::Tanh), 1, F32, &[], F32),
            Some(ORIN),
        ),
        (
            "product",
            network(product(), 2, F16, &[2, 2], F16),
            Some(NANO),
        ),
        (
            "product of int32",
            network(product(), 2, I32, &[2, 2], I32),
            None,
        ),
        (
            "sum",
            element_wise(ElementWiseOperation::Sum, I64),
            Some(NANO),
        ),
        (
            "sum of bool",
            element_wise(ElementWiseOperation::Sum, Bool),
            None,
        ),
        (
            "equal of bool",
            element_wise(ElementWiseOperation::Equal, Bool),
            Some(NANO),
        ),
        (
            "less of bool",
            element_wise(ElementWiseOperation::Less, Bool),
            None,
        ),
        (
            "and",
            element_wise(ElementWiseOperation::And, Bool),
            Some(NANO),
        ),
        (
            "and of int32",
            element_wise(ElementWiseOperation::And, I32),
            None,
        ),
        (
            "pow",
            element_wise(ElementWiseOperation::Pow, F32),
            Some(NANO),
        ),
        (
            "pow of int32",
            element_wise(ElementWiseOperation::Pow, I32),
            None,
        ),
        (
            "max of int32",
            reduce(ReduceOperation::Max, I32),
            Some(NANO),
        ),
        ("sum of uint8", reduce(ReduceOperation::Sum, U8), None),
        ("mean of int32", reduce(ReduceOperation::Avg, I32), None),
        ("any", reduce(ReduceOperation::Max, Bool), None),
        ("top-k", top_k(F32, &[2, 5000], 3840, 1), Some(NANO)),
        ("top-k of a vector", top_k(F32, &[9], 3, 0), Some(NANO)),
        ("top-k of int32", top_k(I32, &[2, 9], 3, 1), Some(ORIN)),
        ("top-k of int64", top_k(I64, &[2, 9], 3, 1), Some(ORIN)),
        ("top-k of bool", top_k(Bool, &[2, 9], 3, 1), None),
        ("top-k too large", top_k(F32, &[2, 5000], 3841, 1), None),
        (
            "top-k of a far axis",
            top_k(F32, &[9, 1, 1, 1, 1], 3, 0),
            None,
        ),
        ("nms", nms(&[5000, 4], F32), Some(XAVIER)),
        ("nms of float16", nms(&[9, 4], F16), None),
        ("nms of many boxes", nms(&[5001, 4], F32), None),
        ("nms of groups", nms(&[9000, 5000, 4], F32), Some(XAVIER)),
        ("nms of large groups", nms(&[2, 5001, 4], F32), None),
        ("nms of open boxes", open_boxes(), None),
        ("gather", rows(2, 2), Some(NANO)),
        ("softmax", softmax(&[2, 3]), Some(NANO)),
        ("softmax of a vector", softmax(&[3]), None),
        ("gather nd", gather(GatherMode::Nd), Some(NANO)),
        ("gather nd by open tuples", open_tuples(), None),
        (
            "linear resize",
            resize(linear, half.clone(), F32),
            Some(NANO),
        ),
        (
            "linear resize of uint8",
            resize(linear, half.clone(), U8),
            None,
        ),
        (
            "nearest resize of uint8",
            resize(nearest, half.clone(), U8),
            Some(NANO),
        ),
        ("nearest resize of int32", resize(nearest, half, I32), None),
        ("resize of all axes", resize(linear, whole, F32), None),
        ("pooling", pooling(2, F32), Some(NANO)),
        ("pooling over one axis", pooling(1, F32), None),
        ("pooling of int32", pooling(2, I32), None),
        ("constant", constant(I64), Some(NANO)),
        ("boolean constant", constant(Bool), Some(ORIN)),
        ("uint8 constant", constant(U8), Some(NANO)),
        ("int8 constant", constant(I8), None),
    ]
}

#[test]
fn a_layer_is_refused_before_the_first_release_that_takes_it() {
    for (name, network, first) in cases() {
        for release in [
            NANO,
            Release::new(8, 4, 1),
            XAVIER,
            Release::new(8, 6, 1),
            ORIN,
        ] {
            let found = tensorrt(release, &network);
            let taken = first.is_some_and(|first| release >= first);
            assert_eq!(found.is_none(), taken, "{name} with {release}: {found:?}");
            if let Some(reason) = found {
                let library = format!("TensorRT {release} ");
                assert!(reason.starts_with(&library), "{name}: {reason}");
            }
        }
    }
}

#[test]
fn the_cpu_takes_everything() {
    for (name, network, _) in cases() {
        let layer = &network.layers[0];
        assert_eq!(
            lacks(EngineKind::Cpu, NANO, &network, layer),
            None,
            "{name}"
        );
    }
}

#[test]
fn what_the_newest_tensorrt_takes_rtx_takes_too_but_for_nms() {
    for (name, network, _) in cases() {
        let newest = tensorrt(Release::new(10, 16, 2), &network);
        let rtx = Release::new(1, 7, 1);
        let rtx = lacks(EngineKind::TensorRtRtx, rtx, &network, &network.layers[0]);
        let taken = rtx.is_none() != ["nms", "nms of groups"].contains(&name);
        assert!(newest.is_some() || taken, "{name}: {rtx:?}");
    }
}

#[test]
fn releases_that_are_not_known_take_nothing() {
    let good = cast(DType::I32, DType::F32);
    let refused = |engine, (major, minor)| {
        lacks(
            engine,
            Release::new(major, minor, 0),
            &good,
            &good.layers[0],
        )
    };
    for release in [(8, 2), (8, 3), (8, 6), (10, 0), (10, 16)] {
        assert_eq!(refused(EngineKind::TensorRt, release), None, "{release:?}");
    }
    for release in [(7, 2), (8, 7), (9, 0), (10, 17), (11, 0)] {
        let reason = refused(EngineKind::TensorRt, release).unwrap();
        assert!(reason.contains("is not supported; known are"), "{reason}");
    }
    let reason = refused(EngineKind::TensorRt, (8, 0)).unwrap();
    assert!(reason.contains("JetPack 4.6.1"), "{reason}");
    assert!(refused(EngineKind::TensorRtRtx, (1, 6)).is_some());
    assert_eq!(refused(EngineKind::TensorRtRtx, (1, 7)), None);
}

#[test]
fn int64_is_narrowed_before_10() {
    for (engine, release, expected) in [
        (EngineKind::Cpu, NANO, false),
        (EngineKind::TensorRt, NANO, true),
        (EngineKind::TensorRt, XAVIER, true),
        (EngineKind::TensorRt, ORIN, false),
        (EngineKind::TensorRtRtx, Release::new(1, 7, 1), false),
    ] {
        assert_eq!(
            narrows_int64(engine, release),
            expected,
            "{engine} {release}"
        );
    }
}

#[test]
fn a_wire_to_nowhere_is_a_refusal() {
    let mut network = cast(DType::I32, DType::F32);
    network.layers[0].inputs = vec![TensorId(7)];
    let reason = tensorrt(ORIN, &network).unwrap();
    assert!(reason.contains("wire to nowhere"), "{reason}");
}
