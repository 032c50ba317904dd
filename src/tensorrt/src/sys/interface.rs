//! Objects that TensorRT calls: a vtable and data of ours behind it.

use std::ffi::{CStr, c_char, c_void};

use super::{Slot, Slots};
use crate::Version;

/// More slots than any of the interfaces has.
const SLOTS: usize = 8;

/// What `getInterfaceInfo` returns.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct InterfaceInfo {
    kind: *const c_char,
    major: i32,
    minor: i32,
}

impl InterfaceInfo {
    pub(crate) fn new(kind: &'static CStr) -> Self {
        Self {
            kind: kind.as_ptr(),
            major: 1,
            minor: 0,
        }
    }
}

/// Names a method among the slots.
type Method = fn(&Slots) -> &Slot;

/// A vtable in which every slot that is given no method is a destructor that does nothing: the
/// library never deletes what the application gives it.
#[derive(Debug)]
pub(crate) struct Vtable([*const c_void; SLOTS]);

impl Vtable {
    pub(crate) fn new(
        slots: &Slots,
        version: Version,
        methods: &[(Method, *const c_void)],
    ) -> Self {
        let mut entries = [destructor as *const c_void; SLOTS];
        for (slot, code) in methods {
            let index = slot(slots).index(version).ok();
            if let Some(entry) = index.and_then(|index| entries.get_mut(index)) {
                *entry = *code;
            }
        }
        Self(entries)
    }

    pub(crate) fn as_ptr(&self) -> *const c_void {
        self.0.as_ptr().cast()
    }

    #[cfg(test)]
    pub(crate) fn entry(&self, slot: usize) -> *const c_void {
        self.0[slot]
    }
}

unsafe extern "C" fn destructor(_this: *mut c_void) {}

/// `getAPILanguage` of an interface: C++.
pub(crate) unsafe extern "C" fn api_language(_this: *mut c_void) -> i32 {
    0
}

// SAFETY: the pointers are to functions.
unsafe impl Send for Vtable {}
// SAFETY: as above.
unsafe impl Sync for Vtable {}
