//! Runs simulations of many seeds at once, a thread for each core.
//!
//! Each seed's story depends on nothing but the seed, so how many threads there are changes only how long it takes.
//! The lowest seed that fails is the one that is found, whoever is faster.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::simulation::{Failure, Order, Report, Trace, simulate};

/// Which seeds.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// At most so many.
    pub count: u64,
    /// None is begun after this moment.
    pub deadline: Option<Instant>,
}

/// What came of a search.
#[derive(Debug)]
pub struct Found {
    /// How many seeds were run that found nothing.
    pub seeds: u64,
    /// What happened in them.
    pub total: Report,
    /// The lowest seed that failed, and how.
    pub failure: Option<(Order, Failure)>,
}

/// Simulates seed after seed, until one fails or none is left. `order_of` says what each seed is to be.
pub fn search(seeds: Seeds, order_of: impl Fn(u64) -> Order + Sync) -> Found {
    let next = AtomicU64::new(0);
    let found = Mutex::new(Found { seeds: 0, total: Report::default(), failure: None });
    let work = || while run_next(&seeds, &next, &found, &order_of).is_continue() {};
    thread::scope(|scope| {
        let others = thread::available_parallelism().map_or(1, usize::from) - 1;
        (0..others).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    found.into_inner().expect("no thread panics while it holds this")
}

fn run_next(
    seeds: &Seeds,
    next: &AtomicU64,
    found: &Mutex<Found>,
    order_of: impl Fn(u64) -> Order,
) -> ControlFlow<()> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    let is_late = seeds.deadline.is_some_and(|deadline| Instant::now() >= deadline);
    if number >= seeds.count || is_late {
        return ControlFlow::Break(());
    }
    let order = order_of(seeds.first + number);
    let simulated = simulate(&order, Trace::Off);
    let mut found = found.lock().expect("no thread panics while it holds this");
    match simulated {
        Ok((report, _)) => {
            found.seeds += 1;
            found.total.add(&report);
        }
        // Those below it that are under way go on: one of them may fail too.
        Err(failure) => {
            next.fetch_max(seeds.count, Ordering::Relaxed);
            if found.failure.as_ref().is_none_or(|(known, _)| order.seed < known.seed) {
                found.failure = Some((order, failure));
            }
        }
    }
    ControlFlow::Continue(())
}
