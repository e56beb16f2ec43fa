//! Leading an epoch: rounds, shipping frames, commit, and giving up when the majority is out of reach.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use position::{Epoch, History, Index, Member, MemberId, Mutant};

use crate::effect::ChangeToken;
use crate::message::{Append, AppendAck, Conflict, Envelope, Message, SnapshotAck, SnapshotChunk};
use crate::read::Reads;
use crate::time::{APPEND_BYTES_MAX, IN_FLIGHT_BYTES_MAX};
use crate::voter::Role;
use crate::{Effect, Time, Voter};

/// So many rounds may be on their way to a standby that answers them all.
const ROUNDS_UNDER_WAY: u64 = 3;

/// A repeated Append waits at most this many times δ·2.
const RETRY_DOUBLINGS_MAX: u32 = 5;

/// What a master knows, from its election to its end. It starts empty: nothing that a peer said to an
/// earlier master counts.
#[derive(Clone, Debug)]
pub(crate) struct Mastership {
    pub(crate) epoch: Epoch,
    /// The no-op that opened the epoch: nothing is committed before it is.
    pub(crate) first_own: Index,
    round: u64,
    /// The recent rounds, oldest first.
    rounds: VecDeque<Round>,
    next_round_at: Time,
    standbys: BTreeMap<Member, Progress>,
    pub(crate) reads: Reads,
    /// Since when this voter leads.
    pub(crate) since: Time,
    /// When a spare was last given a voter's place.
    pub(crate) replaced_at: Option<Time>,
    /// Operators' changes that wait for the commit of the list with this number.
    pub(crate) changes: Vec<(ChangeToken, u64)>,
}

/// One round: a message to every standby.
#[derive(Clone, Copy, Debug)]
struct Round {
    number: u64,
    sent: Time,
    /// Where the master's journal ended then.
    end: Index,
}

/// How far one standby has come.
#[derive(Clone, Debug)]
struct Progress {
    /// Durable there and the master's: counts for commit.
    durable: Index,
    /// Written there and the master's.
    written: Index,
    /// End of the last frame sent.
    sent: Index,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    /// The highest round it acknowledged.
    round: u64,
    /// How many rounds in a row it acknowledged with all that the master had a suspicion time before.
    complete: u32,
    retry_at: Time,
    retries: u32,
    /// It needs frames that the journal no longer has.
    snapshot: bool,
    /// It has no state, and gets the newest snapshot beside its frames.
    state_offered: bool,
    /// The last conflict it reported: what was sent meanwhile makes it repeat itself.
    conflict: Option<(Conflict, Time)>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    after: Index,
    through: Index,
    bytes: usize,
}

impl Progress {
    fn starting_at(tip: Index, now: Time) -> Progress {
        Progress {
            durable: Index::NONE,
            written: Index::NONE,
            sent: tip,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            round: 0,
            complete: 0,
            retry_at: now,
            retries: 0,
            snapshot: false,
            state_offered: false,
            conflict: None,
        }
    }

    fn written_through(&mut self, index: Index, retry_at: Time) {
        if index <= self.written {
            return;
        }
        self.written = index;
        // What is still in flight was sent later: its time starts anew.
        self.retries = 0;
        self.retry_at = retry_at;
        while let Some(front) = self.in_flight.front().filter(|front| front.through <= index) {
            self.in_flight_bytes -= front.bytes;
            self.in_flight.pop_front();
        }
        self.sent = self.sent.max(index);
    }

    /// Whether the standby has less than was sent, and nothing is on its way to it. So it is after a start that was
    /// noticed only when everything had been sent to the process before.
    fn lacks_what_is_not_under_way(&self, matched: Index) -> bool {
        let behind = self.written < self.sent && matched == self.written && matched > Index::NONE;
        behind && self.in_flight.is_empty() && !self.snapshot
    }

    fn send_again_after(&mut self, index: Index) {
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.sent = index.max(self.written);
    }
}

impl Mastership {
    pub(crate) fn next_deadline(&self) -> Time {
        let in_flight = self.standbys.values().filter(|standby| !standby.in_flight.is_empty());
        let retry = in_flight.map(|standby| standby.retry_at).min();
        retry.map_or(self.next_round_at, |at| at.min(self.next_round_at))
    }

    /// Standbys that are no longer linked: another life of the same machine has taken their place.
    pub(crate) fn forget(&mut self, gone: impl Fn(&Member) -> bool) {
        self.standbys.retain(|member, _| !gone(member));
    }

    /// In turn without a copy of the list: a master does this after every step.
    fn standby_after(&self, member: Option<Member>) -> Option<Member> {
        let from = member.map_or(Bound::Unbounded, Bound::Excluded);
        self.standbys.range((from, Bound::Unbounded)).next().map(|(&next, _)| next)
    }

    pub(crate) fn matched(&self) -> impl Iterator<Item = (MemberId, Index)> {
        self.standbys.iter().map(|(member, progress)| (member.id, progress.durable))
    }

    /// How many rounds in a row this standby has had everything, a suspicion time aside; 0 if it has not acknowledged
    /// one of the last rounds.
    pub(crate) fn complete_rounds(&self, member: Member) -> u32 {
        let answers = |progress: &&Progress| progress.round + ROUNDS_UNDER_WAY >= self.round;
        self.standbys.get(&member).filter(answers).map_or(0, |progress| progress.complete)
    }

    /// Where the journal ended a suspicion time ago. What was written since may be on its way to the others' disks.
    fn end_before(&self, now: Time, suspicion: Duration) -> Index {
        let settled = self.rounds.iter().rev().find(|round| now.since(round.sent) >= suspicion);
        settled.or_else(|| self.rounds.front()).map_or(Index::NONE, |round| round.end)
    }

    pub(crate) fn durable(&self, member: Member) -> Index {
        self.standbys.get(&member).map_or(Index::NONE, |progress| progress.durable)
    }
}

impl Voter {
    /// A majority has voted for this voter.
    pub(crate) fn lead(&mut self, history: &impl History) {
        let tip = history.tip();
        assert!(self.ballot_is_durable(), "leads an epoch that is not durable");
        assert!(tip.epoch() < self.ballot.epoch, "another master wrote in this epoch");
        assert!(self.commit <= tip.index(), "elected without everything committed");
        let members = self.links.keys().copied().filter(|member| self.ships_to_life(*member));
        let standbys = members.map(|member| (member, Progress::starting_at(tip.index(), self.now)));
        self.role = Role::Master(Box::new(Mastership {
            epoch: self.ballot.epoch,
            first_own: tip.index().next(),
            round: 0,
            rounds: VecDeque::new(),
            next_round_at: self.now,
            standbys: standbys.collect(),
            reads: Reads::default(),
            since: self.now,
            replaced_at: None,
            changes: Vec::new(),
        }));
        self.master = Some(self.me);
        self.matched = tip.index();
        self.contact = None;
        self.stood_down = false;
        self.backoffs = 0;
        self.out.push(Effect::Lead(self.ballot.epoch));
        self.out.push(Effect::Changed);
        self.start_round(history);
    }

    /// What time alone makes a master do.
    pub(crate) fn lead_on(&mut self, history: &impl History) {
        if !self.has_fresh_quorum() {
            self.contact = None;
            self.stand_by(None);
            return;
        }
        let Some(mastership) = self.role.master() else { return };
        if self.now >= mastership.next_round_at {
            self.start_round(history);
            self.go_on_with_members();
        }
        self.retry(history);
    }

    /// Check-quorum: whether a majority has acknowledged a round that was *sent* within the suspicion
    /// time. An answer to an old round says nothing about now.
    pub(crate) fn has_fresh_quorum(&self) -> bool {
        let acknowledged = self.round_of_majority();
        let Some(mastership) = self.role.master() else { return false };
        let oldest = mastership.rounds.front().map_or(self.now, |round| round.sent);
        let newest = mastership.rounds.iter().rev().find(|round| round.number <= acknowledged);
        let sent = newest.map(|round| round.sent);
        // Until the first answers come, the first round's own age decides.
        let dated = sent.unwrap_or(if acknowledged == 0 { oldest } else { Time::default() });
        self.now.since(dated) < self.times.suspicion || self.lists.newest().majority() == 1
    }

    /// The highest round that a majority has acknowledged; the master itself has acknowledged them all.
    pub(crate) fn round_of_majority(&self) -> u64 {
        let Some(mastership) = self.role.master() else { return 0 };
        self.lists.newest().reached_by_majority(|member| {
            if member == self.me {
                return mastership.round;
            }
            mastership.standbys.get(&member).map_or(0, |standby| standby.round)
        })
    }

    fn start_round(&mut self, history: &impl History) {
        let (now, commit, heartbeat, keep) =
            (self.now, self.commit, self.times.heartbeat, self.times.suspicion * 2);
        let Some(mastership) = self.role.master_mut() else { return };
        mastership.round += 1;
        let round = mastership.round;
        mastership.rounds.push_back(Round { number: round, sent: now, end: history.tip().index() });
        // The newest round older than the suspicion time is all that must be kept of the past.
        while mastership.rounds.len() > 1 && now.since(mastership.rounds[1].sent) > keep {
            mastership.rounds.pop_front();
        }
        mastership.next_round_at = now + heartbeat;
        mastership.reads.round_started(round, commit);
        let last = history.tip();
        let mut next = self.standby_after(None);
        while let Some(to) = next {
            self.send(to, Message::Heartbeat { round, commit, last });
            next = self.standby_after(Some(to));
        }
        self.release_reads();
    }

    fn standby_after(&self, member: Option<Member>) -> Option<Member> {
        self.role.master()?.standby_after(member)
    }

    /// Sends what is written and not yet sent, at the end of every step.
    pub(crate) fn ship(&mut self, history: &impl History) {
        let Some(mastership) = self.role.master() else { return };
        if mastership.reads.need_a_round() {
            self.start_round(history);
        }
        let mut next = self.standby_after(None);
        while let Some(to) = next {
            if self.is_heard(to) {
                self.ship_to(to, history);
            }
            next = self.standby_after(Some(to));
        }
    }

    /// After how long a frame that is not acknowledged counts as lost. What is written there is
    /// stated in every acknowledgement of a heartbeat, so at least one of those must have had time.
    fn retry_patience(&self) -> Duration {
        (self.delta() * 2).max(self.times.heartbeat + self.delta())
    }

    fn ship_to(&mut self, to: Member, history: &impl History) {
        let (tip, patience) = (history.tip().index(), self.retry_patience());
        loop {
            let (now, commit) = (self.now, self.commit);
            let Some(mastership) = self.role.master_mut() else { return };
            let round = mastership.round;
            let Some(standby) = mastership.standbys.get_mut(&to) else { return };
            if standby.snapshot || standby.sent >= tip || standby.in_flight_bytes >= IN_FLIGHT_BYTES_MAX {
                return;
            }
            if standby.sent < history.base().index() {
                standby.snapshot = true;
                self.out.push(Effect::SnapshotWanted { by: to });
                return;
            }
            let after = standby.sent;
            let prev = history.tip_at(after).expect("what was sent ends with a frame");
            let (through, bytes) =
                history.reach(after, APPEND_BYTES_MAX).expect("frames lie between sent and tip");
            if standby.in_flight.is_empty() {
                standby.retry_at = now + patience * (1 << standby.retries.min(RETRY_DOUBLINGS_MAX));
            }
            standby.in_flight.push_back(InFlight { after, through, bytes });
            standby.in_flight_bytes += bytes;
            standby.sent = through;
            let envelope = self.envelope(to, Message::Append(Append { round, prev, commit }));
            self.out.push(Effect::SendFrames { envelope, after, through });
        }
    }

    /// Repeats what was sent and not acknowledged for long: it was lost.
    fn retry(&mut self, history: &impl History) {
        let now = self.now;
        let Some(mastership) = self.role.master_mut() else { return };
        for standby in mastership.standbys.values_mut() {
            let Some(oldest) = standby.in_flight.front().filter(|_| now >= standby.retry_at) else {
                continue;
            };
            let after = history.tip_at_or_below(oldest.after).index();
            standby.retries += 1;
            standby.send_again_after(after);
        }
    }

    pub(crate) fn on_append_ack(&mut self, envelope: &Envelope, ack: &AppendAck, history: &impl History) {
        if self.deposed_by(envelope, history) || envelope.epoch != self.ballot.epoch {
            return;
        }
        let matched = known_end(ack.matched, history);
        let durable_match = known_end(ack.durable_match, history).min(matched);
        let (now, patience, retry_at) = (self.now, self.delta() * 2, self.now + self.retry_patience());
        // Heartbeats are answered all the time: an answer is soon repeated that came too early to count.
        let remembered = self.is_remembered(envelope.from);
        let suspicion = self.times.suspicion;
        let Some(mastership) = self.role.master_mut() else { return };
        let everything = mastership.end_before(now, suspicion);
        let Some(standby) = mastership.standbys.get_mut(&envelope.from) else { return };
        standby.written_through(matched, retry_at);
        if ack.round > standby.round {
            let is_complete = ack.counts && remembered && durable_match >= everything;
            standby.complete = if is_complete { standby.complete.saturating_add(1) } else { 0 };
        }
        if (ack.counts && remembered) || Mutant::CountsUncertain.is_active() {
            standby.durable = standby.durable.max(durable_match);
            standby.round = standby.round.max(ack.round);
        } else {
            standby.durable = Index::NONE;
        }
        if standby.lacks_what_is_not_under_way(matched) {
            standby.send_again_after(matched);
        }
        if let Some(conflict) = ack.conflict
            && conflict.start > standby.written
            && standby.conflict.is_none_or(|(known, at)| known != conflict || now.since(at) > patience)
        {
            standby.conflict = Some((conflict, now));
            let shared = shared_end(&conflict, history);
            standby.send_again_after(shared);
        }
        if ack.counts
            && let Some(link) = self.links.get_mut(&envelope.from)
        {
            link.acknowledged(envelope.epoch, durable_match);
        }
        self.advance_commit(history);
        self.release_reads();
    }

    /// A higher epoch in the answer of a voter ends a mastership at once: that voter will never again
    /// acknowledge anything of this epoch.
    fn deposed_by(&mut self, envelope: &Envelope, history: &impl History) -> bool {
        let deposed =
            self.leads() && envelope.epoch > self.ballot.epoch && self.lists.any_lists(envelope.from);
        if deposed {
            self.adopt_epoch(envelope.epoch, history);
            self.contact = None;
            if self.may_stand(history) {
                self.probe(history);
            }
        }
        deposed
    }

    /// Commits what a majority holds durably, if it is of this epoch. Frames of earlier epochs are
    /// committed by what follows them only: on their own a later master could still replace them.
    pub(crate) fn advance_commit(&mut self, history: &impl History) {
        let Some(mastership) = self.role.master() else { return };
        let (me, durable, certain) = (self.me, self.durable, self.is_certain());
        let reached = self.lists.newest().reached_by_majority(|member| match member == me {
            true if certain && Mutant::CountsOwnUnsynced.is_active() => history.tip().index(),
            true if certain => durable,
            true => Index::NONE,
            false => mastership.durable(member),
        });
        let old_epoch = reached < mastership.first_own && !Mutant::CommitsOldEpoch.is_active();
        if old_epoch || reached <= self.commit {
            return;
        }
        let frame = history.frame_containing(reached);
        assert!(
            Mutant::CommitsOldEpoch.is_active()
                || frame.is_some_and(|frame| frame.epoch == self.ballot.epoch && frame.last == reached),
            "everything from the first own frame on is of this epoch, and acknowledged in whole frames"
        );
        self.commit_through(reached);
        self.answer_changes();
        self.release_reads();
    }

    /// Nothing is sent any more to members that no list names.
    pub(crate) fn forget_who_left(&mut self) {
        let listed: Vec<Member> =
            self.links.keys().copied().filter(|member| self.ships_to_life(*member)).collect();
        if let Some(mastership) = self.role.master_mut() {
            mastership.standbys.retain(|member, _| listed.contains(member));
        }
    }

    /// A standby has started anew: what was in flight to it is lost, and maybe some of what it had acknowledged as
    /// durable. Were that counted still, the only copy of it could die with this master. The rounds it acknowledged
    /// happened.
    pub(crate) fn restarted(&mut self, member: Member, history: &impl History) {
        let now = self.now;
        if !self.ships_to_life(member) {
            return;
        }
        let Some(mastership) = self.role.master_mut() else { return };
        let fresh = Progress::starting_at(history.tip().index(), now);
        let standby = mastership.standbys.entry(member).or_insert_with(|| fresh.clone());
        let durable = match Mutant::KeepsOldAcknowledgement.is_active() {
            true => standby.durable,
            false => Index::NONE,
        };
        *standby = Progress { round: standby.round, durable, ..fresh };
    }

    /// A standby has a damaged frame that only a snapshot still covers here.
    pub(crate) fn mend_by_snapshot(&mut self, member: Member) {
        let Some(mastership) = self.role.master_mut() else { return };
        let Some(standby) = mastership.standbys.get_mut(&member) else { return };
        if !std::mem::replace(&mut standby.snapshot, true) {
            self.out.push(Effect::SnapshotWanted { by: member });
        }
    }

    /// A standby has no state: it is sent the newest snapshot, while frames go on.
    pub(crate) fn give_state(&mut self, member: Member) {
        let Some(mastership) = self.role.master_mut() else { return };
        let Some(standby) = mastership.standbys.get_mut(&member) else { return };
        if !std::mem::replace(&mut standby.state_offered, true) && !standby.snapshot {
            self.out.push(Effect::SnapshotWanted { by: member });
        }
    }

    pub(crate) fn on_snapshot_ack(&mut self, envelope: &Envelope, ack: &SnapshotAck, history: &impl History) {
        if self.deposed_by(envelope, history) || envelope.epoch != self.ballot.epoch {
            return;
        }
        let durable_match = known_end(ack.durable_match, history);
        let remembered = self.is_remembered(envelope.from);
        let retry_at = self.now + self.retry_patience();
        let Some(mastership) = self.role.master_mut() else { return };
        let Some(standby) = mastership.standbys.get_mut(&envelope.from) else { return };
        let done = ack.durable_match >= ack.base.index();
        if ack.counts && remembered {
            standby.round = standby.round.max(ack.round);
            standby.durable = standby.durable.max(durable_match);
        }
        if done {
            standby.state_offered = false;
        }
        if done && standby.snapshot {
            standby.snapshot = false;
            standby.written_through(durable_match, retry_at);
            standby.send_again_after(durable_match);
        }
        let (by, base, received) = (envelope.from, ack.base.index(), ack.received);
        self.out.push(Effect::ChunkAcknowledged { by, base, received, done });
    }

    /// The message beside which a driver sends a piece of a snapshot; `None` if this voter leads no more.
    pub fn snapshot_chunk(&mut self, to: Member, chunk: SnapshotChunk) -> Option<Envelope> {
        let round = self.role.master()?.round;
        Some(self.envelope(to, Message::SnapshotChunk(SnapshotChunk { round, ..chunk })))
    }
}

/// Where a master's and a standby's journal are the same at the latest; below the base if that is no
/// longer in the journal.
fn shared_end(conflict: &Conflict, history: &impl History) -> Index {
    let base = history.base().index();
    let asked = conflict.start.previous().min(conflict.last.index);
    if asked < base {
        return asked;
    }
    let mut shared = history.tip_at_or_below(asked);
    // The standby's frame there is of an older epoch than ours: neither will our frames of later epochs be.
    while shared.epoch() > conflict.epoch {
        if shared.index() == base {
            return base.previous();
        }
        shared = history.tip_at_or_below(shared.index().previous());
    }
    shared.index()
}

/// The last end of a frame at or below what a standby states: its word is checked before it is built upon.
fn known_end(stated: Index, history: &impl History) -> Index {
    if stated <= history.base().index() { stated } else { history.tip_at_or_below(stated).index() }
}
