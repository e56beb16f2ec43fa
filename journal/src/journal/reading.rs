//! What can be asked of an open journal without changing it.

use position::{FrameId, History, Index, Tip};
use storage::Slice;

use super::run::{Contents, Damage, Run};
use super::{Journal, JournalError};
use crate::frame::Frame;

impl Journal {
    /// The frame that holds entry `index`.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if it waits for a good copy.
    ///
    /// # Panics
    /// If the journal does not hold the entry.
    pub fn read_frame(&self, index: Index) -> Result<Frame<'_>, JournalError> {
        let run = self.run_of(index).unwrap_or_else(|| {
            panic!("entry {index} is not within {}..={}", self.base().index().next(), self.last().index())
        });
        match &run.contents {
            Contents::Good(frames) => Ok(frames.frame(frames.containing(index))),
            Contents::Damaged(Damage { id, file, offset, .. }) => {
                Err(JournalError::Damaged { id: *id, file: *file, offset: *offset })
            }
        }
    }

    /// Whole frames after `after` in order, as many as fit into `bytes_max`, but at least one if there is
    /// any. One slice per segment, not copied. The row ends early at a damaged frame.
    ///
    /// # Panics
    /// If no frame ends at `after`.
    #[must_use]
    pub fn frames_after(&self, after: Index, bytes_max: usize) -> Vec<Slice> {
        assert!(self.tip_at(after).is_some(), "frames after {after} were asked for, where none ends");
        match self.reach(after, bytes_max) {
            Some((through, _)) => self.frames_between(after, through),
            None => Vec::new(),
        }
    }

    /// The frames after `after` up to `through`, both ends of frames. One slice per segment, not copied. The
    /// row ends early at a damaged frame.
    ///
    /// # Panics
    /// If no frame ends at `after` or at `through`.
    #[must_use]
    pub fn frames_between(&self, after: Index, through: Index) -> Vec<Slice> {
        let mut slices = Vec::new();
        let mut at = after;
        while at < through {
            let run = self.run_of(at.next()).expect("the journal reaches to an end of a frame in it");
            let Contents::Good(frames) = &run.contents else { break };
            let end = run.tip().index().min(through);
            let (from, to) = (frames.containing(at.next()), frames.containing(end));
            assert_eq!(frames.header(from).first_index, at.next(), "frames after {at}, where none ends");
            assert_eq!(frames.header(to).id().last, end, "frames through {end}, where none ends");
            slices.push(frames.slice(from..to + 1));
            at = end;
        }
        slices
    }

    /// How many bytes all kept frames take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(Run::bytes).sum()
    }

    /// The journal's parts in order: the last entry of each, and how many bytes its frames take.
    #[must_use]
    pub fn parts(&self) -> Vec<(Index, u64)> {
        self.runs.iter().map(|run| (run.tip().index(), run.bytes())).collect()
    }

    /// The last frame that a master wrote at this time or before, by its own wall clock; where the journal
    /// begins if there is none. Exact as long as the clocks of masters go forward.
    #[must_use]
    pub fn index_at(&self, wall_time: i64) -> Index {
        let starts_later = |run: &Run| match &run.contents {
            Contents::Good(frames) => frames.header(0).wall_time > wall_time,
            Contents::Damaged(_) => false,
        };
        let behind = self.runs.partition_point(|run| !starts_later(run));
        let Some(run) = behind.checked_sub(1).map(|number| &self.runs[number]) else {
            return self.base.index();
        };
        match &run.contents {
            Contents::Good(frames) => frames.last_at(wall_time),
            Contents::Damaged(_) => run.tip().index(),
        }
    }

    /// What is damaged and waits for [`Journal::repair`].
    pub fn damages(&self) -> impl Iterator<Item = &Damage> {
        self.runs.iter().filter_map(|run| match &run.contents {
            Contents::Damaged(damage) => Some(damage),
            Contents::Good(_) => None,
        })
    }

    /// The run that holds an entry.
    fn run_of(&self, index: Index) -> Option<&Run> {
        if index <= self.base.index() || index > self.last.index() {
            return None;
        }
        let behind = self.runs.partition_point(|run| run.first <= index);
        Some(&self.runs[behind.checked_sub(1).expect("the first run starts right after the base")])
    }
}

/// Damaged frames count as being there: they are part of the history, and only their bytes are missing.
impl History for Journal {
    fn base(&self) -> Tip {
        self.base
    }

    fn tip(&self) -> Tip {
        self.last
    }

    fn frame_containing(&self, index: Index) -> Option<FrameId> {
        self.run_of(index).map(|run| run.frame_containing(index))
    }

    fn reach(&self, after: Index, bytes_max: usize) -> Option<(Index, usize)> {
        self.tip_at(after)?;
        let (mut through, mut bytes) = (after, 0);
        while let Some(run) = self.run_of(through.next()) {
            let room = bytes_max.saturating_sub(bytes);
            let (end, taken) = match &run.contents {
                Contents::Good(frames) => {
                    let range = frames.reach(frames.containing(through.next()), room);
                    let start = frames.offsets[range.start] as usize;
                    (frames.header(range.end - 1).id().last, frames.end_of(range.end - 1) - start)
                }
                Contents::Damaged(damage) => (damage.id.last, damage.bytes),
            };
            if bytes > 0 && taken > room {
                break;
            }
            (through, bytes) = (end, bytes + taken);
            if through < run.tip().index() {
                break;
            }
        }
        (through > after).then_some((through, bytes))
    }
}
