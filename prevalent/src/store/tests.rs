mod damage;
mod scrub_cost;

use std::sync::{Arc, Barrier};

use journal::Schema;
use position::Index;
use storage::{Disk, SimDisk};

use super::*;
use crate::Moment;
use crate::testing::tally::{Order, Tally};

/// Every number that was ever pushed. Odd ones above 1000 are refused, 13 panics.
#[derive(Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Numbers(Vec<u64>);

impl Prevalent for Numbers {
    type Command = u64;
    type Outcome = usize;
    type Rejection = String;
    type Query = ();
    type Answer = u64;
    const NAME: &'static str = "numbers";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, number: u64, _at: &Moment<'_>) -> Result<usize, String> {
        if number > 1000 && number % 2 == 1 {
            return Err(format!("{number} is odd"));
        }
        self.0.push(number);
        assert!(number != 13, "unlucky");
        Ok(self.0.len())
    }

    fn answer(&self, (): &()) -> u64 {
        self.0.iter().sum()
    }
}

fn open(machine: &SimDisk) -> Store<Numbers> {
    Store::open_on(machine.disk(), false).expect("the store opens")
}

fn numbers(store: &Store<Numbers>) -> Vec<u64> {
    store.read(|numbers| numbers.0.clone())
}

#[test]
fn what_was_answered_survives_a_power_cut() {
    for seed in 0..20 {
        let machine = SimDisk::new(seed);
        let store = open(&machine);
        for number in 0..10 {
            assert_eq!(store.execute(number).unwrap(), usize::try_from(number).unwrap() + 1);
        }
        machine.power_cut();
        drop(store);
        let store = open(&machine);
        assert_eq!(numbers(&store), (0..10).collect::<Vec<_>>(), "seed {seed}");
        store.execute(10).unwrap();
        assert_eq!(numbers(&store).len(), 11);
    }
}

/// The next process finds in the cache what the sync did not take to the disk, and goes on behind it.
#[test]
fn a_failed_sync_costs_nothing_that_a_later_process_answers() {
    let mut found = 0;
    for seed in 0..60 {
        let machine = SimDisk::new(seed);
        let store = open(&machine);
        for number in 0..3 {
            store.execute(number).unwrap();
        }
        machine.fail_next_sync();
        // Several pages: what is written later shares only the last of them.
        let pending: Vec<_> = (100..400).map(|number| store.submit(&number).unwrap()).collect();
        pending.into_iter().for_each(|command| drop(command.wait().unwrap_err()));
        machine.crash();
        drop(store);
        let store = open(&machine);
        let before = numbers(&store);
        found += u32::from(before.len() == 303);
        for number in 20..25 {
            store.execute(number).unwrap();
        }
        machine.power_cut();
        drop(store);
        assert_eq!(numbers(&open(&machine)), [before, (20..25).collect()].concat(), "seed {seed}");
    }
    assert!(found > 10, "the cache was always empty");
}

#[test]
fn a_rejection_says_why_and_changes_nothing() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    match store.execute(1001) {
        Err(ExecuteError::Rejected(why)) => assert_eq!(why, "1001 is odd"),
        other => panic!("{other:?}"),
    }
    assert!(numbers(&store).is_empty());
}

#[test]
fn a_command_that_panics_is_undone_and_passed_over_in_every_replay() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    store.execute(1).unwrap();
    assert!(matches!(store.execute(13), Err(ExecuteError::Panicked)));
    store.execute(2).unwrap();
    assert_eq!(numbers(&store), [1, 2]);
    drop(store);
    let store = open(&machine);
    assert_eq!(numbers(&store), [1, 2]);
    store.execute(3).unwrap();
}

/// No later frame says that the last command is committed, so it panics while the store is being opened.
#[test]
fn a_store_opens_again_whose_last_command_panicked() {
    let machine = SimDisk::new(1);
    for opening in 1..=3_u64 {
        let store = open(&machine);
        store.execute(opening).unwrap();
        assert!(matches!(store.execute(13), Err(ExecuteError::Panicked)));
        drop(store);
        assert_eq!(numbers(&open(&machine)), (1..=opening).collect::<Vec<_>>());
    }
}

/// Each costs a rebuild, so the state is condensed soon.
#[test]
fn many_commands_that_panic_end_no_store() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    for round in 0..3 {
        let pending: Vec<_> = (0..400).map(|_| store.submit(&13).unwrap()).collect();
        for command in pending {
            assert!(matches!(command.wait(), Err(ExecuteError::Panicked)), "in round {round}");
        }
    }
    store.execute(2).unwrap();
    drop(store);
    let store = open(&machine);
    assert_eq!(numbers(&store), [2]);
    assert!(!machine.disk().list("snapshots").unwrap().is_empty(), "no snapshot was made");
    store.execute(3).unwrap();
}

#[test]
fn threads_share_syncs_and_each_gets_its_own_answer() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    let before = machine.syncs();
    let threads: Vec<_> = (0..16_u64)
        .map(|thread| {
            let store = store.clone();
            std::thread::spawn(move || {
                for number in 0..50 {
                    store.execute(thread * 100 + number * 2).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let mut found = numbers(&store);
    found.sort_unstable();
    let mut expected: Vec<u64> =
        (0..16).flat_map(|t| (0..50).map(move |number| t * 100 + number * 2)).collect();
    expected.sort_unstable();
    assert_eq!(found, expected, "nothing was doubled or lost");
    // Beside them a few for spare segments, their folder, and the newest segment's name in the ballot.
    assert!(machine.syncs() - before <= 840, "no command needs more than one sync");
}

#[test]
fn one_thread_can_have_many_under_way_and_they_are_executed_in_order() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    let before = machine.syncs();
    let pending: Vec<_> = (0..2000).map(|number| store.submit(&(number * 2)).unwrap()).collect();
    for command in pending {
        command.wait().unwrap();
    }
    assert_eq!(numbers(&store), (0..2000).map(|number| number * 2).collect::<Vec<_>>());
    assert!(machine.syncs() - before < 100, "{} syncs for 2000 commands", machine.syncs() - before);
}

/// A session keeps a megabyte of answers that were not seen. Nobody is told about that who uses a store.
#[test]
fn large_outcomes_reach_their_callers_in_order() {
    let machine = SimDisk::new(1);
    let store = Store::<Tally>::open_on(machine.disk(), false).unwrap();
    let large = |number: u32| 20_000 + number;
    let orders = (0..200).flat_map(|number| [Order::Flood(large(number)), Order::Add(0)]);
    let pending: Vec<_> = orders.map(|order| store.submit(&order).unwrap()).collect();
    let outcomes: Vec<Vec<u8>> = pending.into_iter().map(|command| command.wait().unwrap()).collect();
    for (number, outcomes) in (0..).zip(outcomes.chunks(2)) {
        let [flood, total] = outcomes else { panic!("two were submitted") };
        assert_eq!(flood.len(), large(number) as usize);
        assert_eq!(*total, (u64::from(number) + 1).to_le_bytes(), "executed out of turn");
    }
    assert!(store.applied().index() < Index(1000), "{} entries for 400 commands", store.applied());
    store.execute(Order::Flood(1_000_000)).unwrap();
    store.execute(Order::Flood(1_000_000)).unwrap();
}

/// Stops in the middle of a round until the test lets it go on.
#[derive(Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Gate;

static INSIDE: Barrier = Barrier::new(2);
static LET_GO: Barrier = Barrier::new(2);

impl Prevalent for Gate {
    type Command = (bool, u32);
    type Outcome = Vec<u8>;
    type Rejection = ();
    type Query = ();
    type Answer = ();
    const NAME: &'static str = "gate";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, (stop, bytes): (bool, u32), _: &Moment<'_>) -> Result<Vec<u8>, ()> {
        if stop {
            INSIDE.wait();
            LET_GO.wait();
        }
        Ok(vec![1; bytes as usize])
    }

    fn answer(&self, (): &()) {}
}

#[test]
fn what_is_submitted_during_a_round_of_large_outcomes_is_executed() {
    let machine = SimDisk::new(1);
    let store = Store::<Gate>::open_on(machine.disk(), false).unwrap();
    let first = [store.submit(&(false, 700_000)).unwrap(), store.submit(&(true, 700_000)).unwrap()];
    let leader = std::thread::spawn(move || first.map(|command| command.wait().unwrap().len()));
    INSIDE.wait();
    let later = [1, 2, 3].map(|bytes| store.submit(&(false, bytes)).unwrap());
    LET_GO.wait();
    assert_eq!(leader.join().unwrap(), [700_000, 700_000]);
    assert_eq!(later.map(|command| command.wait().unwrap().len()), [1, 2, 3]);
}

#[test]
fn a_failed_sync_ends_the_store_and_is_never_retried() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    store.execute(1).unwrap();
    machine.fail_next_sync();
    assert!(matches!(store.execute(2), Err(ExecuteError::Failed(_))));
    assert!(matches!(store.execute(3), Err(ExecuteError::Failed(_))));
    machine.power_cut();
    drop(store);
    let found = numbers(&open(&machine));
    assert!(found == [1] || found == [1, 2], "{found:?}");
}

#[test]
fn all_openings_share_one_session() {
    let machine = SimDisk::new(1);
    for opening in 1..=20 {
        let store = open(&machine);
        for _ in 0..3 {
            store.execute(opening * 2).unwrap();
        }
        let sessions = store.group.sessions();
        assert_eq!(sessions, 1, "opening {opening}");
    }
    assert_eq!(numbers(&open(&machine)).len(), 60);
}

#[test]
fn a_full_disk_refuses_commands_and_keeps_the_rest() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    store.execute(0).unwrap();
    machine.fill_up(0);
    let refused = (1..5000).find_map(|number| store.execute(number * 2).err().map(|error| (number, error)));
    let (number, error) = refused.expect("the first segment is full some time");
    assert!(matches!(error, ExecuteError::NoRoom), "{error}");
    assert_eq!(numbers(&store).len() as u64, number, "reads go on, and the refused command changed nothing");
    machine.fill_up(u64::MAX);
    store.execute(2).expect("with room again commands are taken again");
}

#[test]
fn a_store_of_another_type_is_refused() {
    #[derive(Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
    struct Other;
    impl Prevalent for Other {
        type Command = u64;
        type Outcome = ();
        type Rejection = ();
        type Query = ();
        type Answer = ();
        const NAME: &'static str = "other";
        const SCHEMA: Schema = Schema(1);
        fn execute(&mut self, _: u64, _: &Moment<'_>) -> Result<(), ()> {
            Ok(())
        }
        fn answer(&self, (): &()) {}
    }
    let machine = SimDisk::new(1);
    drop(open(&machine));
    let disk: Disk = machine.disk();
    let error = Store::<Other>::open_on(disk, false).unwrap_err().to_string();
    assert!(
        error.contains("belongs to the type of state") && error.contains("nothing was changed"),
        "{error}"
    );
    assert!(numbers(&open(&machine)).is_empty());
}

/// A job that is just handing in its result holds the store, and with it the directory.
#[test]
fn the_directory_is_free_once_the_last_clone_is_dropped() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    let group = Arc::downgrade(&store.group);
    let shared = Arc::downgrade(&**store.group);
    store.group.run_beside(|group| {
        while !group.is_closing() {
            std::thread::yield_now();
        }
    });
    let pending = store.submit(&2).unwrap();
    drop(store);
    assert!(group.upgrade().is_some(), "a pending command holds the store");
    pending.wait().unwrap();
    assert!(shared.upgrade().is_none(), "somebody still holds the directory");
    assert_eq!(numbers(&open(&machine)), [2]);
}

/// A round's end wakes those who wait for room while its thread still leads. If others have taken the room by then,
/// and nobody waits for an answer, those who wait are the only ones who can make room.
#[test]
fn whoever_waits_for_room_is_woken_when_nobody_leads_any_more() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    let pending: Vec<_> = (0..512).map(|number| store.submit(&(2_000 + number * 2)).unwrap()).collect();
    store.group.take_the_lead();
    let (answered, answers) = std::sync::mpsc::channel();
    let other = store.clone();
    let waiting = std::thread::spawn(move || answered.send(other.execute(5_000)).unwrap());
    while store.group.waiting_for_room() == 0 {
        std::thread::yield_now();
    }
    store.group.give_up_the_lead();
    let answer = answers.recv_timeout(std::time::Duration::from_secs(20)).expect("it was woken, and led");
    assert_eq!(answer.unwrap(), 513);
    waiting.join().unwrap();
    assert!(pending.into_iter().all(|pending| pending.wait().is_ok()));
}

/// Of segments and snapshots alike, while the store is open: the disk itself is read.
#[test]
fn a_scrub_finds_what_the_disk_has_spoiled_and_mends_it() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    // Enough for a closed segment, which holds 64 KiB.
    let pending: Vec<_> = (0..500).map(|number| store.submit(&(2_000 + number * 2)).unwrap()).collect();
    assert!(pending.into_iter().all(|pending| pending.wait().is_ok()));
    for number in 0..300 {
        store.execute(10_000 + number * 2).unwrap();
    }
    let found = store.scrub().unwrap();
    assert!(found.bytes > 32 * 1024, "{found:?}");
    assert_eq!((found.frames, found.snapshots), (0, 0));
    let before = numbers(&store);

    let first = machine.disk().list("journal").unwrap().remove(0).name;
    machine.rot(&format!("journal/{first}"), 20_000, 1);
    let found = store.scrub().unwrap();
    assert_eq!((found.frames, found.frames_mended), (1, 1));
    assert_eq!(store.scrub().unwrap().frames, 0, "it was mended");
    drop(store);
    machine.power_cut();
    assert_eq!(numbers(&open(&machine)), before);
}
