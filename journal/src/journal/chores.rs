//! What the disk needs done around the journal that no command must wait for.
//!
//! Responsible for: a spare ahead of need, mapping a full segment so that the memory it was written from can
//! go, and removing files that nothing needs any more. One chore at a time, each on whatever thread.
//! Whether any of it happens before a crash makes no difference: it is done again or not missed.

use position::Index;
use storage::{Disk, DiskError, Slice};

use super::run::Contents;
use super::{Active, Journal};
use crate::segment::SegmentName;

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct Chores {
    under_way: bool,
    /// The segment that the spare was made for: one for each that is begun.
    spare_for: Option<SegmentName>,
    /// Full segments, with the last of their frames, that are still held in memory.
    in_memory: Vec<(SegmentName, Index)>,
    unneeded: Vec<SegmentName>,
}

impl Chores {
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
    Spare {
        bytes: u64,
    },
    /// What the segment holds according to the memory it was written from.
    Map {
        name: SegmentName,
        held: Slice,
    },
    Remove(Vec<SegmentName>),
}

/// What came of a [`Chore`].
#[derive(Debug)]
pub struct ChoreDone(Option<(SegmentName, Slice)>);

impl ChoreDone {
    /// It came to nothing.
    #[must_use]
    pub fn nothing() -> ChoreDone {
        ChoreDone(None)
    }
}

impl Chore {
    /// Its name in logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.task {
            Task::Spare { .. } => "prepare a segment",
            Task::Map { .. } => "map a full segment",
            Task::Remove(_) => "remove segments",
        }
    }

    /// Does it. What fails is logged and left: a segment is then made when it is needed, a full one stays in
    /// memory, a file stays until the next start.
    #[must_use]
    pub fn perform(self) -> ChoreDone {
        let name = self.name();
        let done = match self.task {
            Task::Spare { bytes } => self.disk.prepare_segment(bytes).map(|()| None),
            Task::Map { name, held } => self.disk.map(&name.to_string()).map(|mapped| {
                let bytes = mapped?;
                // A disk may return something else than it was given. From now on that would be sent and executed:
                // what is in memory stays there instead, and the next start finds the damage.
                let is_the_same = bytes.get(..held.len()) == Some(&held[..]);
                // The point of the map is that nothing of it has to be in memory.
                bytes.give_back();
                if !is_the_same {
                    tracing::error!(segment = %name, "the disk returns other bytes than were written; they stay in memory. Check the disk");
                }
                is_the_same.then_some((name, bytes))
            }),
            Task::Remove(names) => remove(&self.disk, &names).map(|()| None),
        };
        ChoreDone(done.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not {name}");
            None
        }))
    }
}

/// Tries all of them, and says what was the matter with the first that resisted.
fn remove(disk: &Disk, names: &[SegmentName]) -> Result<(), DiskError> {
    let removed: Vec<Result<(), DiskError>> =
        names.iter().map(|name| disk.remove(&name.to_string())).collect();
    removed.into_iter().collect()
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
        let Some((name, mapped)) = done.0 else { return };
        for run in self.runs.iter_mut().filter(|run| run.file == name) {
            if let Contents::Good(frames) = &mut run.contents
                && frames.copied_to.is_none()
            {
                frames.bytes = mapped.clone();
            }
        }
    }

    /// Once for each segment that is half full.
    fn spare_wanted(&mut self) -> Option<Task> {
        let half_full = |active: &&Active| active.segment.remaining() < active.segment.capacity() / 2;
        let active = self.active.as_ref().filter(half_full)?.name;
        if self.chores.spare_for.replace(active) == Some(active) {
            return None;
        }
        Some(Task::Spare { bytes: self.sizes.later })
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

    fn removal_wanted(&mut self) -> Option<Task> {
        let names = std::mem::take(&mut self.chores.unneeded);
        (!names.is_empty()).then_some(Task::Remove(names))
    }
}
