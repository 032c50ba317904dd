//! Modules: compiled kernels.

use std::ffi::CStr;
use std::ptr;

use super::context::freed;
use super::memory::RelaxedCapture;
use super::{CUfunction, CUmodule};
use crate::{Context, CudaError};

/// What NVRTC made of a source: PTX or a cubin. It is whole, so that its end, which the driver takes
/// from its contents, is there.
pub(crate) struct Image(Vec<u8>);

impl Image {
    /// `bytes` that NVRTC gave, unless they are not whole.
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Self> {
        let whole = match bytes.starts_with(b"\x7fELF") {
            true => elf_end(&bytes).is_some_and(|end| end <= bytes.len() as u64),
            false => bytes.last() == Some(&0),
        };
        whole.then_some(Self(bytes))
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Where the section headers of a 64-bit little-endian ELF file end, which are its last part in a
/// cubin but for the program headers.
fn elf_end(bytes: &[u8]) -> Option<u64> {
    let u16_at = |at: usize| {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(u64::from(u16::from_le_bytes(*bytes)))
    };
    let u64_at = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let table = |offset: u64, entry: u64, count: u64| offset.checked_add(entry * count);
    let programs = table(u64_at(0x20)?, u16_at(0x36)?, u16_at(0x38)?)?;
    let sections = table(u64_at(0x28)?, u16_at(0x3a)?, u16_at(0x3c)?)?;
    Some(programs.max(sections))
}

/// Compiled kernels, loaded.
pub(crate) struct ModuleHandle {
    context: Context,
    raw: CUmodule,
}

// SAFETY: the driver lets any threads use a module at the same time.
unsafe impl Send for ModuleHandle {}
// SAFETY: as above.
unsafe impl Sync for ModuleHandle {}

/// A kernel of a module, valid while the module is loaded.
#[derive(Clone, Copy)]
pub(crate) struct FunctionHandle(pub(super) CUfunction);

// SAFETY: a function is an immutable part of a module, which any threads may use.
unsafe impl Send for FunctionHandle {}
// SAFETY: as above.
unsafe impl Sync for FunctionHandle {}

impl ModuleHandle {
    /// Loads what NVRTC compiled.
    pub(crate) fn load(context: &Context, image: &Image) -> Result<Self, CudaError> {
        context.make_current()?;
        let api = context.driver().api();
        let mut raw = ptr::null_mut();
        // SAFETY: writes one pointer; the image is whole, so the driver stays within it.
        let code = unsafe { (api.cuModuleLoadData)(&raw mut raw, image.0.as_ptr().cast()) };
        api.check("cuModuleLoadData", code)?;
        Ok(Self {
            context: context.clone(),
            raw,
        })
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn function(&self, name: &CStr) -> Result<FunctionHandle, CudaError> {
        self.context.make_current()?;
        let api = self.context.driver().api();
        let mut raw = ptr::null_mut();
        // SAFETY: writes one pointer; the module is alive.
        let code = unsafe { (api.cuModuleGetFunction)(&raw mut raw, self.raw, name.as_ptr()) };
        api.check("cuModuleGetFunction", code)?;
        Ok(FunctionHandle(raw))
    }
}

impl Drop for ModuleHandle {
    fn drop(&mut self) {
        let driver = self.context.driver();
        if self.context.make_current().is_ok() {
            let _mode = RelaxedCapture::enter(driver);
            // SAFETY: loaded by `load`; scopes keep a kernel's module until its work has finished.
            let code = unsafe { (driver.api().cuModuleUnload)(self.raw) };
            freed(driver, "cuModuleUnload", code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 64-bit ELF file of `len` bytes whose section headers end at `end`.
    fn elf(len: usize, end: u64) -> Vec<u8> {
        let mut bytes = vec![0; len];
        bytes[..4].copy_from_slice(b"\x7fELF");
        bytes[0x28..0x30].copy_from_slice(&(end - 2 * 64).to_le_bytes());
        bytes[0x3a..0x3c].copy_from_slice(&64_u16.to_le_bytes());
        bytes[0x3c..0x3e].copy_from_slice(&2_u16.to_le_bytes());
        bytes
    }

    #[test]
    fn only_whole_images_are_taken() {
        let table = [
            (b".version 7.0\0".to_vec(), true),
            (b".version 7.0".to_vec(), false),
            (Vec::new(), false),
            (elf(1024, 1024), true),
            (elf(1024, 1025), false),
            (elf(1024, u64::MAX), false),
            (b"\x7fELF".to_vec(), false),
        ];
        for (bytes, whole) in table {
            assert_eq!(Image::new(bytes.clone()).is_some(), whole, "{bytes:?}");
        }
    }
}
