//! Frames from a master to its standbys, and what is committed when.

use position::{History, Index};
use quorum::Message;

use crate::cluster::{A, B, C, Cluster, Disk, Order, Packet, TailDamage, Weather, ms};

#[test]
fn forgotten_sync() {
    let mut cluster = Cluster::running(3, 1);
    cluster.isolate(C);
    cluster.stick(B, Order::Sync);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(50);
    assert!(cluster.journal(B).holds(&x) && cluster.commit(A) < x.last, "counted before it was durable");
    cluster.unstick(B, Order::Sync);
    cluster.run_until(50, "A and B commit", |cluster| cluster.commit(A) == x.last);
    cluster.cut_power(B, 0, TailDamage::None);
    cluster.kill(A);
    cluster.heal();
    cluster.start(B);
    cluster.run_until(2_000, "somebody leads", |cluster| cluster.master().is_some());
    cluster.run(100);
    assert!(cluster.journal(C).holds(&x));
}

#[test]
fn a_masters_own_copy_counts_only_when_durable() {
    let mut cluster = Cluster::running(3, 1);
    cluster.isolate(C);
    cluster.stick(A, Order::Sync);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(50);
    assert!(cluster.disks[&B].durable.holds(&x) && cluster.commit(A) < x.last);
    // Two standbys do without the master's disk.
    cluster.heal();
    cluster.run_until(100, "B and C make it durable", |cluster| cluster.commit(A) == x.last);
}

#[test]
fn stale_completion() {
    let mut cluster = Cluster::running(5, 1);
    let shared = cluster.journal(C).tip().index();
    // A's frames reach C alone, which begins to sync them.
    cluster.hold(|envelope| envelope.message.name() == "Append" && envelope.to.id != C);
    cluster.stick(C, Order::Sync);
    let x = [cluster.write(A, 1).expect("leads"), cluster.write(A, 1).expect("leads")];
    cluster.run(5);
    assert!(cluster.journal(C).holds(&x[1]));
    // B, elected by D and E, replaces them; then the old sync completes.
    cluster.isolate(A);
    cluster.isolate(C);
    cluster.held.clear();
    cluster.stop_holding();
    cluster.run_until(1_000, "B leads", |cluster| cluster.master_but(A) == Some(B));
    cluster.heal();
    cluster.isolate(A);
    cluster.run_until(1_000, "C follows B", |cluster| !cluster.journal(C).holds(&x[0]));
    cluster.write(B, 1).expect("leads");
    cluster.run(10);
    assert!(cluster.journal(C).tip().index() >= x[1].last);
    cluster.unstick(C, Order::Sync);
    cluster.run(0);
    assert_eq!(cluster.voter(C).view().durable, shared, "the old sync counts for the new frames");
    cluster.run(10);
    assert_eq!(cluster.voter(C).view().durable, cluster.journal(B).tip().index());
}

#[test]
fn a_standby_of_an_idle_master_learns_what_is_committed_after_its_restart() {
    let mut cluster = Cluster::running(3, 1);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(100);
    cluster.restart(B);
    cluster.run_until(200, "B knows", |cluster| cluster.commit(B) == x.last);
}

#[test]
fn a_wiped_standby_of_an_idle_master_gets_everything() {
    let mut cluster = Cluster::running(3, 1);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(100);
    cluster.kill(B);
    cluster.disks.insert(B, Disk::wiped(B));
    cluster.start(B);
    cluster.run_until(500, "B follows", |cluster| cluster.journal(B).holds(&x));
    cluster.kill(C);
    let y = cluster.write(A, 1).expect("leads");
    cluster.run(100);
    assert!(cluster.journal(B).holds(&y));
    assert!(cluster.commit(A) < y.last, "a directory without identity counts");
}

#[test]
fn a_standby_far_behind_gets_a_snapshot() {
    for compacted_twice in [false, true] {
        let mut cluster = Cluster::running(3, 1);
        cluster.kill(C);
        for _ in 0..20 {
            cluster.write(A, 2);
        }
        cluster.run(100);
        cluster.compact(A);
        cluster.start(C);
        if compacted_twice {
            cluster.run(1);
            cluster.write(A, 1);
            cluster.run(10);
            cluster.compact(A);
        }
        let x = cluster.write(A, 1).expect("leads");
        cluster.run_until(500, "C has caught up", |cluster| cluster.commit(C) == x.last);
        assert!(cluster.journal(C).base().index() > Index(1), "by the snapshot");
    }
}

#[test]
fn a_snapshot_that_is_not_needed_is_acknowledged() {
    let mut cluster = Cluster::running(3, 1);
    for _ in 0..5 {
        cluster.write(A, 1);
    }
    cluster.run(100);
    cluster.compact(A);
    let base = cluster.journal(A).base();
    let to = cluster.member(C);
    let voter = &mut cluster.processes.get_mut(&A).expect("runs").voter;
    let chunk = quorum::SnapshotChunk { round: 0, base, offset: 0, total: 1 };
    let envelope = voter.snapshot_chunk(to, chunk).expect("leads");
    cluster.hold(|envelope| envelope.message.name() == "SnapshotAck");
    cluster.arrive(Packet { envelope, frames: Vec::new() });
    let acknowledged = cluster.held_messages().iter().any(|(from, _, message)| {
        matches!(message, quorum::Message::SnapshotAck(ack) if ack.durable_match >= base.index())
            && *from == C
    });
    assert!(acknowledged);
    assert!(cluster.journal(C).base().index() < base.index(), "nothing was installed");
}

#[test]
fn what_progresses_is_not_sent_again() {
    let mut cluster = Cluster::running(3, 1);
    cluster.weather = Weather { delay_min: ms(4), delay_max: ms(4), ..Weather::CALM };
    cluster.disk_delay = (ms(8), ms(8));
    cluster.frames_sent = 0;
    for _ in 0..100 {
        cluster.write(A, 1).expect("leads");
        cluster.run(2);
    }
    cluster.run(100);
    assert_eq!(cluster.commit(B), cluster.journal(A).tip().index());
    assert_eq!(cluster.frames_sent, 200, "each frame to each standby, once");
}

/// It misses frames, and nothing else: it votes, its answers keep the master in office, and once there is room it has
/// everything.
#[test]
fn a_standby_with_a_full_disk_goes_on() {
    let mut cluster = Cluster::running(3, 1);
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(20);
    cluster.disks.get_mut(&C).expect("a machine").full_after = Some(x.last);
    let y = cluster.write(A, 1).expect("leads");
    cluster.run(1_000);
    assert_eq!(cluster.commit(A), y.last);
    assert!(!cluster.journal(C).holds(&y) && cluster.commit(C) == x.last);
    // The master needs C's acknowledgements of its rounds now, and C's vote after that.
    cluster.kill(B);
    cluster.run(1_000);
    assert_eq!(cluster.master(), Some(A));
    cluster.restart(A);
    cluster.run_until(2_000, "A leads again", |cluster| cluster.master() == Some(A));
    cluster.disks.get_mut(&C).expect("a machine").full_after = None;
    cluster.run_until(2_000, "C catches up", |cluster| {
        cluster.journal(C).holds(&y) && cluster.commit(C) == cluster.journal(A).tip().index()
    });
}

/// Everything had been sent to the process before when its restart was noticed, and the new one learned from an older
/// round that it has the master's history up to there.
#[test]
fn a_standby_of_an_idle_cluster_gets_the_newest_frame_within_two_heartbeats() {
    let mut cluster = Cluster::running(3, 1);
    let before = cluster.journal(C).tip();
    cluster.hold(|envelope| envelope.to.id == C && envelope.message.name() == "Append");
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(5);
    assert!(!cluster.journal(C).holds(&x));
    cluster.held.clear();
    cluster.stop_holding();
    cluster.restart(C);
    // From before x.
    let epoch = cluster.voter(A).epoch();
    cluster.run(1);
    cluster.forge(A, C, epoch, Message::Heartbeat { round: 1, commit: before.index(), last: before });
    cluster.run_until(50, "C has x", |cluster| cluster.journal(C).holds(&x));
}

#[test]
fn a_voter_without_a_state_votes_and_stands_once_the_master_has_sent_one() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(A);
    cluster.disks.get_mut(&A).expect("a machine").has_state = false;
    cluster.run_until(1_000, "B leads", |cluster| cluster.master() == Some(B));
    cluster.hold(|envelope| envelope.message.name() == "SnapshotChunk");
    cluster.start(A);
    let x = cluster.write(B, 1).expect("leads");
    cluster.run_until(500, "A stores", |cluster| cluster.journal(A).holds(&x));
    // It votes, and its rank does not make it a candidate.
    cluster.kill(B);
    cluster.run_until(2_000, "C leads by A's vote", |cluster| cluster.master() == Some(C));
    cluster.run(200);
    assert!(!cluster.disks[&A].has_state);
    cluster.held.clear();
    cluster.stop_holding();
    cluster.run_until(500, "A has a state", |cluster| cluster.disks[&A].has_state);
    let y = cluster.write(C, 1).expect("leads");
    cluster.run_until(500, "A goes on following", |cluster| cluster.commit(A) == y.last);
    cluster.start(B);
    cluster.run(500);
    cluster.kill(C);
    cluster.run_until(2_000, "A leads, by its rank", |cluster| cluster.master() == Some(A));
}
