//! A handful of simulated clusters on every run of the tests; `simulate` runs as many as there is time for.

use std::time::Duration;

use position::Mutant;
use tests::simulation::{Failure, Order, Report, Trace, hush_panics, simulate, switches};

fn run(order: &Order, trace: Trace) -> Result<(Report, Trace), Failure> {
    hush_panics();
    simulate(order, trace)
}

fn check(voters: usize, seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        let order = Order { voters: Some(voters), ..Order::of_seed(seed) };
        match run(&order, Trace::Off) {
            Ok((report, _)) => {
                assert!(report.writes > 0, "{voters} voters, seed {seed}: nothing was written")
            }
            Err(failure) => panic!("{voters} voters, seed {seed}: {failure}"),
        }
    }
}

#[test]
fn one_voter() {
    check(1, 1..=6);
}

#[test]
fn three_voters() {
    check(3, 1..=6);
}

#[test]
fn five_voters() {
    check(5, 1..=4);
}

#[test]
fn the_same_seed_makes_the_same_story() {
    let story = |seed| match run(&Order::of_seed(seed), Trace::Keep(Vec::new())) {
        Ok((_, Trace::Keep(lines))) => lines,
        Ok(_) => unreachable!("a trace that was to be kept"),
        Err(failure) => panic!("seed {seed}: {failure}"),
    };
    let (first, again) = (story(7), story(7));
    let differs = first.iter().zip(&again).find(|(one, other)| one != other);
    assert_eq!(differs, None);
    assert_eq!(first.len(), again.len());
    assert_ne!(first, story(8), "a seed decides nothing");
}

#[test]
fn what_is_left_out_does_not_happen() {
    let all = Order::of_seed(7);
    let without = Order { without: switches(&all).into_iter().collect(), ..all };
    let Ok((_, Trace::Keep(lines))) = run(&without, Trace::Keep(Vec::new())) else {
        panic!("a story without faults fails")
    };
    let faults = |line: &&String| line.contains("misfortune") || line.contains("ambush");
    // The first line tells the plan.
    assert_eq!(lines.iter().skip(1).find(faults), None);
}

#[test]
fn a_shorter_storm_is_the_beginning_of_the_longer_one() {
    let story = |until| {
        let order = Order { until, ..Order::of_seed(7) };
        match run(&order, Trace::Keep(Vec::new())) {
            Ok((_, Trace::Keep(lines))) => lines,
            _ => panic!("seed 7 fails"),
        }
    };
    let (whole, shorter) = (story(None), story(Some(Duration::from_secs(2))));
    // The first line tells the plan, and with it how long the storm is to be.
    let end = shorter.iter().position(|line| line.contains("the storm is over")).expect("it ends");
    assert_eq!(whole[1..end], shorter[1..end]);
    assert!(whole.len() > shorter.len());
}

#[test]
fn no_rule_is_broken_in_a_build_like_this() {
    assert!(Mutant::ALL.iter().all(|mutant| !mutant.is_active()));
}
