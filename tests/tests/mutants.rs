//! A simulator is measured by the bugs it finds: rules broken on purpose, each found within a few seeds.
//! (`CountTheUncertain` needs about a thousand, too many for here; `quorum`'s own tests notice it at once.)

use tests::simulation::{Mutant, Order, hush_panics, simulate};

/// A fault that this many seeds in a row do not show is one that the simulator is blind to.
const SEEDS: u64 = 400;

/// Searches from `first` on: near the seed that shows it today, so that a debug run ends soon. Another
/// seed does it as soon as anything about the protocol's timing changes.
fn is_found(mutant: Mutant, first: u64) {
    hush_panics();
    let finds = |seed| {
        let order = Order { seed, voters: Some(3), mutant: Some(mutant), ..Order::default() };
        simulate(order).is_err()
    };
    assert!((first..first + SEEDS).any(finds), "{mutant:?} was not noticed in {SEEDS} seeds from {first} on");
}

#[test]
fn acknowledging_before_the_sync_is_found() {
    is_found(Mutant::AcknowledgeBeforeSync, 1);
}

#[test]
fn voting_before_the_sync_is_found() {
    is_found(Mutant::VoteBeforeSync, 1);
}

#[test]
fn ignoring_journals_in_elections_is_found() {
    is_found(Mutant::IgnoreJournals, 75);
}

#[test]
fn committing_what_an_earlier_master_wrote_is_found() {
    is_found(Mutant::CommitOldEpochs, 1);
}

#[test]
fn committing_alone_is_found() {
    is_found(Mutant::CommitAlone, 45);
}

#[test]
fn reading_anywhere_is_found() {
    is_found(Mutant::ReadAnywhere, 1);
}

#[test]
fn retrying_as_new_is_found() {
    is_found(Mutant::RetryAsNew, 1);
}
