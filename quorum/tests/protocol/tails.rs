//! Ends of journals that a crash or a rotten sector left in doubt.

use position::{Epoch, FrameId, History, Index, MemberId, Position, Standing};
use quorum::{FetchOutcome, FetchReply, Message};

use crate::cluster::{A, B, C, Cluster, D, E, Order, TailDamage, Weather, ms};

/// A leads, and x is committed by A and B while C is cut off.
fn committed_by_a_and_b() -> (Cluster, FrameId) {
    let mut cluster = Cluster::running(3, 1);
    cluster.isolate(C);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run_until(50, "A and B commit x", |cluster| cluster.commit(A) == x.last);
    (cluster, x)
}

/// Everybody is well again: a master is elected, everyone has x, and B counts.
fn ends_well(cluster: &mut Cluster, x: &FrameId) {
    cluster.run_until(3_000, "all have x, and B counts", |cluster| {
        cluster.ids().into_iter().all(|id| cluster.is_up(id) && cluster.journal(id).holds(x))
            && cluster.standing(B) == Standing::Settled
    });
}

#[test]
fn cut_by_absence() {
    for identity_known in [true, false] {
        let (mut cluster, x) = committed_by_a_and_b();
        cluster.kill(A);
        cluster.stop_and_rot(B, identity_known);
        cluster.heal();
        cluster.start(B);
        cluster.run(3_000);
        assert_eq!(cluster.master(), None, "elected without x");
        assert!(cluster.is_unsettled(B));
        cluster.start(A);
        ends_well(&mut cluster, &x);
    }
}

#[test]
fn an_uncertain_frame_that_nobody_has_is_dropped() {
    for identity_known in [true, false] {
        let mut cluster = Cluster::running(5, 1);
        // x reaches B alone, of five.
        cluster.hold(|envelope| envelope.message.name() == "Append" && envelope.to.id != B);
        let x = cluster.write(A, 1).expect("leads");
        cluster.run(5);
        assert!(cluster.disks[&B].durable.holds(&x));
        cluster.kill(A);
        cluster.stop_and_rot(B, identity_known);
        cluster.held.clear();
        cluster.stop_holding();
        // Of the others C, D and E: three without x, so that no majority had it.
        cluster.start(B);
        cluster.run_until(2_000, "B counts again", |cluster| cluster.standing(B) == Standing::Settled);
        cluster.run_until(2_000, "somebody leads", |cluster| cluster.master().is_some());
    }
}

#[test]
fn answers_to_other_questions_settle_nothing() {
    let (mut cluster, _) = committed_by_a_and_b();
    cluster.kill(A);
    cluster.stop_and_rot(B, true);
    cluster.heal();
    cluster.start(B);
    // From an earlier life of B, or about another frame.
    let outcome = FetchOutcome::DontHave { shared: Index::NONE };
    let last = Position::new(Epoch(9), Index(9));
    let reply = FetchReply { attempt: 3, last, certain: true, outcome };
    for from in [A, C] {
        cluster.forge(from, B, Epoch(9), Message::FetchReply(reply));
    }
    cluster.run(50);
    assert!(cluster.is_unsettled(B));
}

/// Nobody else could lead, so no master will ever settle it.
#[test]
fn a_doubt_outlives_a_start() {
    let (mut cluster, x) = one_of_two_in_doubt(true);
    cluster.restart(B);
    cluster.heal();
    ends_well(&mut cluster, &x);
}

/// B could have removed A alone, and committed alone what is damaged now: A's word says nothing about that.
#[test]
fn of_two_voters_neither_names_what_the_other_has_lost() {
    let (mut cluster, _x) = one_of_two_in_doubt(false);
    cluster.heal();
    cluster.run(5_000);
    assert!(cluster.is_unsettled(B) && cluster.master().is_none());
}

fn one_of_two_in_doubt(identity_known: bool) -> (Cluster, FrameId) {
    let mut cluster = Cluster::running(2, 1);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run_until(50, "both have x", |cluster| cluster.disks[&B].durable.holds(&x));
    cluster.stop_and_rot(B, identity_known);
    cluster.isolate(B);
    cluster.start(B);
    cluster.run(500);
    assert!(cluster.is_unsettled(B));
    (cluster, x)
}

/// Its vote is part of A's majority, and A goes on leading for months.
#[test]
fn a_nameless_frame_is_what_all_others_have_in_its_place() {
    let mut cluster = Cluster::running(3, 1);
    let x = cluster.write(A, 1).expect("leads");
    cluster
        .run_until(50, "all have x", |cluster| [B, C].iter().all(|id| cluster.disks[id].durable.holds(&x)));
    let epoch = cluster.voter(A).epoch();
    cluster.stop_and_rot(B, false);
    cluster.start(B);
    ends_well(&mut cluster, &x);
    assert_eq!(cluster.voter(A).epoch(), epoch, "nobody else had to be elected");
}

/// A and C have y, but follow B and may yet get x from it, which counts on what E has forgotten.
#[test]
fn a_frame_that_may_yet_be_replaced_names_nothing() {
    let mut cluster = Cluster::running(5, 1);
    cluster.hold(|envelope| envelope.message.name() == "Append" && envelope.to.id != C);
    let y = cluster.write(A, 1).expect("leads");
    cluster.run_until(50, "C has y", |cluster| cluster.disks[&C].durable.holds(&y));
    cluster.kill(A);
    cluster.isolate(C);
    cluster.held.clear();
    cluster.hold(|envelope| envelope.message.name() == "Append" && envelope.to.id != E);
    cluster.run_until(1_000, "B leads", |cluster| cluster.master() == Some(B));
    let &x = cluster.journal(B).frames().last().expect("the no-op of its epoch");
    cluster.run_until(50, "E has x", |cluster| cluster.disks[&E].durable.holds(&x));
    cluster.heal();
    cluster.start(A);
    cluster.stop_and_rot(E, false);
    cluster.sever(B, E);
    cluster.sever(E, B);
    cluster.start(E);
    cluster.run(500);
    assert_eq!(cluster.master(), Some(B), "with A, C and D");
    assert!(cluster.is_unsettled(E) && !cluster.journal(E).holds(&y));
    cluster.held.clear();
    cluster.stop_holding();
    cluster.heal();
    cluster.run_until(3_000, "all have x, and E counts", |cluster| {
        cluster.ids().into_iter().all(|id| cluster.journal(id).holds(&x)) && !cluster.is_unsettled(E)
    });
}

/// x is fetched, and the process dies before it has noted that the doubt is over.
#[test]
fn a_doubt_that_was_over_before_a_start_ends_after_it() {
    let (mut cluster, x) = committed_by_a_and_b();
    cluster.heal();
    cluster.run_until(500, "C has x", |cluster| cluster.disks[&C].durable.holds(&x));
    cluster.kill(A);
    cluster.stop_and_rot(B, true);
    cluster.hold(|envelope| envelope.to.id == B && envelope.message.name() == "FetchReply");
    cluster.start(B);
    cluster.run(500);
    cluster.stick(B, Order::Ballot);
    cluster.stop_holding();
    cluster.run_until(500, "B has fetched x", |cluster| cluster.disks[&B].durable.holds(&x));
    cluster.kill(B);
    cluster.unstick(B, Order::Ballot);
    cluster.start(B);
    cluster.run_until(2_000, "B leads, or C", |cluster| cluster.master().is_some());
}

#[test]
fn settled_by_a_heartbeat() {
    let (mut cluster, x) = committed_by_a_and_b();
    cluster.stop_and_rot(B, true);
    cluster.kill(A);
    cluster.heal();
    // A is elected by C; its heartbeats and greetings reach B, its frames do not.
    cluster.start(A);
    cluster.run_until(1_000, "A leads by C's vote", |cluster| cluster.master() == Some(A));
    cluster
        .hold(|envelope| envelope.to.id == B && ["Append", "FetchReply"].contains(&envelope.message.name()));
    cluster.start(B);
    cluster.run(500);
    assert_eq!(cluster.voter(B).view().master, Some(A), "B hears A");
    assert!(cluster.is_unsettled(B));
    cluster.hold(|_| false);
    cluster.held.clear();
    ends_well(&mut cluster, &x);
}

#[test]
fn settled_by_a_master_that_was_elected_without_this_vote() {
    let (mut cluster, x) = committed_by_a_and_b();
    cluster.stop_and_rot(B, false);
    cluster.kill(A);
    cluster.heal();
    cluster.start(A);
    cluster.run_until(1_000, "A leads by C's vote", |cluster| cluster.master() == Some(A));
    cluster.start(B);
    ends_well(&mut cluster, &x);
}

#[test]
fn settled_by_a_stale_fetch() {
    for identity_known in [true, false] {
        let mut cluster = Cluster::running(3, 1);
        // A keeps an old frame where B and C commit another.
        cluster.isolate(A);
        let old = cluster.write(A, 1).expect("leads still");
        cluster.run_until(1_000, "B leads", |cluster| cluster.master_but(A) == Some(B));
        cluster.run_until(100, "B and C commit", |cluster| cluster.commit(C) >= old.last);
        let x = cluster.journal(B).frame_containing(old.first).expect("B's no-op");
        // C's goes bad; B is away; A shows its old one.
        cluster.kill(B);
        cluster.stop_and_rot(C, identity_known);
        cluster.heal();
        cluster.start(C);
        cluster.run(3_000);
        assert_eq!(cluster.master(), None, "elected without what B and C had committed");
        cluster.start(B);
        cluster.run_until(3_000, "all have what was committed", |cluster| {
            [A, B, C].into_iter().all(|id| cluster.journal(id).holds(&x))
        });
    }
}

#[test]
fn absence_asked_for_while_a_master_still_ships_the_frame() {
    let mut cluster = Cluster::running(5, 1);
    // x is on A and B; on its way to C, D and E.
    cluster.hold(|envelope| envelope.message.name() == "Append" && envelope.to.id != B);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(5);
    assert!(cluster.disks[&B].durable.holds(&x) && cluster.commit(A) < x.last);
    // A stops for a while. B finds x bad; C, D and E truthfully do not have it.
    cluster.freeze(A);
    cluster.stop_and_rot(B, true);
    cluster.start(B);
    cluster.run(60);
    assert!(cluster.is_unsettled(B), "who may yet get x said that it does not exist");
    // Now A's frames arrive, A goes on, and counts what B had acknowledged before.
    cluster.release();
    cluster.run(5);
    cluster.thaw(A);
    cluster.run(20);
    cluster.kill(A);
    cluster.kill(C);
    cluster.run(3_000);
    for id in [C, A] {
        cluster.start(id);
    }
    cluster.run_until(3_000, "somebody leads", |cluster| cluster.master().is_some());
}

#[test]
fn absence_is_believed_only_of_who_has_left_the_epoch() {
    let mut cluster = Cluster::running(5, 1);
    cluster.hold(|envelope| envelope.message.name() == "Append" && envelope.to.id != B);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(5);
    cluster.freeze(A);
    cluster.stop_and_rot(B, true);
    // Nobody but B asks anything, for long.
    cluster.held.clear();
    cluster.hold(|envelope| {
        let name = envelope.message.name();
        envelope.from.id != B && ["Probe", "VoteRequest"].contains(&name)
    });
    cluster.start(B);
    cluster.run_until(1_000, "B counts", |cluster| cluster.standing(B) == Standing::Settled);
    let left = [C, D, E].into_iter().filter(|&id| cluster.disks[&id].ballot.epoch > x.epoch).count();
    assert_eq!(left, 3, "they could still acknowledge x to A");
}

#[test]
fn two_sound_disks_of_three_go_on_with_an_unsettled_voter() {
    let (mut cluster, _) = committed_by_a_and_b();
    // What B's frame was can no longer be read, and A never states its end in answer to this start.
    cluster.stop_and_rot(B, false);
    cluster.hold(|envelope| envelope.to.id == B && envelope.message.name() == "HelloReply");
    cluster.start(B);
    cluster.run(20);
    assert!(cluster.is_unsettled(B));
    // What it has durable now is no matter of doubt, and C is away.
    cluster.stick(B, Order::Sync);
    let y = cluster.write(A, 1).expect("leads");
    cluster.run(20);
    assert!(cluster.journal(B).holds(&y));
    assert!(cluster.commit(A) < y.last, "what B has written, and not made durable, was counted");
    cluster.unstick(B, Order::Sync);
    cluster.run_until(20, "A and B commit", |cluster| cluster.commit(A) == y.last);
    cluster.run(500);
    assert_eq!(cluster.master(), Some(A), "its acknowledgements keep A in office");
    cluster.read(A).expect("leads");
    cluster.run(50);
    assert_eq!(cluster.oracle.reads_pending(), 0, "and let it read");
    // Its vote is another matter.
    assert!(cluster.is_unsettled(B));
    cluster.kill(A);
    cluster.heal();
    cluster.run(1_000);
    assert_eq!(cluster.master(), None, "C was elected without y");
}

/// A was elected with B's vote; that does no harm, and A may lead for months.
#[test]
fn settled_by_the_master_that_it_elected_once_durable() {
    let (mut cluster, _) = committed_by_a_and_b();
    cluster.stop_and_rot(B, false);
    cluster.stick(B, Order::Sync);
    cluster.start(B);
    cluster.run(500);
    assert_eq!(cluster.journal(B).tip(), cluster.journal(A).tip(), "B has written all");
    // Else A's next greeting would remind it of what it had acknowledged, and raise the alarm.
    assert!(cluster.processes[&B].alarms.is_empty(), "settled by what is written only");
    assert!(cluster.is_unsettled(B));
    cluster.unstick(B, Order::Sync);
    cluster.run_until(200, "B counts", |cluster| cluster.standing(B) == Standing::Settled);
    assert_eq!(cluster.voter(A).epoch(), Epoch(1), "nobody else had to be elected");
}

/// B acknowledged x, then lost it and was started again: its old acknowledgement must not commit x.
#[test]
fn an_acknowledgement_does_not_outlive_a_start() {
    let mut cluster = Cluster::running(3, 1);
    cluster.isolate(C);
    cluster.stick(A, Order::Sync);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(10);
    assert!(cluster.disks[&B].durable.holds(&x));
    cluster.stop_and_rot(B, true);
    cluster.hold(|envelope| {
        envelope.from.id == A && ["Append", "FetchReply"].contains(&envelope.message.name())
    });
    cluster.start(B);
    cluster.run(20);
    assert!(!cluster.journal(B).holds(&x));
    cluster.unstick(A, Order::Sync);
    cluster.run(10);
    assert!(cluster.commit(A) < x.last, "x was committed with one copy");
    cluster.release();
    cluster.run_until(200, "B has x again", |cluster| cluster.commit(A) == x.last);
}

#[test]
fn a_torn_tail_after_a_power_cut_everywhere() {
    for damage in [TailDamage::Torn, TailDamage::TornUnknown] {
        let mut cluster = Cluster::running(3, 1);
        for id in [A, B, C] {
            cluster.stick(id, Order::Sync);
        }
        cluster.write(A, 1).expect("leads");
        cluster.run(5);
        for id in [A, B, C] {
            cluster.cut_power(id, 0, damage);
        }
        cluster.start_all();
        cluster.run_until(2_000, "somebody leads", |cluster| cluster.master().is_some());
        let settled = |cluster: &Cluster, id: MemberId| cluster.standing(id) == Standing::Settled;
        cluster.run_until(500, "all count", |cluster| [A, B, C].into_iter().all(|id| settled(cluster, id)));
    }
}

#[test]
fn a_torn_tail_while_another_machine_is_away() {
    for damage in [TailDamage::Torn, TailDamage::TornUnknown] {
        let mut cluster = Cluster::running(3, 1);
        cluster.kill(C);
        cluster.stick(B, Order::Sync);
        let x = cluster.write(A, 1).expect("leads");
        cluster.run(5);
        cluster.cut_power(B, 0, damage);
        cluster.start(B);
        cluster.run_until(2_000, "A and B commit x", |cluster| {
            cluster.master().is_some_and(|master| cluster.commit(master) >= x.last)
        });
    }
}

#[test]
fn a_damaged_frame_in_the_middle_is_fetched_and_its_holder_does_not_stand() {
    let mut cluster = Cluster::running(3, 1);
    let x = cluster.write(A, 1).expect("leads");
    cluster.write(A, 1).expect("leads");
    cluster.run(50);
    cluster.kill(A);
    cluster.disks.get_mut(&A).expect("a machine").repairs = vec![x];
    cluster.hold(|envelope| matches!(envelope.message, Message::FetchReply(_)));
    cluster.start(A);
    cluster.run_until(1_000, "B leads", |cluster| cluster.master() == Some(B));
    cluster.run(500);
    cluster.kill(B);
    cluster.run(50);
    assert_ne!(cluster.master(), Some(A), "A leads, and cannot apply x");
    cluster.stop_holding();
    cluster.held.clear();
    cluster.run_until(2_000, "A is whole again and leads", |cluster| cluster.master() == Some(A));
}

#[test]
fn a_damaged_frame_that_all_others_have_compacted_is_mended_by_a_snapshot() {
    let mut cluster = Cluster::running(3, 1);
    let x = cluster.write(A, 1).expect("leads");
    cluster.write(A, 1).expect("leads");
    cluster.run(50);
    cluster.kill(A);
    cluster.disks.get_mut(&A).expect("a machine").repairs = vec![x];
    cluster.run_until(1_000, "B leads", |cluster| cluster.master() == Some(B));
    cluster.run(100);
    cluster.compact(B);
    cluster.compact(C);
    cluster.start(A);
    cluster.run_until(2_000, "A needs x no more", |cluster| cluster.disks[&A].repairs.is_empty());
    let after = cluster.write(B, 1).expect("leads");
    cluster.run_until(500, "A follows", |cluster| cluster.journal(A).holds(&after));
    cluster.kill(B);
    cluster.run_until(2_000, "A leads again", |cluster| cluster.master() == Some(A));
}

#[test]
fn a_damaged_frame_in_the_middle_is_neither_passed_on_nor_forgotten() {
    let mut cluster = Cluster::running(3, 1);
    cluster.isolate(C);
    let before = cluster.write(A, 1).expect("leads");
    let x = cluster.write(A, 1).expect("leads");
    let after = cluster.write(A, 1).expect("leads");
    cluster.run_until(50, "A and B commit", |cluster| cluster.commit(A) == after.last);
    cluster.kill(A);
    cluster.kill(B);
    cluster.disks.get_mut(&B).expect("a machine").repairs = vec![x];
    cluster.heal();
    cluster.start(B);
    // C takes over what B still has whole, and is not elected without the rest.
    cluster.run_until(2_000, "C has what B has whole", |cluster| cluster.journal(C).holds(&before));
    cluster.run(1_000);
    assert!(!cluster.journal(C).holds(&x));
    assert_eq!(cluster.master(), None);
    cluster.start(A);
    ends_well(&mut cluster, &x);
}

#[test]
fn a_doubt_that_is_older_than_the_tail_is_settled_by_a_master_only() {
    let (mut cluster, x) = committed_by_a_and_b();
    cluster.kill(A);
    cluster.stop_and_rot(B, true);
    cluster.heal();
    cluster.start(B);
    cluster.run(300);
    // Another start of B: its journal now ends cleanly, before x.
    cluster.restart(B);
    cluster.run(3_000);
    assert_eq!(cluster.master(), None, "elected without x");
    cluster.start(A);
    ends_well(&mut cluster, &x);
}

#[test]
fn doubts_are_settled_through_loss_and_delay() {
    for seed in 0..10 {
        let (mut cluster, x) = committed_by_a_and_b();
        cluster.dice = crate::cluster::Dice::seeded(seed);
        cluster.stop_and_rot(B, seed % 2 == 0);
        cluster.heal();
        cluster.weather =
            Weather { delay_min: ms(0), delay_max: ms(20), lost_percent: 20, doubled_percent: 20 };
        cluster.restart(A);
        cluster.start(B);
        cluster.run(2_000);
        cluster.weather = Weather::CALM;
        ends_well(&mut cluster, &x);
    }
}

/// A commits y on B's word only once B has what lies before y: the machine that mends it may be lost next.
#[test]
fn what_follows_a_damaged_frame_does_not_count() {
    let mut cluster = Cluster::running(3, 1);
    cluster.isolate(C);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(50);
    cluster.write(A, 1).expect("leads");
    cluster.run(50);
    cluster.hold(|envelope| envelope.message.name() == "FetchReply");
    cluster.kill(B);
    cluster.disks.get_mut(&B).expect("a machine").repairs.push(x);
    cluster.start(B);
    let y = cluster.write(A, 1).expect("leads");
    cluster.run(100);
    assert!(cluster.journal(B).holds(&y) && cluster.commit(A) < y.last);
    cluster.release();
    cluster.run_until(500, "y is committed", |cluster| cluster.commit(A) >= y.last);
}
