use std::ops::Deref;

use crate::TensorRtError;
use crate::sys::Owned;

/// Bytes that the library allocated (`IHostMemory`): a serialized engine or timing cache.
#[derive(Debug)]
pub struct HostMemory {
    object: Owned,
    data: *const u8,
    len: usize,
}

// SAFETY: the object is only read, and freed once, from any thread.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// # Safety
    ///
    /// `object` is an `IHostMemory`.
    pub(crate) unsafe fn new(object: Owned) -> Result<Self, TensorRtError> {
        // SAFETY: the caller says that it is an `IHostMemory`.
        let data: *mut std::ffi::c_void = unsafe { object.call(|s| &s.host_memory.data, ()) }?;
        // SAFETY: as above.
        let len: usize = unsafe { object.call(|s| &s.host_memory.size, ()) }?;
        Ok(Self {
            object,
            data: data.cast_const().cast(),
            len,
        })
    }

    /// The library's version that made them.
    pub fn version(&self) -> crate::Version {
        self.object.api().version
    }
}

impl Deref for HostMemory {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        if self.data.is_null() || self.len == 0 {
            return &[];
        }
        // SAFETY: the object owns that many bytes at `data`, unchanged as long as it lives.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl AsRef<[u8]> for HostMemory {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
