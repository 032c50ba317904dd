//! A run with input shapes that have been there before allocates nothing.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use common::{FakeBackend, FakeEngine, Model, f32s, map};
use tfjet_core::{Attrs, DType, Tensor};
use tfjet_runtime::{
    EngineError, Latency, PendingBuild, Session, SessionCache, SessionCacheOptions, SessionError,
    SessionMaker, SessionOptions, ShapeKey,
};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting the calls of each thread that ask for memory.
struct Counting;

fn count() {
    // A thread that ends has no counter any more, and nobody to ask for it.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to `System` as it came; the counter is a plain cell of the thread, made
// without allocating.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps this function's contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn session(max_shapes: usize) -> Session {
    let mut model = Model::default();
    let x = model.input(DType::F32, "n,64");
    let c = model.constant(&f32s(&[64], &[0.5; 64]));
    let made: Vec<u32> = (0..5).map(|_| model.computed(DType::F32, "n,64")).collect();
    model.engine(0, &[x], &[made[0]]);
    model.op("Relu", Attrs::default(), &[made[0]], &[made[1]]);
    model.engine(1, &[made[1]], &[made[2]]);
    model.op("Neg", Attrs::default(), &[made[2]], &[made[3]]);
    model.op("Identity", Attrs::default(), &[made[3]], &[made[4]]);
    for output in [made[1], made[4], x, c] {
        model.output(output);
    }
    let backend = FakeBackend(|_| Ok(map(|x| x - 1.0)));
    let options = SessionOptions {
        max_shapes,
        ..SessionOptions::default()
    };
    Session::load_on(model.bundle(), Some(&backend), &options).unwrap()
}

fn run(session: &mut Session, input: &Tensor) -> usize {
    allocations(|| {
        let outputs = session.run(&[input.view()]).unwrap();
        let bytes: usize = outputs.iter().map(|(_, view)| view.bytes().len()).sum();
        assert!(bytes > 0);
    })
}

#[test]
fn runs_of_shapes_that_are_held_allocate_nothing() {
    let inputs: Vec<Tensor> = [1, 9, 4]
        .map(|rows| Tensor::zeros(DType::F32, &[rows, 64]).unwrap())
        .into();
    let mut session = session(2);
    assert!(run(&mut session, &inputs[0]) > 0, "the counter counts");
    run(&mut session, &inputs[1]);
    for _ in 0..3 {
        assert_eq!(run(&mut session, &inputs[0]), 0);
        assert_eq!(run(&mut session, &inputs[1]), 0);
    }
    assert!(run(&mut session, &inputs[2]) > 0, "a new shape");
    assert!(run(&mut session, &inputs[0]) > 0, "a shape that went");
}

/// What the segments of [`looping`] compute, without an allocation of their own.
fn segment(index: u32) -> FakeEngine {
    FakeEngine(Box::new(move |inputs, outputs| {
        let [x, y] = inputs else {
            return Err(EngineError::Other("two inputs".into()));
        };
        let output = &mut outputs[0];
        let integers = || {
            let [x, y] = [x, y].map(|view| view.as_slice::<i32>().unwrap()[0]);
            (x, y)
        };
        match index {
            0 => {
                let (x, y) = integers();
                output.reset(DType::Bool, &[]).unwrap();
                output.bytes_mut()[0] = u8::from(x < y);
            }
            1 => {
                let (x, _) = integers();
                output.reset(DType::I32, &[]).unwrap();
                output.as_mut_slice::<i32>().unwrap()[0] = x + 1;
            }
            _ => {
                let split = x.bytes().len();
                let shape = [x.elements() + y.elements()];
                output.reset(DType::F32, &shape).unwrap();
                output.bytes_mut()[..split].copy_from_slice(x.bytes());
                output.bytes_mut()[split..].copy_from_slice(y.bytes());
            }
        }
        Ok(())
    }))
}

/// `limit` passes that lengthen a tensor, shift what the loop carries, and choose a branch.
fn looping() -> Session {
    let mut model = Model::default();
    let limit = model.input(DType::I32, "");
    let x = model.input(DType::F32, "n");
    let zero = model.constant(&Tensor::scalar(0i32));
    let two = model.constant(&Tensor::scalar(2i32));
    let [functions, branches] = [model.reserve(), model.reserve()];
    let kinds = [
        (DType::I32, ""),
        (DType::F32, "k"),
        (DType::F32, "n"),
        (DType::F32, "n"),
    ];
    let asked = kinds.map(|(dtype, dims)| model.argument(dtype, dims));
    let carried = kinds.map(|(dtype, dims)| model.argument(dtype, dims));
    let outputs = kinds.map(|(dtype, dims)| model.computed(dtype, dims));
    model.function(functions[0], &asked, |model| {
        let less = model.computed(DType::Bool, "");
        model.engine(0, &[asked[0], limit], &[less]);
        vec![less]
    });
    model.function(functions[1], &carried, |model| {
        let next = model.computed(DType::I32, "");
        model.engine(1, &[carried[0], two], &[next]);
        let longer = model.computed(DType::F32, "k");
        model.engine(2, &[carried[1], x], &[longer]);
        let early = model.computed(DType::Bool, "");
        model.engine(0, &[carried[0], two], &[early]);
        model.function(branches[0], &[], |model| {
            let made = model.computed(DType::F32, "n");
            model.op("Neg", Attrs::default(), &[carried[3]], &[made]);
            vec![made]
        });
        model.function(branches[1], &[], |_| vec![carried[3]]);
        let chosen = model.computed(DType::F32, "n");
        model.branch(branches, &[early, carried[3]], &[chosen]);
        vec![next, longer, carried[3], chosen]
    });
    model.while_loop(functions, &[zero, x, x, x, limit, x], &outputs);
    outputs.iter().for_each(|&output| model.output(output));
    let backend = FakeBackend(|index| Ok(segment(index)));
    Session::load_on(model.bundle(), Some(&backend), &SessionOptions::default()).unwrap()
}

#[test]
fn runs_of_loops_and_conditions_allocate_nothing() {
    let mut session = looping();
    let x = f32s(&[3], &[1.0, 2.0, 3.0]);
    let mut run = |passes: i32| {
        let limit = Tensor::scalar(passes);
        let mut length = 0;
        let counted = allocations(|| {
            let outputs = session.run(&[limit.view(), x.view()]).unwrap();
            length = outputs.get(1).unwrap().shape()[0];
        });
        assert_eq!(length, 3 * (passes as usize + 1));
        counted
    };
    assert!(run(9) > 0, "the first run makes the buffers");
    // Buffers change places in each pass: two runs fill both of a pair.
    run(9);
    for passes in [9, 9, 4, 7, 0, 1, 9] {
        assert_eq!(run(passes), 0, "{passes} passes");
    }
}

struct Maker;

impl SessionMaker for Maker {
    fn load(&mut self, _: &ShapeKey) -> Result<Option<Session>, SessionError> {
        Ok(Some(session(2)))
    }

    fn build(&mut self, _: &ShapeKey) -> Result<Box<dyn PendingBuild>, String> {
        Err("all are there".into())
    }
}

#[test]
fn runs_of_shapes_that_are_cached_allocate_nothing() {
    let inputs: Vec<Tensor> = [4, 9, 2]
        .map(|rows| Tensor::zeros(DType::F32, &[rows, 64]).unwrap())
        .into();
    let manifest = session(2).manifest().clone();
    let options = SessionCacheOptions::default();
    let mut cache = SessionCache::new(manifest, Box::new(Maker), None, options);
    let mut run = |input: &Tensor| {
        allocations(|| {
            let outputs = cache.run(&[input.view()]).unwrap();
            assert_eq!(outputs.len(), 4);
        })
    };
    for input in &inputs {
        assert!(run(input) > 0, "a new shape");
    }
    for input in inputs.iter().chain(&inputs) {
        assert_eq!(run(input), 0);
    }
    assert_eq!(cache.counters().hits, 7);
}

#[test]
fn pushing_latencies_allocates_nothing() {
    let mut latency = Latency::new();
    let counted = allocations(|| {
        for nanoseconds in 0..10_000 {
            latency.push(Duration::from_nanos(nanoseconds));
        }
    });
    assert_eq!(counted, 0);
    assert_eq!(latency.count(), 10_000);
}
