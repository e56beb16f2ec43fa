//! The end of a journal that a crash or a rotten sector left in doubt.
//!
//! A bad last frame may have been acknowledged. Absence of it elsewhere proves nothing until enough
//! others are certain not to have it; a master's word proves it only if that master was elected without
//! this voter. ("Protocol-Aware Recovery for Consensus-Based Storage", Alagappan et al., FAST 2018.)

use std::collections::BTreeSet;

use position::{Epoch, Index, Member, MemberId};

use crate::effect::Effect;
use crate::message::{Envelope, Fetch, FetchOutcome, FetchReply, Message, Want};
use crate::voter::{Ballot, Role, Standing};
use crate::{FrameId, History, Voter};

/// How a journal ends, as recovery found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With a whole frame and nothing behind it.
    Clean,
    /// With a frame of which a sector was never written: it was never synced, so never acknowledged.
    Torn {
        /// What can be read of its identity.
        frame: Option<FrameId>,
        /// Where it starts.
        at: Index,
        /// Epoch of the last good frame.
        after: Epoch,
    },
    /// With a frame that was whole once, for all one can tell.
    Uncertain {
        /// What can be read of its identity.
        frame: Option<FrameId>,
        /// Where it starts.
        at: Index,
        /// Epoch of the last good frame.
        after: Epoch,
        /// Whether something follows it that is damaged too.
        more: bool,
    },
}

/// What keeps a voter from counting, and what it has learned since its start.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    tail: Tail,
    /// The ballot at the start: a master that was elected with this vote is no witness.
    voted: Ballot,
    dont_have: BTreeSet<MemberId>,
    /// (epoch, end) that a master stated after it had heard of this start.
    masters_last: Option<(Epoch, Index)>,
    /// The frame fetched by its identity, waiting for its sync.
    adopted: Option<Index>,
    /// The epoch in which absence is asked for; see [`Voter::leave_epoch_in_doubt`].
    asked_in: Option<Epoch>,
}

impl Doubt {
    pub(crate) fn at_start(ballot: &Ballot, tail: Tail) -> Option<Doubt> {
        let doubtful = ballot.standing == Standing::Unsettled;
        assert!(
            doubtful || tail == Tail::Clean || ballot.standing == Standing::Amnesiac,
            "a doubt that was not made durable"
        );
        doubtful.then(|| Doubt::new(tail, *ballot))
    }

    pub(crate) fn copied_afresh() -> Doubt {
        let never = Ballot { epoch: Epoch::NONE, voted_for: None, standing: Standing::Settled };
        Doubt::new(Tail::Clean, never)
    }

    fn new(tail: Tail, voted: Ballot) -> Doubt {
        Doubt { tail, voted, dont_have: BTreeSet::new(), masters_last: None, adopted: None, asked_in: None }
    }

    fn want(&self, ballot: &Ballot) -> Option<Want> {
        match self.tail {
            Tail::Clean => None,
            Tail::Torn { frame: Some(frame), .. } | Tail::Uncertain { frame: Some(frame), .. } => {
                Some(Want::Frame(frame))
            }
            Tail::Torn { at, after, .. } | Tail::Uncertain { at, after, .. } => {
                Some(Want::Any { at, after, until: ballot.epoch })
            }
        }
    }
}

impl Voter {
    /// Repeats the questions that would end a doubt or mend a damaged frame.
    pub(crate) fn ask_about_doubts(&mut self) {
        self.leave_epoch_in_doubt();
        let doubt = self.doubt.as_ref().and_then(|doubt| doubt.want(&self.ballot));
        let repair = self.repairs.first().map(|&frame| Want::Frame(frame));
        for want in doubt.into_iter().chain(repair) {
            self.attempt += 1;
            let attempt = self.attempt;
            for to in self.others() {
                self.send(to, Message::Fetch(Fetch { attempt, want }));
            }
        }
    }

    /// Before absence is asked for, a later epoch is entered, and whoever answers enters it too.
    ///
    /// The damaged frame may have been acknowledged to a master that still counts this acknowledgement.
    /// Were the others free to acknowledge the same frame to it after they had said they don't have it,
    /// it would be committed by an acknowledgement that this voter is about to forget.
    fn leave_epoch_in_doubt(&mut self) {
        if self.has_contact() || !self.membership.counts(self.me) {
            return;
        }
        let next = self.epoch_seen.max(self.ballot.epoch).next();
        let Some(doubt) = &mut self.doubt else { return };
        if doubt.tail != Tail::Clean && doubt.asked_in.is_none_or(|epoch| epoch < self.ballot.epoch) {
            doubt.asked_in = Some(next);
            self.enter_epoch(Ballot { epoch: next, voted_for: None, ..self.ballot });
        }
    }

    pub(crate) fn on_fetch(&mut self, envelope: &Envelope, fetch: &Fetch, history: &impl History) {
        let by_identity = !matches!(fetch.want, Want::After(_));
        if by_identity
            && envelope.epoch > self.ballot.epoch
            && !self.has_contact()
            && !self.is_pristine(history)
        {
            self.adopt_epoch(envelope.epoch, history);
        }
        // Who follows a master may yet get from it what it does not have.
        let bound = self.ballot.epoch >= envelope.epoch && self.ballot_is_durable() && !self.has_contact();
        let (outcome, frames) = self.look_up(&fetch.want, history);
        let reply = FetchReply {
            attempt: fetch.attempt,
            last: history.tip().position,
            certain: self.is_certain() && (bound || !by_identity),
            outcome,
        };
        let envelope = self.envelope(envelope.from, Message::FetchReply(reply));
        self.out.push(match frames {
            Some((after, through)) => Effect::SendFrames { envelope, after, through },
            None => Effect::Send(envelope),
        });
    }

    fn look_up(&self, want: &Want, history: &impl History) -> (FetchOutcome, Option<(Index, Index)>) {
        let found = |frame: FrameId| {
            let prev = history.tip_at(frame.first.previous()).expect("a frame follows a tip");
            (FetchOutcome::Frames { prev }, Some((prev.index(), frame.last)))
        };
        let compacted = |index: Index| index <= history.base().index();
        match *want {
            Want::After(tip) if compacted(tip.index().next()) => (FetchOutcome::Compacted, None),
            Want::After(tip) if history.tip_at(tip.index()) == Some(tip) => {
                match history.reach(tip.index(), crate::APPEND_BYTES_MAX) {
                    Some((through, _)) => (FetchOutcome::Frames { prev: tip }, Some((tip.index(), through))),
                    None => (FetchOutcome::DontHave { shared: tip.index() }, None),
                }
            }
            Want::After(tip) => {
                let mut shared = history.tip_at_or_below(tip.index().previous());
                while shared.epoch() > tip.epoch() && shared.index() > history.base().index() {
                    shared = history.tip_at_or_below(shared.index().previous());
                }
                (FetchOutcome::DontHave { shared: shared.index() }, None)
            }
            Want::Frame(frame) if compacted(frame.first) => (FetchOutcome::Compacted, None),
            Want::Any { at, .. } if compacted(at) => (FetchOutcome::Compacted, None),
            Want::Frame(frame) => match history.frame_containing(frame.first) {
                Some(own) if own == frame && !self.repairs.contains(&own) => found(own),
                Some(own) if own == frame => (FetchOutcome::Compacted, None),
                _ => (FetchOutcome::DontHave { shared: Index::NONE }, None),
            },
            Want::Any { at, after, until } => match history.frame_containing(at) {
                Some(own) if own.epoch >= after && own.epoch <= until => found(own),
                _ => (FetchOutcome::DontHave { shared: Index::NONE }, None),
            },
        }
    }

    pub(crate) fn on_fetch_reply(
        &mut self,
        envelope: &Envelope,
        reply: &FetchReply,
        frames: &[FrameId],
        history: &impl History,
    ) {
        if matches!(self.role, Role::Pulling(_)) {
            self.on_pulled(envelope, reply, frames, history);
        } else if !self.membership.counts(envelope.from) {
        } else if let FetchOutcome::Frames { prev } = reply.outcome {
            self.on_found(prev, frames, history);
        } else if let FetchOutcome::DontHave { .. } = reply.outcome
            && reply.certain
        {
            self.on_dont_have(envelope, history);
        }
    }

    /// A frame that was asked for by its identity. Only the very same one says anything.
    fn on_found(&mut self, prev: position::Tip, frames: &[FrameId], history: &impl History) {
        let Some(&found) = frames.first() else { return };
        if self.repairs.contains(&found) {
            self.out.push(Effect::Repair(found));
            return;
        }
        let follows = history.tip() == prev;
        let Some(doubt) = &mut self.doubt else { return };
        let wanted = match doubt.tail {
            Tail::Torn { frame, .. } | Tail::Uncertain { frame, .. } => frame,
            Tail::Clean => None,
        };
        if wanted == Some(found) && follows && doubt.adopted.is_none() && frames.len() == 1 {
            doubt.adopted = Some(found.last);
            self.out.push(Effect::Adopt { after: prev.index() });
        }
    }

    fn on_dont_have(&mut self, envelope: &Envelope, history: &impl History) {
        let (voters, majority) = (self.membership.voters().len(), self.membership.majority());
        let Some(doubt) = &mut self.doubt else { return };
        let left_epoch = doubt.asked_in.is_some_and(|epoch| envelope.epoch >= epoch);
        let needed = match doubt.tail {
            // It was never synced here, so it counted nowhere on this voter's word.
            Tail::Torn { at, .. } if history.tip().index().next() == at => majority - 1,
            // So many that no majority can be made of the others and this voter.
            Tail::Uncertain { at, .. } if left_epoch && history.tip().index().next() == at => {
                voters - majority + 1
            }
            _ => return,
        };
        doubt.dont_have.insert(envelope.from.id);
        if doubt.dont_have.len() >= needed && doubt.adopted.is_none() {
            self.settle();
        }
    }

    /// A master stated its journal's end in answer to a greeting of this start.
    pub(crate) fn note_masters_last(&mut self, master: Member, last: Index) {
        let epoch = self.ballot.epoch;
        let Some(doubt) = &mut self.doubt else { return };
        let elected_with_my_vote = doubt.voted.epoch == epoch && doubt.voted.voted_for == Some(master);
        if !elected_with_my_vote && doubt.masters_last.is_none_or(|(known, _)| known < epoch) {
            doubt.masters_last = Some((epoch, last));
        }
        self.settle_by_durability();
    }

    /// Ends a doubt once what proves it wrong is durable here.
    pub(crate) fn settle_by_durability(&mut self) {
        let Some(doubt) = &self.doubt else { return };
        let more = matches!(doubt.tail, Tail::Uncertain { more: true, .. });
        let by_identity = doubt.adopted.is_some_and(|last| self.durable >= last) && !more;
        let by_master = doubt.masters_last.is_some_and(|(epoch, last)| {
            epoch == self.ballot.epoch && self.matched.min(self.durable) >= last
        });
        if by_identity || by_master {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.doubt = None;
        if self.ballot.standing == Standing::Unsettled {
            self.ballot.standing = Standing::Settled;
            self.persist();
        }
    }
}
