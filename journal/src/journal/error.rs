use position::{FrameId, Index, Tip};
use storage::DiskError;
use thiserror::Error;

use crate::frame::FrameError;
use crate::segment::{SegmentFlaw, SegmentName};

/// Why a journal could not be opened, read or written. Opening changes nothing before it has succeeded.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The segment that is written to is full and the disk has not made the next one ready.
    #[error(
        "no segment of the journal is ready{}; nothing was appended, and it may be tried again",
        if *.disk_is_full { ": the disk is full, make room on it" } else { ": the disk has not kept up" }
    )]
    NotReady {
        /// Since the disk is full.
        disk_is_full: bool,
    },
    /// The data directory holds no journal.
    #[error("there is no journal in this data directory; nothing was changed. Create one, or check the path")]
    Missing,
    /// The data directory holds a journal already.
    #[error(
        "this data directory holds a journal already ({file}); it was left as it is. Choose an empty directory"
    )]
    Exists {
        /// One of its files.
        file: SegmentName,
    },
    /// The journal is somebody else's.
    #[error(
        "{file} belongs to {what} {found}, not {expected}; nothing was changed. \
         Check that this program and this data directory belong together"
    )]
    WrongTag {
        /// The segment.
        file: SegmentName,
        /// What differs.
        what: &'static str,
        /// What the segment says.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// The archives in it are of the same schema and of another layout: a type was changed and its schema was not.
    #[error(
        "{file} holds archives in the layout {found:016x} of schema {schema}, and this program lays them out as \
         {expected:016x}: a state, command, outcome or rejection has changed without a new schema. Nothing was \
         changed. Use the program that wrote it, or undo the change; a changed type needs a higher schema"
    )]
    OtherLayout {
        /// The segment.
        file: SegmentName,
        /// The schema of both.
        schema: u32,
        /// The fingerprint in the segment.
        found: u64,
        /// The program's.
        expected: u64,
    },
    /// Another version of the program wrote it.
    #[error("{file} cannot be read: {source}. Nothing was changed; install the version that wrote it")]
    Format {
        /// The segment.
        file: SegmentName,
        /// What is wrong.
        source: SegmentFlaw,
    },
    /// The disk returned other bytes the second time.
    #[error(
        "{file} at byte {offset}: a frame was whole when it was read first, and is not any more; \
         it was left as it is. Start again: what the disk holds now is judged anew"
    )]
    Unsteady {
        /// The segment.
        file: SegmentName,
        /// Where the frame starts.
        offset: usize,
    },
    /// A frame is intact, but this version does not understand it. It is never skipped.
    #[error("{file} at byte {offset}: {source}. Nothing was changed")]
    NotUnderstood {
        /// The segment.
        file: SegmentName,
        /// Where the frame starts.
        offset: usize,
        /// What is wrong.
        source: Box<FrameError>,
    },
    /// The snapshot and the journal say different things of the same committed entry.
    #[error(
        "the snapshot at {snapshot} is of another history than the journal, which has committed up to {committed}; \
         nothing was changed. One of them comes from elsewhere: restore the folder from one backup"
    )]
    Diverged {
        /// Where the snapshot ends.
        snapshot: Tip,
        /// What the journal knows to be committed.
        committed: Index,
    },
    /// A frame is damaged and waits for a good copy.
    #[error(
        "frame {}..={} of epoch {} is damaged ({file} at byte {offset}); a good copy of it must come from another \
         machine", .id.first, .id.last, .id.epoch
    )]
    Damaged {
        /// Which frame.
        id: FrameId,
        /// Where it lies.
        file: SegmentName,
        /// Where in the file.
        offset: usize,
    },
    /// The copy that was offered is no good.
    #[error("the copy that was offered is refused: {0}. Nothing was changed")]
    BadCopy(Box<FrameError>),
    /// Nothing is damaged where the copy that was offered belongs, or it is another frame.
    #[error("frame {}..={} of epoch {} was offered as a good copy, but it is not what is damaged here", .id.first, .id.last, .id.epoch)]
    NotWanted {
        /// What was offered.
        id: FrameId,
    },
}
