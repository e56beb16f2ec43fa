//! A simulator is measured by the bugs it finds: rules broken on purpose, each found within a few seeds.

use tests::simulation::{Mutant, Order, hush_panics, simulate};

/// Far fewer than the thousands of seeds that a change is tried with.
const SEEDS: u64 = 60;

fn is_found(mutant: Mutant) {
    hush_panics();
    let finds = |seed| {
        let order = Order { seed, voters: Some(3), mutant: Some(mutant), ..Order::default() };
        simulate(order).is_err()
    };
    assert!((1..=SEEDS).any(finds), "{mutant:?} was not noticed in {SEEDS} seeds");
}

#[test]
fn acknowledging_before_the_sync_is_found() {
    is_found(Mutant::AcknowledgeBeforeSync);
}

#[test]
fn voting_before_the_sync_is_found() {
    is_found(Mutant::VoteBeforeSync);
}

#[test]
fn ignoring_journals_in_elections_is_found() {
    is_found(Mutant::IgnoreJournals);
}

#[test]
fn counting_the_uncertain_is_found() {
    is_found(Mutant::CountTheUncertain);
}

#[test]
fn committing_alone_is_found() {
    is_found(Mutant::CommitAlone);
}

#[test]
fn reading_anywhere_is_found() {
    is_found(Mutant::ReadAnywhere);
}

#[test]
fn retrying_as_new_is_found() {
    is_found(Mutant::RetryAsNew);
}
