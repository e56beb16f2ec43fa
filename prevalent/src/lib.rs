//! An in-memory object store: state is plain Rust structs, every change is a journaled command.
//!
//! Responsible for: what a [`Prevalent`] type is, the journal, the engine that applies it, recovery.
//! Not responsible for: networks (`shipper`), what is decided by whom (`quorum`), operating system
//! calls (`storage`).

mod actor;
mod codec;
mod entry;
mod frame;
mod kept;
mod prevalent;
mod registration;
mod session;

pub use actor::{Actor, Role};
pub use codec::{
    CodecError, Decoder, Encoder, Out, Stored, Validator, decode, decode_state, encode, encode_into, validate,
};
pub use entry::{ENTRY_HEADER_BYTES, Entries, Entry, EntryError, EntryKind, PAYLOAD_BYTES_MAX};
pub use frame::{
    FRAME_ALIGNMENT, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, Frame, FrameBuilder, FrameError, FrameFull,
    FrameHeader, Stamp, UnverifiedFrames,
};
pub use kept::{KeptAnswer, SESSION_WINDOW};
pub use prevalent::{Moment, Prevalent, Random, Schema};
pub use registration::{ActorTooLong, registration};
pub use session::{Admission, SESSION_IDLE, SESSIONS_MAX, Sequence, Session, SessionId, Sessions};

/// Re-exported so that a user's derives name the version whose format features this workspace fixes.
pub use rkyv;
