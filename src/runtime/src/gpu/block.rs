//! Steps that run on the device one after the other, with what they read and write.

use std::sync::PoisonError;

use tfjet_core::{DType, Step, ValueId};
use tfjet_cuda::Region;
use tfjet_tensorrt::{Engine, Flavor};

use super::constants::DeviceConstants;
use super::engines::SegmentEngine;
use super::executor::{Environment, LayerSums};
use super::plan::BlockPlan;
use super::residual::DeviceOp;
use super::state::{State, StepState};
use super::{GpuError, Placement};
use crate::sources::{Constants, Source};
use crate::steps::Steps;

/// A block, and what it holds for each set of input shapes.
pub(crate) struct Block {
    pub(super) steps: Vec<DeviceStep>,
    /// The tensors of the block on the device.
    pub(super) locals: Vec<Local>,
    /// For each value that the host gives: does a step look at its elements there?
    pub(super) looked_at: Vec<bool>,
    pub(super) uploads: Vec<Upload>,
    pub(super) downloads: Vec<Download>,
    /// Locals that later blocks read: (local, value).
    pub(super) kept: Vec<(usize, usize)>,
    /// Locals that an earlier block left: (local, value).
    pub(super) resident: Vec<(usize, usize)>,
    /// Latest first.
    pub(super) states: Vec<State>,
    pub(super) capture_failed: bool,
}

/// A tensor on the device, held in a type that is the schedule's or an engine's.
pub(super) struct Local {
    value: usize,
    pub(super) name: String,
    /// The schedule's type.
    pub(super) dtype: DType,
    pub(super) held: DType,
    pub(super) source: LocalSource,
}

pub(super) enum LocalSource {
    /// The host input of this index.
    Host(usize),
    Constant {
        constant: usize,
        shape: Vec<usize>,
        region: Region,
    },
    /// An earlier block; the value's index.
    Resident(usize),
    /// A step of the block.
    Made,
}

pub(super) struct Upload {
    pub(super) input: usize,
    pub(super) local: usize,
    /// The schedule's type is another than the one that the local is held in.
    pub(super) converts: bool,
    /// It stays the same while the loop runs that the block is in.
    pub(super) invariant: bool,
}

pub(super) struct Download {
    pub(super) local: usize,
    /// The schedule's type.
    pub(super) dtype: DType,
    /// As in [`Upload::converts`].
    pub(super) converts: bool,
    /// The device writes it to the host's memory where the placement has that.
    pub(super) in_place: bool,
}

pub(super) struct DeviceStep {
    /// In the schedule.
    pub(super) index: usize,
    pub(super) work: DeviceWork,
    pub(super) inputs: Vec<StepInput>,
    /// Types in the schedule.
    pub(super) input_dtypes: Vec<DType>,
    /// Locals.
    pub(super) outputs: Vec<usize>,
}

/// What a step does on the device.
pub(crate) enum DeviceWork {
    Engine(SegmentEngine),
    Op(DeviceOp),
}

#[derive(Clone, Copy)]
pub(super) enum StepInput {
    Local(usize),
    /// The elements of a host input.
    Host(usize),
    /// The elements of a constant, on the host.
    Constant(usize),
}

/// What all blocks of a session are made of.
pub(crate) struct Building<'a> {
    pub(crate) steps: &'a Steps<'a>,
    pub(crate) sources: &'a [Source],
    pub(crate) constants: &'a Constants,
    pub(crate) device_constants: &'a mut DeviceConstants,
    pub(crate) placement: Placement,
    /// For each value: the type in which the device holds it where a step there made it.
    pub(crate) held: &'a [DType],
}

impl Block {
    /// `work` gives what each of the plan's steps does.
    pub(crate) fn new(
        plan: &BlockPlan,
        building: &mut Building<'_>,
        mut work: impl FnMut(usize) -> Option<DeviceWork>,
    ) -> Result<Self, GpuError> {
        let schedule = building.steps.schedule();
        let mut block = Self {
            steps: Vec::with_capacity(plan.steps.len()),
            locals: Vec::new(),
            looked_at: vec![false; plan.host_inputs.len()],
            uploads: Vec::new(),
            downloads: Vec::new(),
            kept: Vec::new(),
            resident: Vec::new(),
            states: Vec::new(),
            capture_failed: false,
        };
        for &index in &plan.steps {
            let Some(work) = work(index) else { continue };
            let step = building.steps.get(index);
            let inputs = block.step_inputs(plan, building, step, &work)?;
            let outputs = step
                .outputs()
                .iter()
                .map(|id| block.add(building, *id, building.held[id.index()], LocalSource::Made))
                .collect();
            block.steps.push(DeviceStep {
                index,
                work,
                inputs,
                input_dtypes: step
                    .inputs()
                    .iter()
                    .map(|id| schedule.values[id.index()].dtype)
                    .collect(),
                outputs,
            });
        }
        let made = |block: &Self, id: &ValueId| {
            let mut locals = block.locals.iter();
            locals.position(|local| {
                local.value == id.index() && matches!(local.source, LocalSource::Made)
            })
        };
        for id in &plan.kept {
            if let Some(local) = made(&block, id) {
                block.kept.push((local, id.index()));
            }
        }
        for id in &plan.downloads {
            if let Some(local) = made(&block, id) {
                let dtype = schedule.values[id.index()].dtype;
                let converts = dtype != block.locals[local].held;
                let in_place = building.placement.maps_outputs()
                    && !converts
                    && !plan.kept.contains(id)
                    && !block.is_viewed(local);
                block.downloads.push(Download {
                    local,
                    dtype,
                    converts,
                    in_place,
                });
            }
        }
        Ok(block)
    }

    /// Is the local a view, or is there one of it?
    fn is_viewed(&self, local: usize) -> bool {
        let mut views = self.steps.iter().filter(|step| step.is_view());
        views.any(|step| step.view_of() == Some(local) || step.outputs.contains(&local))
    }

    fn step_inputs(
        &mut self,
        plan: &BlockPlan,
        building: &mut Building<'_>,
        step: &Step,
        work: &DeviceWork,
    ) -> Result<Vec<StepInput>, GpuError> {
        let ids = step.inputs().iter().enumerate();
        ids.map(|(position, &id)| {
            let needed = match work {
                DeviceWork::Engine(engine) => engine.inputs.get(position).map(|input| input.held),
                DeviceWork::Op(op) if op.host_inputs().contains(&position) => None,
                DeviceWork::Op(_) => Some(building.held[id.index()]),
            };
            match needed {
                Some(held) => Ok(StepInput::Local(self.local(plan, building, id, held)?)),
                None => self.on_host(plan, building, id),
            }
        })
        .collect()
    }

    /// What a step looks at on the host.
    fn on_host(
        &mut self,
        plan: &BlockPlan,
        building: &Building<'_>,
        id: ValueId,
    ) -> Result<StepInput, GpuError> {
        match (building.sources[id.index()], input_of(plan, id)) {
            (Source::Constant(constant), _) => Ok(StepInput::Constant(constant)),
            (_, Some(input)) => {
                self.looked_at[input] = true;
                Ok(StepInput::Host(input))
            }
            (_, None) => {
                let name = &building.steps.schedule().values[id.index()].name;
                Err(GpuError::Op(format!("`{name}` is not on the host")))
            }
        }
    }

    /// The local that holds a value in this type.
    fn local(
        &mut self,
        plan: &BlockPlan,
        building: &mut Building<'_>,
        id: ValueId,
        held: DType,
    ) -> Result<usize, GpuError> {
        let value = id.index();
        let mut locals = self.locals.iter();
        let known = locals.position(|local| local.value == value && local.held == held);
        if let Some(known) = known {
            return Ok(known);
        }
        let described = &building.steps.schedule().values[value];
        let source = if building.steps.is_constant(id) {
            let Source::Constant(constant) = building.sources[value] else {
                return Err(GpuError::TooLarge);
            };
            let (shape, region) = building.device_constants.get(
                building.constants,
                constant,
                held,
                &described.name,
            )?;
            LocalSource::Constant {
                constant,
                shape,
                region,
            }
        } else if plan.resident.contains(&id) && held == building.held[value] {
            LocalSource::Resident(value)
        } else if let Some(input) = input_of(plan, id) {
            LocalSource::Host(input)
        } else {
            LocalSource::Resident(value)
        };
        let local = self.locals.len();
        match source {
            LocalSource::Host(input) => self.uploads.push(Upload {
                input,
                local,
                converts: described.dtype != held,
                invariant: plan.invariant.contains(&id),
            }),
            LocalSource::Resident(value) => self.resident.push((local, value)),
            LocalSource::Constant { .. } | LocalSource::Made => {}
        }
        Ok(self.add(building, id, held, source))
    }

    fn add(
        &mut self,
        building: &Building<'_>,
        id: ValueId,
        held: DType,
        source: LocalSource,
    ) -> usize {
        self.locals.push(Local {
            value: id.index(),
            name: building.steps.schedule().values[id.index()].name.clone(),
            dtype: building.steps.schedule().values[id.index()].dtype,
            held,
            source,
        });
        self.locals.len() - 1
    }

    /// Must states with the same profile of an engine use the same context? TensorRT 8 lets only
    /// one context at a time use a profile of an engine that takes several shapes.
    pub(super) fn has_one_context_a_profile(&self, env: &Environment<'_>) -> bool {
        let version = env.gpu.library().version();
        let mut engines = self.steps.iter().filter_map(DeviceStep::engine);
        version.flavor == Flavor::TensorRt
            && version.major < 10
            && engines.any(SegmentEngine::is_dynamic)
    }

    /// Does an engine wait for the device while it is enqueued, so that no graph can be recorded?
    pub(super) fn waits_for_values(&self) -> bool {
        let mut engines = self.steps.iter().filter_map(DeviceStep::engine);
        engines.any(|engine| engine.waits_for_values)
    }

    pub(crate) fn has_run(&self) -> bool {
        !self.states.is_empty()
    }

    /// Lets the contexts of the latest shapes report each layer's time. Without `sums` the contexts
    /// go: one that reported once is slow for good.
    pub(super) fn set_profiler(&mut self, sums: Option<&LayerSums>) -> Result<(), GpuError> {
        let Some(sums) = sums else {
            self.states.clear();
            return Ok(());
        };
        let Some(state) = self.states.first_mut() else {
            return Ok(());
        };
        for (step, state) in self.steps.iter().zip(&mut state.steps) {
            if let (Some(engine), StepState::Engine { context, .. }) = (step.engine(), state) {
                let segment = engine.segment;
                let sums = LayerSums::clone(sums);
                let report = move |layer: &str, ms: f32| {
                    let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
                    let entry = sums.entry((segment, layer.to_owned())).or_default();
                    *entry = (entry.0 + ms, entry.1 + 1);
                };
                context.set_profiler(Some(Box::new(report)))?;
            }
        }
        Ok(())
    }

    /// The engine of a segment, if a step runs it.
    pub(super) fn engine(&self, segment: u32) -> Option<&Engine> {
        let mut engines = self.steps.iter().filter_map(DeviceStep::engine);
        let found = engines.find(|engine| engine.segment == segment);
        found.map(|found| &found.engine)
    }

    /// Bytes on the device that it holds.
    pub(crate) fn device_bytes(&self) -> u64 {
        self.states.iter().map(State::device_bytes).sum()
    }
}

impl DeviceStep {
    fn engine(&self) -> Option<&SegmentEngine> {
        match &self.work {
            DeviceWork::Engine(engine) => Some(engine),
            DeviceWork::Op(_) => None,
        }
    }

    /// Does its output lie where its first tensor lies?
    pub(super) fn is_view(&self) -> bool {
        matches!(&self.work, DeviceWork::Op(op) if op.is_view())
    }

    /// The local that a view looks at.
    pub(super) fn view_of(&self) -> Option<usize> {
        self.inputs.iter().find_map(|input| match input {
            StepInput::Local(local) => Some(*local),
            StepInput::Host(_) | StepInput::Constant(_) => None,
        })
    }
}

fn input_of(plan: &BlockPlan, id: ValueId) -> Option<usize> {
    plan.host_inputs.iter().position(|input| *input == id)
}
