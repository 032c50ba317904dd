use std::ffi::c_void;
use std::rc::Rc;

use crate::sys::{Api, Family, Handle, Monitor, Owned};
use crate::{HostMemory, OptimizationProfile, ProgressReport, TensorRtError};

/// `MemoryPoolType::kWORKSPACE`.
const WORKSPACE: i32 = 0;
/// `DeviceType::kDLA`.
const DLA: i32 = 1;
/// `ProfilingVerbosity::kDETAILED`.
const DETAILED: i32 = 2;

/// `BuilderFlag`, numbered anew by TensorRT 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    Fp16,
    Int8,
    GpuFallback,
    Tf32,
    ObeyPrecisions,
    PreferPrecisions,
}

impl Flag {
    fn code(self, family: Family) -> Option<i32> {
        match (self, family) {
            (Self::Fp16, Family::Trt8 | Family::Trt10) => Some(0),
            (Self::Int8, Family::Trt8 | Family::Trt10) => Some(1),
            (Self::GpuFallback, _) => Some(3),
            (Self::Tf32, Family::Trt8) => Some(7),
            (Self::Tf32, Family::Trt10 | Family::Rtx1) => Some(6),
            (Self::ObeyPrecisions, Family::Trt8) => Some(10),
            (Self::ObeyPrecisions, Family::Trt10) => Some(9),
            (Self::PreferPrecisions, Family::Trt8) => Some(11),
            (Self::PreferPrecisions, Family::Trt10) => Some(10),
            (
                Self::Fp16 | Self::Int8 | Self::ObeyPrecisions | Self::PreferPrecisions,
                Family::Rtx1,
            ) => None,
        }
    }
}

/// How an engine is to be built (`IBuilderConfig`). `'p` is what a progress monitor borrows.
#[derive(Debug)]
pub struct BuilderConfig<'p> {
    object: Owned,
    monitor: Option<Box<Monitor<'p>>>,
    timing_cache: Option<TimingCache>,
    builder: Rc<Owned>,
}

impl<'p> BuilderConfig<'p> {
    pub(crate) fn new(object: Owned, builder: Rc<Owned>) -> Self {
        Self {
            object,
            monitor: None,
            timing_cache: None,
            builder,
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        *self.object
    }

    fn api(&self) -> Api {
        self.object.api()
    }

    fn unsupported(&self, what: &str) -> TensorRtError {
        TensorRtError::Unsupported {
            what: what.to_owned(),
            version: self.api().version,
        }
    }

    fn set_flag(&mut self, flag: Flag, on: bool, what: &str) -> Result<(), TensorRtError> {
        let Some(code) = flag.code(self.api().family) else {
            return Err(self.unsupported(what));
        };
        if on {
            // SAFETY: the configuration is alive, on its thread.
            unsafe { self.object.call(|s| &s.builder_config.set_flag, (code,)) }
        } else {
            // SAFETY: as above.
            unsafe { self.object.call(|s| &s.builder_config.clear_flag, (code,)) }
        }
    }

    /// Most device memory that a layer may use while it runs: `setMemoryPoolLimit`, before
    /// TensorRT 8.4 `setMaxWorkspaceSize`.
    pub fn set_workspace_bytes(&mut self, bytes: u64) -> Result<(), TensorRtError> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if self.api().has(|s| &s.builder_config.set_memory_pool_limit) {
            // SAFETY: the configuration is alive, on its thread.
            unsafe {
                self.object.call(
                    |s| &s.builder_config.set_memory_pool_limit,
                    (WORKSPACE, bytes),
                )
            }
        } else {
            // SAFETY: as above.
            unsafe {
                self.object
                    .call(|s| &s.builder_config.set_max_workspace_size, (bytes,))
            }
        }
    }

    /// The limit that holds.
    pub fn workspace_bytes(&self) -> Result<u64, TensorRtError> {
        let bytes: usize = if self.api().has(|s| &s.builder_config.get_memory_pool_limit) {
            // SAFETY: the configuration is alive, on its thread.
            unsafe {
                self.object
                    .call(|s| &s.builder_config.get_memory_pool_limit, (WORKSPACE,))
            }?
        } else {
            // SAFETY: as above.
            unsafe {
                self.object
                    .call(|s| &s.builder_config.get_max_workspace_size, ())
            }?
        };
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// May layers compute in FP16? In TensorRT-RTX the network's types say so, and `true` is an
    /// error.
    pub fn set_fp16(&mut self, on: bool) -> Result<(), TensorRtError> {
        if !on && Flag::Fp16.code(self.api().family).is_none() {
            return Ok(());
        }
        self.set_flag(Flag::Fp16, on, "builder flag FP16")
    }

    /// Lets layers compute in INT8. Of use for a network that has ranges only, hence set where those
    /// are set ([`build_engine`](crate::build_engine)). Not in TensorRT-RTX.
    pub(crate) fn set_int8(&mut self) -> Result<(), TensorRtError> {
        self.set_flag(Flag::Int8, true, "builder flag INT8")
    }

    /// Whether the precisions that layers were given hold: with `obey` the build fails where there
    /// is no such kernel, else they are what the builder prefers. Not in TensorRT-RTX.
    pub(crate) fn set_precision_constraints(&mut self, obey: bool) -> Result<(), TensorRtError> {
        match obey {
            true => self.set_flag(
                Flag::ObeyPrecisions,
                true,
                "builder flag OBEY_PRECISION_CONSTRAINTS",
            ),
            false => self.set_flag(
                Flag::PreferPrecisions,
                true,
                "builder flag PREFER_PRECISION_CONSTRAINTS",
            ),
        }
    }

    /// May FP32 layers multiply in TF32? TensorRT's default is yes.
    pub fn set_tf32(&mut self, on: bool) -> Result<(), TensorRtError> {
        self.set_flag(Flag::Tf32, on, "builder flag TF32")
    }

    /// Which outside libraries may lend kernels (`setTacticSources`): bit 0 cuBLAS, 1 cuBLASLt,
    /// 2 cuDNN, 3 edge mask convolutions (8.4), 4 JIT convolutions (8.5).
    ///
    /// # Errors
    ///
    /// [`TensorRtError::Unsupported`] in TensorRT-RTX, whose sources are others.
    pub fn set_tactic_sources(&mut self, mask: u32) -> Result<(), TensorRtError> {
        if self.api().family == Family::Rtx1 {
            return Err(self.unsupported("choice of tactic sources"));
        }
        // SAFETY: the configuration is alive, on its thread.
        unsafe {
            self.object
                .check(|s| &s.builder_config.set_tactic_sources, (mask,))
        }
    }

    /// Runs layers on the deep learning accelerator `core`, and with `gpu_fallback` those that it
    /// lacks on the GPU.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::Unsupported`] where there is no such core.
    pub fn set_dla(&mut self, core: u32, gpu_fallback: bool) -> Result<(), TensorRtError> {
        // SAFETY: the builder is alive, on its thread.
        let cores: i32 = unsafe { self.builder.call(|s| &s.builder.get_nb_dla_cores, ()) }?;
        let Some(core) = i32::try_from(core).ok().filter(|&core| core < cores) else {
            return Err(self.unsupported(&format!("DLA core {core} here (it sees {cores})")));
        };
        // SAFETY: the configuration is alive, on its thread.
        unsafe {
            self.object
                .call::<()>(|s| &s.builder_config.set_default_device_type, (DLA,))
        }?;
        // SAFETY: as above.
        unsafe {
            self.object
                .call::<()>(|s| &s.builder_config.set_dla_core, (core,))
        }?;
        self.set_flag(Flag::GpuFallback, gpu_fallback, "builder flag GPU_FALLBACK")
    }

    /// Keeps in the engine what the inspector tells about layers (`kDETAILED`).
    pub fn set_detailed_profiling(&mut self) -> Result<(), TensorRtError> {
        // SAFETY: the configuration is alive, on its thread.
        unsafe {
            self.object
                .call(|s| &s.builder_config.set_profiling_verbosity, (DETAILED,))
        }
    }

    /// How long the builder searches, 0 to 5 (`setBuilderOptimizationLevel`, TensorRT 8.6).
    pub fn set_optimization_level(&mut self, level: u32) -> Result<(), TensorRtError> {
        let level = i32::try_from(level).unwrap_or(i32::MAX);
        // SAFETY: the configuration is alive, on its thread.
        unsafe {
            self.object.call(
                |s| &s.builder_config.set_builder_optimization_level,
                (level,),
            )
        }
    }

    /// Builds for one compute capability, so that it need not be this machine's (TensorRT-RTX).
    pub fn set_compute_capability(&mut self, major: u32, minor: u32) -> Result<(), TensorRtError> {
        let code = i32::try_from(u64::from(major) * 10 + u64::from(minor)).unwrap_or(i32::MAX);
        // SAFETY: the configuration is alive, on its thread.
        unsafe {
            self.object
                .check(|s| &s.builder_config.set_nb_compute_capabilities, (1i32,))
        }?;
        // SAFETY: as above.
        unsafe {
            self.object
                .check(|s| &s.builder_config.set_compute_capability, (code, 0i32))
        }
    }

    /// Adds a profile; its index is the number of profiles added before.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::CallFailed`] where it is incomplete.
    pub fn add_profile(&mut self, profile: &OptimizationProfile) -> Result<usize, TensorRtError> {
        let mark = self.api().logger.mark();
        // SAFETY: configuration and profile are alive, on their thread.
        let index: i32 = unsafe {
            self.object.call(
                |s| &s.builder_config.add_optimization_profile,
                (profile.handle(),),
            )
        }?;
        usize::try_from(index).map_err(|_| TensorRtError::CallFailed {
            call: "VBuilderConfig::addOptimizationProfile",
            version: self.api().version,
            log: self.api().logger.errors_since(mark),
        })
    }

    /// A cache of kernel timings from what [`TimingCache::serialize`] gave, or an empty one from
    /// no bytes.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::CallFailed`] where the bytes are not of this library's version.
    pub fn create_timing_cache(&self, bytes: &[u8]) -> Result<TimingCache, TensorRtError> {
        let data: *const c_void = match bytes {
            [] => std::ptr::null(),
            bytes => bytes.as_ptr().cast(),
        };
        // SAFETY: the configuration is alive, on its thread; the bytes are read during the call.
        let cache = unsafe {
            self.object.create(
                |s| &s.builder_config.create_timing_cache,
                (data, bytes.len()),
            )
        }?;
        // SAFETY: the cache is the caller's to delete.
        let cache = unsafe { Owned::new(cache) };
        Ok(TimingCache {
            object: Rc::new(cache),
            _builder: Rc::clone(&self.builder),
        })
    }

    /// Uses and extends `cache` when building; one from another device is refused.
    pub fn set_timing_cache(&mut self, cache: &TimingCache) -> Result<(), TensorRtError> {
        const IGNORE_MISMATCH: bool = false;
        // SAFETY: both are alive, on their thread, and the configuration keeps the cache.
        unsafe {
            self.object.check(
                |s| &s.builder_config.set_timing_cache,
                (**cache.object, IGNORE_MISMATCH),
            )
        }?;
        self.timing_cache = Some(cache.clone());
        Ok(())
    }

    /// The cache that was set.
    pub fn timing_cache(&self) -> Option<&TimingCache> {
        self.timing_cache.as_ref()
    }

    /// Does the version report a build's progress?
    pub fn has_progress(&self) -> bool {
        self.api().has(|s| &s.builder_config.set_progress_monitor)
    }

    /// Reports a build's progress to `report`, from the library's threads, one call at a time;
    /// where it returns `false` or panics, it is not called again, and the build is cancelled at
    /// its next step and fails.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::MissingMethod`] before TensorRT 10.
    pub fn set_progress(&mut self, report: ProgressReport<'p>) -> Result<(), TensorRtError> {
        let monitor = Monitor::new(self.api(), report);
        // SAFETY: the configuration keeps the monitor, and its drop deletes the library's
        // reference first.
        unsafe {
            self.object.call::<()>(
                |s| &s.builder_config.set_progress_monitor,
                (monitor.as_ptr(),),
            )
        }?;
        self.monitor = Some(monitor);
        Ok(())
    }
}

/// Timings of kernels on one device, which make later builds faster (`ITimingCache`). Copies are
/// the same cache.
#[derive(Debug, Clone)]
pub struct TimingCache {
    object: Rc<Owned>,
    _builder: Rc<Owned>,
}

impl TimingCache {
    /// The cache as bytes, for [`BuilderConfig::create_timing_cache`] of the same version.
    pub fn serialize(&self) -> Result<HostMemory, TensorRtError> {
        // SAFETY: the cache is alive, on its thread.
        let bytes = unsafe { self.object.create(|s| &s.timing_cache.serialize, ()) }?;
        // SAFETY: the memory is the caller's to delete.
        let bytes = unsafe { Owned::new(bytes) };
        // SAFETY: it is an `IHostMemory`.
        unsafe { HostMemory::new(bytes) }
    }

    /// Adds the entries of `other`, which may be of another device.
    pub fn combine(&mut self, other: &Self) -> Result<(), TensorRtError> {
        const IGNORE_MISMATCH: bool = false;
        // SAFETY: both are alive, on their thread.
        unsafe {
            self.object.check(
                |s| &s.timing_cache.combine,
                (**other.object, IGNORE_MISMATCH),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::fake;

    thread_local! {
        static CALLS: RefCell<Vec<(&'static str, usize)>> = const { RefCell::new(Vec::new()) };
    }

    fn called(method: &'static str, value: usize) {
        CALLS.with_borrow_mut(|calls| calls.push((method, value)));
    }

    unsafe extern "C" fn max_workspace(_this: *mut c_void, bytes: usize) {
        called("setMaxWorkspaceSize", bytes);
    }

    unsafe extern "C" fn memory_pool(_this: *mut c_void, pool: i32, bytes: usize) {
        assert_eq!(pool, 0);
        called("setMemoryPoolLimit", bytes);
    }

    unsafe extern "C" fn set_flag(_this: *mut c_void, flag: i32) {
        called("setFlag", usize::try_from(flag).unwrap());
    }

    unsafe extern "C" fn clear_flag(_this: *mut c_void, flag: i32) {
        called("clearFlag", usize::try_from(flag).unwrap());
    }

    #[test]
    fn each_version_is_called_by_its_own_methods_and_numbers() {
        for (major, minor, workspace, flags, tf32) in [
            (8, 2, (10, max_workspace as *const c_void), [14, 15], 7),
            (8, 4, (47, memory_pool as *const c_void), [14, 15], 7),
            (10, 0, (43, memory_pool as *const c_void), [10, 11], 6),
        ] {
            let object = fake::object(&[
                workspace,
                (flags[0], clear_flag as *const c_void),
                (flags[1], set_flag as *const c_void),
            ]);
            let handle = Handle::new(fake::api(major, minor), object).unwrap();
            // SAFETY: the object is laid out as a configuration, and never freed.
            let [config, builder] = [(); 2].map(|()| unsafe { Owned::new(handle) });
            let mut config = BuilderConfig::new(config, Rc::new(builder));
            config.set_workspace_bytes(5).unwrap();
            config.set_fp16(true).unwrap();
            config.set_tf32(false).unwrap();
            let name = if minor == 2 {
                "setMaxWorkspaceSize"
            } else {
                "setMemoryPoolLimit"
            };
            let calls = CALLS.take();
            assert_eq!(calls, [(name, 5), ("setFlag", 0), ("clearFlag", tf32)]);
            assert_eq!(config.has_progress(), major == 10);
        }
    }
}
