use std::fmt;
use std::sync::Arc;

use tfjet_bundle::Bundle;
use tfjet_core::{DType, Manifest, Schedule, Tensor, TensorView, ValueId};
use tfjet_cpu::Library;

use crate::buffers::{BufferCache, MakeTensor};
use crate::executor::{Executor, Kernels, Layout, Making, on_gpu};
use crate::gpu::{GpuExecutor, Item, Parts, PinnedMemory, on_host};
use crate::inputs::InputCheck;
use crate::sources::{Constants, Source, locate};
use crate::steps::Steps;
use crate::{
    Backend, CpuBackend, EngineSource, Gpu, GpuError, GpuStats, LayerTime, Outputs, Placement,
    SessionError, StepTiming, StopSignal, slots,
};

/// How a session runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    /// Threads that share the work of one layer in an engine, the calling one included; 0 takes
    /// one for each processor that the process may use.
    pub threads: usize,
    /// An engine's threads wait for the next layer by spinning. Faster where the processors have
    /// nothing else to do; costs other work its time where they have.
    pub spin: bool,
    /// On ONNX Runtime: layers in INT8 are computed as floats of the very values that their numbers
    /// stand for, slower than in integers and without ONNX Runtime's own roundings; see
    /// [`EngineOptions::exact_quantization`](tfjet_cpu::EngineOptions::exact_quantization).
    pub exact_quantization: bool,
    /// For how many sets of input shapes buffers are held; those that were not used for longest
    /// go. At least 1.
    pub max_shapes: usize,
    /// On a GPU: what runs there is recorded as a CUDA graph and replayed.
    pub cuda_graphs: bool,
    /// On a GPU: copies and work are timed, see [`GpuStats::times`](crate::GpuStats::times).
    pub device_times: bool,
    /// Once it is given, a loop of the model begins no further pass and the run fails with
    /// [`SessionError::Stopped`].
    pub stop: StopSignal,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            threads: 0,
            spin: true,
            exact_quantization: false,
            max_shapes: 4,
            cuda_graphs: true,
            device_times: false,
            stop: StopSignal::default(),
        }
    }
}

/// A loaded bundle, ready to run.
///
/// The buffers of a set of input shapes are made at its first run and used again in later ones:
/// from then on a run makes no allocation of the session's own, as long as no step takes more than
/// 64 inputs. Engines and kernels may make theirs.
pub struct Session {
    manifest: Manifest,
    check: InputCheck,
    constants: Constants,
    executor: Executor,
    buffers: BufferCache,
    outputs: Vec<Source>,
    /// Inputs that are outputs as well, and the buffers that they are copied to.
    copies: Vec<Copy>,
}

#[derive(Debug)]
struct Copy {
    output: usize,
    input: usize,
    buffer: usize,
}

impl Session {
    /// Loads a bundle whose segments run on ONNX Runtime. `library` is needed where the bundle has
    /// segments.
    ///
    /// All sections are read once to check their hashes.
    ///
    /// # Errors
    /// [`SessionError`] where the bundle is damaged, an engine cannot be made, or there is no
    /// kernel for a residual op.
    pub fn load(
        bundle: Arc<Bundle>,
        library: Option<&Library>,
        options: &SessionOptions,
    ) -> Result<Self, SessionError> {
        let backend = library.map(CpuBackend::new);
        let backend = backend.as_ref().map(|backend| backend as &dyn Backend);
        Self::load_on(bundle, backend, options)
    }

    /// Loads a bundle whose segments run on `backend`, which is needed where the bundle has
    /// segments.
    ///
    /// # Errors
    /// As [`Session::load`].
    pub fn load_on(
        bundle: Arc<Bundle>,
        backend: Option<&dyn Backend>,
        options: &SessionOptions,
    ) -> Result<Self, SessionError> {
        let (manifest, schedule) = read(&bundle)?;
        let steps = Steps::new(&schedule);
        let items = on_host(&steps);
        let making = Making {
            bundle: &bundle,
            backend,
            options,
        };
        Self::make(&making, manifest, &steps, &items, |_, _| Ok(None))
    }

    /// Loads a bundle whose segments run on a GPU, as the engines that `engines` has for them.
    /// Residual ops between them run on the GPU too where it has kernels for them.
    ///
    /// # Errors
    /// As [`Session::load`], and where an engine is missing, cannot be loaded by this GPU's
    /// TensorRT, or was made of another network.
    pub fn load_gpu(
        bundle: Arc<Bundle>,
        gpu: &Gpu,
        engines: &dyn EngineSource,
        options: &SessionOptions,
    ) -> Result<Self, SessionError> {
        let (manifest, schedule) = read(&bundle)?;
        let steps = Steps::new(&schedule);
        let parts = Parts::new(&bundle, &steps, gpu, engines)?;
        let making = Making {
            bundle: &bundle,
            backend: None,
            options,
        };
        let items = parts.items.clone();
        Self::make(&making, manifest, &steps, &items, |sources, constants| {
            let executor = parts.executor(&steps, sources, constants, gpu, options)?;
            Ok(Some(executor))
        })
    }

    /// `blocks` makes the blocks among `items`.
    fn make(
        making: &Making<'_>,
        manifest: Manifest,
        steps: &Steps<'_>,
        items: &[Vec<Item>],
        blocks: impl FnOnce(&[Source], &Constants) -> Result<Option<GpuExecutor>, SessionError>,
    ) -> Result<Self, SessionError> {
        let (bundle, schedule) = (making.bundle, steps.schedule());
        let kernels = Kernels::new(steps, items)?;
        let slots = slots::assign(steps, items, &kernels.in_place());
        let shared = slots::shared(steps, items, &slots);
        let (sources, constants) = locate(schedule, &slots, bundle, &bundle.weights_table()?)?;
        let mut outputs = Vec::with_capacity(schedule.outputs.len());
        let mut copies: Vec<Copy> = Vec::new();
        for (output, id) in schedule.outputs.iter().enumerate() {
            let source = sources[id.index()];
            let buffer = slots.of_value[id.index()];
            outputs.push(match (source, buffer) {
                (Source::Input(input), Some(buffer)) => {
                    copies.push(Copy {
                        output,
                        input,
                        buffer,
                    });
                    Source::Buffer(buffer)
                }
                _ => source,
            });
        }
        let gpu = blocks(&sources, &constants)?;
        let layout = Layout {
            items,
            sources: &sources,
            slots: &slots,
            shared: &shared,
        };
        let make = buffers_of(gpu.as_ref(), shared.clone());
        let executor = Executor::new(making, steps, &layout, kernels, gpu)?;
        Ok(Self {
            check: InputCheck::new(&manifest.inputs),
            buffers: BufferCache::new(making.options.max_shapes, slots.count, make),
            manifest,
            constants,
            executor,
            outputs,
            copies,
        })
    }

    /// What the bundle is for.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The steps that a run goes through.
    pub fn schedule(&self) -> &Schedule {
        self.executor.schedule()
    }

    /// Runs the model on `inputs`, in the manifest's order.
    ///
    /// # Errors
    /// [`SessionError`] where an input does not fit the manifest or a step fails. The session can
    /// run again.
    pub fn run(&mut self, inputs: &[TensorView<'_>]) -> Result<Outputs<'_>, SessionError> {
        self.check.check(&self.manifest.inputs, inputs)?;
        let buffers = self.buffers.select(inputs);
        self.executor.run(&self.constants, inputs, buffers)?;
        for copy in &self.copies {
            let buffer = &mut buffers[copy.buffer];
            let copied = buffer.tensor.copy_from(&inputs[copy.input]);
            copied.map_err(|source| SessionError::Output {
                name: self.manifest.outputs[copy.output].name.clone(),
                source,
            })?;
            buffer.filled();
        }
        Ok(Outputs::new(self))
    }

    /// Output `index` of the latest run.
    pub(crate) fn output(&self, index: usize) -> Option<TensorView<'_>> {
        match *self.outputs.get(index)? {
            Source::Buffer(buffer) => Some(self.buffers.latest().get(buffer)?.tensor.view()),
            Source::Constant(constant) => self.constants.view(constant).ok(),
            Source::Input(_) => None,
        }
    }

    /// An empty tensor for input `index`, in the memory from which the session reads fastest: on a
    /// GPU in memory that the device reaches, else in ordinary memory. Give it the input's type and
    /// shape, write it in order, and better do not read it: on some boards that is slow. Any other
    /// tensor is as good an input, and may take one copy more.
    pub fn input_tensor(&self, index: usize) -> Tensor {
        match self.executor.gpu() {
            Some(gpu) if index < self.manifest.inputs.len() => {
                let write_combined = gpu.gpu().placement() == Placement::MappedInputs;
                Tensor::in_memory(Box::new(PinnedMemory::new(
                    gpu.gpu().context(),
                    write_combined,
                )))
            }
            _ => Tensor::default(),
        }
    }

    /// Repeats what the device did in the latest run `count` times and waits for the last: the
    /// throughput without copies to and from the host. The inputs are those that lie on the device,
    /// or zeros where it reads memory of the host in place; the session's outputs stay those of the
    /// latest run. [`Session::gpu_stats`] then tell about these repetitions.
    ///
    /// # Errors
    /// [`GpuError::Replay`] where the model is not one block on a GPU, or has not run yet, and
    /// where the device fails.
    pub fn replay(&mut self, count: usize) -> Result<(), SessionError> {
        let has_gpu = self.executor.gpu().is_some();
        let Some(gpu) = self.executor.only_gpu() else {
            let reason = match has_gpu {
                true => "the model is more than one block of steps on the GPU",
                false => "the session runs on the CPU",
            };
            return Err(GpuError::Replay(reason).into());
        };
        let replayed = gpu.replay(&self.constants, count);
        replayed.map_err(|error| on_gpu(self.executor.schedule(), error))
    }

    /// What the GPU did in the latest run; `None` for a session without one.
    pub fn gpu_stats(&self) -> Option<&GpuStats> {
        Some(self.executor.gpu()?.stats())
    }

    /// Number of blocks of steps that run on a GPU.
    pub fn gpu_blocks(&self) -> usize {
        self.executor.gpu().map_or(0, GpuExecutor::blocks)
    }

    /// Bytes of the GPU's memory that the session holds in buffers, constants and the working
    /// memory of engines, without the engines' weights.
    pub fn device_bytes(&self) -> u64 {
        self.executor.gpu().map_or(0, GpuExecutor::device_bytes)
    }

    /// Mean times of all layers of the engines over `runs` runs, by segment and name. Layers are
    /// timed one by one, so that a run takes longer than it does otherwise. The shapes must have
    /// run before.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn layer_times(
        &mut self,
        inputs: &[TensorView<'_>],
        runs: usize,
    ) -> Result<Vec<LayerTime>, SessionError> {
        self.profile(true)?;
        let result = (0..runs).try_for_each(|_| self.run(inputs).map(drop));
        let times = self.profile(false);
        result?;
        times
    }

    fn profile(&mut self, is_on: bool) -> Result<Vec<LayerTime>, SessionError> {
        match self.executor.gpu_mut() {
            Some(gpu) => Ok(gpu.profile(is_on)?),
            None => Ok(Vec::new()),
        }
    }

    /// What TensorRT's engine inspector tells about a segment's engine, JSON text; `None` where the
    /// segment does not run on a GPU.
    ///
    /// # Errors
    /// Where the inspector fails.
    pub fn inspect(&self, segment: u32) -> Option<Result<String, SessionError>> {
        let inspected = self.executor.gpu()?.inspect(segment)?;
        Some(inspected.map_err(SessionError::from))
    }

    /// How long each step took in the latest run: the schedule's own steps in their order, then those
    /// of each function.
    pub fn step_timings(&self) -> impl ExactSizeIterator<Item = StepTiming<'_>> {
        self.executor.timings()
    }

    /// Bytes of all buffers that the session holds, without those of its engines.
    pub fn buffer_bytes(&self) -> usize {
        self.buffers.len_bytes()
    }

    /// Number of sets of input shapes whose buffers the session holds.
    pub fn held_shapes(&self) -> usize {
        self.buffers.held_shapes()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("model", &self.manifest.model)
            .field("steps", &self.schedule().steps.len())
            .field("buffer_bytes", &self.buffer_bytes())
            .finish_non_exhaustive()
    }
}

/// A bundle's manifest and schedule, after a check of all its sections.
fn read(bundle: &Bundle) -> Result<(Manifest, Schedule), SessionError> {
    bundle.verify()?;
    let (manifest, schedule) = (bundle.manifest()?, bundle.schedule()?);
    check_types(&manifest, &schedule)?;
    Ok((manifest, schedule))
}

/// Makes buffers, in pinned memory those that a GPU shares where that serves both sides.
fn buffers_of(gpu: Option<&GpuExecutor>, shared: Vec<bool>) -> MakeTensor {
    match gpu.map(GpuExecutor::gpu) {
        Some(gpu) if gpu.placement() != Placement::MappedInputs => {
            let gpu = gpu.clone();
            Box::new(move |slot| match shared.get(slot) {
                Some(true) => Tensor::in_memory(Box::new(PinnedMemory::new(gpu.context(), false))),
                _ => Tensor::default(),
            })
        }
        _ => Box::new(|_| Tensor::default()),
    }
}

/// Manifest and schedule agree on the types of inputs and outputs; on their numbers they do.
fn check_types(manifest: &Manifest, schedule: &Schedule) -> Result<(), SessionError> {
    let inputs = manifest.inputs.iter().map(|spec| (&spec.name, spec.dtype));
    let outputs = manifest.outputs.iter().map(|spec| (&spec.name, spec.dtype));
    let same = |what, (name, dtype): (&String, DType), id: &ValueId| {
        let value = schedule.value(*id);
        if value.is_some_and(|value| value.dtype == dtype) {
            return Ok(());
        }
        Err(SessionError::Interface {
            what,
            name: name.clone(),
            problem: "manifest and schedule give it different types",
        })
    };
    for (spec, id) in inputs.zip(&schedule.inputs) {
        same("input", spec, id)?;
    }
    for (spec, id) in outputs.zip(&schedule.outputs) {
        same("output", spec, id)?;
    }
    Ok(())
}
