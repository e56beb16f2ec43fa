//! Looking at a journal from outside: for people, while its owner may be running.
//!
//! Responsible for: showing every file, hidden ones too, and every frame in it, good or bad, with its place.
//! Not responsible for: deciding anything. Nothing here locks, writes or follows the chain from file to file.

use position::{Index, Tip};
use storage::{Disk, Slice};

use super::mark::{MARK_FILE, Mark};
use super::{JournalError, loading};
use crate::frame::{FRAME_ALIGNMENT, Frame, FrameError, FrameHeader};
use crate::segment::{Generation, SEGMENT_HEADER_BYTES, SegmentFlaw, SegmentHeader, SegmentName, visible};

/// A file of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its name.
    pub name: SegmentName,
    /// Its length.
    pub bytes: u64,
    /// Whether any of its frames count: a newer generation may hide all of them.
    pub visible: bool,
    /// The last entry that a newer segment does not hide or continue; `None` in the newest one.
    pub through: Option<Index>,
}

/// The journal's files, in the order of their first entries, older generations first.
///
/// # Errors
/// If the disk refuses.
pub fn list_segments(disk: &Disk) -> Result<Vec<SegmentInfo>, JournalError> {
    let files = loading::files(disk)?;
    let names: Vec<SegmentName> = files.iter().map(|file| file.name).collect();
    let shown = visible(&names);
    let through = |name: &SegmentName| {
        let position = shown.iter().position(|other| other == name)?;
        shown.get(position + 1).map(|next| next.first.previous())
    };
    let info = |file: &loading::File| SegmentInfo {
        name: file.name,
        bytes: file.bytes,
        visible: shown.contains(&file.name),
        through: through(&file.name),
    };
    Ok(files.iter().map(info).collect())
}

/// The contents of one file of the journal, as they were when it was opened.
#[derive(Debug)]
pub struct SegmentView {
    /// What it says of itself.
    pub header: Result<SegmentHeader, SegmentFlaw>,
    bytes: Slice,
}

/// Opens one file of the journal for looking at it. `None` if it has been removed in the meantime.
///
/// # Errors
/// If the disk refuses.
pub fn view_segment(disk: &Disk, name: &SegmentName) -> Result<Option<SegmentView>, JournalError> {
    let Some(bytes) = disk.map(&name.to_string())? else { return Ok(None) };
    Ok(Some(SegmentView { header: SegmentHeader::decode(&bytes), bytes }))
}

/// The mark, as far as it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundMark {
    /// There is none: nothing was ever durable here, or it was removed.
    Missing,
    /// A good one.
    Good {
        /// How far the journal was durable.
        durable: Tip,
        /// The journal's generation then: a later one may have cut below `durable`.
        generation: Generation,
        /// Whether the process ended in an orderly way.
        clean: bool,
    },
    /// Its checksum is wrong. Recovery does without it.
    Damaged,
}

/// Reads the mark for looking at it.
///
/// # Errors
/// If the disk refuses.
pub fn view_mark(disk: &Disk) -> Result<FoundMark, JournalError> {
    if let Some(Mark { durable, generation, clean }) = Mark::load(disk)? {
        return Ok(FoundMark::Good { durable, generation, clean });
    }
    let is_there = disk.list("")?.iter().any(|file| file.name == MARK_FILE);
    Ok(if is_there { FoundMark::Damaged } else { FoundMark::Missing })
}

/// A frame, or a place where one should be.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    /// Where in the file.
    pub offset: usize,
    /// The frame, or what is wrong.
    pub frame: Result<Frame<'a>, FrameError>,
}

impl SegmentView {
    /// All frames in the order in which they lie in the file. Behind a lost header it goes on with the next
    /// thing that looks like a frame; where only zeros follow it ends.
    pub fn spots(&self) -> impl Iterator<Item = Spot<'_>> {
        let mut offset = SEGMENT_HEADER_BYTES;
        std::iter::from_fn(move || {
            let rest = self.bytes.get(offset..)?;
            if rest.iter().all(|byte| *byte == 0) {
                return None;
            }
            let spot = Spot { offset, frame: Frame::verify(rest) };
            offset += match FrameHeader::read(rest) {
                Ok(header) => header.frame_bytes(),
                Err(_) => {
                    let starts = (FRAME_ALIGNMENT..rest.len()).step_by(FRAME_ALIGNMENT);
                    starts
                        .into_iter()
                        .find(|at| FrameHeader::read(&rest[*at..]).is_ok())
                        .unwrap_or(rest.len())
                }
            };
            Some(spot)
        })
    }
}
