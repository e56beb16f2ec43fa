//! The faults that can be ordered from the simulated disk, and what a data directory makes of them.

use std::io::Write;

use storage::{Disk, DiskError, SimDisk};

/// Something that makes one sync at least.
type Change = fn(&Disk) -> Result<(), DiskError>;

#[test]
fn after_a_failed_sync_nothing_is_written_any_more() {
    let failures: [Change; 5] = [
        |disk| {
            let mut segment = disk.open_segment("old")?;
            segment.resume(0)?;
            segment.append(b"lost")?;
            segment.flusher().sync().map(drop)
        },
        |disk| disk.overwrite("meta", b"x"),
        |disk| disk.replace("meta", b"x"),
        |disk| disk.stage("staged")?.publish(),
        |disk| disk.create_segment("new", 1_000).map(drop),
    ];
    for failure in failures {
        let machine = SimDisk::new(3);
        let disk = machine.disk();
        drop(disk.create_segment("old", 1_000).unwrap());
        let mut other = disk.create_segment("other", 1_000).unwrap();
        machine.fail_next_sync();
        let error = failure(&disk).unwrap_err();
        assert!(matches!(error, DiskError::Io { .. }), "{error}");

        let poisoned = |result: Result<(), DiskError>| {
            assert!(matches!(result, Err(DiskError::Poisoned { .. })), "{result:?}");
        };
        poisoned(other.flusher().sync().map(drop));
        poisoned(other.flusher().sync().map(drop));
        poisoned(other.append(b"x").map(drop));
        poisoned(disk.overwrite("meta", b"x"));
        poisoned(disk.note("meta", b"x"));
        poisoned(disk.replace("meta", b"x"));
        poisoned(disk.remove("meta"));
        poisoned(disk.stage("meta").map(drop));
        poisoned(disk.create_segment("a", 1).map(drop));
        poisoned(disk.prepare_segment(1));
        assert!(disk.open_segment("old").is_ok(), "reading goes on");

        machine.crash();
        machine.disk().overwrite("meta", b"x").unwrap();
    }
}

#[test]
fn a_lying_disk_loses_what_it_acknowledged() {
    let lost = (0..40).filter(|seed| {
        let machine = SimDisk::new(*seed);
        let mut segment = machine.disk().create_segment("a", 1_000).unwrap();
        let flusher = segment.flusher();
        segment.append(b"1").unwrap();
        flusher.sync().unwrap();
        machine.lie_about_syncs(2);
        segment.append(b"2").unwrap();
        flusher.sync().unwrap();
        flusher.sync().unwrap();
        machine.power_cut();
        let bytes = machine.bytes_of("a").unwrap();
        assert_eq!(bytes[0], b'1');
        bytes[1] == 0
    });
    assert!(lost.count() > 0);
}

#[test]
fn an_honest_sync_makes_good_what_an_earlier_one_lied_about() {
    for seed in 0..20 {
        let machine = SimDisk::new(seed);
        let mut segment = machine.disk().create_segment("a", 1_000).unwrap();
        machine.lie_about_syncs(1);
        segment.append(b"1").unwrap();
        segment.flusher().sync().unwrap();
        segment.flusher().sync().unwrap();
        machine.power_cut();
        assert_eq!(machine.bytes_of("a").unwrap()[0], b'1');
    }
}

#[test]
fn a_full_disk_refuses_new_files_and_not_appends() {
    let machine = SimDisk::new(1);
    let disk = machine.disk();
    let mut segment = disk.create_segment("a", 10_000).unwrap();
    machine.fill_up(5_000);

    let full = |result: Result<(), DiskError>| {
        assert!(matches!(result, Err(DiskError::Full { .. })), "{result:?}");
        assert_eq!(disk.free_bytes().unwrap(), 5_000, "what was begun is gone again");
    };
    full(disk.create_segment("b", 6_000).map(drop));
    full(disk.prepare_segment(6_000));
    full(disk.replace("c", &[1; 6_000]));
    let mut stage = disk.stage("d").unwrap();
    stage.write_all(&[1; 3_000]).unwrap();
    assert_eq!(stage.write_all(&[1; 3_000]).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    drop(stage);

    segment.append(&[1; 10_000]).unwrap();
    assert_eq!(segment.flusher().sync().unwrap(), 10_000);
    disk.overwrite("meta", b"votes live on what is left").unwrap();
    disk.remove("a").unwrap();
    disk.create_segment("b", 6_000).unwrap();
}

#[test]
fn rot_is_seen_by_who_opens_the_file_next() {
    let machine = SimDisk::new(1);
    let disk = machine.disk();
    let mut segment = disk.create_segment("a", 2_048).unwrap();
    segment.append(&[0xf0; 2_048]).unwrap();
    segment.flusher().write().unwrap();
    let slice = segment.slice(0..2_048);
    machine.rot("a", 600, 0x01);
    machine.zero_sector("a", 3);
    assert_eq!(slice[..], [0xf0; 2_048], "borrowed bytes never change");

    let mut rotten = vec![0xf0; 2_048];
    rotten[600] = 0xf1;
    rotten[1_536..].fill(0);
    assert_eq!(disk.read("a", 2_048).unwrap().unwrap(), rotten);
    segment.flusher().sync().unwrap();
    machine.power_cut();
    assert_eq!(&machine.disk().open_segment("a").unwrap().slice(0..2_048)[..], rotten);
}

#[test]
fn an_old_image_brings_everything_back_as_it_was() {
    let machine = SimDisk::new(1);
    machine.disk().overwrite("kept", b"1").unwrap();
    machine.disk().note("changed", b"old").unwrap();
    let image = machine.image();
    machine.disk().overwrite("changed", b"new").unwrap();
    machine.disk().overwrite("added", b"2").unwrap();
    machine.disk().remove("kept").unwrap();

    machine.revert(&image);
    machine.power_cut();
    assert_eq!(machine.bytes_of("kept").unwrap(), b"1");
    assert_eq!(machine.bytes_of("changed").unwrap(), b"old");
    assert_eq!(machine.bytes_of("added"), None);
}

#[test]
fn what_a_dead_process_holds_is_dead() {
    let restarts: [fn(&SimDisk); 3] =
        [SimDisk::power_cut, SimDisk::crash, |machine| machine.revert(&machine.image())];
    for restart in restarts {
        let machine = SimDisk::new(1);
        let disk = machine.disk();
        let mut segment = disk.create_segment("a", 1_000).unwrap();
        segment.append(b"abc").unwrap();
        let flusher = segment.flusher();
        let slice = segment.slice(0..3);
        let stage = disk.stage("b").unwrap();
        restart(&machine);
        segment.append(b"d").expect("memory outlives the machine");
        assert!(flusher.sync().is_err());
        assert!(stage.publish().is_err());
        assert!(disk.overwrite("c", b"x").is_err());
        assert!(disk.list("").is_err());
        assert_eq!(&slice[..], b"abc");
        assert_eq!(machine.disk().list("").unwrap().len(), 1);
    }
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let story = |seed| {
        let machine = SimDisk::new(seed);
        for round in 0..10_u8 {
            let disk = machine.disk();
            let name = format!("journal/{round}");
            let mut segment = disk.create_segment(&name, 4_096).unwrap();
            segment.append(&[round + 1; 3_000]).unwrap();
            segment.flusher().write().unwrap();
            disk.note(&format!("note/{round}"), &[round; 700]).unwrap();
            machine.power_cut();
        }
        let disk: Disk = machine.disk();
        let files = ["journal", "note"].map(|folder| {
            let entries = disk.list(folder).unwrap().into_iter();
            entries
                .map(|entry| machine.bytes_of(&format!("{folder}/{}", entry.name)).unwrap())
                .collect::<Vec<_>>()
        });
        (files, machine.syncs())
    };
    assert_eq!(story(1), story(1));
    assert_ne!(story(1), story(2));
}
