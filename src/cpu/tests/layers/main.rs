//! Every layer through ONNX and the engine, against plain loops.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test is its own documentation, and panics"
)]

mod arithmetic;
mod case;
mod channels;
mod dynamic;
mod harness;
mod images;
mod indexed;
mod matrices;
mod moving;
mod planes;
mod reference;

use case::{Dims, cases};

#[test]
fn every_layer_computes_what_its_definition_says() {
    let Some(library) = harness::library() else {
        return;
    };
    let cases = cases();
    let mut failures = Vec::new();
    let mut symbolic = 0;
    for case in &cases {
        if let Err(error) = harness::run(&library, case, Dims::Fixed) {
            failures.push(format!("{}: {error}", case.name));
        }
        match harness::run(&library, case, Dims::Symbolic(None)) {
            Ok(ran) => symbolic += usize::from(ran),
            Err(error) => failures.push(format!("{} (symbolic): {error}", case.name)),
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
    assert!(
        symbolic * 10 > cases.len() * 8,
        "only {symbolic} of {} ran with symbols",
        cases.len()
    );
}

#[test]
fn every_kind_of_layer_has_a_case() {
    let kinds = [
        "Constant",
        "Convolution",
        "Deconvolution",
        "Activation",
        "Scale",
        "ElementWise",
        "Unary",
        "Pooling",
        "MatrixMultiply",
        "Softmax",
        "Reduce",
        "Shuffle",
        "Slice",
        "Concatenation",
        "Gather",
        "TopK",
        "Resize",
        "Select",
        "Cast",
        "ParametricRelu",
        "Lrn",
        "Nms",
        "Shape",
        "Reshape",
        "SliceTo",
        "Pad",
        "ResizeTo",
        "ResizeBy",
        "Expand",
        "Tile",
        "LinSpace",
        "Numbers",
    ];
    let cases = cases();
    for kind in kinds {
        assert!(cases.iter().any(|case| case.layer.kind() == kind), "{kind}");
    }
}
