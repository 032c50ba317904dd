//! Bundles in other numbers and with tensors from inside segments as outputs.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by panic, and says what it skips"
)]

#[allow(dead_code, reason = "not all of it is used here")]
mod control;
#[allow(dead_code, reason = "not all of it is used here")]
mod source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tfjet_bundle::{Bundle, BundleWriter, SectionKind};
use tfjet_convert::probe::{Probed, probe, with_quantization};
use tfjet_convert::tensorflow::{SourceNode, import};
use tfjet_convert::{
    ConvertOptions, Lowered, Report, Task, emit, emit_targets, find_target, lower_targets,
};
use tfjet_core::{
    AttrValue, DType, LayerPrecision, NetworkSpec, Precision, Quantization, Tensor, TensorId,
    quantized_weights,
};
use tfjet_cpu::Library;
use tfjet_runtime::{Session, SessionOptions};

use control::{library, lowered, options};
use source::{constant, graph, node, placeholder};

fn with(mut node: SourceNode, attr: &str, value: AttrValue) -> SourceNode {
    node.attrs.insert(attr, value);
    node
}

fn values(count: usize, step: f32) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 37 + 11) % 64) as f32 * step - 32.0 * step)
        .collect()
}

/// Two segments with a `Neg` between them that stays outside:
/// `a = relu(x); b = a + c; n = -b; d = b * n; y = matmul(d, w); i = argmax(d)`.
fn nodes() -> Vec<SourceNode> {
    let int64 = AttrValue::Type(Some(DType::I64));
    vec![
        placeholder("x", &[Some(2), Some(3)]),
        constant("c", &[1, 3], &[0.5f32, -1.0, 2.0]),
        node("a", "Relu", &["x"]),
        node("b", "AddV2", &["a", "c"]),
        node("n", "Neg", &["b"]),
        node("d", "Mul", &["b", "n"]),
        constant("w", &[3, 4], &values(12, 0.07)),
        node("y", "MatMul", &["d", "w"]),
        constant("axis", &[], &[1i32]),
        with(node("i", "ArgMax", &["d", "axis"]), "output_type", int64),
    ]
}

fn two_segments() -> Lowered {
    let mut options = options(true, &["y", "b", "i"]);
    options.partition.deny_ops = std::iter::once("Neg".to_owned()).collect();
    lowered(graph(nodes()), &options).unwrap()
}

fn emitted(lowered: Lowered) -> BundleWriter {
    let report = Report::new(&lowered, &ConvertOptions::default().partition);
    emit(lowered, "graph", &task(), &report).unwrap()
}

fn task() -> Task {
    Task {
        image: None,
        ..Task::default()
    }
}

fn opened(writer: &BundleWriter) -> Bundle {
    let bundle = Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap();
    bundle.verify().unwrap();
    bundle
}

fn everything(network: &NetworkSpec) -> BTreeSet<TensorId> {
    (0..).map(TensorId).take(network.tensors.len()).collect()
}

/// Every layer that can, in INT8; ranges of 4 everywhere.
fn int8(bundle: &Bundle) -> Vec<Option<Quantization>> {
    let table = bundle.weights_table().unwrap();
    let of_segment = |segment| {
        let network = bundle.network(segment).unwrap();
        let mut quantization = Quantization::floats(&network, Precision::Int8);
        quantization.ranges.fill(Some(4.0));
        for (layer, precision) in network.layers.iter().zip(&mut quantization.layers) {
            if let Some(found) = quantized_weights(&network, layer) {
                let shape = &table.get(found.weights).unwrap().shape;
                *precision = LayerPrecision::Int8 {
                    channels: vec![2.0; shape[found.axis]],
                };
            }
        }
        Some(quantization)
    };
    (0..bundle.segment_count() as u32).map(of_segment).collect()
}

fn floats(bundle: &Bundle) -> Vec<Option<Quantization>> {
    let of_segment = |segment| {
        let network = bundle.network(segment).unwrap();
        Some(Quantization::floats(&network, Precision::Fp16))
    };
    (0..bundle.segment_count() as u32).map(of_segment).collect()
}

fn run(bundle: &Bundle, library: &Library, inputs: &[Tensor]) -> Vec<Tensor> {
    let options = SessionOptions {
        threads: 1,
        exact_quantization: true,
        ..SessionOptions::default()
    };
    let mut session = Session::load(Arc::new(bundle.clone()), Some(library), &options).unwrap();
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let outputs = session.run(&views).unwrap();
    outputs.iter().map(|(_, view)| view.to_tensor()).collect()
}

/// The tensors of 2 rows that the graph of [`nodes`] makes of `x`.
struct Expected {
    a: Vec<f32>,
    b: Vec<f32>,
    n: Vec<f32>,
    d: Vec<f32>,
    /// Of each row of `d`.
    largest: Vec<f32>,
}

impl Expected {
    fn new(x: &[f32]) -> Self {
        let a: Vec<f32> = x.iter().map(|x| x.max(0.0)).collect();
        let c = [0.5, -1.0, 2.0];
        let b: Vec<f32> = a.iter().zip(c.iter().cycle()).map(|(a, c)| a + c).collect();
        let n: Vec<f32> = b.iter().map(|b| -b).collect();
        let d: Vec<f32> = b.iter().zip(&n).map(|(b, n)| b * n).collect();
        let rows = d.chunks(3);
        let largest = rows.map(|row| row.iter().copied().fold(f32::MIN, f32::max));
        let largest = largest.collect();
        Self {
            a,
            b,
            n,
            d,
            largest,
        }
    }
}

fn names(probed: &Probed) -> Vec<(u32, &str, Option<&str>)> {
    let tensors = probed.tensors.iter();
    let name = |name: &str| name.split('/').next().unwrap_or_default().len();
    tensors
        .map(|it| {
            let layer = it.layer.as_deref().map(|layer| &layer[..name(layer)]);
            (it.segment, &it.name[..name(&it.name)], layer)
        })
        .collect()
}

#[test]
fn tensors_of_all_segments_are_given_behind_the_outputs() {
    let bundle = opened(&emitted(two_segments()));
    assert_eq!(bundle.segment_count(), 2);
    let probed = probe(&bundle, &everything).unwrap();
    let given = names(&probed);
    let expected = [
        (0, "x", None),
        (0, "a", Some("a")),
        (0, "b", Some("b")),
        (1, "b", None),
        (1, "n", None),
        (1, "d", Some("d")),
        (1, "y", Some("y")),
        // The largest numbers, whose places are the output.
        (1, "i", Some("i")),
    ];
    let mut sorted = given.clone();
    sorted.sort_unstable();
    let mut wanted = expected.to_vec();
    wanted.sort_unstable();
    assert_eq!(sorted, wanted, "no constants, no integers");
    assert!(probed.unseen.is_empty());
    let with_probes = opened(&probed.writer);
    let manifest = with_probes.manifest().unwrap();
    assert_eq!(manifest.outputs.len(), 3 + given.len());
    assert_eq!(manifest.outputs[..3], bundle.manifest().unwrap().outputs);
    for segment in 0..2 {
        let (before, after) = (bundle.network(segment), with_probes.network(segment));
        let (before, after) = (before.unwrap(), after.unwrap());
        assert_eq!(
            (before.tensors, before.layers),
            (after.tensors, after.layers)
        );
    }

    let Some(library) = library() else { return };
    let x = [-1.0, 0.25, 3.0, 0.125, -7.5, 1.5];
    let input = Tensor::from_slice(&[2, 3], &x).unwrap();
    let expected = Expected::new(&x);
    let own = run(&bundle, &library, std::slice::from_ref(&input));
    let all = run(&with_probes, &library, &[input]);
    assert_eq!(all[..3], own);
    for (tensor, (segment, name, _)) in all[3..].iter().zip(given) {
        let expected: &[f32] = match name {
            "x" => &x,
            "a" => &expected.a,
            "b" => &expected.b,
            "n" => &expected.n,
            "d" => &expected.d,
            "i" => &expected.largest,
            _ => own[0].as_slice().unwrap(),
        };
        assert_eq!(
            tensor.as_slice::<f32>().unwrap(),
            expected,
            "{segment} {name}"
        );
    }
}

#[test]
fn only_wanted_tensors_are_given() {
    let bundle = opened(&emitted(two_segments()));
    let second = bundle.network(1).unwrap().name;
    let wanted = |network: &NetworkSpec| {
        let all = everything(network).into_iter();
        all.filter(|&id| network.tensor(id).unwrap().name == "d" && network.name == second)
            .collect()
    };
    let probed = probe(&bundle, &wanted).unwrap();
    assert_eq!(names(&probed), [(1, "d", Some("d"))]);
    let tensor = &probed.tensors[0];
    let network = bundle.network(1).unwrap();
    assert_eq!(network.tensor(tensor.tensor).unwrap().name, tensor.name);
    assert_eq!(tensor.segment_name, network.name);
    let output = opened(&probed.writer).manifest().unwrap().outputs.remove(3);
    assert_eq!(output.name, format!("{}/d", network.name));
    let none = probe(&bundle, &|_| BTreeSet::new()).unwrap();
    assert_eq!(
        none.writer.to_bytes().unwrap(),
        emitted(two_segments()).to_bytes().unwrap()
    );
}

fn control_flow(name: &str) -> PathBuf {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/control_flow");
    all.join(format!("{name}.pb"))
}

#[test]
fn segments_inside_functions_are_named_and_left_alone() {
    let mut inside = 0;
    for (name, outputs) in [
        ("recurrent_v2", &["Identity_2:0", "Identity_3:0"][..]),
        ("condition_v1", &["Identity:0"]),
        ("nested_loops_v1", &["Identity:0"]),
        ("scanned_v1", &["Identity:0"]),
    ] {
        let source = import(&control_flow(name)).unwrap();
        let lowered = lowered(source, &options(true, outputs)).unwrap();
        let bundle = opened(&emitted(lowered));
        let probed = probe(&bundle, &everything).unwrap();
        let with_probes = opened(&probed.writer);
        let schedule = bundle.schedule().unwrap();
        let own: Vec<u32> = schedule.steps.iter().filter_map(segment_of).collect();
        let others = schedule.functions.iter().flat_map(|it| &it.steps);
        let others: Vec<u32> = others.filter_map(segment_of).collect();
        let mut unseen: Vec<String> = (others.iter())
            .map(|&segment| bundle.network(segment).unwrap().name)
            .collect();
        unseen.sort_unstable();
        let mut named = probed.unseen.clone();
        named.sort_unstable();
        assert_eq!(named, unseen, "{name}");
        inside += unseen.len();
        assert!(
            probed.tensors.iter().all(|it| own.contains(&it.segment)),
            "{name}"
        );
        for segment in others {
            let section = |bundle: &Bundle| bundle.onnx(segment).unwrap().to_vec();
            assert_eq!(section(&with_probes), section(&bundle), "{name}");
        }
        let Some(library) = library() else { continue };
        let inputs = bundle.manifest().unwrap().inputs;
        let inputs: Vec<Tensor> = (inputs.iter())
            .map(|input| {
                let shape = input.shape.as_ref().unwrap().dims();
                let shape: Vec<usize> = shape.iter().map(|dim| dim.fixed().unwrap_or(2)).collect();
                let count = shape.iter().product();
                match input.dtype {
                    DType::I32 => Tensor::from_slice(&shape, &vec![3i32; count]).unwrap(),
                    _ => Tensor::from_slice(&shape, &values(count, 0.05)).unwrap(),
                }
            })
            .collect();
        let own = run(&bundle, &library, &inputs);
        let all = run(&with_probes, &library, &inputs);
        assert_eq!(all[..own.len()], own, "{name}");
    }
    assert!(inside >= 3, "only {inside} segments inside functions");
}

fn segment_of(step: &tfjet_core::Step) -> Option<u32> {
    match step {
        tfjet_core::Step::Engine { segment, .. } => Some(*segment),
        _ => None,
    }
}

#[test]
fn other_numbers_are_those_of_a_conversion_with_them() {
    let plain = emitted(two_segments());
    let bundle = opened(&plain);
    let quantizations = int8(&bundle);
    let mut lowered = two_segments();
    lowered.quantizations = quantizations.clone();
    let converted = emitted(lowered).to_bytes().unwrap();
    let made = with_quantization(&bundle, &quantizations, false).unwrap();
    assert!(made.to_bytes().unwrap() == converted, "bundles differ");
    let quantized = opened(&made);
    assert_eq!(quantized.quantization(1).unwrap(), quantizations[1]);
    let contains = |onnx: &[u8]| onnx.windows(14).any(|at| at == b"QuantizeLinear");
    assert!(contains(quantized.onnx(1).unwrap()));
    assert!(
        !contains(quantized.onnx(0).unwrap()),
        "nothing in it can be INT8"
    );

    let back = with_quantization(&quantized, &[None, None], false).unwrap();
    assert!(
        back.to_bytes().unwrap() == plain.to_bytes().unwrap(),
        "not undone"
    );
    let fp16 = opened(&with_quantization(&quantized, &floats(&bundle), false).unwrap());
    for segment in 0..2 {
        assert_eq!(fp16.onnx(segment).unwrap(), bundle.onnx(segment).unwrap());
    }
    assert_eq!(fp16.quantization(0).unwrap(), floats(&bundle)[0]);
    let rounded = with_quantization(&quantized, &floats(&bundle), true).unwrap();
    let again = with_quantization(&bundle, &floats(&bundle), true).unwrap();
    assert!(rounded.to_bytes().unwrap() == again.to_bytes().unwrap());
    assert_ne!(opened(&rounded).onnx(0).unwrap(), bundle.onnx(0).unwrap());
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    let bundle = opened(&emitted(two_segments()));
    let refused = |quantizations: &[_]| {
        let made = with_quantization(&bundle, quantizations, false);
        made.unwrap_err().to_string()
    };
    let error = refused(&[None]);
    assert_eq!(error, "precisions of 1 segments for a bundle of 2");
    let mut quantizations = int8(&bundle);
    quantizations.swap(0, 1);
    assert!(refused(&quantizations).contains("the quantization does not fit"));
    let mut quantizations = int8(&bundle);
    for layer in &mut quantizations[1].as_mut().unwrap().layers {
        if let LayerPrecision::Int8 { channels } = layer {
            channels.pop();
        }
    }
    let error = refused(&quantizations);
    assert!(
        error.contains("layer y: INT8 with magnitudes of 3 output channels"),
        "{error}"
    );
}

#[test]
fn probes_keep_the_numbers() {
    let Some(library) = library() else { return };
    let plain = opened(&emitted(two_segments()));
    let x = [-1.0f32, 0.26, 1.37, 0.128, -7.5, 1.1];
    let input = [Tensor::from_slice(&[2, 3], &x).unwrap()];
    let step = 4.0 / 127.0;
    for (quantizations, round_fp16) in [
        (int8(&plain), false),
        (int8(&plain), true),
        (floats(&plain), true),
    ] {
        let made = with_quantization(&plain, &quantizations, round_fp16).unwrap();
        let bundle = opened(&made);
        let probed = probe(&bundle, &everything).unwrap();
        let with_probes = opened(&probed.writer);
        assert_eq!(with_probes.quantization(1).unwrap(), quantizations[1]);
        let own = run(&bundle, &library, &input);
        let all = run(&with_probes, &library, &input);
        assert_eq!(all[..3], own);
        let other = run(&plain, &library, &input);
        assert_ne!(own[0], other[0]);
        let is_d = |it: &tfjet_convert::probe::ProbedTensor| it.name == "d";
        let position = probed.tensors.iter().position(is_d).unwrap();
        let d = all[3 + position].as_slice::<f32>().unwrap();
        let is_int8 = quantizations[1].as_ref().unwrap().precision() == Precision::Int8;
        for d in d {
            let steps = d / step;
            let near = (steps - steps.round()).abs() < 1e-3;
            assert!(!is_int8 || near, "{d} is not rounded");
            let is_half = half::f16::from_f32(*d).to_f32() == *d;
            assert!(is_int8 || is_half, "{d} is not of 16 bits");
        }
    }
}

#[test]
fn a_target_of_several_becomes_a_bundle_of_its_own() {
    let targets = ["nano", "x86-cpu"].map(|name| find_target(name).unwrap());
    let options = options(true, &["Identity_2:0", "Identity_3:0"]);
    let all = lower_targets(&control_flow("recurrent_v2"), &options, &targets).unwrap();
    let report = |lowered: Lowered| {
        let report = Report::new(&lowered, &options.partition);
        (lowered, report)
    };
    let all: Vec<_> = all.into_iter().map(report).collect();
    let mut writer = emit_targets(all, "graph", &task()).unwrap();
    let cache = (SectionKind::TimingCache, "trt8.5.2-sm53");
    writer.set(cache.0, cache.1, 0, vec![1, 2, 3]).unwrap();
    let several = opened(&writer);
    let error = probe(&several, &everything).unwrap_err().to_string();
    assert!(error.contains("nano"), "{error}");
    for name in ["nano", "x86-cpu"] {
        let chosen = several.select(name).unwrap();
        let numbers = floats(&chosen);
        for writer in [
            probe(&chosen, &everything).unwrap().writer,
            with_quantization(&chosen, &numbers, true).unwrap(),
        ] {
            let alone = opened(&writer);
            assert_eq!(alone.targets().unwrap(), [name]);
            let (made, from) = (alone.manifest().unwrap(), chosen.manifest().unwrap());
            assert_eq!((made.target, made.summary), (from.target, from.summary));
            assert_eq!(alone.report().unwrap(), chosen.report().unwrap());
            assert_eq!(alone.weights().ok(), chosen.weights().ok());
            let mut kinds = alone.sections().iter().map(|section| section.id.kind);
            assert!(
                kinds.all(|kind| kind != cache.0),
                "engines are of other numbers"
            );
        }
    }
}
