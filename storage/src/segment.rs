//! A file that is appended to, and the three things one can hold of it: the right to append, the right to
//! sync, and bytes.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::DiskError;
use crate::disk::OpenFile;
use crate::map::Map;

/// One map and the file under it. The fields are dropped in this order: unmap, then close, then (where that
/// had to wait) remove.
#[derive(Debug)]
pub(crate) struct Shared {
    map: Map,
    /// How much of the map the file has. Held during a sync: of two at once the system would tell only one of
    /// a failure.
    in_file: Mutex<usize>,
    file: OpenFile,
}

impl Shared {
    /// A map of which the file has everything so far.
    pub(crate) fn new(map: Map, file: OpenFile) -> Shared {
        let in_file = Mutex::new(map.written());
        Shared { map, in_file, file }
    }

    /// Hands what has been appended to the system, and says how far that reaches.
    fn write(&self, in_file: &mut usize) -> Result<usize, DiskError> {
        let through = self.map.written();
        if through > *in_file {
            self.file.write(*in_file, self.map.bytes(*in_file..through))?;
            *in_file = through;
        }
        Ok(through)
    }
}

/// A preallocated file with the right to append to it.
///
/// What is appended is in memory at first, where it can be read at once; a [`Flusher`] takes it to the file. So
/// an append never waits for the disk, whatever else the disk is busy with. Appended bytes are never
/// rewritten, so a [`Slice`] can be sent, hashed or applied while more is appended.
#[derive(Debug)]
pub struct Segment {
    shared: Arc<Shared>,
}

impl Segment {
    pub(crate) fn new(shared: Shared) -> Segment {
        Segment { shared: Arc::new(shared) }
    }

    /// Appends bytes and says where they are. They can be read at once and are durable after the next
    /// successful [`Flusher::sync`].
    ///
    /// # Errors
    /// After a failed sync the whole directory is poisoned.
    ///
    /// # Panics
    /// If they do not fit; see [`Segment::remaining`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<Range<usize>, DiskError> {
        self.append_parts(&[bytes])
    }

    /// The same for bytes that lie in several places: they become visible all at once.
    ///
    /// # Errors
    /// After a failed sync the whole directory is poisoned.
    ///
    /// # Panics
    /// If they do not fit; see [`Segment::remaining`].
    pub fn append_parts(&mut self, parts: &[&[u8]]) -> Result<Range<usize>, DiskError> {
        self.shared.file.check_appendable()?;
        Ok(self.shared.map.append(parts))
    }

    /// How many bytes have been appended.
    #[must_use]
    pub fn written(&self) -> usize {
        self.shared.map.written()
    }

    /// How many bytes fit in all: the length of the file.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.map.capacity()
    }

    /// How many bytes can still be appended.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.capacity() - self.written()
    }

    /// The right to sync, for another thread.
    #[must_use]
    pub fn flusher(&self) -> Flusher {
        Flusher { shared: Arc::clone(&self.shared) }
    }

    /// Appended bytes, which stay valid and the same whatever becomes of the segment and of its file.
    ///
    /// # Panics
    /// If the range reaches beyond [`Segment::written`].
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Slice {
        Slice::new(Arc::clone(&self.shared), range)
    }

    /// Makes an opened segment ready to be appended to from byte `at` on, which must be followed by zeros
    /// only: a frame that was cut off stays where it is, and its successor goes into a new file.
    ///
    /// # Errors
    /// [`DiskError::NotBlank`] if anything follows; the segment is then unchanged and still readable.
    ///
    /// # Panics
    /// If a [`Slice`] or a [`Flusher`] of this segment exists.
    pub fn resume(&mut self, at: usize) -> Result<(), DiskError> {
        let shared =
            Arc::get_mut(&mut self.shared).expect("a segment is resumed before anything is cut from it");
        assert_eq!(
            shared.map.written(),
            shared.map.capacity(),
            "a segment is resumed once, right after opening"
        );
        if let Some(offset) = shared.map.first_not_zero(at) {
            return Err(shared.file.not_blank(offset));
        }
        shared.file.resume()?;
        shared.map.go_on_in_memory(at).map_err(|source| shared.file.not_mapped(source))?;
        *shared.in_file.get_mut().unwrap_or_else(PoisonError::into_inner) = at;
        Ok(())
    }
}

/// The right to make a segment's bytes durable.
#[derive(Clone, Debug)]
pub struct Flusher {
    shared: Arc<Shared>,
}

impl Flusher {
    /// Hands to the system what had been appended when this was called, and says how many bytes that is. It
    /// survives the process then, perhaps not the machine.
    ///
    /// # Errors
    /// A failure is final: this and every later call on the same data directory fails.
    pub fn write(&self) -> Result<usize, DiskError> {
        self.shared.write(&mut self.lock())
    }

    /// Makes durable what had been appended when this was called, and says how many bytes that is.
    ///
    /// # Errors
    /// A failure is final: this and every later call on the same data directory fails.
    pub fn sync(&self) -> Result<usize, DiskError> {
        let mut in_file = self.lock();
        let through = self.shared.write(&mut in_file)?;
        self.shared.file.sync()?;
        Ok(through)
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.shared.in_file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a file that never change. Cheap to clone; keeps the map alive.
#[derive(Clone)]
pub struct Slice {
    shared: Arc<Shared>,
    range: Range<usize>,
}

impl Slice {
    pub(crate) fn new(shared: Arc<Shared>, range: Range<usize>) -> Slice {
        assert!(range.start <= range.end, "a slice that ends before it starts");
        assert!(range.end <= shared.map.written(), "a slice over bytes that are not written yet");
        Slice { shared, range }
    }

    /// All of a file that is complete.
    pub(crate) fn whole(shared: Shared) -> Slice {
        let range = 0..shared.map.written();
        Slice::new(Arc::new(shared), range)
    }

    /// Says that these bytes are not needed for a while: if they are a mapped file's, their pages leave the process's
    /// memory. They stay readable, for everybody who holds them, and come back from the system's cache.
    pub fn give_back(&self) {
        self.shared.map.give_back(self.range.clone());
    }

    /// Whether these bytes are a mapped file's, which the system can read again.
    pub(crate) fn is_of_file(&self) -> bool {
        self.shared.map.is_of_file()
    }

    /// A part of these bytes, counted from their start.
    ///
    /// # Panics
    /// If the range reaches beyond the end.
    #[must_use]
    pub fn subslice(&self, range: Range<usize>) -> Slice {
        assert!(range.end <= self.range.len(), "a part that is longer than the whole");
        Slice::new(Arc::clone(&self.shared), self.range.start + range.start..self.range.start + range.end)
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self.shared.map.bytes(self.range.clone())
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_ref()
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice({:?})", self.range)
    }
}
