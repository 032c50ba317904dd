//! Every layer of the CPU engine's table through TensorRT: built with TensorRT-RTX, which needs no
//! GPU, and built and run with TensorRT where there is one.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test is its own documentation, and panics"
)]

#[path = "../../../cpu/tests/layers/arithmetic.rs"]
mod arithmetic;
#[path = "../../../cpu/tests/layers/case.rs"]
mod case;
mod device;
#[path = "../../../cpu/tests/layers/dynamic.rs"]
mod dynamic;
mod edges;
#[path = "../../../cpu/tests/layers/images.rs"]
mod images;
#[path = "../../../cpu/tests/layers/indexed.rs"]
mod indexed;
#[path = "../../../cpu/tests/layers/matrices.rs"]
mod matrices;
#[path = "../../../cpu/tests/layers/moving.rs"]
mod moving;
mod pack;
#[path = "../../../cpu/tests/layers/reference.rs"]
mod reference;
mod refused;

use std::path::Path;
use std::time::Instant;

use case::{Case, Dims, cases};
use pack::Pack;
use tfjet_core::{GatherMode, Layer};
use tfjet_tensorrt::{BuildOptions, Flavor, Library, Precision, Version, build_engine, refusal};

/// Cases that share an engine.
const PACK: usize = 130;

/// The library that an environment variable names; says so where it names none.
fn library(flavor: Flavor, variable: &str) -> Option<Library> {
    let Some(path) = std::env::var_os(variable) else {
        eprintln!("skipped: {variable} names no {flavor} library");
        return None;
    };
    Some(Library::load(flavor, Some(Path::new(&path)), &[]).unwrap())
}

/// All sizes are symbols, but channels that weights fix, and the length of index tuples.
fn symbolic(case: &Case) -> Dims {
    match case.layer {
        Layer::Convolution { .. } | Layer::Deconvolution { .. } | Layer::Scale { .. } => {
            Dims::Symbolic(Some(1))
        }
        Layer::Gather {
            mode: GatherMode::Nd,
        } => Dims::Symbolic(Some(case.inputs[1].1.shape.len() - 1)),
        // How many boxes there are is known.
        Layer::Nms { .. } => Dims::Fixed,
        // Which axes are resized is known.
        Layer::ResizeTo { .. } => Dims::Symbolic(Some(0)),
        _ => Dims::Symbolic(None),
    }
}

/// Why the version has no layer for the case.
fn reason(version: Version, case: &Case) -> Option<String> {
    let spec = case::spec(case, Dims::Fixed);
    let mut layers = spec.layers.iter();
    layers.find_map(|layer| refusal(version, &spec, layer))
}

/// The cases that the library's version has layers for.
fn supported(library: &Library) -> Vec<Case> {
    let mut cases = cases();
    cases.retain(|case| reason(library.version(), case).is_none());
    cases
}

/// Builds each pack, and where one fails its halves, down to the case. What fails, by case.
fn in_packs<R>(
    cases: &[Case],
    dims: impl Fn(&Case) -> Dims,
    mut work: impl FnMut(&Pack) -> Result<R, String>,
) -> (Vec<(Pack, R)>, Vec<String>) {
    let mut done = Vec::new();
    let mut failures = Vec::new();
    let mut open: Vec<&[Case]> = cases.chunks(PACK).collect();
    while let Some(cases) = open.pop() {
        let pack = Pack::new(cases, &dims);
        match work(&pack) {
            Ok(result) => done.push((pack, result)),
            Err(error) if cases.len() == 1 => {
                eprintln!("{}: {error}", cases[0].name);
                failures.push(format!("{}: {error}", cases[0].name));
            }
            Err(_) => {
                let (first, second) = cases.split_at(cases.len() / 2);
                open.extend([first, second]);
            }
        }
    }
    (done, failures)
}

#[test]
fn what_a_version_refuses_is_known() {
    let versions = [
        (Flavor::TensorRt, 8, 2),
        (Flavor::TensorRt, 8, 5),
        (Flavor::TensorRt, 8, 6),
        (Flavor::TensorRt, 10, 0),
        (Flavor::TensorRt, 10, 16),
        (Flavor::TensorRtRtx, 1, 7),
    ];
    let mut surprises = Vec::new();
    for (flavor, major, minor) in versions {
        let version = Version {
            flavor,
            major,
            minor,
            patch: 0,
        };
        for case in cases() {
            let reason = reason(version, &case);
            if reason.is_some() != refused::is_expected(version, &case) {
                surprises.push(format!("{version}: {}: {reason:?}", case.name));
            }
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[test]
fn tensorrt_rtx_builds_every_layer_without_a_gpu() {
    let Some(library) = library(Flavor::TensorRtRtx, "TFJET_TENSORRT_RTX") else {
        return;
    };
    let count = cases().len();
    let cases = supported(&library);
    let mut failures = Vec::new();
    for precision in [Precision::Fp32, Precision::Fp16] {
        for symbols in [false, true] {
            let start = Instant::now();
            let dims = |case: &Case| if symbols { symbolic(case) } else { Dims::Fixed };
            let (built, failed) = in_packs(&cases, dims, |pack| {
                let options = BuildOptions {
                    precision,
                    profiles: pack.profiles(),
                    ..BuildOptions::default()
                };
                let built = build_engine(&library, &pack.spec, pack, &options, None, &mut |_| ());
                built
                    .map(|built| built.engine.len())
                    .map_err(|error| error.to_string())
            });
            let kind = if symbols { "symbols" } else { "fixed sizes" };
            let engines = built.len();
            let bytes: usize = built.iter().map(|(_, bytes)| bytes).sum();
            eprintln!(
                "{}, {precision}, {kind}: {} of {count} cases in {engines} engines of {bytes} bytes, \
                 {} failed, {:.1?}",
                library.version(),
                cases.len(),
                failed.len(),
                start.elapsed()
            );
            failures.extend(failed.iter().map(|f| format!("{precision}, {kind}: {f}")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn tensorrt_computes_what_every_layers_definition_says() {
    let Some(library) = library(Flavor::TensorRt, "TFJET_TENSORRT") else {
        return;
    };
    device::check(&library, &supported(&library));
}
