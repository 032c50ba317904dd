//! The primary context of a device.

use std::ffi::c_int;
use std::ptr;

use super::{CUcontext, CUdevice, CUresult};
use crate::{CudaError, Driver};

/// Reports a failure to free; there is nobody to return it to.
pub(super) fn freed(driver: &Driver, call: &'static str, code: c_int) {
    let ended = code == CUresult::CUDA_ERROR_DEINITIALIZED as c_int;
    if let Err(error) = driver.api().check(call, code)
        && !ended
    {
        tracing::warn!("{error}");
    }
}

/// The primary context of a device, retained.
pub(crate) struct PrimaryContext {
    driver: Driver,
    device: CUdevice,
    raw: CUcontext,
}

// SAFETY: a context may be current on several threads at once and be released on any; the driver
// locks what it changes.
unsafe impl Send for PrimaryContext {}
// SAFETY: as above.
unsafe impl Sync for PrimaryContext {}

impl PrimaryContext {
    pub(crate) fn retain(driver: &Driver, index: u32) -> Result<Self, CudaError> {
        let api = driver.api();
        let device = api.device(index)?;
        let mut raw = ptr::null_mut();
        // SAFETY: writes one pointer; the device exists.
        let code = unsafe { (api.cuDevicePrimaryCtxRetain)(&raw mut raw, device) };
        api.check("cuDevicePrimaryCtxRetain", code)?;
        Ok(Self {
            driver: driver.clone(),
            device,
            raw,
        })
    }

    pub(crate) fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Which context it is; equal for all owners of a device's primary context.
    pub(crate) fn id(&self) -> usize {
        self.raw.addr()
    }

    /// Makes it the context of the calling thread.
    pub(crate) fn make_current(&self) -> Result<(), CudaError> {
        let api = self.driver.api();
        // SAFETY: the context is retained.
        let code = unsafe { (api.cuCtxSetCurrent)(self.raw) };
        api.check("cuCtxSetCurrent", code)
    }

    /// Free and total bytes of the device.
    pub(crate) fn memory(&self) -> Result<(u64, u64), CudaError> {
        self.make_current()?;
        let api = self.driver.api();
        let (mut free, mut total) = (0, 0);
        // SAFETY: writes two integers.
        let code = unsafe { (api.cuMemGetInfo_v2)(&raw mut free, &raw mut total) };
        api.check("cuMemGetInfo_v2", code)?;
        Ok((free as u64, total as u64))
    }
}

impl Drop for PrimaryContext {
    fn drop(&mut self) {
        let api = self.driver.api();
        let (call, release) = match api.cuDevicePrimaryCtxRelease_v2 {
            Some(release) => ("cuDevicePrimaryCtxRelease_v2", Some(release)),
            None => ("cuDevicePrimaryCtxRelease", api.cuDevicePrimaryCtxRelease),
        };
        if let Some(release) = release {
            // SAFETY: retained once by `retain`; every object of the context keeps `self` alive.
            freed(&self.driver, call, unsafe { release(self.device) });
        }
    }
}
