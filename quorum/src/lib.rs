//! Who is master, what is committed: election and replication as a state machine without I/O.
//!
//! Responsible for: votes, contact, candidacy, commit, the tail that a crash left in doubt, read index.
//! Not responsible for: disks, networks, clocks and threads. A [`Voter`] takes one [`Input`] and the
//! time, and names [`Effect`]s in the order in which its driver must perform them. A message that
//! promises something durable is named only after the input that says it is durable.
//!
//! The rules are Raft's for votes and commit (Ongaro, "Consensus: Bridging Theory and Practice", 2014)
//! and the bully algorithm's (Garcia-Molina, 1982) for who campaigns and when. `docs/protocol.md` states
//! them one by one.

mod candidate;
mod effect;
mod frame_id;
mod history;
mod invariants;
mod link;
mod master;
mod membership;
mod message;
mod random;
mod read;
mod settle;
mod standby;
mod time;
mod vote;
mod voter;

pub use effect::{Alarm, Effect, Input, ReadToken};
pub use frame_id::FrameId;
pub use history::History;
pub use invariants::{check_state, check_step};
pub use membership::{Kind, Membership, MembershipError, VoterInfo};
pub use message::{
    Append, AppendAck, Conflict, Envelope, Fetch, FetchOutcome, FetchReply, Hello, Message, ProbeReply,
    Refusal, Seen, SnapshotAck, SnapshotChunk, Want,
};
pub use settle::Tail;
pub use time::{APPEND_BYTES_MAX, IN_FLIGHT_BYTES_MAX, Time, Times};
pub use voter::{Ballot, Founding, RoleName, Standing, Start, Voter, VoterView};
