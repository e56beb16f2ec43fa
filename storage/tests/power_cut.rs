//! What is left after a power cut, at every sync and for many subsets of what was not synced.

use std::collections::BTreeSet;
use std::io::Write;

use storage::{Disk, DiskError, SimDisk};

const SECTOR: usize = 512;
const SEEDS: u64 = 120;

/// More syncs than any operation here makes.
const SYNCS_MAX: u64 = 8;

/// Performs `change` after `prepare` with the power cut at each of its syncs and after it, under many seeds,
/// and hands `judge` the disk after the restart, with whether the change had been reported as done.
/// What `judge` returns is collected: outcomes that must be possible, or the model is too kind.
fn check<T: Ord>(
    prepare: impl Fn(&Disk),
    change: impl Fn(&Disk) -> Result<(), DiskError>,
    judge: impl Fn(&Disk, bool) -> T,
) -> BTreeSet<T> {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        for failing_sync in 0..SYNCS_MAX {
            let machine = SimDisk::new(seed);
            prepare(&machine.disk());
            machine.fail_sync_after(failing_sync);
            let done = change(&machine.disk()).is_ok();
            machine.power_cut();
            outcomes.insert(judge(&machine.disk(), done));
        }
    }
    outcomes
}

#[test]
fn a_replaced_file_is_old_or_new() {
    let outcomes = check(
        |disk| disk.replace("a/config", &[b'o'; 2_000]).unwrap(),
        |disk| disk.replace("a/config", &[b'n'; 1_500]),
        |disk, done| {
            let bytes = disk.read("a/config", 2_000).unwrap().expect("it is there");
            let is_new = bytes == [b'n'; 1_500];
            assert!(is_new || bytes == [b'o'; 2_000], "a mixture");
            assert!(is_new || !done, "reported as done and lost");
            assert_eq!(disk.list("a").unwrap().len(), 1, "a temporary file was left");
            (is_new, done)
        },
    );
    assert_eq!(outcomes, BTreeSet::from([(false, false), (true, false), (true, true)]));
}

#[test]
fn a_file_that_was_overwritten_keeps_its_name() {
    let outcomes = check(
        |_| {},
        |disk| disk.overwrite("meta.0", &[7; 600]),
        |disk, done| {
            let bytes = disk.read("meta.0", 600).unwrap();
            assert!(!done || bytes == Some(vec![7; 600]), "reported as done and lost");
            (bytes.is_some(), done)
        },
    );
    assert_eq!(outcomes, BTreeSet::from([(false, false), (true, false), (true, true)]));
}

#[test]
fn overwriting_can_leave_any_mixture_of_sectors() {
    let outcomes = check(
        |disk| disk.overwrite("meta.0", &[b'o'; 2 * SECTOR]).unwrap(),
        |disk| disk.overwrite("meta.0", &[b'n'; 2 * SECTOR]),
        |disk, done| {
            let bytes = disk.read("meta.0", 2_000).unwrap().unwrap();
            (bytes[0], bytes[SECTOR], done)
        },
    );
    let mixtures = [(b'o', b'o'), (b'o', b'n'), (b'n', b'o'), (b'n', b'n')];
    for (first, second) in mixtures {
        assert!(outcomes.contains(&(first, second, false)));
    }
    assert_eq!(outcomes.iter().filter(|(_, _, done)| *done).collect::<Vec<_>>(), [&(b'n', b'n', true)]);
}

#[test]
fn a_note_may_be_lost() {
    let outcomes = check(
        |disk| disk.overwrite("mark", b"1").unwrap(),
        |disk| disk.note("mark", b"2"),
        |disk, done| (done, disk.read("mark", 1).unwrap().unwrap()),
    );
    assert_eq!(outcomes, BTreeSet::from([(true, b"1".to_vec()), (true, b"2".to_vec())]));
}

#[test]
fn a_removed_file_may_come_back_whole() {
    let outcomes = check(
        |disk| disk.replace("journal/a", &[1; 1_000]).unwrap(),
        |disk| disk.remove("journal/a"),
        |disk, _| {
            let bytes = disk.read("journal/a", 1_000).unwrap();
            assert!(bytes.as_ref().is_none_or(|bytes| *bytes == [1; 1_000]));
            bytes.is_some()
        },
    );
    assert_eq!(outcomes, BTreeSet::from([false, true]));
}

#[test]
fn a_new_segment_is_complete_or_absent() {
    for with_spare in [false, true] {
        let outcomes = check(
            |disk| {
                if with_spare {
                    disk.prepare_segment(10_000).unwrap();
                }
            },
            |disk| disk.create_segment("journal/a", 10_000).map(drop),
            |disk, done| {
                let bytes = disk.read("journal/a", 10_000).unwrap();
                assert!(!done || bytes.is_some(), "reported as done and lost");
                assert!(bytes.as_ref().is_none_or(|bytes| *bytes == [0; 10_000]), "incomplete");
                assert_eq!(disk.list("").unwrap(), [], "the spare was left");
                (bytes.is_some(), done)
            },
        );
        assert_eq!(outcomes, BTreeSet::from([(false, false), (true, false), (true, true)]));
    }
}

#[test]
fn a_begun_segment_is_nowhere_until_it_is_synced() {
    let outcomes = check(
        |_| {},
        |disk| {
            disk.prepare_segment(1_024)?;
            let mut segment = disk.begin_segment("journal/a", 1_024)?.expect("there is a spare");
            segment.append(&[7; 600])?;
            segment.flusher().sync().map(drop)
        },
        |disk, done| {
            let bytes = disk.read("journal/a", 1_024).unwrap();
            assert!(!done || bytes.as_ref().is_some_and(|bytes| bytes[..600] == [7; 600]), "synced and lost");
            assert_eq!(disk.list("").unwrap(), [], "the spare was left");
            (bytes.is_some_and(|bytes| bytes[0] == 7), done)
        },
    );
    assert_eq!(outcomes, BTreeSet::from([(false, false), (true, false), (true, true)]));
}

#[test]
fn a_staged_file_is_complete_or_absent() {
    check(
        |_| {},
        |disk| {
            let mut stage = disk.stage("snapshots/1")?;
            stage.write_all(&[0; 600]).unwrap();
            stage.write_all(&[2; 5_000]).unwrap();
            stage.write_at(0, &[1; 600]).unwrap();
            stage.publish()
        },
        |disk, done| {
            let file = disk.map("snapshots/1").unwrap();
            assert!(!done || file.is_some(), "reported as done and lost");
            if let Some(file) = file {
                assert!(file[..600] == [1; 600] && file[600..] == [2; 5_000], "incomplete");
            }
        },
    );
}

#[test]
fn synced_bytes_stay_and_later_ones_survive_in_any_subset() {
    let outcomes = check(
        |disk| drop(disk.create_segment("journal/a", 8_192).unwrap()),
        |disk| {
            let mut segment = disk.open_segment("journal/a")?;
            segment.resume(0)?;
            segment.append(&[1; 700])?;
            let synced = segment.flusher().sync();
            if synced.is_ok() {
                segment.append(&[2; 100])?;
                segment.flusher().write()?;
                segment.append(&[3; 2_000])?;
                segment.flusher().write()?;
            }
            synced.map(drop)
        },
        |disk, synced| {
            let bytes = disk.read("journal/a", 8_192).unwrap().unwrap();
            assert!(!synced || bytes[..700] == [1; 700], "synced and lost");
            (synced, bytes[0], bytes[700], bytes[800], bytes[1_500], bytes[2_600])
        },
    );
    let seen = |outcome| assert!(outcomes.contains(&outcome), "never seen: {outcome:?}");
    seen((true, 1, 0, 0, 0, 0));
    seen((true, 1, 2, 3, 3, 3));
    // A later sector without the earlier ones, and a sector as it was between two appends.
    seen((true, 1, 0, 0, 0, 3));
    seen((true, 1, 2, 0, 0, 0));
    seen((false, 0, 0, 0, 0, 0));
    seen((false, 1, 0, 0, 0, 0));
}

#[test]
fn what_a_dead_process_wrote_is_made_durable_by_the_next() {
    for seed in 0..SEEDS {
        let machine = SimDisk::new(seed);
        drop(machine.disk().create_segment("journal/a", 1_000).unwrap());
        machine.disk().note("journal/note", b"").unwrap();
        let mut segment = machine.disk().open_segment("journal/a").unwrap();
        segment.resume(0).unwrap();
        segment.append(b"never synced").unwrap();
        segment.flusher().write().unwrap();
        segment.append(b"never written").unwrap();

        machine.crash();
        let segment = machine.disk().open_segment("journal/a").unwrap();
        assert_eq!(&segment.slice(0..14)[..], b"never synced\0\0");
        segment.flusher().sync().unwrap();

        machine.power_cut();
        assert_eq!(machine.bytes_of("journal/a").unwrap()[..12], *b"never synced");
        assert_eq!(machine.bytes_of("journal/note").unwrap(), b"", "the name of a dead process's file");
    }
}
