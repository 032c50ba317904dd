//! Events.

use std::ffi::{c_int, c_uint};
use std::ptr;

use cudarc::driver::sys::CUevent_flags;

use super::context::freed;
use super::{CUevent, CUresult};
use crate::{Context, CudaError};

/// A point in a stream's work.
pub(crate) struct EventHandle {
    context: Context,
    pub(super) raw: CUevent,
}

// SAFETY: the driver lets any threads use an event at the same time.
unsafe impl Send for EventHandle {}
// SAFETY: as above.
unsafe impl Sync for EventHandle {}

impl EventHandle {
    pub(crate) fn create(context: &Context, timed: bool) -> Result<Self, CudaError> {
        context.make_current()?;
        let api = context.driver().api();
        let flags = match timed {
            true => CUevent_flags::CU_EVENT_DEFAULT,
            false => CUevent_flags::CU_EVENT_DISABLE_TIMING,
        };
        let mut raw = ptr::null_mut();
        // SAFETY: writes one pointer.
        let code = unsafe { (api.cuEventCreate)(&raw mut raw, flags as c_uint) };
        api.check("cuEventCreate", code)?;
        Ok(Self {
            context: context.clone(),
            raw,
        })
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn synchronize(&self) -> Result<(), CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        // SAFETY: the event is alive.
        let code = unsafe { (api.cuEventSynchronize)(self.raw) };
        api.check("cuEventSynchronize", code)
    }

    /// Milliseconds from `since` to this one.
    pub(crate) fn elapsed_ms(&self, since: &Self) -> Result<f32, CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        let mut elapsed = 0.0;
        // SAFETY: writes one number; both events are alive.
        let code = unsafe { (api.cuEventElapsedTime)(&raw mut elapsed, since.raw, self.raw) };
        if code == CUresult::CUDA_ERROR_INVALID_HANDLE as c_int {
            return Err(CudaError::NoTime {
                reason: "it was not recorded",
            });
        }
        api.check("cuEventElapsedTime", code)?;
        Ok(elapsed)
    }
}

impl Drop for EventHandle {
    fn drop(&mut self) {
        let driver = self.context.driver();
        if self.context.make_current().is_ok() {
            // SAFETY: created by `create`; the driver keeps what pending work needs of it.
            let code = unsafe { (driver.api().cuEventDestroy_v2)(self.raw) };
            freed(driver, "cuEventDestroy_v2", code);
        }
    }
}
