#![allow(
    unsafe_code,
    reason = "mapping a file is unsafe, and is done here only"
)]

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps a whole file, read-only.
///
/// Another process that changes the file in place changes the mapped bytes, and one that
/// truncates it makes a later read end this process (`SIGBUS`). [`crate::BundleWriter::write`]
/// does neither: it replaces a bundle by renaming, which leaves the mapped file as it was. Whoever
/// copies bundles to a board should do the same.
pub(crate) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is private to `Bundle`, which lends out shared slices only. Nothing in this
    // project writes to a bundle after it got its name, so the bytes do not change under a slice;
    // the function's documentation says what happens where somebody else does it.
    unsafe { Mmap::map(file) }
}
