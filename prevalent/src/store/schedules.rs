//! The hand-over of the lead between threads, under a scheduler that decides at each lock who goes on.
//!
//! A thread that waits for ever is what can go wrong here: the lead given to nobody, a sleeper that nobody wakes, room
//! that nobody tells of. No such schedule comes by chance on a real machine. `shuttle` tries thousands, finds those in
//! which nobody can go on, and prints one as a text that `shuttle::replay` repeats. Time stands still (`Clock`), and a
//! store takes very few commands at once (`COMMANDS_MAX`), so that it is full all the time.
//!
//! ```text
//! RUSTFLAGS="--cfg prevalent_shuttle" cargo test -p prevalent --lib --target-dir target/shuttle schedules
//! ```
//!
//! `SCHEDULES` says how many are tried of each kind.

use std::sync::Arc;

use journal::Schema;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, MaxSteps, Runner};
use storage::SimDisk;

use super::*;
use crate::{COMMANDS_MAX, Moment};

/// Changes of the scheduler's mind that PCT places in a run: the bugs looked for need one to three.
const DEPTH: usize = 3;
/// A run takes a few hundred; one that goes on and on is a failure, too.
const STEPS_MAX: usize = 100_000;
/// An engine and a disk lie on a thread's stack.
const STACK_BYTES: usize = 512 * 1024;

/// Every number that was ever pushed; 13 panics.
#[derive(Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Numbers(Vec<u64>);

impl Prevalent for Numbers {
    type Command = u64;
    type Outcome = u64;
    type Rejection = ();
    type Query = ();
    type Answer = ();
    const NAME: &'static str = "numbers";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, number: u64, _at: &Moment<'_>) -> Result<u64, ()> {
        assert!(number != 13, "unlucky");
        self.0.push(number);
        Ok(number)
    }

    fn answer(&self, (): &()) {}
}

/// Has this done under many schedules: by chance alone, and with few changes between threads at bad moments.
fn check(run: fn()) {
    let count = std::env::var("SCHEDULES").map_or(300, |count| count.parse().expect("a number"));
    under(RandomScheduler::new(count), run);
    under(PctScheduler::new(DEPTH, count), run);
}

fn under(scheduler: impl Scheduler + 'static, run: fn()) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(run);
}

fn open(machine: &SimDisk) -> Store<Numbers> {
    Store::open_on(machine.disk(), false).expect("the store opens")
}

fn beside(store: &Store<Numbers>, work: impl FnOnce(Store<Numbers>) + Send + 'static) -> JoinHandle<()> {
    let store = store.clone();
    thread::spawn(move || work(store))
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
}

#[test]
fn each_thread_gets_its_own_answers_and_the_store_closes() {
    check(|| {
        let machine = SimDisk::new(1);
        let store = open(&machine);
        let worker = |first: u64| {
            beside(&store, move |store| {
                for number in first..first + 2 {
                    assert_eq!(store.execute(number).unwrap(), number);
                }
            })
        };
        join([100, 200, 300].map(worker));
        assert_eq!(store.read(|numbers| numbers.0.len()), 6);
        drop(store);
        assert_eq!(open(&machine).read(|numbers| numbers.0.len()), 6, "the directory is free again");
    });
}

/// Whoever submits and never waits needs somebody else, or itself, to make room.
#[test]
fn there_is_room_again_for_those_who_wait_for_nothing() {
    check(|| {
        let machine = SimDisk::new(1);
        let store = open(&machine);
        let many = COMMANDS_MAX as u64 + 2;
        let submitter = |first: u64| {
            beside(&store, move |store| {
                (first..first + many).for_each(|number| drop(store.submit(&number).unwrap()));
            })
        };
        let threads = [submitter(100), submitter(200)];
        let waiter = beside(&store, |store| {
            let pending: Vec<_> = (300..302).map(|number| store.submit(&number).unwrap()).collect();
            // Not in their order: the lead comes to one that sleeps, and that is the newest.
            for command in pending.into_iter().rev() {
                command.wait().unwrap();
            }
        });
        join(threads);
        join([waiter]);
        // Those that nobody waits for are executed with the next one.
        store.execute(1).unwrap();
        let numbers = store.read(|numbers| numbers.0.clone());
        assert_eq!(numbers.len() as u64, 2 * many + 3);
        for first in [100, 200, 300] {
            let of_one = numbers.iter().filter(|number| (first..first + 100).contains(*number));
            assert!(of_one.is_sorted(), "commands of one thread are executed in order");
        }
    });
}

#[test]
fn a_failed_sync_is_told_to_everybody_who_waits() {
    check(|| {
        let machine = Arc::new(SimDisk::new(1));
        let store = open(&machine);
        let failer = {
            let machine = Arc::clone(&machine);
            beside(&store, move |_| machine.fail_next_sync())
        };
        let worker = |first: u64| {
            beside(&store, move |store| {
                for number in first..first + 2 {
                    match store.execute(number) {
                        Ok(answer) => assert_eq!(answer, number),
                        Err(ExecuteError::Failed(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        };
        let workers = [100, 200].map(worker);
        join([failer]);
        join(workers);
        // Perhaps everything was over when the failure was set up.
        let _failed = store.execute(1);
        assert!(matches!(store.execute(2), Err(ExecuteError::Failed(_))));
    });
}

#[test]
fn a_panicking_command_is_answered_and_readers_always_find_a_state() {
    check(|| {
        let machine = SimDisk::new(1);
        let store = open(&machine);
        let unlucky = beside(&store, |store| {
            assert!(matches!(store.execute(13), Err(ExecuteError::Panicked)));
        });
        let lucky = beside(&store, |store| assert_eq!(store.execute(100).unwrap(), 100));
        let reader = beside(&store, |store| {
            let seen = [(); 2].map(|()| store.read(|numbers| numbers.0.len()));
            assert!(seen.is_sorted());
        });
        join([unlucky, lucky, reader]);
        assert_eq!(store.read(|numbers| numbers.0.clone()), [100]);
    });
}

/// A job hands in its result while the store is being closed and while somebody leads.
#[test]
fn jobs_and_leaders_stand_in_nobodys_way() {
    check(|| {
        let machine = SimDisk::new(1);
        let store = open(&machine);
        let scrubber = beside(&store, |store| {
            store.scrub().unwrap();
        });
        let worker = beside(&store, |store| assert_eq!(store.execute(100).unwrap(), 100));
        let pending = store.submit(&200).unwrap();
        drop(store);
        // The directory stays locked until the last of these.
        let waiter = thread::spawn(move || assert_eq!(pending.wait().unwrap(), 200));
        join([scrubber, worker, waiter]);
        assert_eq!(open(&machine).read(|numbers| numbers.0.len()), 2);
    });
}
