//! One run of a block.

use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tfjet_core::{Tensor, TensorView};
use tfjet_cuda::{Graph, Region, Scope};

use super::arena::ALIGNMENT;
use super::block::{Block, DeviceStep, DeviceWork, StepInput};
use super::constants::{conversion, tensor_error};
use super::convert::convert;
use super::executor::{Environment, Resident};
use super::graphs::{Addresses, Turn};
use super::state::{BlockError, KnownInput, State, StepState, build};
use super::{GpuError, GpuStats, GpuTimes, PlainReason};

/// Points in the work of a run, in `Environment::events`.
const START: usize = 0;
const UPLOADED: usize = 1;
const COMPUTED: usize = 2;
const DOWNLOADED: usize = 3;

impl Block {
    /// Runs the block on what the host gives; `outputs` are its downloads.
    pub(super) fn run(
        &mut self,
        env: &Environment<'_>,
        residents: &mut [Option<Resident>],
        inputs: &[TensorView<'_>],
        outputs: &mut [Tensor],
        stats: &mut GpuStats,
    ) -> Result<(), BlockError> {
        self.select(env, inputs, residents)?;
        self.prepare_outputs(outputs)?;
        self.convert_inputs(inputs)?;
        self.take_residents(residents);
        let (graph, plain) = self.graph(env, stats, self.lends(env));
        let Self {
            steps,
            locals,
            uploads,
            downloads,
            states,
            ..
        } = self;
        let Some(state) = states.first_mut() else {
            return Ok(());
        };
        let State {
            shapes: _,
            home,
            regions,
            steps: step_states,
            staged_uploads,
            staged_downloads,
            ..
        } = state;
        env.stream.scope(|scope| {
            env.record(scope, START)?;
            if graph.is_none() {
                regions.clone_from(home);
            }
            for (upload, staged) in uploads.iter().zip(staged_uploads.iter()) {
                let bytes = match upload.converts {
                    true => staged.bytes(),
                    false => inputs[upload.input].bytes(),
                };
                if env.gpu.placement().maps_inputs()
                    && let Some(region) = in_place(scope.device_region(bytes))
                {
                    regions[upload.local] = region;
                    stats.in_place += 1;
                } else {
                    scope.upload(&home[upload.local], bytes)?;
                    stats.uploads += 1;
                    stats.upload_bytes += bytes.len();
                }
            }
            let mut copied: SmallVec<[(usize, &mut [u8]); 16]> = SmallVec::new();
            let targets = downloads.iter().zip(outputs.iter_mut());
            for ((download, output), staged) in targets.zip(staged_downloads.iter_mut()) {
                if download.in_place && !output.bytes().is_empty() {
                    let region = in_place(scope.device_region_mut(output.bytes_mut()));
                    regions[download.local] = region.ok_or_else(|| GpuError::NotMapped {
                        value: locals[download.local].name.clone(),
                    })?;
                    stats.in_place += 1;
                    continue;
                }
                let target = if download.converts { staged } else { output };
                copied.push((download.local, target.bytes_mut()));
            }
            env.record(scope, UPLOADED)?;
            let start = Instant::now();
            match &graph {
                Some(graph) => {
                    scope.replay(graph)?;
                    stats.graphs += 1;
                }
                None => {
                    stats.plain = plain;
                    settle_views(steps, regions);
                    enqueue(env, scope, steps, step_states, regions)?;
                }
            }
            stats.enqueue += start.elapsed();
            env.record(scope, COMPUTED)?;
            for (local, bytes) in copied {
                stats.downloads += 1;
                stats.download_bytes += bytes.len();
                let from = if graph.is_some() { &home } else { &regions };
                scope.download(bytes, &from[local])?;
            }
            env.record(scope, DOWNLOADED)
        })??;
        stats.blocks += 1;
        for ((download, output), staged) in
            downloads.iter().zip(outputs).zip(staged_downloads.iter())
        {
            if download.converts {
                let converted = convert(&staged.view(), download.dtype, output);
                let name = &locals[download.local].name;
                converted.map_err(|error| conversion(name, download.dtype, error))?;
            }
        }
        self.leave_residents(residents);
        env.add_times(stats)
    }

    /// Makes the state of these shapes the first, and one where there is none.
    fn select(
        &mut self,
        env: &Environment<'_>,
        inputs: &[TensorView<'_>],
        residents: &[Option<Resident>],
    ) -> Result<(), BlockError> {
        let (looked_at, links) = (&self.looked_at, &self.resident);
        let mut states = self.states.iter();
        if let Some(found) = states.position(|it| it.fits(looked_at, links, inputs, residents)) {
            self.states[..=found].rotate_right(1);
            return Ok(());
        }
        let mut contexts = Vec::new();
        if self.shares_contexts(env) {
            self.states.truncate(1);
            contexts = self
                .states
                .pop()
                .map(State::into_contexts)
                .unwrap_or_default();
        }
        self.states.truncate(env.max_shapes.max(1) - 1);
        let state = match build(self, env, inputs, residents, contexts) {
            Err(error) if error.source.is_out_of_memory() && !self.states.is_empty() => {
                tracing::warn!("{}; the buffers of other shapes go", error.source);
                self.states.clear();
                build(self, env, inputs, residents, Vec::new())
            }
            built => built,
        }?;
        self.states.insert(0, state);
        Ok(())
    }

    fn prepare_outputs(&mut self, outputs: &mut [Tensor]) -> Result<(), BlockError> {
        let Some(state) = self.states.first_mut() else {
            return Ok(());
        };
        let staged = state.staged_downloads.iter_mut();
        for ((download, output), staged) in self.downloads.iter().zip(outputs).zip(staged) {
            let local = &self.locals[download.local];
            let shape = &state.shapes[download.local];
            let named = |source| tensor_error(&local.name, source);
            output.reset(download.dtype, shape).map_err(named)?;
            if download.converts {
                staged.reset(local.held, shape).map_err(named)?;
            }
        }
        Ok(())
    }

    fn convert_inputs(&mut self, inputs: &[TensorView<'_>]) -> Result<(), BlockError> {
        let Some(state) = self.states.first_mut() else {
            return Ok(());
        };
        for (upload, staged) in self.uploads.iter().zip(&mut state.staged_uploads) {
            if upload.converts {
                let local = &self.locals[upload.local];
                let converted = convert(&inputs[upload.input], local.held, staged);
                converted.map_err(|error| conversion(&local.name, local.held, error))?;
            }
        }
        Ok(())
    }

    fn take_residents(&mut self, residents: &[Option<Resident>]) {
        let Some(state) = self.states.first_mut() else {
            return;
        };
        for &(local, value) in &self.resident {
            if let Some(resident) = &residents[value] {
                state.home[local] = resident.region.clone();
            }
        }
        settle_views(&self.steps, &mut state.home);
    }

    fn leave_residents(&self, residents: &mut [Option<Resident>]) {
        let Some(state) = self.states.first() else {
            return;
        };
        for &(local, value) in &self.kept {
            let (shape, region) = (&state.shapes[local], &state.home[local]);
            match &mut residents[value] {
                Some(resident) => {
                    resident.shape.clone_from(shape);
                    resident.region = region.clone();
                }
                none => {
                    *none = Some(Resident {
                        shape: shape.clone(),
                        region: region.clone(),
                    });
                }
            }
        }
    }

    /// May the device work on memory of the host in place? That is lent for one run, so no graph
    /// can hold it.
    fn lends(&self, env: &Environment<'_>) -> bool {
        let reads = env.gpu.placement().maps_inputs() && !self.uploads.is_empty();
        reads || self.downloads.iter().any(|download| download.in_place)
    }

    /// The graph to replay, recorded where its turn has come, or why there is none.
    fn graph(
        &mut self,
        env: &Environment<'_>,
        stats: &mut GpuStats,
        lends: bool,
    ) -> (Option<Graph>, Option<PlainReason>) {
        let plain = if !env.use_graphs {
            Some(PlainReason::SwitchedOff)
        } else if lends {
            Some(PlainReason::HostMemory)
        } else if self.capture_failed {
            Some(PlainReason::CaptureFailed)
        } else {
            None
        };
        let (None, Some(state)) = (plain, self.states.first_mut()) else {
            return (None, plain);
        };
        let resident = self.resident.iter();
        let addresses: Addresses = resident
            .map(|(local, _)| state.home[*local].address())
            .collect();
        match state.graphs.turn(&addresses) {
            Turn::Plain => return (None, Some(PlainReason::FirstRun)),
            Turn::Replay(index) => return (state.graphs.get(index).cloned(), None),
            Turn::Capture => {}
        }
        let State { steps, home, .. } = state;
        let captured = env.stream.capture(|scope| {
            enqueue(env, scope, &self.steps, steps, home)
                .map_err(|error| Box::new(error.source) as Box<dyn std::error::Error + Send + Sync>)
        });
        match captured {
            Ok(graph) => {
                tracing::debug!(nodes = graph.node_count(), "recorded a CUDA graph");
                (state.graphs.captured(graph).cloned(), None)
            }
            Err(error) => {
                tracing::warn!("no CUDA graph, every run enqueues the steps: {error}");
                self.capture_failed = true;
                stats.failed_captures += 1;
                (None, Some(PlainReason::CaptureFailed))
            }
        }
    }

    /// Does the work of the device `count` times, on the inputs that the latest run left there, and
    /// on zeros where it used memory of the host in place.
    pub(super) fn replay(
        &mut self,
        env: &Environment<'_>,
        count: usize,
        stats: &mut GpuStats,
    ) -> Result<(), BlockError> {
        if self.lends(env) {
            self.zero_uploads(env)?;
        }
        let mut graph = self.graph(env, stats, false);
        if graph.1 == Some(PlainReason::FirstRun) {
            self.enqueue_once(env)?;
            graph = self.graph(env, stats, false);
        }
        let Some(state) = self.states.first_mut() else {
            return Ok(());
        };
        let steps = &self.steps;
        let (graph, plain) = graph;
        stats.plain = plain;
        env.stream.scope(|scope| {
            env.record(scope, START)?;
            env.record(scope, UPLOADED)?;
            let start = Instant::now();
            for _ in 0..count {
                match &graph {
                    Some(graph) => scope.replay(graph)?,
                    None => enqueue(env, scope, steps, &mut state.steps, &state.home)?,
                }
            }
            stats.enqueue += start.elapsed();
            env.record(scope, COMPUTED)?;
            env.record(scope, DOWNLOADED)
        })??;
        stats.blocks += count;
        stats.graphs += if graph.is_some() { count } else { 0 };
        env.add_times(stats)
    }

    fn zero_uploads(&self, env: &Environment<'_>) -> Result<(), BlockError> {
        let Some(state) = self.states.first() else {
            return Ok(());
        };
        let filled = env.stream.scope(|scope| {
            let mut uploads = self.uploads.iter();
            uploads.try_for_each(|upload| scope.fill_zero(&state.home[upload.local]))
        })?;
        Ok(filled?)
    }

    fn enqueue_once(&mut self, env: &Environment<'_>) -> Result<(), BlockError> {
        let Some(state) = self.states.first_mut() else {
            return Ok(());
        };
        let steps = &self.steps;
        env.stream
            .scope(|scope| enqueue(env, scope, steps, &mut state.steps, &state.home))?
    }
}

/// Enqueues all steps.
fn enqueue(
    env: &Environment<'_>,
    scope: &Scope<'_, '_>,
    steps: &[DeviceStep],
    states: &mut [StepState],
    regions: &[Region],
) -> Result<(), BlockError> {
    for (step, state) in steps.iter().zip(states) {
        let done = match (&step.work, state) {
            (_, StepState::Engine { context, locals }) => {
                let tensors: SmallVec<[Region; 16]> =
                    locals.iter().map(|&local| regions[local].clone()).collect();
                context.enqueue(scope, &tensors).map_err(Into::into)
            }
            (
                DeviceWork::Op(op),
                StepState::Op {
                    known,
                    inputs,
                    outputs,
                },
            ) => {
                for (input, tensor) in step.inputs.iter().zip(inputs.iter_mut()) {
                    if let StepInput::Local(local) = *input {
                        tensor.region = regions[local].clone();
                    }
                }
                for (&local, tensor) in step.outputs.iter().zip(outputs.iter_mut()) {
                    tensor.region = regions[local].clone();
                }
                let known: SmallVec<[_; 8]> = known.iter().map(KnownInput::view).collect();
                env.kernels()
                    .and_then(|kernels| op.enqueue(kernels, scope, inputs, &known, outputs))
            }
            _ => Ok(()),
        };
        done.map_err(|source| BlockError {
            step: Some(step.index),
            source,
        })?;
    }
    Ok(())
}

/// Lets views lie where the tensors lie that they look at.
fn settle_views(steps: &[DeviceStep], regions: &mut [Region]) {
    for step in steps.iter().filter(|step| step.is_view()) {
        if let (Some(of), Some(&output)) = (step.view_of(), step.outputs.first()) {
            regions[output] = regions[of].clone();
        }
    }
}

/// The region, if an engine can take it.
fn in_place(region: Option<Region>) -> Option<Region> {
    region.filter(|region| region.address().is_multiple_of(ALIGNMENT as u64))
}

impl Environment<'_> {
    fn record(&self, scope: &Scope<'_, '_>, point: usize) -> Result<(), BlockError> {
        match self.events.and_then(|events| events.get(point)) {
            Some(event) => Ok(scope.record(event)?),
            None => Ok(()),
        }
    }

    fn add_times(&self, stats: &mut GpuStats) -> Result<(), BlockError> {
        let Some(events) = self.events else {
            return Ok(());
        };
        let between = |from: usize, to: usize| {
            let ms = events[to].elapsed_ms(&events[from])?;
            Ok::<_, BlockError>(Duration::from_secs_f64(f64::from(ms.max(0.0)) / 1e3))
        };
        let times = stats.times.get_or_insert_with(GpuTimes::default);
        times.upload += between(START, UPLOADED)?;
        times.compute += between(UPLOADED, COMPUTED)?;
        times.download += between(COMPUTED, DOWNLOADED)?;
        Ok(())
    }
}
