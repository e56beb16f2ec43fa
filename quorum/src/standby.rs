//! Following: rounds, frames and snapshots of the master.

use position::{FrameId, History, Index, Member, Mutant, Position, Tip};

use crate::message::{Append, AppendAck, Conflict, Envelope, Message, SnapshotAck, SnapshotChunk};
use crate::voter::Role;
use crate::{Alarm, Contradiction, Effect, Voter};

/// What frames are for that the driver was told to write. Nothing is promised of them before it says how far
/// it got: a disk may have no room, and its voter then goes on with what it has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Adopting {
    /// A master's, up to this end, of which so much is committed.
    Followed { through: Index, commit: Index },
    /// Pulled from a peer, up to this end, before standing.
    Pulled { through: Tip },
    /// The frame that was in doubt.
    Found,
}

impl Voter {
    /// Follows the sender if its epoch allows; `false`: the message must not be looked at further.
    ///
    /// A message of an older epoch is answered with the newer one, never dropped: its sender may be a
    /// master that would otherwise go on for ever without this voter.
    fn follow(&mut self, envelope: &Envelope, round: u64, history: &impl History) -> bool {
        if envelope.epoch < self.ballot.epoch {
            self.answer_older_epoch(envelope.from);
            return false;
        }
        if envelope.epoch > self.ballot.epoch {
            self.adopt_epoch(envelope.epoch, history);
        }
        if self.leads() {
            // Somebody has lost a vote that it gave, or this is no voter's word. An epoch that nobody leads yet ends
            // both masterships.
            self.alarm(Alarm::TwoMasters { other: envelope.from, epoch: envelope.epoch });
            self.adopt_epoch(envelope.epoch.next(), history);
            self.contact = None;
            return false;
        }
        if self.master != Some(envelope.from) || !matches!(self.role, Role::Standby) {
            self.stand_by(Some(envelope.from));
        }
        self.note_round(round);
        if !self.ballot_is_durable() && !Mutant::AdoptsBeforeEpochDurable.is_active() {
            // The epoch is durable before any answer or frame in it.
            self.acknowledge_when_durable = true;
            return false;
        }
        true
    }

    pub(crate) fn on_heartbeat(
        &mut self,
        envelope: &Envelope,
        round: u64,
        commit: Index,
        last: Tip,
        history: &impl History,
    ) {
        if !self.follow(envelope, round, history) {
            return;
        }
        if history.tip_at(last.index()) == Some(last) {
            self.matched = self.matched.max(last.index());
        }
        if Mutant::AcknowledgesOwnTail.is_active() {
            self.matched = history.tip().index();
        }
        if Mutant::SettlesByHeartbeat.is_active() {
            self.note_masters_last(last.index(), history);
        }
        self.commit_what_is_matched(commit, history);
        if self.matched > Index::NONE {
            self.acknowledge(None);
        } else {
            // Nothing of this journal is known to be the master's since the start or the epoch's: say where
            // it ends, since a master that has nothing new to send would never find out.
            self.ask_master_to_go_on(history);
        }
    }

    pub(crate) fn on_append(
        &mut self,
        envelope: &Envelope,
        append: &Append,
        frames: &[FrameId],
        history: &impl History,
    ) {
        if !self.follow(envelope, append.round, history) {
            return;
        }
        let prev = append.prev;
        let at_or_below_base = prev.index() <= history.base().index();
        if !at_or_below_base && history.tip_at(prev.index()) != Some(prev) {
            let conflict = self.conflict_at(prev, history);
            self.acknowledge(Some(conflict));
            return;
        }
        let Some(through) = frames.last().map(|last| last.last) else { return };
        let adopting = Adopting::Followed { through, commit: append.commit };
        if !self.adopt_after_conflict(envelope, frames, adopting, history) {
            self.hold(through, append.commit, history);
        }
    }

    /// The master's commit, as far as the journal is the master's. Where several frames are damaged together their
    /// ends are not known: what is committed in there shows once they are mended.
    fn commit_what_is_matched(&mut self, commit: Index, history: &impl History) {
        self.commit_through(history.tip_at_or_below(commit.min(self.matched)).index());
    }

    /// The journal holds the master's frames up to here.
    fn hold(&mut self, through: Index, commit: Index, history: &impl History) {
        self.matched = self.matched.max(through);
        self.commit_what_is_matched(commit, history);
        if self.durable >= through {
            // Nothing new will become durable, so nothing else would answer.
            self.acknowledge(None);
        }
    }

    /// Frames were written, or as many of them as there was room for: the others count as lost on their way,
    /// and come again.
    pub(crate) fn on_adopted(&mut self, tip: Tip, history: &impl History) {
        assert_eq!(tip, history.tip(), "the journal ends where it is said to");
        let adopting = self.adopting.take().expect("asserted by the caller");
        if !matches!(self.role, Role::Standby) && !self.may_stand_somewhen() {
            // A list has come that does not count this voter.
            self.stand_by(None);
        }
        match adopting {
            Adopting::Followed { through, commit } => self.hold(through.min(tip.index()), commit, history),
            Adopting::Pulled { through } if tip == through => self.pull_on(tip),
            Adopting::Pulled { .. } => self.back_off(),
            Adopting::Found => {}
        }
    }

    /// Stops for good: to go on would mean to cut what was committed. The journal stays as it is.
    fn contradict(&mut self, master: Member, first: Index, theirs: Position, history: &impl History) {
        let mine = history.tip_at_or_below(self.commit).position;
        self.stand_by(None);
        self.halted = true;
        let contradiction = Contradiction { master, first, last: self.commit, mine, theirs };
        self.out.push(Effect::Contradicted(contradiction));
    }

    /// Removes own frames from the first real conflict on, and has written what is new; `false`: nothing is.
    ///
    /// Frames that are already there stay: an old, shorter Append removes nothing.
    pub(crate) fn adopt_after_conflict(
        &mut self,
        envelope: &Envelope,
        frames: &[FrameId],
        adopting: Adopting,
        history: &impl History,
    ) -> bool {
        let base = history.base().index();
        for frame in frames.iter().filter(|frame| frame.last > base) {
            let own = history.frame_containing(frame.first.max(base.next()));
            if own == Some(*frame) {
                continue;
            }
            let after = frame.first.previous();
            assert!(after >= base, "a frame reaches across the base");
            match own {
                // Several frames may lie under one damaged header. They are mended by their identity.
                Some(own) if own.last <= self.commit && self.repairs.contains(&own) => continue,
                Some(_) if after < self.commit => {
                    match adopting {
                        // Only a master's word says what the cluster's history is.
                        Adopting::Pulled { .. } => self.back_off(),
                        _ => self.contradict(envelope.from, frame.first, frame.tip().position, history),
                    }
                    return true;
                }
                Some(_) => self.cut(after),
                None => {}
            }
            self.adopt(after, adopting);
            return true;
        }
        let end = frames.last().map_or(self.commit, |last| last.last);
        if Mutant::CutsForShorterAppend.is_active() && end > self.commit && end < history.tip().index() {
            self.cut(end);
        }
        false
    }

    pub(crate) fn adopt(&mut self, after: Index, adopting: Adopting) {
        self.adopting = Some(adopting);
        self.out.push(Effect::Adopt { after });
    }

    fn cut(&mut self, after: Index) {
        assert!(after >= self.commit, "a cut to {after} below the commit {}", self.commit);
        self.out.push(Effect::Cut { after });
        self.durable = self.durable.min(after);
        self.matched = self.matched.min(after);
        self.repairs.retain(|damaged| damaged.last <= after);
        self.lists.cut_after(after);
        self.lists_have_changed();
    }

    fn conflict_at(&self, prev: Tip, history: &impl History) -> Conflict {
        let last = history.tip().position;
        match history.frame_containing(prev.index()) {
            // Frames of the same wrong epoch before it are wrong too: skip them all, within bounds.
            Some(wrong) => {
                let mut first = wrong;
                for _ in 0..4096 {
                    match history.frame_containing(first.first.previous()) {
                        Some(before) if before.epoch == wrong.epoch && before.last > self.commit => {
                            first = before
                        }
                        _ => break,
                    }
                }
                Conflict { start: first.first, epoch: wrong.epoch, last }
            }
            None => Conflict { start: last.index.next(), epoch: last.epoch, last },
        }
    }

    /// Acknowledges the highest round seen, and what of the master's journal is durable here.
    pub(crate) fn acknowledge(&mut self, conflict: Option<Conflict>) {
        let Some(master) = self.master else { return };
        let ack = self.ack(conflict);
        self.send(master, Message::AppendAck(ack));
    }

    fn ack(&self, conflict: Option<Conflict>) -> AppendAck {
        AppendAck {
            round: self.round_seen,
            counts: self.acknowledgements_count(),
            matched: self.matched,
            durable_match: self.matched.min(self.durable).min(self.intact_through(Index(u64::MAX))),
            conflict,
        }
    }

    /// Answers a message of an older epoch: only the envelope's epoch matters.
    fn answer_older_epoch(&mut self, to: Member) {
        if self.ballot_is_durable() {
            let ack = AppendAck { round: 0, ..self.ack(None) };
            self.send(to, Message::AppendAck(ack));
        }
    }

    /// Asks for what follows the end of this journal, if that end is the master's.
    pub(crate) fn ask_master_to_go_on(&mut self, history: &impl History) {
        let last = history.tip().position;
        self.acknowledge(Some(Conflict { start: last.index.next(), epoch: last.epoch, last }));
    }

    pub(crate) fn on_snapshot_chunk(
        &mut self,
        envelope: &Envelope,
        chunk: &SnapshotChunk,
        history: &impl History,
    ) {
        if !self.follow(envelope, chunk.round, history) {
            return;
        }
        let base = chunk.base;
        let committed = base.index() > history.base().index() && base.index() <= self.commit;
        let is_damaged = |own: FrameId| self.repairs.contains(&own);
        let whole = !history.frame_containing(base.index()).is_some_and(is_damaged);
        let own = history.tip_at(base.index());
        let by_index = Mutant::InstallsWithoutHash.is_active() && own.is_some();
        if committed && whole && own != Some(base) && !by_index {
            let first = history.base().index().next();
            return self.contradict(envelope.from, first, base.position, history);
        }
        let held = (own == Some(base) || by_index) && self.durable >= base.index();
        let intact = self.intact_through(base.index()) == base.index() && self.has_state;
        let covered = base.index() <= history.base().index() && self.has_state;
        let not_needed = covered || (held && intact);
        if not_needed {
            self.matched = self.matched.max(base.index());
            self.acknowledge_chunk(base, chunk.total);
        } else {
            self.out.push(Effect::StoreChunk);
        }
    }

    /// Tells the master how much of a snapshot has arrived without a gap; by its driver, after
    /// [`Effect::StoreChunk`].
    pub fn acknowledge_stored(&mut self, base: Tip, received: u64, out: &mut Vec<Effect>) {
        std::mem::swap(&mut self.out, out);
        self.acknowledge_chunk(base, received);
        std::mem::swap(&mut self.out, out);
    }

    /// How far up to `end` no frame is damaged. What is damaged does not count for anything until it is mended: were
    /// it committed on this voter's word, the copy that mends it could be lost meanwhile.
    fn intact_through(&self, end: Index) -> Index {
        self.repairs.iter().map(|damaged| damaged.first.previous()).fold(end, Index::min)
    }

    fn acknowledge_chunk(&mut self, base: Tip, received: u64) {
        let Some(master) = self.master.filter(|_| self.ballot_is_durable()) else { return };
        // Until the snapshot has replaced what is damaged, or is the state, the master must go on sending it.
        let wanted = if self.has_state { base.index() } else { base.index().previous() };
        let durable_match = self.matched.min(self.durable).min(self.intact_through(wanted));
        let (round, counts) = (self.round_seen, self.acknowledgements_count());
        let ack = SnapshotAck { round, base, received, durable_match, counts };
        self.send(master, Message::SnapshotAck(ack));
    }

    /// A snapshot that the journal holds is the state now.
    pub(crate) fn on_state(&mut self, base: Tip) {
        self.has_state = true;
        self.acknowledge_chunk(base, 0);
    }

    /// A snapshot of the master is durable and the journal follows it.
    pub(crate) fn on_installed(&mut self, base: Tip, history: &impl History) {
        assert!(history.base() == base, "the journal follows what was installed");
        let last = history.tip().index();
        assert!(last >= self.commit, "a snapshot took back what was committed");
        assert!(last >= self.matched.min(self.durable), "a snapshot took back what was acknowledged");
        self.durable = history.tip().index().min(self.durable).max(base.index());
        self.matched = self.matched.min(history.tip().index()).max(base.index());
        self.repairs.retain(|damaged| damaged.last > base.index());
        self.has_state = true;
        self.commit_through(base.index());
        self.settle_by_durability(history);
        self.acknowledge_chunk(base, 0);
    }
}
