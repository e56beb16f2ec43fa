//! The file format: what is on the disk, and that no damage to it goes unnoticed.

mod samples;

use std::io::Write;

use position::Index;
use snapshots::{FORMAT_VERSION, Flaw, HEADER_BYTES, Opened, Shelf};
use storage::{Disk, SimDisk};

use crate::samples::head_at;

/// Of the oldest version that is read and of each after it; read for ever. `SNAPSHOTS_WRITE_GOLDEN=1 cargo test -p
/// snapshots` writes the file of a new version.
const GOLDEN: [&[u8]; 1] = [include_bytes!("golden/version-2.snapshot")];

/// The oldest version that is read: what was before it was never released.
const OLDEST: u32 = 2;

/// Laid out otherwise, without a life and a fingerprint.
const FIRST_LAYOUT: &[u8] = include_bytes!("golden/version-1.snapshot");

const ARCHIVE: &[u8] = b"an archive of 30 bytes, opaque";

/// A shelf with one small snapshot, and the name of its file.
fn small() -> (SimDisk, String) {
    let machine = SimDisk::new(1);
    let mut writer = Shelf::new(machine.disk()).begin(head_at(500_000)).unwrap();
    writer.write_all(ARCHIVE).unwrap();
    writer.finish().unwrap();
    (machine, "snapshots/00000000000000500000.snapshot".into())
}

/// What is said of these bytes.
fn flaw_of(bytes: &[u8]) -> Option<Flaw> {
    let disk = SimDisk::new(1).disk();
    disk.replace("file", bytes).unwrap();
    Opened::verify(disk.map("file").unwrap().unwrap()).err()
}

#[test]
fn the_writer_writes_the_golden_file() {
    let (machine, name) = small();
    let bytes = machine.bytes_of(&name).unwrap();
    if std::env::var_os("SNAPSHOTS_WRITE_GOLDEN").is_some() {
        let path = format!("{}/tests/golden/version-{FORMAT_VERSION}.snapshot", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, &bytes).unwrap();
    }
    assert_eq!(GOLDEN.len(), (FORMAT_VERSION - OLDEST + 1) as usize, "one golden file for each version");
    assert!(bytes == *GOLDEN.last().unwrap(), "the format has changed without a new version");
}

/// Whatever the platform, so that a data directory can move from one to another.
#[test]
fn the_real_disk_of_every_platform_holds_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(Disk::open(folder.path()).unwrap());
    let mut writer = shelf.begin(head_at(500_000)).unwrap();
    writer.write_all(ARCHIVE).unwrap();
    writer.finish().unwrap();
    let bytes = std::fs::read(folder.path().join("snapshots/00000000000000500000.snapshot")).unwrap();
    assert!(bytes == *GOLDEN.last().unwrap(), "other bytes on this platform");
}

#[test]
fn every_golden_file_is_read() {
    for golden in GOLDEN {
        let disk = SimDisk::new(1).disk();
        disk.replace("snapshots/00000000000000500000.snapshot", golden).unwrap();
        let opened = Shelf::new(disk).open(Index(500_000)).unwrap();
        assert_eq!(opened.head(), &head_at(500_000));
        assert_eq!(&opened.archive()[..], ARCHIVE);
        assert_eq!(opened.file()[..], *golden);
    }
}

/// Whatever lies where the life is now: the version is what is wrong.
#[test]
fn a_snapshot_of_the_first_layout_is_of_another_version() {
    let flaw = flaw_of(FIRST_LAYOUT).unwrap();
    assert_eq!(flaw, Flaw::Version { found: 1, known: FORMAT_VERSION });
}

#[test]
fn every_changed_bit_is_noticed() {
    let intact = GOLDEN[0];
    assert_eq!(flaw_of(intact), None);
    for offset in 0..intact.len() {
        for bit in 0..8 {
            let mut bytes = intact.to_vec();
            bytes[offset] ^= 1 << bit;
            let flaw = flaw_of(&bytes).unwrap_or_else(|| panic!("bit {bit} of byte {offset} goes unnoticed"));
            let expected = match offset {
                0..8 => flaw == Flaw::Magic,
                8..HEADER_BYTES => flaw == Flaw::Header,
                _ => flaw == Flaw::Archive,
            };
            assert!(expected, "bit {bit} of byte {offset}: {flaw}");
        }
    }
}

#[test]
fn every_length_but_the_right_one_is_noticed() {
    let intact = GOLDEN[0];
    for bytes in 0..intact.len() {
        let flaw = flaw_of(&intact[..bytes]).unwrap_or_else(|| panic!("{bytes} bytes pass"));
        let (found, expected) = (bytes as u64, intact.len() as u64);
        if bytes < HEADER_BYTES {
            assert_eq!(flaw, Flaw::NoHeader { bytes: found });
        } else {
            assert_eq!(flaw, Flaw::Length { expected, found });
        }
    }
    let longer = [intact, b"\0"].concat();
    assert!(matches!(flaw_of(&longer), Some(Flaw::Length { .. })));
}

/// With a right checksum, so that nothing but the file's length can tell. No byte of the archive is looked at, and
/// nothing as long as that is ever allocated.
#[test]
fn a_header_that_lies_about_the_length_is_refused() {
    let intact = GOLDEN[0];
    let archive_bytes = ARCHIVE.len() as u64;
    for lie in [0, archive_bytes - 1, archive_bytes + 1, 1 << 40, u64::MAX - 511, u64::MAX] {
        let mut bytes = intact.to_vec();
        bytes[160..168].copy_from_slice(&lie.to_le_bytes());
        let checksum = blake3::hash(&bytes[16..HEADER_BYTES]);
        bytes[8..16].copy_from_slice(&checksum.as_bytes()[..8]);
        let expected = lie.saturating_add(HEADER_BYTES as u64);
        assert_eq!(flaw_of(&bytes), Some(Flaw::Length { expected, found: intact.len() as u64 }));
    }
}

#[test]
fn a_zeroed_or_exchanged_sector_is_noticed() {
    let machine = SimDisk::new(1);
    let shelf = Shelf::new(machine.disk());
    for sector in 0..6 {
        let index = 100 + sector;
        samples::publish(&shelf, index).unwrap();
        machine.zero_sector(&format!("snapshots/{index:020}.snapshot"), sector);
        assert!(shelf.open(Index(index)).is_err(), "sector {sector}");
    }
    let opened = samples::publish(&shelf, 200).unwrap();
    let mut bytes = opened.file().to_vec();
    let (one, other) = bytes.split_at_mut(2 * 512);
    one[512..].swap_with_slice(&mut other[..512]);
    assert_eq!(flaw_of(&bytes), Some(Flaw::Archive));
}
