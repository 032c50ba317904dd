use std::fmt;

/// Memory that a [`Tensor`](crate::Tensor) can keep its elements in, in place of the heap: pages
/// that a device reaches, say.
///
/// The bytes should start at a multiple of 8: a tensor's elements cannot be viewed otherwise.
pub trait Memory: Send + Sync + fmt::Debug {
    /// All bytes.
    fn bytes(&self) -> &[u8];

    /// All bytes, to be written.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Makes room for at least `len_bytes` bytes. The contents may get lost; what is new is
    /// initialised. Where this fails, the memory is as it was.
    ///
    /// # Errors
    /// [`MemoryError`] where there is not as much of this memory.
    fn resize(&mut self, len_bytes: usize) -> Result<(), MemoryError>;
}

/// There is not as much memory of a kind as was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot allocate {requested} bytes: {reason}")]
pub struct MemoryError {
    /// Bytes asked for.
    pub requested: usize,
    /// What the allocator says.
    pub reason: String,
}

/// Where a tensor's bytes lie.
#[derive(Debug)]
pub(crate) enum Storage {
    Words(Vec<u64>),
    Memory(Box<dyn Memory>),
}

impl Storage {
    pub(crate) fn zeros(len_bytes: usize) -> Self {
        Self::Words(vec![0; len_bytes.div_ceil(8)])
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Words(words) => bytemuck::cast_slice(words),
            Self::Memory(memory) => memory.bytes(),
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Words(words) => bytemuck::cast_slice_mut(words),
            Self::Memory(memory) => memory.bytes_mut(),
        }
    }

    pub(crate) fn reserve(&mut self, len_bytes: usize) -> Result<(), MemoryError> {
        match self {
            Self::Words(words) => {
                let len = len_bytes.div_ceil(8);
                if len > words.len() {
                    words.resize(len, 0);
                }
            }
            Self::Memory(memory) => {
                if len_bytes > memory.bytes().len() {
                    memory.resize(len_bytes)?;
                }
                let has = memory.bytes().len();
                if has < len_bytes {
                    return Err(MemoryError {
                        requested: len_bytes,
                        reason: format!("the memory stays at {has} bytes"),
                    });
                }
            }
        }
        Ok(())
    }
}
