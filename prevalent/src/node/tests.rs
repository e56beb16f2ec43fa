use std::convert::Infallible;

use journal::{Entry, EntryKind, Sequence, SessionId};
use position::{ClusterId, Incarnation, Member, MemberId};
use quorum::{MemberInfo, Membership, Time};
use storage::{Disk, SimDisk};

use super::*;
use crate::testing::tally::{Order as Sum, Tally, payload};
use crate::{Founding, Options, Refused, Reply};

/// Time stands still.
const NOW: Now = Now { time: Time(0), wall_time: 0 };

/// A voter of so many, whose disk syncs when the test says. Askers and readers are texts.
struct Rig {
    node: Node<Tally, &'static str, &'static str>,
    words: Words<&'static str, &'static str>,
}

fn info(id: u16) -> MemberInfo {
    let member = Member { id: MemberId(id), incarnation: Incarnation(1) };
    MemberInfo::founder(member, &format!("pc{id}"), "", u32::from(id))
}

impl Rig {
    fn open(voters: u16) -> Rig {
        let disk: Disk = SimDisk::new(1).disk();
        let membership = Membership::founding((1..=voters).map(info).collect()).unwrap();
        Founding { cluster: ClusterId(1), membership }.write::<Tally>(&disk, info(1).member).unwrap();
        let node = Node::new(Replica::open(NOW, disk, &Options::new(1)).unwrap());
        Rig { node, words: Words::default() }
    }

    /// A master alone.
    fn lead() -> Rig {
        let mut rig = Rig::open(1);
        rig.node.step(NOW, Input::Tick).unwrap();
        rig.settle();
        assert!(rig.node.voter().leads());
        rig
    }

    fn orders(&mut self) -> Vec<Order<Tally>> {
        let mut orders = Vec::new();
        let Ok(()) = self.node.give_orders(|order| {
            orders.push(order);
            Ok::<_, Infallible>(())
        });
        orders
    }

    /// Performs all orders and applies everything.
    fn settle(&mut self) {
        self.node.end_input(NOW).unwrap();
        loop {
            let orders = self.orders();
            if orders.is_empty() && !self.node.apply(|| true).unwrap() && !self.node.has_orders() {
                break;
            }
            orders.into_iter().for_each(|order| self.perform(order));
        }
        self.node.take_words(&mut self.words);
    }

    fn perform(&mut self, order: Order<Tally>) {
        match order {
            Order::Persist(order) => self.step(Input::Persisted(order.perform().unwrap())),
            Order::Sync(order) => {
                order.perform().unwrap();
                self.step(Input::Synced(order.ticket()));
            }
            Order::Send(_) => {}
            Order::Start(job) => self.step(Input::Finished(job.run())),
        }
    }

    fn step(&mut self, input: Input<'_, Tally>) {
        self.node.step(NOW, input).unwrap();
    }

    fn register(&mut self, who: &'static str) -> SessionId {
        self.node.register(NOW, who, &Actor::embedded()).unwrap();
        self.settle();
        let mut answers = self.words.answers();
        let AnswersTo { to, list, bytes } = answers.next().unwrap();
        assert_eq!((*to, list.len()), (who, 1));
        match Reply::<Tally>::read(&bytes[list[0].bytes.clone()]) {
            Ok(Reply::Registered(session)) => session,
            other => panic!("{other:?}"),
        }
    }

    fn commands(&mut self, who: &'static str, session: SessionId, sequences: std::ops::RangeInclusive<u64>) {
        let mut entries = Vec::new();
        for sequence in sequences {
            let payload = payload(&Sum::Add(1));
            let command = Entry {
                kind: EntryKind::Command,
                session,
                sequence: Sequence(sequence),
                lowest_unacknowledged: Sequence::FIRST,
                payload: &payload,
            };
            command.write(&mut entries).unwrap();
        }
        self.node.commands(NOW, who, &Actor::embedded(), &entries).unwrap();
    }
}

#[test]
fn answers_go_to_whoever_asked_in_the_order_of_the_journal() {
    let mut rig = Rig::lead();
    let session = rig.register("r");
    rig.commands("a", session, 1..=2);
    rig.commands("b", session, 3..=3);
    rig.node.read(NOW, "reader").unwrap();
    rig.settle();
    let told: Vec<_> = rig.words.answers().map(|group| (*group.to, sequences(&group))).collect();
    assert_eq!(told, [("a", vec![1, 2]), ("b", vec![3])]);
    assert_eq!(rig.words.released, ["reader"]);
    assert!(rig.words.applied && rig.words.refused.is_empty() && rig.words.denied.is_empty());
    // What was answered is answered again at once, and only to whoever asks again.
    rig.commands("c", session, 2..=2);
    rig.orders();
    rig.node.take_words(&mut rig.words);
    let told: Vec<_> = rig.words.answers().map(|group| (*group.to, sequences(&group))).collect();
    assert_eq!(told, [("c", vec![2])]);
    assert!(rig.words.released.is_empty(), "what was told is forgotten");
}

fn sequences(group: &AnswersTo<'_, &'static str>) -> Vec<u64> {
    let read = |bytes| Reply::<Tally>::read(bytes);
    assert!(group.list.iter().all(|answer| read(&group.bytes[answer.bytes.clone()]).is_ok()));
    group.list.iter().filter_map(|answer| Some(answer.sequence?.0)).collect()
}

#[test]
fn who_does_not_lead_refuses_each_batch_once_and_denies_reads() {
    let mut rig = Rig::open(3);
    rig.commands("a", SessionId(2), 1..=3);
    rig.node.register(NOW, "b", &Actor::embedded()).unwrap();
    rig.node.read(NOW, "reader").unwrap();
    rig.orders();
    rig.node.take_words(&mut rig.words);
    let refused = |refusal: &Refusal<&'static str>| {
        (refusal.to, refusal.unanswered.commands, refusal.unanswered.why.clone())
    };
    let told: Vec<_> = rig.words.refused.iter().map(refused).collect();
    assert_eq!(told, [("a", 3, Refused::NotMaster), ("b", 1, Refused::NotMaster)]);
    assert_eq!(rig.words.denied, ["reader"]);
}

#[test]
fn whoever_still_waits_at_the_end_is_told() {
    let mut rig = Rig::lead();
    let session = rig.register("r");
    rig.commands("a", session, 1..=2);
    rig.node.read(NOW, "reader").unwrap();
    rig.commands("gone", session, 3..=3);
    rig.node.forget(|who| *who == "gone");
    rig.node.dismiss(&mut rig.words);
    assert_eq!((rig.words.dismissed.clone(), rig.words.denied.clone()), (vec!["a"], vec!["reader"]));
    assert!(rig.words.stepped_down);
    rig.settle();
    assert_eq!(rig.words.answers().count(), 0, "they have left");
}

#[test]
fn the_sync_is_given_out_before_the_messages_and_once() {
    let mut rig = Rig::lead();
    let session = rig.register("r");
    rig.commands("a", session, 1..=1);
    assert!(!rig.node.has_orders(), "it may be packed with what follows");
    rig.commands("b", session, 2..=2);
    rig.node.end_input(NOW).unwrap();
    let orders = rig.orders();
    assert!(matches!(orders.first(), Some(Order::Sync(_))), "{orders:?}");
    assert!(rig.orders().is_empty() && !rig.node.has_orders());
    assert!(!rig.node.apply(|| true).unwrap(), "nothing is committed that is not durable");
    orders.into_iter().for_each(|order| rig.perform(order));
    rig.settle();
    assert_eq!(rig.words.answers().count(), 2);
}

#[test]
#[should_panic(expected = "orders are given out before user code runs")]
fn no_user_code_runs_before_the_sync_has_begun() {
    let mut rig = Rig::lead();
    let session = rig.register("r");
    rig.commands("a", session, 1..=1);
    rig.node.end_input(NOW).unwrap();
    let _more = rig.node.apply(|| true);
}

#[test]
fn frames_are_applied_within_a_bound() {
    let mut rig = Rig::lead();
    let session = rig.register("r");
    for sequence in 1..=3 {
        rig.commands("a", session, sequence..=sequence);
        rig.node.end_input(NOW).unwrap();
    }
    while rig.node.has_orders() {
        rig.orders().into_iter().for_each(|order| rig.perform(order));
    }
    let before = rig.node.applied().index().0;
    assert!(rig.node.apply(|| false).unwrap());
    assert_eq!(rig.node.applied().index().0, before + 1);
    rig.settle();
    assert_eq!(rig.node.applied().index().0, before + 3);
}

#[test]
fn a_change_of_the_members_is_answered_to_whoever_wants_it() {
    let nobody = Change::Remove { name: "nobody".to_owned() };
    let mut rig = Rig::lead();
    rig.node.read(NOW, "reader").unwrap();
    rig.node.change(NOW, "admin", &nobody, None, false).unwrap();
    rig.settle();
    assert!(matches!(rig.words.changes[..], [("admin", Err(_))]), "{:?}", rig.words.changes);
    assert_eq!(rig.words.released, ["reader"]);
    let mut standby = Rig::open(3);
    standby.node.change(NOW, "admin", &nobody, None, true).unwrap();
    standby.settle();
    assert_eq!(standby.words.denied, ["admin"]);
}
