//! The end of a journal that a crash or a rotten sector left in doubt.
//!
//! A bad last frame may have been acknowledged. Absence of it elsewhere proves nothing until enough
//! others are certain not to have it; a master's word proves it only together with its whole history, durable
//! here. ("Protocol-Aware Recovery for Consensus-Based Storage", Alagappan et al., FAST 2018.)

use std::collections::BTreeMap;

use position::{
    Ballot, Doubted, Epoch, FrameId, History, Index, Member, MemberId, Mutant, Standing, Tail, Tip,
};

use crate::effect::Effect;
use crate::message::{Envelope, Fetch, FetchOutcome, FetchReply, Message, Seen, Want};
use crate::standby::Adopting;
use crate::voter::Role;
use crate::{Alarm, REPAIR_BYTES_MAX, Voter};

/// What keeps a voter from counting, and what it has learned since its start.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    doubted: Doubted,
    /// Numbers the question, which stays the same: answers to other questions, of this life or an
    /// earlier one, say nothing about it.
    attempt: u64,
    /// Who has what in its place: nothing, or a frame. A frame of which the name is known is absent or comes back.
    answers: BTreeMap<MemberId, Option<FrameId>>,
    /// (epoch, end) that a master stated after it had heard of this start.
    masters_last: Option<(Epoch, Index)>,
}

impl Doubt {
    pub(crate) fn at_start(ballot: &Ballot, tail: Tail) -> Option<Doubt> {
        match (ballot.standing, tail) {
            (Standing::Amnesiac(_) | Standing::Removed, _) | (Standing::Settled, Tail::Clean) => None,
            (Standing::Settled, Tail::Uncertain { .. }) => panic!("a doubt that was not made durable"),
            (Standing::Settled, Tail::Torn { .. }) => {
                Some(Doubt::about(Doubted { tail, epoch: ballot.epoch }))
            }
            (Standing::Unsettled(doubted), _) => Some(Doubt::about(doubted)),
        }
    }

    pub(crate) fn about(doubted: Doubted) -> Doubt {
        Doubt { doubted, attempt: 0, answers: BTreeMap::new(), masters_last: None }
    }

    /// Whether the frame was never synced here, and so never acknowledged.
    pub(crate) fn is_torn(&self) -> bool {
        matches!(self.doubted.tail, Tail::Torn { .. })
    }

    /// The frame in doubt, if its identity could be read.
    fn frame(&self) -> Option<FrameId> {
        match self.doubted.tail {
            Tail::Torn { frame, .. } | Tail::Uncertain { frame, .. } => frame,
            Tail::Clean => None,
        }
    }

    fn want(&self, ballot: &Ballot) -> Option<Want> {
        match self.doubted.tail {
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
    pub(crate) fn ask_about_doubts(&mut self, history: &impl History) {
        // What a snapshot covers by now is not needed any more.
        self.repairs.retain(|damaged| damaged.last > history.base().index());
        self.leave_epoch_in_doubt();
        // An earlier start may have got it back without noting that the doubt was over.
        self.settle_by_durability(history);
        if let Some(want) = self.doubt.as_ref().and_then(|doubt| doubt.want(&self.ballot)) {
            let attempt = self.doubts_attempt();
            self.ask_everyone(Fetch { attempt, want });
        }
        if let Some(&frame) = self.repairs.first() {
            self.attempt += 1;
            let fetch = Fetch { attempt: self.attempt, want: Want::Frame(frame) };
            // The list of voters may be what is damaged: whoever has spoken to this voter is asked.
            let known: Vec<Member> = self.links.keys().copied().collect();
            known.into_iter().for_each(|to| self.send(to, Message::Fetch(fetch)));
        }
    }

    /// A frame has become damaged while this voter runs. As after a start it does not lead before that is mended: it
    /// could not give the frame to a standby that lacks it.
    pub(crate) fn on_damaged(&mut self, frame: FrameId) {
        if !matches!(self.role, Role::Standby) {
            self.stand_by(None);
        }
        self.repairs.push(frame);
    }

    fn doubts_attempt(&mut self) -> u64 {
        let Some(doubt) = &mut self.doubt else { return 0 };
        if doubt.attempt == 0 {
            self.attempt += 1;
            doubt.attempt = self.attempt;
        }
        doubt.attempt
    }

    fn ask_everyone(&mut self, fetch: Fetch) {
        for to in self.others() {
            self.send(to, Message::Fetch(fetch));
        }
    }

    /// Before absence is asked for, the epoch of the doubt is left, and whoever answers leaves it too.
    ///
    /// The damaged frame may have been acknowledged to a master that still counts this acknowledgement.
    /// Were the others free to acknowledge the same frame to it after they had said they don't have it,
    /// it would be committed by an acknowledgement that this voter is about to forget. Whatever was
    /// acknowledged before was so in that epoch or an earlier one; what has been since is durable now.
    fn leave_epoch_in_doubt(&mut self) {
        let Some(doubt) = &self.doubt else { return };
        if Mutant::SettlesInEpochOfDoubt.is_active() {
            return;
        }
        let uncertain = matches!(doubt.doubted.tail, Tail::Uncertain { .. });
        let in_epoch_of_doubt = doubt.doubted.epoch == self.ballot.epoch;
        if uncertain && in_epoch_of_doubt && !self.has_contact() && self.lists.newest().lists(self.me) {
            let epoch = self.epoch_seen.max(self.ballot.epoch).next();
            self.enter_epoch(Ballot { epoch, voted_for: None, ..self.ballot });
        }
    }

    pub(crate) fn on_fetch(&mut self, envelope: &Envelope, fetch: &Fetch, history: &impl History) {
        let by_identity = !matches!(fetch.want, Want::After(_));
        if by_identity
            && self.lists.any_lists(envelope.from)
            && envelope.epoch > self.ballot.epoch
            && !self.has_contact()
            && !self.is_pristine(history)
        {
            self.adopt_epoch(envelope.epoch, history);
        }
        let (outcome, frames) = self.look_up(&fetch.want, history);
        let bound = match (fetch.want, frames) {
            (Want::After(_), _) => true,
            // Whatever it may yet get from a master, no frame of this epoch or an earlier one will take the place of
            // this one.
            (Want::Any { until, .. }, Some((_, through)))
                if history.frame_containing(through).is_some_and(|own| own.epoch >= until) =>
            {
                true
            }
            // Who follows a master may yet get from it what it does not have.
            _ => self.ballot.epoch >= envelope.epoch && self.ballot_is_durable() && !self.has_contact(),
        };
        if matches!((fetch.want, &outcome), (Want::Frame(_), FetchOutcome::Compacted)) {
            self.mend_by_snapshot(envelope.from);
        }
        let reply = FetchReply {
            attempt: fetch.attempt,
            last: history.tip().position,
            certain: self.is_certain() && bound,
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
                let Some((reach, _)) = history.reach(tip.index(), crate::APPEND_BYTES_MAX) else {
                    return (FetchOutcome::DontHave { shared: tip.index() }, None);
                };
                let damaged = self.repairs.iter().filter(|frame| frame.first > tip.index());
                let through =
                    damaged.map(|frame| frame.first.previous()).min().map_or(reach, |end| end.min(reach));
                if through == tip.index() {
                    return (FetchOutcome::Compacted, None);
                }
                (FetchOutcome::Frames { prev: tip }, Some((tip.index(), through)))
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
            // Where a header is damaged, several frames may be asked for under the hash of the last.
            Want::Frame(frame) => {
                let by_position = Mutant::RepairsByPosition.is_active();
                let ends =
                    history.tip_at(frame.last).is_some_and(|tip| tip.hash == frame.hash || by_position);
                let damaged = |own: &FrameId| own.first <= frame.last && frame.first <= own.last;
                let before = frame.first.previous();
                let reach = || history.reach(before, REPAIR_BYTES_MAX).map(|(reach, _)| reach);
                if !ends || history.tip_at(before).is_none() {
                    (FetchOutcome::DontHave { shared: Index::NONE }, None)
                } else if self.repairs.iter().any(damaged) || reach() < Some(frame.last) {
                    (FetchOutcome::Compacted, None)
                } else {
                    found(frame)
                }
            }
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
        if let Some(frame) = self.repairs.iter().find(|damaged| is_copy_of(damaged, frames)) {
            // Whoever sends it: its hash says that it is the right one.
            self.out.push(Effect::Repair(*frame));
            return;
        }
        if !self.lists.newest().counts(envelope.from) {
            return;
        }
        if matches!(self.role, Role::Pulling(_)) {
            self.on_pulled(envelope, reply, frames, history);
        } else if self.doubt.as_ref().is_some_and(|doubt| doubt.attempt == reply.attempt) {
            match reply.outcome {
                FetchOutcome::Frames { prev } if self.is_in_doubt(frames) => self.on_found(prev, history),
                FetchOutcome::Frames { .. } if self.is_nameless() => self.on_other(envelope, reply, frames),
                _ => self.on_not_found(envelope, reply, history),
            }
        }
    }

    /// Whether this is the very frame in doubt: no other one says anything about it.
    fn is_in_doubt(&self, frames: &[FrameId]) -> bool {
        let wanted = self.doubt.as_ref().and_then(Doubt::frame);
        matches!((frames, wanted), ([found], Some(wanted)) if *found == wanted)
    }

    fn on_found(&mut self, prev: Tip, history: &impl History) {
        // Else it has come by other ways, or a master has put something else in its place.
        if history.tip() == prev && self.ballot_is_durable() {
            self.adopt(prev.index(), Adopting::Found);
        }
    }

    fn on_not_found(&mut self, envelope: &Envelope, reply: &FetchReply, history: &impl History) {
        let (absence, majority) = (self.lists.newest().absence(), self.lists.newest().majority());
        // A list that is damaged here may hide how many voters there are.
        let knows_lists = self.repairs.is_empty();
        let Some(doubt) = &mut self.doubt else { return };
        let absent = matches!(reply.outcome, FetchOutcome::DontHave { .. }) && reply.certain;
        let left_epoch = envelope.epoch > doubt.doubted.epoch || Mutant::SettlesInEpochOfDoubt.is_active();
        let needed = match doubt.doubted.tail {
            // It was never synced here, so it counted nowhere on this voter's word. That it is asked for
            // at all is a second look, and after a power cut everyone's tail may be torn: any answer counts.
            Tail::Torn { .. } => majority - 1,
            // So many that no majority can be made of the others and this voter.
            Tail::Uncertain { .. } if absent && left_epoch && Mutant::SettlesByMajority.is_active() => {
                majority - 1
            }
            Tail::Uncertain { at, .. }
                if absent && left_epoch && knows_lists && history.tip().index().next() == at =>
            {
                absence
            }
            _ => return,
        };
        doubt.answers.insert(envelope.from.id, None);
        self.conclude(needed);
    }

    /// Whether one frame is in doubt, of which nothing is known but its place.
    fn is_nameless(&self) -> bool {
        let tail = self.doubt.as_ref().map(|doubt| doubt.doubted.tail);
        matches!(tail, Some(Tail::Uncertain { frame: None, more: false, .. }))
    }

    /// Somebody has a frame in the place of the nameless one.
    fn on_other(&mut self, envelope: &Envelope, reply: &FetchReply, frames: &[FrameId]) {
        let absence = self.lists.newest().absence();
        let (Some(doubt), [frame]) = (&mut self.doubt, frames) else { return };
        let left_epoch = envelope.epoch.max(frame.epoch.next()) > doubt.doubted.epoch;
        if reply.certain && left_epoch {
            doubt.answers.insert(envelope.from.id, Some(*frame));
            self.conclude(absence);
        }
    }

    /// Enough have answered: nobody has anything, and the frame is gone; or all who have something have the same, and
    /// then this is what it was, or it was never committed and never will be.
    fn conclude(&mut self, needed: usize) {
        let Some(doubt) = &mut self.doubt else { return };
        if doubt.answers.len() < needed {
            return;
        }
        let found: Vec<FrameId> = doubt.answers.values().flatten().copied().collect();
        match (&mut doubt.doubted.tail, found.first()) {
            (_, None) => self.settle(),
            (Tail::Uncertain { frame, at, .. }, Some(name))
                if name.first == *at && found.iter().all(|other| other == name) =>
            {
                *frame = Some(*name);
                // It is another question now.
                doubt.attempt = 0;
                doubt.answers.clear();
            }
            _ => {}
        }
    }

    /// A master stated its journal's end in answer to a greeting of this start.
    pub(crate) fn note_masters_last(&mut self, last: Index, history: &impl History) {
        let epoch = self.ballot.epoch;
        let Some(doubt) = &mut self.doubt else { return };
        if doubt.masters_last.is_none_or(|(known, _)| known < epoch) {
            doubt.masters_last = Some((epoch, last));
        }
        self.settle_by_durability(history);
    }

    /// Ends a doubt once what proves it wrong is durable here.
    pub(crate) fn settle_by_durability(&mut self, history: &impl History) {
        let Some(doubt) = &self.doubt else { return };
        let more = matches!(doubt.doubted.tail, Tail::Uncertain { more: true, .. });
        // However it came back, fetched or sent by a master: it is what this voter may have acknowledged.
        let by_identity = doubt.frame().is_some_and(|frame| {
            (!more || Mutant::SettlesLostSuffix.is_active())
                && self.durable >= frame.last
                && history.frame_containing(frame.first) == Some(frame)
        });
        let by_master = doubt.masters_last.is_some_and(|(epoch, last)| {
            let held = match Mutant::SettlesWhenWritten.is_active() {
                true => self.matched,
                false => self.matched.min(self.durable),
            };
            epoch == self.ballot.epoch && held >= last
        });
        if by_identity || by_master {
            self.settle();
        }
    }

    /// A peer was told that more is durable here than the disk holds. In an older epoch that says nothing: a later
    /// master may have cut it.
    pub(crate) fn doubt_what_was_acknowledged(&mut self, seen: &Seen, history: &impl History) {
        let acknowledged = seen.acknowledged.index;
        let lost = seen.acknowledged.epoch == self.ballot.epoch && acknowledged > self.durable;
        let is_known = match self.ballot.standing {
            Standing::Settled => false,
            // What was acknowledged behind the one frame that is in doubt is lost too.
            Standing::Unsettled(Doubted {
                tail: Tail::Uncertain { frame: Some(frame), more, .. }, ..
            }) => more || acknowledged <= frame.last,
            Standing::Unsettled(_) | Standing::Amnesiac(_) | Standing::Removed => true,
        };
        if !lost || is_known {
            return;
        }
        let last = history.tip_at_or_below(self.durable);
        let (at, after, epoch) = (last.index().next(), last.epoch(), self.ballot.epoch);
        let tail = Tail::Uncertain { frame: None, at, after, more: true };
        let doubted = match self.ballot.standing {
            Standing::Unsettled(known) => known.found_again(tail, epoch),
            Standing::Settled | Standing::Amnesiac(_) | Standing::Removed => Doubted { tail, epoch },
        };
        self.alarm(Alarm::LostSuffix { at, acknowledged: seen.acknowledged.index });
        self.doubt = Some(Doubt::about(doubted));
        self.lose_standing(Standing::Unsettled(doubted));
    }

    fn settle(&mut self) {
        self.doubt = None;
        if self.ballot.is_unsettled() {
            self.ballot.standing = Standing::Settled;
            self.persist();
        }
    }
}

/// Whether these frames are what is damaged: one frame, or several under the hash of the last. The hash says it all; the
/// epoch of a frame whose header is lost may not be known.
fn is_copy_of(damaged: &FrameId, frames: &[FrameId]) -> bool {
    let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return false };
    let by_position = Mutant::RepairsByPosition.is_active();
    let is_the_same = last.last == damaged.last && (last.hash == damaged.hash || by_position);
    first.first == damaged.first && is_the_same
}
