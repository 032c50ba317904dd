//! Loops and conditions on the host.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod property;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{FakeBackend, FakeEngine, Model, attrs, f32s, map};
use tfjet_core::{AttrValue, Attrs, DType, Tensor};
use tfjet_runtime::{Backend, EngineError, Session, SessionError, SessionOptions, StopSignal};

fn load(model: &Model, backend: &dyn Backend) -> Session {
    Session::load_on(model.bundle(), Some(backend), &SessionOptions::default()).unwrap()
}

fn no_engines() -> impl Backend {
    FakeBackend(|_| Err(EngineError::Other("no engines".into())))
}

/// The outputs of a run as numbers.
fn run(session: &mut Session, inputs: &[Tensor]) -> Vec<Vec<f32>> {
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let outputs = session.run(&views).unwrap();
    let numbers = outputs.iter().map(|(_, view)| match view.dtype() {
        DType::F32 => view.as_slice::<f32>().unwrap().to_vec(),
        _ => {
            let integers = view.as_slice::<i32>().unwrap().iter();
            integers.map(|&number| number as f32).collect()
        }
    });
    numbers.collect()
}

fn i32(number: i32) -> Tensor {
    Tensor::scalar(number)
}

#[test]
fn a_loop_runs_its_body_as_often_as_its_condition_holds() {
    let mut model = Model::default();
    let limit = model.input(DType::I32, "");
    let x = model.input(DType::F32, "2");
    let outputs = model.count_below(limit, &[(x, DType::F32, "2")], &[], |model, carried| {
        let doubled = model.computed(DType::F32, "2");
        model.op(
            "AddV2",
            Attrs::default(),
            &[carried[1], carried[1]],
            &[doubled],
        );
        vec![doubled]
    });
    model.output(outputs[0]);
    model.output(outputs[1]);
    model.output(x);
    let mut session = load(&model, &no_engines());
    for (passes, expected) in [(3, 8.0), (0, 1.0), (-2, 1.0), (1, 2.0), (10, 1024.0)] {
        let given = f32s(&[2], &[1.0, -1.0]);
        let outputs = run(&mut session, &[i32(passes), given]);
        let count = passes.max(0) as f32;
        assert_eq!(
            outputs,
            [vec![count], vec![expected, -expected], vec![1.0, -1.0]]
        );
    }
}

#[test]
fn what_a_loop_carries_may_change_places() {
    // (a, b, c, d) becomes (b, a, a + b, c) with d from outside in the place of the last.
    let mut model = Model::default();
    let limit = model.input(DType::I32, "");
    let x = model.input(DType::F32, "1");
    let constant = model.constant(&f32s(&[1], &[100.0]));
    let first = [x, constant, x, constant, x].map(|value| (value, DType::F32, "1"));
    let outputs = model.count_below(limit, &first, &[x], |model, carried| {
        let sum = model.computed(DType::F32, "1");
        model.op("AddV2", Attrs::default(), &[carried[1], carried[2]], &[sum]);
        vec![carried[2], carried[1], sum, carried[3], sum]
    });
    for output in &outputs[1..] {
        model.output(*output);
    }
    let mut session = load(&model, &no_engines());
    for passes in 0..5 {
        let (mut a, mut b, mut c, mut d, mut e) = (7.0, 100.0, 7.0, 100.0, 7.0);
        for _ in 0..passes {
            (a, b, c, d, e) = (b, a, a + b, c, a + b);
        }
        let outputs = run(&mut session, &[i32(passes), f32s(&[1], &[7.0])]);
        assert_eq!(outputs, [a, b, c, d, e].map(|number| vec![number]));
    }
}

#[test]
fn a_branch_runs_alone_and_reads_values_from_outside() {
    let mut model = Model::default();
    let number = model.input(DType::I32, "");
    let x = model.input(DType::F32, "2");
    let zero = model.constant(&Tensor::scalar(0i32));
    let ones = model.constant(&f32s(&[2], &[1.0; 2]));
    let positive = model.computed(DType::Bool, "");
    model.op("Greater", Attrs::default(), &[number, zero], &[positive]);
    let y = model.computed(DType::F32, "2");
    model.op("Neg", Attrs::default(), &[x], &[y]);
    let functions = model.reserve();
    let outputs = [0; 3].map(|_| model.computed(DType::F32, "2"));
    model.function(functions[0], &[], |model| {
        let made = model.computed(DType::F32, "2");
        model.engine(0, &[y], &[made]);
        vec![made, made, x]
    });
    model.function(functions[1], &[], |model| {
        let made = model.computed(DType::F32, "2");
        model.engine(1, &[y], &[made]);
        vec![ones, made, y]
    });
    model.branch(functions, &[positive, x, y], &outputs);
    outputs.iter().for_each(|&output| model.output(output));
    let runs = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let backend = FakeBackend(|segment| {
        let (runs, add) = (runs.clone(), [10.0, 20.0][segment as usize]);
        Ok(map(move |x| {
            runs[segment as usize].fetch_add(1, Ordering::Relaxed);
            x + add
        }))
    });
    let mut session = load(&model, &backend);
    for (number, expected) in [
        (1, [[9.0, 8.0], [9.0, 8.0], [1.0, 2.0]]),
        (0, [[1.0, 1.0], [19.0, 18.0], [-1.0, -2.0]]),
        (5, [[9.0, 8.0], [9.0, 8.0], [1.0, 2.0]]),
    ] {
        let outputs = run(&mut session, &[i32(number), f32s(&[2], &[1.0, 2.0])]);
        assert_eq!(outputs, expected);
    }
    let elements = [0, 1].map(|segment: usize| runs[segment].load(Ordering::Relaxed));
    assert_eq!(elements, [4, 2]);
}

/// Fills a list of `n` elements of 1,024 floats with the numbers 0, 1, ... The list is made
/// outside; the loop writes through a condition where `through_condition` says so.
fn filled_list(n: i32, through_condition: bool) -> Model {
    let mut model = Model::default();
    let limit = model.input(DType::I32, "");
    let count = model.constant(&Tensor::scalar(n));
    let element = model.constant(&Tensor::from_slice(&[1], &[1024i32]).unwrap());
    let float = attrs([("element_dtype", AttrValue::Type(Some(DType::F32)))]);
    let list = model.unknown(DType::F32);
    model.op(
        "TensorListReserve",
        float.clone(),
        &[element, count],
        &[list],
    );
    let first = [(list, DType::F32, "n,1024")];
    let outputs = model.count_below(limit, &first, &[element], |model, carried| {
        let functions = model.reserve();
        let (cast, item) = (
            model.computed(DType::F32, ""),
            model.computed(DType::F32, "1024"),
        );
        let to_float = attrs([
            ("SrcT", AttrValue::Type(Some(DType::I32))),
            ("DstT", AttrValue::Type(Some(DType::F32))),
        ]);
        model.op("Cast", to_float, &[carried[0]], &[cast]);
        model.op("Fill", Attrs::default(), &[element, cast], &[item]);
        let set = |model: &mut Model| {
            let next = model.computed(DType::F32, "n,1024");
            model.op(
                "TensorListSetItem",
                float.clone(),
                &[carried[1], carried[0], item],
                &[next],
            );
            next
        };
        if !through_condition {
            model.schedule.functions.truncate(functions[0] as usize);
            return vec![set(model)];
        }
        let next = model.computed(DType::F32, "n,1024");
        model.function(functions[0], &[], |model| vec![set(model)]);
        model.function(functions[1], &[], |_| vec![carried[1]]);
        model.branch(functions, &[limit, carried[0], carried[1], item], &[next]);
        vec![next]
    });
    model.output(outputs[1]);
    model
}

#[test]
fn filling_a_list_in_a_loop_copies_each_element_once() {
    // A copy of the list in each pass would be 4,000 times 16 MB.
    const N: i32 = 4000;
    for through_condition in [false, true] {
        let mut session = load(&filled_list(N, through_condition), &no_engines());
        let start = Instant::now();
        let count = i32(N);
        let outputs = session.run(&[count.view()]).unwrap();
        let took = start.elapsed();
        let list = outputs.get(0).unwrap();
        assert_eq!(list.shape(), [4000, 1024]);
        let numbers = list.as_slice::<f32>().unwrap();
        assert!(
            numbers
                .chunks(1024)
                .zip(0..)
                .all(|(element, i)| element == [i as f32; 1024])
        );
        assert!(
            took < Duration::from_secs(3),
            "through a condition {through_condition}: {took:?}"
        );
    }
}

#[test]
fn a_list_that_is_read_after_its_loop_stays_as_it_was() {
    let mut model = filled_list(3, false);
    let list = model.schedule.steps[0].outputs()[0];
    model.schedule.outputs.push(list);
    let mut session = load(&model, &no_engines());
    for _ in 0..2 {
        let outputs = run(&mut session, &[i32(3)]);
        assert_eq!(outputs[0][2047..2050], [1.0, 2.0, 2.0]);
        assert!(outputs[1].iter().all(|&number| number == 0.0));
    }
}

#[test]
fn errors_say_loop_pass_and_branch() {
    let mut model = Model::default();
    let limit = model.input(DType::I32, "");
    let x = model.input(DType::F32, "1");
    let bound = model.constant(&Tensor::scalar(4i32));
    let outputs = model.count_below(
        limit,
        &[(x, DType::F32, "1")],
        &[bound],
        |model, carried| {
            let small = model.computed(DType::Bool, "");
            model.op("Less", Attrs::default(), &[carried[0], bound], &[small]);
            let functions = model.reserve();
            model.function(functions[0], &[], |_| vec![carried[1]]);
            model.function(functions[1], &[], |model| {
                let made = model.computed(DType::F32, "1");
                model.engine(0, &[carried[1]], &[made]);
                vec![made]
            });
            let next = model.computed(DType::F32, "1");
            model.branch(functions, &[small, carried[1]], &[next]);
            vec![next]
        },
    );
    model.output(outputs[1]);
    let failing = || {
        Ok(FakeEngine(Box::new(|_, _| {
            Err(EngineError::Other("no".into()))
        })))
    };
    let mut session = load(&model, &FakeBackend(|_| failing()));
    assert_eq!(run(&mut session, &[i32(4), f32s(&[1], &[2.0])]), [[2.0]]);
    let (limit, x) = (i32(9), f32s(&[1], &[2.0]));
    let error = session.run(&[limit.view(), x.view()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "in pass 5 of loop `node0`: in the else branch of `node2`: step 0, segment 0 on a fake: no"
    );
    assert!(!error.is_stopped());
    let backend = FakeBackend(|_| Err(EngineError::Other("no engines".into())));
    let options = SessionOptions::default();
    let error = Session::load_on(model.bundle(), Some(&backend), &options).unwrap_err();
    let text = "in function `f3`: step 0, segment 0 on a fake: no engines";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_loop_that_does_not_end_stops_when_it_is_told_to() {
    let mut model = Model::default();
    let limit = model.input(DType::I32, "");
    let x = model.input(DType::F32, "1");
    let outputs = model.count_below(limit, &[(x, DType::F32, "1")], &[], |model, carried| {
        let made = model.computed(DType::F32, "1");
        model.engine(0, &[carried[1]], &[made]);
        vec![made]
    });
    model.output(outputs[1]);
    let flag = Arc::new(AtomicBool::new(false));
    let options = SessionOptions {
        stop: StopSignal::new(flag.clone()),
        ..SessionOptions::default()
    };
    let backend = FakeBackend(|_| {
        let flag = flag.clone();
        Ok(map(move |x| {
            flag.store(x == 6.0, Ordering::Relaxed);
            x + 1.0
        }))
    });
    let mut session = Session::load_on(model.bundle(), Some(&backend), &options).unwrap();
    let (limit, x) = (i32(i32::MAX), f32s(&[1], &[0.0]));
    let error = session.run(&[limit.view(), x.view()]).unwrap_err();
    assert_eq!(error.to_string(), "in pass 8 of loop `node0`: stopped");
    assert!(error.is_stopped());
}

#[test]
fn timings_count_runs_and_passes() {
    let mut model = Model::default();
    let limit = model.input(DType::I32, "");
    let x = model.input(DType::F32, "1");
    let outputs = model.count_below(limit, &[(x, DType::F32, "1")], &[], |model, carried| {
        let inner = model.count_below(limit, &[(carried[1], DType::F32, "1")], &[], |model, it| {
            let made = model.computed(DType::F32, "1");
            model.op("Neg", Attrs::default(), &[it[1]], &[made]);
            vec![made]
        });
        vec![inner[1]]
    });
    model.output(outputs[1]);
    let mut session = load(&model, &no_engines());
    for passes in [3, 2] {
        run(&mut session, &[i32(passes), f32s(&[1], &[0.0])]);
        let passes = passes as u64;
        let counts: Vec<_> = session
            .step_timings()
            .map(|it| (it.step.kind().to_owned(), it.runs, it.passes))
            .collect();
        let counts: Vec<_> = counts
            .iter()
            .map(|(kind, runs, passes)| (kind.as_str(), *runs, *passes))
            .collect();
        let square = passes * passes;
        assert_eq!(
            counts,
            [
                ("While", 1, passes),
                ("Less", passes + 1, 0),
                ("AddV2", passes, 0),
                ("While", passes, square),
                ("Less", square + passes, 0),
                ("AddV2", square, 0),
                ("Neg", square, 0),
            ]
        );
        let times: Vec<Duration> = session.step_timings().map(|it| it.duration).collect();
        assert!(times[0] >= times[3] && times[3] >= times[6]);
        let functions: Vec<_> = session
            .step_timings()
            .map(|it| it.function.map(|id| id.0))
            .collect();
        assert_eq!(
            functions,
            [None, Some(0), Some(1), Some(1), Some(2), Some(3), Some(3)]
        );
    }
}

#[test]
fn a_loop_may_change_shapes_from_pass_to_pass() {
    let mut model = Model::default();
    let limit = model.input(DType::I32, "");
    let x = model.input(DType::F32, "n");
    let axis = model.constant(&Tensor::scalar(0i32));
    let outputs = model.count_below(limit, &[(x, DType::F32, "k")], &[x], |model, carried| {
        let longer = model.computed(DType::F32, "k");
        let two = attrs([("N", AttrValue::Int(2))]);
        model.op("ConcatV2", two, &[carried[1], x, axis], &[longer]);
        vec![longer]
    });
    model.output(outputs[1]);
    let mut session = load(&model, &no_engines());
    for passes in [2, 0, 5] {
        let outputs = run(&mut session, &[i32(passes), f32s(&[2], &[1.0, 2.0])]);
        let expected = [1.0, 2.0].repeat(passes as usize + 1);
        assert_eq!(outputs, [expected]);
    }
}

#[test]
fn what_a_step_gives_must_be_what_the_schedule_says() {
    let mut model = Model::default();
    let limit = model.input(DType::I32, "");
    let x = model.input(DType::F32, "n");
    let axis = model.constant(&Tensor::scalar(0i32));
    let outputs = model.count_below(limit, &[(x, DType::F32, "2")], &[x], |model, carried| {
        let longer = model.computed(DType::F32, "k");
        let two = attrs([("N", AttrValue::Int(2))]);
        model.op("ConcatV2", two, &[carried[1], x, axis], &[longer]);
        vec![longer]
    });
    model.output(outputs[1]);
    let mut session = load(&model, &no_engines());
    let (limit, x) = (i32(1), f32s(&[2], &[1.0, 2.0]));
    let error = session.run(&[limit.view(), x.view()]).unwrap_err();
    assert!(
        matches!(error, SessionError::Made { step: 0, .. }),
        "{error}"
    );
}
