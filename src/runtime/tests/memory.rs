//! How much memory a model takes is known before it is loaded.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;

use common::{Model, shape};
use tfjet_bundle::{Bundle, BundleWriter, EngineHeader};
use tfjet_core::{
    Attrs, DType, ImageLayout, Layer, LayerSpec, Manifest, NetworkSpec, NetworkTensor, Preprocess,
    ResizeFilter, ResizeMode, Tensor, TensorId,
};
use tfjet_runtime::{
    EngineKey, EngineSet, MachineKey, MemoryAvailable, MemoryNeed, NetworkHash, RunsOn,
};

const MIB: u64 = 1 << 20;

/// A segment of two layers with half of `x` between them, then a residual op on its output.
fn model() -> Model {
    let mut model = Model::default();
    let x = model.input(DType::F32, "n,1000");
    let inside = model.computed(DType::F32, "n,1000");
    let y = model.computed(DType::F32, "n,1000");
    let scale = model.constant(&Tensor::zeros(DType::F32, &[1000]).unwrap());
    model.engine(0, &[x], &[inside]);
    model.op("Mul", Attrs::default(), &[inside, scale], &[y]);
    model.output(y);
    let weights = model.weights(&Tensor::zeros(DType::F32, &[1000]).unwrap());
    let tensor = |name: &str, dims: &str| NetworkTensor {
        name: name.into(),
        dtype: DType::F32,
        shape: shape(dims),
    };
    let layer = |name: &str, input: u32, output: u32| LayerSpec {
        name: name.into(),
        layer: Layer::Scale {
            scale: Some(weights),
            shift: None,
        },
        inputs: vec![TensorId(input)],
        outputs: vec![TensorId(output)],
    };
    model.networks[0] = NetworkSpec {
        name: "segment_0".into(),
        tensors: vec![
            tensor("x", "n,1000"),
            tensor("a", "ceil(n/2),1000"),
            tensor("b", "n,1000"),
        ],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(2)],
        layers: vec![layer("a", 0, 1), layer("b", 1, 2)],
    };
    model
}

/// What is needed without this program's own part, which varies.
fn parts(need: &MemoryNeed) -> Vec<(&str, u64)> {
    let parts = need.parts.iter();
    let parts = parts.map(|(name, bytes)| (name.as_str(), *bytes));
    let parts: Vec<_> = parts
        .filter(|(name, _)| *name != "this program so far")
        .collect();
    let sum: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(sum, need.host_bytes + need.device_bytes);
    assert_eq!(need.total(), sum + need.program_bytes);
    assert!(need.program_bytes > 0 || !cfg!(target_os = "linux"));
    parts
}

#[test]
fn on_the_cpu_it_is_weights_and_tensors() {
    let bundle = model().bundle();
    let need = |inputs: Option<&[Vec<usize>]>| MemoryNeed::of(&bundle, &RunsOn::Cpu, inputs);
    let of = |rows: u64| {
        vec![
            ("weights", 8000),
            ("ONNX Runtime", 12 * MIB),
            ("ONNX Runtime's copies of weights", 4000),
            ("ONNX Runtime's room for tensors", rows.div_ceil(2) * 10_000),
            ("inputs", rows * 4000),
            ("tensors between steps", rows * 2 * 4000),
        ]
    };
    let one = need(None).unwrap();
    assert_eq!(parts(&one), of(1));
    assert_eq!(one.host_bytes, 12 * MIB + 12_000 + 10_000 + 3 * 4000);
    assert_eq!(one.device_bytes, 0);
    assert!(!one.open);
    let seven = need(Some(&[vec![7, 1000]])).unwrap();
    assert_eq!(parts(&seven), of(7));
    let text = seven.to_string();
    assert!(
        text.starts_with("about ")
            && text.contains("ONNX Runtime 12.0 MiB")
            && text.contains("tensors between steps 0.1 MiB"),
        "{text}"
    );
}

#[test]
fn what_is_not_known_is_said_and_images_are() {
    let mut model = model();
    model.schedule.values[1].shape = None;
    let mut manifest: Manifest = model.manifest();
    let open = Bundle::from_bytes(model.bytes(&manifest)).unwrap();
    let need = MemoryNeed::of(&open, &RunsOn::Cpu, None).unwrap();
    assert!(need.open);
    assert!(need.to_string().starts_with("at least "));
    let dims = shape("n,h,w,3");
    model.schedule.values[0].shape = Some(dims.clone());
    manifest.inputs[0].shape = Some(dims);
    manifest.preprocess = Some(Preprocess {
        input: 0,
        width: 20,
        height: 10,
        resize: ResizeMode::Stretch,
        filter: ResizeFilter::Bilinear,
        color: tfjet_core::ColorOrder::Rgb,
        mean: [0.0; 3],
        scale: [1.0; 3],
        layout: ImageLayout::Nhwc,
    });
    let image = Bundle::from_bytes(model.bytes(&manifest)).unwrap();
    let need = MemoryNeed::of(&image, &RunsOn::Cpu, None).unwrap();
    assert!(parts(&need).contains(&("inputs", 10 * 20 * 3 * 4)));
}

#[test]
fn on_a_gpu_it_is_engines_at_their_largest_shapes() {
    let plain = model().bundle();
    let machine = MachineKey {
        library: "trt8.5.2".into(),
        compute_capability: Some((7, 2)),
        gpu: "GPU".into(),
    };
    for (precision, bytes_of) in [("fp32", 4), ("fp16", 2)] {
        let range = |min: u64, max: u64| vec![[vec![min, 1000], vec![max, 1000], vec![max, 1000]]];
        let mut header = EngineHeader {
            library: machine.library.clone(),
            compute_capability: machine.compute_capability,
            precision: precision.into(),
            profiles: vec![range(1, 8), range(1, 32)],
            ..EngineHeader::default()
        };
        header.key = EngineKey::of(&NetworkHash::of(&plain, 0).unwrap(), &header).0;
        let mut writer = BundleWriter::from_bundle(&plain).unwrap();
        writer.set_engine(&header, 0, &[7; 5000]).unwrap();
        let bundle = Arc::new(Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap());
        let engines = EngineSet::locate(&bundle, &machine, Some(precision), None).unwrap();
        let need = |integrated| {
            let runs_on = RunsOn::Gpu {
                engines: &engines,
                integrated,
            };
            MemoryNeed::of(&bundle, &runs_on, Some(&[vec![2, 1000]])).unwrap()
        };
        let inside = 16 * 1000 * bytes_of;
        let between = 2 * 2 * 4000 + 4000;
        let discrete = need(false);
        assert_eq!(discrete.device_bytes, 5000 + inside + between + 8000);
        assert_eq!(discrete.host_bytes, 8000 + between);
        let shared = need(true);
        assert_eq!(
            parts(&shared),
            [
                ("inputs", 8000),
                ("engine of segment_0", 5000),
                ("tensors inside segment_0", inside),
                ("tensors between steps", between),
            ]
        );
    }
}

fn need() -> MemoryNeed {
    MemoryNeed {
        host_bytes: 30 * MIB,
        device_bytes: 60 * MIB,
        program_bytes: 10 * MIB,
        parts: vec![
            ("weights".into(), 30 * MIB),
            ("engine of segment_0".into(), 60 * MIB),
            ("this program so far".into(), 10 * MIB),
        ],
        open: false,
    }
}

#[test]
fn a_model_that_does_not_fit_is_refused_with_need_bound_and_parts() {
    const PARTS: &str = "of it engine of segment_0 60.0 MiB, weights 30.0 MiB, this program so far \
                         10.0 MiB";
    let free = |host: u64, device: Option<u64>| MemoryAvailable {
        host: Some(host * MIB),
        device: device.map(|device| device * MIB),
    };
    let unknown = MemoryAvailable::default();
    for (limit, available, expected) in [
        (None, unknown, None),
        (Some(100), unknown, None),
        (
            Some(99),
            unknown,
            Some("the program takes 100.0 MiB, the limit is 99.0 MiB"),
        ),
        (None, free(90, None), None),
        (
            None,
            free(89, None),
            Some("the model takes 90.0 MiB, free are 89.0 MiB"),
        ),
        (None, free(30, Some(60)), None),
        (
            None,
            free(29, Some(60)),
            Some("the model on the host takes 30.0 MiB, free are 29.0 MiB"),
        ),
        (
            None,
            free(1000, Some(59)),
            Some("the model on the GPU takes 60.0 MiB, free are 59.0 MiB"),
        ),
        (
            Some(50),
            free(10, None),
            Some("the program takes 100.0 MiB, the limit is 50.0 MiB"),
        ),
    ] {
        let result = need().check(limit.map(|limit| limit * MIB), &available);
        let error = result.err().map(|error| error.to_string());
        let expected = expected.map(|text| format!("not enough memory: {text}; {PARTS}"));
        assert_eq!(error, expected, "{limit:?} {available:?}");
    }
}

#[test]
fn sizes_that_overflow_are_refused_too() {
    let mut model = model();
    model.networks[0].tensors[1].shape = shape("18446744073709551615,18446744073709551615");
    let need = MemoryNeed::of(&model.bundle(), &RunsOn::Cpu, None).unwrap();
    assert!(need.total() > 1 << 60);
    assert!(
        need.check(Some(1 << 60), &MemoryAvailable::default())
            .is_err()
    );
}

#[test]
fn nothing_but_structure_is_read() {
    let mut bytes = model().bytes(&model().manifest());
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let bundle = Bundle::from_bytes(bytes).unwrap();
    assert!(bundle.weights().is_err(), "the weights are damaged");
    MemoryNeed::of(&bundle, &RunsOn::Cpu, None).unwrap();
}
