//! What must be true of every voter at all times: over one state, and over a state and its successor.
//!
//! The simulator calls both after every step. The properties over a whole cluster (one master per epoch,
//! equal history, nothing acknowledged lost) are its oracles and stand there.

use position::{History, Standing};

use crate::Voter;
use crate::voter::{Role, RoleName};

/// Panics if a voter contradicts itself or its journal.
///
/// # Panics
/// If an invariant is broken; the message names it.
pub fn check_state(voter: &Voter, history: &impl History) {
    let tip = history.tip();
    assert!(voter.commit <= tip.index(), "committed {} beyond the journal's end {tip}", voter.commit);
    assert!(voter.durable <= tip.index(), "durable {} beyond the journal's end {tip}", voter.durable);
    assert!(voter.matched <= tip.index(), "matched {} beyond the journal's end {tip}", voter.matched);
    assert!(history.base().index() <= tip.index(), "the base lies beyond the journal's end");
    assert!(
        history.tip_at(voter.commit).is_some() || voter.commit <= history.base().index(),
        "commit {} is no end of a frame",
        voter.commit
    );
    if voter.role.name() != RoleName::Standby {
        assert!(voter.doubt.is_none(), "a voter in doubt stands or leads");
        assert!(voter.ballot.standing == Standing::Settled, "an uncertain voter stands or leads");
        assert!(
            voter.lists.newest().counts(voter.me),
            "a voter outside its own configuration stands or leads"
        );
    }
    if let Some(mastership) = voter.role.master() {
        assert_eq!(mastership.epoch, voter.ballot.epoch, "a master's epoch is its ballot's");
        assert!(voter.ballot_is_durable(), "a master's epoch is durable");
        assert_eq!(voter.ballot.voted_for, Some(voter.vote_for_itself()), "a master has voted for itself");
    }
    if let Role::Campaigning(campaign) = &voter.role {
        assert_eq!(campaign.epoch(), voter.ballot.epoch, "a campaign for an epoch that was left");
        assert_eq!(voter.ballot.voted_for, Some(voter.vote_for_itself()), "a candidate has voted for itself");
    }
    match (&voter.doubt, voter.ballot.standing) {
        (None, Standing::Unsettled(_)) => panic!("unsettled without a doubt: nothing would ever settle it"),
        (Some(doubt), Standing::Settled) => assert!(doubt.is_torn(), "a doubt without its durable mark"),
        _ => {}
    }
    assert!(
        voter.repairs.iter().all(|frame| {
            frame.last <= history.base().index() || history.frame_containing(frame.first) == Some(*frame)
        }),
        "a damaged frame is waited for that the journal no longer has"
    );
}

/// Panics if a voter took back what it must not take back.
///
/// # Panics
/// If an invariant is broken; the message names it.
pub fn check_step(before: &Voter, after: &Voter) {
    assert!(after.ballot.epoch >= before.ballot.epoch, "the epoch fell");
    assert!(after.commit >= before.commit, "the commit fell from {} to {}", before.commit, after.commit);
    assert!(after.now >= before.now, "time went back");
    let is_another = before.me != after.me;
    if before.ballot.epoch == after.ballot.epoch {
        let changed = !is_another
            && before.ballot.voted_for.is_some()
            && before.ballot.voted_for != after.ballot.voted_for;
        assert!(!changed, "voted twice in epoch {}", after.ballot.epoch);
        assert!(after.round_seen >= before.round_seen, "a round was forgotten");
        assert!(
            !(before.leads() && after.leads()) || after.matched >= before.matched,
            "a master's journal shrank within its epoch"
        );
    }
    if matches!(before.ballot.standing, Standing::Amnesiac(_)) && !is_another {
        let stays = matches!(after.ballot.standing, Standing::Amnesiac(_) | Standing::Removed);
        assert!(stays, "lost memory came back");
    }
    if before.ballot.standing == Standing::Removed {
        assert_eq!(after.ballot.standing, Standing::Removed, "a removed member came back");
    }
    if is_another {
        assert_eq!(after.ballot.voted_for, None, "a new incarnation has voted");
    }
}
