//! The library itself, where `TFJET_TENSORRT_RTX` names TensorRT-RTX's: a network through raw slots.

use std::sync::Mutex;

use crate::network::Network;
use crate::sys::{Dims, Handle};
use crate::{
    Builder, DataType, Flavor, HostMemory, Library, ProgressEvent, ProgressReport, TensorRtError,
};

/// TensorRT-RTX, which needs no GPU to build; nothing, said loudly, where it is not named.
fn library() -> Option<Library> {
    let Some(path) = std::env::var_os("TFJET_TENSORRT_RTX") else {
        eprintln!("SKIPPED: TFJET_TENSORRT_RTX does not name libtensorrt_rtx.so.1");
        return None;
    };
    Some(Library::load(Flavor::TensorRtRtx, Some(path.as_ref()), &[]).unwrap())
}

/// x -> relu(x), with one profile over the batch.
#[allow(clippy::multiple_unsafe_ops_per_block, reason = "one reason for all")]
fn relu_engine(
    library: &Library,
    report: Option<ProgressReport<'_>>,
) -> Result<HostMemory, TensorRtError> {
    let builder = Builder::new(library)?;
    let (network, _) = builder.network_definition()?;
    // SAFETY: objects of a network that is alive, on this thread.
    unsafe {
        let dims = Dims::new(&[-1, 3, 8, 8])?;
        let dtype = DataType::Float.code();
        let x: Handle =
            network.create(|s| &s.network_definition.add_input, (c"x", dtype, &dims))?;
        let shape: Option<Vec<i64>> = x.call(|s| &s.tensor.get_dimensions, ())?;
        assert_eq!(shape.as_deref(), Some([-1, 3, 8, 8].as_slice()));
        let relu = network.create(|s| &s.network_definition.add_activation, (x, 0i32))?;
        let kind: i32 = relu.call(|s| &s.activation_layer.get_activation_type, ())?;
        assert_eq!(kind, 0);
        let y = relu.create(|s| &s.layer.get_output, (0i32,))?;
        y.call::<()>(|s| &s.tensor.set_name, (c"y",))?;
        network.call::<()>(|s| &s.network_definition.mark_output, (y,))?;
    }
    let mut config = builder.config()?;
    let mut profile = builder.profile()?;
    profile.set_dimensions("x", &[1, 3, 8, 8], &[4, 3, 8, 8], &[8, 3, 8, 8])?;
    assert!(profile.is_valid()?);
    assert_eq!(config.add_profile(&profile)?, 0);
    config.set_workspace_bytes(64 << 20)?;
    assert_eq!(config.workspace_bytes()?, 64 << 20);
    config.set_tf32(false)?;
    config.set_detailed_profiling()?;
    if let Some(report) = report {
        config.set_progress(report)?;
    }
    // SAFETY: the network is alive and has no weights.
    unsafe { builder.build_serialized(*network, &config) }
}

#[test]
fn nms_gives_rows_of_three_and_their_number() {
    let Some(library) = library() else { return };
    let builder = Builder::new(&library).unwrap();
    let network = Network::new(&builder).unwrap();
    let input = |name, dtype, dims: &[i64]| network.add_input(name, dtype, dims).unwrap();
    let layer = network
        .add_nms(
            input("boxes", DataType::Float, &[3, 9, 4]),
            input("scores", DataType::Float, &[3, 9, 1]),
            input("limit", DataType::Int32, &[]),
            input("iou", DataType::Float, &[]),
            input("score", DataType::Float, &[]),
        )
        .unwrap();
    for (index, dims) in [(0, vec![-1, 3]), (1, vec![])] {
        let output = layer.output(index).unwrap();
        assert_eq!(output.dims().unwrap(), Some(dims), "output {index}");
    }
}

#[test]
fn a_network_made_through_slots_becomes_an_engine() {
    let Some(library) = library() else { return };
    let engine = relu_engine(&library, None).unwrap();
    assert!(engine.len() > 1000, "{} bytes", engine.len());
    let moved = std::thread::spawn(move || engine.len());
    assert!(moved.join().unwrap() > 1000);
}

#[test]
fn a_build_reports_its_phases_and_stops_when_told() {
    let Some(library) = library() else { return };
    let events = Mutex::new((0, 0, 0));
    let report = Box::new(|event: ProgressEvent<'_>| {
        let mut events = events.lock().unwrap();
        match event {
            ProgressEvent::Start { phase, .. } => {
                assert!(!phase.is_empty());
                events.0 += 1;
            }
            ProgressEvent::Step { .. } => events.1 += 1,
            ProgressEvent::Finish { .. } => events.2 += 1,
        }
        true
    });
    relu_engine(&library, Some(report)).unwrap();
    let (starts, steps, finishes) = events.into_inner().unwrap();
    assert!(starts > 0 && steps > 0, "{starts} starts, {steps} steps");
    assert_eq!(starts, finishes);
    let stopped = relu_engine(&library, Some(Box::new(|_| false)));
    let error = stopped.unwrap_err().to_string();
    assert!(error.contains("buildSerializedNetwork failed"), "{error}");
    let panicked = relu_engine(
        &library,
        Some(Box::new(|_| panic!("a monitor that panics"))),
    );
    assert!(matches!(panicked, Err(TensorRtError::CallFailed { .. })));
}

#[test]
fn a_null_object_becomes_an_error_with_the_librarys_words() {
    let Some(library) = library() else { return };
    let builder = Builder::new(&library).unwrap();
    let (network, _) = builder.network_definition().unwrap();
    let config = builder.config().unwrap();
    // SAFETY: an empty network, alive.
    let built = unsafe { builder.build_serialized(*network, &config) };
    let error = built.unwrap_err();
    let TensorRtError::CallFailed { call, log, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*call, "VBuilder::buildSerializedNetwork");
    assert!(log.contains("utput"), "{log}");
}

#[test]
fn arguments_that_are_not_the_methods_are_refused() {
    let Some(library) = library() else { return };
    let builder = Builder::new(&library).unwrap();
    let (network, _) = builder.network_definition().unwrap();
    // SAFETY: the call is refused before it is made.
    let made = unsafe { network.call::<i32>(|s| &s.network_definition.set_name, (1i32,)) };
    assert!(
        matches!(made, Err(TensorRtError::Signature { .. })),
        "{made:?}"
    );
    // SAFETY: as above.
    let made =
        unsafe { network.call::<bool>(|s| &s.network_definition.has_explicit_precision, ()) };
    assert!(
        matches!(made, Err(TensorRtError::MissingMethod { .. })),
        "{made:?}"
    );
}
