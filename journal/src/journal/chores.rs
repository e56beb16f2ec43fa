//! What the disk needs done around the journal that no command must wait for.
//!
//! Responsible for: a spare ahead of need, mapping a full segment so that the memory it was written from can
//! go, and removing files that nothing needs any more. One chore at a time, each on whatever thread.
//! Whether any of it happens before a crash makes no difference: it is done again or not missed.

use position::Index;
use storage::{Disk, DiskError, Slice};

use super::room::RoomMade;
use super::run::Contents;
use super::{Active, Journal, Sizes};
use crate::segment::SegmentName;

/// Long spares that are kept once a journal grows: one segment fills while the next spare is made, so another one must
/// be ready meanwhile.
const SPARES: usize = 2;
/// Long spares that a voter among others keeps from its start. A disk that hangs makes no further spare, so these are
/// what its journal can take meanwhile: as many as may wait for a sync.
const SPARES_AMONG_OTHERS: usize = 3;

const _: () = assert!(SPARES_AMONG_OTHERS == Sizes::USUAL.unsynced_segments_max);

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct Chores {
    under_way: bool,
    spares: SpareState,
    /// Others go on without this machine's disk: its spares do not wait for the journal to grow.
    is_among_others: bool,
    /// Full segments, with the last of their frames, that are still held in memory.
    in_memory: Vec<(SegmentName, Index)>,
    unneeded: Vec<SegmentName>,
    /// Files that could not be removed, as where somebody looks at them on Windows.
    resisting: Vec<SegmentName>,
    /// They are tried again.
    removal_is_due: bool,
}

/// What is known of spares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SpareState {
    /// They are made as the journal grows.
    #[default]
    AsNeeded,
    /// A segment could not be begun for want of one.
    Missing,
    /// The last attempt to make one has failed; the next waits for [`Journal::try_again`].
    Failed { disk_is_full: bool },
}

impl Chores {
    pub(super) fn spare_is_missing(&mut self) {
        if self.spares == SpareState::AsNeeded {
            self.spares = SpareState::Missing;
        }
    }

    pub(super) fn spare_done(&mut self, made: RoomMade) {
        self.spares = match made {
            RoomMade::Yes => SpareState::AsNeeded,
            RoomMade::No { disk_is_full } => SpareState::Failed { disk_is_full },
        };
    }

    pub(super) fn disk_is_full(&self) -> bool {
        self.spares == SpareState::Failed { disk_is_full: true }
    }

    pub(super) fn filled(&mut self, name: SegmentName, through: Index) {
        self.in_memory.push((name, through));
    }

    /// What is in memory of segments that were cut stays there until it is compacted: it is not much.
    pub(super) fn forget_segments(&mut self) {
        self.in_memory.clear();
    }

    pub(super) fn no_longer_needed(&mut self, names: Vec<SegmentName>) {
        self.unneeded.extend(names);
    }
}

/// Something to do around the journal, for a thread that may block.
#[derive(Debug)]
#[must_use = "without its chores the journal keeps files and memory, and appends wait for new segments"]
pub struct Chore {
    disk: Disk,
    task: Task,
}

#[derive(Debug)]
enum Task {
    /// A spare of so many bytes, if there are fewer than so many.
    Spare { bytes: u64, count: usize },
    /// What the segment holds according to the memory it was written from.
    Map { name: SegmentName, held: Slice },
    Remove {
        names: Vec<SegmentName>,
        /// Some of them have resisted before, and that has been said.
        again: bool,
    },
}

/// What came of a [`Chore`].
#[derive(Debug)]
pub struct ChoreDone(Outcome);

#[derive(Debug)]
enum Outcome {
    Nothing,
    Spare(RoomMade),
    Mapped(SegmentName, Slice),
    /// These files could not be removed.
    Resisted(Vec<SegmentName>),
}

impl ChoreDone {
    /// It came to nothing.
    #[must_use]
    pub fn nothing() -> ChoreDone {
        ChoreDone(Outcome::Nothing)
    }
}

impl Chore {
    /// Its name in logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.task {
            Task::Spare { .. } => "prepare a segment",
            Task::Map { .. } => "map a full segment",
            Task::Remove { .. } => "remove segments",
        }
    }

    /// Does it. What fails is logged and left: a spare and a removal are tried again later, a full segment stays in
    /// memory.
    #[must_use]
    pub fn perform(self) -> ChoreDone {
        let name = self.name();
        let warn = |error: &DiskError| tracing::warn!(%error, "could not {name}");
        ChoreDone(match self.task {
            Task::Spare { bytes, count } => {
                Outcome::Spare(RoomMade::of(self.disk.prepare_segments(bytes, count)))
            }
            Task::Map { name: segment, held } => match map(&self.disk, segment, &held) {
                Ok(Some(bytes)) => Outcome::Mapped(segment, bytes),
                Ok(None) => Outcome::Nothing,
                Err(error) => {
                    warn(&error);
                    Outcome::Nothing
                }
            },
            Task::Remove { mut names, again } => {
                let mut told = again;
                names.retain(|segment| match self.disk.remove(&segment.to_string()) {
                    Ok(()) => false,
                    Err(error) => {
                        // The same is the matter with all of them.
                        if !std::mem::replace(&mut told, true) {
                            warn(&error);
                        }
                        true
                    }
                });
                Outcome::Resisted(names)
            }
        })
    }
}

/// Maps a full segment. A disk may return something else than it was given, and from now on that would be sent and
/// executed: what is in memory stays there instead, and the next start finds the damage.
fn map(disk: &Disk, name: SegmentName, held: &Slice) -> Result<Option<Slice>, DiskError> {
    let Some(bytes) = disk.map(&name.to_string())? else { return Ok(None) };
    let is_the_same = bytes.get(..held.len()) == Some(&held[..]);
    // The point of the map is that nothing of it has to be in memory.
    bytes.give_back();
    if !is_the_same {
        tracing::error!(segment = %name, "the disk returns other bytes than were written; they stay in memory. Check the disk");
    }
    Ok(is_the_same.then_some(bytes))
}

impl Journal {
    /// Something to do, if there is anything and nothing is under way.
    pub fn next_chore(&mut self) -> Option<Chore> {
        if self.chores.under_way {
            return None;
        }
        let task = self.spare_wanted().or_else(|| self.mapping_wanted()).or_else(|| self.removal_wanted())?;
        self.chores.under_way = true;
        Some(Chore { disk: self.disk.clone(), task })
    }

    /// A chore has been done.
    pub fn chore_done(&mut self, done: ChoreDone) {
        self.chores.under_way = false;
        match done.0 {
            Outcome::Nothing => {}
            Outcome::Spare(made) => self.chores.spare_done(made),
            Outcome::Mapped(name, mapped) => self.read_from_map(name, &mapped),
            Outcome::Resisted(names) => self.chores.resisting.extend(names),
        }
    }

    fn read_from_map(&mut self, name: SegmentName, mapped: &Slice) {
        for run in self.runs.iter_mut().filter(|run| run.file == name) {
            if let Contents::Good(frames) = &mut run.contents
                && frames.copied_to.is_none()
            {
                frames.bytes = mapped.clone();
            }
        }
    }

    /// Keeps spares from now on, however young the journal is: for a voter among others. It may have to cut its
    /// journal or to follow an installed snapshot, which takes a short spare. And while its disk hangs, the others
    /// still commit what it appends.
    pub fn keep_spares(&mut self) {
        self.chores.is_among_others = true;
    }

    /// A spare that could not be made and a file that could not be removed are tried again: some time has passed since.
    pub fn try_again(&mut self) {
        if matches!(self.chores.spares, SpareState::Failed { .. }) {
            self.chores.spares = SpareState::Missing;
        }
        self.chores.removal_is_due = true;
    }

    /// A journal that is alone keeps no spares before half of its first segment is written: many stores stay small.
    fn spare_wanted(&self) -> Option<Task> {
        let state = self.chores.spares;
        if matches!(state, SpareState::Failed { .. }) {
            return None;
        }
        let Sizes { first, later, .. } = self.sizes;
        if self.chores.is_among_others && self.disk.spares(first) == 0 {
            return Some(Task::Spare { bytes: first, count: 1 });
        }
        let grows = |active: &Active| {
            let capacity = active.segment.capacity();
            capacity as u64 >= later || active.segment.remaining() < capacity / 2
        };
        let wanted = if self.chores.is_among_others {
            SPARES_AMONG_OTHERS
        } else if self.active.as_ref().is_some_and(grows) {
            SPARES
        } else {
            usize::from(state == SpareState::Missing)
        };
        let ready = self.disk.spares(later);
        (ready < wanted).then_some(Task::Spare { bytes: later, count: ready + 1 })
    }

    fn mapping_wanted(&mut self) -> Option<Task> {
        let durable = self.durable().index();
        let ready = self.chores.in_memory.iter().position(|(_, through)| *through <= durable)?;
        let name = self.chores.in_memory.remove(ready).0;
        let held = self.runs.iter().rev().find_map(|run| match &run.contents {
            Contents::Good(frames) if run.file == name && frames.copied_to.is_none() => Some(&frames.bytes),
            _ => None,
        })?;
        Some(Task::Map { name, held: held.clone() })
    }

    /// What is replaced stays until what replaces it is on the disk.
    fn removal_wanted(&mut self) -> Option<Task> {
        if self.nameless_before.is_some() {
            return None;
        }
        let mut names = std::mem::take(&mut self.chores.unneeded);
        let mut again = false;
        if std::mem::take(&mut self.chores.removal_is_due) {
            again = !self.chores.resisting.is_empty();
            names.append(&mut self.chores.resisting);
        }
        (!names.is_empty()).then_some(Task::Remove { names, again })
    }
}
