//! Memory of the device, and ranges that the device can reach.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::stream::View;
use crate::sys::DeviceMemory;
use crate::{Context, CudaError};

/// Memory of the device. Clones share it; it is freed when the last of them, of its regions and of
/// the work that uses it is gone.
#[derive(Clone)]
pub struct DeviceBuffer {
    context: Context,
    memory: Option<Arc<DeviceMemory>>,
    len: usize,
}

impl DeviceBuffer {
    /// Allocates `len_bytes`, aligned to at least 256 bytes, with undefined contents.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`] and [`CudaError::Call`].
    pub fn new(context: &Context, len_bytes: usize) -> Result<Self, CudaError> {
        let memory = match len_bytes {
            0 => None,
            _ => Some(Arc::new(DeviceMemory::allocate(context, len_bytes)?)),
        };
        Ok(Self {
            context: context.clone(),
            memory,
            len: len_bytes,
        })
    }

    /// Its length in bytes.
    pub fn len_bytes(&self) -> usize {
        self.len
    }

    /// The context that it was allocated in.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// All of it; the region keeps the memory alive.
    pub fn region(&self) -> Region {
        Region {
            address: self.memory.as_ref().map_or(0, |memory| memory.address()),
            len: self.len,
            context: self.context.id(),
            owner: match &self.memory {
                Some(memory) => Owner::Device(memory.clone()),
                None => Owner::Nobody,
            },
        }
    }
}

impl fmt::Debug for DeviceBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceBuffer")
            .field("region", &self.region())
            .finish_non_exhaustive()
    }
}

/// What work does with a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It reads.
    Read,
    /// It writes, and may read.
    Write,
}

/// A range of bytes that the device can reach: a part of a [`DeviceBuffer`], which it keeps alive,
/// or the device's view of host memory, which is usable only in the scope that made it
/// ([`Scope::device_region`](crate::Scope::device_region)).
#[derive(Clone)]
pub struct Region {
    address: u64,
    len: usize,
    context: usize,
    owner: Owner,
}

#[derive(Clone)]
enum Owner {
    Nobody,
    Device(Arc<DeviceMemory>),
    Scope { id: u64, access: Access },
}

impl Region {
    pub(crate) fn of_scope(context: &Context, id: u64, view: View) -> Self {
        Self {
            address: view.address,
            len: view.len,
            context: context.id(),
            owner: Owner::Scope {
                id,
                access: view.access,
            },
        }
    }

    /// Where the device finds it; 0 for an empty buffer. Work that uses the address by itself must
    /// have it from [`Scope::admit`](crate::Scope::admit).
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its length in bytes.
    pub fn len_bytes(&self) -> usize {
        self.len
    }

    /// The `len` bytes from `offset` on, if all of them are in this region.
    pub fn slice(&self, offset: usize, len: usize) -> Option<Self> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        Some(Self {
            address: self.address + offset as u64,
            len,
            ..self.clone()
        })
    }

    /// Whether work in scope `scope` of `context` may use it so.
    pub(crate) fn check(
        &self,
        context: &Context,
        scope: u64,
        access: Access,
    ) -> Result<(), CudaError> {
        if self.context != context.id() {
            return Err(CudaError::ForeignContext {
                what: "a memory region",
            });
        }
        let reason = match &self.owner {
            Owner::Nobody | Owner::Device(_) => return Ok(()),
            Owner::Scope { id, .. } if *id != scope => {
                "it is a view of host memory that another scope borrowed"
            }
            Owner::Scope { access: lent, .. }
                if *lent == Access::Read && access == Access::Write =>
            {
                "it is a view of host memory that was borrowed for reading, and would be written"
            }
            Owner::Scope { .. } => return Ok(()),
        };
        Err(CudaError::Region { reason })
    }

    /// What keeps it alive, if it is memory of the device.
    pub(crate) fn owner(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        match &self.owner {
            Owner::Device(memory) => Some(memory.clone()),
            Owner::Nobody | Owner::Scope { .. } => None,
        }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("address", &format_args!("{:#x}", self.address))
            .field("len_bytes", &self.len)
            .finish_non_exhaustive()
    }
}
