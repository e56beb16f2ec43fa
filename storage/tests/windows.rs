//! What is different on Windows: files that others hold, and files that are mapped.
#![cfg(windows)]

use std::fs::{self, File, OpenOptions};
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;

use storage::{Disk, DiskError};

/// Opens a file as a virus scanner does: while it is open, nobody else can open, rename or remove it.
fn hold(path: &Path) -> File {
    OpenOptions::new().read(true).share_mode(0).open(path).unwrap()
}

fn is_sharing_violation(error: &DiskError) -> bool {
    matches!(error, DiskError::Io { source, .. } if matches!(source.raw_os_error(), Some(5 | 32)))
}

#[test]
fn a_file_that_somebody_keeps_is_named_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    let path = directory.path().join("meta");
    disk.overwrite("meta", b"old").unwrap();

    let held = hold(&path);
    for refused in [
        disk.overwrite("meta", b"new").unwrap_err(),
        disk.replace("meta", b"new").unwrap_err(),
        disk.remove("meta").unwrap_err(),
        disk.read("meta", 9).unwrap_err(),
    ] {
        assert!(is_sharing_violation(&refused) && refused.to_string().contains("meta"), "{refused}");
    }
    drop(held);
    // Nothing was poisoned: no bytes were lost, the file just could not be opened.
    assert_eq!(disk.read("meta", 9).unwrap().unwrap(), b"old");
    disk.overwrite("meta", b"new").unwrap();
    disk.replace("meta", b"newer").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"newer");
    let left: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "LOCK and meta, and nothing unfinished: {left:?}");
}

#[test]
fn the_system_refuses_what_the_directory_puts_off_for_a_mapped_file() {
    const USER_MAPPED_FILE: i32 = 1224;
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    let path = directory.path().join("snapshots").join("a");
    disk.replace("snapshots/a", &[7; 8_192]).unwrap();
    let slice = disk.map("snapshots/a").unwrap().unwrap();
    let part = slice.subslice(4_096..4_100);

    // What it would meet if it did these things itself.
    let cut = OpenOptions::new().write(true).open(&path).unwrap().set_len(1).unwrap_err();
    assert_eq!(cut.raw_os_error(), Some(USER_MAPPED_FILE));

    // Instead the name is gone for us at once, and the file with the last reader.
    disk.remove("snapshots/a").unwrap();
    assert!(disk.list("snapshots").unwrap().is_empty());
    drop(slice);
    assert_eq!((&part[..], path.exists()), (&[7; 4][..], true));
    drop(part);
    assert!(!path.exists());
    disk.replace("snapshots/a", b"another").unwrap();
}
