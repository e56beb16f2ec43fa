//! What a voter knows of another one: greetings, which links work, who has lost its memory.

use std::time::Duration;

use position::{
    Amnesia, Epoch, History, Incarnation, Index, KnownPeer, Member, MemberId, Position, ProcessNumber,
    Standing, Started,
};

use crate::memory::ProcessStart;
use crate::message::{Envelope, Hello, Introduction, Message};
use crate::voter::RoleName;
use crate::{Alarm, Effect, Time, Voter};

/// So many may greet that no list names: more cannot wait to be taken in at once.
const STRANGERS_MAX: usize = 16;

/// One other member, or somebody that no list names in this life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    /// When anything last came from it.
    pub(crate) heard: Option<Time>,
    /// When it last answered a greeting: the link works in both directions.
    pub(crate) echoed: Option<Time>,
    /// When it was last greeted, if it has not answered since.
    greeted: Option<Time>,
    /// A slowly forgetting maximum of its round trips.
    round_trip: Duration,
    /// The highest number among its messages of its present process.
    pub(crate) counter: u64,
    /// Its latest start that was heard of.
    pub(crate) latest: Started,
    /// The highest epoch in which it spoke of what was durable.
    pub(crate) epoch: Epoch,
    /// Its highest acknowledged position.
    pub(crate) acknowledged: Position,
    /// The latest start of a copy of its directory, and when that greeted last.
    refused: Option<(Started, Time)>,
    /// What the operator calls it and where it listens, if it has said so.
    pub(crate) introduced: Option<Introduction>,
    /// What it said of itself in its last greeting.
    pub(crate) certain: bool,
    pub(crate) has_lost: bool,
    fresh: bool,
    stateless: Option<Index>,
}

impl Link {
    /// To a voter of which the disk knows this.
    pub(crate) fn to(known: &KnownPeer) -> Link {
        Link { latest: known.latest, epoch: known.epoch, ..Link::default() }
    }

    /// The process of a copy of its directory that has greeted since `since`.
    pub(crate) fn copy_heard_since(&self, since: Time) -> Option<ProcessNumber> {
        self.refused.filter(|(_, at)| *at >= since).map(|(started, _)| started.process)
    }

    /// Of a voter without a state: where its journal begins.
    pub(crate) fn stateless(&self) -> Option<Index> {
        self.stateless
    }

    pub(crate) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    pub(crate) fn acknowledged(&mut self, epoch: Epoch, index: Index) {
        self.acknowledged = self.acknowledged.max(Position::new(epoch, index));
    }

    fn measure(&mut self, sample: Duration) {
        self.round_trip = sample.max(self.round_trip - self.round_trip / 8);
    }
}

impl Voter {
    /// The first end of a snapshot that is of use to this member.
    #[must_use]
    pub fn snapshot_wanted_from(&self, member: Member) -> Index {
        self.links.get(&member).and_then(|link| link.stateless).unwrap_or_default()
    }

    /// The process that this voter listens to when somebody of this id speaks, in whichever life.
    #[must_use]
    pub fn process_of(&self, id: MemberId) -> Option<ProcessNumber> {
        let same_id = self.links.iter().filter(|(member, link)| member.id == id && link.heard.is_some());
        same_id.max_by_key(|(_, link)| link.heard).map(|(_, link)| link.latest.process)
    }

    /// Whether anything came from this member within the suspicion time.
    pub(crate) fn is_heard(&self, member: Member) -> bool {
        let heard = self.links.get(&member).and_then(|link| link.heard);
        heard.is_some_and(|at| self.now.since(at) < self.times.suspicion)
    }

    /// Whether links in both directions reach a majority: such a voter can lead.
    pub(crate) fn is_quorum_connected(&self) -> bool {
        let both_ways = |member: Member| {
            let echoed = self.links.get(&member).and_then(|link| link.echoed);
            // A greeting may have been lost: two periods more than the suspicion time.
            echoed.is_some_and(|at| self.now.since(at) < self.times.suspicion + self.times.greeting * 2)
        };
        let voters = self.lists.newest().voters().map(|voter| voter.member);
        let linked = voters.filter(|&member| member == self.me || both_ways(member)).count();
        linked >= self.lists.newest().majority()
    }

    /// Greets everyone on the list of voters.
    pub(crate) fn greet_all(&mut self, history: &impl History) {
        self.greet_at = self.now + self.times.greeting;
        let everyone: Vec<Member> = self.links.keys().copied().collect();
        for member in everyone {
            self.greet(member, history);
        }
    }

    /// Greets whoever answers for `id`: a voter without an identity knows ids only.
    pub(crate) fn greet_id(&mut self, id: MemberId, history: &impl History) {
        let known = self.links.keys().copied().find(|member| member.id == id);
        let member = known.or_else(|| self.lists.newest().member(id).map(|voter| voter.member));
        let unknown = Member { id, incarnation: Incarnation::UNKNOWN };
        self.greet(member.unwrap_or(unknown), history);
    }

    fn greet(&mut self, to: Member, history: &impl History) {
        let hello = self.hello_for(to, history);
        if let Some(link) = self.links.get_mut(&to) {
            link.greeted = Some(self.now);
        }
        self.send(to, Message::Hello(hello));
        if let Some(introduction) = self.introduction_due() {
            self.send(to, Message::Introduction(introduction));
        }
    }

    fn hello_for(&self, to: Member, history: &impl History) -> Hello {
        Hello {
            last: history.tip().position,
            durable: self.durable,
            certain: self.is_certain(),
            counts: self.acknowledgements_count(),
            fresh: self.is_fresh(),
            seen_of_you: self.links.get(&to).map(Link::seen).unwrap_or_default(),
            master: self.role.name() == RoleName::Master,
            epoch: self.durable_epoch(),
            processes: self.processes,
            refused: self.links.get(&to).and_then(|link| link.refused).map(|(started, _)| started),
            amnesia: match self.ballot.standing {
                Standing::Amnesiac(amnesia) => Some(amnesia),
                Standing::Settled | Standing::Unsettled(_) | Standing::Removed => None,
            },
            stateless: (!self.has_state).then(|| history.base().index()),
        }
    }

    /// Notes that a message came. `false`: it is a stale or cloned sender's and must not be looked at.
    pub(crate) fn note_sender(&mut self, envelope: &Envelope, history: &impl History) -> bool {
        let from = envelope.from;
        if !self.links.contains_key(&from) {
            // Whoever is not listed, perhaps in this life only. One per id, the newest.
            let lists = &self.lists;
            let replaced = |member: &Member| member.id == from.id && !lists.any_lists(*member);
            self.links.retain(|member, _| !replaced(member));
            let strangers = self.links.keys().filter(|member| !lists.any_lists(**member)).count();
            if !lists.any_lists(from) && strangers >= STRANGERS_MAX {
                return false;
            }
            if let Some(mastership) = self.role.master_mut() {
                mastership.forget(replaced);
            }
            self.links.insert(from, Link::default());
        }
        let started = Started { boots: envelope.boots, process: envelope.process };
        let link = self.links.get_mut(&from).expect("just looked up or inserted");
        if started != link.latest && !self.meet(envelope, started, history) {
            return false;
        }
        let link = self.links.get_mut(&from).expect("just looked up or inserted");
        link.counter = link.counter.max(envelope.counter);
        link.heard = Some(self.now);
        true
    }

    /// Another process than the one that is remembered speaks; `false`: it is not listened to. Only a greeting can
    /// introduce it: that alone says which starts it follows.
    fn meet(&mut self, envelope: &Envelope, started: Started, history: &impl History) -> bool {
        let from = envelope.from;
        let (Message::Hello(hello) | Message::HelloReply(hello)) = &envelope.message else { return false };
        let link = self.links.get_mut(&from).expect("its sender was noted");
        // Who has no identity has nothing to copy, and counts nowhere.
        let newcomer = match from.incarnation {
            Incarnation::UNKNOWN => ProcessStart::Successor,
            _ => link.judge(started, hello),
        };
        match newcomer {
            ProcessStart::Successor => {
                link.latest = started;
                link.counter = 0;
                link.fresh = false;
                link.refused = None;
                self.memory_changed |= self.lists.any_lists(from);
                self.restarted(from, history);
                self.former_lives_end(from, history);
                return true;
            }
            ProcessStart::Copy => {
                link.refused = Some((started, self.now));
                self.alarm(Alarm::CopiedDirectory { of: from });
            }
            ProcessStart::Late => {}
        }
        // It is answered all the same, so that a copy learns what it is.
        if matches!(envelope.message, Message::Hello(_)) {
            let reply = self.hello_for(from, history);
            self.send(from, Message::HelloReply(reply));
            self.tell_of_members(from);
        }
        false
    }

    /// Another life of a member speaks: its disk was replaced, and what was acknowledged from the one before is lost.
    fn former_lives_end(&mut self, new: Member, history: &impl History) {
        let same_id = self.links.keys().copied().filter(|member| member.id == new.id && *member != new);
        for member in same_id.collect::<Vec<Member>>() {
            self.restarted(member, history);
        }
    }

    pub(crate) fn on_hello(&mut self, envelope: &Envelope, hello: &Hello, history: &impl History) {
        let reply = self.hello_for(envelope.from, history);
        self.send(envelope.from, Message::HelloReply(reply));
        self.tell_of_members(envelope.from);
        self.on_greeting(envelope, hello, history);
    }

    pub(crate) fn on_hello_reply(&mut self, envelope: &Envelope, hello: &Hello, history: &impl History) {
        let now = self.now;
        if let Some(link) = self.links.get_mut(&envelope.from) {
            link.echoed = Some(now);
            if let Some(greeted) = link.greeted.take() {
                link.measure(now.since(greeted));
            }
        }
        if envelope.to != self.me {
            return self.on_greeting(envelope, hello, history);
        }
        if hello.master && hello.seen_of_you.latest == self.my_start() && envelope.epoch == self.ballot.epoch
        {
            // The master said this after it had heard of this very start.
            self.note_masters_last(hello.last.index, history);
        }
        self.on_greeting(envelope, hello, history);
    }

    fn on_greeting(&mut self, envelope: &Envelope, hello: &Hello, history: &impl History) {
        if envelope.to == self.me {
            // Else it is about another life of this voter.
            self.check_memory(hello, history);
        }
        if let Some(link) = self.links.get_mut(&envelope.from) {
            link.fresh = hello.fresh;
            link.certain = hello.certain;
            link.has_lost =
                hello.amnesia.is_some() || envelope.from.incarnation == Incarnation::UNKNOWN || !hello.counts;
            link.stateless = hello.stateless;
        }
        if hello.amnesia == Some(Amnesia::Copied) {
            self.alarm(Alarm::CopiedDirectory { of: envelope.from });
        }
        if hello.stateless.is_some() {
            self.give_state(envelope.from);
        }
        if self.is_fresh() && self.everyone_is_fresh() {
            // All machines were switched on together: there is no master whose silence must be waited for.
            self.contact = None;
        }
    }

    /// Started less than a suspicion time ago, and no master heard since.
    pub(crate) fn is_fresh(&self) -> bool {
        self.master.is_none()
            && self.role.name() == RoleName::Standby
            && self.now.since(self.started) < self.times.suspicion * 2
    }

    fn everyone_is_fresh(&self) -> bool {
        let others = self.lists.newest().voters().filter(|voter| voter.member != self.me);
        let fresh = |member: &Member| self.links.get(member).is_some_and(|link| link.fresh);
        others.map(|voter| voter.member).all(|member| fresh(&member))
    }

    pub(crate) fn alarm(&mut self, alarm: Alarm) {
        // Repeated greetings would repeat the alarm many times a second.
        if self.alarms.contains(&alarm) {
            return;
        }
        if self.alarms.len() < 64 {
            self.alarms.push(alarm.clone());
            self.out.push(Effect::Alarm(alarm));
        }
    }
}
