//! What the disk spoils while a voter runs.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use journal::{Finding, list_segments};
use storage::{Disk, SimDisk};
use tempfile::TempDir;

use super::super::*;
use super::trio::Trio;
use super::upkeep::Count;

/// Behind the segment's header, within some frame.
const WITHIN_A_FRAME: u64 = 20_000;

/// A cluster on simulated disks. What memory holds there does not change with the disk.
fn simulated(entries: u64) -> (Vec<SimDisk>, Trio) {
    let machines: Vec<SimDisk> = (1..=3).map(SimDisk::new).collect();
    let mut trio = Trio::found([machines[0].disk(), machines[1].disk(), machines[2].disk()], entries);
    fill(&mut trio);
    (machines, trio)
}

/// A cluster on real files, with the folder of each. A closed segment is a map there, and as spoiled as the disk.
fn real() -> (Vec<TempDir>, Trio) {
    let folders: Vec<TempDir> = (0..3).map(|_| TempDir::new().unwrap()).collect();
    let disk = |node: usize| Disk::open(folders[node].path()).unwrap();
    let mut trio = Trio::found([disk(0), disk(1), disk(2)], 1_000);
    fill(&mut trio);
    (folders, trio)
}

/// Writes more than two segments of 64 KiB.
fn fill(trio: &mut Trio) {
    (0..60).for_each(|_| trio.execute(3_000).unwrap());
    trio.run(Duration::from_millis(200));
}

/// The oldest long segment that is not written to any more.
fn closed_segment(disk: &Disk, replica: &Replica<Count>) -> String {
    let newest = replica.journal().newest_segment().unwrap();
    let segments = list_segments(disk).unwrap();
    let closed = segments.iter().find(|info| info.name != newest && info.bytes > 2 * WITHIN_A_FRAME);
    closed.expect("there is one").name.to_string()
}

fn flip(file: &Path, offset: u64) {
    let mut file = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    file.sync_all().unwrap();
}

fn is_whole(replica: &Replica<Count>) -> bool {
    replica.journal().damages().next().is_none()
}

/// Flips a bit in a closed segment of this voter, which finds it, is sent a good copy and goes on.
fn check_repair_from_a_peer(folders: &[TempDir], trio: &mut Trio, node: usize) {
    let looker = Disk::open_read_only(folders[node].path()).unwrap();
    let segment = closed_segment(&looker, &trio.voters[node].replica);
    flip(&folders[node].path().join(&segment), WITHIN_A_FRAME);
    let found = trio.scrub(node);
    assert_eq!((found.frames, found.frames_mended), (1, 0));
    let replica = &trio.voters[node].replica;
    assert!(!replica.voter().leads(), "it could not give the frame to others");
    let told =
        |finding: &Finding| matches!(finding, Finding::Damaged(damage) if damage.file.to_string() == segment);
    assert!(replica.health().iter().any(told), "{:?}", replica.health());

    trio.run_until("the damage is mended", |trio| is_whole(&trio.voters[node].replica));
    assert_eq!(trio.voters[node].replica.health(), []);
    let copies = std::fs::read_dir(folders[node].path().join("journal")).unwrap();
    let is_copy = |path: &Path| path.extension().is_some_and(|ending| ending == "repair");
    assert_eq!(copies.filter(|entry| is_copy(&entry.as_ref().unwrap().path())).count(), 1);
    assert_eq!(trio.scrub(node).frames, 0, "the good copy counts now");
    trio.run_until("somebody leads", |trio| trio.voters.iter().any(|node| node.replica.voter().leads()));
    let before = trio.state_of(node);
    trio.execute(10).unwrap();
    trio.run(Duration::from_millis(100));
    assert!((0..3).all(|node| trio.state_of(node) == before + 1));
}

#[test]
fn a_standby_is_sent_what_its_disk_has_spoiled() {
    let (folders, mut trio) = real();
    let standby = (trio.master() + 1) % 3;
    check_repair_from_a_peer(&folders, &mut trio, standby);
}

#[test]
fn a_master_steps_down_and_is_sent_what_its_disk_has_spoiled() {
    let (folders, mut trio) = real();
    let master = trio.master();
    check_repair_from_a_peer(&folders, &mut trio, master);
}

#[test]
fn what_memory_still_holds_is_written_again_without_a_peer() {
    let (machines, mut trio) = simulated(1_000);
    let master = trio.master();
    let segment = closed_segment(&machines[master].disk(), &trio.voters[master].replica);
    machines[master].rot(&segment, WITHIN_A_FRAME, 1);
    let found = trio.scrub(master);
    assert_eq!((found.frames, found.frames_mended), (1, 1));
    assert!(trio.voters[master].replica.voter().leads(), "nothing is missing");
    assert_eq!(trio.voters[master].replica.health(), []);
    assert_eq!(trio.scrub(master).frames, 0);
}

/// Twice a day, in pieces, from a minute after the start on: it needs nobody to ask for it.
#[test]
fn a_voter_reads_everything_again_by_itself() {
    let (machines, mut trio) = simulated(1_000);
    let standby = (trio.master() + 1) % 3;
    let segment = closed_segment(&machines[standby].disk(), &trio.voters[standby].replica);
    machines[standby].rot(&segment, WITHIN_A_FRAME, 1);
    trio.run(Duration::from_secs(50));
    assert_eq!(trio.voters[standby].replica.scrub_found(), ScrubFound::default());
    trio.run(Duration::from_secs(20));
    let found = trio.voters[standby].replica.scrub_found();
    assert_eq!((found.frames, found.frames_mended), (1, 1));
}

/// The segment's name and frames say the same as its header. It is said until the segment goes.
#[test]
fn a_spoiled_header_of_a_segment_is_told_until_a_snapshot_covers_the_segment() {
    let (machines, mut trio) = simulated(100);
    let standby = (trio.master() + 1) % 3;
    let segment = closed_segment(&machines[standby].disk(), &trio.voters[standby].replica);
    machines[standby].rot(&segment, 100, 1);
    for _ in 0..2 {
        let found = trio.scrub(standby);
        assert_eq!((found.frames, found.headers), (0, 1));
        let health = trio.voters[standby].replica.health();
        assert!(
            matches!(health, [Finding::SegmentHeader { file }] if file.to_string() == segment),
            "{health:?}"
        );
    }
    (0..300).for_each(|_| trio.execute(1_000).unwrap());
    trio.run(Duration::from_millis(200));
    assert_eq!(trio.voters[standby].replica.health(), []);
    assert!(machines[standby].bytes_of(&segment).is_none(), "it was not needed any more");
}

#[test]
fn a_spoiled_snapshot_is_told_until_others_have_taken_its_place() {
    let (machines, mut trio) = simulated(20);
    let master = trio.master();
    let snapshots = trio.voters[master].replica.shelf().list().unwrap();
    machines[master].rot(&snapshots[0].name, 600, 1);
    let found = trio.scrub(master);
    assert_eq!((found.frames, found.snapshots), (0, 1));
    let told = |trio: &Trio| {
        let health = trio.voters[master].replica.health();
        matches!(health, [Finding::Snapshot { index, .. }] if *index == snapshots[0].index)
    };
    assert!(told(&trio), "{:?}", trio.voters[master].replica.health());
    assert!(trio.voters[master].replica.voter().leads());
    // Another one is made at once, of what is applied.
    trio.run(Duration::from_millis(50));
    let newest = trio.voters[master].replica.shelf().newest_valid().unwrap().snapshot.unwrap();
    assert_eq!(newest.index(), trio.voters[master].replica.applied().index());
    assert!(told(&trio), "the spoiled one is still there");
    (0..100).for_each(|_| trio.execute(10).unwrap());
    trio.run(Duration::from_millis(200));
    assert_eq!(trio.voters[master].replica.health(), []);
}
