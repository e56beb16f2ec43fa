//! Machines, a network and a clock, all simulated; every step is checked.

mod dice;
mod journal;
mod machine;
mod oracle;
mod perform;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use position::{
    ClusterId, Epoch, FrameId, History, Incarnation, Index, Member, MemberId, Memory, ProcessNumber,
    Standing, Tail, Tip,
};
use quorum::{
    Change, ChangeOrder, ChangeRefused, ChangeToken, Envelope, FoundingRule, Input, Introduction, MemberInfo,
    Membership, Message, PROCESSES_MAX, ReadToken, Start, Time, Times, Voter, check_state, check_step,
};

pub(crate) use dice::Dice;
pub(crate) use journal::{Journal, frame_after};
pub(crate) use machine::{Disk, Process, TailDamage};
pub(crate) use oracle::Oracle;
pub(crate) use trace::name;

/// The ids of the machines in the stories. Ranks: A before B before C.
pub(crate) const A: MemberId = MemberId(1);
pub(crate) const B: MemberId = MemberId(2);
pub(crate) const C: MemberId = MemberId(3);
pub(crate) const D: MemberId = MemberId(4);
pub(crate) const E: MemberId = MemberId(5);

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A message under way.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) envelope: Envelope,
    pub(crate) frames: Vec<FrameId>,
}

#[derive(Clone, Debug)]
enum Event {
    Deliver(Packet),
    /// A sync that began with this journal is complete.
    Synced {
        id: MemberId,
        life: u64,
        began_with: Journal,
    },
    Persisted {
        id: MemberId,
        life: u64,
        memory: Memory,
    },
}

/// What a disk is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    Sync,
    Ballot,
}

/// What the network does to messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) delay_min: Duration,
    pub(crate) delay_max: Duration,
    pub(crate) lost_percent: u64,
    pub(crate) doubled_percent: u64,
}

impl Weather {
    /// In order and quick.
    pub(crate) const CALM: Weather = Weather {
        delay_min: Duration::from_micros(500),
        delay_max: Duration::from_micros(500),
        lost_percent: 0,
        doubled_percent: 0,
    };
}

type Selector = Box<dyn Fn(&Envelope) -> bool>;

pub(crate) struct Cluster {
    pub(crate) cluster: ClusterId,
    pub(crate) now: Time,
    pub(crate) dice: Dice,
    pub(crate) disks: BTreeMap<MemberId, Disk>,
    pub(crate) processes: BTreeMap<MemberId, Process>,
    /// Copies of directories, made while nothing ran on them.
    pub(crate) copies: BTreeMap<MemberId, Disk>,
    pub(crate) oracle: Oracle,
    pub(crate) weather: Weather,
    pub(crate) disk_delay: (Duration, Duration),
    /// Timers go off at multiples of this, and so late: every 15.6 ms on Windows unless it is asked for better.
    pub(crate) timer_tick: Duration,
    /// Directions in which nothing passes.
    pub(crate) severed: BTreeSet<(MemberId, MemberId)>,
    held_back: Option<Selector>,
    pub(crate) held: Vec<Packet>,
    /// Disks whose syncs, or whose ballots, do not become durable until they are released.
    stuck: BTreeMap<(MemberId, Order), Vec<Event>>,
    /// Stopped processes, and what has arrived for them meanwhile.
    frozen: BTreeMap<MemberId, Vec<Packet>>,
    events: BTreeMap<(Time, u64), Event>,
    numbers: u64,
    pub(crate) standby_only: BTreeSet<MemberId>,
    pub(crate) founding: FoundingRule,
    /// Where machines say that they listen, if not where they were founded.
    pub(crate) addresses: BTreeMap<MemberId, String>,
    /// How many frames were sent, repetitions included.
    pub(crate) frames_sent: usize,
    pub(crate) trace: Option<Vec<String>>,
    /// The last acknowledgement between two voters, so that a trace leaves out repetitions.
    last_acks: BTreeMap<(MemberId, MemberId), (Epoch, Index, Option<Index>)>,
}

impl Cluster {
    /// Machines as `init` made them, none started.
    pub(crate) fn founded(count: u16, seed: u64) -> Cluster {
        let member = |id| Member { id: MemberId(id), incarnation: Incarnation(u128::from(id) << 96 | 1) };
        let voter = |id: u16| {
            let (name, address) = (format!("pc{id}"), format!("pc{id}:1"));
            MemberInfo::founder(member(id), &name, &address, u32::from(count - id))
        };
        let voters = (1..=count).map(voter);
        let list = Membership::founding(voters.collect()).expect("a cluster");
        let disks = (1..=count).map(|id| (MemberId(id), Disk::founded(member(id)))).collect();
        let mut oracle = Oracle::default();
        oracle.wrote(Tip::NONE, &Journal::founded().frames()[0]);
        oracle.brings(&Journal::founded().frames()[0], list);
        Cluster {
            cluster: ClusterId(7),
            now: Time::after(ms(1000)),
            dice: Dice::seeded(seed),
            disks,
            processes: BTreeMap::new(),
            copies: BTreeMap::new(),
            oracle,
            weather: Weather::CALM,
            disk_delay: (ms(1), ms(1)),
            timer_tick: Duration::from_nanos(1),
            severed: BTreeSet::new(),
            held_back: None,
            held: Vec::new(),
            stuck: BTreeMap::new(),
            frozen: BTreeMap::new(),
            events: BTreeMap::new(),
            numbers: 0,
            standby_only: BTreeSet::new(),
            founding: FoundingRule::All,
            addresses: BTreeMap::new(),
            frames_sent: 0,
            trace: None,
            last_acks: BTreeMap::new(),
        }
    }

    /// The same, started, and led by A.
    pub(crate) fn running(count: u16, seed: u64) -> Cluster {
        let mut cluster = Cluster::founded(count, seed);
        cluster.start_all();
        cluster.run_until(1000, "a first master", |cluster| cluster.master() == Some(A));
        cluster.run(200);
        cluster
    }

    pub(crate) fn ids(&self) -> Vec<MemberId> {
        self.disks.keys().copied().collect()
    }

    pub(crate) fn member(&self, id: MemberId) -> Member {
        self.disks[&id].member
    }

    pub(crate) fn voter(&self, id: MemberId) -> &Voter {
        &self.processes[&id].voter
    }

    pub(crate) fn journal(&self, id: MemberId) -> &Journal {
        &self.disks[&id].written
    }

    pub(crate) fn is_up(&self, id: MemberId) -> bool {
        self.processes.contains_key(&id)
    }

    /// The running voter that leads the highest epoch.
    pub(crate) fn master(&self) -> Option<MemberId> {
        let leading = self.processes.iter().filter(|(_, process)| process.voter.leads());
        leading.max_by_key(|(_, process)| process.voter.epoch()).map(|(&id, _)| id)
    }

    /// The same, of all but one.
    pub(crate) fn master_but(&self, id: MemberId) -> Option<MemberId> {
        let mut leading =
            self.processes.iter().filter(|(other, process)| **other != id && process.voter.leads());
        leading.next().map(|(&id, _)| id)
    }

    pub(crate) fn standing(&self, id: MemberId) -> Standing {
        self.voter(id).view().standing
    }

    pub(crate) fn is_unsettled(&self, id: MemberId) -> bool {
        matches!(self.standing(id), Standing::Unsettled(_))
    }

    pub(crate) fn commit(&self, id: MemberId) -> Index {
        self.voter(id).commit()
    }

    // What happens to machines.

    pub(crate) fn start_all(&mut self) {
        for id in self.ids() {
            if !self.is_up(id) {
                self.start(id);
            }
        }
    }

    pub(crate) fn start(&mut self, id: MemberId) {
        assert!(!self.is_up(id), "{id:?} runs already");
        self.numbers += 1;
        let (life, seed) = (self.numbers, self.dice.next());
        let founding = if self.standby_only.contains(&id) { FoundingRule::Never } else { self.founding };
        let disk = self.disks.get_mut(&id).expect("a machine");
        disk.life = life;
        disk.processes.insert(0, ProcessNumber(life));
        let (tail, repairs) = disk.start();
        let lists = self.oracle.lists_of(&disk.written);
        let alone = lists.last().is_some_and(|(_, list)| list.voter_count() == 1 && list.counts(disk.member));
        let tail = if alone { Tail::Clean } else { tail };
        let start = Start {
            cluster: self.cluster,
            me: disk.member,
            boots: disk.boots,
            process: ProcessNumber(life),
            ballot: disk.ballot,
            processes: disk.processes.iter().copied().take(PROCESSES_MAX).collect(),
            peers: disk.peers.clone(),
            has_state: disk.has_state,
            lists,
            list: disk.list,
            introduction: Introduction {
                name: format!("pc{}", id.0),
                address: self.addresses.get(&id).cloned().unwrap_or_else(|| format!("pc{}:1", id.0)),
            },
            durable: disk.durable.tip().index(),
            commit: disk.written.base().index(),
            tail,
            repairs,
            founding,
            times: Times::LAN,
            seed,
        };
        let voter = Voter::start(self.now, start);
        check_state(&voter, &disk.written);
        let process = Process {
            voter,
            life,
            syncing: false,
            persisting: None,
            persist_next: None,
            transfers: BTreeMap::new(),
            transferred: self.now,
            alarms: Vec::new(),
            contradicted: None,
            removed: false,
            changes: Vec::new(),
        };
        self.processes.insert(id, process);
        self.note(format_args!("{} starts, its tail is {}", name(id), trace::tail(&tail)));
        let others: Vec<MemberId> = self.processes.keys().copied().filter(|&other| other != id).collect();
        for other in others {
            self.input(id, Input::Connected(other));
        }
        self.input(id, Input::Tick);
    }

    /// The process dies; the operating system still writes what it had been given.
    pub(crate) fn kill(&mut self, id: MemberId) {
        let process = self.processes.remove(&id).expect("a running voter");
        if let Some(memory) = process.persisting.filter(|_| self.dice.one_in(2)) {
            self.disks.get_mut(&id).expect("a machine").remember(&memory);
        }
        self.frozen.remove(&id);
        for order in [Order::Sync, Order::Ballot] {
            self.stuck.remove(&(id, order));
        }
        self.note(format_args!("{} is killed", name(id)));
    }

    /// The machine loses power; `frames` frames of what was not synced happen to survive.
    pub(crate) fn cut_power(&mut self, id: MemberId, frames: u64, damage: TailDamage) {
        self.kill(id);
        self.disks.get_mut(&id).expect("a machine").cut_power(frames, damage);
    }

    pub(crate) fn restart(&mut self, id: MemberId) {
        self.kill(id);
        self.start(id);
    }

    /// The machine loses power, and the last frame that it had synced goes bad.
    pub(crate) fn stop_and_rot(&mut self, id: MemberId, identity_known: bool) {
        self.cut_power(id, 0, TailDamage::None);
        self.disks.get_mut(&id).expect("a machine").rot_last(identity_known);
        self.oracle.damaged.insert(id);
        self.note(format_args!("the last frame of {} goes bad", name(id)));
    }

    /// From now on nothing of this kind becomes durable there.
    pub(crate) fn stick(&mut self, id: MemberId, order: Order) {
        self.stuck.entry((id, order)).or_default();
    }

    pub(crate) fn unstick(&mut self, id: MemberId, order: Order) {
        for event in self.stuck.remove(&(id, order)).unwrap_or_default() {
            self.schedule(self.now, event);
        }
    }

    /// The process is stopped (SIGSTOP): it neither hears nor notices the time.
    pub(crate) fn freeze(&mut self, id: MemberId) {
        self.frozen.insert(id, Vec::new());
    }

    /// It goes on, with all that has arrived meanwhile before it looks at the clock.
    pub(crate) fn thaw(&mut self, id: MemberId) {
        for packet in self.frozen.remove(&id).expect("it was frozen") {
            self.arrive(packet);
        }
    }

    // What clients do.

    /// The master among `id` writes a frame of so many commands.
    pub(crate) fn write(&mut self, id: MemberId, entries: u64) -> Option<FrameId> {
        if !self.is_up(id) || !self.voter(id).leads() {
            return None;
        }
        let frame = self.append_own(id, entries);
        self.note(format_args!("{} writes {}", name(id), trace::range(&[frame])));
        self.input(id, Input::Appended(frame.tip()));
        Some(frame)
    }

    /// An operator asks the master among `id` for a change of the members.
    pub(crate) fn change(&mut self, id: MemberId, change: &Change) -> Option<ChangeToken> {
        if !self.is_up(id) || !self.voter(id).leads() {
            return None;
        }
        self.numbers += 1;
        let token = ChangeToken(self.numbers);
        self.input(id, Input::Change(ChangeOrder { token, change, expected: None, dry_run: false }));
        Some(token)
    }

    /// The same, by an operator who has seen this list; what is answered at once.
    pub(crate) fn change_seen(
        &mut self,
        id: MemberId,
        change: &Change,
        expected: Option<u64>,
    ) -> Result<u64, ChangeRefused> {
        let token = ChangeToken(0);
        self.input(id, Input::Change(ChangeOrder { token, change, expected, dry_run: true }));
        self.processes.get_mut(&id).expect("runs").changes.pop().expect("answered at once").1
    }

    pub(crate) fn read(&mut self, id: MemberId) -> Option<ReadToken> {
        if !self.is_up(id) || !self.voter(id).leads() {
            return None;
        }
        self.numbers += 1;
        let token = ReadToken(self.numbers);
        self.oracle.read_arrives(token);
        self.input(id, Input::Read(token));
        Some(token)
    }

    /// Drops everything up to what `id` knows to be committed.
    pub(crate) fn compact(&mut self, id: MemberId) {
        let through = self.commit(id);
        let disk = self.disks.get_mut(&id).expect("a machine");
        let through = disk.durable.shared_with(&disk.written).min(through);
        if let (Some(base), Some(_)) = (disk.written.tip_at(through), disk.durable.tip_at(through)) {
            self.oracle.note_base(&disk.written, base);
            disk.written.compact_through(through);
            disk.durable.compact_through(through);
            self.note(format_args!("{} drops all through {through}, which a snapshot covers", name(id)));
        }
    }

    // What happens to the network.

    pub(crate) fn sever(&mut self, from: MemberId, to: MemberId) {
        self.severed.insert((from, to));
    }

    pub(crate) fn part(&mut self, left: &[MemberId], right: &[MemberId]) {
        for &one in left {
            for &other in right {
                self.sever(one, other);
                self.sever(other, one);
            }
        }
    }

    pub(crate) fn isolate(&mut self, id: MemberId) {
        let others: Vec<MemberId> = self.ids().into_iter().filter(|&other| other != id).collect();
        self.part(&[id], &others);
    }

    pub(crate) fn heal(&mut self) {
        self.severed.clear();
    }

    /// From now on, messages like these are put aside.
    pub(crate) fn hold(&mut self, selector: impl Fn(&Envelope) -> bool + 'static) {
        self.held_back = Some(Box::new(selector));
    }

    /// Nothing is put aside any more; what was stays so.
    pub(crate) fn stop_holding(&mut self) {
        self.held_back = None;
    }

    /// What was put aside arrives now.
    pub(crate) fn release(&mut self) {
        self.held_back = None;
        for packet in std::mem::take(&mut self.held) {
            self.schedule(self.now, Event::Deliver(packet));
        }
    }

    /// A message arrives as if `from`, in its present or last process, had sent it.
    pub(crate) fn forge(&mut self, from: MemberId, to: MemberId, epoch: Epoch, message: Message) {
        let process = ProcessNumber(self.disks[&from].life);
        let envelope = Envelope {
            cluster: self.cluster,
            from: self.member(from),
            to: self.member(to),
            boots: self.disks[&from].boots.max(1),
            process,
            counter: 1,
            epoch,
            message,
        };
        self.arrive(Packet { envelope, frames: Vec::new() });
    }

    /// `from` votes for `to`: as if it had been asked, had made that durable, and had sent this.
    pub(crate) fn forge_vote(&mut self, from: MemberId, to: MemberId, epoch: Epoch) {
        let asked = self.held.iter().rev().find_map(|packet| match packet.envelope.message {
            Message::VoteRequest { attempt, .. } if packet.envelope.from.id == to => Some(attempt),
            _ => None,
        });
        let attempt = asked.expect("it was asked");
        self.oracle.vote(self.member(from), epoch, self.member(to));
        self.forge(from, to, epoch, Message::VoteReply { attempt, refused: None });
    }

    /// What was put aside, by its sender and receiver.
    pub(crate) fn held_messages(&self) -> Vec<(MemberId, MemberId, &Message)> {
        let said = |packet: &'_ Packet| (packet.envelope.from.id, packet.envelope.to.id);
        self.held.iter().map(|packet| (said(packet).0, said(packet).1, &packet.envelope.message)).collect()
    }

    // Time.

    pub(crate) fn run(&mut self, milliseconds: u64) {
        let end = self.now + ms(milliseconds);
        self.run_to(end, |_| false);
        self.now = end;
    }

    /// Runs as long as this is so; `false`: it still is.
    pub(crate) fn run_while(&mut self, milliseconds: u64, holds: impl Fn(&Cluster) -> bool) -> bool {
        let end = self.now + ms(milliseconds);
        self.run_to(end, |cluster| !holds(cluster))
    }

    /// # Panics
    /// If it does not come true in time.
    pub(crate) fn run_until(
        &mut self,
        milliseconds: u64,
        what: &str,
        mut done: impl FnMut(&Cluster) -> bool,
    ) {
        let end = self.now + ms(milliseconds);
        let met = self.run_to(end, &mut done);
        assert!(met, "not within {milliseconds} ms: {what}\n{}", self.summary());
    }

    fn run_to(&mut self, end: Time, mut done: impl FnMut(&Cluster) -> bool) -> bool {
        let mut steps = 0_u32;
        loop {
            if done(self) {
                return true;
            }
            let awake = self.processes.iter().filter(|(id, _)| !self.frozen.contains_key(id));
            let due = awake.map(|(&id, process)| (self.rings(process.voter.next_deadline()), id)).min();
            let event = self.events.keys().next().copied();
            match (event, due) {
                (Some(key), due) if key.0 <= end && due.is_none_or(|(at, _)| key.0 <= at) => {
                    self.now = self.now.max(key.0);
                    let event = self.events.remove(&key).expect("just seen");
                    self.happen(event);
                }
                (_, Some((at, id))) if at <= end => {
                    self.now = self.now.max(at);
                    self.input(id, Input::Tick);
                    self.transfer(id);
                }
                _ => return false,
            }
            steps += 1;
            assert!(steps < 1_000_000, "the cluster is busy with nothing\n{}", self.summary());
        }
    }

    /// When a timer goes off that was set for `time`.
    fn rings(&self, time: Time) -> Time {
        Time(time.0.next_multiple_of(Time::after(self.timer_tick).0))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver(packet) => self.arrive(packet),
            Event::Synced { id, life, began_with } => {
                if let Some(process) = self.processes.get_mut(&id).filter(|process| process.life == life) {
                    process.syncing = false;
                    self.synced(id, began_with);
                }
            }
            Event::Persisted { id, life, memory } => {
                if let Some(process) = self.processes.get_mut(&id).filter(|process| process.life == life) {
                    process.persisting = None;
                    let next = process.persist_next.take();
                    self.disks.get_mut(&id).expect("a machine").remember(&memory);
                    if let Some(next) = next {
                        self.persist(id, next);
                    }
                    self.input(id, Input::Persisted(&memory));
                }
            }
        }
    }

    fn synced(&mut self, id: MemberId, began_with: Journal) {
        let disk = self.disks.get_mut(&id).expect("a machine");
        // Counts only for what has not been cut since.
        let durable = began_with.shared_with(&disk.written);
        let base = disk.durable.base();
        if began_with.tip_at(base.index()) == Some(base) {
            disk.durable = began_with;
            disk.durable.compact_through(base.index());
        }
        self.input(id, Input::Durable(durable));
    }

    pub(crate) fn arrive(&mut self, packet: Packet) {
        let Packet { envelope, frames } = packet;
        if self.severed.contains(&(envelope.from.id, envelope.to.id)) || !self.is_up(envelope.to.id) {
            return;
        }
        match self.frozen.get_mut(&envelope.to.id) {
            Some(mailbox) => mailbox.push(Packet { envelope, frames }),
            None => self.input(envelope.to.id, Input::Message { envelope: &envelope, frames: &frames }),
        }
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.numbers += 1;
        self.events.insert((at, self.numbers), event);
    }

    fn schedule_disk(&mut self, id: MemberId, order: Order, event: Event) {
        if let Some(stuck) = self.stuck.get_mut(&(id, order)) {
            stuck.push(event);
        } else {
            let (least, most) = self.disk_delay;
            let at = self.now + self.dice.between(least, most);
            self.schedule(at, event);
        }
    }

    /// One step of one voter, and all that follows from it at once.
    pub(crate) fn input(&mut self, id: MemberId, input: Input<'_>) {
        let process = self.processes.get_mut(&id).expect("a running voter");
        let disk = &self.disks[&id];
        let before = process.voter.clone();
        let mut effects = Vec::new();
        process.voter.step(self.now, input, &disk.written, &mut effects);
        check_step(&before, &process.voter);
        let (message, frames): (_, &[FrameId]) = match input {
            Input::Message { envelope, frames } => (Some(envelope), frames),
            _ => (None, &[]),
        };
        self.perform(id, effects, message, frames);
        let process = &self.processes[&id];
        check_state(&process.voter, &self.disks[&id].written);
        self.sync_if_needed(id);
    }

    pub(crate) fn summary(&self) -> String {
        let mut lines: Vec<String> = self.trace.clone().unwrap_or_default();
        for (&id, disk) in &self.disks {
            let state = match self.processes.get(&id) {
                Some(process) => format!("{:?}, alarms {:?}", process.voter.view(), process.alarms),
                None => "down".to_owned(),
            };
            lines.push(format!("{} journal {} {state}", name(id), disk.written.tip()));
        }
        lines.push(format!("severed {:?}", self.severed));
        lines.join("\n")
    }
}
