//! An in-memory object store: state is plain Rust structs, every change is a journaled command.
//!
//! Responsible for: what a [`Prevalent`] type is, the journal, the engine that applies it, recovery.
//! Not responsible for: networks (`shipper`), what is decided by whom (`quorum`), operating system
//! calls (`storage`).

mod actor;
mod answer;
mod archive_tag;
mod codec;
mod engine;
mod entry;
mod execution;
mod founding;
mod frame;
mod image;
mod journal;
mod kept;
mod line;
mod meta;
mod prevalent;
mod registration;
mod replay;
mod replica;
mod retention;
mod segment;
mod session;
mod snapshotter;
mod store;
pub mod testing;

pub use actor::{Actor, Role};
pub use answer::{ANSWER_BYTES_MAX, AnswerAt, Answers, Reply, ReplyError};
pub use archive_tag::archive_tag;
pub use codec::{
    CodecError, Decoder, Encoder, Out, Stored, Validator, decode, decode_state, encode, encode_into, validate,
};
pub use engine::{ApplyError, Engine, Members, SnapshotRule};
pub use entry::{ENTRY_HEADER_BYTES, Entries, Entry, EntryError, EntryKind, PAYLOAD_BYTES_MAX};
pub use execution::{CommandRefused, QueryError, answer_query, check_command};
pub use founding::{Founding, decode_members};
pub use frame::{
    FRAME_ALIGNMENT, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, Frame, FrameBuilder, FrameError, FrameFull,
    FrameHeader, Stamp, UnverifiedFrames,
};
pub use image::ImageError;
pub use journal::{
    Chore, ChoreDone, Damage, FoundMark, Journal, JournalError, Recovered, SegmentInfo, SegmentView, Spot,
    SyncOrder, Ticket, list_segments, view_mark, view_segment,
};
pub use kept::{KeptAnswer, SESSION_WINDOW};
pub use line::{Line, LineError, RawLine, lines};
pub use meta::{FoundMeta, Meta, MetaOrder};
pub use prevalent::{Moment, Prevalent, Random, Schema};
pub use registration::{ActorTooLong, read_registration, registration};
pub use replay::ReplayError;
pub use replica::{
    Answered, ClientId, Effects, Fatal, Finished, Input, Job, Now, OpenError, Options, Outgoing,
    RebuildError, Refused, Replica, Unanswered,
};
pub use segment::{
    FIRST_SEGMENT_BYTES, Generation, JOURNAL_FORMAT, JournalTag, SEGMENT_BYTES, SEGMENT_HEADER_BYTES,
    SegmentFlaw, SegmentHeader, SegmentKind, SegmentName,
};
pub use session::{
    Admission, SESSION_IDLE, SESSIONS_MAX, SESSIONS_PER_ACTOR_MAX, Sequence, Session, SessionId, Sessions,
};
pub use snapshotter::{
    LoadError, Loaded, Made, PassedOver, PassedOverError, SnapshotJob, SnapshotJobError, load,
};
pub use store::{ExecuteError, Pending, Store, StoreOpenError, wall_time};

/// Re-exported so that a user's derives name the version whose format features this workspace fixes.
pub use rkyv;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
