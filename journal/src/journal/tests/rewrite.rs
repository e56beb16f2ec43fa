//! A sync fails, the process ends, the power stays on: the next process finds everything in the cache.

use position::{Index, Tail};

use super::super::{Journal, Recovered};
use super::rig::{Filling, PLAIN, Rig, TAG};
use crate::segment::SegmentHeader;

const SEEDS: u64 = 200;
const LARGE: Filling = Filling { entries: 2, payload_bytes: 1400, byte: 7 };

/// What became of the frames whose sync had failed.
#[derive(Debug, Default)]
struct Seen {
    /// The next process found all of them.
    all: u32,
    /// It found some of them, or parts.
    some: u32,
}

/// A process makes frames durable, writes more, and its sync fails. The next one opens the journal. Whatever that
/// takes for its own must be on the disk: `end` says what happens then.
fn check(written: &[Filling], before: impl Fn(&mut Rig), end: impl Fn(&mut Rig)) -> Seen {
    let mut seen = Seen::default();
    for seed in 0..SEEDS {
        let mut rig = Rig::with_frames(seed, 3);
        before(&mut rig);
        written.iter().for_each(|filling| rig.append(*filling).unwrap());
        rig.machine.fail_sync_after(seed % 3);
        let result = rig.sync();
        if result.is_ok() {
            continue;
        }
        rig.machine.crash();
        end(&mut rig);
        let recovered = rig.open();
        let found = recovered.journal.last().index();
        assert!(found >= rig.model.durable, "seed {seed}: what was durable is gone");
        assert_eq!(recovered.journal.durable().index(), found);
        match found == rig.model.last().index() {
            true => seen.all += 1,
            false => seen.some += 1,
        }
        rig.take(recovered);
        check_that_it_is_on_the_disk(&mut rig, seed);
    }
    seen
}

/// Nothing is synced any more: a power cut must not take anything.
fn check_that_it_is_on_the_disk(rig: &mut Rig, seed: u64) {
    let known = rig.model.last().index();
    let recovered = rig.power_cut();
    let left = recovered.journal.last().index();
    assert!(
        left >= known,
        "seed {seed}: {known} was taken for durable, {left} is left; {:?}",
        recovered.tail
    );
    assert_eq!(rig.model.misfit(&recovered.journal), None, "seed {seed}");
}

fn nothing(_: &mut Rig) {}

#[test]
fn what_a_failed_sync_left_in_the_cache_is_on_the_disk_before_it_counts() {
    let seen = check(&[PLAIN, PLAIN, LARGE], nothing, nothing);
    assert!(seen.all > 20 && seen.some > 10, "{seen:?}");
}

#[test]
fn frames_in_several_segments_are_written_again() {
    let seen = check(&[LARGE; 12], nothing, nothing);
    assert!(seen.all > 20 && seen.some > 20, "{seen:?}");
}

#[test]
fn a_header_whose_sync_failed_is_written_again() {
    let mut resumed = 0;
    for seed in 0..SEEDS {
        let mut rig = Rig::with_frames(seed, 3);
        // The cut begins a generation, of which the file holds a header only.
        rig.cut_after(Index(2)).unwrap();
        rig.machine.fail_next_sync();
        rig.sync().unwrap_err();
        let recovered = rig.crash();
        let active = recovered.journal.active.as_ref().expect("nothing is in doubt").name;
        resumed += u32::from(active.first == Index(3));
        drop(recovered);
        rig.machine.power_cut();
        let file = rig.machine.bytes_of(&active.to_string()).expect("it has its name");
        assert!(SegmentHeader::decode(&file).is_ok(), "seed {seed}: {active} has lost its header");
    }
    assert!(resumed > 20, "{resumed}");
}

/// The mark is of before the cut, and names a frame that was cut.
#[test]
fn a_mark_from_before_a_cut_vouches_for_nothing_behind_the_cut() {
    let cut = |rig: &mut Rig| rig.cut_after(Index(1)).unwrap();
    // More than a page, so that writing the frame behind it again does not reach its header.
    let entries_2_and_3 = Filling { entries: 2, payload_bytes: 2_200, byte: 7 };
    let seen = check(&[entries_2_and_3, PLAIN], cut, nothing);
    assert!(seen.all > 20, "{seen:?}");
}

#[test]
fn without_a_mark_the_newest_segments_are_written_again() {
    let lose_the_mark = |rig: &mut Rig| rig.machine.disk().remove("mark").unwrap();
    let seen = check(&[LARGE; 2], nothing, lose_the_mark);
    assert!(seen.all > 20 && seen.some > 10, "{seen:?}");
}

/// The sync that follows the writing again fails too, several times over.
#[test]
fn a_second_failure_changes_nothing() {
    let fail_again = |rig: &mut Rig| {
        for successes in 0..4 {
            rig.machine.fail_sync_after(successes);
            drop(Journal::open(rig.machine.disk(), TAG, None));
            rig.machine.crash();
        }
    };
    let seen = check(&[PLAIN, LARGE, LARGE, LARGE], nothing, fail_again);
    assert!(seen.all > 5 && seen.some > 20, "{seen:?}");
}

/// The power goes at each sync of the opening. What was durable stays, and the journal is legal.
#[test]
fn a_power_cut_while_frames_are_written_again_loses_nothing_that_was_durable() {
    for successes in 0..8 {
        let cut_the_power = |rig: &mut Rig| {
            rig.machine.fail_sync_after(successes);
            drop(Journal::open(rig.machine.disk(), TAG, None));
            rig.machine.power_cut();
        };
        check(&[PLAIN, LARGE, LARGE], nothing, cut_the_power);
    }
}

/// The system fails to write back what a killed process left, and tells nobody.
#[test]
fn a_writeback_that_failed_unseen_is_made_good() {
    let mut found = 0;
    for seed in 0..SEEDS {
        let mut rig = Rig::with_frames(seed, 3);
        [PLAIN, LARGE, LARGE].into_iter().for_each(|filling| rig.append(filling).unwrap());
        let files = rig.machine.files().into_iter().filter(|file| file.name.ends_with(".journal"));
        files.for_each(|file| rig.machine.fail_writeback(&file.name));
        let recovered = rig.crash();
        found += u32::from(recovered.journal.last() == rig.model.last());
        rig.take(recovered);
        check_that_it_is_on_the_disk(&mut rig, seed);
    }
    assert!(found > 20, "{found}");
}

/// The end is in doubt, and stays so with its evidence. The good frames before it count all the same.
#[test]
fn good_frames_before_a_doubt_are_written_again_and_the_doubt_stays() {
    let mut doubts = 0;
    for seed in 0..SEEDS {
        let mut rig = Rig::with_frames(seed, 3);
        [PLAIN, PLAIN, PLAIN].into_iter().for_each(|filling| rig.append(filling).unwrap());
        rig.machine.fail_next_sync();
        rig.sync().unwrap_err();
        // A byte in the middle of the newest frame.
        let segments = rig.machine.files().into_iter().filter(|file| file.name.ends_with(".journal"));
        let last_byte = |name: &str| rig.machine.bytes_of(name).unwrap().iter().rposition(|byte| *byte != 0);
        let mut written = segments.filter_map(|file| last_byte(&file.name).map(|end| (file.name, end)));
        let (file, end) = written.next_back().unwrap();
        rig.machine.rot(&file, end as u64 - 200, 0x40);
        let recovered = rig.crash();
        let (found, tail) = (recovered.journal.last().index(), recovered.tail);
        if !matches!(tail, Tail::Uncertain { .. }) || found <= Index(3) {
            continue;
        }
        doubts += 1;
        let Recovered { journal, .. } = recovered;
        drop(journal);
        rig.machine.power_cut();
        let after = rig.open();
        assert_eq!(after.journal.last().index(), found, "seed {seed}");
    }
    assert!(doubts > 10, "{doubts}");
}

/// Ends of a process without the power going, over a whole life: rolls, cuts, resets.
#[test]
fn whoever_comes_after_many_failures_relies_on_nothing_that_is_not_on_the_disk() {
    for seed in 0..SEEDS {
        let mut rig = Rig::with_frames(seed, 2);
        for round in 0..6 {
            let filling = if round % 2 == 0 { LARGE } else { PLAIN };
            rig.machine.fail_sync_after((seed + round) % 4);
            let mut go_on = || {
                (0..=(seed + round) % 5).try_for_each(|_| rig.append(filling))?;
                rig.sync()
            };
            if go_on().is_err() {
                let recovered = rig.crash();
                rig.take(recovered);
            }
        }
        check_that_it_is_on_the_disk(&mut rig, seed);
    }
}
