//! Directories that lost something, or exist twice.

use position::{Amnesia, Epoch, History, MemberId, Position, Standing};
use quorum::{Alarm, Message, PROCESSES_MAX};

use crate::cluster::{A, B, C, Cluster, Journal, Order};

/// The disk had lied: the end of the journal is gone, in the same epoch, and nothing on the disk says so.
fn loses_its_end(cluster: &mut Cluster, id: MemberId, journal: Journal) {
    let disk = cluster.disks.get_mut(&id).expect("a machine");
    (disk.written, disk.durable) = (journal.clone(), journal);
    cluster.oracle.damaged.insert(id);
}

#[test]
fn a_journal_that_is_shorter_by_a_peers_word_is_unsettled() {
    let mut cluster = Cluster::running(3, 1);
    let before = cluster.journal(B).clone();
    let x = cluster.write(A, 1).expect("leads");
    cluster.run(100);
    cluster.kill(B);
    loses_its_end(&mut cluster, B, before);
    // Nothing comes that would bring x back.
    cluster.hold(|envelope| envelope.to.id == B && envelope.message.name() == "Append");
    cluster.start(B);
    cluster.run_until(200, "B learns what it lost", |cluster| cluster.is_unsettled(B));
    let lost = Alarm::LostSuffix { at: x.first, acknowledged: x.last };
    assert!(cluster.processes[&B].alarms.contains(&lost), "{:?}", cluster.processes[&B].alarms);
    // Its vote does not count: neither does it elect C, which may not have x, nor does it stand.
    cluster.kill(A);
    cluster.run(1_000);
    assert_eq!(cluster.master(), None);
    cluster.held.clear();
    cluster.stop_holding();
    cluster.start(A);
    cluster.run_until(2_000, "B has x and counts", |cluster| {
        cluster.journal(B).holds(&x) && cluster.standing(B) == Standing::Settled
    });
}

/// pc3 is stopped, its folder copied, and started again. Then everybody who knew is restarted, and pc3 gets the copy.
#[test]
fn restored_copy_peers_restarted() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(C);
    let copy = cluster.disks[&C].clone();
    cluster.start(C);
    cluster.run(200);
    cluster.kill(B);
    cluster.restart(A);
    cluster.run_until(2_000, "somebody leads epoch 2", |cluster| cluster.master().is_some());
    let master = cluster.master().expect("just seen");
    let x = cluster.write(master, 20).expect("leads");
    cluster.run_until(500, "A and C commit x", |cluster| cluster.commit(master) == x.last);
    cluster.run(200);
    cluster.kill(A);
    cluster.kill(C);
    cluster.disks.insert(C, copy);
    cluster.oracle.damaged.insert(C);
    cluster.start(B);
    cluster.start(C);
    cluster.run(2_000);
    assert_eq!(cluster.master(), None, "elected without x\n{}", cluster.summary());
    let of = cluster.member(C);
    let alarm = Alarm::CopiedDirectory { of };
    for id in [B, C] {
        assert!(cluster.processes[&id].alarms.contains(&alarm), "of {id:?}\n{}", cluster.summary());
    }
    cluster.start(A);
    cluster.run_until(2_000, "A and B go on with x", |cluster| {
        cluster.master().is_some() && [A, B].into_iter().all(|id| cluster.journal(id).holds(&x))
    });
    assert_eq!(cluster.standing(C), Standing::Amnesiac(Amnesia::Copied));
}

#[test]
fn a_refused_copy_stays_refused_after_its_next_start() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(C);
    let copy = cluster.disks[&C].clone();
    cluster.start(C);
    cluster.run(200);
    cluster.kill(C);
    cluster.disks.insert(C, copy);
    cluster.oracle.damaged.insert(C);
    // It is told nothing, and its second start has a higher number than the one that is remembered.
    cluster.isolate(C);
    cluster.start(C);
    cluster.restart(C);
    cluster.heal();
    cluster
        .run_until(500, "C is refused", |cluster| cluster.standing(C) == Standing::Amnesiac(Amnesia::Copied));
    // And it knows that itself from then on, whoever is there to tell it.
    cluster.run(50);
    cluster.kill(C);
    cluster.isolate(C);
    cluster.start(C);
    assert_eq!(cluster.standing(C), Standing::Amnesiac(Amnesia::Copied));
    cluster.heal();
    cluster.run(500);
    // Nobody counts it: A and B alone commit.
    cluster.kill(B);
    cluster.run(500);
    assert_eq!(cluster.master(), None);
}

/// Its starts lead back to what the peers remember; its ballot does not.
#[test]
fn an_image_of_a_running_voter_is_noticed_by_its_epoch() {
    let mut cluster = Cluster::running(3, 1);
    let image = cluster.disks[&C].clone();
    cluster.kill(A);
    cluster.run_until(1_000, "B leads by C's vote", |cluster| cluster.master() == Some(B));
    cluster.run(100);
    cluster.kill(C);
    cluster.disks.insert(C, image);
    cluster.oracle.damaged.insert(C);
    // B forgets all that it did not write down.
    cluster.restart(B);
    cluster.start(C);
    cluster.run_until(500, "C learns it", |cluster| {
        cluster.standing(C) == Standing::Amnesiac(Amnesia::OldBallot)
    });
    cluster.run(1_000);
    assert_eq!(cluster.master(), None, "elected by a vote that was given before");
    let of = cluster.member(C);
    assert!(cluster.processes[&B].alarms.contains(&Alarm::CopiedDirectory { of }));
}

#[test]
fn a_voter_that_restarts_often_is_recognized_by_one_that_was_away() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(C);
    for _ in 0..2 * PROCESSES_MAX {
        cluster.restart(B);
        cluster.run(100);
    }
    cluster.start(C);
    cluster.run(500);
    for id in [A, B, C] {
        assert_eq!(cluster.standing(id), Standing::Settled);
        assert!(cluster.processes[&id].alarms.is_empty(), "{}", cluster.summary());
    }
    cluster.kill(A);
    cluster.run_until(1_000, "B and C elect one of them", |cluster| cluster.master().is_some());
}

/// Else A could lose its power, forget the process, and later count a copy of it.
#[test]
fn a_vote_counts_once_the_process_that_gave_it_is_remembered() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(C);
    cluster.kill(A);
    cluster.hold(|envelope| envelope.message.name() == "VoteRequest");
    cluster.start(A);
    let stands = |cluster: &Cluster| cluster.held_messages().iter().any(|(from, ..)| *from == A);
    cluster.run_until(2_000, "A asks for votes", stands);
    cluster.stick(A, Order::Ballot);
    cluster.restart(B);
    cluster.run(5);
    let epoch = cluster.voter(A).epoch();
    cluster.forge_vote(B, A, epoch);
    assert_eq!(cluster.master(), None, "a vote of a process that the disk does not know was counted");
    cluster.unstick(A, Order::Ballot);
    cluster.run_until(50, "A leads", |cluster| cluster.master() == Some(A));
}

/// A copy of the candidate asks once more, in the same epoch: the vote was given to another process.
#[test]
fn a_vote_is_given_to_one_process() {
    let mut cluster = Cluster::running(3, 1);
    let epoch = cluster.voter(A).epoch();
    assert_eq!(cluster.disks[&B].ballot.voted_for.map(|vote| vote.candidate.id), Some(A));
    let last = cluster.journal(A).tip().position;
    cluster.restart(A);
    cluster.run(1);
    cluster.hold(|envelope| envelope.message.name() == "VoteReply" && envelope.from.id == B);
    cluster.forge(A, B, epoch, Message::VoteRequest { attempt: 1, last, handover: None });
    let granted = |message: &Message| matches!(message, Message::VoteReply { refused: None, .. });
    assert!(!cluster.held_messages().is_empty());
    assert!(cluster.held_messages().iter().all(|(_, _, message)| !granted(message)));
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
