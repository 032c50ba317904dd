//! What a block holds for one set of input shapes.

use tfjet_core::{DType, Tensor, TensorView};
use tfjet_cuda::kernels::{DeviceTensor, ElementType};
use tfjet_cuda::{DeviceBuffer, Graph, Region};
use tfjet_tensorrt::{ExecutionContext, TensorRtError};

use super::arena::{self, Span};
use super::block::{Block, DeviceStep, DeviceWork, LocalSource, StepInput};
use super::engines::SegmentEngine;
use super::executor::{Environment, Resident};
use super::graphs::Graphs;
use super::residual::{DeviceOp, OpInput, element_type};
use super::{GpuError, PinnedMemory};

/// A failure, with the index of the step that it happened in.
#[derive(Debug)]
pub(crate) struct BlockError {
    pub(crate) step: Option<usize>,
    pub(crate) source: GpuError,
}

impl<E: Into<GpuError>> From<E> for BlockError {
    fn from(error: E) -> Self {
        Self {
            step: None,
            source: error.into(),
        }
    }
}

/// Buffers, contexts and graphs for one set of shapes.
pub(super) struct State {
    key: Key,
    /// Of each local.
    pub(super) shapes: Vec<Vec<usize>>,
    /// Of each local, in the block's own memory where it has a place there.
    pub(super) home: Vec<Region>,
    /// Of each local, as of the latest run that enqueued the steps one by one.
    pub(super) regions: Vec<Region>,
    pub(super) steps: Vec<StepState>,
    /// Converted tensors: one for each upload and each download, empty where nothing is converted.
    pub(super) staged_uploads: Vec<Tensor>,
    pub(super) staged_downloads: Vec<Tensor>,
    pub(super) graphs: Graphs<Graph>,
    /// The loop's run in which the uploads that it does not change were made.
    pub(super) uploaded_in: Option<u64>,
    arena: DeviceBuffer,
    context_bytes: u64,
}

/// What a step needs to run with these shapes.
pub(super) enum StepState {
    Engine {
        context: ExecutionContext,
        /// The local of each of the engine's inputs and outputs, in the engine's order.
        locals: Vec<usize>,
    },
    Op {
        known: Vec<KnownInput>,
        /// One for each of the op's inputs; nothing reads those that the host knows.
        inputs: Vec<DeviceTensor>,
        outputs: Vec<DeviceTensor>,
    },
    View,
}

/// What is known of an op's input.
pub(super) struct KnownInput {
    dtype: DType,
    shape: Vec<usize>,
    host: Option<Tensor>,
}

impl KnownInput {
    fn on_host(tensor: Tensor) -> Self {
        Self {
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            host: Some(tensor),
        }
    }

    pub(super) fn view(&self) -> OpInput<'_> {
        OpInput {
            dtype: self.dtype,
            shape: &self.shape,
            host: self.host.as_ref().map(Tensor::view),
        }
    }
}

/// What a state was made for.
struct Key {
    host: Vec<Vec<usize>>,
    /// Elements of the host inputs that steps look at, in order.
    looked_at: Vec<Tensor>,
    resident: Vec<Vec<usize>>,
}

impl State {
    pub(super) fn fits(
        &self,
        looked_at: &[bool],
        resident: &[(usize, usize)],
        inputs: &[TensorView<'_>],
        residents: &[Option<Resident>],
    ) -> bool {
        let shapes = self.key.host.iter().map(Vec::as_slice);
        let looked_at = inputs
            .iter()
            .zip(looked_at)
            .filter(|(_, looked_at)| **looked_at);
        shapes.eq(inputs.iter().map(TensorView::shape))
            && self
                .key
                .resident
                .iter()
                .zip(resident)
                .all(|(shape, (_, value))| {
                    residents[*value]
                        .as_ref()
                        .is_some_and(|held| held.shape == *shape)
                })
            && self
                .key
                .looked_at
                .iter()
                .map(Tensor::view)
                .eq(looked_at.map(|(view, _)| *view))
    }

    /// Bytes on the device, with those of the contexts.
    pub(super) fn device_bytes(&self) -> u64 {
        self.arena.len_bytes() as u64 + self.context_bytes
    }

    /// Does the step at this position use this profile of its engine?
    fn uses(&self, position: usize, profile: usize) -> bool {
        let step = self.steps.get(position);
        matches!(step, Some(StepState::Engine { context, .. }) if context.profile() == profile)
    }

    fn into_contexts(self) -> Vec<Option<ExecutionContext>> {
        let contexts = self.steps.into_iter().map(|step| match step {
            StepState::Engine { context, .. } => Some(context),
            StepState::Op { .. } | StepState::View => None,
        });
        contexts.collect()
    }
}

/// Contexts of states for other shapes, where those with the same profile are to be used again.
#[derive(Default)]
struct Contexts<'s> {
    states: Option<&'s mut Vec<State>>,
    /// Of states that are gone: for each of the block's steps those that are left.
    spare: Vec<Vec<ExecutionContext>>,
}

impl Contexts<'_> {
    /// The context of the step at `position` that uses `profile`. The state that it is of goes.
    fn take(&mut self, position: usize, profile: usize) -> Option<ExecutionContext> {
        if let Some(states) = &mut self.states
            && let Some(index) = states.iter().position(|it| it.uses(position, profile))
        {
            let contexts = states.remove(index).into_contexts();
            self.spare.resize_with(contexts.len(), Vec::new);
            for (spare, context) in self.spare.iter_mut().zip(contexts) {
                spare.extend(context);
            }
        }
        let spare = self.spare.get_mut(position)?;
        let index = spare.iter().position(|it| it.profile() == profile)?;
        Some(spare.swap_remove(index))
    }
}

/// Makes the state for these inputs. `others` are those for other shapes, where TensorRT lets only
/// one context at a time use a profile: those whose contexts are needed go.
pub(super) fn build(
    block: &Block,
    env: &Environment<'_>,
    inputs: &[TensorView<'_>],
    residents: &[Option<Resident>],
    others: Option<&mut Vec<State>>,
) -> Result<State, BlockError> {
    let mut contexts = Contexts {
        states: others,
        ..Contexts::default()
    };
    let mut shapes: Vec<Vec<usize>> = block
        .locals
        .iter()
        .map(|local| match &local.source {
            LocalSource::Host(input) => inputs[*input].shape().to_vec(),
            LocalSource::Constant { shape, .. } => shape.clone(),
            LocalSource::Resident(value) => residents[*value]
                .as_ref()
                .map(|held| held.shape.clone())
                .unwrap_or_default(),
            LocalSource::Made => Vec::new(),
        })
        .collect();
    let mut steps = Vec::with_capacity(block.steps.len());
    let mut context_bytes = 0;
    for (position, step) in block.steps.iter().enumerate() {
        let made = match &step.work {
            DeviceWork::Engine(engine) => {
                context_bytes += engine.engine.device_memory_bytes().unwrap_or_default();
                let take = |profile| contexts.take(position, profile);
                engine_state(env, step, engine, &mut shapes, take)
            }
            DeviceWork::Op(op) => op_state(block, env, step, op, inputs, &mut shapes),
        };
        steps.push(made.map_err(|source| BlockError {
            step: Some(step.index),
            source,
        })?);
    }
    let (arena, home) = place(block, env, &shapes)?;
    let staged = |converts: bool| match converts {
        true if env.gpu.placement().caches_pinned() => {
            Tensor::in_memory(Box::new(PinnedMemory::new(env.gpu.context(), false)))
        }
        _ => Tensor::default(),
    };
    let looked_at = inputs.iter().zip(&block.looked_at);
    Ok(State {
        key: Key {
            host: inputs.iter().map(|view| view.shape().to_vec()).collect(),
            looked_at: looked_at
                .filter(|(_, looked_at)| **looked_at)
                .map(|(view, _)| view.to_tensor())
                .collect(),
            resident: block
                .resident
                .iter()
                .map(|(local, _)| shapes[*local].clone())
                .collect(),
        },
        shapes,
        regions: home.clone(),
        home,
        steps,
        staged_uploads: block.uploads.iter().map(|it| staged(it.converts)).collect(),
        staged_downloads: block
            .downloads
            .iter()
            .map(|it| staged(it.converts))
            .collect(),
        graphs: Graphs::default(),
        uploaded_in: None,
        arena,
        context_bytes,
    })
}

fn engine_state(
    env: &Environment<'_>,
    step: &DeviceStep,
    segment: &SegmentEngine,
    shapes: &mut [Vec<usize>],
    take: impl FnOnce(usize) -> Option<ExecutionContext>,
) -> Result<StepState, GpuError> {
    let engine = &segment.engine;
    let mut locals = vec![0; engine.io().len()];
    let mut given = Vec::with_capacity(segment.inputs.len());
    for (tensor, input) in segment.inputs.iter().zip(&step.inputs) {
        if let StepInput::Local(local) = *input {
            locals[tensor.io] = local;
            given.push((tensor.io, local));
        }
    }
    let profile = segment.profile_for(|io| {
        let found = given.iter().find(|(given, _)| *given == io);
        found.map(|(_, local)| shapes[*local].as_slice())
    })?;
    let profile = segment.is_dynamic().then_some(profile);
    let mut context = match profile.and_then(take) {
        Some(context) => context,
        None => match engine.context(env.gpu.entry_points()) {
            Err(source @ TensorRtError::CallFailed { .. }) => {
                let (free, total) = env.gpu.context().memory()?;
                let needed = engine.device_memory_bytes().unwrap_or_default();
                return Err(GpuError::Context {
                    needed,
                    free,
                    total,
                    source: Box::new(source),
                });
            }
            made => made?,
        },
    };
    if let Some(profile) = profile {
        env.stream
            .scope(|scope| context.set_profile(profile, scope))??;
    }
    for &(io, local) in &given {
        context.set_input_shape(io, &shapes[local])?;
    }
    for (tensor, &local) in segment.outputs.iter().zip(&step.outputs) {
        locals[tensor.io] = local;
        shapes[local] = context.tensor_shape(tensor.io)?;
    }
    Ok(StepState::Engine { context, locals })
}

fn op_state(
    block: &Block,
    env: &Environment<'_>,
    step: &DeviceStep,
    op: &DeviceOp,
    inputs: &[TensorView<'_>],
    shapes: &mut [Vec<usize>],
) -> Result<StepState, GpuError> {
    let mut known = Vec::with_capacity(step.inputs.len());
    for (input, &dtype) in step.inputs.iter().zip(&step.input_dtypes) {
        known.push(match *input {
            StepInput::Local(local) => KnownInput {
                dtype,
                shape: shapes[local].clone(),
                host: match block.locals[local].source {
                    LocalSource::Constant { constant, .. } => Some(env.constant(constant)?),
                    _ => None,
                },
            },
            StepInput::Host(input) => KnownInput::on_host(inputs[input].to_tensor()),
            StepInput::Constant(constant) => KnownInput::on_host(env.constant(constant)?),
        });
    }
    let given: Vec<OpInput<'_>> = known.iter().map(KnownInput::view).collect();
    let made = op
        .prepare(&given)
        .map_err(|error| GpuError::Op(error.to_string()))?;
    for ((dtype, shape), &local) in made.into_iter().zip(&step.outputs) {
        let local_dtype = block.locals[local].dtype;
        if dtype != local_dtype {
            return Err(GpuError::Op(format!(
                "it makes {dtype}, the schedule says {local_dtype}"
            )));
        }
        shapes[local] = shape;
    }
    if op.is_view() {
        return Ok(StepState::View);
    }
    let nowhere = DeviceBuffer::new(env.gpu.context(), 0)?.region();
    let tensor = |local: usize| {
        let local_held = block.locals[local].held;
        Ok(DeviceTensor {
            dtype: element_type(local_held)
                .ok_or_else(|| GpuError::Op(format!("no kernel takes {local_held}")))?,
            shape: shapes[local].clone(),
            region: nowhere.clone(),
        })
    };
    let read = step.inputs.iter().map(|input| match input {
        StepInput::Local(local) => tensor(*local),
        StepInput::Host(_) | StepInput::Constant(_) => Ok(DeviceTensor {
            dtype: ElementType::U8,
            shape: vec![0],
            region: nowhere.clone(),
        }),
    });
    Ok(StepState::Op {
        inputs: read.collect::<Result<_, GpuError>>()?,
        outputs: step
            .outputs
            .iter()
            .map(|&local| tensor(local))
            .collect::<Result<_, GpuError>>()?,
        known,
    })
}

/// A place in one allocation for every local that the block itself holds.
fn place(
    block: &Block,
    env: &Environment<'_>,
    shapes: &[Vec<usize>],
) -> Result<(DeviceBuffer, Vec<Region>), GpuError> {
    let roots = roots(block);
    let mut spans: Vec<Span> = Vec::with_capacity(block.locals.len());
    for (local, shape) in block.locals.iter().zip(shapes) {
        let len_bytes = shape
            .iter()
            .try_fold(local.held.size_bytes(), |len, &dim| len.checked_mul(dim));
        spans.push(Span {
            len_bytes: len_bytes.ok_or(GpuError::TooLarge)?,
            first: 0,
            last: 0,
        });
    }
    for (position, step) in block.steps.iter().enumerate() {
        for &local in &step.outputs {
            if roots[local] == local {
                spans[local].first = position;
                spans[local].last = position;
            }
        }
        for input in &step.inputs {
            if let StepInput::Local(local) = input {
                let last = &mut spans[roots[*local]].last;
                *last = (*last).max(position);
            }
        }
    }
    let downloads = block.downloads.iter().map(|download| download.local);
    let uploads = block.uploads.iter().map(|upload| upload.local);
    let kept = block.kept.iter().map(|(local, _)| *local);
    for local in downloads.chain(uploads).chain(kept) {
        spans[roots[local]].last = usize::MAX;
    }
    let in_arena = |local: usize| {
        roots[local] == local
            && matches!(
                block.locals[local].source,
                LocalSource::Host(_) | LocalSource::Made
            )
    };
    let placed: Vec<usize> = (0..spans.len()).filter(|&local| in_arena(local)).collect();
    let chosen: Vec<Span> = placed.iter().map(|&local| spans[local]).collect();
    let (offsets, total) = arena::place(&chosen).ok_or(GpuError::TooLarge)?;
    let arena = DeviceBuffer::new(env.gpu.context(), total)?;
    let nowhere = arena.region().slice(0, 0).ok_or(GpuError::TooLarge)?;
    let mut home = vec![nowhere; spans.len()];
    for (&local, offset) in placed.iter().zip(offsets) {
        let region = arena.region().slice(offset, spans[local].len_bytes);
        home[local] = region.ok_or(GpuError::TooLarge)?;
    }
    for (local, described) in block.locals.iter().enumerate() {
        if let LocalSource::Constant { region, .. } = &described.source {
            home[local] = region.clone();
        }
    }
    for local in 0..home.len() {
        home[local] = home[roots[local]].clone();
    }
    Ok((arena, home))
}

/// For each local the one that it lies in: itself, unless it is a view.
pub(super) fn roots(block: &Block) -> Vec<usize> {
    let mut roots: Vec<usize> = (0..block.locals.len()).collect();
    for step in block.steps.iter().filter(|step| step.is_view()) {
        if let (Some(of), Some(&output)) = (step.view_of(), step.outputs.first()) {
            roots[output] = roots[of];
        }
    }
    roots
}
