//! What only the real disk can show: the lock, the allocation, what is really in the folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use storage::{Disk, DiskError};

/// Set for the second process of the test below: the data directory that it tries to open.
const SECOND_PROCESS: &str = "STORAGE_TEST_SECOND_PROCESS";

fn files_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_second_process_is_refused() {
    const NAME: &str = "a_second_process_is_refused";
    if let Some(directory) = std::env::var_os(SECOND_PROCESS) {
        let refused = Disk::open(&directory).unwrap_err();
        assert!(matches!(refused, DiskError::Locked { .. }), "{refused}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let _first = Disk::open(directory.path()).unwrap();
    let second = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env(SECOND_PROCESS, directory.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&second.stdout);
    assert!(second.status.success() && output.contains("1 passed"), "{output}");
}

#[test]
fn the_lock_lasts_as_long_as_anything_that_can_write() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    let refused = Disk::open(directory.path()).unwrap_err().to_string();
    assert!(refused.contains("another process") && refused.contains("nothing was touched"), "{refused}");

    let segment = disk.create_segment("a", 10).unwrap();
    drop(disk);
    assert!(matches!(Disk::open(directory.path()), Err(DiskError::Locked { .. })));
    drop(segment);
    Disk::open(directory.path()).unwrap();
}

/// How much of the volume a file takes.
#[cfg(unix)]
fn allocated_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().blocks() * 512
}

/// How much of the volume a file takes.
#[cfg(windows)]
#[allow(unsafe_code)]
fn allocated_bytes(path: &Path) -> u64 {
    use std::os::windows::ffi::OsStrExt;
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GetCompressedFileSizeW(path: *const u16, high: *mut u32) -> u32;
    }
    let path: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut high = 0;
    // SAFETY: the path ends in a zero, and both outlive the call.
    let low = unsafe { GetCompressedFileSizeW(path.as_ptr(), &raw mut high) };
    u64::from(high) << 32 | u64::from(low)
}

#[test]
fn segments_are_never_sparse() {
    fn check(directory: &Path, bytes: u64) {
        let path = directory.join("journal/a");
        assert_eq!(fs::metadata(&path).unwrap().len(), bytes);
        let allocated = allocated_bytes(&path);
        assert!(allocated >= bytes, "{allocated} bytes are allocated for {bytes}");
    }
    for bytes in [1, 64 * 1024, 300_001, 8 << 20] {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        drop(disk.create_segment("journal/a", bytes).unwrap());
        check(directory.path(), bytes);
        disk.remove("journal/a").unwrap();
        disk.prepare_segment(bytes).unwrap();
        drop(disk.create_segment("journal/a", bytes).unwrap());
        check(directory.path(), bytes);
    }
}

#[test]
fn a_deep_folder_with_unusual_letters_is_as_good_as_any() {
    let directory = tempfile::tempdir().unwrap();
    // Longer than the 260 characters that Windows' functions take without further ado.
    let deep = (0..6).fold(directory.path().to_path_buf(), |path, level| {
        path.join(format!("Übung {level} äöüß {}", "x".repeat(40)))
    });
    let disk = Disk::open(&deep).unwrap();
    disk.replace("snapshots/a", b"old").unwrap();
    disk.replace("snapshots/a", b"new").unwrap();
    disk.overwrite("meta", b"text").unwrap();
    let mut segment = disk.create_segment("journal/a", 4_096).unwrap();
    segment.append(b"frame").unwrap();
    segment.flusher().sync().unwrap();
    drop((segment, disk));
    let reader = Disk::open_read_only(&deep).unwrap();
    assert_eq!(reader.read("snapshots/a", 9).unwrap().unwrap(), b"new");
    assert_eq!(&reader.open_segment("journal/a").unwrap().slice(0..5)[..], b"frame");
}

#[test]
fn what_an_earlier_process_left_unfinished_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("snapshots")).unwrap();
    for name in ["spare.0.unfinished", "snapshots/1.snapshot.3.unfinished", "snapshots/notes.txt"] {
        fs::write(directory.path().join(name), "x").unwrap();
    }
    // A reader leaves them: they may belong to a process that is running.
    Disk::open_read_only(directory.path()).unwrap();
    assert_eq!(files_in(directory.path()), ["snapshots", "spare.0.unfinished"]);
    Disk::open(directory.path()).unwrap();
    assert_eq!(files_in(directory.path()), ["LOCK", "snapshots"]);
    assert_eq!(files_in(&directory.path().join("snapshots")), ["notes.txt"]);
}

#[test]
fn a_reader_changes_nothing_and_does_not_follow() {
    let directory = tempfile::tempdir().unwrap();
    let owner = Disk::open(directory.path()).unwrap();
    let mut segment = owner.create_segment("a", 10).unwrap();
    segment.append(b"abc").unwrap();
    segment.flusher().write().unwrap();

    let reader = Disk::open_read_only(directory.path()).unwrap();
    let mut copy = reader.open_segment("a").unwrap();
    segment.append(b"def").unwrap();
    segment.flusher().write().unwrap();
    assert_eq!(&copy.slice(0..10)[..], b"abc\0\0\0\0\0\0\0", "borrowed bytes never change");
    assert_eq!(&reader.open_segment("a").unwrap().slice(0..6)[..], b"abcdef");

    let read_only = |result: Result<(), DiskError>| {
        assert!(matches!(result, Err(DiskError::ReadOnly { .. })), "{result:?}");
    };
    read_only(copy.resume(3));
    read_only(reader.overwrite("b", b"x"));
    read_only(reader.note("b", b"x"));
    read_only(reader.replace("b", b"x"));
    read_only(reader.stage("b").map(drop));
    read_only(reader.remove("a"));
    read_only(reader.create_segment("b", 1).map(drop));
    read_only(reader.prepare_segment(1));
    assert_eq!(files_in(directory.path()), ["LOCK", "a"]);
}

#[test]
fn a_directory_that_cannot_be_opened_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no-such-directory");
    let error = Disk::open_read_only(&missing).unwrap_err();
    assert!(error.to_string().contains("no-such-directory"), "{error}");
    assert!(!missing.exists());

    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(Disk::open(&file).is_err());
    assert!(Disk::open_read_only(&file).is_err());
}

#[test]
fn the_free_space_is_known() {
    let directory = tempfile::tempdir().unwrap();
    assert!(Disk::open(directory.path()).unwrap().free_bytes().unwrap() > 0);
}

#[test]
#[should_panic(expected = "no name within a data directory")]
fn a_name_never_leaves_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    drop(Disk::open(directory.path()).unwrap().read("../secret", 1));
}
