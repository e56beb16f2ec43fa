//! What a voter remembers of the others, durably: whether a process that speaks goes on from the one before it.
//!
//! A directory that is put back to an older copy, or that runs twice, does not know it. Its peers do: each start draws
//! a process number, and a greeting carries those of the last starts. Whoever does not lead back to the start that a
//! peer remembers is a copy.

use position::{Amnesia, Ballot, Epoch, History, KnownPeer, Member, Memory, Mutant, Standing, Started};

use crate::link::Link;
use crate::members::Taking;
use crate::message::{Envelope, Hello, Message, Seen};
use crate::{Alarm, Voter};

/// What a greeting of another process than the one that is remembered tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessStart {
    /// A later start of the same directory.
    Successor,
    /// A message from before its restart, or an old copy of its directory: nobody knows before the copy says so.
    Late,
    /// A second copy of its directory, or an older one.
    Copy,
}

impl Link {
    /// Whether this process goes on from the one that is remembered.
    pub(crate) fn judge(&self, started: Started, hello: &Hello) -> ProcessStart {
        if Mutant::BelievesOldImage.is_active() {
            return ProcessStart::Successor;
        }
        if started.boots < self.latest.boots {
            let confesses = hello.amnesia == Some(Amnesia::Copied);
            return if confesses { ProcessStart::Copy } else { ProcessStart::Late };
        }
        let starts_since = usize::try_from(started.boots - self.latest.boots).unwrap_or(usize::MAX);
        let recognized = match hello.processes.get(starts_since) {
            _ if Mutant::IgnoresProcessChain.is_active() => true,
            _ if self.latest.boots == 0 => true,
            Some(process) => starts_since > 0 && *process == self.latest.process,
            // Whoever was away for so many starts cannot tell, and a service that fails and is started again and again
            // is far more likely than a copy that was started as often and never met anybody who knew better.
            None => true,
        };
        // A directory that knows that it lost its vote may follow: it says itself that it does not count.
        let kept_its_ballot = hello.epoch >= self.epoch || hello.amnesia.is_some();
        if recognized && kept_its_ballot { ProcessStart::Successor } else { ProcessStart::Copy }
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen { latest: self.latest, epoch: self.epoch, acknowledged: self.acknowledged }
    }
}

impl Voter {
    /// This start of this directory.
    pub(crate) fn my_start(&self) -> Started {
        Started { boots: self.boots, process: self.process }
    }

    /// What the disk holds, or will hold soon.
    pub(crate) fn memory(&self) -> Memory {
        let known = |(&member, link): (&Member, &Link)| {
            let Link { latest, epoch, .. } = *link;
            let is_member = self.lists.any_lists(member) && latest.boots > 0;
            is_member.then_some(KnownPeer { member, latest, epoch })
        };
        let mut peers: Vec<KnownPeer> = match self.lists.newest().is_unknown() {
            // The list of members may be what is damaged: nobody is forgotten for that.
            true => self.durable_peers.clone(),
            false => self.links.iter().filter_map(known).collect(),
        };
        if peers.len() > Memory::PEERS_MAX {
            peers.retain(|peer| self.lists.newest().lists(peer.member));
        }
        let (me, ballot) = match self.taking {
            Some(Taking { member, epoch }) => {
                let epoch = epoch.max(self.ballot.epoch);
                (member, Ballot { epoch, ..Ballot::founded() })
            }
            None => (self.me, self.ballot),
        };
        Memory { me, list: self.named_by, ballot, peers }
    }

    /// Whether this process of a peer is remembered durably. Before that its votes and acknowledgements do not count: a
    /// power cut here could make room for a copy of it.
    pub(crate) fn is_remembered(&self, member: Member) -> bool {
        let latest = self.links.get(&member).map(|link| link.latest);
        self.durable_peers.iter().any(|peer| peer.member == member && Some(peer.latest) == latest)
    }

    /// Notes the highest epoch in which a peer spoke of what was durable with it. It never goes back behind that.
    pub(crate) fn note_epoch(&mut self, envelope: &Envelope) {
        let epoch = match &envelope.message {
            Message::Hello(hello) | Message::HelloReply(hello) => hello.epoch,
            Message::VoteRequest { .. }
            | Message::VoteReply { refused: None, .. }
            | Message::Heartbeat { .. }
            | Message::Append(_)
            | Message::AppendAck(_)
            | Message::SnapshotChunk(_)
            | Message::SnapshotAck(_) => envelope.epoch,
            _ => return,
        };
        let Some(link) = self.links.get_mut(&envelope.from) else { return };
        if epoch > link.epoch && self.lists.any_lists(envelope.from) {
            link.epoch = epoch;
            self.memory_changed = true;
        }
    }

    /// Compares what a peer remembers of this voter with what the disk still knows.
    pub(crate) fn check_memory(&mut self, hello: &Hello, history: &impl History) {
        let (seen, mine) = (hello.seen_of_you, self.my_start());
        if Mutant::BelievesOldImage.is_active() {
            return;
        }
        let is_amnesiac = matches!(self.ballot.standing, Standing::Amnesiac(_));
        let is_deaf = Mutant::BelievesOldImage.is_active();
        if is_deaf || is_amnesiac || self.me.incarnation == position::Incarnation::UNKNOWN {
            return;
        }
        let later_start = seen.latest.boots > mine.boots;
        let other_process = seen.latest.boots == mine.boots && seen.latest.process != mine.process;
        if later_start || other_process || hello.refused == Some(mine) {
            self.alarm(Alarm::CopiedDirectory { of: self.me });
            self.forget_everything(Amnesia::Copied);
        } else if seen.epoch > self.durable_ballot.epoch {
            self.forget_everything(Amnesia::OldBallot);
        } else {
            self.doubt_what_was_acknowledged(&seen, history);
        }
    }

    pub(crate) fn forget_everything(&mut self, why: Amnesia) {
        self.alarm(Alarm::Amnesia);
        self.lose_standing(Standing::Amnesiac(why));
        self.doubt = None;
    }

    /// From now on this voter's vote does not count, and it neither stands nor leads.
    pub(crate) fn lose_standing(&mut self, standing: Standing) {
        if self.role.name() != crate::RoleName::Standby {
            self.stand_by(None);
        }
        self.pending_grant = None;
        self.ballot.standing = standing;
        self.persist();
    }

    pub(crate) fn durable_epoch(&self) -> Epoch {
        self.durable_ballot.epoch
    }
}
