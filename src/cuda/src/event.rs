//! Events: points in the work of a stream.

use std::fmt;

use crate::sys::EventHandle;
use crate::{Context, CudaError};

/// A point in the work of a stream, recorded by [`Scope::record`](crate::Scope::record).
pub struct Event {
    handle: EventHandle,
    timed: bool,
}

impl Event {
    /// An event; only one that is `timed` can tell the time between two of them, which makes
    /// recording and waiting slower.
    ///
    /// # Errors
    /// [`CudaError::Call`]
    pub fn new(context: &Context, timed: bool) -> Result<Self, CudaError> {
        Ok(Self {
            handle: EventHandle::create(context, timed)?,
            timed,
        })
    }

    /// Waits until the device has reached what was recorded last; returns at once where nothing
    /// was.
    ///
    /// # Errors
    /// [`CudaError::Call`], also for work before it that failed.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.handle.synchronize()
    }

    /// Milliseconds of the device's time from `since` to this event, after waiting for both.
    /// Resolution is about half a microsecond.
    ///
    /// # Errors
    /// [`CudaError::NoTime`] where one is not timed or was not recorded, and [`CudaError::Call`].
    pub fn elapsed_ms(&self, since: &Self) -> Result<f32, CudaError> {
        if !self.timed || !since.timed {
            return Err(CudaError::NoTime {
                reason: "it was made without timing",
            });
        }
        if self.handle.context().id() != since.handle.context().id() {
            return Err(CudaError::ForeignContext { what: "an event" });
        }
        since.synchronize()?;
        self.synchronize()?;
        self.handle.elapsed_ms(&since.handle)
    }

    pub(crate) fn handle(&self) -> &EventHandle {
        &self.handle
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("timed", &self.timed)
            .finish_non_exhaustive()
    }
}
