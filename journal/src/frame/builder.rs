use std::time::Duration;

use position::{ChainHash, Epoch, Index, Tip};
use thiserror::Error;

use super::{FRAME_ALIGNMENT, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, Frame, FrameHeader, zero_blocks};
use crate::entry::{Entries, Entry, EntryError};

/// What a master says of a frame beside its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// What the frame follows.
    pub previous: Tip,
    /// The mastership that writes it.
    pub epoch: Epoch,
    /// What is known to be committed.
    pub commit: Index,
    /// The cluster's clock.
    pub cluster_time: Duration,
    /// The master's wall clock, in nanoseconds since 1970.
    pub wall_time: i64,
}

/// The frame has no room for more: seal it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{bytes} bytes of entries don't fit into a frame that has room for {room}")]
pub struct FrameFull {
    /// What was to be added.
    pub bytes: usize,
    /// What would have fitted.
    pub room: usize,
}

/// Packs entries into a frame, in a buffer that is used again and again.
#[derive(Debug)]
pub struct FrameBuilder {
    /// Room for the header, then the entries.
    bytes: Vec<u8>,
    entries: u32,
    /// Nothing can be added any more.
    sealed: bool,
}

impl Default for FrameBuilder {
    fn default() -> FrameBuilder {
        FrameBuilder::new()
    }
}

impl FrameBuilder {
    /// An empty frame.
    #[must_use]
    pub fn new() -> FrameBuilder {
        FrameBuilder { bytes: vec![0; FRAME_HEADER_BYTES], entries: 0, sealed: false }
    }

    /// Empties the frame and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(FRAME_HEADER_BYTES, 0);
        self.entries = 0;
        self.sealed = false;
    }

    /// How many entries it holds.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// Whether it holds no entry: such a frame cannot be sealed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// How many bytes of entries still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        FRAME_BYTES_MAX - self.bytes.len()
    }

    /// Adds one entry.
    ///
    /// # Errors
    /// [`FrameFull`] if it does not fit; the frame is then as it was.
    ///
    /// # Panics
    /// If the payload is larger than [`PAYLOAD_BYTES_MAX`](crate::PAYLOAD_BYTES_MAX): whoever takes a
    /// command in has refused it.
    pub fn push(&mut self, entry: &Entry<'_>) -> Result<(), FrameFull> {
        self.check_room(entry.bytes())?;
        let written: Result<(), EntryError> = entry.write(&mut self.bytes);
        written.expect("an entry's size is checked where it comes in");
        self.entries += 1;
        Ok(())
    }

    /// Adds entries that somebody has laid out already: one copy for all of them.
    ///
    /// # Errors
    /// [`FrameFull`] if they don't all fit; the frame is then as it was.
    pub fn push_all(&mut self, entries: &Entries<'_>) -> Result<(), FrameFull> {
        self.check_room(entries.bytes().len())?;
        self.bytes.extend_from_slice(entries.bytes());
        self.entries += entries.count();
        Ok(())
    }

    /// The entries of a frame up to `through`, as a frame of their own behind `previous`: an engine applies whole
    /// frames only. Its chain hash is in no journal, so nothing may follow it.
    ///
    /// # Panics
    /// If the builder is not empty, or no entry of the frame lies up to `through`.
    pub fn front(&mut self, frame: &Frame<'_>, previous: Tip, through: Index) -> Frame<'_> {
        self.part(frame, previous, through)
    }

    /// The entry of a frame at `index` in the same way: for whoever looks at a frame entry by entry. `previous` ends
    /// right before it.
    ///
    /// # Panics
    /// If the builder is not empty, or the frame does not hold the entry.
    pub fn single(&mut self, frame: &Frame<'_>, previous: Tip, index: Index) -> Frame<'_> {
        assert_eq!(previous.index().next(), index, "an entry follows the one before it");
        self.part(frame, previous, index)
    }

    fn part(&mut self, frame: &Frame<'_>, previous: Tip, through: Index) -> Frame<'_> {
        assert!(self.is_empty(), "a part of a frame is packed alone");
        let from = previous.index().next();
        for (_, entry) in frame.entries().filter(|(index, _)| (from..=through).contains(index)) {
            self.push(&entry).expect("a part of a frame fits a frame");
        }
        let FrameHeader { epoch, commit, cluster_time, wall_time, .. } = *frame.header();
        self.seal(&Stamp { previous, epoch, commit, cluster_time, wall_time })
    }

    /// Completes the frame: header, hash, padding. It stays as it is until the builder is
    /// [cleared](FrameBuilder::clear).
    ///
    /// # Panics
    /// If there is no entry, the frame is sealed already, or the stamp goes back behind what it follows.
    pub fn seal(&mut self, stamp: &Stamp) -> Frame<'_> {
        assert!(!self.is_empty(), "a frame without entries");
        assert!(!self.sealed, "a frame is sealed once");
        assert!(stamp.epoch >= stamp.previous.epoch(), "a frame of an older epoch than the one it follows");
        assert!(stamp.commit <= stamp.previous.index(), "a frame that claims to be committed already");
        let (block, body) = self.bytes.split_at_mut(FRAME_HEADER_BYTES);
        let header = FrameHeader {
            body_bytes: u32::try_from(body.len()).expect("a frame is far below 4 GiB"),
            entries: self.entries,
            zero_blocks: zero_blocks(body),
            epoch: stamp.epoch,
            first_index: stamp.previous.index().next(),
            commit: stamp.commit,
            cluster_time: stamp.cluster_time,
            wall_time: stamp.wall_time,
            previous_hash: stamp.previous.hash,
            hash: ChainHash::NONE,
        };
        let header = header.complete(block, body);
        self.sealed = true;
        self.bytes.resize(self.bytes.len().next_multiple_of(FRAME_ALIGNMENT), 0);
        Frame { header, bytes: &self.bytes }
    }

    fn check_room(&self, bytes: usize) -> Result<(), FrameFull> {
        assert!(!self.sealed, "a sealed frame is cleared before the next one is packed");
        let room = self.room();
        if bytes <= room { Ok(()) } else { Err(FrameFull { bytes, room }) }
    }
}
