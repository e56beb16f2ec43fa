//! Who gets into which session, with commands that are packed, written, synced or applied.

use journal::{EntryKind, SessionId};
use position::{ClusterId, Incarnation, Member, MemberId};
use quorum::{MemberInfo, Membership, Time};
use storage::{Disk, SimDisk};

use super::super::*;
use crate::testing::sealing::entry;
use crate::testing::tally::{Order, Tally, payload};
use crate::{Actor, Founding, Reply, Role, SESSIONS_MAX, SESSIONS_PER_ACTOR_MAX};

/// Time stands still.
const NOW: Now = Now { time: Time(0), wall_time: 0 };

/// A master alone, whose disk syncs when the test says.
struct Rig {
    replica: Replica<Tally>,
    effects: Effects<Tally>,
    clients: u64,
}

impl Rig {
    fn start() -> Rig {
        let disk: Disk = SimDisk::new(1).disk();
        let me = Member { id: MemberId(1), incarnation: Incarnation(1) };
        let voter = MemberInfo::founder(me, "pc1", "", 0);
        let membership = Membership::founding(vec![voter]).unwrap();
        Founding { cluster: ClusterId(1), membership }.write::<Tally>(&disk, me).unwrap();
        let replica = Replica::open(NOW, disk, &Options::new(1)).unwrap();
        let mut rig = Rig { replica, effects: Effects::new(), clients: 0 };
        rig.replica.step(NOW, Input::Tick, &mut rig.effects).unwrap();
        rig.settle();
        assert!(rig.replica.voter.leads());
        rig
    }

    /// Syncs and applies everything.
    fn settle(&mut self) {
        let Rig { replica, effects, .. } = self;
        replica.flush(NOW, effects).unwrap();
        loop {
            if let Some(order) = effects.persist.take() {
                replica.step(NOW, Input::Persisted(order.perform().unwrap()), effects).unwrap();
            } else if let Some(order) = effects.sync.take() {
                order.perform().unwrap();
                replica.step(NOW, Input::Synced(order.ticket()), effects).unwrap();
            } else if let Some(job) = effects.start.pop() {
                replica.step(NOW, Input::Finished(job.run()), effects).unwrap();
            } else if !replica.apply(64, effects).unwrap() && effects.start.is_empty() {
                return;
            }
        }
    }

    fn step(&mut self, input: Input<'_, Tally>) {
        if let Some(order) = self.replica.order_room_for(4096) {
            self.replica.room_made(order.perform());
        }
        self.replica.step(NOW, input, &mut self.effects).unwrap();
    }

    /// Journals a registration, and returns what will be the session.
    fn register(&mut self, actor: &Actor) -> SessionId {
        self.clients += 1;
        let input = Input::Register { client: ClientId(self.clients), actor };
        self.step(input);
        SessionId(self.replica.pending.back().unwrap().index.0)
    }

    fn is_refused_a_session(&mut self, actor: &Actor) -> Option<Refused> {
        let input = Input::Register { client: ClientId(0), actor };
        self.step(input);
        self.effects.unanswered.pop().map(|unanswered| unanswered.why)
    }

    /// Sends a command; returns why it was refused, if it was.
    fn add(&mut self, actor: &Actor, session: SessionId, sequence: u64) -> Option<Refused> {
        self.order(actor, session, sequence, &Order::Add(1))
    }

    fn order(&mut self, actor: &Actor, session: SessionId, sequence: u64, order: &Order) -> Option<Refused> {
        self.clients += 1;
        let order = payload(order);
        let mut entries = Vec::new();
        entry(EntryKind::Command, session.0, sequence, &order).write(&mut entries).unwrap();
        let input = Input::Commands { client: ClientId(self.clients), actor, entries: &entries };
        self.step(input);
        self.effects.unanswered.pop().map(|unanswered| unanswered.why)
    }

    /// What was answered to commands of this session since it was last asked.
    fn answers_to(&mut self, session: SessionId) -> Vec<String> {
        let Effects { answers, bytes, .. } = &mut self.effects;
        let of_session =
            answers.iter().filter(|answer| answer.session == session && answer.sequence.is_some());
        let read =
            |answer: &Answered| format!("{:?}", Reply::<Tally>::read(&bytes[answer.bytes.clone()]).unwrap());
        let read = of_session.map(read).collect();
        answers.clear();
        read
    }

    /// Who has added something.
    fn added_by(&self) -> Vec<&str> {
        self.replica.engine().unwrap().state().added.iter().map(|(name, _)| &name[..]).collect()
    }
}

fn actor(name: &str, role: Role) -> Actor {
    Actor { name: name.to_owned(), role }
}

#[test]
fn nobody_gets_into_a_session_before_it_is_known_whose_it_is() {
    let (anna, pc7) = (actor("anna", Role::Operator), actor("pc7", Role::Node));
    let mut rig = Rig::start();
    let session = rig.register(&anna);
    // Packed, written, and synced but not applied.
    assert_eq!(rig.add(&pc7, session, 1), Some(Refused::Busy));
    rig.replica.flush(NOW, &mut rig.effects).unwrap();
    assert_eq!(rig.add(&pc7, session, 1), Some(Refused::Busy));
    assert_eq!(rig.add(&anna, session, 1), Some(Refused::Busy), "hers comes again a little later");
    rig.settle();
    assert_eq!(rig.add(&pc7, session, 1), Some(Refused::WrongActor));
    assert_eq!(rig.add(&anna, session, 1), None);
    rig.settle();
    assert_eq!(rig.added_by(), ["anna"]);
}

#[test]
fn a_session_that_is_registered_later_executes_nothing_that_came_before() {
    let (anna, pc7) = (actor("anna", Role::Operator), actor("pc7", Role::Node));
    let mut rig = Rig::start();
    // A guess: the command itself takes the next entry, the registration the one behind it.
    let guess = SessionId(rig.replica.journal.last().index().0 + 2);
    assert_eq!(rig.add(&pc7, guess, 1), None);
    assert_eq!(rig.register(&anna), guess);
    rig.settle();
    assert!(rig.added_by().is_empty());
    assert_eq!(rig.add(&anna, guess, 1), None);
    rig.settle();
    assert_eq!(rig.added_by(), ["anna"]);
}

#[test]
fn a_session_that_would_be_refused_is_not_journaled() {
    let mut rig = Rig::start();
    for number in 0..SESSIONS_MAX {
        rig.register(&actor(&format!("pc{}", number / SESSIONS_PER_ACTOR_MAX), Role::Node));
    }
    rig.settle();
    let last = rig.replica.last();
    assert_eq!(rig.is_refused_a_session(&actor("anna", Role::Operator)), Some(Refused::TableFull));
    rig.settle();
    assert_eq!(rig.replica.last(), last);
    assert_eq!(rig.is_refused_a_session(&actor("pc0", Role::Node)), None, "it replaces one of its own");
}

#[test]
fn an_answer_that_went_with_its_session_is_not_called_unexecuted() {
    let (anna, pc7) = (actor("anna", Role::Operator), actor("pc7", Role::Node));
    let mut rig = Rig::start();
    let (session, other) = (rig.register(&anna), rig.register(&pc7));
    rig.settle();
    // All in one frame, whose answers are lost when the last command panics.
    assert_eq!(rig.add(&anna, session, 1), None);
    for _ in 0..SESSIONS_PER_ACTOR_MAX {
        rig.register(&anna);
    }
    assert_eq!(rig.order(&pc7, other, 1, &Order::Panic), None);
    rig.settle();
    assert_eq!(rig.added_by(), ["anna"], "it was executed when the state was rebuilt");
    assert_eq!(rig.answers_to(session), ["Forgotten"]);
    assert_eq!(rig.add(&anna, session, 2), None);
    rig.settle();
    assert_eq!(rig.answers_to(session), ["UnknownSession"]);
}
