//! A handful of simulated clusters on every run of the tests; `simulate` runs as many as there is time for.

use tests::simulation::{Failure, Order, Report, Trace, hush_panics, simulate};

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
