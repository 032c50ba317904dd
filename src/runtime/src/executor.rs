use std::mem::swap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tfjet_bundle::Bundle;
use tfjet_core::{Attrs, Schedule, Shape, Step, Tensor, TensorView, Value, ValueId};
use tfjet_ops::{Kernel, OpError};

use crate::buffers::Buffer;
use crate::gpu::{BACKEND, BlockError, GpuExecutor, Item};
use crate::inputs::describe;
use crate::slots::Slots;
use crate::sources::{Constants, Source};
use crate::{Backend, Engine, SessionError, SessionOptions};

/// How long a step took in the latest run.
#[derive(Debug, Clone, Copy)]
pub struct StepTiming<'a> {
    /// The step.
    pub step: &'a Step,
    /// Zero before the step first ran. The time of a block of steps that run on a device as one
    /// stands with its first step; the others have none.
    pub duration: Duration,
    /// The block that the step is part of, if it runs on a device.
    pub block: Option<usize>,
}

enum Work {
    Engine {
        segment: u32,
        /// Index into [`Executor::engines`].
        engine: usize,
    },
    Residual {
        node: String,
        op_type: String,
        kernel: Box<dyn Kernel>,
    },
    /// Steps on the GPU: the block of this index.
    Block(usize),
}

/// A step on the host, or a block of steps on the GPU.
struct ReadyItem {
    work: Work,
    /// Index of its first step.
    step: usize,
    inputs: Vec<Source>,
    /// Buffers.
    outputs: Vec<usize>,
    /// The values that the buffers take.
    makes: Vec<ValueId>,
}

/// The steps of a schedule with all that they need to run.
pub(crate) struct Executor {
    schedule: Schedule,
    backend: &'static str,
    engines: Vec<Box<dyn Engine>>,
    gpu: Option<GpuExecutor>,
    items: Vec<ReadyItem>,
    /// Of each step.
    durations: Vec<Duration>,
    blocks: Vec<Option<usize>>,
    /// Takes an item's outputs out of the buffers while the item reads others of them.
    outputs: Vec<Tensor>,
}

impl Executor {
    /// Makes an engine for each segment that runs on the host and a kernel for each residual op
    /// that does. `sources` says where each value of `schedule` lies; `items` is the order of the
    /// steps, whose blocks are those of `gpu`.
    pub(crate) fn new(
        making: &Making<'_>,
        schedule: Schedule,
        items: &[Item],
        sources: &[Source],
        slots: &Slots,
        gpu: Option<GpuExecutor>,
    ) -> Result<Self, SessionError> {
        let mut engines = Engines {
            making,
            segments: Vec::new(),
            made: Vec::new(),
        };
        let mut ready = Vec::with_capacity(items.len());
        let mut blocks = vec![None; schedule.steps.len()];
        let mut block_count = 0;
        for item in items {
            let work = match item {
                Item::Host(step) => work(&mut engines, *step, &schedule.steps[*step])?,
                Item::Block(plan) => {
                    for &step in &plan.steps {
                        blocks[step] = Some(block_count);
                    }
                    block_count += 1;
                    Work::Block(block_count - 1)
                }
            };
            let slot = |id: &ValueId| slots.of_value[id.index()].unwrap_or_default();
            let source = |id: &ValueId| sources[id.index()];
            let makes = item.outputs(&schedule);
            ready.push(ReadyItem {
                work,
                step: item.first_step(),
                inputs: item.inputs(&schedule).iter().map(source).collect(),
                outputs: makes.iter().map(slot).collect(),
                makes: makes.to_vec(),
            });
        }
        let most_outputs = ready.iter().map(|item| item.outputs.len()).max();
        Ok(Self {
            backend: making.backend.map_or("nothing", Backend::name),
            engines: engines.made,
            gpu,
            outputs: vec![Tensor::default(); most_outputs.unwrap_or_default()],
            durations: vec![Duration::ZERO; schedule.steps.len()],
            blocks,
            schedule,
            items: ready,
        })
    }

    /// Runs all steps.
    pub(crate) fn run(
        &mut self,
        constants: &Constants,
        inputs: &[TensorView<'_>],
        buffers: &mut [Buffer],
    ) -> Result<(), SessionError> {
        if let Some(gpu) = &mut self.gpu {
            gpu.begin();
        }
        let mut start = Instant::now();
        for index in 0..self.items.len() {
            self.swap_outputs(index, buffers);
            let result = self.run_item(index, constants, inputs, buffers);
            self.swap_outputs(index, buffers);
            result?;
            let item = &self.items[index];
            for &slot in &item.outputs {
                buffers[slot].filled();
            }
            let end = Instant::now();
            self.durations[item.step] = end - start;
            start = end;
        }
        Ok(())
    }

    fn swap_outputs(&mut self, index: usize, buffers: &mut [Buffer]) {
        for (output, &slot) in self.outputs.iter_mut().zip(&self.items[index].outputs) {
            swap(output, &mut buffers[slot].tensor);
        }
    }

    fn run_item(
        &mut self,
        index: usize,
        constants: &Constants,
        inputs: &[TensorView<'_>],
        buffers: &[Buffer],
    ) -> Result<(), SessionError> {
        let item = &self.items[index];
        let mut views: SmallVec<[TensorView<'_>; 64]> = SmallVec::new();
        for source in &item.inputs {
            views.push(match *source {
                Source::Input(input) => inputs[input],
                Source::Constant(constant) => constants.view(constant)?,
                Source::Buffer(slot) => buffers[slot].tensor.view(),
            });
        }
        let outputs = &mut self.outputs[..item.outputs.len()];
        match &item.work {
            Work::Engine { segment, engine } => self.engines[*engine]
                .run(&views, outputs)
                .map_err(|source| SessionError::Engine {
                    step: item.step,
                    segment: *segment,
                    backend: self.backend,
                    source: Box::new(source),
                })?,
            Work::Residual {
                node,
                op_type,
                kernel,
            } => kernel
                .run(&views, outputs)
                .map_err(|source| SessionError::Residual {
                    step: item.step,
                    node: node.clone(),
                    op_type: op_type.clone(),
                    source: Box::new(source),
                })?,
            Work::Block(block) => {
                if let Some(gpu) = &mut self.gpu {
                    gpu.run(*block, constants, &views, outputs)
                        .map_err(|error| on_gpu(&self.schedule, error))?;
                }
            }
        }
        item.makes.iter().zip(outputs).try_for_each(|(id, output)| {
            check_output(item.step, &self.schedule.values[id.index()], output)
        })
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(crate) fn gpu(&self) -> Option<&GpuExecutor> {
        self.gpu.as_ref()
    }

    /// The blocks' executor, if nothing but one block runs.
    pub(crate) fn only_gpu(&mut self) -> Option<&mut GpuExecutor> {
        match (self.items.as_slice(), &mut self.gpu) {
            ([item], Some(gpu)) if matches!(item.work, Work::Block(_)) => Some(gpu),
            _ => None,
        }
    }

    pub(crate) fn gpu_mut(&mut self) -> Option<&mut GpuExecutor> {
        self.gpu.as_mut()
    }

    pub(crate) fn timings(&self) -> impl ExactSizeIterator<Item = StepTiming<'_>> {
        let steps = self.schedule.steps.iter().zip(&self.durations);
        steps
            .zip(&self.blocks)
            .map(|((step, &duration), &block)| StepTiming {
                step,
                duration,
                block,
            })
    }
}

/// The error of a block, as its step's where it is known.
pub(crate) fn on_gpu(schedule: &Schedule, error: BlockError) -> SessionError {
    let BlockError { step, source } = error;
    let described = step.and_then(|step| Some((step, schedule.steps.get(step)?)));
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
        None => SessionError::Gpu(Box::new(source)),
    }
}

/// What the host's engines are made of.
pub(crate) struct Making<'a> {
    pub(crate) bundle: &'a Arc<Bundle>,
    pub(crate) backend: Option<&'a dyn Backend>,
    pub(crate) options: &'a SessionOptions,
}

fn work(engines: &mut Engines<'_>, index: usize, step: &Step) -> Result<Work, SessionError> {
    Ok(match step {
        Step::Engine { segment, .. } => Work::Engine {
            segment: *segment,
            engine: engines.engine(index, *segment)?,
        },
        Step::Residual {
            node,
            op_type,
            attrs,
            outputs,
            ..
        } => Work::Residual {
            node: node.clone(),
            op_type: op_type.clone(),
            kernel: kernel(op_type, attrs, outputs.len()).map_err(|source| {
                SessionError::Residual {
                    step: index,
                    node: node.clone(),
                    op_type: op_type.clone(),
                    source: Box::new(source),
                }
            })?,
        },
    })
}

/// Makes the engine of each segment once.
struct Engines<'a> {
    making: &'a Making<'a>,
    segments: Vec<u32>,
    made: Vec<Box<dyn Engine>>,
}

impl Engines<'_> {
    fn engine(&mut self, step: usize, segment: u32) -> Result<usize, SessionError> {
        if let Some(engine) = self.segments.iter().position(|&made| made == segment) {
            return Ok(engine);
        }
        let Making {
            bundle,
            backend,
            options,
        } = self.making;
        let backend = backend.ok_or_else(|| SessionError::NoBackend {
            segments: bundle.segment_count(),
        })?;
        let start = Instant::now();
        let engine =
            backend
                .engine(bundle, segment, options)
                .map_err(|source| SessionError::Engine {
                    step,
                    segment,
                    backend: backend.name(),
                    source: Box::new(source),
                })?;
        tracing::debug!(segment, on = backend.name(), took = ?start.elapsed(), "made an engine");
        self.segments.push(segment);
        self.made.push(engine);
        Ok(self.made.len() - 1)
    }
}

fn kernel(op_type: &str, attrs: &Attrs, outputs: usize) -> Result<Box<dyn Kernel>, OpError> {
    let kernel = tfjet_ops::kernel(op_type, attrs)?;
    match kernel.output_count() {
        expected if expected == outputs => Ok(kernel),
        expected => Err(OpError::OutputCount {
            expected,
            actual: outputs,
        }),
    }
}

fn check_output(step: usize, value: &Value, output: &Tensor) -> Result<(), SessionError> {
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
