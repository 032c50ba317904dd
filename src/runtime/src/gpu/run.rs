//! One run of a block.

use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tfjet_core::{Tensor, TensorView};
use tfjet_cuda::Scope;

use super::block::Block;
use super::constants::{conversion, tensor_error};
use super::convert::convert;
use super::executor::{Environment, Resident};
use super::record::{enqueue, lend_output, settle_views};
use super::state::{BlockError, State, build};
use super::{GpuError, GpuStats, GpuTimes};

/// Points in the work of a run, in `Environment::events`.
pub(super) const START: usize = 0;
pub(super) const UPLOADED: usize = 1;
pub(super) const COMPUTED: usize = 2;
pub(super) const DOWNLOADED: usize = 3;

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
        self.convert_inputs(env, inputs)?;
        self.take_residents(residents);
        let ends = Some((inputs, &mut *outputs));
        let (graph, plain) = self.graph(env, stats, ends)?;
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
            uploaded_in,
            ..
        } = state;
        let again = *uploaded_in == Some(env.loop_run);
        *uploaded_in = None;
        env.stream.scope(|scope| {
            env.record(scope, START)?;
            if graph.is_none() {
                regions.clone_from(home);
            }
            for (upload, staged) in uploads.iter().zip(staged_uploads.iter()) {
                let bytes = upload.bytes(staged, inputs);
                if let Some(region) = env.lend_input(scope, bytes) {
                    regions[upload.local] = region;
                    stats.in_place += 1;
                } else if !(again && upload.invariant) {
                    scope.upload(&home[upload.local], bytes)?;
                    stats.uploads += 1;
                    stats.upload_bytes += bytes.len();
                }
            }
            let mut copied: SmallVec<[(usize, &mut [u8]); 16]> = SmallVec::new();
            let targets = downloads.iter().zip(outputs.iter_mut());
            for ((download, output), staged) in targets.zip(staged_downloads.iter_mut()) {
                if download.in_place {
                    let is_empty = output.bytes().is_empty();
                    match lend_output(scope, output.bytes_mut()) {
                        Some(region) => regions[download.local] = region,
                        None if is_empty => continue,
                        None => {
                            let value = locals[download.local].name.clone();
                            return Err(GpuError::NotMapped { value }.into());
                        }
                    }
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
        *uploaded_in = Some(env.loop_run);
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
        self.states.truncate(env.max_shapes.max(1) - 1);
        let mut states = std::mem::take(&mut self.states);
        let one_context = self.has_one_context_a_profile(env);
        let build = |states: &mut Vec<State>| {
            let others = one_context.then_some(states);
            build(self, env, inputs, residents, others)
        };
        let built = match build(&mut states) {
            Err(error) if error.source.is_out_of_memory() && !states.is_empty() => {
                tracing::warn!("{}; the buffers of other shapes go", error.source);
                states.clear();
                build(&mut states)
            }
            built => built,
        };
        self.states = states;
        self.states.insert(0, built?);
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

    fn convert_inputs(
        &mut self,
        env: &Environment<'_>,
        inputs: &[TensorView<'_>],
    ) -> Result<(), BlockError> {
        let Some(state) = self.states.first_mut() else {
            return Ok(());
        };
        let again = state.uploaded_in == Some(env.loop_run);
        for (upload, staged) in self.uploads.iter().zip(&mut state.staged_uploads) {
            if upload.converts && !(again && upload.invariant) {
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
}

impl Environment<'_> {
    pub(super) fn record(&self, scope: &Scope<'_, '_>, point: usize) -> Result<(), BlockError> {
        match self.events.and_then(|events| events.get(point)) {
            Some(event) => Ok(scope.record(event)?),
            None => Ok(()),
        }
    }

    pub(super) fn add_times(&self, stats: &mut GpuStats) -> Result<(), BlockError> {
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
