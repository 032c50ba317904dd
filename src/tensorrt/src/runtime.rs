use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::{Family, Owned};
use crate::{Engine, Library, TensorRtError, Version};

/// Makes engines from their serialized form (`IRuntime`). It needs a CUDA driver and a GPU.
///
/// TensorRT works in the calling thread's CUDA context, so make that current first
/// ([`tfjet_cuda::Context::make_current`]); else it takes device 0.
///
/// `Send` and `Sync`: engines are made one at a time.
#[derive(Debug)]
pub struct Runtime {
    shared: Arc<Shared>,
}

/// The runtime, which its engines keep alive.
#[derive(Debug)]
pub(crate) struct Shared {
    object: Owned,
    lock: Mutex<()>,
}

// SAFETY: TensorRT's runtime may be used from any thread; what changes it is behind `lock`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Runtime {
    /// A runtime of the library.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::CallFailed`] with the library's words, such as where there is no driver;
    /// [`TensorRtError::SelfCheck`] where the library is not what it says.
    pub fn new(library: &Library) -> Result<Self, TensorRtError> {
        Ok(Self {
            shared: Arc::new(Shared {
                object: library.create_runtime()?,
                lock: Mutex::new(()),
            }),
        })
    }

    /// The library's version.
    pub fn version(&self) -> Version {
        self.shared.object.api().version
    }

    /// Which deep learning accelerator engines made from now on use, if they were built for one.
    pub fn set_dla_core(&mut self, core: u32) -> Result<(), TensorRtError> {
        let Shared { object, lock } = &*self.shared;
        let _one_at_a_time = lock.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the runtime is alive, and no other thread is inside.
        let cores: i32 = unsafe { object.call(|s| &s.runtime.get_nb_dla_cores, ()) }?;
        let Some(core) = i32::try_from(core).ok().filter(|&core| core < cores) else {
            return Err(TensorRtError::Unsupported {
                what: format!("DLA core {core} here (it sees {cores})"),
                version: object.api().version,
            });
        };
        // SAFETY: as above.
        unsafe { object.call(|s| &s.runtime.set_dla_core, (core,)) }
    }

    /// The engine that `bytes` hold (`deserializeCudaEngine`). They must be trusted: TensorRT
    /// checks their version and GPU, but they hold code. They are not needed afterwards.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::CallFailed`] with the library's words for an engine of another version or
    /// GPU, or a damaged one; [`TensorRtError::EngineTensor`] for an input or output that is not in
    /// device memory in row-major order.
    pub fn deserialize(&self, bytes: &[u8]) -> Result<Engine, TensorRtError> {
        let Shared { object, lock } = &*self.shared;
        let data: *const c_void = bytes.as_ptr().cast();
        let engine = {
            let _one_at_a_time = lock.lock().unwrap_or_else(PoisonError::into_inner);
            match object.api().family {
                Family::Trt8 => {
                    let no_plugins: *mut c_void = std::ptr::null_mut();
                    // SAFETY: the runtime is alive, the bytes are read during the call.
                    unsafe {
                        object.create(
                            |s| &s.runtime.deserialize_cuda_engine,
                            (data, bytes.len(), no_plugins),
                        )
                    }?
                }
                // SAFETY: as above.
                Family::Trt10 | Family::Rtx1 => unsafe {
                    object.create(|s| &s.runtime.deserialize_cuda_engine, (data, bytes.len()))
                }?,
            }
        };
        // SAFETY: the engine is the caller's to delete, and keeps the runtime.
        let engine = unsafe { Owned::new(engine) };
        Engine::new(engine, Arc::clone(&self.shared))
    }
}
