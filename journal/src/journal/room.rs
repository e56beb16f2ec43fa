//! Where the next frame goes: new segments, without a word to the disk.
//!
//! Responsible for: that a segment is begun in memory, from a spare that a chore has made; how much memory may wait
//! for the disk; and generations.
//! Not responsible for: making spares (`chores`), and giving files their names (`storage`, with the next sync).

use position::Tip;
use storage::{Disk, DiskError, Segment};

use super::run::Run;
use super::{Active, Evidence, Journal, JournalError, Sizes};
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, SegmentName};

/// To make a spare, on whatever thread.
#[derive(Debug)]
#[must_use = "there is no room unless the order is performed"]
pub struct RoomOrder {
    disk: Disk,
    length: u64,
}

/// What came of making a spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomMade {
    /// There is one.
    Yes,
    /// The disk refused.
    No {
        /// Since it is full.
        disk_is_full: bool,
    },
}

impl RoomMade {
    pub(super) fn of(made: Result<(), DiskError>) -> RoomMade {
        match made {
            Ok(()) => RoomMade::Yes,
            Err(error) => {
                tracing::warn!(%error, "no segment could be made ready; it is tried again");
                RoomMade::No { disk_is_full: matches!(error, DiskError::Full { .. }) }
            }
        }
    }
}

impl RoomOrder {
    /// Makes the spare. Blocks for as long as the disk takes.
    #[must_use]
    pub fn perform(self) -> RoomMade {
        RoomMade::of(self.disk.prepare_segments(self.length, 1))
    }
}

impl Journal {
    /// Whether a frame of so many bytes can be appended now.
    #[must_use]
    pub fn has_room_for(&self, bytes: usize) -> bool {
        let needed = bytes + self.sizes.reserve;
        if self.active.as_ref().is_some_and(|active| active.segment.remaining() >= needed) {
            return true;
        }
        let ready = |length: &u64| self.disk.spares(*length) > 0;
        self.syncs.waiting_segments() < self.sizes.unsynced_segments_max
            && self.lengths_for(bytes).iter().any(ready)
    }

    /// Whether the last spare could not be made since the disk is full.
    #[must_use]
    pub fn disk_is_full(&self) -> bool {
        self.chores.disk_is_full()
    }

    /// Has a chore make room: somebody has found none.
    pub fn ask_for_room(&mut self) {
        self.chores.spare_is_missing();
    }

    /// An order to make room for a frame of so many bytes, if there is none: for whoever may wait for the disk.
    #[must_use]
    pub fn order_room_for(&self, bytes: usize) -> Option<RoomOrder> {
        let order = || RoomOrder { disk: self.disk.clone(), length: self.lengths_for(bytes)[0] };
        (!self.has_room_for(bytes)).then(order)
    }

    /// What came of such an order.
    pub fn room_made(&mut self, done: RoomMade) {
        self.chores.spare_done(done);
    }

    /// How long the segment may be that is begun for a frame of `bytes`: the best length first. In the middle of a
    /// generation all have the same length.
    fn lengths_for(&self, bytes: usize) -> Vec<u64> {
        let begins_generation =
            self.active.as_ref().is_none_or(|active| active.name.first > self.last.index());
        if begins_generation { self.lengths_of_a_first(bytes) } else { vec![self.sizes.later] }
    }

    /// The same for the first segment of a generation.
    fn lengths_of_a_first(&self, bytes: usize) -> Vec<u64> {
        let Sizes { first, later, reserve, .. } = self.sizes;
        let fits = (bytes + SEGMENT_HEADER_BYTES + reserve) as u64 <= first;
        if fits { vec![first, later] } else { vec![later] }
    }

    /// Begins the segment that a frame of `bytes` goes into.
    pub(super) fn begin_segment(&mut self, bytes: usize) -> Result<(), JournalError> {
        if self.syncs.waiting_segments() >= self.sizes.unsynced_segments_max {
            return Err(JournalError::NotReady { disk_is_full: false });
        }
        let first = self.last.index().next();
        let Some(full) = self.active.as_ref().filter(|active| active.name.first < first) else {
            // Nothing is in the active segment, and the next one would have its name; or there is none.
            return self.begin_generation(self.last, bytes);
        };
        let name = SegmentName::journal(first, full.name.generation);
        if self.taken.contains(&name) {
            return self.begin_generation(self.last, bytes);
        }
        let segment = self.take_spare(name, &[self.sizes.later])?;
        let active = self.with_header(segment, name, self.last, false)?;
        let full = self.activate(active).expect("it was there before");
        self.syncs.seal(full.segment.flusher(), self.last.index());
        self.chores.filled(full.name, self.last.index());
        self.filled = true;
        Ok(())
    }

    /// Begins a new generation behind `end`, which hides every frame after it, with room for a frame of
    /// `bytes`.
    pub(super) fn begin_generation(&mut self, end: Tip, bytes: usize) -> Result<(), JournalError> {
        let name = self.next_generation(end);
        let segment = self.take_spare(name, &self.lengths_of_a_first(bytes))?;
        self.go_on_in(segment, name, end)
    }

    /// The same without a spare. If the disk has no room for the file when the next order is performed, that is
    /// the end of this process.
    pub(super) fn begin_generation_without_file(&mut self, end: Tip) -> Result<(), JournalError> {
        let name = self.next_generation(end);
        let segment = self.disk.begin_segment_without_file(&name.to_string(), self.sizes.first)?;
        self.go_on_in(segment, name, end)
    }

    /// The same for whoever may wait for the disk: the generation is durable on return.
    pub(super) fn begin_generation_now(&mut self, end: Tip) -> Result<(), JournalError> {
        if self.disk.spares(self.sizes.later) == 0 {
            self.disk.prepare_segments(self.sizes.first, 1)?;
        }
        self.begin_generation(end, 0)?;
        self.sync_now()
    }

    fn next_generation(&self, end: Tip) -> SegmentName {
        SegmentName::journal(end.index().next(), self.highest.next())
    }

    fn go_on_in(&mut self, segment: Segment, name: SegmentName, end: Tip) -> Result<(), JournalError> {
        // Right behind a snapshot the new segment hides the one that said so.
        let active = self.with_header(segment, name, end, end == self.base && end != Tip::NONE)?;
        (self.generation, self.highest) = (name.generation, name.generation);
        self.evidence = Evidence::NotNeeded;
        self.syncs.cut(end);
        self.chores.forget_segments();
        let mut gone = Vec::new();
        while self.runs.back().is_some_and(|run| run.first > end.index()) {
            gone.extend(self.runs.pop_back().iter().flat_map(Run::files));
        }
        if let Some(run) = self.runs.back_mut() {
            run.cut_after(end.index());
        }
        self.last = end;
        if let Some(replaced) = self.activate(active) {
            self.syncs.seal(replaced.segment.flusher(), end.index());
            gone.push(replaced.name);
        }
        self.remove_files(gone.into_iter());
        Ok(())
    }

    /// Goes on in a segment that no order has reached yet. Until one has, nothing on the disk says that what it
    /// replaces is of no use: those files stay.
    pub(super) fn activate(&mut self, active: Active) -> Option<Active> {
        self.nameless_before = Some(self.syncs.next());
        self.active.replace(active)
    }

    /// A segment from a spare of one of these lengths.
    pub(super) fn take_spare(&mut self, name: SegmentName, lengths: &[u64]) -> Result<Segment, JournalError> {
        for length in lengths {
            if let Some(segment) = self.disk.begin_segment(&name.to_string(), *length)? {
                return Ok(segment);
            }
        }
        self.chores.spare_is_missing();
        Err(JournalError::NotReady { disk_is_full: self.disk_is_full() })
    }

    /// The header of a new segment is durable with the first sync.
    pub(super) fn with_header(
        &self,
        mut segment: Segment,
        name: SegmentName,
        previous: Tip,
        begins_anew: bool,
    ) -> Result<Active, JournalError> {
        let (first, generation) = (name.first, name.generation);
        let header = SegmentHeader { tag: self.tag, first, generation, previous, begins_anew };
        segment.append(&header.encode())?;
        Ok(Active { name, segment })
    }
}
