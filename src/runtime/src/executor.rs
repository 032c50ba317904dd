use std::mem::swap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tfjet_bundle::Bundle;
use tfjet_core::{Attrs, Schedule, Shape, Step, Tensor, TensorView, Value, ValueId};
use tfjet_ops::{Kernel, OpError};

use crate::buffers::Buffer;
use crate::inputs::describe;
use crate::slots::Slots;
use crate::sources::{Constants, Source};
use crate::{Backend, Engine, SessionError, SessionOptions};

/// How long a step took in the latest run.
#[derive(Debug, Clone, Copy)]
pub struct StepTiming<'a> {
    /// The step.
    pub step: &'a Step,
    /// Zero before the step first ran.
    pub duration: Duration,
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
}

struct ReadyStep {
    work: Work,
    inputs: Vec<Source>,
    /// Buffers.
    outputs: Vec<usize>,
    duration: Duration,
}

/// The steps of a schedule with all that they need to run.
pub(crate) struct Executor {
    schedule: Schedule,
    backend: &'static str,
    engines: Vec<Box<dyn Engine>>,
    steps: Vec<ReadyStep>,
    /// Takes a step's outputs out of the buffers while the step reads others of them.
    outputs: Vec<Tensor>,
}

impl Executor {
    /// Makes an engine for each segment and a kernel for each residual op. `sources` says where
    /// each value of `schedule` lies.
    pub(crate) fn new(
        bundle: &Arc<Bundle>,
        schedule: Schedule,
        sources: &[Source],
        slots: &Slots,
        backend: Option<&dyn Backend>,
        options: &SessionOptions,
    ) -> Result<Self, SessionError> {
        let mut engines = Engines {
            bundle,
            backend,
            options,
            segments: Vec::new(),
            made: Vec::new(),
        };
        let mut steps = Vec::with_capacity(schedule.steps.len());
        for (index, step) in schedule.steps.iter().enumerate() {
            let slot = |id: &ValueId| slots.of_value[id.index()].unwrap_or_default();
            steps.push(ReadyStep {
                work: match step {
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
                },
                inputs: step.inputs().iter().map(|id| sources[id.index()]).collect(),
                outputs: step.outputs().iter().map(slot).collect(),
                duration: Duration::ZERO,
            });
        }
        let most_outputs = steps.iter().map(|step| step.outputs.len()).max();
        Ok(Self {
            backend: backend.map_or("nothing", Backend::name),
            engines: engines.made,
            outputs: vec![Tensor::default(); most_outputs.unwrap_or_default()],
            schedule,
            steps,
        })
    }

    /// Runs all steps in order.
    pub(crate) fn run(
        &mut self,
        constants: &Constants,
        inputs: &[TensorView<'_>],
        buffers: &mut [Buffer],
    ) -> Result<(), SessionError> {
        let mut start = Instant::now();
        for index in 0..self.steps.len() {
            self.swap_outputs(index, buffers);
            let result = self.run_step(index, constants, inputs, buffers);
            self.swap_outputs(index, buffers);
            result?;
            let step = &mut self.steps[index];
            for &slot in &step.outputs {
                buffers[slot].filled();
            }
            let end = Instant::now();
            step.duration = end - start;
            start = end;
        }
        Ok(())
    }

    fn swap_outputs(&mut self, index: usize, buffers: &mut [Buffer]) {
        for (output, &slot) in self.outputs.iter_mut().zip(&self.steps[index].outputs) {
            swap(output, &mut buffers[slot].tensor);
        }
    }

    fn run_step(
        &mut self,
        index: usize,
        constants: &Constants,
        inputs: &[TensorView<'_>],
        buffers: &[Buffer],
    ) -> Result<(), SessionError> {
        let step = &self.steps[index];
        let mut views: SmallVec<[TensorView<'_>; 64]> = SmallVec::new();
        for source in &step.inputs {
            views.push(match *source {
                Source::Input(input) => inputs[input],
                Source::Constant(constant) => constants.view(constant)?,
                Source::Buffer(slot) => buffers[slot].tensor.view(),
            });
        }
        let outputs = &mut self.outputs[..step.outputs.len()];
        match &step.work {
            Work::Engine { segment, engine } => self.engines[*engine]
                .run(&views, outputs)
                .map_err(|source| SessionError::Engine {
                    step: index,
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
                    step: index,
                    node: node.clone(),
                    op_type: op_type.clone(),
                    source: Box::new(source),
                })?,
        }
        let ids = self.schedule.steps[index].outputs();
        ids.iter().zip(outputs).try_for_each(|(id, output)| {
            check_output(index, &self.schedule.values[id.index()], output)
        })
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(crate) fn timings(&self) -> impl ExactSizeIterator<Item = StepTiming<'_>> {
        let steps = self.schedule.steps.iter().zip(&self.steps);
        steps.map(|(step, ready)| StepTiming {
            step,
            duration: ready.duration,
        })
    }
}

/// Makes the engine of each segment once.
struct Engines<'a> {
    bundle: &'a Arc<Bundle>,
    backend: Option<&'a dyn Backend>,
    options: &'a SessionOptions,
    segments: Vec<u32>,
    made: Vec<Box<dyn Engine>>,
}

impl Engines<'_> {
    fn engine(&mut self, step: usize, segment: u32) -> Result<usize, SessionError> {
        if let Some(engine) = self.segments.iter().position(|&made| made == segment) {
            return Ok(engine);
        }
        let backend = self.backend.ok_or_else(|| SessionError::NoBackend {
            segments: self.bundle.segment_count(),
        })?;
        let start = Instant::now();
        let engine = backend
            .engine(self.bundle, segment, self.options)
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
