//! Directories that a crash, a full disk or a bad one has left.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};

use storage::SimDisk;

use super::{Numbers, numbers, open};
use crate::Store;

#[test]
fn a_founding_that_was_cut_short_is_made_anew() {
    let refused = (0..40).filter(|&syncs| {
        let machine = SimDisk::new(syncs);
        machine.fail_sync_after(syncs);
        let refused = Store::<Numbers>::open_on(machine.disk(), false).is_err();
        machine.power_cut();
        let store = open(&machine);
        store.execute(2).unwrap();
        machine.power_cut();
        drop(store);
        assert_eq!(numbers(&open(&machine)), [2], "after {syncs} syncs");
        refused
    });
    let refused = refused.count();
    assert!((10..39).contains(&refused), "{refused}: a founding takes many syncs, and some end");
}

#[test]
fn a_founding_on_a_full_disk_succeeds_once_there_is_room() {
    let mut refused = 0;
    for free_bytes in (0..80_000).step_by(113) {
        let machine = SimDisk::new(1);
        machine.fill_up(free_bytes);
        let opened = Store::<Numbers>::open_on(machine.disk(), false);
        refused += usize::from(opened.is_err());
        drop(opened);
        machine.fill_up(u64::MAX);
        let store = open(&machine);
        store.execute(2).unwrap();
        drop(store);
        assert_eq!(numbers(&open(&machine)), [2], "with {free_bytes} bytes");
    }
    assert!((500..700).contains(&refused), "{refused} foundings met a full disk");
}

/// It may hold what was acknowledged, and a new identity would bury that.
#[test]
fn a_store_that_lost_its_identity_is_not_founded_again() {
    let machine = SimDisk::new(1);
    drop(open(&machine));
    machine.disk().remove("meta.0").unwrap();
    machine.disk().remove("meta.1").unwrap();
    let before = files(&machine);
    for _ in 0..2 {
        let refused = Store::<Numbers>::open_on(machine.disk(), false).unwrap_err().to_string();
        assert!(refused.contains("holds a journal already"), "{refused}");
        assert_eq!(files(&machine), before);
    }
    machine.disk().overwrite("meta.0", b"damaged").unwrap();
    let before = files(&machine);
    let refused = Store::<Numbers>::open_on(machine.disk(), false).unwrap_err().to_string();
    assert!(refused.contains("are damaged"), "{refused}");
    assert_eq!(files(&machine), before);
}

/// Everything that lies in a data directory.
fn files(machine: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let disk = machine.disk();
    let folders = [("", ""), ("journal", "journal/"), ("snapshots", "snapshots/")];
    let names = folders.iter().flat_map(|(folder, before)| {
        disk.list(folder).unwrap().into_iter().map(move |entry| format!("{before}{}", entry.name))
    });
    names.map(|name| (name.clone(), machine.bytes_of(&name).unwrap())).collect()
}

/// Executes 1 to 4, has `damage` damage the journal's only file (it is given the file's bytes from after 2), and
/// checks that the store is refused unchanged and can be salvaged with no more than `left`.
#[track_caller]
fn check_damage(damage: impl FnOnce(&SimDisk, &str, Vec<u8>), what: &str, left: &[u64]) {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    for number in 1..=2 {
        store.execute(number).unwrap();
    }
    let name = format!("journal/{}", machine.disk().list("journal").unwrap()[0].name);
    let earlier = machine.bytes_of(&name).unwrap();
    for number in 3..=4 {
        store.execute(number).unwrap();
    }
    drop(store);
    damage(&machine, &name, earlier);
    let before = files(&machine);
    for _ in 0..2 {
        let refused = Store::<Numbers>::open_on(machine.disk(), false).unwrap_err().to_string();
        assert!(refused.contains(what) && refused.contains("nothing was changed"), "{refused}");
        assert!(refused.contains("Store::salvage"), "{refused}");
        assert_eq!(files(&machine), before);
    }
    let store = Store::<Numbers>::open_on(machine.disk(), true).unwrap();
    assert_eq!(numbers(&store), left);
    store.execute(9).unwrap();
    drop(store);
    assert_eq!(numbers(&open(&machine)), [left, &[9]].concat());
}

/// Where a frame lies that holds this entry, by its header.
fn place_of(bytes: &[u8], first: u64) -> u64 {
    let starts =
        |at: &usize| bytes[*at..].starts_with(b"PVFR") && bytes[at + 24..at + 32] == first.to_le_bytes();
    (512..bytes.len() - 128).step_by(128).find(starts).expect("the frame is there") as u64
}

/// The founding, the epoch's first entry and the session come before the first command.
const FIRST_COMMAND: u64 = 4;

#[test]
fn a_store_whose_last_frame_is_damaged_is_refused_and_can_be_salvaged() {
    let damage = |machine: &SimDisk, name: &str, _: Vec<u8>| {
        let bytes = machine.bytes_of(name).unwrap();
        machine.rot(name, place_of(&bytes, FIRST_COMMAND + 3) + 140, 1);
    };
    check_damage(damage, "damaged", &[1, 2, 3]);
}

#[test]
fn a_store_with_damage_in_the_middle_is_refused_and_can_be_salvaged() {
    let damage = |machine: &SimDisk, name: &str, _: Vec<u8>| {
        let bytes = machine.bytes_of(name).unwrap();
        machine.rot(name, place_of(&bytes, FIRST_COMMAND + 1) + 140, 1);
    };
    check_damage(damage, "entries 5 to 5 of the journal are damaged", &[1]);
}

#[test]
fn a_store_that_lost_what_was_durable_is_refused_and_can_be_salvaged() {
    let damage = |machine: &SimDisk, name: &str, earlier: Vec<u8>| {
        machine.disk().replace(name, &earlier).unwrap();
    };
    check_damage(damage, "ends at entry 5, and the rest of the data directory tells of more", &[1, 2]);
}

#[test]
fn a_store_with_a_damaged_header_beside_a_change_of_epoch_says_which_entry_it_is() {
    let machine = SimDisk::new(1);
    for number in [1, 2, 3] {
        // Each opening begins an epoch.
        open(&machine).execute(number).unwrap();
    }
    let name = format!("journal/{}", machine.disk().list("journal").unwrap()[0].name);
    let bytes = machine.bytes_of(&name).unwrap();
    machine.rot(&name, place_of(&bytes, FIRST_COMMAND + 1) + 20, 1);
    let before = files(&machine);
    let refused = Store::<Numbers>::open_on(machine.disk(), false).unwrap_err().to_string();
    assert!(refused.contains("entries 5 to 5 of the journal are damaged"), "{refused}");
    assert_eq!(files(&machine), before);
    assert_eq!(numbers(&Store::<Numbers>::open_on(machine.disk(), true).unwrap()), [1]);
}

/// It could be opened with an empty journal, or with less than was durable.
#[test]
fn an_empty_or_stray_file_of_a_higher_generation_takes_nothing_from_a_store() {
    for length in [0, 512, 65_536] {
        for first in [1, 2, 5, 7, 900] {
            let machine = SimDisk::new(1);
            let store = open(&machine);
            (1..=4).for_each(|number| {
                store.execute(number).unwrap();
            });
            drop(store);
            let stray = format!("journal/{first:020}-00000009.journal");
            machine.disk().replace(&stray, &vec![0; length]).unwrap();
            let store = open(&machine);
            assert_eq!(numbers(&store), [1, 2, 3, 4], "{stray} of {length} bytes");
            store.execute(9).unwrap();
            drop(store);
            assert_eq!(numbers(&open(&machine)), [1, 2, 3, 4, 9], "{stray} of {length} bytes");
        }
    }
}

#[test]
fn a_clean_mark_wins_against_a_bit_in_unused_zeros() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    store.execute(1).unwrap();
    drop(store);
    let name = format!("journal/{}", machine.disk().list("journal").unwrap()[0].name);
    let length = machine.bytes_of(&name).unwrap().len() as u64;
    for at in [length - 1, length / 2] {
        machine.rot(&name, at, 1);
        let store = open(&machine);
        assert!(numbers(&store).starts_with(&[1]), "a bit at {at}");
        store.execute(2).unwrap();
    }
    assert_eq!(numbers(&open(&machine)), [1, 2, 2]);
}

#[test]
fn a_mark_that_is_lost_or_damaged_is_a_hint_less() {
    let lose = |machine: &SimDisk| machine.disk().remove("mark").unwrap();
    let damage = |machine: &SimDisk| machine.rot("mark", 40, 1);
    let unreadable = |machine: &SimDisk| machine.make_unreadable("mark");
    for harm in [&lose as &dyn Fn(&SimDisk), &damage, &unreadable] {
        let machine = SimDisk::new(1);
        let store = open(&machine);
        store.execute(1).unwrap();
        drop(store);
        harm(&machine);
        let store = open(&machine);
        store.execute(2).unwrap();
        assert_eq!(numbers(&store), [1, 2]);
    }
}

#[test]
fn a_store_that_lost_both_copies_of_its_identity_can_be_salvaged() {
    for damaged in [false, true] {
        let machine = SimDisk::new(1);
        let store = open(&machine);
        (1..=4).for_each(|number| {
            store.execute(number).unwrap();
        });
        drop(store);
        for name in ["meta.0", "meta.1"] {
            if damaged { machine.rot(name, 30, 1) } else { machine.disk().remove(name).unwrap() }
        }
        let before = files(&machine);
        let refused = Store::<Numbers>::open_on(machine.disk(), false).unwrap_err().to_string();
        assert!(refused.contains("Store::salvage"), "{refused}");
        assert_eq!(files(&machine), before);
        let store = Store::<Numbers>::open_on(machine.disk(), true).unwrap();
        assert_eq!(numbers(&store), [1, 2, 3, 4], "every entry is intact");
        store.execute(9).unwrap();
        drop(store);
        assert_eq!(numbers(&open(&machine)), [1, 2, 3, 4, 9]);
    }
}

/// What lies behind a gap cannot be executed, but it is nobody's to throw away.
#[test]
fn what_is_given_up_stays_in_the_folder() {
    let machine = SimDisk::new(1);
    let store = open(&machine);
    (1..=4).for_each(|number| {
        store.execute(number).unwrap();
    });
    drop(store);
    let name = format!("journal/{}", machine.disk().list("journal").unwrap()[0].name);
    let bytes = machine.bytes_of(&name).unwrap();
    machine.rot(&name, place_of(&bytes, FIRST_COMMAND + 1) + 140, 1);
    let damaged = machine.bytes_of(&name).unwrap();
    let store = Store::<Numbers>::open_on(machine.disk(), true).unwrap();
    (5..=9).for_each(|number| {
        store.execute(number).unwrap();
    });
    drop(store);
    drop(open(&machine));
    assert_eq!(machine.bytes_of(&format!("{name}.given-up")), Some(damaged));
}

/// Nobody has another copy, and the next start would be refused. But the state is in memory. Closed segments are maps
/// after a start, so they are as spoiled as the disk.
#[test]
fn a_store_keeps_its_state_where_the_disk_has_spoiled_what_led_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::<Numbers>::open(folder.path()).unwrap();
    let pending: Vec<_> = (0..500).map(|number| store.submit(&(2_000 + number * 2)).unwrap()).collect();
    assert!(pending.into_iter().all(|pending| pending.wait().is_ok()));
    for number in 0..300 {
        store.execute(10_000 + number * 2).unwrap();
    }
    drop(store);
    let store = Store::<Numbers>::open(folder.path()).unwrap();
    let before = numbers(&store);
    let segments = std::fs::read_dir(folder.path().join("journal")).unwrap();
    let first =
        segments.map(|entry| entry.unwrap().path()).filter(|path| path.extension().unwrap() == "journal");
    let mut file = OpenOptions::new().write(true).open(first.min().unwrap()).unwrap();
    file.seek(SeekFrom::Start(20_000)).unwrap();
    file.write_all(&[0x55; 7]).unwrap();
    file.sync_all().unwrap();

    // At first there is no place for a snapshot.
    std::fs::write(folder.path().join("snapshots"), b"in the way").unwrap();
    let found = store.scrub().unwrap();
    assert_eq!((found.frames, found.frames_mended), (1, 0));
    let findings = store.findings();
    assert!(findings.len() == 1 && findings[0].contains("there is no other copy"), "{findings:?}");
    store.execute(1_000_000).unwrap();

    std::fs::remove_file(folder.path().join("snapshots")).unwrap();
    assert_eq!(store.scrub().unwrap().frames, 0);
    assert_eq!(store.findings(), Vec::<String>::new());
    store.execute(1_000_002).unwrap();
    drop(store);
    let store = Store::<Numbers>::open(folder.path()).unwrap();
    assert_eq!(numbers(&store), [&before[..], &[1_000_000, 1_000_002]].concat());
}
