//! Steps, buffers and outputs of sessions on engines of closures.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::{Arc, Mutex};

use common::{FakeBackend, FakeEngine, Model, f32s, map};
use tfjet_core::{Attrs, DType, Step, Tensor, TensorView};
use tfjet_runtime::{Backend, EngineError, Session, SessionError, SessionOptions};

fn load(model: &Model, backend: &dyn Backend) -> Result<Session, SessionError> {
    Session::load_on(model.bundle(), Some(backend), &SessionOptions::default())
}

fn no_engines() -> impl Backend {
    FakeBackend(|_| Err(EngineError::Other("no engines".into())))
}

fn values(view: TensorView<'_>) -> Vec<f32> {
    view.as_slice().unwrap().to_vec()
}

#[test]
fn runs_steps_in_order_and_binds_inputs_by_position() {
    let mut model = Model::default();
    let a = model.input(DType::F32, "2");
    let b = model.input(DType::F32, "2");
    let made: Vec<u32> = (0..4).map(|_| model.computed(DType::F32, "2")).collect();
    model.engine(0, &[a], &[made[0]]);
    model.op("Sub", Attrs::default(), &[made[0], b], &[made[1]]);
    model.engine(1, &[made[1]], &[made[2]]);
    model.op("Sub", Attrs::default(), &[made[0], made[2]], &[made[3]]);
    model.output(made[3]);
    model.output(made[2]);
    let log = Arc::new(Mutex::new(Vec::new()));
    let backend = FakeBackend(|segment| {
        let log = log.clone();
        let function = [|x: f32| x * 2.0, |x: f32| x + 100.0][segment as usize];
        Ok(map(move |x| {
            log.lock().unwrap().push(segment);
            function(x)
        }))
    });
    let mut session = load(&model, &backend).unwrap();
    for scale in [1.0, 3.0] {
        let a = f32s(&[2], &[10.0 * scale, 20.0 * scale]);
        let b = f32s(&[2], &[1.0, 2.0]);
        let outputs = session.run(&[a.view(), b.view()]).unwrap();
        let third = [20.0 * scale + 99.0, 40.0 * scale + 98.0];
        assert_eq!(values(outputs.get(1).unwrap()), third);
        assert_eq!(values(outputs.named("v5").unwrap()), [-99.0, -98.0]);
        assert_eq!((outputs.len(), outputs.get(2)), (2, None));
        let names: Vec<_> = outputs.iter().map(|(spec, _)| &spec.name).collect();
        assert_eq!(names, ["v5", "v4"]);
    }
    assert_eq!(*log.lock().unwrap(), [0, 0, 1, 1, 0, 0, 1, 1]);
    assert_eq!(session.step_timings().len(), 4);
    assert!(matches!(
        session.step_timings().nth(3).unwrap().step,
        Step::Residual { node, .. } if node == "node3"
    ));
    assert!(
        session
            .step_timings()
            .any(|timing| !timing.duration.is_zero())
    );
}

#[test]
fn a_segment_that_runs_twice_has_one_engine() {
    let mut model = Model::default();
    let x = model.input(DType::F32, "1");
    let (y, z) = (model.computed(DType::F32, "1"), model.unknown(DType::F32));
    model.engine(0, &[x], &[y]);
    model.engine(0, &[y], &[z]);
    model.output(z);
    let made = Mutex::new(0);
    let backend = FakeBackend(|_| {
        *made.lock().unwrap() += 1;
        Ok(map(|x| x * 3.0))
    });
    let mut session = load(&model, &backend).unwrap();
    let outputs = session.run(&[f32s(&[1], &[2.0]).view()]).unwrap();
    assert_eq!(values(outputs.get(0).unwrap()), [18.0]);
    assert_eq!(*made.lock().unwrap(), 1);
}

#[test]
fn rejects_inputs_that_do_not_fit() {
    let mut model = Model::default();
    let x = model.input(DType::F32, "n,2");
    let y = model.computed(DType::F32, "n,2");
    model.op("Neg", Attrs::default(), &[x], &[y]);
    model.output(y);
    let mut session = load(&model, &no_engines()).unwrap();
    let good = f32s(&[1, 2], &[1.0, 2.0]);
    let rank = f32s(&[2], &[1.0, 2.0]);
    let dtype = Tensor::zeros(DType::I32, &[1, 2]).unwrap();
    for (inputs, message) in [
        (vec![], "the model takes 1 inputs (`v0`), given 0"),
        (
            vec![good.view(), good.view()],
            "the model takes 1 inputs (`v0`), given 2",
        ),
        (
            vec![rank.view()],
            "input `v0`: expected float32 [n,2], given float32 [2]",
        ),
        (
            vec![dtype.view()],
            "input `v0`: expected float32 [n,2], given int32 [1,2]",
        ),
    ] {
        let error = session.run(&inputs).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(!error.is_missing());
    }
    assert_eq!(session.held_shapes(), 0);
    let outputs = session.run(&[good.view()]).unwrap();
    assert_eq!(values(outputs.get(0).unwrap()), [-1.0, -2.0]);
}

#[test]
fn holds_buffers_of_the_latest_shapes_only() {
    let mut model = Model::default();
    let x = model.input(DType::F32, "n");
    let (y, z) = (
        model.computed(DType::F32, "n"),
        model.computed(DType::F32, "n"),
    );
    model.engine(0, &[x], &[y]);
    model.op("Neg", Attrs::default(), &[y], &[z]);
    model.output(z);
    let backend = FakeBackend(|_| Ok(map(|x| x + 1.0)));
    let options = SessionOptions {
        max_shapes: 2,
        ..SessionOptions::default()
    };
    let mut session = Session::load_on(model.bundle(), Some(&backend), &options).unwrap();
    assert_eq!(session.buffer_bytes(), 0);
    // Rows, then the rows of what is held afterwards.
    for (rows, held) in [
        (4, &[4][..]),
        (2, &[4, 2]),
        (4, &[4, 2]),
        (8, &[4, 8]),
        (0, &[8, 0]),
    ] {
        let input = f32s(&[rows], &vec![3.0; rows]);
        let outputs = session.run(&[input.view()]).unwrap();
        assert_eq!(values(outputs.get(0).unwrap()), vec![-4.0; rows]);
        assert_eq!(session.held_shapes(), held.len());
        let bytes: usize = held.iter().map(|rows| 2 * 4 * rows).sum();
        assert_eq!(session.buffer_bytes(), bytes, "{rows} rows");
    }
}

#[test]
fn a_shape_that_comes_back_finds_its_buffers() {
    let mut model = Model::default();
    let x = model.input(DType::F32, "n");
    let y = model.computed(DType::F32, "n");
    model.op("Neg", Attrs::default(), &[x], &[y]);
    model.output(y);
    let mut session = load(&model, &no_engines()).unwrap();
    let mut address = |rows: usize| {
        let outputs = session.run(&[f32s(&[rows], &vec![0.0; rows]).view()]);
        outputs.unwrap().get(0).unwrap().bytes().as_ptr() as usize
    };
    let (small, large) = (address(3), address(300));
    assert_ne!(small, large);
    assert_eq!((address(3), address(300)), (small, large));
}

#[test]
fn values_share_buffers_once_they_are_dead() {
    let mut model = Model::default();
    let mut value = model.input(DType::F32, "256");
    for _ in 0..9 {
        let next = model.computed(DType::F32, "256");
        model.op("Neg", Attrs::default(), &[value], &[next]);
        value = next;
    }
    model.output(value);
    let mut session = load(&model, &no_engines()).unwrap();
    for i in 0..3 {
        let input: Vec<f32> = (0..256).map(|x| (x * i) as f32).collect();
        let outputs = session.run(&[f32s(&[256], &input).view()]).unwrap();
        let expected: Vec<f32> = input.iter().map(|x| -x).collect();
        assert_eq!(values(outputs.get(0).unwrap()), expected);
    }
    assert_eq!(session.buffer_bytes(), 2 * 4 * 256);
}

#[test]
fn constants_stay_in_the_bundle() {
    let mut model = Model::default();
    let x = model.input(DType::F32, "2");
    model.constant(&f32s(&[3], &[9.0; 3]));
    let c = model.constant(&f32s(&[2], &[5.0, 6.0]));
    let (y, z) = (
        model.computed(DType::F32, "2"),
        model.computed(DType::F32, "2"),
    );
    model.engine(0, &[x, c], &[y]);
    model.op("AddV2", Attrs::default(), &[y, c], &[z]);
    model.output(z);
    let seen = Arc::new(Mutex::new(0));
    let backend = FakeBackend(|_| {
        let seen = seen.clone();
        Ok(FakeEngine(Box::new(move |inputs, outputs| {
            *seen.lock().unwrap() = inputs[1].bytes().as_ptr() as usize;
            outputs[0].copy_from(&inputs[0]).unwrap();
            Ok(())
        })))
    });
    let bundle = model.bundle();
    let options = SessionOptions::default();
    let mut session = Session::load_on(bundle.clone(), Some(&backend), &options).unwrap();
    let outputs = session.run(&[f32s(&[2], &[1.0, 2.0]).view()]).unwrap();
    assert_eq!(values(outputs.get(0).unwrap()), [6.0, 8.0]);
    let weights = bundle.weights().unwrap().as_ptr() as usize;
    assert_eq!(*seen.lock().unwrap(), weights + 64);
}

#[test]
fn inputs_and_constants_pass_through_to_outputs() {
    let mut model = Model::default();
    let x = model.input(DType::U8, "n");
    let c = model.constant(&f32s(&[2], &[5.0, 6.0]));
    let y = model.computed(DType::U8, "n");
    model.op("Identity", Attrs::default(), &[x], &[y]);
    for value in [c, x, y, x] {
        model.output(value);
    }
    let mut session = load(&model, &no_engines()).unwrap();
    for bytes in [&[1u8, 2, 3][..], &[4, 5]] {
        let outputs = {
            let input = Tensor::from_slice(&[bytes.len()], bytes).unwrap();
            session.run(&[input.view()]).unwrap()
        };
        assert_eq!(values(outputs.get(0).unwrap()), [5.0, 6.0]);
        for output in 1..4 {
            let view = outputs.get(output).unwrap();
            assert_eq!((view.shape(), view.bytes()), (&[bytes.len()][..], bytes));
        }
    }
}

#[test]
fn a_step_may_take_many_inputs() {
    let mut model = Model::default();
    let x = model.input(DType::F32, "");
    let y = model.computed(DType::F32, "");
    let attrs = Attrs::default().with("N", tfjet_core::AttrValue::Int(100));
    model.op("AddN", attrs, &[x; 100], &[y]);
    model.output(y);
    let mut session = load(&model, &no_engines()).unwrap();
    let outputs = session.run(&[Tensor::scalar(2.0f32).view()]).unwrap();
    assert_eq!(values(outputs.get(0).unwrap()), [200.0]);
}

#[test]
fn a_failed_step_is_named_and_the_session_goes_on() {
    let mut model = Model::default();
    let x = model.input(DType::F32, "n");
    let y = model.computed(DType::F32, "n");
    let z = model.computed(DType::F32, "2");
    model.op("Neg", Attrs::default(), &[x], &[y]);
    model.engine(0, &[y], &[z]);
    model.output(z);
    let backend = FakeBackend(|_| {
        let mut calls = 0;
        let FakeEngine(mut negate) = map(|x| x * 10.0);
        Ok(FakeEngine(Box::new(move |inputs, outputs| {
            calls += 1;
            match calls {
                2 => Err(EngineError::Other("it is hot".into())),
                3 => {
                    outputs[0].reset(DType::F64, &[2]).unwrap();
                    Ok(())
                }
                _ => negate(inputs, outputs),
            }
        })))
    });
    let mut session = load(&model, &backend).unwrap();
    for (rows, expected) in [
        (2, Ok(vec![-10.0, -10.0])),
        (2, Err("step 1, segment 0 on a fake: it is hot")),
        (
            2,
            Err("step 1 made `v2` as float64 [2], the schedule says float32 [2]"),
        ),
        (
            3,
            Err("step 1 made `v2` as float32 [3], the schedule says float32 [2]"),
        ),
        (2, Ok(vec![-10.0, -10.0])),
    ] {
        let input = f32s(&[rows], &vec![1.0; rows]);
        let result = session.run(&[input.view()]);
        let result = result.map(|outputs| values(outputs.get(0).unwrap()));
        assert_eq!(
            result.map_err(|error| error.to_string()),
            expected.map_err(str::to_owned)
        );
    }
}

#[test]
fn a_failed_kernel_names_its_node() {
    let mut model = Model::default();
    let (a, b) = (model.input(DType::F32, "n"), model.input(DType::F32, "m"));
    let y = model.unknown(DType::F32);
    model.op("AddV2", Attrs::default(), &[a, b], &[y]);
    model.output(y);
    let mut session = load(&model, &no_engines()).unwrap();
    let (two, three) = (f32s(&[2], &[0.0; 2]), f32s(&[3], &[0.0; 3]));
    let error = session.run(&[two.view(), three.view()]).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("step 0, node `node0` (AddV2): "),
        "{message}"
    );
}

#[test]
fn a_session_can_move_to_another_thread() {
    fn check<T: Send>() {}
    check::<Session>();
}
