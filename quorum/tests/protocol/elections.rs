//! Who becomes master, and what earlier drafts of the rules got wrong. A ranks before B before C.

use std::time::Duration;

use position::{Epoch, History, Index, Position};
use quorum::{Alarm, Message, ProbeReply, Refusal, RoleName};

use crate::cluster::{A, B, C, Cluster, D, E, Order, Weather, ms};

/// Writes frames with so many entries at `id`, and lets what is sent of them arrive.
fn write_and_run(cluster: &mut Cluster, id: position::MemberId, frames: u64) -> Vec<position::FrameId> {
    let written = (0..frames).map(|_| cluster.write(id, 1).expect("leads")).collect();
    cluster.run(10);
    written
}

#[test]
fn split() {
    let mut cluster = Cluster::running(3, 1);
    cluster.isolate(A);
    let x = cluster.write(A, 1).expect("leads still");
    cluster.run_until(400, "B leads", |cluster| cluster.master() == Some(B));
    cluster.run(200);
    assert!(!cluster.voter(A).leads(), "A serves on without a majority");
    assert!(cluster.commit(A) < x.last);
    cluster.heal();
    cluster.run(300);
    assert_eq!(cluster.journal(A), cluster.journal(B));
    assert_eq!(cluster.master(), Some(B), "a returning higher rank does not pre-empt");
}

#[test]
fn longest_log_then_rank() {
    let mut cluster = Cluster::running(3, 1);
    cluster.isolate(A);
    cluster.write(A, 1).expect("leads still");
    let x = cluster.write(A, 1).expect("leads still");
    cluster.run_until(400, "B leads", |cluster| cluster.master() == Some(B));
    let y = cluster.write(B, 1).expect("leads");
    cluster.run_until(100, "B and C commit y", |cluster| cluster.commit(C) == y.last);
    assert_eq!(x.last, y.last, "the journals are equally long");
    cluster.kill(B);
    cluster.heal();
    cluster.run_until(2_000, "somebody leads", |cluster| cluster.master().is_some());
    cluster.run(100);
    assert!(cluster.journal(A).holds(&y) && cluster.journal(C).holds(&y));
}

#[test]
fn old_epoch_commit() {
    let mut cluster = Cluster::running(3, 1);
    // A writes x alone and dies.
    cluster.isolate(A);
    let x = write_and_run(&mut cluster, A, 2)[1];
    cluster.kill(A);
    // B is elected by C, writes its no-op alone, and dies.
    cluster.hold(|envelope| envelope.message.name() == "Append");
    cluster.run_until(1_000, "B leads", |cluster| cluster.master() == Some(B));
    cluster.run(20);
    cluster.kill(B);
    cluster.heal();
    // A is elected by C and brings x to it, but nothing of its own epoch yet.
    cluster.held.clear();
    cluster.hold(move |envelope| match &envelope.message {
        Message::Append(append) => append.prev.index() >= x.last,
        _ => false,
    });
    cluster.start(A);
    cluster.run_until(2_000, "C has x from A", |cluster| {
        cluster.master() == Some(A) && cluster.journal(C).holds(&x)
    });
    cluster.run(50);
    assert!(cluster.commit(A) < x.last, "x was committed by counting its copies");
    // A dies. B, whose no-op is of a later epoch than x, wins C and erases x.
    cluster.kill(A);
    cluster.held.clear();
    cluster.stop_holding();
    cluster.start(B);
    cluster.run_until(2_000, "B leads", |cluster| cluster.master() == Some(B));
    cluster.run(100);
    assert!(!cluster.journal(C).holds(&x));
}

#[test]
fn volatile_vote() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(A);
    cluster.kill(B);
    cluster.run(200);
    let last = Position::new(Epoch(6), position::Index(99));
    let request = Message::VoteRequest { attempt: 1, last, handover: None };
    cluster.hold(|envelope| envelope.message.name() == "VoteReply");
    cluster.stick(C, Order::Ballot);
    cluster.forge(A, C, Epoch(7), request.clone());
    cluster.run(20);
    assert_eq!(cluster.held_messages(), [], "the vote left before it was durable");
    cluster.unstick(C, Order::Ballot);
    cluster.run(20);
    let granted = &Message::VoteReply { attempt: 1, refused: None };
    assert_eq!(cluster.held_messages(), [(C, A, granted)]);
    cluster.held.clear();
    // The same request again gets the same answer: the first may have been lost.
    cluster.forge(A, C, Epoch(7), request.clone());
    assert_eq!(cluster.held_messages(), [(C, A, granted)]);
    cluster.held.clear();
    cluster.restart(C);
    cluster.run(200);
    cluster.forge(B, C, Epoch(7), request);
    let refused = &Message::VoteReply { attempt: 1, refused: Some(Refusal::Voted) };
    assert_eq!(cluster.held_messages(), [(C, B, refused)]);
}

#[test]
fn a_vote_that_was_overtaken_by_a_later_epoch_is_not_sent() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(A);
    cluster.kill(B);
    cluster.run(200);
    let last = Position::new(Epoch(6), position::Index(99));
    cluster.hold(|envelope| envelope.message.name() == "VoteReply");
    cluster.stick(C, Order::Ballot);
    cluster.forge(A, C, Epoch(7), Message::VoteRequest { attempt: 1, last, handover: None });
    let heartbeat = Message::Heartbeat { round: 1, commit: position::Index(1), last: Default::default() };
    cluster.forge(B, C, Epoch(8), heartbeat);
    cluster.unstick(C, Order::Ballot);
    cluster.run(20);
    assert_eq!(cluster.held_messages(), []);
    assert_eq!(cluster.voter(C).epoch(), Epoch(8));
}

#[test]
fn a_campaign_ends_with_its_epoch() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(A);
    cluster.stick(B, Order::Ballot);
    cluster.run_until(500, "B stands", |cluster| cluster.voter(B).epoch() > Epoch(1));
    let stands_in = cluster.voter(B).epoch();
    // A worse candidate of a later epoch is refused, and its epoch adopted.
    let worse = Message::VoteRequest { attempt: 1, last: Position::NONE, handover: None };
    cluster.hold(|envelope| envelope.message.name() == "VoteRequest");
    cluster.forge(C, B, Epoch(stands_in.0 + 5), worse);
    cluster.unstick(B, Order::Ballot);
    cluster.run(3);
    assert!(!cluster.voter(B).leads());
    cluster.stop_holding();
    cluster.run_until(1_000, "B leads a later epoch", |cluster| cluster.master() == Some(B));
    assert!(cluster.voter(B).epoch() > Epoch(stands_in.0 + 5));
}

#[test]
fn deaf_high_rank() {
    let mut cluster = Cluster::running(3, 1);
    cluster.sever(B, A);
    cluster.sever(C, A);
    cluster.run_until(600, "B leads", |cluster| cluster.master() == Some(B));
    let epoch = cluster.voter(B).epoch();
    cluster.run(3_000);
    assert_eq!((cluster.master(), cluster.voter(B).epoch()), (Some(B), epoch), "A disturbs");
}

#[test]
fn late_pull() {
    let mut cluster = Cluster::running(3, 1);
    // A writes alone, and nobody else leads meanwhile.
    cluster.isolate(A);
    cluster.part(&[B], &[C]);
    let old = write_and_run(&mut cluster, A, 2)[1];
    cluster.run(200);
    // C meets A again, wants to pull from it, and its answer is late. A itself does not stand.
    cluster.heal();
    cluster.part(&[B], &[A, C]);
    cluster.hold(|envelope| {
        let name = envelope.message.name();
        let from_a = envelope.from.id == A && ["FetchReply", "Probe", "VoteRequest"].contains(&name);
        from_a || name == "Nominate"
    });
    cluster.run_until(2_000, "A's answer is under way", |cluster| {
        cluster.held_messages().iter().any(|(_, to, message)| (*to, message.name()) == (C, "FetchReply"))
    });
    // Meanwhile B becomes master by C's vote, and commits y.
    cluster.heal();
    cluster.part(&[A], &[B, C]);
    cluster.run_until(2_000, "B leads", |cluster| cluster.master() == Some(B));
    let y = cluster.write(B, 1).expect("leads");
    cluster.run_until(500, "B and C commit", |cluster| cluster.commit(C) == y.last);
    // Then B is gone, C looks for a master again, and the old answer comes.
    cluster.heal();
    cluster.isolate(B);
    cluster.run_until(2_000, "C stands", |cluster| cluster.voter(C).view().role != RoleName::Standby);
    cluster.release();
    cluster.run(1_000);
    assert!(cluster.journal(C).holds(&y));
    assert!(!cluster.journal(C).holds(&old));
}

#[test]
fn the_greatest_is_pulled_first() {
    let mut cluster = Cluster::running(5, 1);
    cluster.isolate(A);
    let x = write_and_run(&mut cluster, A, 3)[2];
    // B alone is linked with everyone; A, whose journal is the greatest, cannot lead.
    cluster.heal();
    cluster.part(&[A], &[C, D, E]);
    cluster.part(&[C], &[D, E]);
    cluster.part(&[D], &[E]);
    cluster.run_until(3_000, "B leads with what A had", |cluster| {
        cluster.master() == Some(B) && cluster.commit(B) > x.last && cluster.journal(B).holds(&x)
    });
}

#[test]
fn a_long_pull_takes_many_chunks() {
    let mut cluster = Cluster::running(5, 1);
    cluster.isolate(A);
    let x = write_and_run(&mut cluster, A, 40)[39];
    // B's own journal parts from A's: it has to find where, first.
    cluster.part(&[B], &[C, D, E]);
    cluster.heal();
    cluster.part(&[A], &[C, D, E]);
    cluster.part(&[C], &[D, E]);
    cluster.part(&[D], &[E]);
    cluster.run_until(3_000, "B leads with what A had", |cluster| {
        cluster.master() == Some(B) && cluster.commit(B) > x.last
    });
    assert!(cluster.journal(B).holds(&x));
}

#[test]
fn the_best_journal_is_nominated_before_the_highest_rank() {
    let mut cluster = Cluster::running(3, 1);
    cluster.part(&[B], &[A, C]);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run_until(100, "A and C commit", |cluster| cluster.commit(C) == x.last);
    cluster.kill(A);
    cluster.heal();
    // C, of the lower rank, has x.
    cluster.run_until(1_000, "C leads", |cluster| cluster.master() == Some(C));
    cluster.run(100);
    assert!(cluster.journal(B).holds(&x));
}

#[test]
fn stranded_epoch() {
    let mut cluster = Cluster::running(3, 1);
    // C loses A for a while and votes for B, who knows nothing of it.
    cluster.sever(A, C);
    cluster.run(140);
    let (epoch, last) = (cluster.voter(A).epoch(), cluster.journal(B).tip().position);
    cluster.forge(B, C, epoch.next(), Message::VoteRequest { attempt: 1, last, handover: None });
    cluster.run(5);
    assert_eq!(cluster.voter(C).epoch(), epoch.next());
    cluster.heal();
    cluster.run_until(1_000, "all are in one epoch again", |cluster| {
        let master = cluster.master();
        master.is_some_and(|master| {
            [A, B, C].into_iter().all(|id| cluster.voter(id).epoch() == cluster.voter(master).epoch())
        })
    });
    let master = cluster.master().expect("just seen");
    let y = cluster.write(master, 1).expect("leads");
    cluster.run_until(200, "and C acknowledges", |cluster| cluster.commit(C) == y.last);
}

#[test]
fn a_master_that_steps_down_is_succeeded_at_once() {
    let mut cluster = Cluster::running(3, 1);
    // C has lost contact for a moment and gone on to a later epoch, and says so when A's next round reaches it.
    let epoch = cluster.voter(A).epoch().next();
    cluster.kill(C);
    cluster.disks.get_mut(&C).expect("a machine").ballot.epoch = epoch;
    cluster.start(C);
    cluster.run_until(100, "a new master, without a suspicion time of silence", |cluster| {
        cluster.master().is_some_and(|master| cluster.voter(master).epoch() > epoch)
    });
}

#[test]
fn a_stopped_master_wakes_up_deposed() {
    let mut cluster = Cluster::running(3, 1);
    cluster.freeze(A);
    cluster.run_until(1_000, "B leads", |cluster| cluster.master_but(A) == Some(B));
    let y = cluster.write(B, 1).expect("leads");
    cluster.run(1_000);
    cluster.thaw(A);
    let x = cluster.write(A, 1);
    cluster.run(300);
    assert!(!cluster.voter(A).leads());
    assert!(cluster.journal(A).holds(&y));
    assert!(x.is_none_or(|x| !cluster.journal(A).holds(&x)));
}

#[test]
fn old_duplicates_of_a_dead_masters_rounds_do_not_keep_it_alive() {
    let mut cluster = Cluster::running(3, 1);
    let (epoch, last) = (cluster.voter(A).epoch(), cluster.journal(A).tip());
    cluster.kill(A);
    let (mut waited, commit) = (0, cluster.commit(B));
    while cluster.master().is_none() {
        for to in [B, C] {
            cluster.forge(A, to, epoch, Message::Heartbeat { round: 3, commit, last });
        }
        cluster.run(10);
        waited += 10;
        assert!(waited < 600, "duplicates count as contact");
    }
}

#[test]
fn disks_slower_than_delta_may_say_still_elect() {
    let mut cluster = Cluster::running(3, 1);
    cluster.disk_delay = (crate::cluster::ms(70), crate::cluster::ms(90));
    cluster.kill(A);
    // B stands for epoch 2; C, to whom that seems to take long, for epoch 3, and B votes for it.
    cluster.run_until(2_000, "somebody leads", |cluster| cluster.master().is_some());
    assert!(cluster.oracle.masters().contains_key(&Epoch(3)), "a campaign was given up too early");
}

#[test]
fn a_late_vote_does_not_count_in_the_next_campaign() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(A);
    cluster.hold(|envelope| envelope.to.id == B && envelope.message.name() == "VoteReply");
    cluster.run_until(2_000, "B stands for the second time", |cluster| {
        cluster.voter(B).epoch() == Epoch(3) && cluster.held.len() > 1
    });
    let late = cluster.held.remove(0);
    assert_eq!(late.envelope.epoch, Epoch(2));
    cluster.arrive(late);
    assert!(!cluster.voter(B).leads());
    cluster.release();
    cluster.run_until(50, "B leads by the vote that is meant", |cluster| cluster.master() == Some(B));
}

/// Windows' timers tick every 15.6 ms unless a program asks for better, and one that did may be refused.
#[test]
fn late_timers_depose_nobody_and_delay_little() {
    for (count, seed) in [(3, 1), (5, 2)] {
        let mut cluster = Cluster::running(count, seed);
        cluster.timer_tick = Duration::from_micros(15_625);
        cluster.weather = Weather {
            delay_min: Duration::from_micros(200),
            delay_max: ms(5),
            lost_percent: 5,
            doubled_percent: 1,
        };
        let epoch = cluster.voter(A).epoch();
        cluster.run(20_000);
        assert_eq!((cluster.master(), cluster.voter(A).epoch()), (Some(A), epoch), "{count} voters");
        cluster.kill(A);
        // Four times the suspicion, as on a machine with precise timers.
        cluster.run_until(480, "another leads", |cluster| cluster.master_but(A).is_some());
    }
}

/// A ballot may take longer than anybody suspects a master.
#[test]
fn disks_slower_than_suspicion_elect_a_master() {
    for slow in [100, 125, 200, 500, 900] {
        let mut cluster = Cluster::founded(3, 1);
        cluster.disk_delay = (ms(slow), ms(slow));
        cluster.start_all();
        cluster.run_until(30_000, "a master", |cluster| cluster.master().is_some());
        let mut cluster = Cluster::running(3, 1);
        cluster.disk_delay = (ms(slow), ms(slow));
        cluster.kill(A);
        cluster.run_until(30_000, "a master after another", |cluster| cluster.master().is_some());
    }
}

#[test]
fn a_journal_of_an_absurd_epoch_is_not_believed() {
    let mut cluster = Cluster::running(3, 1);
    cluster.hold(|envelope| envelope.message.name() == "ProbeReply");
    cluster.kill(A);
    cluster.run_until(2_000, "somebody answers a probe", |cluster| !cluster.held.is_empty());
    let held = cluster.held_messages();
    let (from, to, Message::ProbeReply(reply)) = held[0] else { panic!("only these are held") };
    let reply = ProbeReply { last: Position::new(Epoch(u64::MAX), Index(5)), ..reply.clone() };
    let epoch = cluster.voter(from).epoch();
    cluster.stop_holding();
    cluster.forge(from, to, epoch, Message::ProbeReply(reply));
    cluster.run_until(2_000, "a master", |cluster| cluster.master().is_some());
    assert!(cluster.voter(to).epoch() < Epoch(100));
}

#[test]
fn a_second_master_in_an_epoch_ends_both() {
    let mut cluster = Cluster::running(3, 1);
    let (epoch, last) = (cluster.voter(A).epoch(), cluster.journal(A).tip());
    cluster.forge(B, A, epoch, Message::Heartbeat { round: 5, commit: Index(1), last });
    cluster.run(1);
    let other = cluster.disks[&B].member;
    assert!(cluster.processes[&A].alarms.contains(&Alarm::TwoMasters { other, epoch }));
    assert!(!cluster.voter(A).leads());
    cluster.run_until(1_000, "a master of a later epoch", |cluster| {
        cluster.master().is_some_and(|id| cluster.voter(id).epoch() > epoch)
    });
}
