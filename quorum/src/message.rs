//! What voters say to each other. Every field is stated in `docs/protocol.md`.
//!
//! Responsible for: the shapes. Not responsible for: their encoding (`shipper`) and for frames' bytes,
//! which travel beside a message, verbatim.

use position::{
    Amnesia, ClusterId, Epoch, FrameId, Index, Member, MemberId, Position, ProcessNumber, Started, Tip,
};
use serde::{Deserialize, Serialize};

use crate::{Kind, Membership};

/// A message with what every message says of its sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Of another cluster: dropped.
    pub cluster: ClusterId,
    /// The sender, in its present life.
    pub from: Member,
    /// The receiver; of another life than the one meant: dropped, except greetings.
    pub to: Member,
    /// How often the sender's data directory has been started.
    pub boots: u64,
    /// A random number of the sending process: two processes with equal `boots` run on copies of one
    /// directory.
    pub process: ProcessNumber,
    /// Numbers the sender's messages.
    pub counter: u64,
    /// The sender's epoch.
    pub epoch: Epoch,
    /// What is said.
    pub message: Message,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// On every new link and every greeting period.
    Hello(Hello),
    /// The answer to a greeting, with the same contents seen from the other side.
    HelloReply(Hello),
    /// Would you elect anyone now?
    Probe {
        /// Numbers the sender's attempts, over all its lives.
        attempt: u64,
        /// End of the sender's written journal.
        last: Position,
        /// The sender's rank.
        rank: u32,
    },
    /// You are more suited than I am: probe now.
    Nominate,
    /// The answer to a probe.
    ProbeReply(ProbeReply),
    /// Elect me in the envelope's epoch.
    VoteRequest {
        /// As in the probe before it.
        attempt: u64,
        /// End of the sender's written journal.
        last: Position,
        /// Stated when the master itself asked the sender to stand.
        handover: Option<u64>,
    },
    /// The answer to a vote request.
    VoteReply {
        /// Of the request.
        attempt: u64,
        /// `None`: granted.
        refused: Option<Refusal>,
    },
    /// A round of the master, without frames.
    Heartbeat {
        /// Numbers the rounds of an epoch.
        round: u64,
        /// What the master knows to be committed: always the end of a frame.
        commit: Index,
        /// End of the master's journal: whoever has it too has all of it, and need not wait for a frame to
        /// learn so.
        last: Tip,
    },
    /// Frames of the master's journal, which travel beside it.
    Append(Append),
    /// The answer to a heartbeat and to frames.
    AppendAck(AppendAck),
    /// A question for frames.
    Fetch(Fetch),
    /// Its answer.
    FetchReply(FetchReply),
    /// A piece of a snapshot, which travels beside it.
    SnapshotChunk(SnapshotChunk),
    /// Its answer.
    SnapshotAck(SnapshotAck),
    /// Beside a greeting, of whoever is not listed, or listed elsewhere.
    Introduction(Introduction),
    /// The answer to a greeting of whoever the last committed list does not name in this life: that list.
    Members(Membership),
}

/// What the operator calls a PC, and where it listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// Its name.
    pub name: String,
    /// `host:port`.
    pub address: String,
}

/// What one voter knows of itself and of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// End of the sender's written journal.
    pub last: Position,
    /// End of what of it is durable.
    pub durable: Index,
    /// Whether the sender's vote counts.
    pub certain: bool,
    /// Whether its acknowledgements count.
    pub counts: bool,
    /// Started less than a suspicion time ago, and has not heard a master since.
    pub fresh: bool,
    /// What the sender remembers of the receiver.
    pub seen_of_you: Seen,
    /// Whether the sender is master of the envelope's epoch.
    pub master: bool,
    /// The epoch that is durable with the sender.
    pub epoch: Epoch,
    /// The process numbers of the sender's last starts, the newest first; zero before the first start.
    pub processes: [ProcessNumber; PROCESSES_MAX],
    /// A start of the receiver that the sender takes for one of a copy: it counts nowhere.
    pub refused: Option<Started>,
    /// Whether the sender has lost what it promised, and how that was found.
    pub amnesia: Option<Amnesia>,
    /// Of a sender without a state: where its journal begins. Only a snapshot from there on gives it one.
    pub stateless: Option<Index>,
}

/// How many starts back a greeting leads.
pub const PROCESSES_MAX: usize = 16;

/// What a voter remembers of another: a second witness against amnesia.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its latest start. Durable.
    pub latest: Started,
    /// The highest epoch in which it spoke of what was durable. Durable.
    pub epoch: Epoch,
    /// The highest acknowledged position, as (epoch of the acknowledgement, index). Not kept over a start.
    pub acknowledged: Position,
}

/// The answer to a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReply {
    /// Of the probe.
    pub attempt: u64,
    /// End of what the sender has of its journal, up to the first frame that is damaged.
    pub last: Position,
    /// The sender's rank.
    pub rank: u32,
    /// What the sender keeps.
    pub kind: Kind,
    /// Whether the sender has had contact with a master within the suspicion time: it would refuse a vote.
    pub contact: bool,
    /// Whether the sender's vote would count.
    pub certain: bool,
    /// Whether the sender could lead: keeps the state, certain, in its own configuration, and linked
    /// with a majority.
    pub eligible: bool,
}

/// Why a vote was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The epoch is older than the voter's.
    OldEpoch,
    /// The voter has contact with a master.
    Contact,
    /// The voter's journal is more complete.
    Journal,
    /// The voter has voted for another in this epoch.
    Voted,
    /// The voter's own tail is in doubt, it lost its memory, or it is no voter.
    Uncertain,
}

/// Frames of the master's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    /// The round it belongs to.
    pub round: u64,
    /// What the first frame follows.
    pub prev: Tip,
    /// What the master knows to be committed: always the end of a frame.
    pub commit: Index,
}

/// The answer to a heartbeat and to frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendAck {
    /// The highest round seen in this epoch.
    pub round: u64,
    /// Whether the acknowledgement counts. That of an unsettled voter does: it says what is durable now.
    pub counts: bool,
    /// The end of what is written and known to be the master's.
    pub matched: Index,
    /// The end of what of it is durable.
    pub durable_match: Index,
    /// Where the journals part, if they did.
    pub conflict: Option<Conflict>,
}

/// Where a standby's journal parts from the master's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// First entry that may differ.
    pub start: Index,
    /// Epoch in which the standby's frame there was written.
    pub epoch: Epoch,
    /// End of the standby's journal.
    pub last: Position,
}

/// A question for frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Numbers the question; the answer repeats it.
    pub attempt: u64,
    /// What is wanted.
    pub want: Want,
}

/// Which frames are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Want {
    /// Those that follow this tip.
    After(Tip),
    /// This very frame.
    Frame(FrameId),
    /// Whatever frame stands at this index and was written after `after` and not after `until`: asked
    /// for its absence, when the asker's own frame there has lost its identity.
    Any {
        /// The index.
        at: Index,
        /// Epoch of the asker's last good frame.
        after: Epoch,
        /// The asker's own epoch.
        until: Epoch,
    },
}

/// The answer to a [`Fetch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchReply {
    /// Of the question.
    pub attempt: u64,
    /// End of the sender's written journal.
    pub last: Position,
    /// Whether the sender's journal is beyond doubt.
    pub certain: bool,
    /// What came of it.
    pub outcome: FetchOutcome,
}

/// What came of a [`Fetch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchOutcome {
    /// The frames travel beside the message; the first follows this tip.
    Frames {
        /// What the first frame follows.
        prev: Tip,
    },
    /// No such frame. For a pull: where the journals may still be equal.
    DontHave {
        /// The end of the sender's last frame that may be shared.
        shared: Index,
    },
    /// The sender's journal starts only later.
    Compacted,
}

/// A piece of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotChunk {
    /// The master's latest round when its engine loop issued the piece.
    pub round: u64,
    /// What the snapshot covers.
    pub base: Tip,
    /// Where the piece starts in the file.
    pub offset: u64,
    /// The file's length.
    pub total: u64,
}

/// The answer to a [`SnapshotChunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotAck {
    /// The highest round seen in this epoch.
    pub round: u64,
    /// What the snapshot covers.
    pub base: Tip,
    /// How much of the file has arrived without a gap.
    pub received: u64,
    /// The end of what is durable and the master's, also when the snapshot was not needed.
    pub durable_match: Index,
    /// Whether the acknowledgement counts.
    pub counts: bool,
}

impl Message {
    /// The message's name in logs, metrics and transcripts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Message::Hello(_) => "Hello",
            Message::HelloReply(_) => "HelloReply",
            Message::Probe { .. } => "Probe",
            Message::Nominate => "Nominate",
            Message::ProbeReply(_) => "ProbeReply",
            Message::VoteRequest { .. } => "VoteRequest",
            Message::VoteReply { .. } => "VoteReply",
            Message::Heartbeat { .. } => "Heartbeat",
            Message::Append(_) => "Append",
            Message::AppendAck(_) => "AppendAck",
            Message::Fetch(_) => "Fetch",
            Message::FetchReply(_) => "FetchReply",
            Message::SnapshotChunk(_) => "SnapshotChunk",
            Message::SnapshotAck(_) => "SnapshotAck",
            Message::Introduction(_) => "Introduction",
            Message::Members(_) => "Members",
        }
    }

    /// The epoch of the frame that the sender states as the end of something it has; that of an answer to a
    /// [`Fetch`] aside, which a voter that lost its ballot may give too.
    pub(crate) fn stated_epoch(&self) -> Epoch {
        match self {
            Message::Probe { last, .. } | Message::VoteRequest { last, .. } => last.epoch,
            Message::ProbeReply(reply) => reply.last.epoch,
            Message::Heartbeat { last, .. } => last.epoch(),
            Message::Append(append) => append.prev.epoch(),
            Message::SnapshotChunk(chunk) => chunk.base.epoch(),
            _ => Epoch::NONE,
        }
    }
}

/// For logs: who speaks to whom in which epoch.
impl std::fmt::Display for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (MemberId(from), MemberId(to)) = (self.from.id, self.to.id);
        write!(f, "{from}→{to} e{} {:?}", self.epoch, self.message)
    }
}
