use std::fmt;

use tfjet_core::{Memory, MemoryError};
use tfjet_cuda::{Context, PinnedBuffer};

/// Pinned host memory that a tensor's bytes lie in.
pub(crate) struct PinnedMemory {
    context: Context,
    write_combined: bool,
    buffer: Option<PinnedBuffer>,
}

impl PinnedMemory {
    /// No memory yet. The CPU should only write what is `write_combined`.
    pub(crate) fn new(context: &Context, write_combined: bool) -> Self {
        Self {
            context: context.clone(),
            write_combined,
            buffer: None,
        }
    }
}

impl Memory for PinnedMemory {
    fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], PinnedBuffer::bytes)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer
            .as_mut()
            .map_or(&mut [], PinnedBuffer::bytes_mut)
    }

    fn resize(&mut self, len_bytes: usize) -> Result<(), MemoryError> {
        let buffer = PinnedBuffer::new(&self.context, len_bytes, self.write_combined);
        self.buffer = Some(buffer.map_err(|error| MemoryError {
            requested: len_bytes,
            reason: error.to_string(),
        })?);
        Ok(())
    }
}

impl fmt::Debug for PinnedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedMemory")
            .field("len_bytes", &self.bytes().len())
            .field("write_combined", &self.write_combined)
            .finish_non_exhaustive()
    }
}
