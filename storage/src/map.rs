//! Mapped memory with a watermark: below it bytes never change and may be borrowed, above it they may only
//! be written, and only if it is memory of the process. All pointers of the workspace are in this module.
//!
//! A shared `&[u8]` over bytes that somebody is still writing would be undefined behaviour, so no borrow
//! ever reaches beyond the watermark, and it only rises while the map is shared.
#![allow(unsafe_code)]

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[cfg(unix)]
use memmap2::UncheckedAdvice;
use memmap2::{MmapMut, MmapOptions, MmapRaw};

/// How many bytes are compared at once when looking for the first that is not zero.
const ZEROS: [u8; 4096] = [0; 4096];

/// What the bytes of a map are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A file's: the system can read them again.
    File,
    /// Memory of the process, filled once.
    Filled,
    /// Memory of the process, to be appended to.
    Appendable,
}

/// A mapped file, or memory that stands for one.
#[derive(Debug)]
pub(crate) struct Map {
    raw: MmapRaw,
    /// Everything before this is final. Raised with `Release` after the bytes are in place.
    written: AtomicUsize,
    kind: Kind,
    /// Held during an append. There is one appender by type; this makes the module sound on its own.
    appending: AtomicBool,
}

impl Map {
    /// Wraps a mapping of which the first `written` bytes are final.
    fn new(raw: MmapRaw, written: usize, kind: Kind) -> Map {
        assert!(written <= raw.len(), "a watermark beyond the end of its map");
        Map { raw, written: AtomicUsize::new(written), kind, appending: AtomicBool::new(false) }
    }

    /// Wraps the mapping of a whole file, which nobody changes.
    pub(crate) fn of_file(raw: MmapRaw) -> Map {
        let bytes = raw.len();
        Map::new(raw, bytes, Kind::File)
    }

    /// Memory of the process to append to. It costs nothing until it is written to.
    pub(crate) fn blank(bytes: usize) -> io::Result<Map> {
        Ok(Map::new(Map::memory(bytes, |_| Ok(()))?, 0, Kind::Appendable))
    }

    /// Memory of the process, filled once by `fill`.
    pub(crate) fn filled(bytes: usize, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<Map> {
        Ok(Map::new(Map::memory(bytes, fill)?, bytes, Kind::Filled))
    }

    fn memory(bytes: usize, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<MmapRaw> {
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
        // SAFETY: the range lies within the mapping, which lives as long as `self`. Nothing writes below the
        // watermark while `self` is shared: `append` writes at or above it, and all else takes `&mut`.
        // The mapped file belongs to a directory that this process has locked, or is one that its owner never
        // writes to again; nobody truncates it.
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

    /// Copies the parts one after the other behind the watermark, then raises it over them. Only for memory of
    /// the process: a mapped file is never written through its map.
    pub(crate) fn append(&self, parts: &[&[u8]]) -> Range<usize> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        assert!(self.kind == Kind::Appendable, "an append to a mapped file");
        assert!(!self.appending.swap(true, Ordering::Acquire), "two appends at once");
        let start = self.written.load(Ordering::Relaxed);
        assert!(
            bytes <= self.capacity() - start,
            "an append of {bytes} bytes at {start} beyond the segment's end"
        );
        let mut end = start;
        for part in parts {
            // SAFETY: the target lies within the mapping, as was just checked, and above the watermark, where no
            // borrow exists; `appending` keeps other writers out. A part can only borrow bytes below the
            // watermark of this map, so source and target do not overlap.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), self.raw.as_mut_ptr().add(end), part.len());
            }
            end += part.len();
        }
        self.written.store(end, Ordering::Release);
        self.appending.store(false, Ordering::Release);
        start..end
    }

    /// Goes on with memory of the process, which holds the first `at` bytes, and lowers the watermark to them.
    /// Nobody can hold borrowed bytes now, since this needs the map alone.
    pub(crate) fn go_on_in_memory(&mut self, at: usize) -> io::Result<()> {
        let raw = Map::memory(self.capacity(), |memory| {
            memory[..at].copy_from_slice(self.bytes(0..at));
            Ok(())
        })?;
        *self = Map::new(raw, at, Kind::Appendable);
        Ok(())
    }

    /// Whether these are a file's bytes, which the system can read again.
    pub(crate) fn is_of_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// Takes pages of a file out of the process's memory. They stay readable, from the system's cache as a rule. Of
    /// memory of the process nothing can be taken.
    pub(crate) fn give_back(&self, range: Range<usize>) {
        assert!(range.end <= self.written(), "bytes that are not written yet");
        if self.is_of_file() && !range.is_empty() {
            give_back(&self.raw, range);
        }
    }
}

#[cfg(unix)]
fn give_back(raw: &MmapRaw, range: Range<usize>) {
    // SAFETY: this is a shared, read-only mapping of a file that nobody changes, see `Map::bytes`. So a page that is
    // dropped and touched again holds the same bytes as before, and borrowed bytes do not change. (Memory of the
    // process would be filled with zeros: the caller has made sure that it is none.)
    let given = unsafe { raw.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
    // Where the system refuses, the pages stay: that costs memory, and nothing else.
    drop(given);
}

/// Windows trims the pages of mapped files by itself when memory is short, and has no call for a part of them.
#[cfg(windows)]
fn give_back(_: &MmapRaw, _: Range<usize>) {}
