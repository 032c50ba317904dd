//! Loops and conditions with engines in their functions.

use tfjet_core::{Attrs, DType, ElementWiseOperation, Step, Tensor};
use tfjet_runtime::{GpuOptions, Placement, Session, SessionOptions};

use crate::built::{Built, WIDTH};
use crate::{PLACEMENTS, engines_only, open, ramp};

const ROWS: &str = "4,40";

impl Built {
    /// A constant, which builders of engines see as well.
    fn constant(&mut self, tensor: &Tensor) -> u32 {
        self.weights.push(tensor.clone());
        self.model.constant(tensor)
    }

    /// A function whose steps `build` adds.
    fn function(&mut self, id: u32, arguments: &[u32], build: impl FnOnce(&mut Self) -> Vec<u32>) {
        let outer: Vec<Step> = std::mem::take(&mut self.model.schedule.steps);
        let results = build(self);
        let steps = std::mem::replace(&mut self.model.schedule.steps, outer);
        self.model.function(id, arguments, |model| {
            model.schedule.steps = steps;
            results
        });
    }

    fn op(&mut self, op_type: &str, inputs: &[u32]) -> u32 {
        let made = self.model.computed(DType::F32, ROWS);
        self.model.op(op_type, Attrs::default(), inputs, &[made]);
        made
    }

    fn float_segment(&mut self, input: u32, operation: ElementWiseOperation, by: f32) -> u32 {
        self.segment((input, DType::F32), "4", operation, by)
    }

    /// A loop that counts below `limit` and carries `first`.
    fn repeat(
        &mut self,
        limit: u32,
        first: u32,
        captured: &[u32],
        body: impl FnOnce(&mut Self, u32, u32) -> u32,
    ) -> u32 {
        let functions = self.model.reserve();
        let zero = self.constant(&Tensor::scalar(0i32));
        let one = self.constant(&Tensor::scalar(1i32));
        let [asked, counter, next, last] = [false, false, true, true].map(|made| match made {
            true => self.model.computed(DType::I32, ""),
            false => self.model.argument(DType::I32, ""),
        });
        let [ignored, carried] = [(); 2].map(|()| self.model.argument(DType::F32, ROWS));
        let output = self.model.computed(DType::F32, ROWS);
        self.function(functions[0], &[asked, ignored], |built| {
            let less = built.model.computed(DType::Bool, "");
            let ids = [asked, limit];
            built.model.op("Less", Attrs::default(), &ids, &[less]);
            vec![less]
        });
        self.function(functions[1], &[counter, carried], |built| {
            let ids = [counter, one];
            built.model.op("AddV2", Attrs::default(), &ids, &[next]);
            vec![next, body(built, counter, carried)]
        });
        let mut inputs = vec![zero, first, limit];
        inputs.extend(captured);
        self.model.while_loop(functions, &inputs, &[last, output]);
        output
    }
}

/// `limit` passes of `c = (c + 0.5 + 3 x) * 0.5`, with an engine outside the loop and two in it.
fn engines_in_a_loop() -> Built {
    let mut built = Built::default();
    let limit = built.model.input(DType::I32, "");
    let x = built.model.input(DType::F32, ROWS);
    let outside = built.float_segment(x, ElementWiseOperation::Prod, 3.0);
    let output = built.repeat(limit, x, &[outside], |built, _, carried| {
        let more = built.float_segment(carried, ElementWiseOperation::Sum, 0.5);
        let sum = built.op("AddV2", &[more, outside]);
        built.float_segment(sum, ElementWiseOperation::Prod, 0.5)
    });
    built.model.output(output);
    built
}

fn run(session: &mut Session, limit: i32, x: &Tensor) -> Tensor {
    let limit = Tensor::scalar(limit);
    let outputs = session.run(&[limit.view(), x.view()]).unwrap();
    outputs.get(0).unwrap().to_tensor()
}

fn assert_same(built: &Built, session: &mut Session, limits: &[i32], what: &str) {
    let mut host = built.on_host();
    for (seed, &limit) in limits.iter().enumerate() {
        let x = ramp(4, seed);
        let (found, expected) = (run(session, limit, &x), run(&mut host, limit, &x));
        assert_eq!(found, expected, "{what}: run {seed}, {limit} passes");
    }
}

#[test]
fn a_loop_runs_engines_in_its_body() {
    for placement in PLACEMENTS {
        for kernels in [false, true] {
            let options = GpuOptions {
                kernels,
                ..engines_only(Some(placement))
            };
            let Some((gpu, _alone)) = open(&options) else {
                return;
            };
            let built = engines_in_a_loop();
            let mut session = built.on_gpu(&gpu, &SessionOptions::default());
            // One outside, and one in the body where an op on the host does not cut it.
            let blocks = if gpu.kernels().is_ok() { 2 } else { 3 };
            assert_eq!(session.gpu_blocks(), blocks);
            let what = format!("{placement}, kernels {kernels}");
            assert_same(&built, &mut session, &[3, 0, 1, 7, 7, 7], &what);
            let stats = *session.gpu_stats().unwrap();
            assert_eq!(stats.blocks, 1 + 7 * (blocks - 1), "{what}");
            assert_eq!(stats.graphs, stats.blocks, "{what}: {:?}", stats.plain);
            assert_eq!(stats.failed_captures, 0);
            let passes: Vec<u64> = session.step_timings().map(|it| it.passes).collect();
            assert_eq!(passes.iter().max(), Some(&7));
        }
    }
}

#[test]
fn what_a_loop_does_not_change_is_uploaded_once() {
    let Some((gpu, _alone)) = open(&engines_only(Some(Placement::Discrete))) else {
        return;
    };
    let mut built = Built::default();
    let limit = built.model.input(DType::I32, "");
    let x = built.model.input(DType::F32, ROWS);
    let outside = built.op("Neg", &[x]);
    let output = built.repeat(limit, x, &[outside], |built, _, carried| {
        let more = built.float_segment(outside, ElementWiseOperation::Sum, 0.5);
        built.op("Sub", &[carried, more])
    });
    built.model.output(output);
    let mut session = built.on_gpu(&gpu, &SessionOptions::default());
    assert_same(&built, &mut session, &[5, 2, 5], "invariant");
    let stats = session.gpu_stats().unwrap();
    let bytes = 4 * WIDTH * 4;
    assert_eq!(
        (stats.blocks, stats.uploads, stats.upload_bytes),
        (5, 1, bytes)
    );
    assert_eq!((stats.downloads, stats.download_bytes), (5, 5 * bytes));
}

#[test]
fn branches_run_engines_alone() {
    for placement in PLACEMENTS {
        let Some((gpu, _alone)) = open(&engines_only(Some(placement))) else {
            return;
        };
        let mut built = Built::default();
        let limit = built.model.input(DType::I32, "");
        let x = built.model.input(DType::F32, ROWS);
        let outside = built.float_segment(x, ElementWiseOperation::Prod, 3.0);
        let two = built.constant(&Tensor::scalar(2i32));
        let output = built.repeat(limit, x, &[outside], |built, counter, carried| {
            let early = built.model.computed(DType::Bool, "");
            let ids = [counter, two];
            built.model.op("Less", Attrs::default(), &ids, &[early]);
            let functions = built.model.reserve();
            built.function(functions[0], &[], |built| {
                let more = built.float_segment(carried, ElementWiseOperation::Sum, 0.5);
                vec![more]
            });
            built.function(functions[1], &[], |built| {
                let less = built.float_segment(outside, ElementWiseOperation::Prod, 0.25);
                vec![built.op("Sub", &[carried, less])]
            });
            let chosen = built.model.computed(DType::F32, ROWS);
            let captured = [early, carried, outside];
            built.model.branch(functions, &captured, &[chosen]);
            chosen
        });
        built.model.output(output);
        let mut session = built.on_gpu(&gpu, &SessionOptions::default());
        assert_eq!(session.gpu_blocks(), 3);
        let what = placement.to_string();
        assert_same(&built, &mut session, &[6, 0, 1, 6, 6], &what);
        let stats = session.gpu_stats().unwrap();
        assert_eq!((stats.blocks, stats.graphs), (7, 7), "{:?}", stats.plain);
    }
}

#[test]
fn an_engine_that_fails_in_a_loop_says_in_which_pass() {
    let Some((gpu, _alone)) = open(&engines_only(None)) else {
        return;
    };
    let mut built = Built::default();
    let limit = built.model.input(DType::I32, "");
    let x = built.model.input(DType::I64, ROWS);
    let large = i64::from(i32::MAX) / 4;
    let output = {
        let functions = built.model.reserve();
        let zero = built.constant(&Tensor::scalar(0i32));
        let one = built.constant(&Tensor::scalar(1i32));
        let [asked, counter] = [(); 2].map(|()| built.model.argument(DType::I32, ""));
        let [ignored, carried] = [(); 2].map(|()| built.model.argument(DType::I64, ROWS));
        let [next, last] = [(); 2].map(|()| built.model.computed(DType::I32, ""));
        let output = built.model.computed(DType::I64, ROWS);
        built.function(functions[0], &[asked, ignored], |built| {
            let less = built.model.computed(DType::Bool, "");
            let ids = [asked, limit];
            built.model.op("Less", Attrs::default(), &ids, &[less]);
            vec![less]
        });
        built.function(functions[1], &[counter, carried], |built| {
            let ids = [counter, one];
            built.model.op("AddV2", Attrs::default(), &ids, &[next]);
            let same = built.segment((carried, DType::I64), "4", ElementWiseOperation::Sum, 1.0);
            let twice = built.model.computed(DType::I64, ROWS);
            built
                .model
                .op("AddV2", Attrs::default(), &[same, same], &[twice]);
            vec![next, twice]
        });
        built
            .model
            .while_loop(functions, &[zero, x, limit], &[last, output]);
        output
    };
    built.model.output(output);
    let mut session = built.on_gpu(&gpu, &SessionOptions::default());
    let limit = Tensor::scalar(9i32);
    let x = Tensor::from_slice(&[4, WIDTH], &[large; 4 * WIDTH]).unwrap();
    let run = session.run(&[limit.view(), x.view()]);
    // TensorRT 10 and later hold int64 as it is.
    if let Err(error) = run {
        let text = error.to_string();
        assert!(text.starts_with("in pass 3 of loop `node0`: "), "{text}");
    }
}
