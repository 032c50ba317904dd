use std::fmt;
use std::sync::Arc;

use tfjet_bundle::Bundle;
use tfjet_core::{DType, Manifest, Schedule, TensorView, ValueId};
use tfjet_cpu::Library;

use crate::buffers::BufferCache;
use crate::executor::Executor;
use crate::inputs::InputCheck;
use crate::sources::{Constants, Source, locate};
use crate::{Backend, CpuBackend, Outputs, SessionError, StepTiming, slots};

/// How a session runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    /// Threads that share the work of one layer in an engine, the calling one included; 0 takes
    /// one for each processor that the process may use.
    pub threads: usize,
    /// An engine's threads wait for the next layer by spinning. Faster where the processors have
    /// nothing else to do; costs other work its time where they have.
    pub spin: bool,
    /// For how many sets of input shapes buffers are held; those that were not used for longest
    /// go. At least 1.
    pub max_shapes: usize,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            threads: 0,
            spin: true,
            max_shapes: 4,
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
        bundle.verify()?;
        let (manifest, schedule) = (bundle.manifest()?, bundle.schedule()?);
        check_types(&manifest, &schedule)?;
        let slots = slots::assign(&schedule);
        let (sources, constants) = locate(&schedule, &slots, &bundle, &bundle.weights_table()?)?;
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
        let executor = Executor::new(&bundle, schedule, &sources, &slots, backend, options)?;
        Ok(Self {
            check: InputCheck::new(&manifest.inputs),
            buffers: BufferCache::new(options.max_shapes, slots.count),
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

    /// How long each step took in the latest run, in the schedule's order.
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
