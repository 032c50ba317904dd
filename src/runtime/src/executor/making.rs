//! From a schedule to what runs it.

use std::sync::Arc;
use std::time::Instant;

use tfjet_bundle::Bundle;
use tfjet_core::{Attrs, Schedule, Step, Tensor, ValueId};
use tfjet_ops::{Kernel, OpError};

use super::control::{Branch, Branches, Loop, moves};
use super::{Clock, Executor, Program, ReadyItem, Running, Work};
use crate::gpu::{GpuExecutor, Item};
use crate::slots::Slots;
use crate::sources::Source;
use crate::steps::{Steps, scope_of};
use crate::{Backend, Engine, SessionError, SessionOptions};

/// What the host's engines are made of.
pub(crate) struct Making<'a> {
    pub(crate) bundle: &'a Arc<Bundle>,
    pub(crate) backend: Option<&'a dyn Backend>,
    pub(crate) options: &'a SessionOptions,
}

/// The kernels of the residual ops that run on the host, by the number of the step.
pub(crate) struct Kernels(Vec<Option<Box<dyn Kernel>>>);

impl Kernels {
    pub(crate) fn new(steps: &Steps<'_>, items: &[Vec<Item>]) -> Result<Self, SessionError> {
        let mut kernels: Vec<Option<Box<dyn Kernel>>> = (0..steps.len()).map(|_| None).collect();
        for item in items.iter().flatten() {
            let &Item::Host(number) = item else { continue };
            let Step::Residual {
                node,
                op_type,
                attrs,
                outputs,
                ..
            } = steps.get(number)
            else {
                continue;
            };
            let made = kernel(op_type, attrs, outputs.len()).map_err(|source| {
                steps.error_at(number, |step| SessionError::Residual {
                    step,
                    node: node.clone(),
                    op_type: op_type.clone(),
                    source: Box::new(source),
                })
            })?;
            kernels[number] = Some(made);
        }
        Ok(Self(kernels))
    }

    /// For each step: the input whose place its first output may take.
    pub(crate) fn in_place(&self) -> Vec<Option<usize>> {
        let kernels = self.0.iter().map(Option::as_ref);
        kernels.map(|kernel| kernel?.in_place()).collect()
    }
}

/// Where the values of a schedule lie and in which order its steps run.
pub(crate) struct Layout<'a> {
    /// Of each scope; their blocks are those of the [`GpuExecutor`].
    pub(crate) items: &'a [Vec<Item>],
    pub(crate) sources: &'a [Source],
    pub(crate) slots: &'a Slots,
    /// For each buffer: host and device work on it, so it stays where it is.
    pub(crate) shared: &'a [bool],
}

impl Layout<'_> {
    pub(super) fn source(&self, id: ValueId) -> Source {
        self.sources[id.index()]
    }

    pub(super) fn slot(&self, id: ValueId) -> usize {
        self.slots.of_value[id.index()].unwrap_or_default()
    }
}

impl Executor {
    /// Makes an engine for each segment that runs on the host.
    pub(crate) fn new(
        making: &Making<'_>,
        steps: &Steps<'_>,
        layout: &Layout<'_>,
        mut kernels: Kernels,
        gpu: Option<GpuExecutor>,
    ) -> Result<Self, SessionError> {
        let mut engines = Engines {
            making,
            segments: Vec::new(),
            made: Vec::new(),
        };
        let mut blocks = vec![None; steps.len()];
        let mut block_count = 0;
        let mut scopes = Vec::with_capacity(layout.items.len());
        for (range, items) in steps.scopes().iter().zip(layout.items) {
            let mut ready = Vec::with_capacity(items.len());
            for item in items {
                let work = match item {
                    Item::Host(number) => match (kernels.0[*number].take(), steps.get(*number)) {
                        (Some(kernel), step) => residual(kernel, step, layout),
                        (None, Step::Engine { segment, .. }) => Work::Engine {
                            segment: *segment,
                            engine: engines.engine(steps, *number, *segment)?,
                        },
                        (None, _) => continue,
                    },
                    Item::Control { step, .. } => match control(steps, *step, layout) {
                        Some(work) => work,
                        None => continue,
                    },
                    Item::Block(plan) => {
                        for &step in &plan.steps {
                            blocks[step] = Some(block_count);
                        }
                        block_count += 1;
                        Work::Block(block_count - 1)
                    }
                };
                let makes = item.outputs(steps);
                let inputs = item.inputs(steps).iter();
                ready.push(ReadyItem {
                    work,
                    step: item.first_step(),
                    index: item.first_step() - range.start,
                    inputs: inputs.map(|id| layout.source(*id)).collect(),
                    outputs: makes.iter().map(|id| layout.slot(*id)).collect(),
                    makes: makes.to_vec(),
                });
            }
            scopes.push(ready);
        }
        let most_outputs = scopes.iter().flatten().map(|item| item.outputs.len()).max();
        let schedule: &Schedule = steps.schedule();
        Ok(Self {
            program: Program {
                backend: making.backend.map_or("nothing", Backend::name),
                scopes,
                stop: making.options.stop.clone(),
            },
            running: Running {
                engines: engines.made,
                gpu,
                clocks: vec![Clock::default(); steps.len()],
                outputs: vec![Tensor::default(); most_outputs.unwrap_or_default()],
            },
            blocks,
            schedule: schedule.clone(),
        })
    }
}

fn residual(kernel: Box<dyn Kernel>, step: &Step, layout: &Layout<'_>) -> Work {
    let output = step.outputs().first().map(|id| layout.slot(*id));
    let in_place = kernel.in_place().filter(|&input| {
        let read = step.inputs().get(input).map(|id| layout.source(*id));
        matches!((read, output), (Some(Source::Buffer(read)), Some(output)) if read == output)
    });
    Work::Residual { kernel, in_place }
}

fn control(steps: &Steps<'_>, number: usize, layout: &Layout<'_>) -> Option<Work> {
    let step = steps.get(number);
    let [first, second] = step.functions()?.map(scope_of);
    if let Step::If { .. } = step {
        let branch = |scope: usize| Branch {
            scope,
            moves: moves::of_branch(steps, step, scope, layout),
        };
        return Some(Work::If(Branches {
            then_branch: branch(first),
            else_branch: branch(second),
        }));
    }
    let predicate = steps.results(first).first()?;
    Some(Work::While(Loop {
        condition: first,
        body: second,
        predicate: layout.source(*predicate),
        start: moves::of_start(step, layout),
        next: moves::of_pass(steps, (number, step), second, layout),
    }))
}

/// Makes the engine of each segment once.
struct Engines<'a> {
    making: &'a Making<'a>,
    segments: Vec<u32>,
    made: Vec<Box<dyn Engine>>,
}

impl Engines<'_> {
    fn engine(
        &mut self,
        steps: &Steps<'_>,
        number: usize,
        segment: u32,
    ) -> Result<usize, SessionError> {
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
        let engine = backend.engine(bundle, segment, options).map_err(|source| {
            steps.error_at(number, |step| SessionError::Engine {
                step,
                segment,
                backend: backend.name(),
                source: Box::new(source),
            })
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
