//! A stream, and what can be enqueued on it.

use std::ffi::{c_uint, c_void};
use std::ptr;

use cudarc::driver::sys::{CUstream_flags, CUstreamCaptureMode};

use super::CUstream;
use super::context::freed;
use super::event::EventHandle;
use super::graph::GraphTemplate;
use super::module::FunctionHandle;
use crate::{Context, CudaError};

/// A stream that does not wait for the default stream.
pub(crate) struct StreamHandle {
    context: Context,
    raw: CUstream,
}

// SAFETY: a stream may be used from any thread, by one at a time.
unsafe impl Send for StreamHandle {}

impl StreamHandle {
    pub(crate) fn create(context: &Context) -> Result<Self, CudaError> {
        context.make_current()?;
        let api = context.driver().api();
        let mut raw = ptr::null_mut();
        let flags = CUstream_flags::CU_STREAM_NON_BLOCKING as c_uint;
        // SAFETY: writes one pointer.
        let code = unsafe { (api.cuStreamCreate)(&raw mut raw, flags) };
        api.check("cuStreamCreate", code)?;
        Ok(Self {
            context: context.clone(),
            raw,
        })
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn raw(&self) -> CUstream {
        self.raw
    }

    pub(crate) fn synchronize(&self) -> Result<(), CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        // SAFETY: the stream is alive.
        let code = unsafe { (api.cuStreamSynchronize)(self.raw) };
        api.check("cuStreamSynchronize", code)
    }

    /// Everything enqueued from now on waits for what `event` recorded last.
    pub(crate) fn wait(&self, event: &EventHandle) -> Result<(), CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        // SAFETY: both are alive, and the driver keeps what it needs of the event.
        let code = unsafe { (api.cuStreamWaitEvent)(self.raw, event.raw, 0) };
        api.check("cuStreamWaitEvent", code)
    }

    pub(crate) fn record(&self, event: &EventHandle) -> Result<(), CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        // SAFETY: both are alive and of one context, which the scope checks.
        let code = unsafe { (api.cuEventRecord)(event.raw, self.raw) };
        api.check("cuEventRecord", code)
    }

    pub(crate) fn begin_capture(&self) -> Result<(), CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        let begin = api.optional("cuStreamBeginCapture_v2", api.cuStreamBeginCapture_v2)?;
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL as c_uint;
        // SAFETY: the stream is alive.
        let code = unsafe { begin(self.raw, mode) };
        api.check("cuStreamBeginCapture_v2", code)
    }

    pub(crate) fn end_capture(&self) -> Result<GraphTemplate, CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        let end = api.optional("cuStreamEndCapture", api.cuStreamEndCapture)?;
        let mut raw = ptr::null_mut();
        // SAFETY: writes one pointer; the stream is alive.
        let code = unsafe { end(self.raw, &raw mut raw) };
        api.check("cuStreamEndCapture", code)?;
        // SAFETY: the capture made the graph for its caller.
        Ok(unsafe { GraphTemplate::own(&self.context, raw) })
    }

    /// Enqueues a copy to the device.
    ///
    /// # Safety
    /// `from` stays alive and unchanged, and `to` alive with room for it, until the copy finished.
    pub(crate) unsafe fn upload(&self, to: u64, from: &[u8]) -> Result<(), CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        // SAFETY: the caller's promise.
        let code =
            unsafe { (api.cuMemcpyHtoDAsync_v2)(to, from.as_ptr().cast(), from.len(), self.raw) };
        api.check("cuMemcpyHtoDAsync_v2", code)
    }

    /// Enqueues a copy to the host.
    ///
    /// # Safety
    /// `to` stays alive and unused, and `from` alive with as many bytes, until the copy finished.
    pub(crate) unsafe fn download(&self, to: &mut [u8], from: u64) -> Result<(), CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        // SAFETY: the caller's promise.
        let code =
            unsafe { (api.cuMemcpyDtoHAsync_v2)(to.as_mut_ptr().cast(), from, to.len(), self.raw) };
        api.check("cuMemcpyDtoHAsync_v2", code)
    }

    /// Enqueues a copy within the device.
    ///
    /// # Safety
    /// Both ranges stay alive until the copy finished.
    pub(crate) unsafe fn copy(&self, to: u64, from: u64, len: usize) -> Result<(), CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        // SAFETY: the caller's promise.
        let code = unsafe { (api.cuMemcpyDtoDAsync_v2)(to, from, len, self.raw) };
        api.check("cuMemcpyDtoDAsync_v2", code)
    }

    /// Enqueues the writing of zeros.
    ///
    /// # Safety
    /// The range stays alive until that has finished.
    pub(crate) unsafe fn fill_zero(&self, to: u64, len: usize) -> Result<(), CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        // SAFETY: the caller's promise.
        let code = unsafe { (api.cuMemsetD8Async)(to, 0, len, self.raw) };
        api.check("cuMemsetD8Async", code)
    }

    /// Enqueues a kernel, whose arguments are copied before the call returns.
    ///
    /// # Safety
    /// `arguments` point to what the kernel declares, and whatever it reads and writes stays alive
    /// until it has finished.
    pub(crate) unsafe fn launch(
        &self,
        function: FunctionHandle,
        grid: (u32, u32, u32),
        block: (u32, u32, u32),
        arguments: &mut [*mut c_void],
    ) -> Result<(), CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        // SAFETY: the caller's promise; the function's module is loaded while it is in use.
        let code = unsafe {
            (api.cuLaunchKernel)(
                function.0,
                grid.0,
                grid.1,
                grid.2,
                block.0,
                block.1,
                block.2,
                0,
                self.raw,
                arguments.as_mut_ptr(),
                ptr::null_mut(),
            )
        };
        api.check("cuLaunchKernel", code)
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        let driver = self.context.driver();
        if self.context.make_current().is_ok() {
            // SAFETY: created by `create`; the driver finishes what is still enqueued.
            let code = unsafe { (driver.api().cuStreamDestroy_v2)(self.raw) };
            freed(driver, "cuStreamDestroy_v2", code);
        }
    }
}
