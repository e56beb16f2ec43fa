//! What of the journal is durable, and the syncs under way.
//!
//! A sync runs elsewhere while the journal goes on, is cut and begins new segments. So a completion counts
//! only for what had been appended when its order was given, and no further than the lowest cut since.

use std::collections::VecDeque;

use position::{Index, Mutant, Tip};
use storage::{DiskError, Flusher};

use super::mark::{Mark, MarkFile};
use crate::MetaFile;
use crate::segment::SegmentName;

/// Stands for everything that had been appended when it was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// A sync to be performed, on whatever thread.
#[derive(Debug)]
#[must_use = "nothing becomes durable unless the order is performed"]
pub struct SyncOrder {
    ticket: Ticket,
    /// The oldest segment first: frames of the newest must not outlive those they follow.
    flushers: Vec<Flusher>,
    /// The segment that the newest frame lies in, for the ballot.
    newest: Option<(MetaFile, SegmentName)>,
    mark: Option<MarkOrder>,
}

/// What the order's success says about this machine's own journal.
#[derive(Debug)]
pub(crate) struct MarkOrder {
    pub(crate) file: MarkFile,
    pub(crate) mark: Mark,
    /// A segment has been filled. A power cut may take back every mark since the last synced one: so much of
    /// the journal could then be taken for never written, if it is damaged as well.
    pub(crate) sync: bool,
}

impl SyncOrder {
    /// What to give back to [`Journal::synced`](crate::Journal::synced) once this is performed.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Only hands the bytes to the system: what a disk may or may not have done when its sync is cut short.
    ///
    /// # Errors
    /// As [`SyncOrder::perform`].
    pub fn write(&self) -> Result<(), DiskError> {
        self.flushers.iter().try_for_each(|flusher| flusher.write().map(drop))
    }

    /// Writes and syncs. Blocks for as long as the disk takes. The first order that covers a frame in a new segment
    /// writes the segment's name beside the ballot as well: it is durable before the frame is acknowledged, so that
    /// nobody can lose the segment without noticing.
    ///
    /// # Errors
    /// A failure is final: the data directory refuses everything after it, and the process should end.
    pub fn perform(&self) -> Result<(), DiskError> {
        if Mutant::CountsUnsyncedFrame.is_active() {
            return self.write();
        }
        self.flushers.iter().try_for_each(|flusher| flusher.sync().map(drop))?;
        match &self.newest {
            Some((meta, name)) => meta.note_newest_segment(*name),
            None => Ok(()),
        }
    }

    /// Notes how far the journal is durable, for the next start. After [`SyncOrder::perform`] has succeeded and
    /// been reported: nobody needs to wait for it. A disk that refuses it is warned of once: the mark is a hint.
    pub fn note_mark(&self) {
        match &self.mark {
            Some(MarkOrder { file, mark, sync: true }) => file.store(mark),
            Some(MarkOrder { file, mark, sync: false }) => file.note(mark),
            None => {}
        }
    }
}

/// The durable frontier and what will raise it.
#[derive(Debug)]
pub(crate) struct Syncs {
    durable: Tip,
    issued: VecDeque<(Ticket, Tip)>,
    next: Ticket,
    /// Segments that are not appended to any more but hold frames that may not be durable yet.
    sealed: Vec<Sealed>,
}

#[derive(Debug)]
struct Sealed {
    flusher: Flusher,
    /// The last of its frames that counts.
    through: Index,
}

impl Syncs {
    /// Everything up to `durable` is durable.
    pub(crate) fn new(durable: Tip) -> Syncs {
        Syncs { durable, issued: VecDeque::new(), next: Ticket(1), sealed: Vec::new() }
    }

    pub(crate) fn durable(&self) -> Tip {
        self.durable
    }

    /// The number of the next order.
    pub(crate) fn next(&self) -> Ticket {
        self.next
    }

    /// How many segments wait for an order that will not be appended to any more.
    pub(crate) fn waiting_segments(&self) -> usize {
        self.sealed.len()
    }

    /// A segment that will not be appended to any more; the last frame in it that counts is `through`.
    pub(crate) fn seal(&mut self, flusher: Flusher, through: Index) {
        if through > self.durable.index() {
            self.sealed.push(Sealed { flusher, through });
        }
    }

    /// An order for everything up to `last`, the newest of which lies in the segment of `active`.
    pub(crate) fn order(
        &mut self,
        last: Tip,
        active: Option<(SegmentName, Flusher)>,
        meta: Option<MetaFile>,
        mark: Option<MarkOrder>,
    ) -> SyncOrder {
        let (name, active) = active.unzip();
        let newest = meta.zip(name);
        let ticket = self.next;
        self.next = Ticket(ticket.0 + 1);
        self.issued.push_back((ticket, last));
        let flushers = self.sealed.iter().map(|sealed| sealed.flusher.clone()).chain(active).collect();
        SyncOrder { ticket, flushers, newest, mark }
    }

    /// The order of this ticket has been performed, and with it what older orders would have done.
    pub(crate) fn complete(&mut self, ticket: Ticket) -> Tip {
        while let Some((_, covered)) = self.issued.pop_front_if(|(issued, _)| *issued <= ticket) {
            if covered.index() > self.durable.index() {
                self.durable = covered;
            }
        }
        let durable = self.durable.index();
        self.sealed.retain(|sealed| sealed.through > durable);
        self.durable
    }

    /// Everything behind `end` has been cut off. Syncs under way no longer speak of it.
    pub(crate) fn cut(&mut self, end: Tip) {
        let lower = |tip: &mut Tip| {
            if tip.index() > end.index() {
                *tip = end;
            }
        };
        lower(&mut self.durable);
        if !Mutant::KeepsStaleCompletion.is_active() {
            self.issued.iter_mut().for_each(|(_, covered)| lower(covered));
        }
        self.sealed.iter_mut().for_each(|sealed| sealed.through = sealed.through.min(end.index()));
    }

    /// Everything has been replaced by what ends at `base`, which is durable.
    pub(crate) fn reset(&mut self, base: Tip) {
        self.durable = base;
        self.issued.iter_mut().for_each(|(_, covered)| *covered = base);
        self.sealed.clear();
    }
}
