//! Sessions on a GPU with TensorRT, against the same schedule on the host. Without a GPU, its
//! driver or TensorRT's library every test here says so and does nothing.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

mod built;
#[path = "../common/mod.rs"]
mod common;
mod control;
mod profiles;
mod suppression;

use std::sync::{Mutex, MutexGuard, PoisonError};

use built::{Built, WIDTH};
use common::f32s;
use tfjet_core::{AttrValue, Attrs, DType, ElementWiseOperation, Tensor};
use tfjet_runtime::{
    EngineError, EngineSource, Gpu, GpuOptions, Placement, PlainReason, Session, SessionError,
    SessionOptions,
};
use tfjet_tensorrt::{EntryPoints, Flavor};

/// Tests that measure memory or fill it must not meet others.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn open(options: &GpuOptions) -> Option<(Gpu, MutexGuard<'static, ()>)> {
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    match Gpu::open(options) {
        Ok(gpu) => Some((gpu, alone)),
        Err(error) => {
            assert!(error.is_missing(), "{error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// A GPU whose residual ops stay on the host.
fn engines_only(placement: Option<Placement>) -> GpuOptions {
    GpuOptions {
        kernels: false,
        placement,
        ..GpuOptions::default()
    }
}

/// `-(x * 3) + 0.5`: a segment, an op, another segment; the op's result is an output too where
/// `shows` says so.
fn engine_op_engine(rows: &str, shows: bool) -> Built {
    let mut built = Built::default();
    let x = built.model.input(DType::F32, &format!("{rows},{WIDTH}"));
    let y = built.segment((x, DType::F32), rows, ElementWiseOperation::Prod, 3.0);
    let negated = built.model.computed(DType::F32, &format!("{rows},{WIDTH}"));
    built.model.op("Neg", Attrs::default(), &[y], &[negated]);
    let z = built.segment((negated, DType::F32), rows, ElementWiseOperation::Sum, 0.5);
    built.model.output(z);
    if shows {
        built.model.output(negated);
    }
    built
}

fn ramp(rows: usize, seed: usize) -> Tensor {
    let values: Vec<f32> = (0..rows * WIDTH)
        .map(|i| (i * 7 + seed * 13) as f32 / 3.0 - 40.0)
        .collect();
    f32s(&[rows, WIDTH], &values)
}

fn outputs(session: &mut Session, input: &Tensor) -> Vec<Tensor> {
    let outputs = session.run(&[input.view()]).unwrap();
    outputs.iter().map(|(_, view)| view.to_tensor()).collect()
}

/// Runs both several times, with inputs that differ.
fn assert_equal(gpu: &mut Session, host: &mut Session, rows: &[usize]) {
    for (seed, &rows) in rows.iter().enumerate() {
        let input = ramp(rows, seed);
        assert_eq!(
            outputs(gpu, &input),
            outputs(host, &input),
            "run {seed}, {rows} rows"
        );
    }
}

const PLACEMENTS: [Placement; 3] = [
    Placement::Discrete,
    Placement::Mapped,
    Placement::MappedInputs,
];

#[test]
fn a_residual_op_on_the_host_between_two_engines() {
    for placement in PLACEMENTS {
        let Some((gpu, _alone)) = open(&engines_only(Some(placement))) else {
            return;
        };
        let built = engine_op_engine("4", true);
        let (mut session, mut host) = (
            built.on_gpu(&gpu, &SessionOptions::default()),
            built.on_host(),
        );
        assert_eq!(session.gpu_blocks(), 2);
        assert_equal(&mut session, &mut host, &[4; 5]);
        let stats = *session.gpu_stats().unwrap();
        let bytes = 4 * WIDTH * 4;
        assert_eq!(stats.blocks, 2);
        assert_eq!(
            (stats.graphs, stats.plain, stats.failed_captures),
            (2, None, 0)
        );
        // The caller's input is ordinary memory.
        let expected = match placement {
            Placement::Discrete | Placement::MappedInputs => (2, 2, 0),
            Placement::Mapped => (1, 0, 3),
        };
        let found = (stats.uploads, stats.downloads, stats.in_place);
        assert_eq!(found, expected, "{placement}");
        assert_eq!(stats.upload_bytes, stats.uploads * bytes);
        assert_eq!(stats.download_bytes, stats.downloads * bytes);
        let timings: Vec<_> = session.step_timings().collect();
        let blocks: Vec<_> = timings.iter().map(|timing| timing.block).collect();
        assert_eq!(blocks, [Some(0), None, Some(1)]);
        assert!(timings.iter().all(|timing| !timing.duration.is_zero()));
    }
}

#[test]
fn inputs_in_the_sessions_memory_are_used_in_place_where_the_gpu_shares_it() {
    for placement in PLACEMENTS {
        let Some((gpu, _alone)) = open(&engines_only(Some(placement))) else {
            return;
        };
        let built = engine_op_engine("4", false);
        let mut session = built.on_gpu(&gpu, &SessionOptions::default());
        let mut host = built.on_host();
        let mut input = session.input_tensor(0);
        for seed in 0..4 {
            let values = ramp(4, seed);
            input.copy_from(&values.view()).unwrap();
            assert_eq!(outputs(&mut session, &input), outputs(&mut host, &values));
        }
        let stats = session.gpu_stats().unwrap();
        let expected = match placement {
            Placement::Discrete => (2, 2, 0),
            Placement::Mapped => (0, 0, 4),
            Placement::MappedInputs => (1, 2, 1),
        };
        let found = (stats.uploads, stats.downloads, stats.in_place);
        assert_eq!(found, expected, "{placement}");
        assert_eq!(stats.graphs, 2);

        // A graph holds the addresses that it was recorded with: other memory has others.
        let mut second = session.input_tensor(0);
        let mut graphs = Vec::new();
        for seed in 0..4 {
            let values = ramp(4, 10 + seed);
            second.copy_from(&values.view()).unwrap();
            for input in [&second, &values] {
                assert_eq!(outputs(&mut session, input), outputs(&mut host, &values));
                graphs.push(session.gpu_stats().unwrap().graphs);
            }
        }
        // A block keeps one graph, so where addresses take turns the first block has none.
        let expected = match placement {
            Placement::Discrete => [2; 8],
            Placement::Mapped | Placement::MappedInputs => [1; 8],
        };
        assert_eq!(graphs, expected, "{placement}");
        input.copy_from(&ramp(4, 3).view()).unwrap();
        assert_eq!(
            outputs(&mut session, &input),
            outputs(&mut host, &ramp(4, 3))
        );
    }
}

#[test]
fn a_residual_op_with_a_kernel_stays_on_the_device() {
    let Some((gpu, _alone)) = open(&GpuOptions::default()) else {
        return;
    };
    if let Err(reason) = gpu.kernels() {
        eprintln!("skipped: {reason}");
        return;
    }
    let built = engine_op_engine("4", false);
    let (mut session, mut host) = (
        built.on_gpu(&gpu, &SessionOptions::default()),
        built.on_host(),
    );
    assert_eq!(session.gpu_blocks(), 1);
    assert_equal(&mut session, &mut host, &[4; 5]);
    let stats = *session.gpu_stats().unwrap();
    assert_eq!((stats.uploads, stats.downloads, stats.blocks), (1, 1, 1));
    assert_eq!((stats.graphs, stats.failed_captures), (1, 0));
}

#[test]
fn views_constants_and_values_of_the_host_meet_on_the_device() {
    let Some((gpu, _alone)) = open(&GpuOptions::default()) else {
        return;
    };
    if let Err(reason) = gpu.kernels() {
        eprintln!("skipped: {reason}");
        return;
    }
    let mut built = Built::default();
    let x = built.model.input(DType::F32, &format!("n,{WIDTH}"));
    let dims = format!("n,{WIDTH}");
    let y = built.segment((x, DType::F32), "n", ElementWiseOperation::Prod, 3.0);
    let halved = i32::try_from(WIDTH / 2).unwrap();
    let target = Tensor::from_slice(&[2], &[-1, halved]).unwrap();
    let back = Tensor::from_slice(&[2], &[-1, 2 * halved]).unwrap();
    let (target, back) = (built.model.constant(&target), built.model.constant(&back));
    built.weights.extend([Tensor::default(), Tensor::default()]);
    let c = built.model.constant(&f32s(&[], &[7.0]));
    built.weights.push(Tensor::default());
    let flat = built
        .model
        .computed(DType::F32, &format!("m,{}", WIDTH / 2));
    let moved = built
        .model
        .computed(DType::F32, &format!("m,{}", WIDTH / 2));
    let restored = built.model.computed(DType::F32, &dims);
    let mixed = built.model.computed(DType::F32, &dims);
    let types = |shape| {
        let attrs = Attrs::default().with("T", AttrValue::Type(Some(DType::F32)));
        attrs.with("Tshape", AttrValue::Type(Some(shape)))
    };
    built
        .model
        .op("Reshape", types(DType::I32), &[y, target], &[flat]);
    built
        .model
        .op("AddV2", Attrs::default(), &[flat, c], &[moved]);
    built
        .model
        .op("Reshape", types(DType::I32), &[moved, back], &[restored]);
    built
        .model
        .op("Mul", Attrs::default(), &[restored, x], &[mixed]);
    let z = built.segment((mixed, DType::F32), "n", ElementWiseOperation::Sum, 0.5);
    built.model.output(z);
    let (mut session, mut host) = (
        built.on_gpu(&gpu, &SessionOptions::default()),
        built.on_host(),
    );
    assert_eq!(session.gpu_blocks(), 1);
    assert_equal(&mut session, &mut host, &[4, 4, 4, 2, 2, 64, 2, 4]);
}

#[test]
fn batches_of_any_size_in_the_profile_run_and_others_are_refused() {
    for placement in PLACEMENTS {
        let Some((gpu, _alone)) = open(&engines_only(Some(placement))) else {
            return;
        };
        let built = engine_op_engine("n", true);
        let options = SessionOptions {
            max_shapes: 2,
            ..SessionOptions::default()
        };
        let (mut session, mut host) = (built.on_gpu(&gpu, &options), built.on_host());
        let rows = [1, 1, 1, 8, 8, 8, 1, 64, 3, 3, 3, 8, 1, 64, 64, 64];
        assert_equal(&mut session, &mut host, &rows);
        let held = session.device_bytes();
        assert_equal(&mut session, &mut host, &[64, 63, 64, 63, 64, 63]);
        assert!(session.device_bytes() <= 4 * held.max(1 << 20));
        let error = session.run(&[ramp(65, 0).view()]).unwrap_err();
        let is_engine = matches!(
            error,
            SessionError::Engine {
                step: 0,
                segment: 0,
                ..
            }
        );
        assert!(is_engine, "{error}");
        assert_equal(&mut session, &mut host, &[64, 2]);
    }
}

#[test]
fn graphs_give_what_plain_runs_give() {
    let Some((gpu, _alone)) = open(&engines_only(Some(Placement::Discrete))) else {
        return;
    };
    let built = engine_op_engine("n", true);
    let session = |cuda_graphs| {
        let options = SessionOptions {
            cuda_graphs,
            device_times: true,
            ..SessionOptions::default()
        };
        built.on_gpu(&gpu, &options)
    };
    let (mut graphs, mut plain) = (session(true), session(false));
    let version = gpu.library().version();
    // Before TensorRT 10 all shapes of an engine share a context, so a graph goes with its shapes.
    let expected = match version.flavor == Flavor::TensorRt && version.major < 10 {
        true => [0, 2, 2, 0, 0, 0, 2],
        false => [0, 2, 2, 0, 2, 2, 2],
    };
    let rows = [4, 4, 4, 5, 4, 5, 5];
    for (seed, (rows, expected)) in rows.into_iter().zip(expected).enumerate() {
        let input = ramp(rows, seed);
        assert_eq!(outputs(&mut graphs, &input), outputs(&mut plain, &input));
        let stats = graphs.gpu_stats().unwrap();
        assert_eq!(
            (stats.graphs, stats.failed_captures),
            (expected, 0),
            "run {seed}"
        );
        assert!(stats.times.is_some());
        let stats = plain.gpu_stats().unwrap();
        assert_eq!(stats.plain, Some(PlainReason::SwitchedOff));
    }
}

#[test]
fn the_older_entry_points_give_the_same() {
    let options = GpuOptions {
        entry_points: EntryPoints::Bindings,
        ..engines_only(Some(Placement::Discrete))
    };
    let Some((gpu, _alone)) = open(&options) else {
        return;
    };
    let version = gpu.library().version();
    if version.flavor != Flavor::TensorRt || version.major > 8 {
        eprintln!("skipped: {version} has no bindings");
        return;
    }
    let built = engine_op_engine("n", true);
    let (mut session, mut host) = (
        built.on_gpu(&gpu, &SessionOptions::default()),
        built.on_host(),
    );
    assert_equal(&mut session, &mut host, &[4, 4, 4, 9, 9, 9, 4]);
}

#[test]
fn whole_numbers_and_bytes_keep_their_values_in_the_engines_types() {
    for placement in PLACEMENTS {
        let Some((gpu, _alone)) = open(&engines_only(Some(placement))) else {
            return;
        };
        let mut built = Built::default();
        let x = built.model.input(DType::I64, &format!("2,{WIDTH}"));
        let y = built.segment((x, DType::I64), "2", ElementWiseOperation::Prod, 3.0);
        let z = built.segment((y, DType::I64), "2", ElementWiseOperation::Sum, 5.0);
        built.model.output(z);
        let (mut session, mut host) = (
            built.on_gpu(&gpu, &SessionOptions::default()),
            built.on_host(),
        );
        assert_eq!(session.gpu_blocks(), 1);
        let values: Vec<i64> = (0..2 * WIDTH as i64).map(|i| i * 1001 - 7).collect();
        let input = Tensor::from_slice(&[2, WIDTH], &values).unwrap();
        for _ in 0..3 {
            assert_eq!(outputs(&mut session, &input), outputs(&mut host, &input));
        }
        let version = gpu.library().version();
        if version.flavor == Flavor::TensorRt && version.major < 10 {
            let mut values = values;
            values[3] = 1 << 40;
            let input = Tensor::from_slice(&[2, WIDTH], &values).unwrap();
            let error = session.run(&[input.view()]).unwrap_err().to_string();
            let expected = "`v0`: its element 3 is 1099511627776, which does not fit int32, the \
                            engine's type";
            assert_eq!(error, expected);
        }

        let mut built = Built::default();
        let x = built.model.input(DType::U8, &format!("2,{WIDTH}"));
        let y = built.segment((x, DType::U8), "2", ElementWiseOperation::Prod, 0.5);
        built.model.output(y);
        let (mut session, mut host) = (
            built.on_gpu(&gpu, &SessionOptions::default()),
            built.on_host(),
        );
        let bytes: Vec<u8> = (0..2 * WIDTH).map(|i| (i * 3) as u8).collect();
        let input = Tensor::from_slice(&[2, WIDTH], &bytes).unwrap();
        for _ in 0..3 {
            assert_eq!(outputs(&mut session, &input), outputs(&mut host, &input));
        }
    }
}

#[test]
fn the_work_of_the_device_can_be_repeated_without_copies() {
    for placement in PLACEMENTS {
        let Some((gpu, _alone)) = open(&engines_only(Some(placement))) else {
            return;
        };
        let mut built = Built::default();
        let x = built.model.input(DType::F32, &format!("n,{WIDTH}"));
        let y = built.segment((x, DType::F32), "n", ElementWiseOperation::Prod, 3.0);
        built.model.output(y);
        let options = SessionOptions {
            device_times: true,
            ..SessionOptions::default()
        };
        let mut session = built.on_gpu(&gpu, &options);
        let error = session.replay(3).unwrap_err().to_string();
        assert_eq!(
            error,
            "the work of the device cannot be repeated: the session has not run yet"
        );
        let before = outputs(&mut session, &ramp(8, 1));
        session.replay(50).unwrap();
        let stats = *session.gpu_stats().unwrap();
        assert_eq!((stats.blocks, stats.graphs), (50, 50));
        assert_eq!((stats.uploads, stats.downloads, stats.in_place), (0, 0, 0));
        assert!(!stats.times.unwrap().compute.is_zero());
        assert_eq!(outputs(&mut session, &ramp(8, 1)), before);

        let times = session.layer_times(&[ramp(8, 1).view()], 3).unwrap();
        assert!(!times.is_empty());
        assert!(times.iter().all(|time| time.segment == 0));
        assert!(session.inspect(0).unwrap().unwrap().contains("Layers"));
        assert!(session.inspect(1).is_none());
        assert_eq!(outputs(&mut session, &ramp(8, 1)), before);

        let mut session = engine_op_engine("4", false).on_gpu(&gpu, &options);
        outputs(&mut session, &ramp(4, 0));
        assert!(session.replay(1).is_err());
    }
}

struct OneEngine(Vec<u8>);

impl EngineSource for OneEngine {
    fn engine(&self, _: u32) -> Result<std::borrow::Cow<'_, [u8]>, EngineError> {
        Ok(self.0.as_slice().into())
    }
}

#[test]
fn engines_that_do_not_fit_are_refused_by_name() {
    let Some((gpu, _alone)) = open(&engines_only(None)) else {
        return;
    };
    let load = |built: &Built, engine: Vec<u8>| {
        let options = SessionOptions::default();
        let loaded = Session::load_gpu(built.model.bundle(), &gpu, &OneEngine(engine), &options);
        loaded.map(drop).map_err(|error| error.to_string())
    };
    let mut narrow = Built::default();
    let x = narrow.model.input(DType::F32, &format!("2,{WIDTH}"));
    let y = narrow.segment((x, DType::F32), "2", ElementWiseOperation::Prod, 3.0);
    narrow.model.output(y);
    let mut wide = Built::default();
    let x = wide.model.input(DType::F32, &format!("3,{WIDTH}"));
    let y = wide.segment((x, DType::F32), "3", ElementWiseOperation::Prod, 3.0);
    wide.model.output(y);
    let engine = narrow.engines(&gpu).remove(0);
    assert_eq!(load(&narrow, engine.clone()), Ok(()));
    assert_eq!(
        load(&wide, engine.clone()),
        Err(format!(
            "step 0, segment 0 on TensorRT: the engine does not fit the bundle: expected \
             `input:0` as [3,{WIDTH}], found [2, {WIDTH}]"
        ))
    );
    let error = load(&narrow, engine[..engine.len() / 2].to_vec()).unwrap_err();
    assert!(
        error.starts_with("step 0, segment 0 on TensorRT: "),
        "{error}"
    );
}

#[test]
fn a_gpu_without_room_is_an_error_and_the_session_goes_on() {
    let Some((gpu, _alone)) = open(&engines_only(Some(Placement::Discrete))) else {
        return;
    };
    let built = engine_op_engine("n", false);
    let mut session = built.on_gpu(&gpu, &SessionOptions::default());
    let mut host = built.on_host();
    let mut hoard = Vec::new();
    let mut len = 1usize << 36;
    while len >= 256 {
        match tfjet_cuda::DeviceBuffer::new(gpu.context(), len) {
            Ok(buffer) => hoard.push(buffer),
            Err(_) => len /= 2,
        }
    }
    let refused = session.run(&[ramp(3, 0).view()]).map(drop);
    drop(hoard);
    let error = refused.unwrap_err();
    assert!(error.to_string().contains("GPU memory"), "{error}");
    assert!(!error.is_missing());
    assert_equal(&mut session, &mut host, &[3, 2, 2]);
}
