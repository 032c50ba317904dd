//! Memory of the device, and page-locked memory of the host.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{self, NonNull};

use cudarc::driver::sys::CUstreamCaptureMode;

use super::context::freed;
use super::{CUdeviceptr, CUresult};
use crate::{Context, CudaError, Driver};

/// Memory of the device.
pub(crate) struct DeviceMemory {
    context: Context,
    address: CUdeviceptr,
}

impl DeviceMemory {
    /// `len` bytes, at least 1.
    pub(crate) fn allocate(context: &Context, len: usize) -> Result<Self, CudaError> {
        context.make_current()?;
        let api = context.driver().api();
        let mut address = 0;
        // SAFETY: writes one address.
        let code = unsafe { (api.cuMemAlloc_v2)(&raw mut address, len) };
        if code == CUresult::CUDA_ERROR_OUT_OF_MEMORY as c_int {
            let (free, total) = context.memory()?;
            return Err(CudaError::OutOfMemory {
                requested: len as u64,
                free,
                total,
            });
        }
        api.check("cuMemAlloc_v2", code)?;
        Ok(Self {
            context: context.clone(),
            address,
        })
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        let driver = self.context.driver();
        if self.context.make_current().is_ok() {
            let _mode = RelaxedCapture::enter(driver);
            // SAFETY: allocated by `allocate`. Work that uses it keeps it alive until it has
            // finished, see `Scope::retain`.
            let code = unsafe { (driver.api().cuMemFree_v2)(self.address) };
            freed(driver, "cuMemFree_v2", code);
        }
    }
}

/// Page-locked memory of the host.
pub(crate) struct HostMemory {
    context: Context,
    start: NonNull<c_void>,
}

// SAFETY: plain memory, which any thread may use and free; its owner alone gives access to it.
unsafe impl Send for HostMemory {}
// SAFETY: as above; `&HostMemory` gives no access to the bytes.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// `len` bytes, at least 1, with `CU_MEMHOSTALLOC` flags.
    pub(crate) fn allocate(context: &Context, len: usize, flags: u32) -> Result<Self, CudaError> {
        context.make_current()?;
        let api = context.driver().api();
        let mut start = ptr::null_mut();
        // SAFETY: writes one pointer.
        let code = unsafe { (api.cuMemHostAlloc)(&raw mut start, len, flags) };
        let out_of_memory = CudaError::OutOfPinnedMemory {
            requested: len as u64,
        };
        if code == CUresult::CUDA_ERROR_OUT_OF_MEMORY as c_int {
            return Err(out_of_memory);
        }
        api.check("cuMemHostAlloc", code)?;
        Ok(Self {
            context: context.clone(),
            start: NonNull::new(start).ok_or(out_of_memory)?,
        })
    }

    pub(crate) fn start(&self) -> NonNull<c_void> {
        self.start
    }

    /// Where the device sees the memory, which must have been allocated as mapped.
    pub(crate) fn device_address(&self) -> Result<u64, CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        let mut address = 0;
        // SAFETY: writes one address; the memory is alive.
        let code =
            unsafe { (api.cuMemHostGetDevicePointer_v2)(&raw mut address, self.start.as_ptr(), 0) };
        api.check("cuMemHostGetDevicePointer_v2", code)?;
        Ok(address)
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        let driver = self.context.driver();
        if self.context.make_current().is_ok() {
            let _mode = RelaxedCapture::enter(driver);
            // SAFETY: allocated by `allocate`; its owner's borrows have ended.
            let code = unsafe { (driver.api().cuMemFreeHost)(self.start.as_ptr()) };
            freed(driver, "cuMemFreeHost", code);
        }
    }
}

/// Lets this thread free memory while a stream of it is capturing.
pub(super) struct RelaxedCapture<'a> {
    driver: &'a Driver,
    before: Option<c_uint>,
}

impl<'a> RelaxedCapture<'a> {
    pub(super) fn enter(driver: &'a Driver) -> Self {
        let relaxed = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED as c_uint;
        Self {
            driver,
            before: exchange_mode(driver, relaxed),
        }
    }
}

impl Drop for RelaxedCapture<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            exchange_mode(self.driver, before);
        }
    }
}

fn exchange_mode(driver: &Driver, mut mode: c_uint) -> Option<c_uint> {
    let exchange = driver.api().cuThreadExchangeStreamCaptureMode?;
    // SAFETY: reads and writes one enumeration, whose value is one of its own.
    let code = unsafe { exchange(&raw mut mode) };
    (code == 0).then_some(mode)
}
