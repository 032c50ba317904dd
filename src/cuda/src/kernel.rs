//! Kernels and their arguments.

use std::any::Any;
use std::ffi::{CString, c_void};
use std::fmt;
use std::sync::Arc;

use crate::sys::{FunctionHandle, ModuleHandle};
use crate::{Access, CudaError, Region, Scope};

/// A kernel, loaded and ready to be launched. Clones share its module.
#[derive(Clone)]
pub struct Kernel {
    module: Arc<ModuleHandle>,
    function: FunctionHandle,
    name: Arc<str>,
}

impl Kernel {
    pub(crate) fn find(module: &Arc<ModuleHandle>, name: &str) -> Result<Self, CudaError> {
        let symbol = CString::new(name).unwrap_or_default();
        Ok(Self {
            function: module.function(&symbol)?,
            module: module.clone(),
            name: name.into(),
        })
    }

    /// Its name in the source, which must be declared `extern "C"`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn function(&self) -> FunctionHandle {
        self.function
    }

    pub(crate) fn owner(&self) -> Arc<dyn Any + Send + Sync> {
        self.module.clone()
    }

    pub(crate) fn context_id(&self) -> usize {
        self.module.context().id()
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// An argument of a kernel.
#[derive(Clone, Debug)]
pub enum KernelArgument<'a> {
    /// `int`
    I32(i32),
    /// `unsigned int`
    U32(u32),
    /// `long long`
    I64(i64),
    /// `unsigned long long`
    U64(u64),
    /// `float`
    F32(f32),
    /// A pointer to memory that the kernel reads.
    Read(&'a Region),
    /// A pointer to memory that the kernel writes, and may read.
    Write(&'a Region),
    /// A structure by value: its bytes with padding, in the device's byte order.
    Bytes(&'a [u8]),
}

/// An argument's value, at an address that fits the alignment of any scalar.
pub(crate) struct Argument(Words);

enum Words {
    One(u64),
    Many(Vec<u64>),
}

impl KernelArgument<'_> {
    /// The value, once `scope` admits it.
    pub(crate) fn value(&self, scope: &Scope<'_, '_>) -> Result<Argument, CudaError> {
        let low = |bytes: [u8; 4]| {
            let [a, b, c, d] = bytes;
            Words::One(u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]))
        };
        Ok(Argument(match *self {
            Self::I32(value) => low(value.to_ne_bytes()),
            Self::U32(value) => low(value.to_ne_bytes()),
            Self::F32(value) => low(value.to_ne_bytes()),
            Self::I64(value) => Words::One(value.cast_unsigned()),
            Self::U64(value) => Words::One(value),
            Self::Read(region) => Words::One(scope.admit(region, Access::Read)?),
            Self::Write(region) => Words::One(scope.admit(region, Access::Write)?),
            Self::Bytes(bytes) => Words::Many(
                bytes
                    .chunks(8)
                    .map(|chunk| {
                        let mut word = [0; 8];
                        for (to, from) in word.iter_mut().zip(chunk) {
                            *to = *from;
                        }
                        u64::from_ne_bytes(word)
                    })
                    .collect(),
            ),
        }))
    }
}

impl Argument {
    pub(crate) fn as_mut_ptr(&mut self) -> *mut c_void {
        match &mut self.0 {
            Words::One(word) => (&raw mut *word).cast(),
            Words::Many(words) => words.as_mut_ptr().cast(),
        }
    }
}
