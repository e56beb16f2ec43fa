//! An in-memory object store: state is plain Rust structs, every change is a journaled command.
//!
//! Responsible for: what a [`Prevalent`] type is, the engine that executes the journal's commands, sessions,
//! snapshots of the state, [`Replica`] and [`Store`].
//! Not responsible for: the history on disk (`journal`), networks (`shipper`), what is decided by whom
//! (`quorum`), operating system calls (`storage`).

mod actor;
mod answer;
mod archive_tag;
mod codec;
mod engine;
mod execution;
mod founding;
mod image;
mod kept;
mod line;
mod members;
mod node;
mod prevalent;
mod registration;
mod replay;
mod replica;
mod retention;
mod session;
mod session_client;
mod snapshot_head;
mod snapshotter;
mod store;
pub mod testing;

pub use actor::{Actor, Role};
pub use answer::{ANSWER_BYTES_MAX, AnswerAt, Answers, Reply, ReplyError};
pub use archive_tag::{archive_tag, journal_tag, layout_of_sizes};
pub use codec::{
    CodecError, Decoder, Encoder, Out, Stored, Validator, decode, decode_state, encode, encode_into, validate,
};
pub use engine::{ApplyError, Engine, Members, SnapshotRule};
pub use execution::{CommandRefused, QueryError, answer_query, check_command};
pub use founding::Founding;
pub use image::ImageError;
pub use journal::{Schema, Sequence, SessionId};
pub use kept::{KeptAnswer, SESSION_WINDOW};
pub use line::{Line, LineError, RawLine, lines};
pub use members::decode_members;
pub use node::{AnswersTo, Node, Order, Refusal, Words};
pub use prevalent::{Moment, Prevalent, Random};
pub use registration::{ActorTooLong, read_registration, registration};
pub use replay::ReplayError;
pub use replica::{
    Answered, ClientId, Effects, Fatal, Finished, Input, Job, Now, OpenError, Options, Outgoing,
    RebuildError, Refused, Replica, ScrubFound, Unanswered,
};
pub use session::{Admission, SESSION_IDLE, SESSIONS_MAX, SESSIONS_PER_ACTOR_MAX, Session, Sessions};
pub use session_client::{BatchMax, COMMANDS_MAX, Heard, Say, SessionClient};
pub use snapshot_head::{PassedOverError, is_snapshot_of};
pub use snapshotter::{LoadError, Loaded, Made, PassedOver, SnapshotJob, SnapshotJobError, load};
pub use store::{ExecuteError, Pending, Store, StoreFailed, StoreOpenError, wall_time};

/// Re-exported so that a user's derives name the version whose format features this workspace fixes.
pub use rkyv;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
