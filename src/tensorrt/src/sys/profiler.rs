//! `IProfiler`: the time that each layer took.

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use super::Api;
use super::interface::{InterfaceInfo, Vtable, api_language};
use crate::LayerReport;

/// The object that the library reports to. It must outlive its use by the library.
#[repr(C)]
pub(crate) struct Profiler {
    vptr: *const c_void,
    vtable: Vtable,
    report: Mutex<LayerReport>,
}

// SAFETY: `vptr` points to the object's own `vtable`, which never changes.
unsafe impl Send for Profiler {}
// SAFETY: as above; the closure is behind a lock.
unsafe impl Sync for Profiler {}

impl Profiler {
    pub(crate) fn new(api: Api, report: LayerReport) -> Box<Self> {
        let vtable = Vtable::new(
            api.family.slots(),
            api.version,
            &[
                (
                    |s| &s.profiler.report_layer_time,
                    report_layer_time as *const c_void,
                ),
                (
                    |s| &s.profiler.get_api_language,
                    api_language as *const c_void,
                ),
                (
                    |s| &s.profiler.get_interface_info,
                    interface_info as *const c_void,
                ),
            ],
        );
        let mut profiler = Box::new(Self {
            vptr: std::ptr::null(),
            vtable,
            report: Mutex::new(report),
        });
        profiler.vptr = profiler.vtable.as_ptr();
        profiler
    }

    /// Reports to another from now on.
    pub(crate) fn report_to(&self, report: LayerReport) {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }

    /// As the library takes it.
    pub(crate) fn as_ptr(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}

impl std::fmt::Debug for Profiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profiler").finish_non_exhaustive()
    }
}

unsafe extern "C" fn report_layer_time(this: *mut c_void, name: *const c_char, ms: f32) {
    if this.is_null() || name.is_null() {
        return;
    }
    // SAFETY: `this` is the profiler that was given to the library, alive while it is set.
    let profiler = unsafe { &*this.cast::<Profiler>() };
    // SAFETY: the library gives a C string that lives during the call.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    // A panic must not unwind into the library; a report is lost with it.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let mut report = profiler
            .report
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        report(&name, ms);
    }));
}

unsafe extern "C" fn interface_info(_this: *mut c_void) -> InterfaceInfo {
    InterfaceInfo::new(c"IProfiler")
}
