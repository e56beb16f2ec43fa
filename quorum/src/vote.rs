//! Votes and contact: whom a voter grants its vote, and what counts as hearing a master.

use position::{Ballot, Epoch, History, Member, Mutant, Position, Standing, Vote};

use crate::Voter;
use crate::message::{Envelope, Message, Refusal};
use crate::voter::FoundingRule;

/// A vote that was decided and waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    to: Vote,
    attempt: u64,
    /// Not the repetition of one that was given before.
    is_new: bool,
}

impl Voter {
    /// Whether a master has shown itself within the suspicion time.
    pub(crate) fn has_contact(&self) -> bool {
        if self.leads() {
            return self.has_fresh_quorum();
        }
        // Who waits for its disk before it can give a vote away does not stand against it meanwhile.
        self.pending_grant.is_some()
            || self.contact.is_some_and(|at| self.now.since(at) < self.times.suspicion)
    }

    /// Notes a round of the master of this epoch. Nothing but a round that was never seen before counts:
    /// old duplicates of a dead master's messages must not keep it alive.
    pub(crate) fn note_round(&mut self, round: u64) {
        if round > self.round_seen {
            self.round_seen = round;
            self.contact = Some(self.now);
            self.stood_down = false;
            self.backoffs = 0;
        }
    }

    pub(crate) fn on_vote_request(
        &mut self,
        envelope: &Envelope,
        attempt: u64,
        last: Position,
        history: &impl History,
    ) {
        let to = Vote { candidate: envelope.from, process: envelope.process };
        if self.is_certain() && envelope.epoch == self.ballot.epoch && self.ballot.voted_for == Some(to) {
            // The same vote once more, for an answer that was lost. It restarts nothing: the request may
            // be an old duplicate.
            self.pending_grant = Some(Grant { to, attempt, is_new: false });
            self.grant_if_durable();
            return;
        }
        match self.judge(envelope, last, history) {
            Some(Refusal::Journal) => {
                // The epoch is adopted, so that a better candidate's next attempt lies above it. A voter
                // that has never voted keeps its innocence: only a founding election ends it.
                if envelope.epoch > self.ballot.epoch && !self.is_pristine(history) {
                    self.adopt_epoch(envelope.epoch, history);
                }
                self.refuse(envelope.from, attempt, Refusal::Journal);
            }
            Some(refusal) => self.refuse(envelope.from, attempt, refusal),
            None => self.grant(envelope.epoch, to, attempt),
        }
    }

    /// Why not, if not. Whether the own list of voters names this voter does not matter: the candidate's
    /// may be newer, and it counts by its own.
    fn judge(&self, envelope: &Envelope, last: Position, history: &impl History) -> Option<Refusal> {
        let has_voted = envelope.epoch == self.ballot.epoch && self.ballot.voted_for.is_some();
        if envelope.epoch < self.ballot.epoch {
            Some(Refusal::OldEpoch)
        } else if !self.is_certain() {
            Some(Refusal::Uncertain)
        } else if self.has_contact() {
            Some(Refusal::Contact)
        } else if has_voted && !Mutant::VotesTwice.is_active() {
            Some(Refusal::Voted)
        } else if last < history.tip().position && !Mutant::VotesWithoutJournal.is_active() {
            Some(Refusal::Journal)
        } else if self.is_pristine(history) && last > history.tip().position {
            // This directory has never voted, yet the candidate has a history: it may be a fresh copy of a
            // machine that acknowledged part of that history.
            Some(Refusal::Uncertain)
        } else {
            None
        }
    }

    fn refuse(&mut self, to: Member, attempt: u64, refusal: Refusal) {
        self.send(to, Message::VoteReply { attempt, refused: Some(refusal) });
    }

    fn grant(&mut self, epoch: Epoch, to: Vote, attempt: u64) {
        assert!(epoch >= self.ballot.epoch, "a vote in an epoch that was left");
        if epoch > self.ballot.epoch {
            self.enter_epoch(Ballot { epoch, voted_for: Some(to), ..self.ballot });
        } else {
            let is_first = self.ballot.voted_for.is_none() || Mutant::VotesTwice.is_active();
            assert!(is_first, "a second vote in epoch {epoch}");
            self.ballot.voted_for = Some(to);
            self.persist();
        }
        self.stand_by(None);
        self.contact = Some(self.now);
        self.pending_grant = Some(Grant { to, attempt, is_new: true });
        self.grant_if_durable();
    }

    /// Sends the vote that waited for the disk. A ballot that has moved on makes it void.
    pub(crate) fn grant_if_durable(&mut self) {
        let Some(grant) = self.pending_grant else { return };
        if self.ballot.voted_for != Some(grant.to) {
            self.pending_grant = None;
        } else if self.ballot_is_durable() || Mutant::VotesBeforeDurable.is_active() {
            self.pending_grant = None;
            if grant.is_new {
                // The candidate gets a suspicion time from when it can know of the vote.
                self.contact = Some(self.now);
            }
            self.send(grant.to.candidate, Message::VoteReply { attempt: grant.attempt, refused: None });
        }
    }

    /// A directory as the founder made it: nothing but the founding frame, and no vote ever. Unless the
    /// operator says otherwise, it may be a fresh copy of one that had more.
    pub(crate) fn is_pristine(&self, history: &impl History) -> bool {
        self.founding != FoundingRule::Majority
            && !Mutant::TrustsPristine.is_active()
            && self.ballot.epoch == Epoch::NONE
            && self.holds_only_founding(history)
            && self.ballot.standing == Standing::Settled
    }
}
