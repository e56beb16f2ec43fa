//! The voter: what it knows, and how one input is dealt with.
//!
//! Responsible for: the state that every role shares, dispatch, epochs and their durability.
//! Not responsible for: the rules of the roles, which stand in the modules named after them.

use std::collections::BTreeMap;
use std::time::Duration;

use position::{
    Ballot, ClusterId, Doubted, Epoch, FrameId, History, Incarnation, Index, KnownPeer, Member, MemberId,
    Memory, ProcessNumber, Standing, Tail, Tip, Vote,
};

use crate::candidate::{Campaign, Probing, Pulling};
use crate::effect::{Alarm, Effect, Input};
use crate::jitter::Jitter;
use crate::link::Link;
use crate::lists::Lists;
use crate::master::Mastership;
use crate::members::Taking;
use crate::message::{Envelope, Introduction, Message, PROCESSES_MAX};
use crate::settle::Doubt;
use crate::standby::Adopting;
use crate::vote::Grant;
use crate::{Kind, Membership, Time, Times};

/// The only entry of the founding frame: the list of voters.
const FOUNDING: Index = Index(1);

/// No election jumps this far ahead: a message that claims to is damaged or hostile.
const EPOCH_JUMP_MAX: u64 = 1 << 32;

/// Who must answer before a cluster that holds only its founding frame elects its first master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundingRule {
    /// All voters: a machine whose folder was copied afresh looks just as empty.
    All,
    /// A majority, by the operator's explicit word that no directory was copied afresh. It also lets such
    /// a directory vote for a candidate that has a history.
    Majority,
    /// Not I: a standby waits for others to found the cluster.
    Never,
}

/// What a voter knows when it starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Itself.
    pub me: Member,
    /// Starts of its data directory, this one included; durable.
    pub boots: u64,
    /// A random number of this process.
    pub process: ProcessNumber,
    /// The ballot on disk. A tail that is uncertain has made it [unsettled](Ballot::found), durably, before
    /// anything is written behind that tail.
    pub ballot: Ballot,
    /// The process numbers of the last starts of its data directory, the newest first, this one included; durable.
    pub processes: Vec<ProcessNumber>,
    /// What the disk knows of the other voters.
    pub peers: Vec<KnownPeer>,
    /// Whether there is a state. A voter whose snapshots are all bad stores and votes, and stands once it has one: it
    /// asks the master for its newest snapshot, and its driver says [`Input::HasState`].
    pub has_state: bool,
    /// The lists of members in the journal and in the snapshot before it, each with the entry that brought it.
    pub lists: Vec<(Index, Membership)>,
    /// The number of the newest list that names this voter; durable.
    pub list: u64,
    /// What the operator calls this PC, and where it listens.
    pub introduction: Introduction,
    /// The end of the durable journal: a start makes durable whatever it found.
    pub durable: Index,
    /// What is known to be committed.
    pub commit: Index,
    /// How the journal ends. [`Tail::Clean`] for a cluster of one, which has nobody to ask. For a voter that is
    /// unsettled it does not matter: what made it so stands in its ballot.
    pub tail: Tail,
    /// Frames in the middle that are damaged, to be had from others.
    pub repairs: Vec<FrameId>,
    /// Who founds.
    pub founding: FoundingRule,
    /// The protocol's times.
    pub times: Times,
    /// Seed of its chance.
    pub seed: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Role {
    Standby,
    StoodDown { until: Time },
    Probing(Probing),
    Pulling(Pulling),
    Campaigning(Campaign),
    Backoff { until: Time },
    Master(Box<Mastership>),
}

/// A role's name in logs and on screens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// Follows a master, or waits for one.
    Standby,
    /// Tries to become master.
    Candidate,
    /// Leads.
    Master,
}

impl Role {
    pub(crate) fn name(&self) -> RoleName {
        match self {
            Role::Standby => RoleName::Standby,
            Role::Master(_) => RoleName::Master,
            _ => RoleName::Candidate,
        }
    }

    pub(crate) fn master_mut(&mut self) -> Option<&mut Mastership> {
        match self {
            Role::Master(mastership) => Some(mastership),
            _ => None,
        }
    }

    pub(crate) fn master(&self) -> Option<&Mastership> {
        match self {
            Role::Master(mastership) => Some(mastership),
            _ => None,
        }
    }
}

/// What others may know of a voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterView {
    /// Its role.
    pub role: RoleName,
    /// Its epoch.
    pub epoch: Epoch,
    /// The master it follows or is.
    pub master: Option<MemberId>,
    /// End of what is committed.
    pub commit: Index,
    /// End of what is durable here.
    pub durable: Index,
    /// Whether its votes count.
    pub standing: Standing,
    /// How far each other voter's durable journal is known to reach; a master's knowledge.
    pub matched: Vec<(MemberId, Index)>,
}

/// One voter of a cluster.
#[derive(Clone, Debug)]
pub struct Voter {
    pub(crate) cluster: ClusterId,
    pub(crate) me: Member,
    pub(crate) boots: u64,
    pub(crate) process: ProcessNumber,
    counter: u64,
    pub(crate) times: Times,
    pub(crate) random: Jitter,
    pub(crate) started: Time,
    pub(crate) now: Time,

    pub(crate) lists: Lists,
    /// The number of the newest list that names this voter, durable or soon.
    pub(crate) named_by: u64,
    /// The incarnation that a list gives to this process, before it is durable.
    pub(crate) taking: Option<Taking>,
    pub(crate) introduction: Introduction,
    /// Clients are to be told of another list.
    pub(crate) lists_changed: bool,
    pub(crate) founding: FoundingRule,
    pub(crate) links: BTreeMap<Member, Link>,
    pub(crate) greet_at: Time,

    pub(crate) ballot: Ballot,
    pub(crate) durable_ballot: Ballot,
    pub(crate) durable_peers: Vec<KnownPeer>,
    /// What must be durable differs from what was ordered to be.
    pub(crate) memory_changed: bool,
    pub(crate) processes: [ProcessNumber; PROCESSES_MAX],
    pub(crate) has_state: bool,
    persist_started: Time,
    persist_took: Duration,
    pub(crate) pending_grant: Option<Grant>,
    pub(crate) acknowledge_when_durable: bool,
    /// What the frames are for that are being written between this step and the next one.
    pub(crate) adopting: Option<Adopting>,

    pub(crate) role: Role,
    pub(crate) master: Option<Member>,
    pub(crate) contact: Option<Time>,
    pub(crate) round_seen: u64,
    pub(crate) jitter: Duration,
    pub(crate) stood_down: bool,
    pub(crate) backoffs: u32,
    pub(crate) attempt: u64,
    pub(crate) epoch_seen: Epoch,

    pub(crate) durable: Index,
    pub(crate) matched: Index,
    pub(crate) commit: Index,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) repairs: Vec<FrameId>,
    pub(crate) settle_at: Time,

    /// A master contradicted what is committed: nothing more is done.
    pub(crate) halted: bool,
    pub(crate) alarms: Vec<Alarm>,
    pub(crate) out: Vec<Effect>,
}

impl Voter {
    /// A voter that starts now.
    #[must_use]
    pub fn start(now: Time, start: Start) -> Voter {
        let mut voter = Voter {
            cluster: start.cluster,
            me: start.me,
            boots: start.boots,
            process: start.process,
            counter: 0,
            times: start.times,
            random: Jitter::seeded(start.seed),
            started: now,
            now,
            lists: Lists::new(start.lists, start.commit),
            named_by: start.list,
            taking: None,
            introduction: start.introduction,
            lists_changed: false,
            founding: start.founding,
            links: BTreeMap::new(),
            greet_at: now,
            ballot: start.ballot,
            durable_ballot: start.ballot,
            durable_peers: start.peers,
            memory_changed: false,
            processes: [ProcessNumber::default(); PROCESSES_MAX],
            has_state: start.has_state,
            persist_started: now,
            persist_took: Duration::ZERO,
            pending_grant: None,
            acknowledge_when_durable: false,
            adopting: None,
            role: Role::Standby,
            master: None,
            // A start counts as contact: the master that was followed before may still lead.
            contact: Some(now),
            round_seen: 0,
            jitter: Duration::ZERO,
            stood_down: false,
            backoffs: 0,
            // Attempts differ from those of earlier lives, whose answers may still be on their way.
            attempt: start.boots << 32,
            epoch_seen: start.ballot.epoch,
            durable: start.durable,
            matched: Index::NONE,
            commit: start.commit,
            doubt: Doubt::at_start(&start.ballot, start.tail),
            repairs: start.repairs,
            settle_at: now,
            halted: start.ballot.standing == Standing::Removed,
            alarms: Vec::new(),
            out: Vec::new(),
        };
        for (slot, process) in voter.processes.iter_mut().zip(start.processes) {
            *slot = process;
        }
        if voter.lists.newest().lists(voter.me) {
            voter.named_by = voter.named_by.max(voter.lists.newest().number());
        }
        voter.link_members();
        voter.draw_jitter();
        if voter.founds_alone() {
            voter.contact = None;
        }
        voter
    }

    /// Deals with one input at the time `now`, and adds to `out` what must be done, in order.
    ///
    /// # Panics
    /// If the time goes back, or if the voter's own state contradicts itself.
    pub fn step(&mut self, now: Time, input: Input<'_>, history: &impl History, out: &mut Vec<Effect>) {
        assert!(now >= self.now, "time went back from {:?} to {now:?}", self.now);
        let is_told = matches!(input, Input::Adopted(_));
        assert_eq!(
            self.adopting.is_some(),
            is_told,
            "what came of frames to be written comes right after them"
        );
        self.now = now;
        if self.halted {
            return;
        }
        std::mem::swap(&mut self.out, out);
        match input {
            Input::Tick => self.on_tick(history),
            Input::Connected(id) => self.greet_id(id, history),
            Input::Message { envelope, frames } => self.on_message(envelope, frames, history),
            Input::Appended(tip) => self.on_appended(tip),
            Input::Adopted(tip) => self.on_adopted(tip, history),
            Input::Durable(index) => self.on_durable(index, history),
            Input::Persisted(memory) => self.on_persisted(memory, history),
            Input::Read(token) => self.on_read(token),
            Input::Installed(tip) => self.on_installed(tip, history),
            Input::Repaired(frame) => self.repairs.retain(|damaged| *damaged != frame),
            Input::HasState(base) => self.on_state(base),
            Input::Damaged(frame) => self.on_damaged(frame),
            Input::Change(order) => self.on_change(order),
        }
        self.ship(history);
        if std::mem::take(&mut self.lists_changed) {
            self.out.push(Effect::Changed);
        }
        if std::mem::take(&mut self.memory_changed) {
            // At the end of the step: all that has changed in it costs one write.
            let memory = self.memory();
            self.out.push(Effect::Persist(memory));
        }
        std::mem::swap(&mut self.out, out);
    }

    /// When the next tick is due.
    #[must_use]
    pub fn next_deadline(&self) -> Time {
        if self.halted {
            return Time(u64::MAX);
        }
        let role = match &self.role {
            Role::Standby => match self.contact {
                _ if !self.may_stand_somewhen() => self.now + self.times.suspicion,
                Some(contact) => contact + self.patience(),
                None => self.now,
            },
            Role::StoodDown { until } | Role::Backoff { until } => *until,
            Role::Probing(probing) if self.now < probing.started + self.delta() => {
                probing.started + self.delta()
            }
            Role::Probing(probing) => probing.started + self.delta() * 2,
            Role::Pulling(pulling) => self.pull_ends_at(pulling),
            Role::Campaigning(campaign) => self.campaign_ends_at(campaign),
            Role::Master(mastership) => mastership.next_deadline(),
        };
        // A deadline that has passed without effect (who may not stand yet) is looked at again soon.
        let role = if role <= self.now { self.now + self.times.delta_min } else { role };
        role.min(self.greet_at).max(self.now)
    }

    /// What others may know of this voter.
    #[must_use]
    pub fn view(&self) -> VoterView {
        let matched = |mastership: &Mastership| mastership.matched().collect();
        VoterView {
            role: self.role.name(),
            epoch: self.ballot.epoch,
            master: if self.leads() { Some(self.me.id) } else { self.master.map(|member| member.id) },
            commit: self.commit,
            durable: self.durable,
            standing: self.ballot.standing,
            matched: self.role.master().map(matched).unwrap_or_default(),
        }
    }

    /// The voters this one knows of.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.lists.newest()
    }

    /// Whether this voter leads its epoch.
    #[must_use]
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Master(_))
    }

    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.ballot.epoch
    }

    /// End of what is committed.
    #[must_use]
    pub fn commit(&self) -> Index {
        self.commit
    }

    /// Who this voter is.
    #[must_use]
    pub fn me(&self) -> Member {
        self.me
    }

    fn on_tick(&mut self, history: &impl History) {
        if self.now >= self.greet_at {
            self.greet_all(history);
        }
        if self.now >= self.settle_at {
            self.settle_at = self.now + self.times.settlement;
            self.ask_about_doubts(history);
        }
        match self.role {
            Role::Master(_) => self.lead_on(history),
            _ => self.stand_on(history),
        }
    }

    fn on_message(&mut self, envelope: &Envelope, frames: &[FrameId], history: &impl History) {
        if !self.is_for_me(envelope) || !self.note_sender(envelope, history) {
            return;
        }
        if envelope.epoch.0 > self.ballot.epoch.0.saturating_add(EPOCH_JUMP_MAX) {
            let (from, claimed, mine) = (envelope.from, envelope.epoch, self.ballot.epoch);
            self.alarm(Alarm::EpochJump { from, claimed, mine });
            return;
        }
        let frames_epoch = frames.iter().map(|frame| frame.epoch).max().unwrap_or_default();
        if envelope.message.stated_epoch().max(frames_epoch) > envelope.epoch {
            // Nobody has a frame of an epoch before it takes part in it: this is damaged or hostile.
            return;
        }
        if self.lists.any_lists(envelope.from) {
            self.epoch_seen = self.epoch_seen.max(envelope.epoch);
        }
        self.note_epoch(envelope);
        match &envelope.message {
            Message::Hello(hello) => self.on_hello(envelope, hello, history),
            Message::HelloReply(hello) => self.on_hello_reply(envelope, hello, history),
            Message::Probe { attempt, .. } => self.on_probe(envelope, *attempt, history),
            Message::Nominate => self.on_nominate(history),
            Message::ProbeReply(reply) => self.on_probe_reply(envelope, reply, history),
            Message::VoteRequest { attempt, last, .. } => {
                self.on_vote_request(envelope, *attempt, *last, history);
            }
            Message::VoteReply { attempt, refused } => {
                self.on_vote_reply(envelope, *attempt, *refused, history);
            }
            Message::Heartbeat { round, commit, last } => {
                self.on_heartbeat(envelope, *round, *commit, *last, history);
            }
            Message::Append(append) => self.on_append(envelope, append, frames, history),
            Message::AppendAck(ack) => self.on_append_ack(envelope, ack, history),
            Message::Fetch(fetch) => self.on_fetch(envelope, fetch, history),
            Message::FetchReply(reply) => self.on_fetch_reply(envelope, reply, frames, history),
            Message::SnapshotChunk(chunk) => self.on_snapshot_chunk(envelope, chunk, history),
            Message::SnapshotAck(ack) => self.on_snapshot_ack(envelope, ack, history),
            Message::Introduction(introduction) => self.on_introduction(envelope, introduction),
            Message::Members(list) => self.on_members(envelope, list),
        }
    }

    fn is_for_me(&self, envelope: &Envelope) -> bool {
        // Who is new knows ids only, and says where it is before anybody can answer it.
        let greeting =
            matches!(envelope.message, Message::Hello(_) | Message::HelloReply(_) | Message::Introduction(_));
        envelope.cluster == self.cluster
            && envelope.from.id != self.me.id
            && (envelope.to == self.me || (greeting && envelope.to.id == self.me.id))
    }

    pub(crate) fn envelope(&mut self, to: Member, message: Message) -> Envelope {
        self.counter += 1;
        Envelope {
            cluster: self.cluster,
            from: self.me,
            to,
            boots: self.boots,
            process: self.process,
            counter: self.counter,
            epoch: self.ballot.epoch,
            message,
        }
    }

    /// A vote for this very process.
    pub(crate) fn vote_for_itself(&self) -> Vote {
        Vote { candidate: self.me, process: self.process }
    }

    pub(crate) fn send(&mut self, to: Member, message: Message) {
        let envelope = self.envelope(to, message);
        self.out.push(Effect::Send(envelope));
    }

    /// All voters but this one.
    pub(crate) fn others(&self) -> Vec<Member> {
        self.lists.newest().voters().map(|voter| voter.member).filter(|&member| member != self.me).collect()
    }

    pub(crate) fn is_certain(&self) -> bool {
        self.ballot.standing == Standing::Settled
            && self.durable_ballot.standing == Standing::Settled
            && self.doubt.is_none()
            && self.me.incarnation != Incarnation::UNKNOWN
    }

    /// Whether what this voter acknowledges counts: what it has durable now, though it may have lost something. A
    /// directory that may be a fresh copy says nothing of what its former self had acknowledged.
    pub(crate) fn acknowledgements_count(&self) -> bool {
        let counts = |standing| match standing {
            Standing::Settled => true,
            Standing::Unsettled(Doubted { tail, .. }) => tail != Tail::Clean,
            Standing::Amnesiac(_) | Standing::Removed => false,
        };
        counts(self.ballot.standing)
            && counts(self.durable_ballot.standing)
            && self.me.incarnation != Incarnation::UNKNOWN
    }

    pub(crate) fn holds_only_founding(&self, history: &impl History) -> bool {
        history.tip().index() <= FOUNDING
    }

    /// Whether this voter could ever stand, apart from what the others say.
    pub(crate) fn may_stand_somewhen(&self) -> bool {
        let data = self.lists.newest().member(self.me.id).is_some_and(|voter| voter.kind == Kind::Data);
        data && self.has_state
            && self.lists.newest().counts(self.me)
            && self.is_certain()
            && self.repairs.is_empty()
    }

    /// How long a round trip and a durable vote take here, within bounds.
    pub(crate) fn delta(&self) -> Duration {
        let slowest = self.links.values().map(Link::round_trip).max().unwrap_or_default();
        (slowest + self.persist_took).clamp(self.times.delta_min, self.times.delta_max)
    }

    /// How long silence is borne: lower ranks wait for higher ones to stand first.
    pub(crate) fn patience(&self) -> Duration {
        let ranks = self.delta() * self.lists.newest().rank_position(self.me.id);
        self.times.suspicion + self.jitter + ranks.min(self.times.suspicion / 4)
    }

    pub(crate) fn draw_jitter(&mut self) {
        let most = u64::try_from(self.times.jitter.as_nanos()).expect("a table of milliseconds");
        self.jitter = Duration::from_nanos(self.random.up_to(most));
    }

    pub(crate) fn persist(&mut self) {
        self.persist_started = self.now;
        self.memory_changed = true;
    }

    pub(crate) fn ballot_is_durable(&self) -> bool {
        self.durable_ballot == self.ballot
    }

    fn on_persisted(&mut self, memory: &Memory, history: &impl History) {
        let Memory { me, ballot, peers, .. } = memory;
        if *me != self.me {
            self.take_incarnation(memory);
        }
        assert!(ballot.epoch >= self.durable_ballot.epoch, "the disk holds an older epoch than before");
        let was_durable = self.ballot_is_durable();
        self.durable_ballot = *ballot;
        self.durable_peers.clone_from(peers);
        if self.tell_that_it_is_removed() || !self.ballot_is_durable() {
            return;
        }
        if !was_durable {
            self.persist_took = self.now.since(self.persist_started).max(self.persist_took / 2);
        }
        // The voters whose votes have come may only now be remembered.
        self.lead_if_elected(history);
        self.grant_if_durable();
        self.campaign_if_durable(history);
        self.pull_if_durable(history);
        if std::mem::take(&mut self.acknowledge_when_durable) {
            self.ask_master_to_go_on(history);
        }
    }

    /// Makes a higher epoch durable. Everything that was known of the old one's master is void.
    pub(crate) fn enter_epoch(&mut self, ballot: Ballot) {
        assert!(ballot.epoch > self.ballot.epoch, "an epoch never falls");
        self.ballot = ballot;
        self.round_seen = 0;
        self.matched = Index::NONE;
        self.acknowledge_when_durable = false;
        if self.master.take().is_some() && !self.leads() {
            self.out.push(Effect::Changed);
        }
        if matches!(self.role, Role::Campaigning(_)) {
            // The votes asked for were votes in the epoch that is left.
            self.back_off();
        }
        self.persist();
    }

    /// Takes part in a higher epoch without having voted in it.
    pub(crate) fn adopt_epoch(&mut self, epoch: Epoch, history: &impl History) {
        let mut ballot = Ballot { epoch, voted_for: None, ..self.ballot };
        if self.is_pristine(history) && !self.lists.newest().is_unknown() && !self.founds_alone() {
            // The directory never voted, yet a master exists: it may be a fresh copy of a machine that
            // acknowledged part of that master's history. It counts once it holds that history.
            let doubted = Doubted::copied_afresh();
            ballot.standing = Standing::Unsettled(doubted);
            self.doubt = Some(Doubt::about(doubted));
        }
        self.enter_epoch(ballot);
        if self.leads() {
            self.stand_by(None);
        }
    }

    fn founds_alone(&self) -> bool {
        self.lists.newest().voter_count() == 1 && self.lists.newest().counts(self.me)
    }

    /// Goes back to following, or to waiting for somebody to follow.
    pub(crate) fn stand_by(&mut self, master: Option<Member>) {
        if self.leads() {
            self.out.push(Effect::StepDown);
            self.matched = Index::NONE;
        }
        let changed = self.role.name() != RoleName::Standby || self.master != master;
        self.role = Role::Standby;
        self.master = master;
        self.draw_jitter();
        if changed {
            self.out.push(Effect::Changed);
        }
    }

    fn on_appended(&mut self, tip: Tip) {
        assert!(self.leads(), "only a master writes frames of its own");
        assert_eq!(tip.epoch(), self.ballot.epoch, "a frame of another epoch");
        self.matched = tip.index();
    }

    fn on_durable(&mut self, index: Index, history: &impl History) {
        assert!(index <= history.tip().index(), "more is durable than was written");
        self.durable = self.durable.max(index);
        self.settle_by_durability(history);
        if self.leads() {
            self.advance_commit(history);
        } else if self.matched > Index::NONE && self.ballot_is_durable() {
            self.acknowledge(None);
        }
    }

    pub(crate) fn commit_through(&mut self, index: Index) {
        if index > self.commit {
            self.commit = index;
            if self.lists.committed_through(index) {
                self.forget_who_left();
            }
            self.out.push(Effect::Commit(index));
        }
    }
}
