//! Members come and go: what the rules of `docs/protocol.md`, "Members", mean in one case each.

use position::{Epoch, History, Incarnation, MemberId, Standing};
use quorum::{Change, ChangeRefused, Membership, Message, Word};

use crate::cluster::{A, B, C, Cluster, D, Disk, E, Order, ms};

fn add(id: MemberId) -> Change {
    Change::Add { name: format!("pc{}", id.0), spare: false }
}

fn spare(id: MemberId) -> Change {
    Change::Add { name: format!("pc{}", id.0), spare: true }
}

fn remove(id: MemberId) -> Change {
    Change::Remove { name: format!("pc{}", id.0) }
}

fn replace(old: MemberId, with: MemberId) -> Change {
    Change::Replace { old: format!("pc{}", old.0), with: format!("pc{}", with.0) }
}

fn readmit(id: MemberId) -> Change {
    Change::Readmit { name: format!("pc{}", id.0) }
}

/// The voters of the list that counts with `id`.
fn voters(cluster: &Cluster, id: MemberId) -> Vec<MemberId> {
    cluster.voter(id).membership().voters().map(|voter| voter.member.id).collect()
}

fn committed(cluster: &Cluster, id: MemberId) -> bool {
    cluster.commit(id) == cluster.journal(id).tip().index()
}

/// A wiped machine greets the cluster.
fn arrives(cluster: &mut Cluster, id: MemberId) {
    cluster.disks.insert(id, Disk::wiped(id));
    cluster.start(id);
    cluster.run(200);
}

/// What the master A answers.
fn answer(cluster: &mut Cluster, change: &Change) -> Result<u64, ChangeRefused> {
    let master = cluster.master().expect("a master");
    let token = cluster.change(master, change).expect("leads");
    cluster.run_until(1_000, "an answer", |cluster| {
        cluster.processes[&master].changes.iter().any(|(known, _)| *known == token)
    });
    let changes = &cluster.processes[&master].changes;
    changes.iter().find(|(known, _)| *known == token).expect("just seen").1.clone()
}

#[test]
fn a_pc_that_is_added_learns_and_then_votes() {
    let mut cluster = Cluster::running(3, 1);
    assert_eq!(answer(&mut cluster, &add(D)), Err(ChangeRefused::NotWaiting("pc4".into())));
    arrives(&mut cluster, D);
    assert!(voters(&cluster, D).is_empty(), "who is not listed gets no frames");
    assert_eq!(answer(&mut cluster, &add(D)), Ok(2));
    cluster.run_until(1_000, "D votes", |cluster| voters(cluster, A).contains(&D));
    cluster.run(200);
    assert_eq!((voters(&cluster, D), cluster.voter(D).membership().number()), (vec![A, B, C, D], 3));
    assert_ne!(cluster.disks[&D].member.incarnation, Incarnation::UNKNOWN);
    // Three of four are a majority, two are none.
    cluster.kill(B);
    let frame = cluster.write(A, 1).expect("leads");
    cluster.run_until(100, "C and D have it", |cluster| cluster.commit(D) >= frame.last);
    cluster.kill(C);
    cluster.run(500);
    assert_eq!(cluster.master(), None);
    assert_eq!(answer_of(&mut cluster, A, &add(E)), None);
}

fn answer_of(cluster: &mut Cluster, id: MemberId, change: &Change) -> Option<()> {
    cluster.change(id, change).map(|_token| ())
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let mut cluster = Cluster::running(3, 1);
    arrives(&mut cluster, D);
    let of = |name: &str| name.to_owned();
    let cases = [
        (add(B), ChangeRefused::IsMember(of("pc2"))),
        (remove(A), ChangeRefused::IsMaster(of("pc1"))),
        (replace(A, D), ChangeRefused::IsMaster(of("pc1"))),
        (replace(B, C), ChangeRefused::IsVoter(of("pc3"))),
        (remove(E), ChangeRefused::NoSuchMember(of("pc5"))),
        (readmit(B), ChangeRefused::Counts(of("pc2"))),
        (replace(B, E), ChangeRefused::NotWaiting(of("pc5"))),
    ];
    for (change, expected) in cases {
        assert_eq!(answer(&mut cluster, &change), Err(expected), "{change:?}");
    }
    cluster.kill(C);
    cluster.run(200);
    assert_eq!(answer(&mut cluster, &readmit(C)), Err(ChangeRefused::NotHeard(of("pc3"))));
    // With C away, a cluster of A and C alone would stand still.
    let no_majority = ChangeRefused::NoMajority { voters: 2, sound: 1, needed: 2 };
    assert_eq!(answer(&mut cluster, &remove(B)), Err(no_majority));
    assert_eq!(voters(&cluster, A), [A, B, C]);
}

#[test]
fn who_is_removed_is_told_and_ends() {
    let mut cluster = Cluster::running(3, 1);
    assert_eq!(answer(&mut cluster, &remove(C)), Ok(2));
    cluster.run_until(1_000, "C ends", |cluster| cluster.processes[&C].removed);
    assert_eq!(cluster.disks[&C].ballot.standing, Standing::Removed);
    assert_eq!(voters(&cluster, B), [A, B]);
    cluster.restart(C);
    cluster.run(500);
    assert!(!cluster.voter(C).leads() && cluster.master() == Some(A));
}

/// A removal that only its master has written may be cut, and whoever believed it would be lost for ever.
#[test]
fn a_removal_that_is_not_committed_is_told_to_nobody() {
    let mut cluster = Cluster::running(3, 1);
    cluster.hold(|envelope| matches!(envelope.message, Message::Append(_)));
    cluster.change(A, &remove(C)).expect("leads");
    cluster.restart(C);
    cluster.run(100);
    assert_eq!(voters(&cluster, A), [A, B]);
    cluster.kill(A);
    cluster.held.clear();
    cluster.stop_holding();
    cluster.run_until(2_000, "another leads", |cluster| cluster.master().is_some());
    cluster.start(A);
    cluster.run(500);
    assert!(!cluster.processes[&C].removed);
    for id in [A, B, C] {
        assert_eq!(voters(&cluster, id), [A, B, C], "the list was cut");
    }
}

#[test]
fn a_dead_voter_is_replaced() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(C);
    arrives(&mut cluster, D);
    assert_eq!(answer(&mut cluster, &replace(C, D)), Ok(2));
    cluster.run_until(1_000, "D votes and C does not", |cluster| voters(cluster, A) == [A, B, D]);
    cluster.run_until(200, "that is committed", |cluster| committed(cluster, A));
    assert_eq!(cluster.voter(A).membership().number(), 4, "D learns, C goes, D votes");
    // C comes back, and is told.
    cluster.start(C);
    cluster.run_until(1_000, "C ends", |cluster| cluster.processes[&C].removed);
}

/// The living one votes until the new one does.
#[test]
fn a_living_voter_is_replaced_without_a_moment_of_two() {
    let mut cluster = Cluster::running(3, 1);
    arrives(&mut cluster, D);
    assert_eq!(answer(&mut cluster, &replace(C, D)), Ok(2));
    let fewest = std::cell::Cell::new(3);
    cluster.run_until(1_000, "D votes and C does not", |cluster| {
        fewest.set(fewest.get().min(voters(cluster, A).len()));
        voters(cluster, A) == [A, B, D]
    });
    assert_eq!(fewest.get(), 3);
}

/// Any master goes on with what the list says is to come.
#[test]
fn a_change_goes_on_when_its_master_dies() {
    let mut cluster = Cluster::running(3, 1);
    arrives(&mut cluster, D);
    cluster.hold(|envelope| envelope.to.id == D && matches!(envelope.message, Message::Append(_)));
    assert_eq!(answer(&mut cluster, &replace(C, D)), Ok(2));
    cluster.run(200);
    assert_eq!(voters(&cluster, A), [A, B, C], "D has nothing yet");
    cluster.kill(A);
    cluster.release();
    cluster.run_until(3_000, "the new master finishes it", |cluster| {
        cluster.master().is_some_and(|master| master != C && voters(cluster, master) == [A, B, D])
            || cluster.master() == Some(C)
    });
    cluster.start(A);
    cluster.run(2_000);
    let master = cluster.master().expect("a master");
    // A master that is to go stays until it leads no more.
    let expected: &[MemberId] = if master == C { &[A, B, C, D] } else { &[A, B, D] };
    assert_eq!(voters(&cluster, master), expected);
}

#[test]
fn who_lost_its_disk_is_readmitted() {
    let mut cluster = Cluster::running(3, 1);
    let old = cluster.member(C);
    cluster.kill(C);
    arrives(&mut cluster, C);
    let word = |cluster: &Cluster| {
        let members = cluster.voter(A).members();
        members.into_iter().find(|view| view.info.member.id == C).expect("listed").word
    };
    assert_eq!(word(&cluster), Word::Lost);
    assert_eq!(answer(&mut cluster, &readmit(C)), Ok(2));
    cluster.run_until(2_000, "C votes again", |cluster| voters(cluster, A) == [A, B, C]);
    cluster.run(200);
    assert!(cluster.member(C) != old && word(&cluster) == Word::Counts);
    cluster.kill(B);
    let frame = cluster.write(A, 1).expect("leads");
    cluster.run_until(100, "C counts", |cluster| cluster.commit(A) >= frame.last);
}

/// The second copy keeps the former life, which counts nowhere.
#[test]
fn of_two_copies_of_a_directory_one_is_readmitted() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(C);
    arrives(&mut cluster, C);
    let copy = cluster.disks[&C].clone();
    cluster.hold(|envelope| matches!(envelope.message, Message::Members(_)));
    assert_eq!(answer(&mut cluster, &readmit(C)), Ok(2));
    // The process that was meant is gone before it hears of it; its directory is started again.
    cluster.kill(C);
    cluster.disks.insert(C, copy);
    cluster.held.clear();
    cluster.stop_holding();
    cluster.start(C);
    cluster.run(1_000);
    assert_eq!(cluster.member(C).incarnation, Incarnation::UNKNOWN, "it was not meant");
    assert_eq!(voters(&cluster, A), [A, B]);
    assert_eq!(answer(&mut cluster, &readmit(C)), Ok(3));
    cluster.run_until(2_000, "C votes again", |cluster| voters(cluster, A) == [A, B, C]);
}

/// The promotion is committed by the others, and their master dies before the promoted one knows of it.
#[test]
fn a_learner_votes_for_whoever_counts_it() {
    let mut cluster = Cluster::running(3, 1);
    arrives(&mut cluster, D);
    assert_eq!(answer(&mut cluster, &add(D)), Ok(2));
    cluster.hold(|envelope| {
        envelope.to.id == D && matches!(envelope.message, Message::Append(_) | Message::Heartbeat { .. })
    });
    let promoted = |cluster: &Cluster| voters(cluster, B).len() == 4 && committed(cluster, B);
    if !cluster.run_while(500, |cluster| !promoted(cluster)) {
        // D had to hear a little more to be ready.
        cluster.release();
        cluster.run_until(1_000, "D is promoted", promoted);
    }
    cluster.kill(A);
    cluster.isolate(C);
    cluster.held.clear();
    cluster.stop_holding();
    // B needs three of four, and hears D only: nobody leads. With C back, D's vote makes three.
    cluster.run(500);
    assert_eq!(cluster.master(), None);
    cluster.heal();
    cluster.run_until(2_000, "one leads", |cluster| cluster.master().is_some());
}

#[test]
fn a_spare_takes_the_place_of_a_voter_that_stays_away() {
    let mut cluster = Cluster::running(3, 1);
    arrives(&mut cluster, D);
    arrives(&mut cluster, E);
    assert!(answer(&mut cluster, &spare(D)).is_ok() && answer(&mut cluster, &spare(E)).is_ok());
    assert!(answer(&mut cluster, &Change::ReplaceAfter { seconds: 2 }).is_ok());
    cluster.run(1_000);
    assert_eq!(voters(&cluster, A), [A, B, C]);
    cluster.kill(C);
    cluster.run(1_800);
    assert_eq!(voters(&cluster, A), [A, B, C], "not before its time");
    cluster.run_until(1_500, "a spare votes", |cluster| voters(cluster, A) == [A, B, D]);
    cluster.kill(B);
    cluster.run_until(6_000, "the other one, too", |cluster| voters(cluster, A) == [A, D, E]);
    // Those who come back are spares.
    cluster.start(C);
    cluster.run(1_000);
    assert!(!cluster.processes[&C].removed);
    let list = cluster.voter(C).membership().clone();
    assert!(list.lists(cluster.member(C)) && !list.counts(cluster.member(C)), "{list:?}");
}

/// The copy is told what it is, and waits; the operator makes it the member again.
#[test]
fn an_old_copy_of_a_directory_is_readmitted() {
    let mut cluster = Cluster::running(3, 1);
    let copy = cluster.disks[&C].clone();
    cluster.restart(C);
    cluster.run(200);
    cluster.kill(C);
    cluster.disks.insert(C, copy);
    cluster.oracle.damaged.insert(C);
    cluster.start(C);
    cluster.run(500);
    assert!(matches!(cluster.standing(C), Standing::Amnesiac(_)));
    assert_eq!(answer(&mut cluster, &readmit(C)), Ok(2));
    cluster.run_until(2_000, "C votes again", |cluster| voters(cluster, A) == [A, B, C]);
    assert_eq!(cluster.standing(C), Standing::Settled);
}

#[test]
fn two_changes_at_once_are_one_too_many() {
    let mut cluster = Cluster::running(3, 1);
    arrives(&mut cluster, D);
    cluster.stick(B, Order::Sync);
    cluster.stick(C, Order::Sync);
    cluster.change(A, &add(D)).expect("leads");
    let second = cluster.change(A, &remove(C)).expect("leads");
    let refused = (second, Err(ChangeRefused::NotNow));
    assert_eq!(cluster.processes[&A].changes, [refused]);
}

/// Its first own frame is not committed: it does not know which list the one before has left.
#[test]
fn a_new_master_changes_nothing_before_it_has_committed() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(A);
    cluster.hold(|envelope| matches!(envelope.message, Message::AppendAck(_)));
    cluster.run_until(2_000, "B leads", |cluster| cluster.master() == Some(B));
    let token = cluster.change(B, &remove(C)).expect("leads");
    assert_eq!(cluster.processes[&B].changes, [(token, Err(ChangeRefused::NotNow))]);
}

#[test]
fn the_list_that_an_operator_saw_is_the_one_that_is_changed() {
    let mut cluster = Cluster::running(3, 1);
    let rank = |rank| Change::Rank { name: "pc2".into(), rank };
    assert_eq!(answer(&mut cluster, &rank(7)), Ok(2));
    let refused = cluster.change_seen(A, &rank(8), Some(1));
    assert_eq!(refused, Err(ChangeRefused::Changed { expected: 1, is: 2 }));
    assert_eq!(cluster.voter(A).membership().named("pc2").expect("listed").rank, 7);
}

#[test]
fn an_address_that_a_member_states_is_journaled() {
    let mut cluster = Cluster::running(3, 1);
    cluster.addresses.insert(C, "pc3:9".into());
    cluster.restart(C);
    cluster.run_until(1_000, "the list says so", |cluster| {
        cluster.voter(B).membership().named("pc3").expect("listed").address == "pc3:9"
    });
    assert_eq!(cluster.voter(B).membership().number(), 2);
    cluster.run(1_000);
    assert_eq!(cluster.voter(B).membership().number(), 2, "once is enough");
}

/// The list travels in the snapshot, too.
#[test]
fn a_list_outlives_the_journal_that_brought_it() {
    let mut cluster = Cluster::running(3, 1);
    cluster.kill(C);
    arrives(&mut cluster, D);
    assert!(answer(&mut cluster, &add(D)).is_ok());
    cluster.run_until(1_000, "D votes", |cluster| voters(cluster, A) == [A, B, C, D]);
    cluster.run(200);
    for id in [A, B, D] {
        cluster.compact(id);
    }
    cluster.start(C);
    cluster.run_until(2_000, "C has the list", |cluster| voters(cluster, C) == [A, B, C, D]);
    cluster.restart(C);
    assert_eq!(voters(&cluster, C), [A, B, C, D]);
}

#[test]
fn more_than_the_most_are_refused() {
    let mut cluster = Cluster::running(3, 1);
    for id in 4..=16 {
        arrives(&mut cluster, MemberId(id));
    }
    for id in 4..=15 {
        assert!(answer(&mut cluster, &spare(MemberId(id))).is_ok(), "pc{id}");
    }
    let refused = answer(&mut cluster, &spare(MemberId(16)));
    assert!(matches!(refused, Err(ChangeRefused::Impossible(_))), "{refused:?}");
    assert_eq!(cluster.voter(A).membership().members().len(), Membership::MEMBERS_MAX);
    assert!(cluster.voter(A).epoch() == Epoch(1) && cluster.now > quorum::Time::after(ms(0)));
}
