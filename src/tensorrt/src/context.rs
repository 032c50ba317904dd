use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use tfjet_cuda::{Access, Region, Scope};

use crate::sys::{ByReference, Dims, Family, Owned, Profiler};
use crate::{Engine, LayerReport, TensorRtError};

/// An engine with memory of its own to run in (`IExecutionContext`). It keeps its engine.
///
/// `Send`, and for one thread at a time. What it enqueued on one stream must have finished before
/// it is used on another, which is checked; so it is refused on another stream for the life of a
/// CUDA graph that it was recorded into, and such a graph is to be replayed on the stream that it
/// was recorded on.
#[derive(Debug)]
pub struct ExecutionContext {
    shared: Arc<Shared>,
    engine: Engine,
    /// By names and `enqueueV3`, or by bindings and `enqueueV2`?
    by_name: bool,
    profile: usize,
    /// The stream that it was used on last.
    stream: *mut c_void,
    /// Bytes of each tensor's present shape; empty where shapes have changed.
    needed: Vec<u64>,
    /// The address that each tensor was given last.
    addresses: Vec<u64>,
    /// All profiles' bindings, where they are used.
    bindings: Vec<*mut c_void>,
}

/// What scopes and graphs keep alive while the device uses it.
#[derive(Debug)]
struct Shared {
    object: Owned,
    profiler: Mutex<Option<Box<Profiler>>>,
    _engine: Engine,
}

// SAFETY: one thread at a time calls the object's methods, the one that has `&mut` of the
// `ExecutionContext`; others keep it alive and may drop it, which TensorRT allows on any thread.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

// SAFETY: the pointers are a stream, which is compared only, and device addresses.
unsafe impl Send for ExecutionContext {}

impl ExecutionContext {
    pub(crate) fn new(object: Owned, engine: Engine, by_name: bool) -> Self {
        Self {
            shared: Arc::new(Shared {
                object,
                profiler: Mutex::new(None),
                _engine: engine.clone(),
            }),
            engine,
            by_name,
            profile: 0,
            stream: std::ptr::null_mut(),
            needed: Vec::new(),
            addresses: Vec::new(),
            bindings: Vec::new(),
        }
    }

    /// The engine that it runs.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The profile in use.
    pub fn profile(&self) -> usize {
        self.profile
    }

    /// Uses another profile from now on (`setOptimizationProfileAsync`); all input shapes must be
    /// set again.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::Index`] where the engine lacks the profile, [`TensorRtError::CallFailed`]
    /// such as where another context of TensorRT 8 uses it.
    pub fn set_profile(
        &mut self,
        profile: usize,
        scope: &Scope<'_, '_>,
    ) -> Result<(), TensorRtError> {
        let index = self.engine.profile_index(profile)?;
        self.claim(scope)?;
        // SAFETY: the context is alive and ours alone; the scope keeps it until the stream is done.
        unsafe {
            self.shared.object.check(
                |s| &s.execution_context.set_optimization_profile_async,
                (index, scope.stream_raw()),
            )
        }?;
        self.profile = profile;
        self.needed.clear();
        self.addresses.clear();
        Ok(())
    }

    /// Sets the shape of the input `tensor`, an index into [`Engine::io`].
    ///
    /// # Errors
    ///
    /// [`TensorRtError::CallFailed`] where the profile does not allow it.
    pub fn set_input_shape(&mut self, tensor: usize, dims: &[usize]) -> Result<(), TensorRtError> {
        let dims = Dims::known(dims)?;
        let object = &self.shared.object;
        self.needed.clear();
        if self.by_name {
            let name = &self.engine.tensor(tensor)?.c_name;
            // SAFETY: the context is alive and ours alone; name and shape are read at once.
            unsafe {
                object.check(
                    |s| &s.execution_context.set_input_shape,
                    (name, ByReference(&dims)),
                )
            }?;
        }
        if !self.by_name || self.has_bindings_of_profiles() {
            let binding = self.binding(tensor)?;
            // SAFETY: as above.
            unsafe {
                object.check(
                    |s| &s.execution_context.set_binding_dimensions,
                    (binding, &dims),
                )
            }?;
        }
        Ok(())
    }

    /// Does the library have bindings of their own for each of several profiles? TensorRT 8.5 then
    /// tells an output's shape by its binding only.
    fn has_bindings_of_profiles(&self) -> bool {
        self.shared.object.api().family == Family::Trt8 && self.engine.profile_count() > 1
    }

    /// The present shape of `tensor`, an index into [`Engine::io`].
    ///
    /// # Errors
    ///
    /// [`TensorRtError::EngineTensor`] where it depends on input shapes that are not set.
    pub fn tensor_shape(&self, tensor: usize) -> Result<Vec<usize>, TensorRtError> {
        let object = &self.shared.object;
        let facts = self.engine.tensor(tensor)?;
        let by_binding = || -> Result<Option<Vec<i64>>, TensorRtError> {
            let binding = self.binding(tensor)?;
            // SAFETY: the context is alive; it is not changed.
            unsafe { object.call(|s| &s.execution_context.get_binding_dimensions, (binding,)) }
        };
        let sizes = |dims: Option<Vec<i64>>| -> Option<Vec<usize>> {
            dims?.into_iter().map(|d| usize::try_from(d).ok()).collect()
        };
        let by_name = if self.by_name {
            // SAFETY: the context is alive; it is not changed.
            unsafe { object.call(|s| &s.execution_context.get_tensor_shape, (&facts.c_name,)) }?
        } else {
            None
        };
        if let Some(shape) = sizes(by_name.clone()) {
            return Ok(shape);
        }
        let by_binding = match !self.by_name || self.has_bindings_of_profiles() {
            true => by_binding()?,
            false => None,
        };
        sizes(by_binding.clone()).ok_or_else(|| TensorRtError::EngineTensor {
            tensor: facts.name.clone(),
            reason: format!(
                "its shape is not known before the inputs' shapes are set (profile {}: by name \
                 {by_name:?}, by binding {by_binding:?})",
                self.profile
            ),
        })
    }

    /// Enqueues one run on the scope's stream: `regions` are the device memory of all inputs and
    /// outputs, in the order of [`Engine::io`]. The scope keeps the context and the regions.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::Region`] where one is too small for its tensor's present shape,
    /// [`TensorRtError::Busy`] where the context is in use on another stream,
    /// [`TensorRtError::CallFailed`].
    pub fn enqueue(
        &mut self,
        scope: &Scope<'_, '_>,
        regions: &[Region],
    ) -> Result<(), TensorRtError> {
        self.check_sizes(regions)?;
        self.claim(scope)?;
        if self.by_name {
            self.set_addresses(scope, regions)?;
            // SAFETY: the context is alive and ours alone; the scope keeps it and the regions,
            // which are as long as the tensors, until the stream has run it.
            unsafe {
                self.shared
                    .object
                    .check(|s| &s.execution_context.enqueue_v3, (scope.stream_raw(),))
            }
        } else {
            self.set_bindings(scope, regions)?;
            let bindings: *const *mut c_void = self.bindings.as_ptr();
            let no_event: *mut c_void = std::ptr::null_mut();
            // SAFETY: as above; the array has an address for every binding of the profile.
            unsafe {
                self.shared.object.check(
                    |s| &s.execution_context.enqueue_v2,
                    (bindings, scope.stream_raw(), no_event),
                )
            }
        }
    }

    /// Reports each layer's milliseconds of every run to `report`, or to nobody. A run that is
    /// reported is waited for by [`ExecutionContext::enqueue`], and so is every later one of the
    /// same context: make another for runs at full speed.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::MissingMethod`].
    pub fn set_profiler(&mut self, report: Option<LayerReport>) -> Result<(), TensorRtError> {
        let object = &self.shared.object;
        let mut kept = self
            .shared
            .profiler
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A profiler stays for the context's life: TensorRT 8.5.2 crashes in a run after
        // `setProfiler(nullptr)`.
        if let Some(profiler) = &*kept {
            profiler.report_to(report.unwrap_or_else(|| Box::new(|_, _| ())));
            return Ok(());
        }
        let Some(report) = report else {
            return Ok(());
        };
        let profiler = Profiler::new(object.api(), report);
        // SAFETY: the context is alive and ours alone; the profiler is kept beside it for its life.
        unsafe { object.call::<()>(|s| &s.execution_context.set_profiler, (profiler.as_ptr(),)) }?;
        *kept = Some(profiler);
        Ok(())
    }

    /// The binding of `tensor` in the profile in use.
    fn binding(&self, tensor: usize) -> Result<i32, TensorRtError> {
        let facts = self.engine.tensor(tensor)?;
        let per_profile = self.engine.io().len();
        facts
            .binding
            .and_then(|index| {
                let first = i32::try_from(self.profile.checked_mul(per_profile)?).ok()?;
                first.checked_add(index)
            })
            .ok_or_else(|| TensorRtError::EngineTensor {
                tensor: facts.name.clone(),
                reason: "it has no binding".to_owned(),
            })
    }

    /// Keeps the context alive in the scope, unless another stream may still run it.
    fn claim(&mut self, scope: &Scope<'_, '_>) -> Result<(), TensorRtError> {
        let stream = scope.stream_raw();
        if self.stream != stream && Arc::strong_count(&self.shared) > 1 {
            return Err(TensorRtError::Busy);
        }
        scope.context().make_current()?;
        self.stream = stream;
        scope.retain(Arc::clone(&self.shared) as _);
        Ok(())
    }

    fn check_sizes(&mut self, regions: &[Region]) -> Result<(), TensorRtError> {
        let io = self.engine.io();
        if regions.len() != io.len() {
            return Err(TensorRtError::RegionCount {
                expected: io.len(),
                given: regions.len(),
            });
        }
        if self.needed.is_empty() {
            let needed = (0..io.len()).map(|tensor| self.bytes_of(tensor));
            self.needed = needed.collect::<Result<_, _>>()?;
        }
        for ((tensor, region), &needed) in io.iter().zip(regions).zip(&self.needed) {
            let given = u64::try_from(region.len_bytes()).unwrap_or(u64::MAX);
            if given < needed {
                return Err(TensorRtError::Region {
                    tensor: tensor.name.clone(),
                    needed,
                    given,
                });
            }
        }
        Ok(())
    }

    fn bytes_of(&self, tensor: usize) -> Result<u64, TensorRtError> {
        let element = self.engine.tensor(tensor)?.element;
        let elements = self.tensor_shape(tensor)?;
        let bytes = elements.iter().fold(element, |a, &b| a.saturating_mul(b));
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    fn set_addresses(
        &mut self,
        scope: &Scope<'_, '_>,
        regions: &[Region],
    ) -> Result<(), TensorRtError> {
        self.addresses.resize(regions.len(), 0);
        let tensors = self.engine.io().iter().zip(regions);
        for ((tensor, region), set) in tensors.zip(&mut self.addresses) {
            let address = scope.admit(region, access(tensor.is_input))?;
            if *set == address {
                continue;
            }
            // SAFETY: the context is alive and ours alone; the name is read at once, the memory
            // when the run is enqueued, until when and after which the scope keeps it.
            unsafe {
                self.shared.object.check(
                    |s| &s.execution_context.set_tensor_address,
                    (&tensor.c_name, device(address)),
                )
            }?;
            *set = address;
        }
        Ok(())
    }

    fn set_bindings(
        &mut self,
        scope: &Scope<'_, '_>,
        regions: &[Region],
    ) -> Result<(), TensorRtError> {
        let count = regions.len().saturating_mul(self.engine.profile_count());
        self.bindings.resize(count, std::ptr::null_mut());
        for (index, region) in regions.iter().enumerate() {
            let is_input = self.engine.tensor(index)?.is_input;
            let address = scope.admit(region, access(is_input))?;
            let binding = usize::try_from(self.binding(index)?).unwrap_or(usize::MAX);
            let slot = self.bindings.get_mut(binding);
            *slot.ok_or(TensorRtError::Index {
                what: "binding",
                index: binding,
                count,
            })? = device(address);
        }
        Ok(())
    }
}

fn access(is_input: bool) -> Access {
    if is_input {
        Access::Read
    } else {
        Access::Write
    }
}

/// A device address as TensorRT takes it.
fn device(address: u64) -> *mut c_void {
    std::ptr::without_provenance_mut(usize::try_from(address).unwrap_or(0))
}
