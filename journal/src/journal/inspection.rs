//! Looking at a journal from outside: for people, while its owner may be running.
//!
//! Responsible for: showing every file, hidden ones too, the frames in a single one, and where each part of a
//! [recovered](Journal::recover) journal lies.
//! Not responsible for: judging what is bad (`verdict`). Nothing here locks or writes.

use position::{Index, Tip};
use storage::{Disk, DiskError, Slice};

use super::hiding::{Noted, choose};
use super::loading::File;
use super::mark::{MARK_FILE, Mark};
use super::run::{Contents, Damage, Run};
use super::{Journal, JournalError, Recovered, loading};
use crate::frame::{FRAME_ALIGNMENT, Frame, FrameError, FrameHeader};
use crate::segment::{
    Generation, SEGMENT_HEADER_BYTES, SegmentFlaw, SegmentHeader, SegmentKind, SegmentName,
};
use crate::{FoundMeta, Meta};

/// Maximum attempts to list segments of which the owner removes some meanwhile.
const LISTINGS_MAX: u32 = 16;

/// A file of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its name.
    pub name: SegmentName,
    /// Its length.
    pub bytes: u64,
    /// Whether any of its frames count: a newer generation may hide all of them, or it does not belong to the journal.
    pub visible: bool,
    /// The last entry that a newer segment does not hide or continue; `None` in the newest one.
    pub through: Option<Index>,
}

/// The journal's files, in the order of their first entries, older generations first. Recovery's own code says which of
/// them count. It may know of a snapshot besides: [`Recovered::segments`].
///
/// # Errors
/// If the disk refuses, or another version has written one.
pub fn list_segments(disk: &Disk) -> Result<Vec<SegmentInfo>, JournalError> {
    let mut attempt = 1;
    loop {
        match list_once(disk) {
            // The owner has removed it since its name was read.
            Err(JournalError::Disk(DiskError::Missing { .. })) if attempt < LISTINGS_MAX => attempt += 1,
            listed => return listed,
        }
    }
}

fn list_once(disk: &Disk) -> Result<Vec<SegmentInfo>, JournalError> {
    let newest = match Meta::read(disk)? {
        FoundMeta::Good(meta) => meta.newest_segment,
        FoundMeta::Missing | FoundMeta::Damaged => None,
    };
    let (mark, _) = Mark::find(disk);
    let files = loading::files(disk)?;
    let loaded = loading::load_segments(disk, &files, None, &mut Vec::new())?;
    let (shown, _) = choose(loaded, Noted { newest, mark: mark.as_ref(), snapshot: Tip::NONE });
    let shown: Vec<SegmentName> = shown.iter().map(|found| found.name).collect();
    Ok(infos(&files, &shown))
}

fn infos(files: &[File], shown: &[SegmentName]) -> Vec<SegmentInfo> {
    let through = |name: &SegmentName| {
        let position = shown.iter().position(|other| other == name)?;
        shown.get(position + 1).map(|next| next.first.previous())
    };
    let info = |file: &File| SegmentInfo {
        name: file.name,
        bytes: file.bytes,
        visible: shown.contains(&file.name),
        through: through(&file.name),
    };
    files.iter().map(info).collect()
}

impl Recovered {
    /// The journal's files as they were found, in the order of their first entries, older generations first.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        infos(&self.files, &self.shown)
    }
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
    let segment = match disk.open_segment(&name.to_string()) {
        Err(DiskError::Missing { .. }) => return Ok(None),
        segment => segment?,
    };
    let bytes = segment.slice(0..segment.capacity());
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

/// A part of a recovered journal, and where it lies.
#[derive(Clone, Copy, Debug)]
pub enum Located<'a> {
    /// A verified frame.
    Frame {
        /// The file that its bytes are read from: a segment, or a file with good copies.
        file: SegmentName,
        /// Where in the file.
        offset: usize,
        /// The frame.
        frame: Frame<'a>,
    },
    /// Frames that are part of the journal, and of which no good copy is here.
    Damaged(&'a Damage),
}

/// Frames that are damaged where they were written and read from a good copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mended {
    /// The first entry.
    pub first: Index,
    /// The last entry.
    pub last: Index,
    /// The segment with the damage.
    pub file: SegmentName,
    /// Where in it the damage begins.
    pub offset: usize,
    /// The file with the good copy.
    pub copy: SegmentName,
}

impl Journal {
    /// All parts of the journal in order, frame by frame.
    pub fn located(&self) -> impl Iterator<Item = Located<'_>> {
        self.runs.iter().flat_map(|run| (0..run.parts()).map(move |number| run.located(number)))
    }

    /// What is damaged in a segment and counts all the same, since a good copy lies beside it.
    #[must_use]
    pub fn mended(&self) -> Vec<Mended> {
        let mut mended = Vec::new();
        let mut behind: Option<(SegmentName, usize)> = None;
        for run in &self.runs {
            let offset = behind.filter(|(file, _)| *file == run.file).map_or(SEGMENT_HEADER_BYTES, |at| at.1);
            match &run.contents {
                Contents::Good(frames) => match frames.copied_to {
                    Some(copy) => {
                        let (first, last) = (run.first, run.tip().index());
                        mended.push(Mended { first, last, file: run.file, offset, copy });
                        // A good copy is as long as what it stands for.
                        behind = Some((run.file, offset + frames.end - SEGMENT_HEADER_BYTES));
                    }
                    None => behind = Some((run.file, frames.end)),
                },
                Contents::Damaged(damage) => behind = Some((run.file, damage.offset + damage.bytes)),
            }
        }
        mended
    }
}

impl Run {
    fn parts(&self) -> usize {
        match &self.contents {
            Contents::Good(frames) => frames.offsets.len(),
            Contents::Damaged(_) => 1,
        }
    }

    fn located(&self, number: usize) -> Located<'_> {
        match &self.contents {
            Contents::Good(frames) => Located::Frame {
                file: frames.copied_to.unwrap_or(self.file),
                offset: frames.offsets[number] as usize,
                frame: frames.frame(number),
            },
            Contents::Damaged(damage) => Located::Damaged(damage),
        }
    }
}

/// A segment, and what it says of itself.
pub type FoundHeader = (SegmentName, Result<SegmentHeader, SegmentFlaw>);

/// What the segments say of themselves, hidden ones too, in the order of their first entries. One that went meanwhile
/// is left out.
///
/// # Errors
/// If the disk refuses.
pub fn list_headers(disk: &Disk) -> Result<Vec<FoundHeader>, JournalError> {
    let files = loading::files(disk)?;
    let mut headers = Vec::new();
    for name in files.iter().map(|file| file.name).filter(|name| name.kind == SegmentKind::Journal) {
        match loading::open(disk, name, &files) {
            Ok(segment) => {
                let block = segment.slice(0..SEGMENT_HEADER_BYTES.min(segment.capacity()));
                headers.push((name, SegmentHeader::decode(&block)));
            }
            Err(DiskError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(headers)
}
