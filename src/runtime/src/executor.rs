use std::mem::swap;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tfjet_core::{FunctionId, Schedule, Shape, Step, Tensor, TensorView, Value, ValueId};
use tfjet_ops::Kernel;

use crate::buffers::Buffer;
use crate::gpu::{BACKEND, BlockError, GpuExecutor};
use crate::inputs::describe;
use crate::sources::{Constants, Source};
use crate::{Engine, SessionError, StopSignal};

mod control;
mod making;

use control::{Branches, Loop};
pub(crate) use making::{Kernels, Layout, Making};

/// How long a step took in the latest run.
#[derive(Debug, Clone, Copy)]
pub struct StepTiming<'a> {
    /// The step.
    pub step: &'a Step,
    /// The function that it is a step of, if any.
    pub function: Option<FunctionId>,
    /// All its runs together; zero where it did not run. The time of a block of steps that run on a
    /// device as one stands with its first step; the others have none. That of a loop or a
    /// condition has those of its functions' steps in it.
    pub duration: Duration,
    /// How often it ran: as often as its function, or once.
    pub runs: u64,
    /// Of a loop: how often its body ran.
    pub passes: u64,
    /// The block that the step is part of, if it runs on a device.
    pub block: Option<usize>,
}

enum Work {
    Engine {
        segment: u32,
        /// Index into [`Running::engines`].
        engine: usize,
    },
    Residual {
        kernel: Box<dyn Kernel>,
        /// The input whose buffer the first output takes over.
        in_place: Option<usize>,
    },
    /// Steps on the GPU: the block of this index.
    Block(usize),
    While(Loop),
    If(Branches),
}

/// A step on the host, or a block of steps on the GPU.
struct ReadyItem {
    work: Work,
    /// Number of its first step.
    step: usize,
    /// Index of that step in its function.
    index: usize,
    inputs: Vec<Source>,
    /// Buffers.
    outputs: Vec<usize>,
    /// The values that the buffers take.
    makes: Vec<ValueId>,
}

/// The steps of a schedule with all that they need to run.
pub(crate) struct Executor {
    schedule: Schedule,
    program: Program,
    running: Running,
    blocks: Vec<Option<usize>>,
}

/// What a run goes through.
struct Program {
    backend: &'static str,
    /// The items of each scope.
    scopes: Vec<Vec<ReadyItem>>,
    stop: StopSignal,
}

/// What a run changes.
struct Running {
    engines: Vec<Box<dyn Engine>>,
    gpu: Option<GpuExecutor>,
    /// Of each step.
    clocks: Vec<Clock>,
    /// Takes an item's outputs out of the buffers while the item reads others of them.
    outputs: Vec<Tensor>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    duration: Duration,
    runs: u64,
    passes: u64,
}

/// What the caller gives to a run.
struct Given<'a> {
    schedule: &'a Schedule,
    constants: &'a Constants,
    inputs: &'a [TensorView<'a>],
}

impl Given<'_> {
    fn value(&self, id: ValueId) -> &Value {
        &self.schedule.values[id.index()]
    }

    fn view<'v>(
        &'v self,
        source: Source,
        buffers: &'v [Buffer],
    ) -> Result<TensorView<'v>, SessionError> {
        Ok(match source {
            Source::Input(input) => self.inputs[input],
            Source::Constant(constant) => self.constants.view(constant)?,
            Source::Buffer(slot) => buffers[slot].tensor.view(),
        })
    }
}

impl Executor {
    /// Runs all steps.
    pub(crate) fn run(
        &mut self,
        constants: &Constants,
        inputs: &[TensorView<'_>],
        buffers: &mut [Buffer],
    ) -> Result<(), SessionError> {
        if let Some(gpu) = &mut self.running.gpu {
            gpu.begin();
        }
        self.running.clocks.fill(Clock::default());
        let given = Given {
            schedule: &self.schedule,
            constants,
            inputs,
        };
        self.program.scope(0, &given, buffers, &mut self.running)
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(crate) fn gpu(&self) -> Option<&GpuExecutor> {
        self.running.gpu.as_ref()
    }

    /// The blocks' executor, if nothing but one block runs.
    pub(crate) fn only_gpu(&mut self) -> Option<&mut GpuExecutor> {
        match (self.program.scopes.as_slice(), &mut self.running.gpu) {
            ([items], Some(gpu)) => match items.as_slice() {
                [item] if matches!(item.work, Work::Block(_)) => Some(gpu),
                _ => None,
            },
            _ => None,
        }
    }

    pub(crate) fn gpu_mut(&mut self) -> Option<&mut GpuExecutor> {
        self.running.gpu.as_mut()
    }

    pub(crate) fn timings(&self) -> impl ExactSizeIterator<Item = StepTiming<'_>> {
        let functions = self.schedule.functions.iter().zip(0..);
        let own = self.schedule.steps.iter().map(|step| (step, None));
        let inner = functions.flat_map(|(function, id)| {
            let of = Some(FunctionId(id));
            function.steps.iter().map(move |step| (step, of))
        });
        let steps: Vec<_> = own.chain(inner).collect();
        let clocks = self.running.clocks.iter().zip(&self.blocks);
        let timed = steps.into_iter().zip(clocks);
        timed.map(|((step, function), (clock, &block))| StepTiming {
            step,
            function,
            duration: clock.duration,
            runs: clock.runs,
            passes: clock.passes,
            block,
        })
    }
}

impl Program {
    /// Runs the steps of a scope.
    fn scope(
        &self,
        scope: usize,
        given: &Given<'_>,
        buffers: &mut [Buffer],
        running: &mut Running,
    ) -> Result<(), SessionError> {
        let mut start = Instant::now();
        for item in &self.scopes[scope] {
            match &item.work {
                Work::While(control) => self.run_loop(item, control, given, buffers, running)?,
                Work::If(control) => self.run_branch(item, control, given, buffers, running)?,
                _ => self.run_leaf(item, given, buffers, running)?,
            }
            let end = Instant::now();
            let clock = &mut running.clocks[item.step];
            clock.duration += end - start;
            clock.runs += 1;
            start = end;
        }
        Ok(())
    }

    fn run_leaf(
        &self,
        item: &ReadyItem,
        given: &Given<'_>,
        buffers: &mut [Buffer],
        running: &mut Running,
    ) -> Result<(), SessionError> {
        swap_outputs(item, &mut running.outputs, buffers);
        let result = self.compute(item, given, buffers, running);
        swap_outputs(item, &mut running.outputs, buffers);
        result?;
        for &slot in &item.outputs {
            buffers[slot].filled();
        }
        Ok(())
    }

    fn compute(
        &self,
        item: &ReadyItem,
        given: &Given<'_>,
        buffers: &[Buffer],
        running: &mut Running,
    ) -> Result<(), SessionError> {
        let mut views: SmallVec<[TensorView<'_>; 64]> = SmallVec::new();
        for source in &item.inputs {
            views.push(given.view(*source, buffers)?);
        }
        let outputs = &mut running.outputs[..item.outputs.len()];
        match &item.work {
            Work::Engine { segment, engine } => running.engines[*engine]
                .run(&views, outputs)
                .map_err(|source| SessionError::Engine {
                    step: item.index,
                    segment: *segment,
                    backend: self.backend,
                    source: Box::new(source),
                })?,
            Work::Residual { kernel, in_place } => {
                let done = match in_place {
                    Some(_) => kernel.run_in_place(&views, outputs),
                    None => kernel.run(&views, outputs),
                };
                done.map_err(|source| residual_error(given.schedule, item, source))?;
            }
            Work::Block(block) => {
                if let Some(gpu) = &mut running.gpu {
                    gpu.run(*block, given.constants, &views, outputs)
                        .map_err(|error| on_gpu(given.schedule, error))?;
                }
            }
            Work::While(_) | Work::If(_) => {}
        }
        item.makes
            .iter()
            .zip(outputs)
            .try_for_each(|(id, output)| check_output(item.index, given.value(*id), &output.view()))
    }
}

fn swap_outputs(item: &ReadyItem, outputs: &mut [Tensor], buffers: &mut [Buffer]) {
    for (output, &slot) in outputs.iter_mut().zip(&item.outputs) {
        swap(output, &mut buffers[slot].tensor);
    }
}

fn residual_error(
    schedule: &Schedule,
    item: &ReadyItem,
    source: tfjet_ops::OpError,
) -> SessionError {
    let step = schedule.all_steps().nth(item.step);
    SessionError::Residual {
        step: item.index,
        node: step.and_then(Step::node).unwrap_or_default().to_owned(),
        op_type: step.map_or("", Step::kind).to_owned(),
        source: Box::new(source),
    }
}

/// The error of a block, as its step's where it is known.
pub(crate) fn on_gpu(schedule: &Schedule, error: BlockError) -> SessionError {
    let BlockError { step, source } = error;
    let described = step.and_then(|step| {
        let steps = crate::steps::Steps::new(schedule);
        let index = step - steps.scopes()[steps.scope_of_step(step)].start;
        (step < steps.len()).then(|| (index, steps.get(step)))
    });
    match described {
        Some((step, Step::Engine { segment, .. })) => SessionError::Engine {
            step,
            segment: *segment,
            backend: BACKEND,
            source: Box::new(source.into()),
        },
        Some((step, Step::Residual { node, op_type, .. })) => SessionError::DeviceOp {
            step,
            node: node.clone(),
            op_type: op_type.clone(),
            source: Box::new(source),
        },
        Some((_, Step::While { .. } | Step::If { .. })) | None => {
            SessionError::Gpu(Box::new(source))
        }
    }
}

fn check_output(step: usize, value: &Value, output: &TensorView<'_>) -> Result<(), SessionError> {
    let shape = value.shape.as_ref();
    if value.dtype == output.dtype() && shape.is_none_or(|shape| shape.admits(output.shape())) {
        return Ok(());
    }
    Err(SessionError::Made {
        step,
        value: value.name.clone(),
        expected: describe(value.dtype, shape),
        given: describe(output.dtype(), Some(&Shape::fixed(output.shape()))),
    })
}
