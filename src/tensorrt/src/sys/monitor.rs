//! `IProgressMonitor`: how far a build is. TensorRT 10 and TensorRT-RTX have it.

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Api;
use super::interface::{InterfaceInfo, Vtable, api_language};
use crate::{ProgressEvent, ProgressReport};

/// The object that the library reports to. It must outlive its use by the library.
#[repr(C)]
pub(crate) struct Monitor<'p> {
    vptr: *const c_void,
    vtable: Vtable,
    report: Mutex<ProgressReport<'p>>,
    cancelled: AtomicBool,
}

// SAFETY: `vptr` points to the object's own `vtable`, which never changes.
unsafe impl Send for Monitor<'_> {}
// SAFETY: as above; the closure is behind a lock.
unsafe impl Sync for Monitor<'_> {}

impl<'p> Monitor<'p> {
    pub(crate) fn new(api: Api, report: ProgressReport<'p>) -> Box<Self> {
        let vtable = Vtable::new(
            api.family.slots(),
            api.version,
            &[
                (
                    |s| &s.progress_monitor.phase_start,
                    phase_start as *const c_void,
                ),
                (
                    |s| &s.progress_monitor.step_complete,
                    step_complete as *const c_void,
                ),
                (
                    |s| &s.progress_monitor.phase_finish,
                    phase_finish as *const c_void,
                ),
                (
                    |s| &s.progress_monitor.get_api_language,
                    api_language as *const c_void,
                ),
                (
                    |s| &s.progress_monitor.get_interface_info,
                    interface_info as *const c_void,
                ),
            ],
        );
        let mut monitor = Box::new(Self {
            vptr: std::ptr::null(),
            vtable,
            report: Mutex::new(report),
            cancelled: AtomicBool::new(false),
        });
        monitor.vptr = monitor.vtable.as_ptr();
        monitor
    }

    /// As the library takes it.
    pub(crate) fn as_ptr(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Reports the event, unless the build was told to stop: then, or where the report says so or
    /// panics, `false`.
    fn send(&self, event: ProgressEvent<'_>) -> bool {
        if self.cancelled.load(Ordering::Relaxed) {
            return false;
        }
        let goes_on = catch_unwind(AssertUnwindSafe(|| {
            let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            report(event)
        }))
        .unwrap_or(false);
        if !goes_on {
            self.cancelled.store(true, Ordering::Relaxed);
        }
        goes_on
    }
}

impl std::fmt::Debug for Monitor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

/// The monitor and a name.
///
/// # Safety
///
/// `this` is a monitor that the library was given, alive, and `text` null or a C string.
unsafe fn receiver<'a>(
    this: *mut c_void,
    text: *const c_char,
) -> Option<(&'a Monitor<'a>, std::borrow::Cow<'a, str>)> {
    if this.is_null() {
        return None;
    }
    // SAFETY: the caller's.
    let monitor = unsafe { &*this.cast::<Monitor<'a>>() };
    // SAFETY: the caller's.
    let text = unsafe { text_of(text) }.unwrap_or_default();
    Some((monitor, text))
}

/// # Safety
///
/// `text` is null or a C string that lives for `'a`.
unsafe fn text_of<'a>(text: *const c_char) -> Option<std::borrow::Cow<'a, str>> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy())
}

unsafe extern "C" fn phase_start(
    this: *mut c_void,
    phase: *const c_char,
    parent: *const c_char,
    steps: i32,
) {
    // SAFETY: called by the library with the monitor that it was given and C strings.
    let receiver = unsafe { receiver(this, phase) };
    // SAFETY: null or a C string of the library.
    let parent = unsafe { text_of(parent) };
    if let Some((monitor, phase)) = receiver {
        monitor.send(ProgressEvent::Start {
            phase: &phase,
            parent: parent.as_deref(),
            steps: u32::try_from(steps).unwrap_or(0),
        });
    }
}

unsafe extern "C" fn step_complete(this: *mut c_void, phase: *const c_char, step: i32) -> bool {
    // SAFETY: called by the library with the monitor that it was given and a C string.
    let receiver = unsafe { receiver(this, phase) };
    receiver.is_none_or(|(monitor, phase)| {
        monitor.send(ProgressEvent::Step {
            phase: &phase,
            step: u32::try_from(step).unwrap_or(0),
        })
    })
}

unsafe extern "C" fn phase_finish(this: *mut c_void, phase: *const c_char) {
    // SAFETY: called by the library with the monitor that it was given and a C string.
    let receiver = unsafe { receiver(this, phase) };
    if let Some((monitor, phase)) = receiver {
        monitor.send(ProgressEvent::Finish { phase: &phase });
    }
}

unsafe extern "C" fn interface_info(_this: *mut c_void) -> InterfaceInfo {
    InterfaceInfo::new(c"IProgressMonitor")
}
