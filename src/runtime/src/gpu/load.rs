//! From a bundle to blocks.

use tfjet_core::{DType, Schedule, Step, ValueId};

use super::block::{Block, Building, DeviceWork};
use super::choose::{Offer, choose, residual_on_device};
use super::constants::DeviceConstants;
use super::convert::is_known;
use super::engines::{Engines, SegmentEngine};
use super::plan::{Item, Place, cut};
use super::residual::{DeviceOp, element_type};
use super::{EngineSource, Gpu, GpuError, GpuExecutor};
use crate::sources::{Constants, Source};
use crate::steps::Steps;
use crate::{EngineError, SessionError, SessionOptions};

/// What the steps of a schedule run on.
pub(crate) struct Parts {
    engines: Engines,
    ops: Vec<Option<DeviceOp>>,
    /// For each value: the type in which the device holds it where a step there made it.
    held: Vec<DType>,
    /// Of each scope.
    pub(crate) items: Vec<Vec<Item>>,
}

impl Parts {
    /// Loads the engines, and cuts the schedule.
    pub(crate) fn new(
        bundle: &tfjet_bundle::Bundle,
        steps: &Steps<'_>,
        gpu: &Gpu,
        source: &dyn EngineSource,
    ) -> Result<Self, SessionError> {
        let schedule = steps.schedule();
        let segments = schedule.all_steps().filter_map(|step| match step {
            Step::Engine { segment, .. } => Some(*segment),
            Step::Residual { .. } | Step::While { .. } | Step::If { .. } => None,
        });
        let network = |segment| bundle.network(segment).map_err(EngineError::from);
        let engines = Engines::load(gpu, source, segments, network);
        let engines = engines.map_err(|(segment, source)| {
            let of_segment =
                |step: &Step| matches!(step, Step::Engine { segment: of, .. } if *of == segment);
            let step = schedule.all_steps().position(of_segment);
            engine_error(steps, step.unwrap_or_default(), segment, source)
        })?;
        let has_kernels = gpu.kernels().is_ok();
        let ops: Vec<Option<DeviceOp>> = schedule
            .all_steps()
            .map(|step| match step {
                Step::Residual {
                    op_type,
                    attrs,
                    inputs,
                    outputs,
                    ..
                } if has_kernels => {
                    let op = DeviceOp::new(op_type, attrs, inputs.len())?;
                    let mut tensors = inputs.iter().enumerate().filter_map(|(input, id)| {
                        (!op.host_inputs().contains(&input)).then_some(id)
                    });
                    let takes =
                        |id: &ValueId| element_type(schedule.values[id.index()].dtype).is_some();
                    (tensors.all(takes) && outputs.iter().all(takes)).then_some(op)
                }
                _ => None,
            })
            .collect();
        let mut held: Vec<DType> = schedule.values.iter().map(|value| value.dtype).collect();
        let mut plain = vec![true; held.len()];
        for (index, step) in steps.iter() {
            let Some(engine) = engine_of(&engines, step) else {
                continue;
            };
            fits(schedule, step, engine)
                .map_err(|error| engine_error(steps, index, engine.segment, error.into()))?;
            for (id, tensor) in step.outputs().iter().zip(&engine.outputs) {
                let dtype = held[id.index()];
                held[id.index()] = tensor.held;
                // Arithmetic on int64 held as int32 would wrap where the host's does not.
                plain[id.index()] = dtype == tensor.held;
            }
        }
        let offers: Vec<Offer<'_>> = schedule
            .all_steps()
            .zip(&ops)
            .map(|(step, op)| match (step, op) {
                (Step::Engine { .. }, _) => Offer::Engine,
                (Step::Residual { .. }, Some(op)) => Offer::Op {
                    host_inputs: op.host_inputs(),
                },
                (Step::Residual { .. }, None) | (Step::While { .. } | Step::If { .. }, _) => {
                    Offer::Nothing
                }
            })
            .collect();
        let chosen = choose(steps, &offers, &plain);
        for ((step, op), &chosen) in schedule.all_steps().zip(&ops).zip(&chosen) {
            let views = chosen && op.as_ref().is_some_and(DeviceOp::is_view);
            if let (true, Some(of), [output]) = (views, step.inputs().first(), step.outputs()) {
                held[output.index()] = held[of.index()];
            }
        }
        let places: Vec<Place> = steps
            .iter()
            .map(|(index, step)| match (chosen[index], offers[index]) {
                (false, _) | (_, Offer::Nothing) => Place::Host,
                (true, Offer::Op { host_inputs }) => Place::Device {
                    via_host: (0..step.inputs().len())
                        .map(|input| host_inputs.contains(&input))
                        .collect(),
                },
                (true, Offer::Engine) => Place::Device {
                    via_host: engine_of(&engines, step).map_or_else(Vec::new, |engine| {
                        let tensors = step.inputs().iter().zip(&engine.inputs);
                        tensors
                            .map(|(id, tensor)| held[id.index()] != tensor.held)
                            .collect()
                    }),
                },
            })
            .collect();
        let items = cut(steps, &places);
        let (on_device, residual) = residual_on_device(steps, &chosen);
        tracing::debug!(
            steps = steps.len(),
            items = items.iter().map(Vec::len).sum::<usize>(),
            residual,
            on_device,
            "cut the schedule"
        );
        Ok(Self {
            engines,
            ops,
            held,
            items,
        })
    }

    /// Makes the blocks.
    pub(crate) fn executor(
        mut self,
        steps: &Steps<'_>,
        sources: &[Source],
        constants: &Constants,
        gpu: &Gpu,
        options: &SessionOptions,
    ) -> Result<GpuExecutor, GpuError> {
        let mut device_constants = DeviceConstants::new(gpu.context());
        let mut blocks = Vec::new();
        for item in self.items.iter().flatten() {
            let Item::Block(plan) = item else { continue };
            let mut building = Building {
                steps,
                sources,
                constants,
                device_constants: &mut device_constants,
                placement: gpu.placement(),
                held: &self.held,
            };
            let (engines, ops) = (&self.engines, &mut self.ops);
            blocks.push(Block::new(plan, &mut building, |step| {
                match engine_of(engines, steps.get(step)) {
                    Some(engine) => Some(DeviceWork::Engine(engine.clone())),
                    None => ops[step].take().map(DeviceWork::Op),
                }
            })?);
        }
        let values = steps.schedule().values.len();
        GpuExecutor::new(gpu, blocks, values, device_constants, options)
    }
}

fn engine_error(steps: &Steps<'_>, step: usize, segment: u32, source: EngineError) -> SessionError {
    steps.error_at(step, |step| SessionError::Engine {
        step,
        segment,
        backend: super::BACKEND,
        source: Box::new(source),
    })
}

fn engine_of<'a>(engines: &'a Engines, step: &Step) -> Option<&'a SegmentEngine> {
    match step {
        Step::Engine { segment, .. } => engines.get(*segment),
        Step::Residual { .. } | Step::While { .. } | Step::If { .. } => None,
    }
}

/// Does the step give the engine what it takes, and take what it gives?
fn fits(schedule: &Schedule, step: &Step, engine: &SegmentEngine) -> Result<(), GpuError> {
    let counts = |inputs: usize, outputs: usize| format!("{inputs} inputs and {outputs} outputs");
    let (inputs, outputs) = (step.inputs(), step.outputs());
    if (inputs.len(), outputs.len()) != (engine.inputs.len(), engine.outputs.len()) {
        return Err(GpuError::EngineMismatch {
            expected: counts(inputs.len(), outputs.len()),
            found: counts(engine.inputs.len(), engine.outputs.len()),
        });
    }
    let ids = inputs.iter().chain(outputs);
    for (id, tensor) in ids.zip(engine.inputs.iter().chain(&engine.outputs)) {
        let value = &schedule.values[id.index()];
        if !is_known(value.dtype, tensor.held) {
            return Err(GpuError::EngineMismatch {
                expected: format!("`{}` as {}", value.name, value.dtype),
                found: tensor.held.to_string(),
            });
        }
    }
    Ok(())
}
