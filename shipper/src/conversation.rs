//! What clients and voters say to each other.
//!
//! Responsible for: the messages, their limits, and which follow which. Not responsible for: how they
//! lie on a stream (`wire`), and acting on them (`service`, `client`).
//!
//! Each conversation has a QUIC stream of its own, so that no answer waits behind another, and stopping a
//! stream ends the conversation. The client opens one with an [`Ask`]:
//!
//! | ask | payload | then the client says | and the voter |
//! |---|---|---|---|
//! | `Commands` | – | [`Submit`], any number | [`Told`], any number |
//! | `Read` | query | – | one [`Answered`] |
//! | `Commit` | – | – | one `Answered::Answer` without a payload: what is committed by now |
//! | `Members` | – | – | one [`Answered`], of the master |
//! | `Change` | a change of the members | – | one [`Answered`], once the list with it is committed |
//! | `Watch` | query | – | `Answered::Answer` on every change, the latest if the client is slow |
//! | `Follow` | – | – | `Answered::Snapshot…` if need be, then `Answered::Frames` for ever |
//! | `Status` | – | – | one [`Answered`] |
//! | `Past` | – | – | `Answered::Past`, `Answered::Snapshot…` if need be, `Answered::Frames` up to there |
//!
//! On one more stream the voter pushes [`Push`]: who it is, and then the cluster, each time it changes.
//! That the pushing voter names itself as master is what a client acts on.

use std::net::SocketAddr;

use position::{ClusterId, Epoch, Index, MemberId, Tip};
use quorum::{ChangeRefused, Suffrage, Word};
use serde::{Deserialize, Serialize};

use crate::wire::Limits;

/// Entries of one [`Submit::Batch`]: large enough for the largest command with its header.
pub(crate) const BATCH_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;
/// A query is a question: it names things, it does not carry them.
pub(crate) const QUERY_BYTES_MAX: usize = 64 * 1024;
/// The largest answer to a query.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a client opens a stream with.
pub(crate) const ASKED: Limits = Limits { header_bytes_max: 1024, payload_bytes_max: QUERY_BYTES_MAX };
/// What it sends then, if those are commands.
pub(crate) const SUBMITTED: Limits = Limits { header_bytes_max: 1024, payload_bytes_max: BATCH_BYTES_MAX };
/// What a client receives for its commands.
pub(crate) const TOLD: Limits = Limits { header_bytes_max: 64 * 1024, payload_bytes_max: 8 * 1024 * 1024 };
/// What a client receives for everything else. (Frames are smaller than the largest answer.)
pub(crate) const ANSWERED: Limits =
    Limits { header_bytes_max: 64 * 1024, payload_bytes_max: ANSWER_BYTES_MAX };
/// What a voter pushes.
pub(crate) const PUSHED: Limits = Limits { header_bytes_max: 16 * 1024, payload_bytes_max: 0 };

/// The first message on a stream that a client opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    Commands,
    Read,
    Watch,
    Follow {
        after: Tip,
    },
    Status,
    Commit,
    Members,
    /// `expected`: the number of the list that the operator has seen. `dry_run`: only say whether it would be done.
    Change {
        expected: Option<u64>,
        dry_run: bool,
    },
    /// `entries`: how much of the journal before that moment is wanted too, if it is kept. `least`: a voter that
    /// does not know yet that this entry is committed has too little to answer.
    Past {
        at: PastAt,
        entries: u32,
        least: Index,
    },
}

/// A moment of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PastAt {
    /// Right after this entry.
    Index(Index),
    /// At this time by the wall clock of whoever was master, in nanoseconds since 1970.
    Time(i64),
}

/// What a client says on its stream of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Submit {
    /// Open a session for the certificate's holder.
    Register,
    /// Entries laid out as in the journal. `attempt` is the number of [`Told::Busy`] that the client has
    /// received on this stream: what was sent before it heard of the last one is passed over, so that
    /// commands stay in order when some of them have to be sent again.
    Batch { attempt: u32 },
}

/// What a voter says on a stream of commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    Registered {
        session: u64,
    },
    /// Sequences, and how many bytes of the payload are the answer to each.
    Answers {
        session: u64,
        list: Vec<(u64, u32)>,
    },
    /// Commands from this sequence on, and those sent after them, were passed over: send them again later.
    Busy {
        session: u64,
        from: u64,
    },
    /// The command was not journaled, and never will be. Sequence 0: no session was opened.
    Refused {
        session: u64,
        sequence: u64,
        reason: String,
    },
    /// Nothing more is accepted here, and what is unanswered may or may not have been journaled.
    NotMaster,
    /// As `Refused`, for a reason that passes.
    NotNow {
        session: u64,
        sequence: u64,
        reason: String,
    },
}

/// What a voter says on all other streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answered {
    /// The payload is the answer as of `index`, given by the master of `epoch`.
    Answer {
        epoch: Epoch,
        index: Index,
    },
    /// The payload is whole frames, as they lie in the journal.
    Frames {
        commit: Index,
    },
    /// What follows is a snapshot file of so many bytes, which covers everything up to `base`.
    Snapshot {
        bytes: u64,
        base: Tip,
    },
    /// The payload is its next piece.
    Piece,
    Status(VoterStatus),
    Members(Members),
    /// The list with this number has the change, and is committed; or would have it.
    Changed {
        list: u64,
    },
    /// The members are as they were, unless it says otherwise.
    Unchanged(ChangeRefused),
    NotMaster,
    Busy,
    Refused {
        reason: String,
    },
    /// What follows leads to the state right after entry `at`. The past is kept since `first`.
    Past {
        first: Index,
        at: Index,
    },
}

/// What a voter says without being asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Push {
    Greeting { cluster: ClusterId, voter: MemberId, version: String },
    Cluster(ClusterView),
}

/// The cluster as one voter sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// The voter's epoch.
    pub epoch: Epoch,
    /// Whom it takes for master of that epoch.
    pub master: Option<MemberId>,
    /// The members of the cluster.
    pub members: Vec<MemberAddress>,
}

/// Where a member is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAddress {
    /// The member.
    pub id: MemberId,
    /// Its name for people.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it counts in majorities.
    pub is_voter: bool,
}

/// What one voter says of itself when asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoterStatus {
    /// Who says it.
    pub voter: MemberId,
    /// The program's version.
    pub version: String,
    /// Master, standby, candidate and so on.
    pub role: String,
    /// The cluster as it sees it.
    pub view: ClusterView,
    /// End of its journal.
    pub last: Index,
    /// End of what of it is durable.
    pub durable: Index,
    /// End of what it knows to be committed.
    pub commit: Index,
    /// End of what it has applied.
    pub applied: Index,
    /// The hash over all outcomes up to there, in hexadecimal.
    pub outcome_hash: String,
    /// From a master: how far each of the others is.
    pub standbys: Vec<StandbyStatus>,
    /// How many milliseconds its disk has kept it waiting, if it is more than a second: the disk hangs or is far too slow.
    pub disk_waits_ms: Option<u64>,
    /// What is wrong with its data directory, in words, until it has been dealt with; at most 16.
    pub findings: Vec<String>,
}

impl VoterStatus {
    /// That its disk hangs or is far too slow, in words, while it is.
    #[must_use]
    pub fn disk_trouble(&self) -> Option<String> {
        let seconds = self.disk_waits_ms? / 1000;
        Some(format!("its disk has not answered for {seconds} s"))
    }
}

/// The members of the cluster, as its master sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The number of the list that counts.
    pub list: u64,
    /// Whether that list is committed: as long as it is not, no other follows.
    pub committed: bool,
    /// After how many seconds a spare takes the place of a voter that stays away; 0: never.
    pub replace_after_s: u64,
    /// End of the master's journal.
    pub last: Index,
    /// The members, by id.
    pub members: Vec<MemberStatus>,
    /// The PCs that greet the cluster and are not listed, by id.
    pub newcomers: Vec<NewcomerStatus>,
}

/// One member, as the master sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its number.
    pub id: MemberId,
    /// Which life of it, in hexadecimal.
    pub incarnation: String,
    /// Its name for people.
    pub name: String,
    /// Where it listens, `host:port`.
    pub address: String,
    /// Among equally complete journals the higher rank stands first.
    pub rank: u32,
    /// It keeps the journal only.
    pub is_witness: bool,
    /// Whether it counts.
    pub suffrage: Suffrage,
    /// The id of who is to vote in its place.
    pub successor: Option<MemberId>,
    /// End of what is durable there, as far as the master knows.
    pub durable: Index,
    /// What its word is worth.
    pub word: Word,
}

/// A PC that waits to be taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewcomerStatus {
    /// The number in its certificate.
    pub id: MemberId,
    /// What its operator calls it.
    pub name: String,
    /// Where it listens, `host:port`.
    pub address: String,
}

/// Maximum findings in one status. A disk that has more is known to be bad.
pub(crate) const FINDINGS_MAX: usize = 16;

/// What a master knows of another voter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandbyStatus {
    /// The other voter.
    pub voter: MemberId,
    /// Whether it has answered lately.
    pub present: bool,
    /// The end of what it has made durable.
    pub durable: Index,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Decoder, encode_prefix};
    use position::{ChainHash, Position};
    use std::fmt::Debug;

    /// A message comes back, and no truncation of it is taken for one.
    fn check<M: Serialize + serde::de::DeserializeOwned + PartialEq + Debug>(message: &M, limits: Limits) {
        let bytes = encode_prefix(message, 0);
        let decode = |bytes: &[u8]| {
            let mut decoder = Decoder::new(limits);
            decoder.push(bytes);
            decoder.take::<M>()
        };
        assert_eq!(&decode(&bytes).unwrap().unwrap().0, message);
        for length in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..length]), Ok(None)));
        }
        // The same header cut short, with a length that agrees.
        for length in 0..bytes.len() - 8 {
            let announced = u32::try_from(length).unwrap().to_le_bytes();
            let cut = [&announced[..], &[0; 4], &bytes[8..8 + length]].concat();
            assert!(decode(&cut).is_err(), "took {length} bytes of {message:?}");
        }
    }

    fn members() -> Members {
        let member = MemberStatus {
            id: MemberId(3),
            incarnation: "0a".into(),
            name: "pc3".into(),
            address: "10.0.0.3:7400".into(),
            rank: 7,
            is_witness: false,
            suffrage: Suffrage::Learner(quorum::Purpose::Spare),
            successor: Some(MemberId(4)),
            durable: Index(8),
            word: Word::Lost,
        };
        let newcomer =
            NewcomerStatus { id: MemberId(4), name: "pc4".into(), address: "10.0.0.4:7400".into() };
        Members {
            list: 7,
            committed: true,
            replace_after_s: 600,
            last: Index(9),
            members: vec![member],
            newcomers: vec![newcomer],
        }
    }

    fn view() -> ClusterView {
        let member = |id| MemberAddress {
            id: MemberId(id),
            name: format!("pc{id}"),
            address: ([10, 0, 0, 1], 7400).into(),
            is_voter: true,
        };
        ClusterView { epoch: Epoch(3), master: Some(MemberId(1)), members: vec![member(1), member(2)] }
    }

    #[test]
    fn every_message_comes_back_and_no_part_of_one_does() {
        let position = Position::new(Epoch(3), Index(900));
        check(&Ask::Follow { after: Tip { position, hash: ChainHash([7; 32]) } }, ASKED);
        check(&Ask::Read, ASKED);
        check(&Ask::Past { at: PastAt::Index(Index(900)), entries: 1 << 30, least: Index(900) }, ASKED);
        check(&Ask::Commit, ASKED);
        check(&Ask::Members, ASKED);
        check(&Ask::Change { expected: Some(9), dry_run: true }, ASKED);
        check(&Ask::Past { at: PastAt::Time(-1), entries: 0, least: Index::NONE }, ASKED);
        check(&Answered::Past { first: Index(3), at: Index(900) }, ANSWERED);
        check(&Answered::Changed { list: 9 }, ANSWERED);
        check(&Answered::Unchanged(ChangeRefused::NoSuchMember("pc9".into())), ANSWERED);
        check(&Answered::Members(members()), ANSWERED);
        check(&Submit::Register, SUBMITTED);
        check(&Submit::Batch { attempt: 300 }, SUBMITTED);
        check(&Told::Registered { session: 70_000 }, TOLD);
        check(&Told::Answers { session: 70_000, list: vec![(1, 20), (2, 300)] }, TOLD);
        check(&Told::Busy { session: 7, from: 4 }, TOLD);
        check(&Told::Refused { session: 7, sequence: 4, reason: "no".into() }, TOLD);
        check(&Told::NotMaster, TOLD);
        check(&Told::NotNow { session: 7, sequence: 4, reason: "no room".into() }, TOLD);
        check(&Answered::Answer { epoch: Epoch(3), index: Index(900) }, ANSWERED);
        check(&Answered::Frames { commit: Index(900) }, ANSWERED);
        check(&Answered::Snapshot { bytes: 1 << 40, base: Tip::NONE }, ANSWERED);
        check(&Push::Greeting { cluster: ClusterId(9), voter: MemberId(2), version: "0.1".into() }, PUSHED);
        check(&Push::Cluster(view()), PUSHED);
        let standbys = vec![StandbyStatus { voter: MemberId(2), present: true, durable: Index(9) }];
        let status = VoterStatus {
            voter: MemberId(1),
            version: "0.1".into(),
            role: "master".into(),
            view: view(),
            last: Index(12),
            durable: Index(11),
            commit: Index(10),
            applied: Index(9),
            outcome_hash: "ab".into(),
            standbys,
            disk_waits_ms: Some(2_500),
            findings: vec!["mark: it is damaged".into()],
        };
        check(&Answered::Status(status), ANSWERED);
    }
}
