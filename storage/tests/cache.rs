//! What the cache of a simulated machine keeps when only a process ends, and damage below it.

use std::collections::BTreeSet;

use storage::{Damage, Disk, SimDisk, StuckSync};

const PAGE: usize = 4096;
const SECTOR: usize = 512;
const SEEDS: u64 = 60;

/// A file of three pages, durable and full of `old`.
fn three_pages(machine: &SimDisk) -> Disk {
    let disk = machine.disk();
    disk.replace("file", &[b'o'; 3 * PAGE]).unwrap();
    disk
}

/// The first byte of each page.
fn pages(machine: &SimDisk) -> String {
    let bytes = machine.bytes_of("file").unwrap();
    bytes.chunks(PAGE).map(|page| char::from(page[0])).collect()
}

#[test]
fn a_failed_sync_is_forgotten_by_the_next_process() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let machine = SimDisk::new(seed);
        let disk = three_pages(&machine);
        machine.fail_next_sync();
        disk.overwrite("file", &[b'n'; 3 * PAGE]).unwrap_err();
        assert_eq!(pages(&machine), "nnn", "all of it is in the cache");
        machine.crash();
        let read = pages(&machine);
        // The next process syncs what it reads, successfully, and gains nothing.
        machine.disk().open_segment("file").unwrap().flusher().sync().unwrap();
        machine.power_cut();
        outcomes.insert((read, pages(&machine)));
    }
    let seen = |read: &str, left: &str| {
        assert!(outcomes.contains(&(read.into(), left.into())), "never seen: {read} {left}: {outcomes:?}");
    };
    seen("nnn", "nnn");
    seen("nnn", "ooo");
    // The cache may have let go of what it took for clean.
    seen("ooo", "ooo");
    assert!(outcomes.iter().any(|(read, _)| read != "nnn" && read != "ooo"), "{outcomes:?}");
}

#[test]
fn a_page_that_was_dropped_is_written_once_any_byte_of_it_is() {
    let mut healed = 0;
    for seed in 0..SEEDS {
        let machine = SimDisk::new(seed);
        three_pages(&machine);
        machine.disk().note("file", &[b'n'; 3 * PAGE]).unwrap();
        machine.fail_writeback("file");
        machine.crash();
        if pages(&machine) != "nnn" {
            continue;
        }
        // The same bytes as before: what counts is that they are written.
        machine.disk().note("file", &[b'n'; 3 * PAGE]).unwrap();
        machine.disk().open_segment("file").unwrap().flusher().sync().unwrap();
        machine.power_cut();
        assert_eq!(pages(&machine), "nnn");
        healed += 1;
    }
    assert!(healed > 10, "{healed}");
}

#[test]
fn a_name_whose_sync_failed_is_made_durable_by_the_next_process() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let machine = SimDisk::new(seed);
        machine.disk().replace("folder/old", b"1").unwrap();
        // The first sync is the file's, the second its folder's.
        machine.fail_sync_after(1);
        machine.disk().replace("folder/new", b"2").unwrap_err();
        machine.crash();
        let read = machine.disk().list("folder").unwrap().len();
        machine.power_cut();
        let left = machine.disk().list("folder").unwrap().len();
        assert_eq!(read, left, "a process relies on what it sees");
        outcomes.insert(left);
    }
    assert_eq!(outcomes, BTreeSet::from([1, 2]));
}

#[test]
fn files_can_be_damaged_at_rest() {
    let machine = SimDisk::new(1);
    let disk = machine.disk();
    disk.replace("a", &[1; 3 * SECTOR]).unwrap();
    let copy = machine.copy_of("a").unwrap();
    disk.overwrite("a", &[2; 3 * SECTOR]).unwrap();

    let check = |damage: Damage, expected: Option<[u8; 3]>| {
        disk.replace("a", &[1; 3 * SECTOR]).unwrap();
        disk.overwrite("a", &[[2; SECTOR], [3; SECTOR], [4; SECTOR]].concat()).unwrap();
        assert!(machine.damage("a", &damage), "{damage:?} changes nothing");
        let firsts = |bytes: Vec<u8>| [bytes[0], bytes[SECTOR], bytes[2 * SECTOR]];
        assert_eq!(machine.bytes_of("a").map(firsts), expected, "{damage:?}");
        assert_eq!(disk.read("a", 10_000).unwrap().map(firsts), expected, "{damage:?}");
        assert_eq!(disk.list("").unwrap().len(), usize::from(expected.is_some()));
    };
    check(Damage::Flipped { offset: 0, xor: 0x10 }, Some([0x12, 3, 4]));
    check(Damage::Zeroed { sector: 1 }, Some([2, 0, 4]));
    check(Damage::Lost { sector: 2 }, Some([2, 3, 1]));
    check(Damage::Misdirected { from: 0, to: 2 }, Some([1, 3, 2]));
    check(Damage::Stale(copy.clone()), Some([1, 1, 1]));
    check(Damage::Deleted, None);
    assert!(machine.damage("a", &Damage::Stale(copy)), "a file that is gone comes back");
    assert_eq!(machine.bytes_of("a").unwrap(), [1; 3 * SECTOR]);

    assert!(machine.damage("a", &Damage::Resized { bytes: 600 }));
    assert!(machine.damage("a", &Damage::Resized { bytes: 1_200 }));
    assert_eq!(machine.bytes_of("a").unwrap(), [vec![1; 600], vec![0; 600]].concat());
    let files: Vec<_> = machine.files().into_iter().map(|file| (file.name, file.bytes)).collect();
    assert_eq!(files, [("a".to_string(), 1_200)]);
    machine.power_cut();
    assert_eq!(machine.bytes_of("a").unwrap(), [vec![1; 600], vec![0; 600]].concat(), "at rest");
}

#[test]
fn damage_to_what_is_not_there_changes_nothing() {
    let machine = SimDisk::new(1);
    machine.disk().replace("a", &[1; 600]).unwrap();
    let copy = machine.copy_of("a").unwrap();
    let nothing = [
        Damage::Flipped { offset: 600, xor: 1 },
        Damage::Flipped { offset: 0, xor: 0 },
        Damage::Zeroed { sector: 2 },
        Damage::Misdirected { from: 1, to: 1 },
        Damage::Misdirected { from: 0, to: 2 },
        Damage::Resized { bytes: 600 },
        Damage::Stale(copy),
    ];
    for damage in nothing {
        assert!(!machine.damage("a", &damage), "{damage:?}");
        assert_eq!(machine.bytes_of("a").unwrap(), [1; 600], "{damage:?}");
    }
    assert!(!machine.damage("b", &Damage::Deleted));
    assert!(!machine.damage("b", &Damage::Zeroed { sector: 0 }));
    assert!(machine.copy_of("b").is_none());
}

#[test]
fn damage_under_the_cache_shows_after_a_power_cut_unless_the_page_is_written() {
    for written_to in [false, true] {
        let machine = SimDisk::new(1);
        three_pages(&machine);
        let damages = [Damage::Flipped { offset: 0, xor: b'o' ^ b'x' }, Damage::Zeroed { sector: 8 }];
        for damage in &damages {
            assert!(machine.damage_under_the_cache("file", damage));
        }
        assert_eq!(pages(&machine), "ooo");
        if written_to {
            machine.disk().overwrite("file", &[b'o'; 3 * PAGE]).unwrap();
        } else {
            machine.disk().open_segment("file").unwrap().flusher().sync().unwrap();
        }
        machine.power_cut();
        assert_eq!(pages(&machine), if written_to { "ooo" } else { "x\0o" });
    }
}

#[test]
fn a_stuck_sync_returns_when_the_disk_answers() {
    let machine = SimDisk::new(1);
    let disk = machine.disk();
    machine.stick_syncs(StuckSync::Waits);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| disk.overwrite("file", b"x"));
        while machine.stuck_syncs() == 0 {
            std::thread::yield_now();
        }
        assert!(machine.is_stuck() && !writer.is_finished());
        machine.answer_syncs();
        writer.join().unwrap().unwrap();
    });
    machine.power_cut();
    assert_eq!(machine.bytes_of("file").unwrap(), b"x");
}

#[test]
fn a_process_that_waits_for_a_stuck_sync_can_be_killed() {
    let machine = SimDisk::new(1);
    let disk = machine.disk();
    machine.stick_syncs(StuckSync::Waits);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| disk.overwrite("file", b"x"));
        while machine.stuck_syncs() == 0 {
            std::thread::yield_now();
        }
        machine.crash();
        writer.join().unwrap().unwrap_err();
    });
    machine.disk().overwrite("file", b"y").unwrap();
}

#[test]
fn a_simulation_counts_syncs_that_would_wait() {
    let machine = SimDisk::new(1);
    machine.stick_syncs(StuckSync::Counts);
    machine.disk().overwrite("file", b"x").unwrap();
    let met = machine.stuck_syncs();
    assert_eq!(met, 2, "the file's and the folder's");
    machine.answer_syncs();
    machine.disk().overwrite("file", b"y").unwrap();
    assert_eq!((machine.stuck_syncs(), machine.is_stuck()), (met, false));
}

#[test]
fn reads_past_the_cache_see_what_the_disk_holds() {
    let machine = SimDisk::new(1);
    let disk = three_pages(&machine);
    assert!(machine.damage_under_the_cache("file", &Damage::Flipped { offset: 5_000, xor: 1 }));
    let mut found = vec![0; 3 * PAGE];
    disk.open_uncached("file").unwrap().unwrap().read_at(0, &mut found).unwrap();
    assert_eq!(found[5_000], b'o' ^ 1);
    assert_eq!(disk.read("file", 1 << 20).unwrap().unwrap(), [b'o'; 3 * PAGE]);
    assert_eq!(&disk.map("file").unwrap().unwrap()[..], [b'o'; 3 * PAGE]);
}
