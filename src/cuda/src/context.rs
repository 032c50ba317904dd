//! The primary context of a device.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::PrimaryContext;
use crate::{CudaError, DeviceInfo, Driver};

/// A device's primary context, which CUDA's runtime and TensorRT use too. Clones share it; it is
/// released when the last of them and of everything made in it is dropped.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    primary: PrimaryContext,
    device: DeviceInfo,
    mapped: Mutex<BTreeMap<usize, Mapped>>,
}

/// Page-locked memory that is alive: its length, and where the device sees it.
#[derive(Clone, Copy)]
struct Mapped {
    len: usize,
    device_address: u64,
}

impl Context {
    /// Makes the context of GPU `device` usable, and current on this thread.
    ///
    /// # Errors
    /// [`CudaError::DeviceIndex`] for a device that is not there, and [`CudaError::Call`].
    pub fn new(driver: &Driver, device: u32) -> Result<Self, CudaError> {
        let count = driver.device_count()?;
        if device >= count {
            return Err(CudaError::DeviceIndex {
                index: device,
                count,
            });
        }
        let context = Self(Arc::new(Inner {
            primary: PrimaryContext::retain(driver, device)?,
            device: DeviceInfo::read(driver, device)?,
            mapped: Mutex::default(),
        }));
        context.make_current()?;
        Ok(context)
    }

    /// The GPU.
    pub fn device(&self) -> &DeviceInfo {
        &self.0.device
    }

    /// The driver.
    pub fn driver(&self) -> &Driver {
        self.0.primary.driver()
    }

    /// Free and total bytes of the device's memory.
    ///
    /// # Errors
    /// [`CudaError::Call`]
    pub fn memory(&self) -> Result<(u64, u64), CudaError> {
        self.0.primary.memory()
    }

    /// Makes this the calling thread's context, as libraries beside this one expect it. Everything
    /// in this crate does so itself.
    ///
    /// # Errors
    /// [`CudaError::Call`]
    pub fn make_current(&self) -> Result<(), CudaError> {
        self.0.primary.make_current()
    }

    /// Which context it is; equal for all contexts of a device.
    pub(crate) fn id(&self) -> usize {
        self.0.primary.id()
    }

    pub(crate) fn add_mapped(&self, start: usize, len: usize, device_address: u64) {
        let mapped = Mapped {
            len,
            device_address,
        };
        self.mapped().insert(start, mapped);
    }

    pub(crate) fn remove_mapped(&self, start: usize) {
        self.mapped().remove(&start);
    }

    /// Where the device sees `len` bytes at `start`, if all of them are in mapped memory.
    pub(crate) fn device_address(&self, start: usize, len: usize) -> Option<u64> {
        let mapped = self.mapped();
        let (first, range) = mapped.range(..=start).next_back()?;
        let offset = start - first;
        let inside = offset.checked_add(len)? <= range.len;
        inside.then(|| range.device_address + offset as u64)
    }

    fn mapped(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Mapped>> {
        self.0.mapped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("device", &self.0.device)
            .finish_non_exhaustive()
    }
}
