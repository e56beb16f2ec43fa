//! How a cluster begins: once, and by everyone.

use position::{Amnesia, Index, Standing};
use quorum::FoundingRule;

use crate::cluster::{A, B, C, Cluster, Disk};

#[test]
fn one_voter_alone_leads_and_commits() {
    let mut cluster = Cluster::founded(1, 1);
    cluster.start(A);
    cluster.run_until(50, "A leads", |cluster| cluster.master() == Some(A));
    let frame = cluster.write(A, 3).expect("leads");
    cluster.run_until(50, "A commits", |cluster| cluster.commit(A) == frame.last);
    cluster.read(A).expect("leads");
    assert_eq!(cluster.oracle.reads_pending(), 0, "nobody else must be asked");
}

#[test]
fn three_fresh_voters_found_within_a_suspicion_time_and_the_highest_rank_leads() {
    let mut cluster = Cluster::founded(3, 1);
    cluster.start_all();
    cluster.run_until(100, "A leads", |cluster| cluster.master() == Some(A));
    cluster.run_until(100, "everyone has the no-op", |cluster| {
        [A, B, C].into_iter().all(|id| cluster.commit(id) == Index(2))
    });
    assert_eq!(cluster.oracle.masters().len(), 1);
}

#[test]
fn founding_needs_all() {
    let mut cluster = Cluster::founded(3, 1);
    cluster.start(A);
    cluster.start(B);
    cluster.run(3_000);
    assert_eq!(cluster.master(), None);
    cluster.start(C);
    cluster.run_until(500, "A leads", |cluster| cluster.master() == Some(A));
}

#[test]
fn founding_with_a_majority_is_the_operators_word() {
    let mut cluster = Cluster::founded(3, 1);
    cluster.founding = FoundingRule::Majority;
    cluster.start(A);
    cluster.start(B);
    cluster.run_until(500, "A leads", |cluster| cluster.master() == Some(A));
}

#[test]
fn a_standby_never_founds() {
    let mut cluster = Cluster::founded(3, 1);
    cluster.standby_only.extend([A, B, C]);
    cluster.start_all();
    cluster.run(2_000);
    assert_eq!(cluster.master(), None);
    cluster.kill(B);
    cluster.standby_only.remove(&B);
    cluster.start(B);
    cluster.run_until(1_000, "B founds, though A ranks higher", |cluster| cluster.master() == Some(B));
    cluster.run(200);
    cluster.kill(B);
    cluster.run_until(1_000, "a standby leads what others founded", |cluster| cluster.master() == Some(A));
}

#[test]
fn founding_survives_a_master_that_loses_its_first_frame() {
    let mut cluster = Cluster::founded(3, 1);
    // A is elected by B; C hears of it by a heartbeat first, and nothing is ever synced.
    cluster.hold(|envelope| envelope.to.id == C && envelope.message.name() == "VoteRequest");
    for id in [A, B, C] {
        cluster.stick(id, crate::cluster::Order::Sync);
    }
    cluster.start_all();
    cluster.run_until(500, "C doubts itself", |cluster| cluster.is_unsettled(C));
    cluster.run(20);
    for id in [A, B, C] {
        cluster.cut_power(id, 0, crate::cluster::TailDamage::None);
    }
    cluster.stop_holding();
    cluster.start_all();
    cluster.run_until(2_000, "somebody leads", |cluster| cluster.master().is_some());
    cluster.run_until(500, "C counts", |cluster| cluster.standing(C) == Standing::Settled);
}

/// A and C commit x, B lags behind; then C's directory is `replaced`, and A is away.
fn second_founding(replaced: Disk, b_knows_of_the_epoch: bool) {
    let mut cluster = Cluster::founded(3, 1);
    if !b_knows_of_the_epoch {
        // B votes nowhere, and no frame ever reaches it.
        let passes = ["Hello", "HelloReply", "Probe"];
        cluster.hold(move |envelope| envelope.to.id == B && !passes.contains(&envelope.message.name()));
    } else {
        cluster.hold(|envelope| envelope.to.id == B && envelope.message.name() == "Append");
    }
    cluster.start_all();
    cluster.run_until(1_000, "A leads", |cluster| cluster.master() == Some(A));
    let x = cluster.write(A, 1).expect("leads");
    cluster.run_until(500, "A and C commit", |cluster| cluster.commit(A) == x.last);
    cluster.run(100);
    assert!(!cluster.journal(B).holds(&x));
    cluster.kill(A);
    cluster.kill(C);
    cluster.disks.insert(C, replaced);
    cluster.stop_holding();
    // Nobody is left who would remember C's former life.
    cluster.restart(B);
    cluster.start(C);
    cluster.run(5_000);
    assert_eq!(cluster.master(), None, "a second history was founded");
    cluster.start(A);
    if !b_knows_of_the_epoch {
        // For all that B knows, its own directory may be such a copy: A alone has a history. Only the
        // operator knows better.
        cluster.run(2_000);
        assert_eq!(cluster.master(), None);
        cluster.kill(B);
        cluster.founding = FoundingRule::Majority;
        cluster.start(B);
    }
    // Or B does, with what it has pulled from A.
    cluster.run_until(2_000, "somebody leads", |cluster| cluster.master().is_some());
    // A remembers C's former starts: a copy counts nowhere until it is readmitted, while a learner follows.
    let counts = |cluster: &Cluster, id| cluster.standing(id) != Standing::Amnesiac(Amnesia::Copied);
    cluster.run_until(2_000, "all who count have the history", |cluster| {
        [A, B, C].into_iter().all(|id| cluster.journal(id).holds(&x) || !counts(cluster, id))
    });
    assert!(counts(&cluster, A) && counts(&cluster, B));
}

#[test]
fn second_founding_by_a_wiped_directory() {
    for b_knows in [false, true] {
        second_founding(Disk::wiped(C), b_knows);
    }
}

#[test]
fn second_founding_by_a_pristine_copy_of_a_voters_folder() {
    let member = Cluster::founded(3, 1).member(C);
    for b_knows in [false, true] {
        second_founding(Disk::founded(member), b_knows);
    }
}

#[test]
fn a_pristine_copy_does_not_pull_its_way_back_to_a_vote() {
    let mut cluster = Cluster::running(3, 1);
    // B has the first frames, but not x, which A and C commit.
    cluster.isolate(B);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run_until(100, "A and C commit", |cluster| cluster.commit(A) == x.last);
    cluster.kill(A);
    cluster.kill(C);
    let member = cluster.member(C);
    cluster.disks.insert(C, Disk::founded(member));
    cluster.heal();
    cluster.restart(B);
    cluster.start(C);
    cluster.run(5_000);
    assert_eq!(cluster.master(), None, "elected without x\n{}", cluster.summary());
    // A, and B since its own start, remember C's former starts: this one must be readmitted.
    cluster.start(A);
    cluster.run_until(2_000, "A and B go on", |cluster| {
        cluster.master().is_some() && cluster.journal(B).holds(&x)
    });
    assert_eq!(cluster.standing(C), Standing::Amnesiac(Amnesia::Copied));
}

/// C may be a fresh copy of a directory that acknowledged something to somebody else.
#[test]
fn a_pristine_directory_that_meets_a_history_counts_nowhere_before_it_is_settled() {
    let mut cluster = Cluster::founded(3, 1);
    cluster.hold(|envelope| {
        envelope.to.id == C && ["VoteRequest", "HelloReply"].contains(&envelope.message.name())
    });
    cluster.start_all();
    cluster.run_until(500, "C meets a master that it did not elect", |cluster| cluster.is_unsettled(C));
    cluster.run(50);
    cluster.kill(B);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(50);
    assert!(cluster.disks[&C].durable.holds(&x));
    assert!(cluster.commit(A) < x.last, "C was counted");
    cluster.run(500);
    assert_eq!(cluster.master(), None);
}
