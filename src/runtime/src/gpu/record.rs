//! Recording a block's work as a CUDA graph, enqueuing it step by step, and repeating it.

use std::time::Instant;

use smallvec::SmallVec;
use tfjet_core::{Tensor, TensorView};
use tfjet_cuda::{Graph, Region, Scope};

use super::arena::ALIGNMENT;
use super::block::{Block, DeviceStep, DeviceWork, StepInput, Upload};
use super::executor::Environment;
use super::graphs::{Addresses, Turn};
use super::run::{COMPUTED, DOWNLOADED, START, UPLOADED};
use super::state::{BlockError, KnownInput, State, StepState};
use super::{GpuStats, PlainReason};

/// What the host gives and takes in a run.
type Ends<'a> = (&'a [TensorView<'a>], &'a mut [Tensor]);

impl Block {
    /// May the device work on memory of the host in place?
    fn lends(&self, env: &Environment<'_>) -> bool {
        let reads = env.gpu.placement().maps_inputs() && !self.uploads.is_empty();
        reads || self.downloads.iter().any(|download| download.in_place)
    }

    /// The graph to replay, recorded where its turn has come, or why there is none. Without `ends`
    /// the device works on its own memory alone.
    pub(super) fn graph(
        &mut self,
        env: &Environment<'_>,
        stats: &mut GpuStats,
        mut ends: Option<Ends<'_>>,
    ) -> Result<(Option<Graph>, Option<PlainReason>), BlockError> {
        if !env.use_graphs {
            return Ok((None, Some(PlainReason::SwitchedOff)));
        }
        if self.waits_for_values() {
            return Ok((None, Some(PlainReason::WaitsForValues)));
        }
        if self.capture_failed {
            return Ok((None, Some(PlainReason::CaptureFailed)));
        }
        let addresses = self.addresses(env, &mut ends)?;
        let Some(state) = self.states.first_mut() else {
            return Ok((None, Some(PlainReason::FirstRun)));
        };
        match state.graphs.turn(&addresses) {
            Turn::Plain => return Ok((None, Some(PlainReason::FirstRun))),
            Turn::Replay(index) => return Ok((state.graphs.get(index).cloned(), None)),
            Turn::Capture => {}
        }
        let (steps, uploads, downloads) = (&self.steps, &self.uploads, &self.downloads);
        let State {
            steps: states,
            home,
            regions,
            staged_uploads,
            graphs,
            ..
        } = state;
        let captured = env.stream.capture(|scope| {
            regions.clone_from(home);
            if let Some((inputs, outputs)) = ends {
                for (upload, staged) in uploads.iter().zip(staged_uploads.iter()) {
                    let region = env.lend_input(scope, upload.bytes(staged, inputs));
                    if let Some(region) = region {
                        regions[upload.local] = region;
                    }
                }
                for (download, output) in downloads.iter().zip(outputs) {
                    if download.in_place
                        && let Some(region) = lend_output(scope, output.bytes_mut())
                    {
                        regions[download.local] = region;
                    }
                }
            }
            settle_views(steps, regions);
            enqueue(env, scope, steps, states, regions).map_err(|error| error.source.into())
        });
        match captured {
            Ok(graph) => {
                tracing::debug!(nodes = graph.node_count(), "recorded a CUDA graph");
                Ok((graphs.captured(graph).cloned(), None))
            }
            Err(error) => {
                tracing::warn!("no CUDA graph, every run enqueues the steps: {error}");
                self.capture_failed = true;
                stats.failed_captures += 1;
                Ok((None, Some(PlainReason::CaptureFailed)))
            }
        }
    }

    /// The addresses that a graph would hold and another run may not have: of what earlier blocks
    /// left, and of the host's memory that is used in place, 0 where there is none.
    fn addresses(
        &self,
        env: &Environment<'_>,
        ends: &mut Option<Ends<'_>>,
    ) -> Result<Addresses, BlockError> {
        let mut addresses = Addresses::new();
        let Some(state) = self.states.first() else {
            return Ok(addresses);
        };
        let resident = self.resident.iter();
        addresses.extend(resident.map(|(local, _)| state.home[*local].address()));
        if !self.lends(env) {
            return Ok(addresses);
        }
        let Some((inputs, outputs)) = ends else {
            addresses.resize(
                addresses.len() + self.uploads.len() + self.downloads.len(),
                0,
            );
            return Ok(addresses);
        };
        let address = |region: Option<Region>| region.map_or(0, |region| region.address());
        env.stream.scope(|scope| {
            for (upload, staged) in self.uploads.iter().zip(&state.staged_uploads) {
                let bytes = upload.bytes(staged, inputs);
                addresses.push(address(env.lend_input(scope, bytes)));
            }
            for (download, output) in self.downloads.iter().zip(outputs.iter_mut()) {
                addresses.push(match download.in_place {
                    true => address(lend_output(scope, output.bytes_mut())),
                    false => 0,
                });
            }
        })?;
        Ok(addresses)
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
        let mut graph = self.graph(env, stats, None)?;
        if graph.1 == Some(PlainReason::FirstRun) {
            self.enqueue_once(env)?;
            graph = self.graph(env, stats, None)?;
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

impl Upload {
    /// The bytes that go to the device: the input's, or those of `staged`, its conversion.
    pub(super) fn bytes<'a>(&self, staged: &'a Tensor, inputs: &[TensorView<'a>]) -> &'a [u8] {
        match self.converts {
            true => staged.bytes(),
            false => inputs[self.input].bytes(),
        }
    }
}

/// Enqueues all steps.
pub(super) fn enqueue(
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
pub(super) fn settle_views(steps: &[DeviceStep], regions: &mut [Region]) {
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

/// How the device sees an output of the host, if an engine can write it there.
pub(super) fn lend_output<'env>(scope: &Scope<'_, 'env>, bytes: &'env mut [u8]) -> Option<Region> {
    in_place(scope.device_region_mut(bytes))
}

impl Environment<'_> {
    /// How the device sees an input of the host, if it is to read it there and can.
    pub(super) fn lend_input<'env>(
        &self,
        scope: &Scope<'_, 'env>,
        bytes: &'env [u8],
    ) -> Option<Region> {
        if !self.gpu.placement().maps_inputs() {
            return None;
        }
        in_place(scope.device_region(bytes))
    }
}
