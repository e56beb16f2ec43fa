//! Reads through the read index. The oracle holds every one against what was committed when it arrived.

use crate::cluster::{A, B, C, Cluster};

#[test]
fn a_read_passes_after_one_round() {
    let mut cluster = Cluster::running(3, 1);
    cluster.write(A, 1).expect("leads");
    cluster.run(20);
    cluster.read(A).expect("leads");
    cluster.run(2);
    assert_eq!(cluster.oracle.reads_pending(), 0);
}

#[test]
fn a_read_needs_a_fresh_round() {
    let mut cluster = Cluster::running(3, 1);
    // Acknowledgements of a round before the read are under way when it arrives.
    cluster.hold(|envelope| envelope.message.name() == "AppendAck");
    cluster.run(30);
    let held = cluster.held.len();
    assert!(held >= 2);
    cluster.read(A).expect("leads");
    cluster.run(2);
    let old: Vec<_> = cluster.held.drain(..held).collect();
    for packet in old {
        cluster.arrive(packet);
    }
    assert_eq!(cluster.oracle.reads_pending(), 1, "acknowledgements of an older round let it pass");
    cluster.release();
    cluster.run(1);
    assert_eq!(cluster.oracle.reads_pending(), 0);
}

#[test]
fn a_deposed_masters_reads_never_become_ready() {
    let mut cluster = Cluster::running(3, 1);
    cluster.freeze(A);
    cluster.run_until(1_000, "B leads", |cluster| cluster.master_but(A) == Some(B));
    cluster.write(B, 1).expect("leads");
    cluster.run(200);
    cluster.read(A).expect("believes that it leads");
    cluster.thaw(A);
    cluster.run(1_000);
    assert_eq!(cluster.oracle.reads_pending(), 1);
    assert!(!cluster.voter(A).leads());
}

#[test]
fn a_new_masters_reads_wait_for_its_first_commit() {
    let mut cluster = Cluster::running(3, 1);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run_until(50, "A commits", |cluster| cluster.commit(A) == x.last);
    cluster.kill(A);
    cluster.hold(|envelope| envelope.message.name() == "Append");
    cluster.run_until(1_000, "B leads", |cluster| cluster.master() == Some(B));
    cluster.read(B).expect("leads");
    cluster.run(50);
    assert_eq!(cluster.oracle.reads_pending(), 1, "B does not know yet what A has committed");
    cluster.release();
    cluster.run_until(500, "the read passes", |cluster| cluster.oracle.reads_pending() == 0);
}

#[test]
fn reads_that_arrive_during_a_round_share_the_next() {
    let mut cluster = Cluster::running(3, 1);
    cluster.hold(|envelope| envelope.to.id == C && envelope.message.name() == "Heartbeat");
    for _ in 0..50 {
        cluster.read(A).expect("leads");
    }
    cluster.run(5);
    assert_eq!(cluster.oracle.reads_pending(), 0);
    assert!(cluster.held.len() <= 3, "{} rounds for fifty reads", cluster.held.len());
}
