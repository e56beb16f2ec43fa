//! The journal: every change there ever was, as a chain of frames in preallocated files.
//!
//! Responsible for: appending, cutting, rolling, compacting and reading frames, what of them is durable, and
//! finding out after a crash what is there and what of it is in doubt.
//! Not responsible for: what entries mean (`engine`), what is committed or must be cut (`quorum`), and when
//! a sync happens: it hands out orders that any thread may perform.
//!
//! Nothing that changes a journal waits for the disk: a frame is appended to memory, from where a [`SyncOrder`]
//! takes it to the file. A new segment is begun in memory as well, after a full one, after a cut and after a
//! reset; the next order gives it its name. So a cut is like an append: after a crash that comes before the
//! order has been performed it has not happened.
//!
//! Bytes once written are never rewritten. To cut is to begin a new segment of a higher generation, which
//! hides what it replaces; damage is mended by a good copy beside the damaged segment. So whoever holds a
//! slice of the journal, to send or to apply it, may keep it whatever happens.

mod chores;
mod error;
mod finding;
mod hiding;
mod inspection;
mod link;
mod loading;
mod mark;
mod reading;
mod recovery;
mod repair;
mod rewrite;
mod room;
mod run;
mod scrub;
mod sync;
mod verdict;
mod walk;

use std::collections::VecDeque;

use position::{FrameId, History, Index, Tip};
use storage::{Disk, Segment, Slice};

use crate::MetaFile;
use crate::frame::{FRAME_BYTES_MAX, Frame};
use crate::segment::{FIRST_SEGMENT_BYTES, Generation, JournalTag, SEGMENT_BYTES, SegmentName};
use chores::Chores;
use mark::{Mark, MarkFile};
use run::{Contents, GoodFrames, Run};
use sync::{MarkOrder, Syncs};

pub use chores::{Chore, ChoreDone};
pub use error::JournalError;
pub use finding::{Doubt, Finding};
pub use inspection::{
    FoundHeader, FoundMark, Located, Mended, SegmentInfo, SegmentView, Spot, list_headers, list_segments,
    view_mark, view_segment,
};
pub use loading::cluster_of;
pub use recovery::{Beside, Recovered};
pub use repair::{GoodCopy, RepairOrder};
pub use room::{RoomMade, RoomOrder};
pub use run::Damage;
pub use scrub::{ScrubOrder, Scrubbed, Spoiled};
pub use sync::{SyncOrder, Ticket};

/// A journal that is open for writing. There is one per data directory.
#[derive(Debug)]
pub struct Journal {
    disk: Disk,
    tag: JournalTag,
    /// What the oldest kept frame follows.
    base: Tip,
    /// The end of the newest frame.
    last: Tip,
    /// All frames after `base`, without a gap.
    runs: VecDeque<Run>,
    /// Where the next frame goes. None after a recovery that found the end of the journal in doubt: what
    /// lies there is left as it is, and the next frame begins a new generation.
    active: Option<Active>,
    /// The active segment has no name on the disk before an order of this number or a later one is performed.
    nameless_before: Option<Ticket>,
    /// The generation of the newest segment that counts.
    generation: Generation,
    /// The highest generation of any file, whether it counts or not.
    highest: Generation,
    /// Names of files that are there and do not count.
    taken: Vec<SegmentName>,
    syncs: Syncs,
    evidence: Evidence,
    mark_file: MarkFile,
    /// Where the newest segment is noted, beside the ballot.
    meta: Option<MetaFile>,
    /// A segment has been filled since the last order to sync.
    filled: bool,
    chores: Chores,
    sizes: Sizes,
}

#[derive(Debug)]
struct Active {
    name: SegmentName,
    segment: Segment,
}

/// Whether the mark on the disk is needed as it is, for the next start to come to the same verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// It may be moved.
    NotNeeded,
    /// The end of the journal is in doubt, until a new generation hides it.
    OfTheTail,
}

/// How long segments are. Always [`Sizes::USUAL`], except in tests that want to see many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Of the first of a generation.
    first: u64,
    /// Of those after it.
    later: u64,
    /// The end of a segment that is left to frames without which a voter is of no use: on a full disk nothing
    /// else is written there.
    reserve: usize,
    /// Maximum full segments that wait for a sync. With the one that is written to and those that wait to be mapped,
    /// this bounds the memory that a disk can cost which does not come back.
    unsynced_segments_max: usize,
}

impl Sizes {
    /// The reserve is enough for the first frames of 16 masterships, of one empty entry each. What waits for a sync is
    /// at most 32 MiB: some seconds of the heaviest load, for a disk that takes as long.
    pub const USUAL: Sizes =
        Sizes { first: FIRST_SEGMENT_BYTES, later: SEGMENT_BYTES, reserve: 4096, unsynced_segments_max: 3 };
    /// A few frames fill a segment. Only for those who write no frame of more than 64 KiB.
    pub const SMALL: Sizes = Sizes { first: 2560, later: 66_048, reserve: 512, unsynced_segments_max: 20 };
}

impl Journal {
    /// Creates an empty journal that follows `base`: [`Tip::NONE`], or the tip of a snapshot.
    ///
    /// # Errors
    /// If there is a journal already, or the disk refuses.
    pub fn create(disk: Disk, tag: JournalTag, base: Tip) -> Result<Journal, JournalError> {
        Journal::create_with(disk, tag, base, Sizes::USUAL)
    }

    /// The same with segments of other sizes.
    ///
    /// # Errors
    /// As [`Journal::create`].
    pub fn create_with(
        disk: Disk,
        tag: JournalTag,
        base: Tip,
        sizes: Sizes,
    ) -> Result<Journal, JournalError> {
        Journal::check_absent(&disk)?;
        let mark_file = MarkFile::new(disk.clone());
        let mut journal = Journal {
            disk,
            tag,
            base,
            last: base,
            runs: VecDeque::new(),
            active: None,
            nameless_before: None,
            generation: Generation::default(),
            highest: Generation::default(),
            taken: Vec::new(),
            syncs: Syncs::new(base),
            evidence: Evidence::NotNeeded,
            mark_file,
            meta: None,
            filled: false,
            chores: Chores::default(),
            sizes,
        };
        journal.begin_generation_now(base)?;
        journal.mark_file.store(&journal.mark(false));
        Ok(journal)
    }

    /// Refuses a directory that holds a journal.
    ///
    /// # Errors
    /// [`JournalError::Exists`] if it does.
    pub fn check_absent(disk: &Disk) -> Result<(), JournalError> {
        match loading::files(disk)?.first() {
            Some(file) => Err(JournalError::Exists { file: file.name }),
            None => Ok(()),
        }
    }

    /// Removes the journal of a founding that was not completed.
    ///
    /// # Errors
    /// If there is more than the one segment of such a journal: nothing is removed then.
    pub fn remove_unused(disk: &Disk) -> Result<(), JournalError> {
        let files = loading::files(disk)?;
        if let Some(second) = files.get(1) {
            return Err(JournalError::Exists { file: second.name });
        }
        files.iter().try_for_each(|file| disk.remove(&file.name.to_string()))?;
        Ok(disk.remove(mark::MARK_FILE)?)
    }

    /// Makes segments of these sizes from now on. Only tests, which cannot write that much, use others than the usual.
    pub fn set_sizes(&mut self, sizes: Sizes) {
        self.sizes = sizes;
    }

    /// From now on the newest segment is noted here with the first sync that covers something in it.
    pub fn note_newest_in(&mut self, meta: MetaFile) {
        self.meta = Some(meta);
    }

    /// The segment that the next frame goes into, if it has been begun.
    #[must_use]
    pub fn newest_segment(&self) -> Option<SegmentName> {
        self.active.as_ref().map(|active| active.name)
    }

    /// What the oldest kept frame follows.
    #[must_use]
    pub fn base(&self) -> Tip {
        self.base
    }

    /// The end of the newest frame; the base if there is none.
    #[must_use]
    pub fn last(&self) -> Tip {
        self.last
    }

    /// The end of what is durable.
    #[must_use]
    pub fn durable(&self) -> Tip {
        self.syncs.durable()
    }

    /// Appends the frame that follows. It can be read at once and is durable after the next sync.
    ///
    /// # Errors
    /// [`JournalError::NotReady`] if no new segment is ready: the journal is as it was and the append may be tried
    /// again later. After any other failure the data directory refuses everything.
    ///
    /// # Panics
    /// If the frame does not follow the last one: whoever appends has compared them.
    pub fn append(&mut self, frame: &Frame<'_>) -> Result<Slice, JournalError> {
        self.append_leaving(self.sizes.reserve, frame)
    }

    /// The same for a frame without which this voter would be of no use, such as the one that begins a mastership.
    /// It takes the reserve, or else a segment of which the file is made with the next sync.
    ///
    /// # Errors
    /// If the data directory refuses everything.
    ///
    /// # Panics
    /// As [`Journal::append`].
    pub fn append_needed(&mut self, frame: &Frame<'_>) -> Result<Slice, JournalError> {
        let leaving_nothing = match self.append_leaving(self.sizes.reserve, frame) {
            Err(JournalError::NotReady { .. }) => self.append_leaving(0, frame),
            appended => return appended,
        };
        match leaving_nothing {
            Err(JournalError::NotReady { .. }) => {
                self.begin_generation_without_file(self.last)?;
                self.append_leaving(0, frame)
            }
            appended => appended,
        }
    }

    /// Appends to the segment that is being written if so many bytes are left of it afterwards.
    fn append_leaving(&mut self, reserve: usize, frame: &Frame<'_>) -> Result<Slice, JournalError> {
        assert!(frame.follows(&self.last), "frame {:?} does not follow {}", frame.id(), self.last);
        let bytes = frame.bytes();
        assert!(bytes.len() <= FRAME_BYTES_MAX, "a frame longer than any may be");
        let fits = |active: &Active| active.segment.remaining() >= bytes.len() + reserve;
        if !self.active.as_ref().is_some_and(fits) {
            self.begin_segment(bytes.len())?;
        }
        let active = self.active.as_mut().expect("a segment has been begun");
        let range = active.segment.append(bytes)?;
        let offset = u32::try_from(range.start).expect("segments are far below 4 GiB");
        let whole = active.segment.slice(0..range.end);
        let slice = whole.subslice(range.clone());
        match self.runs.back_mut() {
            Some(Run { file, contents: Contents::Good(frames), .. })
                if *file == active.name && frames.copied_to.is_none() && frames.end == range.start =>
            {
                frames.offsets.push(offset);
                frames.bytes = whole;
                frames.end = range.end;
            }
            _ => self.runs.push_back(Run {
                first: frame.header().first_index,
                file: active.name,
                contents: Contents::Good(GoodFrames {
                    bytes: whole,
                    offsets: vec![offset],
                    end: range.end,
                    copied_to: None,
                }),
            }),
        }
        self.last = frame.tip();
        Ok(slice)
    }

    /// Removes every frame behind `index`. What is durable ends there at once, whatever syncs are under
    /// way, and a recovery finds either all or nothing removed: all, once the next order is performed. Also hides a
    /// tail that recovery found in doubt.
    ///
    /// # Errors
    /// If the data directory refuses everything.
    ///
    /// # Panics
    /// If no frame ends at `index`: a conflict inside a frame cuts the whole frame.
    pub fn cut_after(&mut self, index: Index) -> Result<(), JournalError> {
        let end = self.tip_at(index).unwrap_or_else(|| panic!("a cut at {index}, where no frame ends"));
        if end == self.last && self.active.is_some() {
            return Ok(());
        }
        match self.begin_generation(end, 0) {
            // A cut cannot be put off: what follows it is already known.
            Err(JournalError::NotReady { .. }) => self.begin_generation_without_file(end),
            begun => begun,
        }
    }

    /// Gives up what is damaged and ends at or below `through`, and all before it, once a snapshot holds what
    /// it did. The journal then starts behind it; what else lies in its files goes with them.
    pub fn give_up_damage(&mut self, through: Index) -> Vec<FrameId> {
        let covered =
            |run: &Run| matches!(run.contents, Contents::Damaged(_)) && run.tip().index() <= through;
        let Some(last) = self.runs.iter().rposition(covered) else { return Vec::new() };
        self.base = self.runs[last].tip();
        let gone: Vec<Run> = self.runs.drain(..=last).collect();
        self.remove_files(gone.iter().flat_map(Run::files));
        let damage = |run: &Run| match &run.contents {
            Contents::Damaged(damage) => Some(damage.id),
            Contents::Good(_) => None,
        };
        gone.iter().filter_map(damage).collect()
    }

    /// Removes whole segments that end at or below `through`: what a durable snapshot covers. What is not
    /// durable stays, and so does the segment that is being written.
    pub fn compact(&mut self, through: Index) {
        let through = through.min(self.durable().index());
        let active = self.active.as_ref().map(|active| active.name);
        // With a tail in doubt the newest file is needed as evidence, and says what the tail follows.
        let newest = active.or_else(|| self.runs.back().map(|run| run.file));
        let mut count = 0;
        for (position, run) in self.runs.iter().enumerate() {
            if run.tip().index() > through || Some(run.file) == newest {
                break;
            }
            let next = self.runs.get(position + 1).map(|next| next.file);
            if next != Some(run.file) {
                count = position + 1;
            }
        }
        let Some(end) = count.checked_sub(1).map(|newest| self.runs[newest].tip()) else { return };
        let gone: Vec<Run> = self.runs.drain(..count).collect();
        self.base = end;
        self.remove_files(gone.iter().flat_map(Run::files));
    }

    /// Replaces everything by an empty journal that follows `base`, where an installed snapshot ends. The
    /// snapshot must be durable: a crash before the next order is performed leaves a journal that it replaces at the
    /// next start.
    ///
    /// # Errors
    /// [`JournalError::NotReady`] if no new segment is ready; the journal is then as it was.
    pub fn reset(&mut self, base: Tip) -> Result<(), JournalError> {
        let name = SegmentName::journal(base.index().next(), self.highest.next());
        let segment = self.take_spare(name, &[self.sizes.first, self.sizes.later])?;
        let active = self.with_header(segment, name, base, true)?;
        let replaced = self.activate(active).map(|active| active.name);
        let gone: Vec<Run> = self.runs.drain(..).collect();
        (self.base, self.last) = (base, base);
        (self.generation, self.highest) = (name.generation, name.generation);
        self.syncs.reset(base);
        self.evidence = Evidence::NotNeeded;
        self.filled = false;
        self.chores.forget_segments();
        self.remove_files(gone.iter().flat_map(Run::files).chain(replaced));
        Ok(())
    }

    /// Whether any frame that counts lies in this file.
    #[must_use]
    pub fn reads_from(&self, file: SegmentName) -> bool {
        self.runs.iter().any(|run| run.files().any(|used| used == file))
    }

    /// Whether an order would make anything durable that is not yet.
    #[must_use]
    pub fn wants_sync(&self) -> bool {
        self.durable() != self.last || self.nameless_before.is_some()
    }

    /// An order to make durable everything appended so far.
    pub fn ticket(&mut self) -> SyncOrder {
        let active = self.active.as_ref().map(|active| (active.name, active.segment.flusher()));
        let mark = (self.evidence == Evidence::NotNeeded).then(|| MarkOrder {
            file: self.mark_file.clone(),
            mark: Mark { durable: self.last, ..self.mark(false) },
            sync: std::mem::take(&mut self.filled),
        });
        self.syncs.order(self.last, active, self.meta.clone(), mark)
    }

    /// An order has been performed. Returns the end of what is durable now, which a cut in the meantime may
    /// have lowered. An order covers all that were given before it.
    pub fn synced(&mut self, ticket: Ticket) -> Tip {
        self.nameless_before.take_if(|named_with| *named_with <= ticket);
        self.syncs.complete(ticket)
    }

    /// Makes everything durable and notes that the process ends in an orderly way.
    ///
    /// # Errors
    /// If the disk refuses: the next start then takes this for a crash.
    pub fn stop_clean(&mut self) -> Result<(), JournalError> {
        self.sync_now()?;
        if self.evidence == Evidence::NotNeeded {
            self.mark_file.store(&self.mark(true));
        }
        Ok(())
    }

    fn mark(&self, clean: bool) -> Mark {
        Mark { durable: self.durable(), generation: self.generation, clean }
    }

    fn sync_now(&mut self) -> Result<(), JournalError> {
        let order = self.ticket();
        order.perform()?;
        self.synced(order.ticket());
        Ok(())
    }

    /// Has files removed that nothing needs any more.
    fn remove_files(&mut self, names: impl Iterator<Item = SegmentName>) {
        let active = self.active.as_ref().map(|active| active.name);
        let needed = |name: &SegmentName| {
            Some(*name) == active || self.runs.iter().any(|run| run.files().any(|file| file == *name))
        };
        let gone: Vec<SegmentName> = names.filter(|name| !needed(name)).collect();
        self.chores.no_longer_needed(gone);
    }
}

#[cfg(test)]
mod tests;
