use journal::Ticket;
use position::{MemberId, Memory};
use quorum::{ChangeOrder, Envelope, ReadToken, Time};

use crate::replica::{ClientId, Finished};
use crate::{Actor, Prevalent};

/// What a driver's clocks say. The protocol goes by `time` alone; `wall_time` is written into frames for
/// people to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// A monotonic clock.
    pub time: Time,
    /// Nanoseconds since 1970.
    pub wall_time: i64,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a, S: Prevalent> {
    /// Time has passed.
    Tick,
    /// A link to this voter was opened.
    Connected(MemberId),
    /// A voter's message, with the bytes that travelled beside it.
    Message {
        /// The message.
        envelope: &'a Envelope,
        /// Frames, or a piece of a snapshot.
        payload: &'a [u8],
    },
    /// A client wants a session.
    Register {
        /// Who asks.
        client: ClientId,
        /// What its certificate says.
        actor: &'a Actor,
    },
    /// Commands of a client, laid out as journal entries.
    Commands {
        /// Who sends them.
        client: ClientId,
        /// What its certificate says.
        actor: &'a Actor,
        /// The entries.
        entries: &'a [u8],
    },
    /// A client wants to read: tell when it may.
    Read(ReadToken),
    /// An operator wants a change of the members.
    Change(ChangeOrder<'a>),
    /// The sync with this ticket has succeeded. (One that failed ends the process.)
    Synced(Ticket),
    /// This memory is durable.
    Persisted(Memory),
    /// A job is done.
    Finished(Finished<S>),
}
