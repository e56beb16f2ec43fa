use std::ops::Range;

use position::{FrameId, Index, Tip};
use storage::Slice;

use crate::frame::{Frame, FrameHeader};
use crate::segment::SegmentName;

/// Frames that lie one behind the other in one file, or the place of some that are damaged.
///
/// A frame costs four bytes of memory here. Everything else is read from its header in the map.
#[derive(Debug)]
pub(crate) struct Run {
    /// The index of its first entry.
    pub(crate) first: Index,
    /// The file that the journal keeps for the sake of these frames.
    pub(crate) file: SegmentName,
    pub(crate) contents: Contents,
}

#[derive(Debug)]
pub(crate) enum Contents {
    /// Verified frames.
    Good(GoodFrames),
    /// Frames of which the end is known, and that must come from elsewhere.
    Damaged(Damage),
}

/// Verified frames in one file.
#[derive(Debug)]
pub(crate) struct GoodFrames {
    /// The file from its start, at least up to the end of the last frame.
    pub(crate) bytes: Slice,
    /// Where each frame starts.
    pub(crate) offsets: Vec<u32>,
    /// Where the last frame ends.
    pub(crate) end: usize,
    /// The file with good copies of frames that are damaged in the run's own file, if these are copies.
    pub(crate) copied_to: Option<SegmentName>,
}

/// A damaged piece of the journal: below this machine's own mark, committed, or followed by a good frame
/// that names it. So it is part of the history, and only its bytes must be fetched from another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What it is. If a header is damaged too, several frames may lie under it as one: from the first to
    /// the last entry, with the last one's hash.
    pub id: FrameId,
    /// What comes before it.
    pub after: Tip,
    /// The file.
    pub file: SegmentName,
    /// Where in the file.
    pub offset: usize,
    /// How much of the file it takes.
    pub bytes: usize,
}

impl Run {
    /// Where the history ends with this run.
    pub(crate) fn tip(&self) -> Tip {
        match &self.contents {
            Contents::Good(frames) => frames.header(frames.offsets.len() - 1).id().tip(),
            Contents::Damaged(damage) => damage.id.tip(),
        }
    }

    /// How much of its file it takes, from the start.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.contents {
            Contents::Good(frames) => frames.end as u64,
            Contents::Damaged(damage) => damage.bytes as u64,
        }
    }

    /// The frame that holds this entry, which must be in this run.
    pub(crate) fn frame_containing(&self, index: Index) -> FrameId {
        match &self.contents {
            Contents::Good(frames) => frames.header(frames.containing(index)).id(),
            Contents::Damaged(damage) => damage.id,
        }
    }

    /// The files that must stay for these frames.
    pub(crate) fn files(&self) -> impl Iterator<Item = SegmentName> {
        let copied_to = match &self.contents {
            Contents::Good(frames) => frames.copied_to,
            Contents::Damaged(_) => None,
        };
        std::iter::once(self.file).chain(copied_to)
    }

    /// Removes the frames behind `index`, which ends a frame of this run.
    pub(crate) fn cut_after(&mut self, index: Index) {
        if let Contents::Good(frames) = &mut self.contents {
            let keep = frames.containing(index) + 1;
            if let Some(end) = frames.offsets.get(keep) {
                frames.end = *end as usize;
            }
            frames.offsets.truncate(keep);
        }
    }
}

impl GoodFrames {
    pub(crate) fn header(&self, frame: usize) -> FrameHeader {
        FrameHeader::read_verified(&self.bytes[self.offsets[frame] as usize..])
    }

    pub(crate) fn frame(&self, frame: usize) -> Frame<'_> {
        Frame::verified_before(&self.bytes[self.offsets[frame] as usize..self.end])
    }

    /// Which frame holds this entry.
    pub(crate) fn containing(&self, index: Index) -> usize {
        let starts_not_behind =
            |offset: &u32| FrameHeader::read_verified(&self.bytes[*offset as usize..]).first_index <= index;
        // Most who ask want the first or the last frame. Looking there first spares them a search, which has a score
        // of pages of a file come into memory: of a whole journal, as much as half of it.
        match &self.offsets[..] {
            [.., last] if starts_not_behind(last) => self.offsets.len() - 1,
            [_, second, ..] if !starts_not_behind(second) => 0,
            offsets => offsets.partition_point(starts_not_behind) - 1,
        }
    }

    /// The last entry that was written at this time or before; the first frame was.
    pub(crate) fn last_at(&self, wall_time: i64) -> Index {
        let not_later =
            |offset: &u32| FrameHeader::read_verified(&self.bytes[*offset as usize..]).wall_time <= wall_time;
        let frames = self.offsets.partition_point(not_later).max(1);
        self.header(frames - 1).id().last
    }

    /// Where a frame ends.
    pub(crate) fn end_of(&self, frame: usize) -> usize {
        self.offsets.get(frame + 1).map_or(self.end, |next| *next as usize)
    }

    /// The bytes of consecutive frames.
    pub(crate) fn slice(&self, frames: Range<usize>) -> Slice {
        self.bytes.subslice(self.offsets[frames.start] as usize..self.end_of(frames.end - 1))
    }

    /// The longest row of frames from `from` on that takes at most `bytes_max`, but at least one.
    pub(crate) fn reach(&self, from: usize, bytes_max: usize) -> Range<usize> {
        let start = self.offsets[from] as usize;
        let inner = self.offsets[from + 1..].partition_point(|end| *end as usize - start <= bytes_max);
        let all = from + inner + 1 == self.offsets.len() && self.end - start <= bytes_max;
        from..(from + inner + usize::from(all)).max(from + 1)
    }
}
