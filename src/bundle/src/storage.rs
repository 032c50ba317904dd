use std::ops::Deref;

use memmap2::Mmap;

const ALIGNMENT: usize = 64;

/// The bytes of a bundle, starting at a multiple of 64.
#[derive(Debug)]
pub(crate) enum Storage {
    Mapped(Mmap),
    Owned { bytes: Vec<u8>, start: usize },
}

impl Storage {
    /// Moves `bytes` inside their allocation until they are aligned.
    pub(crate) fn owned(mut bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        bytes.reserve_exact(ALIGNMENT);
        let address = bytes.as_ptr().addr();
        let start = address.next_multiple_of(ALIGNMENT) - address;
        bytes.resize(len + start, 0);
        bytes.copy_within(..len, start);
        Self::Owned { bytes, start }
    }
}

impl Deref for Storage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned { bytes, start } => &bytes[*start..],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_bytes_are_aligned_and_unchanged() {
        for len in [0, 1, 63, 64, 65, 1000, 100_000] {
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let storage = Storage::owned(bytes.clone());
            assert_eq!(*storage, *bytes);
            assert_eq!(storage.as_ptr().addr() % ALIGNMENT, 0);
        }
    }
}
