//! Complex numbers stay outside segments, by name, and what reads them as real numbers does not.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod control;
#[allow(dead_code, reason = "not all of it is used here")]
mod source;

use std::collections::BTreeMap;

use tfjet_convert::graph::WireId;
use tfjet_convert::tensorflow::SourceNode;
use tfjet_core::{AttrValue, DType, Tensor};

use control::{lowered, options, run, session};
use source::{constant, node, placeholder};

const COMPLEX: AttrValue = AttrValue::Type(Some(DType::C64));

fn complex(name: &str, op: &str, inputs: &[&str]) -> SourceNode {
    let mut node = node(name, op, inputs);
    node.attrs.insert("T", COMPLEX);
    node
}

fn real_transform(name: &str, inputs: &[&str]) -> SourceNode {
    let mut node = node(name, "RFFT", inputs);
    node.attrs = [
        ("Treal", AttrValue::Type(Some(DType::F32))),
        ("Tcomplex", COMPLEX),
    ]
    .into_iter()
    .fold(
        Default::default(),
        |attrs: tfjet_core::Attrs, (name, value)| attrs.with(name, value),
    );
    node
}

/// The magnitudes of a turned spectrum, through layers before and after. The points of the
/// transform are an input.
fn spectrum() -> Vec<SourceNode> {
    let mut points = placeholder("points", &[Some(1)]);
    points
        .attrs
        .insert("dtype", AttrValue::Type(Some(DType::I32)));
    let magnitude = complex("magnitude", "ComplexAbs", &["moved"]);
    vec![
        placeholder("x", &[None, Some(4)]),
        points,
        node("before", "Relu", &["x"]),
        real_transform("transform", &["before", "points"]),
        constant("turn", &[1], &[[0.0f32, 2.0]]),
        complex("turned", "Mul", &["transform", "turn"]),
        constant("order", &[2], &[1i32, 0]),
        complex("moved", "Transpose", &["turned", "order"]),
        magnitude,
        complex("shape", "Shape", &["moved"]),
        node("after", "Sqrt", &["magnitude"]),
        node("result", "Reshape", &["after", "shape"]),
    ]
}

#[test]
fn complex_numbers_stay_outside_by_name() {
    let lowered = lowered(source::graph(spectrum()), &options(true, &["result"])).unwrap();
    let typed = &lowered.typed;
    let reasons: BTreeMap<&str, &str> = lowered
        .partition
        .residual
        .iter()
        .map(|it| {
            (
                typed.graph.node(it.node).name.as_str(),
                it.reason.0.as_str(),
            )
        })
        .collect();
    assert_eq!(reasons["transform"], "op type RFFT has no layer");
    for (name, wire) in [("turned", "transform"), ("moved", "turned")] {
        let expected = format!("`{wire}` is complex64, which no layer takes");
        assert_eq!(reasons[name], expected, "{name}");
    }
    let inside = lowered.partition.segments.iter().flat_map(|it| &it.nodes);
    let inside: Vec<_> = inside
        .map(|id| typed.graph.node(*id).name.as_str())
        .collect();
    assert!(
        inside.contains(&"before") && inside.contains(&"after"),
        "{inside:?}"
    );
    for id in lowered.partition.segments.iter().flat_map(|it| &it.nodes) {
        assert_ne!(typed.fact(WireId::new(*id, 0)).dtype, Some(DType::C64));
    }
    for network in &lowered.networks {
        assert!(network.tensors.iter().all(|it| it.dtype != DType::C64));
    }
}

#[test]
fn segments_and_complex_numbers_run_together() {
    let library = control::library();
    for inside in [false, true] {
        if inside && library.is_none() {
            continue;
        }
        let options = options(inside, &["result"]);
        let mut session = session(source::graph(spectrum()), &options, library.as_ref()).unwrap();
        let x = Tensor::from_slice(&[2, 4], &[1.0f32, -1.0, 3.0, 4.0, 0.0, 0.0, 2.0, 0.0]).unwrap();
        for (points, expected) in [
            // The spectra of 1, 0, 3, 4 and of 0, 0, 2, 0.
            (4, vec![16.0f32, 4.0, 2.0 * 20f32.sqrt(), 4.0, 0.0, 4.0]),
            // Those of 1 and of 0.
            (1, vec![2.0, 0.0]),
        ] {
            let points = Tensor::from_slice(&[1], &[points]).unwrap();
            let given = run(&mut session, &[("x", &x), ("points", &points)]).unwrap();
            assert_eq!(given[0].shape(), [expected.len() / 2, 2]);
            for (given, expected) in given[0].as_slice::<f32>().unwrap().iter().zip(expected) {
                assert!((given - expected.sqrt()).abs() < 1e-5, "{given} {expected}");
            }
        }
    }
}
