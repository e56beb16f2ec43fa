//! What a voter knows of another one: greetings, which links work, who has lost its memory.

use std::time::Duration;

use position::{Epoch, History, Member, MemberId, Mutant, Position, Standing};

use crate::message::{Envelope, Hello, Message, Seen};
use crate::voter::RoleName;
use crate::{Alarm, Effect, Time, Voter};

/// One other voter, or a learner under a voter's id.
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
    /// What to tell it about itself.
    pub(crate) seen: Seen,
    /// What it said of itself in its last greeting.
    fresh: bool,
}

impl Link {
    pub(crate) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    pub(crate) fn acknowledged(&mut self, epoch: Epoch, index: position::Index) {
        self.seen.acknowledged = self.seen.acknowledged.max(Position::new(epoch, index));
    }

    fn measure(&mut self, sample: Duration) {
        self.round_trip = sample.max(self.round_trip - self.round_trip / 8);
    }
}

impl Voter {
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
        let voters = self.membership.voters().iter().map(|voter| voter.member);
        let linked = voters.filter(|&member| member == self.me || both_ways(member)).count();
        linked >= self.membership.majority()
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
        let member = known.or_else(|| self.membership.voter(id).map(|voter| voter.member));
        let unknown = Member { id, incarnation: position::Incarnation::UNKNOWN };
        self.greet(member.unwrap_or(unknown), history);
    }

    fn greet(&mut self, to: Member, history: &impl History) {
        let hello = self.hello_for(to, history);
        if let Some(link) = self.links.get_mut(&to) {
            link.greeted = Some(self.now);
        }
        self.send(to, Message::Hello(hello));
    }

    fn hello_for(&self, to: Member, history: &impl History) -> Hello {
        Hello {
            last: history.tip().position,
            durable: self.durable,
            certain: self.is_certain(),
            fresh: self.is_fresh(),
            seen_of_you: self.links.get(&to).map(|link| link.seen).unwrap_or_default(),
            master: self.role.name() == RoleName::Master,
        }
    }

    /// Notes that a message came. `false`: it is a stale or cloned sender's and must not be looked at.
    pub(crate) fn note_sender(&mut self, envelope: &Envelope, history: &impl History) -> bool {
        let from = envelope.from;
        if !self.links.contains_key(&from) {
            // A learner: the id is a voter's, its present life is not. One per id, the newest.
            let known_id = self.membership.voter(from.id).is_some() || self.membership.voters().is_empty();
            if !known_id || self.links.len() > 2 * crate::Membership::VOTERS_MAX {
                return false;
            }
            let counted = &self.membership;
            let replaced = |member: &Member| member.id == from.id && !counted.counts(*member);
            self.links.retain(|member, _| !replaced(member));
            if let Some(mastership) = self.role.master_mut() {
                mastership.forget(replaced);
            }
            self.links.insert(from, Link::default());
        }
        let link = self.links.get_mut(&from).expect("just looked up or inserted");
        if envelope.boots > link.seen.boots {
            link.seen.boots = envelope.boots;
            link.seen.process = envelope.process;
            link.counter = 0;
            link.fresh = false;
            self.restarted(from, history);
        }
        let link = self.links.get_mut(&from).expect("just looked up or inserted");
        if envelope.boots < link.seen.boots || envelope.process != link.seen.process {
            // Either a message from before its restart, or a copy of its directory. Its greetings are
            // answered, so that a copy learns what it is.
            return matches!(envelope.message, Message::Hello(_));
        }
        link.counter = link.counter.max(envelope.counter);
        link.heard = Some(self.now);
        true
    }

    pub(crate) fn on_hello(&mut self, envelope: &Envelope, hello: &Hello, history: &impl History) {
        let reply = self.hello_for(envelope.from, history);
        self.send(envelope.from, Message::HelloReply(reply));
        self.on_greeting(envelope, hello);
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
            return self.on_greeting(envelope, hello);
        }
        let mine = Seen { boots: self.boots, process: self.process, ..hello.seen_of_you };
        if hello.master && hello.seen_of_you == mine && envelope.epoch == self.ballot.epoch {
            // The master said this after it had heard of this very start.
            self.note_masters_last(envelope.from, hello.last.index, history);
        }
        self.on_greeting(envelope, hello);
    }

    fn on_greeting(&mut self, envelope: &Envelope, hello: &Hello) {
        if envelope.to == self.me {
            // Else it is about another life of this voter.
            self.check_memory(&hello.seen_of_you);
        }
        if let Some(link) = self.links.get_mut(&envelope.from) {
            if envelope.boots < link.seen.boots {
                // Late, from before its restart; or an old image, which learns so from our answer.
                return;
            }
            if envelope.process != link.seen.process {
                self.alarm(Alarm::CopiedDirectory { of: envelope.from });
                return;
            }
            link.fresh = hello.fresh;
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
        let others = self.membership.voters().iter().filter(|voter| voter.member != self.me);
        let fresh = |member: &Member| self.links.get(member).is_some_and(|link| link.fresh);
        others.map(|voter| voter.member).all(|member| fresh(&member))
    }

    /// Compares what a peer remembers of this voter with what the disk still knows.
    fn check_memory(&mut self, seen: &Seen) {
        if Mutant::BelievesOldImage.is_active() {
            return;
        }
        if self.ballot.standing == Standing::Amnesiac || self.me.incarnation == position::Incarnation::UNKNOWN
        {
            return;
        }
        let copied = seen.boots > self.boots || (seen.boots == self.boots && seen.process != self.process);
        // A tail in doubt may well be shorter than what was acknowledged: settlement deals with that. And
        // in a later epoch a shorter journal is legal.
        let acknowledged_more = self.ballot.standing == Standing::Settled
            && (seen.acknowledged.epoch > self.ballot.epoch
                || (seen.acknowledged.epoch == self.ballot.epoch && seen.acknowledged.index > self.durable));
        if copied {
            self.alarm(Alarm::CopiedDirectory { of: self.me });
        }
        if copied || acknowledged_more || seen.vote_epoch > self.ballot.epoch {
            self.forget_everything();
        }
    }

    fn forget_everything(&mut self) {
        self.alarm(Alarm::Amnesia);
        if self.role.name() != RoleName::Standby {
            self.stand_by(None);
        }
        self.pending_grant = None;
        self.ballot.standing = Standing::Amnesiac;
        self.persist();
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
