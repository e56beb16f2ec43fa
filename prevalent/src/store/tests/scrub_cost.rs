//! What a scrub at its highest rate costs those who send commands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use journal::Schema;

use crate::{Moment, Prevalent, Store};

/// Threads that send commands, each one at a time.
const THREADS: usize = 16;
/// Rounds without and with a scrub take turns, so that whatever else the machine does falls on both.
const ROUNDS: usize = 10;
const ROUND: Duration = Duration::from_secs(3);
/// A voter reads a megabyte in so long, if it has as much to read as can be read within half a day.
const PIECE_PERIOD: Duration = Duration::from_millis(250);

/// Counts bytes, and keeps none.
#[derive(Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Bytes(u64);

impl Prevalent for Bytes {
    type Command = Vec<u8>;
    type Outcome = u64;
    type Rejection = ();
    type Query = ();
    type Answer = u64;
    const NAME: &'static str = "bytes";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, bytes: Vec<u8>, _at: &Moment<'_>) -> Result<u64, ()> {
        self.0 += bytes.len() as u64;
        Ok(self.0)
    }

    fn answer(&self, (): &()) -> u64 {
        self.0
    }
}

/// How long each command took.
fn send(store: &Store<Bytes>, until: Instant) -> Vec<Duration> {
    let mut took = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        store.execute(vec![7; 100]).unwrap();
        took.push(begun.elapsed());
    }
    took
}

fn round(store: &Store<Bytes>, with_scrub: bool) -> Vec<Duration> {
    let until = Instant::now() + ROUND;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        if with_scrub {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    store.group.scrub_piece();
                    std::thread::sleep(PIECE_PERIOD.saturating_sub(begun.elapsed()));
                }
            });
        }
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| send(store, until))).collect();
        let took = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        is_over.store(true, Ordering::Relaxed);
        took
    })
}

/// `cargo test --release -p prevalent --lib scrub_cost -- --ignored --nocapture`
#[test]
#[ignore = "it measures for a minute, and says nothing unless it is optimized and the machine is idle"]
fn what_a_scrub_costs_commands() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let store = Store::<Bytes>::open(folder.path()).unwrap();
    (0..200).for_each(|_| assert!(store.execute(vec![7; 500_000]).is_ok()));
    let mut took = [Vec::new(), Vec::new()];
    for number in 0..2 * ROUNDS {
        took[number % 2].append(&mut round(&store, number % 2 == 1));
    }
    println!("read again at 4 MiB a second, lately: {:?}", store.group.scrub_found());
    let mut p99 = Vec::new();
    for (took, what) in took.iter_mut().zip(["without", "with"]) {
        took.sort_unstable();
        let at = |percent: usize| took[took.len() * percent / 100].as_secs_f64() * 1000.0;
        println!("{what:>8}: {} commands, p50 {:.2} ms, p99 {:.2} ms", took.len(), at(50), at(99));
        p99.push(at(99));
    }
    println!("p99 with a scrub is {:.2} times that without", p99[1] / p99[0]);
}
