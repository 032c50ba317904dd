//! The library's objects.

use std::ffi::c_void;
use std::ops::Deref;
use std::ptr::NonNull;

use super::{Api, Arguments, Return, Slot, Slots};
use crate::TensorRtError;

/// An object of the library and how to call it. It owns nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handle {
    object: NonNull<c_void>,
    api: Api,
}

/// Slot of the deleting destructor in the vtable of every API class.
const DELETE: usize = 1;

/// The pointer at word `index` of what `at` points to.
///
/// # Safety
///
/// There are that many pointers.
unsafe fn word(at: *mut c_void, index: usize) -> *mut c_void {
    // SAFETY: inside of what the caller says is there.
    let word = unsafe { at.cast::<*mut c_void>().add(index) };
    // SAFETY: as above.
    unsafe { word.read() }
}

impl Handle {
    /// `None` for a null pointer.
    pub(crate) fn new(api: Api, object: *mut c_void) -> Option<Self> {
        NonNull::new(object).map(|object| Self { object, api })
    }

    pub(crate) fn api(&self) -> Api {
        self.api
    }

    pub(crate) fn as_ptr(&self) -> *mut c_void {
        self.object.as_ptr()
    }

    /// Calls a method.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::MissingMethod`] where the library's version lacks it,
    /// [`TensorRtError::Signature`] where the arguments are not the method's.
    ///
    /// # Safety
    ///
    /// The object is alive and of the API class whose `V` class the method belongs to (or a layer,
    /// for methods of `VLayer`), no other thread uses it in a way that TensorRT forbids, and
    /// pointers among the arguments are what the C++ method demands.
    pub(crate) unsafe fn call<R: Return>(
        &self,
        method: impl FnOnce(&'static Slots) -> &'static Slot,
        arguments: impl Arguments,
    ) -> Result<R, TensorRtError> {
        let Api {
            version, family, ..
        } = self.api;
        let slot = method(family.slots());
        let index = slot.index(version)?;
        if !arguments.fit::<R>(family, slot) {
            return Err(TensorRtError::Signature {
                method: slot.name,
                version,
            });
        }
        let member = if slot.is_of_layer() { 2 } else { 1 };
        // SAFETY: an API object is a vptr and one implementation pointer, a layer has two.
        let implementation = unsafe { word(self.as_ptr(), member) };
        // SAFETY: an implementation starts with its vptr.
        let vtable = unsafe { word(implementation, 0) };
        // SAFETY: the generated table says that this version's vtable has the slot.
        let code = unsafe { word(vtable, index) };
        // SAFETY: the signature was checked, the caller vouches for object and pointers.
        Ok(unsafe { arguments.invoke(family, code, implementation) })
    }

    /// Calls a method that says with `false` that it failed.
    ///
    /// # Errors
    ///
    /// As [`Handle::call`]; [`TensorRtError::CallFailed`] with what the library logged.
    ///
    /// # Safety
    ///
    /// As [`Handle::call`].
    pub(crate) unsafe fn check(
        &self,
        method: impl Fn(&'static Slots) -> &'static Slot,
        arguments: impl Arguments,
    ) -> Result<(), TensorRtError> {
        let mark = self.api.logger.mark();
        // SAFETY: the caller's.
        let done: bool = unsafe { self.call(&method, arguments) }?;
        if done {
            return Ok(());
        }
        Err(self.failed(&method, mark))
    }

    /// Calls a method that makes or finds an object.
    ///
    /// # Errors
    ///
    /// As [`Handle::call`]; [`TensorRtError::CallFailed`] with what the library logged where the
    /// method returns a null pointer.
    ///
    /// # Safety
    ///
    /// As [`Handle::call`].
    pub(crate) unsafe fn create(
        &self,
        method: impl Fn(&'static Slots) -> &'static Slot,
        arguments: impl Arguments,
    ) -> Result<Self, TensorRtError> {
        let mark = self.api.logger.mark();
        // SAFETY: the caller's.
        let object: *mut c_void = unsafe { self.call(&method, arguments) }?;
        Self::new(self.api, object).ok_or_else(|| self.failed(&method, mark))
    }

    fn failed(&self, method: impl Fn(&'static Slots) -> &'static Slot, mark: u64) -> TensorRtError {
        TensorRtError::CallFailed {
            call: method(self.api.family.slots()).name,
            version: self.api.version,
            log: self.api.logger.errors_since(mark),
        }
    }
}

/// An object of the library that is deleted when this is dropped.
#[derive(Debug)]
pub(crate) struct Owned(Handle);

impl Owned {
    /// # Safety
    ///
    /// The object is an API object that the caller has to delete, and nobody else does. Objects
    /// that it depends on are alive until this is dropped.
    pub(crate) unsafe fn new(handle: Handle) -> Self {
        Self(handle)
    }
}

impl Deref for Owned {
    type Target = Handle;
    fn deref(&self) -> &Handle {
        &self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let object = self.0.as_ptr();
        // SAFETY: an API object starts with its own vptr.
        let vtable = unsafe { word(object, 0) };
        // SAFETY: every API class starts with its two destructors.
        let code = unsafe { word(vtable, DELETE) };
        // SAFETY: `new`'s caller says that the object is ours to delete, once.
        unsafe { ().invoke::<()>(self.0.api.family, code, object) }
    }
}
