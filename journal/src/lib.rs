//! The history on disk: every change there ever was, as a chain of frames in preallocated files.
//!
//! Responsible for: how entries, frames and segments are laid out; appending, cutting, rolling, compacting
//! and reading; what is durable; recovery, repair and inspection; and the identity and ballot beside it.
//! Not responsible for: what entries mean (`prevalent`), what is committed or must be cut (`quorum`),
//! snapshots (`snapshots`), and system calls (`storage`).

mod entry;
mod frame;
mod journal;
mod meta;
mod segment;
mod session;
mod sync_watch;

pub use entry::{ENTRY_HEADER_BYTES, Entries, Entry, EntryError, EntryKind, PAYLOAD_BYTES_MAX};
pub use frame::{
    FRAME_ALIGNMENT, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, Frame, FrameBuilder, FrameError, FrameFull,
    FrameHeader, Stamp, UnverifiedFrames,
};
pub use journal::{
    Chore, ChoreDone, Damage, FoundMark, GoodCopy, Journal, JournalError, Recovered, RepairOrder, RoomMade,
    RoomOrder, ScrubOrder, Scrubbed, SegmentInfo, SegmentView, Sizes, Spoiled, Spot, SyncOrder, Ticket,
    list_segments, view_mark, view_segment,
};
pub use meta::{FoundMeta, Meta, MetaOrder};
pub use segment::{
    FIRST_SEGMENT_BYTES, Generation, JOURNAL_FORMAT, JournalTag, SEGMENT_BYTES, SEGMENT_HEADER_BYTES, Schema,
    SegmentFlaw, SegmentHeader, SegmentKind, SegmentName,
};
pub use session::{Sequence, SessionId};
pub use sync_watch::SyncWatch;
