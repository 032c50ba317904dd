//! Bundles that no session can be made of.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;

use common::{FakeBackend, Model, f32s};
use tfjet_bundle::Bundle;
use tfjet_core::{Attrs, DType, ValueId};
use tfjet_runtime::{EngineError, Session, SessionError, SessionOptions};

#[test]
fn loading_names_what_cannot_run() {
    type Build = fn(&mut Model);
    let cases: [(Build, &str); 7] = [
        (
            |model| {
                let x = model.input(DType::F32, "1");
                let y = model.computed(DType::F32, "1");
                model.op("Neg", Attrs::default(), &[x], &[y]);
                let z = model.computed(DType::F32, "1");
                model.op("While", Attrs::default(), &[y], &[z]);
            },
            "step 1, node `node1` (While): op `While` has no kernel",
        ),
        (
            |model| {
                let x = model.input(DType::F32, "1");
                let outputs = [(); 2].map(|()| model.computed(DType::F32, "1"));
                model.op("Neg", Attrs::default(), &[x], &outputs);
            },
            "step 0, node `node0` (Neg): expected 1 outputs, got 2",
        ),
        (
            |model| {
                let x = model.input(DType::F32, "1");
                let y = model.computed(DType::F32, "1");
                model.engine(0, &[x], &[y]);
            },
            "step 0, segment 0 on a fake: no engines",
        ),
        (
            |model| {
                model.input(DType::F32, "1");
                model.schedule.inputs.clear();
            },
            "input `v0`: it is not among the schedule's inputs",
        ),
        (
            |model| {
                let x = model.input(DType::F32, "1");
                model.schedule.inputs.push(ValueId(x));
            },
            "input `v0`: the schedule takes it twice",
        ),
        (
            |model| {
                let c = model.constant(&f32s(&[1], &[1.0]));
                model.schedule.inputs.push(ValueId(c));
            },
            "input `v0`: the caller is not to give it",
        ),
        (
            |model| {
                model.constant(&f32s(&[1], &[1.0]));
                model.table.entries.clear();
            },
            "the bundle in memory: Schedule section at offset",
        ),
    ];
    for (build, message) in cases {
        let mut model = Model::default();
        build(&mut model);
        let backend = FakeBackend(|_| Err(EngineError::Other("no engines".into())));
        let options = SessionOptions::default();
        let error = Session::load_on(model.bundle(), Some(&backend), &options).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(!error.is_missing());
    }
}

#[test]
fn manifest_and_schedule_agree_on_types() {
    let mut model = Model::default();
    let x = model.input(DType::F32, "1");
    let y = model.computed(DType::F32, "1");
    model.op("Neg", Attrs::default(), &[x], &[y]);
    model.output(y);
    let mut input = model.manifest();
    input.inputs[0].dtype = DType::F64;
    let mut output = model.manifest();
    output.outputs[0].dtype = DType::I32;
    for (manifest, message) in [
        (
            input,
            "input `v0`: manifest and schedule give it different types",
        ),
        (
            output,
            "output `v1`: manifest and schedule give it different types",
        ),
    ] {
        let bundle = Arc::new(Bundle::from_bytes(model.bytes(&manifest)).unwrap());
        let error = Session::load(bundle, None, &SessionOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn segments_without_a_library_are_something_missing() {
    let mut model = Model::default();
    let x = model.input(DType::F32, "1");
    let y = model.computed(DType::F32, "1");
    model.engine(0, &[x], &[y]);
    model.output(y);
    let error = Session::load(model.bundle(), None, &SessionOptions::default()).unwrap_err();
    assert!(matches!(error, SessionError::NoBackend { segments: 1 }));
    assert!(error.is_missing());
}

#[test]
fn any_flipped_byte_is_found_when_loading() {
    let mut model = Model::default();
    let x = model.input(DType::F32, "4");
    let c = model.constant(&f32s(&[4], &[1.0, 2.0, 3.0, 4.0]));
    let y = model.computed(DType::F32, "4");
    model.op("AddV2", Attrs::default(), &[x, c], &[y]);
    model.output(y);
    let good = model.bytes(&model.manifest());
    let load = |bytes: Vec<u8>| {
        let bundle = Arc::new(Bundle::from_bytes(bytes)?);
        Session::load(bundle, None, &SessionOptions::default())
    };
    load(good.clone()).unwrap();
    for position in 0..good.len() {
        let mut bytes = good.clone();
        bytes[position] ^= 0x10;
        let error = load(bytes).unwrap_err();
        assert!(
            matches!(error, SessionError::Bundle(_)),
            "byte {position}: {error}"
        );
    }
}
