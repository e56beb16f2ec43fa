//! A file that is appended to, and the three things one can hold of it: the right to append, the right to
//! sync, and bytes.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::MmapRaw;

use crate::DiskError;
use crate::map::{Gap, Map};

/// What is under a map: an open file of the real or of the simulated disk, and the directory's rules.
pub(crate) trait Backing: Send + Sync + fmt::Debug {
    /// Puts the parts into the file, such that they are seen through the map.
    fn append(&self, gap: &Gap<'_>, parts: &[&[u8]]) -> Result<(), DiskError>;
    /// Makes the first `through` bytes durable.
    fn sync(&self, map: &Map, through: usize) -> Result<(), DiskError>;
    /// Allows appends to an existing file, and gives the mapping to see them through.
    fn resume(&mut self) -> Result<MmapRaw, DiskError>;
    /// For an error about the contents.
    fn not_blank(&self, offset: usize) -> DiskError;
}

/// One map and the file under it. The fields are dropped in this order: unmap, then close, then (where that
/// had to wait) remove.
#[derive(Debug)]
pub(crate) struct Shared {
    map: Map,
    /// One sync at a time: of two at once the system would tell only one of a failure.
    syncing: Mutex<()>,
    backing: Box<dyn Backing>,
}

impl Shared {
    pub(crate) fn new(map: Map, backing: Box<dyn Backing>) -> Shared {
        Shared { map, syncing: Mutex::new(()), backing }
    }
}

/// A preallocated file, mapped into memory, with the right to append to it.
///
/// Written bytes are never rewritten, so a [`Slice`] can be sent, hashed or applied while more is appended.
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
    /// After a failed append the whole directory is poisoned.
    ///
    /// # Panics
    /// If they do not fit; see [`Segment::remaining`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<Range<usize>, DiskError> {
        self.append_parts(&[bytes])
    }

    /// The same for bytes that lie in several places: they become visible all at once.
    ///
    /// # Errors
    /// After a failed append the whole directory is poisoned.
    ///
    /// # Panics
    /// If they do not fit; see [`Segment::remaining`].
    pub fn append_parts(&mut self, parts: &[&[u8]]) -> Result<Range<usize>, DiskError> {
        let bytes = parts.iter().map(|part| part.len()).sum();
        self.shared.map.append(bytes, |gap| self.shared.backing.append(&gap, parts))
    }

    /// How many bytes have been written.
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

    /// Written bytes, which stay valid and the same whatever becomes of the segment and of its file.
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
            return Err(shared.backing.not_blank(offset));
        }
        let raw = shared.backing.resume()?;
        shared.map.rewind(at, raw);
        Ok(())
    }
}

/// The right to make a segment's bytes durable.
#[derive(Clone, Debug)]
pub struct Flusher {
    shared: Arc<Shared>,
}

impl Flusher {
    /// Makes durable what had been written when this was called, and says how many bytes that is.
    ///
    /// # Errors
    /// A failure is final: this and every later call on the same data directory fails.
    pub fn sync(&self) -> Result<usize, DiskError> {
        let _one_at_a_time = self.shared.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let through = self.shared.map.written();
        self.shared.backing.sync(&self.shared.map, through)?;
        Ok(through)
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
