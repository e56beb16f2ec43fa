//! Receiving a snapshot from a peer.

mod samples;

use position::{ChainHash, Index, Tip};
use snapshots::{Flaw, HEADER_BYTES, Incoming, Shelf, SnapshotError};
use storage::{SimDisk, Slice};

use crate::samples::{archive_of, head_at, publish};

/// A peer's snapshot file.
fn sent() -> Slice {
    publish(&Shelf::new(SimDisk::new(1).disk()), 50).unwrap().file().clone()
}

fn tip() -> Tip {
    head_at(50).tip
}

/// A machine that has an older snapshot, and the announced one on its way.
fn receiver() -> (SimDisk, Shelf, Incoming) {
    let machine = SimDisk::new(2);
    let shelf = Shelf::new(machine.disk());
    publish(&shelf, 10).unwrap();
    let incoming = shelf.receive(tip(), sent().len() as u64).unwrap();
    (machine, shelf, incoming)
}

/// What is left when it was refused: the older one and no temporary file.
fn check_refused(shelf: &Shelf, result: Result<impl Sized, SnapshotError>, flaw: Flaw) {
    match result {
        Err(SnapshotError::Refused { flaw: found }) => assert_eq!(found, flaw),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted in spite of: {flaw}"),
    }
    let newest = shelf.newest_valid().unwrap();
    assert_eq!((newest.snapshot.unwrap().index(), newest.problems.len()), (Index(10), 0));
}

#[test]
fn chunks_of_any_size_make_the_same_file() {
    let file = sent();
    for size in [1, 100, 512, 513, 4_000] {
        let (machine, shelf, mut incoming) = receiver();
        let mut offset = 0;
        for chunk in file.chunks(size) {
            assert!(!incoming.is_complete());
            offset += chunk.len() as u64;
            assert_eq!(incoming.write(offset - chunk.len() as u64, chunk).unwrap(), offset);
        }
        assert!(incoming.is_complete());
        assert!(shelf.open(Index(50)).is_err(), "not before it is verified");
        let opened = incoming.finish().unwrap();
        assert_eq!((opened.head(), &opened.archive()[..]), (&head_at(50), &archive_of(50)[..]));
        machine.power_cut();
        assert_eq!(Shelf::new(machine.disk()).open(Index(50)).unwrap().file()[..], file[..]);
    }
}

#[test]
fn repeated_and_early_chunks_do_no_harm() {
    let file = sent();
    let (_machine, _shelf, mut incoming) = receiver();
    assert_eq!(incoming.write(600, &file[600..700]).unwrap(), 0, "early ones are not kept");
    assert_eq!(incoming.write(0, &file[..400]).unwrap(), 400);
    assert_eq!(incoming.write(0, &file[..300]).unwrap(), 400, "known ones are not taken again");
    assert_eq!(incoming.write(200, &file[200..700]).unwrap(), 700, "half known");
    assert_eq!(incoming.write(700, &[]).unwrap(), 700);
    assert_eq!(incoming.write(700, &file[700..]).unwrap(), file.len() as u64);
    assert_eq!(incoming.write(3_000, &file[3_000..]).unwrap(), file.len() as u64);
    assert_eq!(incoming.finish().unwrap().file()[..], file[..]);
}

#[test]
fn what_is_not_as_announced_is_refused() {
    let file = sent();
    let bytes = file.len() as u64;

    let (_machine, shelf, mut incoming) = receiver();
    incoming.write(0, &file[..2_000]).unwrap();
    check_refused(&shelf, incoming.finish(), Flaw::Length { expected: bytes, found: 2_000 });

    let (_machine, shelf, mut incoming) = receiver();
    let beyond = incoming.write(bytes - 1, &[1, 2]);
    check_refused(&shelf, beyond, Flaw::Length { expected: bytes, found: bytes + 1 });
    check_refused(&shelf, incoming.write(u64::MAX, &[1]), Flaw::Length { expected: bytes, found: u64::MAX });

    let (_machine, shelf, _) = receiver();
    let other = Tip { hash: ChainHash([1; 32]), ..tip() };
    let mut incoming = shelf.receive(other, bytes).unwrap();
    incoming.write(0, &file[..HEADER_BYTES - 1]).unwrap();
    let early = incoming.write(HEADER_BYTES as u64 - 1, &file[HEADER_BYTES - 1..]);
    check_refused(&shelf, early, Flaw::OtherHistory { expected: other.into(), found: tip().into() });

    let (_machine, shelf, _) = receiver();
    let mut incoming = shelf.receive(tip(), bytes + 1).unwrap();
    let longer = incoming.write(0, &file);
    check_refused(&shelf, longer, Flaw::Length { expected: bytes + 1, found: bytes });
}

#[test]
fn damage_on_the_way_is_noticed() {
    let file = sent();
    for offset in (0..file.len()).step_by(37) {
        let mut damaged = file.to_vec();
        damaged[offset] ^= 0x10;
        let (_machine, shelf, mut incoming) = receiver();
        let result = incoming.write(0, &damaged).and_then(|_| incoming.finish());
        assert!(matches!(result, Err(SnapshotError::Refused { .. })), "byte {offset}: {result:?}");
        assert_eq!(shelf.list().unwrap().len(), 1);
    }
}

#[test]
fn one_that_does_not_fit_is_not_begun() {
    let (machine, shelf, incoming) = receiver();
    drop(incoming);
    machine.fill_up(3_000);
    assert!(shelf.receive(tip(), 3_001).is_err());
    assert!(shelf.receive(tip(), 3_000).is_ok());
    assert_eq!(machine.disk().free_bytes().unwrap(), 3_000);
}

#[test]
fn a_power_cut_while_receiving_leaves_the_older_one() {
    let file = sent();
    for seed in 0..30 {
        for failing_sync in 0..3 {
            let machine = SimDisk::new(seed);
            let shelf = Shelf::new(machine.disk());
            publish(&shelf, 10).unwrap();
            let mut incoming = shelf.receive(tip(), file.len() as u64).unwrap();
            incoming.write(0, &file).unwrap();
            machine.fail_sync_after(failing_sync);
            let done = incoming.finish().is_ok();
            machine.power_cut();
            let newest = Shelf::new(machine.disk()).newest_valid().unwrap();
            assert!(newest.problems.is_empty(), "seed {seed}");
            let index = newest.snapshot.expect("a valid one").index();
            assert!(index == Index(50) || (!done && index == Index(10)), "seed {seed}");
        }
    }
}
