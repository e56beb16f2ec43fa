//! What a scrub at its highest rate costs those who send commands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use journal::Schema;

use crate::{Moment, Prevalent, Store};

/// Threads that send commands, each one at a time.
const THREADS: usize = 16;
/// Rounds without and with a scrub take turns, so that whatever else the machine does falls on both.
const ROUNDS: usize = 16;
const ROUND: Duration = Duration::from_secs(2);
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
    let mut p99 = [Vec::new(), Vec::new()];
    let mut commands = [0; 2];
    for number in 0..2 * ROUNDS {
        // Neither is always the one that follows the other.
        let with_scrub = matches!(number % 4, 1 | 2);
        let mut took = round(&store, with_scrub);
        took.sort_unstable();
        commands[usize::from(with_scrub)] += took.len();
        p99[usize::from(with_scrub)].push(took[took.len() * 99 / 100].as_secs_f64() * 1000.0);
    }
    println!("what was read again, lately: {:?}", store.group.scrub_found());
    let mut medians = Vec::new();
    for ((p99, commands), what) in p99.iter_mut().zip(commands).zip(["without", "with"]) {
        p99.sort_unstable_by(f64::total_cmp);
        let (least, median, most) = (p99[0], p99[ROUNDS / 2], p99[ROUNDS - 1]);
        println!("{what:>8}: {commands} commands; p99 of a round {median:.2} ms ({least:.2} to {most:.2})");
        medians.push(median);
    }
    println!("p99 with a scrub is {:.2} times that without", medians[1] / medians[0]);
}
