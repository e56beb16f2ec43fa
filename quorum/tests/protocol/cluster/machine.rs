//! One machine: what its disk holds, and the process that performs its voter's effects.

use std::collections::BTreeMap;

use position::{
    Amnesia, Ballot, FrameId, History, Incarnation, Index, KnownPeer, Member, MemberId, Memory,
    ProcessNumber, Standing, Tail, Tip,
};
use quorum::{Alarm, ChangeRefused, ChangeToken, Contradiction, Time, Voter};

use super::journal::Journal;

/// What survives a process.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) member: Member,
    pub(crate) boots: u64,
    /// Its latest process.
    pub(crate) life: u64,
    pub(crate) ballot: Ballot,
    pub(crate) peers: Vec<KnownPeer>,
    /// The number of the newest list that names it.
    pub(crate) list: u64,
    /// The processes of all its starts, the newest first.
    pub(crate) processes: Vec<ProcessNumber>,
    /// Whether a snapshot of it is good.
    pub(crate) has_state: bool,
    /// Survives a power cut.
    pub(crate) durable: Journal,
    /// Survives the death of the process.
    pub(crate) written: Journal,
    /// Frames that end behind this have no room, if it is full.
    pub(crate) full_after: Option<Index>,
    /// What the next start will find at the journal's end.
    pub(crate) tail: Tail,
    /// What the next start will find damaged in the middle.
    pub(crate) repairs: Vec<FrameId>,
}

/// What does not.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) voter: Voter,
    /// Tells its disk's answers from those to an earlier process.
    pub(crate) life: u64,
    pub(crate) syncing: bool,
    pub(crate) persisting: Option<Memory>,
    pub(crate) persist_next: Option<Memory>,
    pub(crate) transfers: BTreeMap<Member, Tip>,
    pub(crate) transferred: Time,
    pub(crate) alarms: Vec<Alarm>,
    /// The protocol has ended it.
    pub(crate) contradicted: Option<Contradiction>,
    pub(crate) removed: bool,
    /// What became of operators' changes.
    pub(crate) changes: Vec<(ChangeToken, Result<u64, ChangeRefused>)>,
}

/// What a power cut does to the end of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TailDamage {
    /// Whole frames are left.
    None,
    /// The first frame that was not synced lost a sector; its identity can be read.
    Torn,
    /// The same, and its identity is gone.
    TornUnknown,
}

impl Disk {
    /// As `init` writes it.
    pub(crate) fn founded(member: Member) -> Disk {
        Disk {
            member,
            boots: 0,
            life: 0,
            ballot: Ballot::founded(),
            peers: Vec::new(),
            list: 0,
            processes: Vec::new(),
            has_state: true,
            durable: Journal::founded(),
            written: Journal::founded(),
            full_after: None,
            tail: Tail::Clean,
            repairs: Vec::new(),
        }
    }

    pub(crate) fn remember(&mut self, memory: &Memory) {
        self.member = memory.me;
        self.list = memory.list;
        self.ballot = memory.ballot;
        self.peers.clone_from(&memory.peers);
    }

    /// A machine that was wiped.
    pub(crate) fn wiped(id: MemberId) -> Disk {
        let empty = Journal::following(Tip::NONE);
        let member = Member { id, incarnation: Incarnation::UNKNOWN };
        Disk { durable: empty.clone(), written: empty, ..Disk::founded(member) }
    }

    /// Power is cut: of what was not synced, `frames` frames happen to have reached the disk.
    pub(crate) fn cut_power(&mut self, frames: u64, damage: TailDamage) {
        let shared = self.written.shared_with(&self.durable);
        if shared < self.durable.tip().index() && frames == 0 {
            // The cut itself was not durable: what it removed is back.
            self.written = self.durable.clone();
        }
        let kept = self.written.shared_with(&self.durable);
        let unsynced = self.written.after(kept, self.written.tip().index());
        let keep = usize::try_from(frames).expect("few").min(unsynced.len());
        let end = keep.checked_sub(1).map_or(kept, |last| unsynced[last].last);
        if let Some(&torn) = unsynced.get(keep).filter(|_| damage != TailDamage::None) {
            let frame = (damage == TailDamage::Torn).then_some(torn);
            let after = self.written.tip_at(end).expect("an end of a frame").epoch();
            self.tail = Tail::Torn { frame, at: torn.first, after };
        }
        self.written.cut_after(end);
        self.durable = self.written.clone();
    }

    /// The last frame of the stopped machine goes bad, though it was synced.
    pub(crate) fn rot_last(&mut self, identity_known: bool) {
        let &frame = self.written.frames().last().expect("a frame to rot");
        self.written.cut_after(frame.first.previous());
        self.durable.cut_after(frame.first.previous());
        let after = self.written.tip().epoch();
        let known = identity_known.then_some(frame);
        self.tail = Tail::Uncertain { frame: known, at: frame.first, after, more: false };
    }

    /// A start reads the disk: what it found in doubt it notes before anything else.
    pub(crate) fn start(&mut self) -> (Tail, Vec<FrameId>) {
        self.boots += 1;
        self.durable = self.written.clone();
        let tail = std::mem::replace(&mut self.tail, Tail::Clean);
        if self.written.tip().epoch() > self.ballot.epoch {
            self.ballot.standing = Standing::Amnesiac(Amnesia::OldBallot);
        } else {
            self.ballot = self.ballot.found(tail);
        }
        (tail, std::mem::take(&mut self.repairs))
    }
}
