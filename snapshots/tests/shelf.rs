//! Which snapshots are kept, which one is found, and what a power cut leaves.

mod samples;

use std::collections::BTreeSet;
use std::io::Write;

use position::Index;
use snapshots::{Flaw, KEPT, Shelf, SnapshotError};
use storage::{DiskError, SimDisk};

use crate::samples::{archive_of, head_at, publish};

fn indexes(shelf: &Shelf) -> Vec<u64> {
    shelf.list().unwrap().into_iter().map(|listed| listed.index.0).collect()
}

fn name(index: u64) -> String {
    format!("snapshots/{index:020}.snapshot")
}

#[test]
fn the_newest_three_are_kept() {
    let shelf = Shelf::new(SimDisk::new(1).disk());
    for index in [10, 20, 30, 40, 50] {
        let opened = publish(&shelf, index).unwrap();
        assert_eq!((opened.index(), &opened.archive()[..]), (Index(index), &archive_of(index)[..]));
    }
    assert_eq!(indexes(&shelf), [50, 40, 30]);
    assert_eq!(KEPT, 3);
    assert_eq!(shelf.open(Index(30)).unwrap().head(), &head_at(30));
    assert!(matches!(shelf.open(Index(20)), Err(SnapshotError::Missing { index: Index(20) })));
}

#[test]
fn bad_ones_are_passed_over_and_reported() {
    let machine = SimDisk::new(1);
    let shelf = Shelf::new(machine.disk());
    for index in [10, 20, 30] {
        publish(&shelf, index).unwrap();
    }
    machine.rot(&name(30), 600, 1);
    machine.zero_sector(&name(20), 0);
    let newest = shelf.newest_valid().unwrap();
    assert_eq!(newest.snapshot.unwrap().index(), Index(10));
    let flaws = newest.problems.into_iter().map(|problem| match problem.error {
        SnapshotError::Flawed { flaw, .. } => (problem.index.0, flaw),
        other => panic!("{other}"),
    });
    assert_eq!(flaws.collect::<Vec<_>>(), [(30, Flaw::Archive), (20, Flaw::Magic)]);
    assert_eq!(indexes(&shelf), [30, 20, 10], "nothing is removed by looking");
}

#[test]
fn bad_ones_do_not_push_out_good_ones() {
    let machine = SimDisk::new(1);
    let shelf = Shelf::new(machine.disk());
    publish(&shelf, 10).unwrap();
    publish(&shelf, 20).unwrap();
    machine.zero_sector(&name(20), 0);
    publish(&shelf, 30).unwrap();
    machine.disk().replace(&name(35), b"too short").unwrap();
    publish(&shelf, 40).unwrap();
    assert_eq!(indexes(&shelf), [40, 35, 30, 20, 10]);
    publish(&shelf, 50).unwrap();
    assert_eq!(indexes(&shelf), [50, 40, 35, 30], "three newer good ones, and what lies between them");
}

#[test]
fn a_snapshot_under_another_name_is_none() {
    let machine = SimDisk::new(1);
    let shelf = Shelf::new(machine.disk());
    publish(&shelf, 10).unwrap();
    let bytes = machine.bytes_of(&name(10)).unwrap();
    machine.disk().replace(&name(11), &bytes).unwrap();
    let error = shelf.open(Index(11)).unwrap_err();
    let SnapshotError::Flawed { flaw, name } = &error else { panic!("{error}") };
    assert_eq!(*flaw, Flaw::OtherPosition { expected: Index(11), found: Index(10) });
    assert!(error.to_string().contains(name.as_str()), "{error}");

    for stranger in
        ["11.snapshot", "0000000000000000001x.snapshot", "notes.txt", "+0000000000000000012.snapshot"]
    {
        machine.disk().replace(&format!("snapshots/{stranger}"), &bytes).unwrap();
    }
    assert_eq!(indexes(&shelf), [11, 10], "other files are left alone");
}

#[test]
fn an_archive_may_come_in_pieces_of_any_size() {
    let shelf = Shelf::new(SimDisk::new(1).disk());
    let archive: Vec<u8> = (0..700_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    for (index, piece) in [(1, 1_000_000), (2, 7_777), (3, 256 * 1024)] {
        let mut writer = shelf.begin(head_at(index)).unwrap();
        for part in archive.chunks(piece) {
            writer.write_all(part).unwrap();
        }
        assert_eq!(writer.archive_bytes(), 700_000);
        let opened = writer.finish().unwrap();
        assert_eq!(opened.archive()[..], archive);
        assert_eq!(opened.archive_hash(), *blake3::hash(&archive).as_bytes());
    }
    let empty = shelf.begin(head_at(4)).unwrap().finish().unwrap();
    assert!(empty.archive().is_empty());
}

#[test]
fn an_unfinished_one_leaves_nothing() {
    let machine = SimDisk::new(1);
    let shelf = Shelf::new(machine.disk());
    publish(&shelf, 10).unwrap();
    let mut writer = shelf.begin(head_at(20)).unwrap();
    writer.write_all(&[1; 600_000]).unwrap();
    drop(writer);
    assert_eq!(indexes(&shelf), [10]);

    let mut writer = shelf.begin(head_at(20)).unwrap();
    writer.write_all(&[1; 600_000]).unwrap();
    machine.crash();
    assert!(writer.finish().is_err());
    let shelf = Shelf::new(machine.disk());
    assert_eq!(indexes(&shelf), [10]);
    publish(&shelf, 20).unwrap();
}

#[test]
fn a_full_disk_leaves_the_earlier_ones() {
    let machine = SimDisk::new(1);
    let shelf = Shelf::new(machine.disk());
    for index in [10, 20, 30] {
        publish(&shelf, index).unwrap();
    }
    machine.fill_up(1_000);
    let mut writer = shelf.begin(head_at(40)).unwrap();
    let error = writer.write_all(&[1; 1_000_000]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    drop(writer);
    assert_eq!(indexes(&shelf), [30, 20, 10]);
    assert_eq!(machine.disk().free_bytes().unwrap(), 1_000);
}

/// The power is cut at each sync of the fourth snapshot, and after it.
#[test]
fn a_power_cut_at_any_step_leaves_a_valid_snapshot() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..40 {
        for failing_sync in 0..4 {
            let machine = SimDisk::new(seed);
            let shelf = Shelf::new(machine.disk());
            for index in [10, 20, 30] {
                publish(&shelf, index).unwrap();
            }
            machine.fail_sync_after(failing_sync);
            let done = publish(&shelf, 40).is_ok();
            machine.power_cut();

            let shelf = Shelf::new(machine.disk());
            let newest = shelf.newest_valid().unwrap();
            assert!(newest.problems.is_empty(), "seed {seed}: {:?}", newest.problems);
            let index = newest.snapshot.expect("a valid one").index().0;
            assert!(index == 40 || !done, "seed {seed}: finished and lost");
            assert!(indexes(&shelf).len() >= 3, "seed {seed}: an old one went too early");
            assert!(indexes(&shelf).iter().all(|index| shelf.open(Index(*index)).is_ok()), "seed {seed}");
            outcomes.insert((done, index));
        }
    }
    assert_eq!(outcomes, BTreeSet::from([(false, 30), (false, 40), (true, 40)]));
}

/// A disk that lies can tear the newest snapshot, and even lose the removed ones at the same time; there is
/// still an older one, and nothing torn is ever used.
#[test]
fn a_torn_snapshot_is_passed_over() {
    let mut torn = 0;
    for seed in 0..200 {
        let machine = SimDisk::new(seed);
        let shelf = Shelf::new(machine.disk());
        for index in [10, 20] {
            publish(&shelf, index).unwrap();
        }
        machine.lie_about_syncs(1);
        publish(&shelf, 30).unwrap();
        machine.power_cut();
        let newest = Shelf::new(machine.disk()).newest_valid().unwrap();
        let opened = newest.snapshot.expect("an older one");
        assert_eq!(opened.archive()[..], archive_of(opened.index().0));
        torn += newest.problems.len();
    }
    assert!(torn > 0, "no seed tore the file");
}

#[test]
fn a_failed_sync_is_fatal_and_keeps_the_earlier_ones() {
    let machine = SimDisk::new(1);
    let shelf = Shelf::new(machine.disk());
    publish(&shelf, 10).unwrap();
    machine.fail_next_sync();
    assert!(matches!(publish(&shelf, 20), Err(SnapshotError::Disk(DiskError::Io { .. }))));
    assert!(matches!(publish(&shelf, 20), Err(SnapshotError::Disk(DiskError::Poisoned { .. }))));
    assert_eq!(shelf.newest_valid().unwrap().snapshot.unwrap().index(), Index(10));
}

#[test]
fn a_real_disk_keeps_them_too() {
    let folder = tempfile::tempdir().unwrap();
    let open = || storage::Disk::open(folder.path()).unwrap();
    let shelf = Shelf::new(open());
    for index in [10, 20, 30, 40] {
        publish(&shelf, index).unwrap();
    }
    drop(shelf);
    let shelf = Shelf::new(open());
    assert_eq!(indexes(&shelf), [40, 30, 20]);
    assert_eq!(shelf.newest_valid().unwrap().snapshot.unwrap().archive()[..], archive_of(40));
}
