//! What goes into a [`Voter`](crate::Voter) and what comes out.

use position::{Epoch, FrameId, Index, Member, MemberId, Memory, Position, Tip};

use crate::{Change, ChangeRefused, Envelope, Membership};

/// Names a read, for its driver. The protocol only keeps the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadToken(pub u64);

/// Names a change of the members, for its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeToken(pub u64);

/// A change of the members that an operator wants.
#[derive(Clone, Copy, Debug)]
pub struct ChangeOrder<'a> {
    /// Whose it is.
    pub token: ChangeToken,
    /// What is to change.
    pub change: &'a Change,
    /// The number of the list that the operator has seen, if the change is to count for no other.
    pub expected: Option<u64>,
    /// Only say whether it would be done.
    pub dry_run: bool,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Time has passed. Due at the latest at [`Voter::next_deadline`](crate::Voter::next_deadline).
    Tick,
    /// A link to this voter was opened, in whichever direction.
    Connected(MemberId),
    /// A message arrived. If frames travelled beside it, their bytes were verified, they form a chain,
    /// and these are their identities.
    Message {
        /// The message.
        envelope: &'a Envelope,
        /// The frames beside it.
        frames: &'a [FrameId],
    },
    /// The master wrote a frame of its own; the journal now ends there.
    Appended(Tip),
    /// The frames of [`Effect::Adopt`] were written, and the journal now ends there: earlier than ordered if the
    /// disk had no room for all of them.
    Adopted(Tip),
    /// The journal is durable through this index.
    Durable(Index),
    /// This memory is durable.
    Persisted(&'a Memory),
    /// Tell me when a read that arrived now may be answered; only to a voter that
    /// [leads](crate::Voter::leads). Reads that wait when it steps down are forgotten.
    Read(ReadToken),
    /// A snapshot was made durable and is now what the journal follows. Frames behind it stay if the
    /// journal had the frame that the snapshot ends with: they may have been acknowledged.
    Installed(Tip),
    /// The wanted good copy of this frame was made durable.
    Repaired(FrameId),
    /// There is a state again: of the snapshot of this tip, which the journal holds too.
    HasState(Tip),
    /// The disk has spoiled this frame, which was whole: a good copy is wanted from others.
    Damaged(FrameId),
    /// Change the members. Answered by [`Effect::ChangeDone`], unless the mastership ends before.
    Change(ChangeOrder<'a>),
}

/// One thing to do, in the order named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make this durable, then say [`Input::Persisted`]. A later memory replaces an earlier one that has
    /// not been written yet.
    Persist(Memory),
    /// Send. May be lost.
    Send(Envelope),
    /// Send with the bytes of the frames after `after` up to `through`. May be lost.
    SendFrames {
        /// The message.
        envelope: Envelope,
        /// End of the frame before the first.
        after: Index,
        /// End of the last.
        through: Index,
    },
    /// Remove all frames after this end of a frame from the journal.
    Cut {
        /// What stays.
        after: Index,
    },
    /// Write those frames that came beside the message just given which lie after this index, as far as there
    /// is room, then say [`Input::Adopted`] before anything else.
    Adopt {
        /// End of the journal.
        after: Index,
    },
    /// Put the good copy that came beside the message just given in the place of a corrupt frame, make it
    /// durable, then say [`Input::Repaired`]. Named again for every peer that sends one.
    Repair(FrameId),
    /// The voter is master of this epoch: write a frame with a no-op as its only entry, then say
    /// [`Input::Appended`] before anything else.
    Lead(Epoch),
    /// The voter was master and is no more: what is pending has an unknown outcome.
    StepDown,
    /// Everything up to this end of a frame is committed.
    Commit(Index),
    /// The read may be answered once everything up to `index` is applied.
    ReadReady {
        /// The read.
        token: ReadToken,
        /// What it must see.
        index: Index,
    },
    /// This standby needs frames that the journal no longer has: send it the newest snapshot.
    SnapshotWanted {
        /// The standby.
        by: Member,
    },
    /// The piece of a snapshot that came beside the message just given is the master's: keep it and
    /// answer with [`Voter::acknowledge_stored`](crate::Voter::acknowledge_stored).
    StoreChunk,
    /// How much of a snapshot a standby has.
    ChunkAcknowledged {
        /// The standby.
        by: Member,
        /// End of what the snapshot covers.
        base: Index,
        /// Bytes without a gap.
        received: u64,
        /// Whether the standby needs no more of it.
        done: bool,
    },
    /// The master's history contradicts what this voter knows to be committed. The process must end, and its
    /// directory stays as it is. Whatever the voter is told from now on, it does nothing more.
    Contradicted(Contradiction),
    /// Write a frame with this list as its only entry, [tell of it](crate::Voter::add_list), then say
    /// [`Input::Appended`] before anything else. Without room for it now the driver leaves it: it is proposed again.
    Propose(Membership),
    /// What became of a change: the number of the list that has it, committed; or that would have it.
    ChangeDone {
        /// Whose it is.
        token: ChangeToken,
        /// The list, or why not.
        result: Result<u64, ChangeRefused>,
    },
    /// A committed list of this number does not name this voter any more, which is durable: the process ends.
    Removed {
        /// The list.
        list: u64,
    },
    /// The epoch, the master, the role or the members changed: tell clients.
    Changed,
    /// Something that a person should know.
    Alarm(Alarm),
}

/// A master whose history is not that which this voter knows to be committed: a majority of the cluster's disks has lost
/// it, or a copy of a directory was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this folder holds entries {first} to {last}, which the cluster has lost; keep it. Voter {master} leads with another history: it is at {theirs}, and what this voter has up to {mine} was committed. Nothing was changed; stop, and find out which of the voters' folders was copied, restored or damaged"
)]
pub struct Contradiction {
    /// Who leads.
    pub master: Member,
    /// The first entry that the master's history does not have, as far as is known.
    pub first: Index,
    /// The last entry that this voter knows to be committed.
    pub last: Index,
    /// Where that stands in this voter's history.
    pub mine: Position,
    /// Where the master's history differs, or ends.
    pub theirs: Position,
}

/// What a person should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// A peer's epoch lies so far ahead that it cannot have come from elections.
    #[error(
        "voter {from} claims epoch {claimed}, {mine} is ours: its messages are ignored; check its data directory"
    )]
    EpochJump {
        /// The peer.
        from: Member,
        /// Its epoch.
        claimed: Epoch,
        /// Ours.
        mine: Epoch,
    },
    /// Two processes run on copies of one directory, or a directory was put back to an older image.
    #[error(
        "voter {of} runs on a copy or an old image of its data directory: readmit it: fleetctl cluster readmit"
    )]
    CopiedDirectory {
        /// The voter.
        of: Member,
    },
    /// Another voter says that it leads the epoch that this one leads.
    #[error(
        "voter {other} says that it leads epoch {epoch}, which this voter leads: a vote was given twice; check the disks of all voters"
    )]
    TwoMasters {
        /// The other.
        other: Member,
        /// The epoch.
        epoch: Epoch,
    },
    /// This voter's directory has lost what it once promised.
    #[error(
        "this voter's data directory has lost what it voted for, or it is a copy: it no longer votes; readmit it: fleetctl cluster readmit"
    )]
    Amnesia,
    /// This voter's journal has lost its end.
    #[error(
        "the journal ends before entry {at}, and this voter has acknowledged entries up to {acknowledged}: the disk has lost them; its vote does not count until a master has sent them again; check the disk"
    )]
    LostSuffix {
        /// The first entry that is missing.
        at: Index,
        /// The last one that was acknowledged.
        acknowledged: Index,
    },
}

impl Alarm {
    /// Whether it is about what this voter, or an earlier life of it, has lost.
    pub(crate) fn is_of_lost_memory(&self) -> bool {
        matches!(self, Alarm::Amnesia | Alarm::CopiedDirectory { .. } | Alarm::LostSuffix { .. })
    }
}
