//! Page-locked memory of the host.

use std::fmt;
use std::ptr::NonNull;
use std::slice;

use cudarc::driver::sys::{
    CU_MEMHOSTALLOC_DEVICEMAP, CU_MEMHOSTALLOC_PORTABLE, CU_MEMHOSTALLOC_WRITECOMBINED,
};

use crate::sys::HostMemory;
use crate::{Context, CudaError};

/// Page-locked memory of the host: copies to and from the device run at full speed and do not hold
/// up the host, and where the device can map it
/// ([`DeviceInfo::can_map_host_memory`](crate::DeviceInfo::can_map_host_memory)) kernels use it in
/// place through [`Scope::device_region`](crate::Scope::device_region).
pub struct PinnedBuffer {
    context: Context,
    memory: Option<HostMemory>,
    len: usize,
    device_address: Option<u64>,
}

impl PinnedBuffer {
    /// Allocates `len_bytes` zeros. With `write_combined` the memory bypasses the CPU's caches:
    /// good for what the CPU only writes, in order; very slow to read.
    ///
    /// # Errors
    /// [`CudaError::OutOfPinnedMemory`] and [`CudaError::Call`].
    pub fn new(
        context: &Context,
        len_bytes: usize,
        write_combined: bool,
    ) -> Result<Self, CudaError> {
        let mut buffer = Self {
            context: context.clone(),
            memory: None,
            len: len_bytes,
            device_address: None,
        };
        if len_bytes == 0 {
            return Ok(buffer);
        }
        let mapped = context.device().can_map_host_memory;
        let mut flags = CU_MEMHOSTALLOC_PORTABLE;
        if mapped {
            flags |= CU_MEMHOSTALLOC_DEVICEMAP;
        }
        if write_combined {
            flags |= CU_MEMHOSTALLOC_WRITECOMBINED;
        }
        let memory = HostMemory::allocate(context, len_bytes, flags)?;
        // SAFETY: the allocation has `len_bytes` bytes and nobody else knows it yet.
        unsafe { memory.start().cast::<u8>().write_bytes(0, len_bytes) };
        if mapped {
            let device_address = memory.device_address()?;
            context.add_mapped(memory.start().addr().get(), len_bytes, device_address);
            buffer.device_address = Some(device_address);
        }
        buffer.memory = Some(memory);
        Ok(buffer)
    }

    /// Its length in bytes.
    pub fn len_bytes(&self) -> usize {
        self.len
    }

    /// Whether kernels can use it in place.
    pub fn is_mapped(&self) -> bool {
        self.device_address.is_some()
    }

    /// The context that it was allocated in.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is the start of `len` initialized bytes, or dangling with a length of 0.
        // The device writes them only while a scope has borrowed them mutably.
        unsafe { slice::from_raw_parts(self.start().as_ptr(), self.len) }
    }

    /// Its bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `self` is borrowed mutably, so nobody else has them, and the
        // device uses them only while a scope has borrowed them.
        unsafe { slice::from_raw_parts_mut(self.start().as_ptr(), self.len) }
    }

    fn start(&self) -> NonNull<u8> {
        match &self.memory {
            Some(memory) => memory.start().cast(),
            None => NonNull::dangling(),
        }
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        if self.is_mapped() {
            self.context.remove_mapped(self.start().addr().get());
        }
    }
}

impl fmt::Debug for PinnedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedBuffer")
            .field("len_bytes", &self.len)
            .field("is_mapped", &self.is_mapped())
            .finish_non_exhaustive()
    }
}
