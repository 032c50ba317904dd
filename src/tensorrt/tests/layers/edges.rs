//! What a network's edges and the build's options may be, with TensorRT-RTX.

use tfjet_core::{
    ActivationType, DType, Dim, ElementWiseOperation, Layer, LayerSpec, NetworkSpec, NetworkTensor,
    Shape, TensorId, TensorView, WeightsId,
};
use tfjet_tensorrt::{
    BuildOptions, BuildProgress, BuiltEngine, Flavor, Library, Precision, Profile, ShapeRange,
    TensorRtError, WeightsSource, build_engine,
};

use crate::library;

struct NoWeights;

impl WeightsSource for NoWeights {
    fn weights(&self, _: WeightsId) -> Option<TensorView<'_>> {
        None
    }
}

const RELU: Layer = Layer::Activation {
    kind: ActivationType::Relu,
    alpha: 0.0,
    beta: 0.0,
};

fn relu(dims: &[Dim], dtype: DType) -> NetworkSpec {
    let tensor = |name: &str| NetworkTensor {
        name: name.into(),
        dtype,
        shape: Shape(dims.to_vec()),
    };
    NetworkSpec {
        name: "edges".into(),
        tensors: vec![tensor("x"), tensor("y")],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(1)],
        layers: vec![LayerSpec {
            name: "relu".into(),
            layer: RELU,
            inputs: vec![TensorId(0)],
            outputs: vec![TensorId(1)],
        }],
    }
}

fn fixed() -> NetworkSpec {
    relu(&[Dim::Fixed(2), Dim::Fixed(3)], DType::F32)
}

fn symbolic() -> NetworkSpec {
    relu(&[Dim::Symbolic("n".into()), Dim::Fixed(3)], DType::F32)
}

fn build(
    library: &Library,
    spec: &NetworkSpec,
    options: &BuildOptions,
) -> Result<BuiltEngine, TensorRtError> {
    build_engine(library, spec, &NoWeights, options, None, &mut |_| ())
}

fn profile(sizes: [usize; 3]) -> Profile {
    let [min, opt, max] = sizes.map(|n| vec![n, 3]);
    Profile(vec![ShapeRange { min, opt, max }])
}

fn rtx() -> Option<Library> {
    library(Flavor::TensorRtRtx, "TFJET_TENSORRT_RTX")
}

#[test]
fn inputs_and_tensors_that_are_outputs_already_can_be_outputs() {
    let Some(library) = rtx() else { return };
    for outputs in [&[1, 0][..], &[1, 1], &[0, 0, 1]] {
        let mut spec = fixed();
        spec.outputs = outputs.iter().map(|&id| TensorId(id)).collect();
        for precision in [Precision::Fp32, Precision::Fp16] {
            let options = BuildOptions {
                precision,
                ..BuildOptions::default()
            };
            let built = build(&library, &spec, &options);
            assert!(built.is_ok(), "{outputs:?}: {built:?}");
        }
    }
}

#[test]
fn engines_of_one_network_differ_by_precision_and_profile() {
    let Some(library) = rtx() else { return };
    let mut options = BuildOptions {
        profiles: vec![profile([1, 2, 8]), profile([16, 16, 16])],
        detailed: true,
        workspace_bytes: Some(1 << 24),
        tf32: true,
        ..BuildOptions::default()
    };
    let first = build(&library, &symbolic(), &options).unwrap();
    options.profiles.pop();
    let second = build(&library, &symbolic(), &options).unwrap();
    options.precision = Precision::Fp16;
    let third = build(&library, &symbolic(), &options).unwrap();
    assert!(first.engine != second.engine && second.engine != third.engine);
}

#[test]
fn what_cannot_be_built_is_named() {
    let Some(library) = rtx() else { return };
    let with = |profiles: Vec<Profile>| BuildOptions {
        profiles,
        ..BuildOptions::default()
    };
    let unknown_weights = NetworkSpec {
        layers: vec![LayerSpec {
            layer: Layer::Constant {
                weights: WeightsId(7),
            },
            inputs: Vec::new(),
            ..fixed().layers.remove(0)
        }],
        ..fixed()
    };
    let wide = relu(&[Dim::Fixed(2)], DType::F64);
    let arity = NetworkSpec {
        layers: vec![LayerSpec {
            layer: Layer::ElementWise {
                operation: ElementWiseOperation::Sum,
            },
            ..fixed().layers.remove(0)
        }],
        ..fixed()
    };
    let mut wrong_shape = fixed();
    wrong_shape.tensors[1].shape = Shape::fixed(&[3, 2]);
    let mut twice = fixed();
    twice.layers.push(twice.layers[0].clone());
    let mut never = fixed();
    never.layers.clear();
    let sources = BuildOptions {
        tactic_sources: Some(0),
        ..BuildOptions::default()
    };
    let cases = [
        (
            symbolic(),
            with(Vec::new()),
            "input x is [n,3], and no profile",
        ),
        (
            symbolic(),
            with(vec![profile([1, 9, 8])]),
            "profile 0: x: [1, 3], [9, 3], [8, 3]",
        ),
        (
            symbolic(),
            with(vec![Profile(Vec::new())]),
            "profile 0: has 0 shapes for 1 inputs",
        ),
        (
            symbolic(),
            with(vec![Profile(vec![ShapeRange::only(&[1, 4])])]),
            "profile 0: [1, 4] does not fit [n,3], which is x's",
        ),
        (
            unknown_weights,
            with(Vec::new()),
            "layer relu (Constant): weights 7 do not exist",
        ),
        (
            wide,
            with(Vec::new()),
            "x is float64, of which TensorRT has no tensors",
        ),
        (
            arity,
            with(Vec::new()),
            "layer relu (ElementWise): wire 1 is missing",
        ),
        (
            wrong_shape,
            with(Vec::new()),
            "TensorRT makes [2, 3] of it, y is [3,2]",
        ),
        (
            twice,
            with(Vec::new()),
            "layer relu (Activation): tensor y is made twice",
        ),
        (
            never,
            with(Vec::new()),
            "network edges: output y is never made",
        ),
        (
            fixed(),
            sources,
            "TensorRT-RTX 1.7.1 has no choice of tactic sources",
        ),
    ];
    for (spec, options, expected) in cases {
        let error = build(&library, &spec, &options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_build_tells_how_far_it_is() {
    let Some(library) = rtx() else { return };
    let mut told = Vec::new();
    let mut progress = |step: BuildProgress| told.push(step);
    let options = BuildOptions::default();
    build_engine(
        &library,
        &fixed(),
        &NoWeights,
        &options,
        None,
        &mut progress,
    )
    .unwrap();
    assert!(!told.is_empty());
    assert!(told.is_sorted_by_key(|step| step.elapsed));
    for step in &told {
        assert!(
            !step.phase.is_empty() && step.step <= step.steps,
            "{step:?}"
        );
    }
    assert!(
        told.iter()
            .any(|step| step.step > 0 && step.step == step.steps)
    );
}

#[test]
fn a_timing_cache_of_something_else_is_left_out() {
    let Some(library) = rtx() else { return };
    let options = BuildOptions::default();
    let built = build(&library, &fixed(), &options).unwrap();
    for cache in [built.timing_cache.as_deref(), Some(&b"no cache"[..])] {
        let mut progress = |_| ();
        let again = build_engine(
            &library,
            &fixed(),
            &NoWeights,
            &options,
            cache,
            &mut progress,
        );
        assert!(again.is_ok(), "{again:?}");
    }
}
