//! Mapped memory with a watermark: below it bytes never change and may be borrowed, above it they may only
//! be written. All pointers of the workspace are in this module.
//!
//! A shared `&[u8]` over bytes that somebody is still writing would be undefined behaviour, so no borrow
//! ever reaches beyond the watermark, and it only rises while the map is shared.
#![allow(unsafe_code)]

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use memmap2::{MmapMut, MmapOptions, MmapRaw};

/// How many bytes are compared at once when looking for the first that is not zero.
const ZEROS: [u8; 4096] = [0; 4096];

/// A mapped file, or memory that stands for one.
#[derive(Debug)]
pub struct Map {
    raw: MmapRaw,
    /// Everything before this is final. Raised with `Release` after the bytes are in place.
    written: AtomicUsize,
    /// Held during an append. There is one appender by type; this makes the module sound on its own.
    appending: AtomicBool,
}

impl Map {
    /// Wraps a mapping of which the first `written` bytes are final.
    pub(crate) fn new(raw: MmapRaw, written: usize) -> Map {
        assert!(written <= raw.len(), "a watermark beyond the end of its map");
        Map { raw, written: AtomicUsize::new(written), appending: AtomicBool::new(false) }
    }

    /// Memory of the process, filled once by `fill`.
    pub(crate) fn filled(
        bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<MmapRaw> {
        let mut memory: MmapMut = MmapOptions::new().len(bytes).map_anon()?;
        fill(&mut memory)?;
        Ok(MmapRaw::from(memory))
    }

    pub(crate) fn capacity(&self) -> usize {
        self.raw.len()
    }

    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::Acquire)
    }

    /// Final bytes.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        assert!(range.start <= range.end, "a range that ends before it starts");
        assert!(range.end <= self.written(), "bytes that are not written yet");
        // SAFETY: the range lies within the mapping, which lives as long as `self`. Nothing writes below
        // the watermark while `self` is shared: `append` writes at or above it, and `rewind` takes `&mut`.
        // The mapped file belongs to a directory that this process has locked, and nobody truncates it.
        unsafe { std::slice::from_raw_parts(self.raw.as_ptr().add(range.start), range.len()) }
    }

    /// The first byte from `at` on that is not zero.
    pub(crate) fn first_not_zero(&self, at: usize) -> Option<usize> {
        let mut offset = at;
        for chunk in self.bytes(at..self.written()).chunks(ZEROS.len()) {
            if *chunk != ZEROS[..chunk.len()] {
                return chunk.iter().position(|byte| *byte != 0).map(|within| offset + within);
            }
            offset += chunk.len();
        }
        None
    }

    /// Lets `write` fill the next `bytes` bytes, then raises the watermark over them. If `write` fails the
    /// watermark stays; what lies behind it is then unknown.
    pub(crate) fn append<E>(
        &self,
        bytes: usize,
        write: impl FnOnce(Gap<'_>) -> Result<(), E>,
    ) -> Result<Range<usize>, E> {
        assert!(!self.appending.swap(true, Ordering::Acquire), "two appends at once");
        let start = self.written.load(Ordering::Relaxed);
        let end = start + bytes;
        assert!(end <= self.capacity(), "an append of {bytes} bytes at {start} beyond the segment's end");
        let result = write(Gap { map: self, range: start..end });
        if result.is_ok() {
            self.written.store(end, Ordering::Release);
        }
        self.appending.store(false, Ordering::Release);
        result.map(|()| start..end)
    }

    /// Lowers the watermark and goes on with another mapping of the same file. Nobody can hold borrowed
    /// bytes now, since this needs the map alone.
    pub(crate) fn rewind(&mut self, at: usize, raw: MmapRaw) {
        assert_eq!(raw.len(), self.raw.len(), "two mappings of one file have one length");
        assert!(at <= raw.len(), "a watermark beyond the end of its map");
        self.raw = raw;
        self.written = AtomicUsize::new(at);
    }

    /// Writes changed pages of a writable file mapping to the disk, through its cache.
    #[cfg(windows)]
    pub(crate) fn flush(&self, through: usize) -> io::Result<()> {
        // memmap2 calls FlushViewOfFile, then FlushFileBuffers; the first alone is not durable.
        self.raw.flush_range(0, through)
    }
}

/// The place of one append: unwritten bytes that nobody else can see or touch.
#[derive(Debug)]
pub struct Gap<'a> {
    map: &'a Map,
    range: Range<usize>,
}

impl Gap<'_> {
    /// Where in the file the bytes belong.
    pub(crate) fn start(&self) -> usize {
        self.range.start
    }

    /// Copies the parts one after the other into the mapped memory. Only for writable mappings.
    pub(crate) fn fill(&self, parts: &[&[u8]]) {
        let mut at = self.range.start;
        for part in parts {
            let end = at + part.len();
            assert!(end <= self.range.end, "an append longer than it said");
            // SAFETY: the target lies within the mapping and above the watermark, where no borrow exists;
            // `appending` keeps other writers out. A part can only borrow bytes below the watermark of this
            // map, so source and target do not overlap.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), self.map.raw.as_mut_ptr().add(at), part.len());
            }
            at = end;
        }
        assert_eq!(at, self.range.end, "an append shorter than it said");
    }
}
