//! Directories that lost something, or exist twice.

use position::{Epoch, Position, Standing};
use quorum::{Alarm, Message};

use crate::cluster::{A, B, C, Cluster};

#[test]
fn seen_of_you_amnesia() {
    let mut cluster = Cluster::running(3, 1);
    let image = cluster.disks[&B].clone();
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(100);
    cluster.kill(B);
    // The disk had lied: all that B acknowledged since is gone, in the same epoch and the same start.
    let boots = cluster.disks[&B].boots;
    cluster.disks.insert(B, quorum_disk(image, boots));
    cluster.oracle.damaged.insert(B);
    cluster.start(B);
    cluster.run_until(200, "B learns what it forgot", |cluster| {
        matches!(cluster.standing(B), Standing::Amnesiac(_))
    });
    assert!(cluster.processes[&B].alarms.contains(&Alarm::Amnesia));
    // It stores, and counts for nothing: without C nothing is committed.
    cluster.kill(C);
    let y = cluster.write(A, 1).expect("leads");
    cluster.run(100);
    assert!(cluster.journal(B).holds(&x) && cluster.journal(B).holds(&y));
    assert!(cluster.commit(A) < y.last);
    cluster.run(500);
    assert_eq!(cluster.master(), None);
}

fn quorum_disk(image: crate::cluster::Disk, boots: u64) -> crate::cluster::Disk {
    crate::cluster::Disk { boots, ..image }
}

#[test]
fn a_shorter_journal_is_legal_in_a_later_epoch() {
    let mut cluster = Cluster::running(3, 1);
    // B acknowledges x of A, which nobody else has; C and the restarted A go on without it.
    cluster.isolate(C);
    let x = cluster.write(A, 2).expect("leads");
    cluster.run(5);
    assert!(cluster.disks[&B].durable.holds(&x));
    cluster.heal();
    cluster.run(300);
    cluster.restart(B);
    cluster.run(300);
    assert_eq!(cluster.standing(B), Standing::Settled);
}

#[test]
fn a_forgotten_vote_is_not_cast_again() {
    let mut cluster = Cluster::running(3, 1);
    let image = cluster.disks[&B].clone();
    cluster.kill(A);
    cluster.run_until(1_000, "B leads by C's vote", |cluster| cluster.master() == Some(B));
    cluster.run(100);
    // C votes for B once more, and then its directory is put back to before that.
    let before = crate::cluster::Disk { boots: cluster.disks[&C].boots, ..cluster.disks[&C].clone() };
    let epoch = cluster.voter(B).epoch();
    cluster.kill(C);
    let member = cluster.member(C);
    let old = crate::cluster::Disk { member, boots: before.boots, ..image };
    cluster.disks.insert(C, old);
    cluster.oracle.damaged.insert(C);
    cluster.start(C);
    cluster.run_until(200, "C learns it", |cluster| matches!(cluster.standing(C), Standing::Amnesiac(_)));
    cluster.run(300);
    let last = Position::new(Epoch(99), position::Index(99));
    cluster.hold(|envelope| envelope.message.name() == "VoteReply");
    cluster.forge(A, C, epoch.next(), Message::VoteRequest { attempt: 1, last, handover: None });
    assert!(
        cluster
            .held_messages()
            .iter()
            .all(|(_, _, message)| !matches!(message, Message::VoteReply { refused: None, .. }))
    );
}

#[test]
fn cloned_directory() {
    let mut cluster = Cluster::running(3, 1);
    // A copy of B's directory, taken before its latest start, is started elsewhere.
    let mut image = cluster.disks[&B].clone();
    image.boots -= 1;
    cluster.kill(B);
    cluster.disks.insert(B, image);
    cluster.start(B);
    cluster.run_until(200, "the copy learns that it is one", |cluster| {
        matches!(cluster.standing(B), Standing::Amnesiac(_))
    });
    let of = cluster.member(B);
    assert!(cluster.processes[&B].alarms.contains(&Alarm::CopiedDirectory { of }));
    assert!(cluster.processes[&A].alarms.contains(&Alarm::CopiedDirectory { of }));
}

#[test]
fn what_is_said_of_another_life_is_not_taken_as_ones_own() {
    let mut cluster = Cluster::running(3, 1);
    cluster.run(100);
    // B is wiped: what A remembers of B's former life says nothing about the new one.
    cluster.kill(B);
    cluster.disks.insert(B, crate::cluster::Disk::wiped(B));
    cluster.start(B);
    cluster.run(500);
    assert_eq!(cluster.standing(B), Standing::Settled);
    assert!(cluster.processes[&B].alarms.is_empty());
}

#[test]
fn an_absurd_epoch_is_ignored_with_one_alarm() {
    let mut cluster = Cluster::running(3, 1);
    let epoch = Epoch(1 << 40);
    for _ in 0..3 {
        let last = Position::new(epoch, position::Index(1));
        cluster.forge(C, A, epoch, Message::VoteRequest { attempt: 1, last, handover: None });
    }
    cluster.run(100);
    assert_eq!(cluster.master(), Some(A));
    assert_eq!(cluster.processes[&A].alarms.len(), 1);
}
