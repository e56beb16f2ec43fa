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
//!
//! A cluster of one elects itself. Its driver keeps the journal, and does what the effects say:
//!
//! ```
//! use position::{
//!     Ballot, ChainHash, ClusterId, Epoch, FrameId, History, Incarnation, Index, Member, MemberId,
//!     ProcessNumber, Tail, Tip,
//! };
//! use quorum::{
//!     Effect, FoundingRule, Input, Introduction, MemberInfo, Membership, Start, Time, Times, Voter,
//! };
//!
//! /// A journal with the founding frame, and with frames of one entry each after it.
//! struct Journal(Vec<FrameId>);
//!
//! impl History for Journal {
//!     fn base(&self) -> Tip {
//!         Tip::NONE
//!     }
//!     fn tip(&self) -> Tip {
//!         self.0.last().map_or(Tip::NONE, FrameId::tip)
//!     }
//!     fn frame_containing(&self, index: Index) -> Option<FrameId> {
//!         self.0.iter().find(|frame| frame.last == index).copied()
//!     }
//!     fn reach(&self, after: Index, _bytes_max: usize) -> Option<(Index, usize)> {
//!         self.frame_containing(after.next()).map(|frame| (frame.last, 100))
//!     }
//! }
//!
//! let frame = |epoch, index| FrameId { epoch, first: index, last: index, hash: ChainHash([1; 32]) };
//! let mut journal = Journal(vec![frame(Epoch::NONE, Index(1))]);
//! let me = Member { id: MemberId(1), incarnation: Incarnation(42) };
//! let myself = MemberInfo::founder(me, "pc1", "pc1:4500", 1);
//! let mut voter = Voter::start(
//!     Time::default(),
//!     Start {
//!         cluster: ClusterId(7),
//!         me,
//!         boots: 1,
//!         process: ProcessNumber(99),
//!         ballot: Ballot::founded(),
//!         processes: vec![ProcessNumber(99)],
//!         peers: Vec::new(),
//!         has_state: true,
//!         lists: vec![(Index(1), Membership::founding(vec![myself])?)],
//!         list: 1,
//!         introduction: Introduction { name: "pc1".into(), address: "pc1:4500".into() },
//!         durable: Index(1),
//!         commit: Index(1),
//!         tail: Tail::Clean,
//!         repairs: Vec::new(),
//!         founding: FoundingRule::All,
//!         times: Times::LAN,
//!         seed: 1,
//!     },
//! );
//!
//! // It votes for itself, durably.
//! let mut effects = Vec::new();
//! voter.step(Time::default(), Input::Tick, &journal, &mut effects);
//! let Some(Effect::Persist(memory)) = effects.pop() else { panic!("it stands at once") };
//! voter.step(Time::default(), Input::Persisted(&memory), &journal, &mut effects);
//! assert!(voter.leads() && effects.contains(&Effect::Lead(Epoch(1))));
//!
//! // It opens its epoch with a no-op, which is committed once it is durable.
//! journal.0.push(frame(Epoch(1), Index(2)));
//! voter.step(Time::default(), Input::Appended(journal.tip()), &journal, &mut effects);
//! voter.step(Time::default(), Input::Durable(Index(2)), &journal, &mut effects);
//! assert_eq!(effects.last(), Some(&Effect::Commit(Index(2))));
//! # Ok::<(), quorum::MembershipError>(())
//! ```

mod candidate;
mod change;
mod effect;
mod invariants;
mod jitter;
mod link;
mod lists;
mod master;
mod members;
mod membership;
mod memory;
mod message;
mod read;
mod settle;
mod standby;
mod time;
mod vote;
mod voter;

pub use change::{Change, ChangeRefused, Newcomer};
pub use effect::{Alarm, ChangeOrder, ChangeToken, Contradiction, Effect, Input, ReadToken};
pub use invariants::{check_state, check_step};
pub use members::{MemberView, Word};
pub use membership::{Kind, MemberInfo, Membership, MembershipError, Purpose, Successor, Suffrage};
pub use message::{
    Append, AppendAck, Conflict, Envelope, Fetch, FetchOutcome, FetchReply, Hello, Introduction, Message,
    PROCESSES_MAX, ProbeReply, Refusal, Seen, SnapshotAck, SnapshotChunk, Want,
};
pub use time::{APPEND_BYTES_MAX, IN_FLIGHT_BYTES_MAX, REPAIR_BYTES_MAX, Time, Times};
pub use voter::{FoundingRule, RoleName, Start, Voter, VoterView};
