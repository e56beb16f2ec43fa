//! What every data directory promises while nothing goes wrong, on the real disk and on the simulated one.

use std::io::Write;

use storage::{Disk, DiskError, SimDisk};

/// Runs a story on a fresh directory of each kind. The story is given a way to restart the process.
fn check(story: impl Fn(&dyn Fn() -> Disk)) {
    let machine = SimDisk::new(1);
    story(&|| {
        machine.crash();
        machine.disk()
    });

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    story(&|| Disk::open(&path).unwrap());
}

/// Without the lock of a real directory.
fn names(disk: &Disk, folder: &str) -> Vec<String> {
    let names = disk.list(folder).unwrap().into_iter().map(|entry| entry.name);
    names.filter(|name| name != "LOCK").collect()
}

#[test]
fn appended_bytes_are_read_back_and_survive_the_process() {
    check(|start| {
        let disk = start();
        let mut segment = disk.create_segment("journal/a", 100_000).unwrap();
        assert_eq!((segment.written(), segment.capacity(), segment.remaining()), (0, 100_000, 100_000));
        assert_eq!(segment.append(b"one").unwrap(), 0..3);
        assert_eq!(segment.append_parts(&[b"tw", b"", b"o"]).unwrap(), 3..6);
        assert_eq!(&segment.slice(0..6)[..], b"onetwo");
        assert_eq!(&segment.slice(1..6).subslice(2..4)[..], b"tw");
        let flusher = segment.flusher();
        assert_eq!(flusher.sync().unwrap(), 6);
        drop((segment, flusher, disk));

        let disk = start();
        let mut segment = disk.open_segment("journal/a").unwrap();
        assert_eq!((segment.written(), segment.remaining()), (100_000, 0));
        assert_eq!(&segment.slice(0..8)[..], b"onetwo\0\0");
        segment.resume(6).unwrap();
        assert_eq!(segment.append(b"three").unwrap(), 6..11);
        assert_eq!(&segment.slice(0..11)[..], b"onetwothree");
        assert_eq!(segment.flusher().sync().unwrap(), 11);
        assert_eq!(disk.read("journal/a", 100_000).unwrap().unwrap()[..12], *b"onetwothree\0");
    });
}

#[test]
fn nothing_is_written_over_what_was_found() {
    check(|start| {
        let disk = start();
        let mut segment = disk.create_segment("a", 20_000).unwrap();
        segment.append(&[0; 9_000]).unwrap();
        segment.append(b"x").unwrap();
        segment.flusher().write().unwrap();
        drop(segment);
        let mut segment = disk.open_segment("a").unwrap();
        let refused = segment.resume(5).unwrap_err();
        assert!(matches!(refused, DiskError::NotBlank { offset: 9_000, .. }), "{refused}");
        assert_eq!(segment.slice(9_000..9_001)[0], b'x', "it can still be read");
        segment.resume(9_001).unwrap();
        assert_eq!(segment.append(b"y").unwrap(), 9_001..9_002);
    });
}

#[test]
fn a_slice_outlives_its_segment_its_file_and_its_disk() {
    check(|start| {
        let disk = start();
        let mut segment = disk.create_segment("journal/a", 4_096).unwrap();
        segment.append(b"still here").unwrap();
        let slice = segment.slice(0..10);
        let copy = slice.clone();
        disk.remove("journal/a").unwrap();
        assert!(
            names(&disk, "journal").is_empty(),
            "a removed file is not listed, even if it is still mapped"
        );
        drop((segment, slice, disk));
        let reader = std::thread::spawn(move || copy.to_vec());
        assert_eq!(reader.join().unwrap(), b"still here");
    });
}

#[test]
fn small_files_are_overwritten_noted_and_replaced() {
    check(|start| {
        let disk = start();
        assert_eq!(disk.read("meta", 10).unwrap(), None);
        disk.overwrite("meta", b"long text").unwrap();
        disk.overwrite("meta", b"short").unwrap();
        disk.note("mark", b"1").unwrap();
        disk.note("mark", b"22").unwrap();
        disk.replace("deep/config", b"old").unwrap();
        disk.replace("deep/config", b"new").unwrap();
        drop(disk);
        let disk = start();
        assert_eq!(disk.read("meta", 5).unwrap().unwrap(), b"short");
        assert_eq!(disk.read("mark", 10).unwrap().unwrap(), b"22");
        assert_eq!(disk.read("deep/config", 10).unwrap().unwrap(), b"new");
        let refused = disk.read("meta", 4).unwrap_err();
        assert!(matches!(refused, DiskError::TooLong { bytes: 5, bytes_max: 4, .. }), "{refused}");
    });
}

#[test]
fn a_staged_file_appears_whole_or_not_at_all() {
    check(|start| {
        let disk = start();
        let mut stage = disk.stage("snapshots/1").unwrap();
        stage.write_all(b"------body").unwrap();
        stage.write_at(0, b"header").unwrap();
        stage.write_all(b"!").unwrap();
        assert!(disk.map("snapshots/1").unwrap().is_none());
        assert!(names(&disk, "snapshots").is_empty());
        stage.publish().unwrap();
        assert_eq!(&disk.map("snapshots/1").unwrap().unwrap()[..], b"headerbody!");

        let mut dropped = disk.stage("snapshots/2").unwrap();
        dropped.write_all(b"nobody wants this").unwrap();
        drop(dropped);
        drop(disk);
        assert_eq!(names(&start(), "snapshots"), ["1"]);
    });
}

#[test]
fn files_are_listed_by_name() {
    check(|start| {
        let disk = start();
        assert_eq!(disk.list("journal").unwrap(), []);
        for name in ["journal/b", "journal/c", "journal/a", "other/d"] {
            disk.replace(name, name.as_bytes()).unwrap();
        }
        disk.remove("journal/b").unwrap();
        disk.remove("journal/b").unwrap();
        assert_eq!(names(&disk, "journal"), ["a", "c"]);
        assert_eq!(disk.list("journal").unwrap()[1].bytes, 9);
    });
}

#[test]
fn a_spare_becomes_a_segment_once() {
    check(|start| {
        let disk = start();
        disk.prepare_segment(8_192).unwrap();
        disk.prepare_segment(8_192).unwrap();
        disk.prepare_segment(4_096).unwrap();
        assert_eq!(disk.create_segment("a", 4_096).unwrap().capacity(), 4_096);
        assert_eq!(disk.create_segment("b", 4_096).unwrap().capacity(), 4_096);
        assert_eq!(disk.create_segment("c", 8_192).unwrap().capacity(), 8_192);
        assert!(disk.create_segment("a", 4_096).is_err(), "a segment is never replaced");
        assert!(matches!(disk.open_segment("d"), Err(DiskError::Missing { .. })));
    });
}

#[test]
fn a_segment_is_begun_without_a_word_to_the_disk() {
    check(|start| {
        let disk = start();
        assert!(disk.begin_segment("journal/a", 4_096).unwrap().is_none(), "there is no spare");
        disk.prepare_segment(4_096).unwrap();
        assert!(disk.begin_segment("journal/a", 8_192).unwrap().is_none(), "the spare has another length");
        let mut segment = disk.begin_segment("journal/a", 4_096).unwrap().unwrap();
        segment.append(b"abc").unwrap();
        assert_eq!(&segment.slice(0..3)[..], b"abc");
        assert!(names(&disk, "journal").is_empty());
        segment.flusher().write().unwrap();
        segment.append(b"def").unwrap();
        segment.flusher().sync().unwrap();
        assert_eq!(disk.read("journal/a", 4_096).unwrap().unwrap()[..7], *b"abcdef\0");

        // One that nothing was appended to leaves nothing behind, and no name is ever taken over.
        disk.prepare_segment(4_096).unwrap();
        drop(disk.begin_segment("journal/b", 4_096).unwrap().unwrap());
        assert_eq!(names(&disk, ""), Vec::<String>::new());
        disk.prepare_segment(4_096).unwrap();
        let mut again = disk.begin_segment("journal/a", 4_096).unwrap().unwrap();
        again.append(b"other").unwrap();
        assert!(again.flusher().write().is_err());
        assert_eq!(disk.read("journal/a", 4_096).unwrap().unwrap()[..3], *b"abc");
    });
}

#[test]
#[should_panic(expected = "beyond the segment's end")]
fn an_append_that_does_not_fit_is_a_mistake_of_the_caller() {
    let disk = SimDisk::new(1).disk();
    disk.create_segment("a", 10).unwrap().append(&[1; 11]).unwrap();
}

#[test]
#[should_panic(expected = "not written yet")]
fn bytes_that_are_not_written_cannot_be_had() {
    let disk = SimDisk::new(1).disk();
    let mut segment = disk.create_segment("a", 10).unwrap();
    segment.append(b"abc").unwrap();
    drop(segment.slice(0..4));
}

#[test]
fn a_file_is_read_past_the_cache_at_any_place() {
    check(|start| {
        let disk = start();
        let bytes: Vec<u8> = (0..700_001_u32).map(|number| (number % 251) as u8).collect();
        disk.replace("folder/file", &bytes).unwrap();
        let mut file = disk.open_uncached("folder/file").unwrap().unwrap();
        assert_eq!(file.bytes(), 700_001);
        for (start, end) in [
            (0, 700_001),
            (0, 1),
            (4_095, 4_097),
            (5_000, 600_000),
            (262_143, 524_289),
            (700_000, 700_001),
            (9, 9),
        ] {
            let mut buffer = vec![0; end - start];
            file.read_at(start as u64, &mut buffer).unwrap();
            assert!(buffer == bytes[start..end], "{start}..{end}");
        }
        assert!(file.read_at(700_000, &mut [0; 2]).is_err(), "beyond the end");
        assert!(file.read_at(900_000, &mut [0; 2]).is_err(), "far beyond the end");
        assert!(disk.open_uncached("folder/none").unwrap().is_none());
    });
}
