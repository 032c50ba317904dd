//! TensorRT's classes as they lie in memory: which slot of a vtable holds which method, how its
//! arguments are passed, and the interfaces that TensorRT calls back.
//!
//! An API object is `{vptr, mImpl}`. Its methods are virtual methods of `mImpl`'s class `V...`,
//! whose slots keep their numbers within one family of versions. A layer is
//! `{vptr, mLayer, mImpl}`: `mLayer` has what all layers have, `mImpl` what its own class has.

#[allow(unsafe_code, reason = "calls of a C++ library's virtual methods")]
mod call;
mod dims;
#[allow(unsafe_code, reason = "C++ objects made in Rust")]
mod interface;
#[allow(unsafe_code, reason = "called by the library through a vtable")]
mod logger;
#[allow(unsafe_code, reason = "called by the library through a vtable")]
mod monitor;
#[allow(unsafe_code, reason = "objects of a C++ library behind raw pointers")]
mod object;
#[allow(unsafe_code, reason = "called by the library through a vtable")]
mod profiler;
mod rtx1;
mod slots;
mod trt10;
mod trt8;

#[cfg(test)]
mod tests;

pub(crate) use call::{Arguments, Return};
pub(crate) use dims::{ByReference, Count, Dims, Permutation, Weights};
#[cfg(test)]
pub(crate) use dims::{Dims32, Dims64};
pub(crate) use logger::Logger;
pub(crate) use monitor::Monitor;
pub(crate) use object::{Handle, Owned};
pub(crate) use profiler::Profiler;
pub(crate) use slots::{Slot, Slots};

use crate::{Flavor, Version};

/// Versions that share one layout of classes and arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// TensorRT 8.2 to 8.6: `Dims` of 32-bit sizes, passed by value.
    Trt8,
    /// TensorRT 10: `Dims` of 64-bit sizes, passed by reference.
    Trt10,
    /// TensorRT-RTX 1.7: as TensorRT 10, other slots.
    Rtx1,
}

impl Family {
    /// The family of a version, where it is known.
    pub(crate) fn of(version: Version) -> Option<Self> {
        match (version.flavor, version.major, version.minor) {
            (Flavor::TensorRt, 8, 2..=6) => Some(Self::Trt8),
            (Flavor::TensorRt, 10, 0..=16) => Some(Self::Trt10),
            (Flavor::TensorRtRtx, 1, 7) => Some(Self::Rtx1),
            _ => None,
        }
    }

    pub(crate) fn slots(self) -> &'static Slots {
        match self {
            Self::Trt8 => &trt8::SLOTS,
            Self::Trt10 => &trt10::SLOTS,
            Self::Rtx1 => &rtx1::SLOTS,
        }
    }
}

/// How to call the objects of one loaded library.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Api {
    pub(crate) version: Version,
    pub(crate) family: Family,
    pub(crate) logger: &'static Logger,
}

impl Api {
    /// Does the library's version have the method?
    pub(crate) fn has(&self, method: impl FnOnce(&Slots) -> &Slot) -> bool {
        method(self.family.slots()).index(self.version).is_ok()
    }
}
