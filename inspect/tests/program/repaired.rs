//! Directories whose damage was repaired: a note each, and all of it can be seen.

use std::fs;
use std::path::Path;

use journal::{Journal, Located};
use position::Index;
use storage::Disk;

use crate::wall::{flip, make_wall, the_only_segment};
use crate::{check, entries, number, offset_of};

/// The bytes of the frames with these entries.
fn frames(folder: &Path, first: u64, last: u64) -> Vec<u8> {
    let (journal, mut bytes) = (recover(Disk::open_read_only(folder).unwrap()), Vec::new());
    for part in journal.located() {
        let Located::Frame { frame, .. } = part else { panic!("it is damaged already") };
        if (Index(first)..=Index(last)).contains(&frame.header().first_index) {
            bytes.extend_from_slice(frame.bytes());
        }
    }
    bytes
}

fn recover(disk: Disk) -> Journal {
    let headers = journal::list_headers(&disk).unwrap();
    let tag = headers[0].1.unwrap().tag;
    Journal::recover(disk, tag, None).unwrap().journal
}

/// Does to the journal what a voter does that got these bytes from another one.
fn repair(folder: &Path, good: &[u8]) {
    let journal = recover(Disk::open(folder).unwrap());
    journal.order_repair(good).unwrap().perform().unwrap();
}

/// Damages a journal, repairs it, and looks at it before and after.
#[track_caller]
fn check_repair(first: u64, last: u64, damage: impl Fn(&mut [u8], &dyn Fn(u64) -> usize)) {
    let folder = tempfile::tempdir().unwrap();
    make_wall(folder.path());
    let good = frames(folder.path(), first, last);
    let shown = check("show", folder.path(), &[], 0, &[]);
    let before = entries(folder.path(), 0);
    let offsets = |index: u64| offset_of(folder.path(), index.try_into().unwrap());
    let file = folder.path().join(the_only_segment(folder.path()));
    let mut bytes = fs::read(&file).unwrap();
    let at = offsets(first);
    damage(&mut bytes, &offsets);
    fs::write(&file, bytes).unwrap();
    check(
        "verify",
        folder.path(),
        &[],
        5,
        &[&format!("at byte {at}: entries {first} to {last} are damaged (")],
    );

    repair(folder.path(), &good);
    let note =
        format!("at byte {at}: entries {first} to {last} are damaged here; a good copy lies in journal/");
    check("verify", folder.path(), &[], 0, &["note: journal/", &note, "no damage, 1 note"]);
    check("summary", folder.path(), &[], 0, &[&note, "1 with copies of damaged frames"]);
    assert_eq!(check("show", folder.path(), &[], 0, &[]), shown);
    let after = entries(folder.path(), 0);
    let indexes = |lines: &[serde_json::Value]| -> Vec<usize> {
        lines.iter().filter(|line| line["index"].is_u64()).map(|line| number(&line["index"])).collect()
    };
    assert_eq!(indexes(&after), indexes(&before), "an entry is left out");
}

#[test]
fn a_frame_with_a_good_copy_is_a_note() {
    check_repair(5, 5, |bytes, offset| bytes[offset(5) + 140] ^= 1);
    check_repair(5, 5, |bytes, offset| bytes[offset(5) + 20] ^= 1);
}

#[test]
fn two_frames_under_one_bad_sector_are_one_note() {
    check_repair(5, 6, |bytes, offset| bytes[offset(5) + 64..offset(6) + 64].fill(0xee));
}

/// The disk gave an older frame back where another belongs: whole, and not part of the chain there.
#[test]
fn a_stale_frame_is_as_good_as_a_damaged_one() {
    check_repair(6, 6, |bytes, offset| {
        let (older, at) = (offset(5), offset(6));
        let frame = bytes[older..at].to_vec();
        assert!(frame.len() <= offset(7) - at, "the older one must not reach into the next");
        bytes[at..at + frame.len()].copy_from_slice(&frame);
    });
}

/// A copy that is damaged itself is none.
#[test]
fn a_bad_copy_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    make_wall(folder.path());
    let good = frames(folder.path(), 5, 5);
    let segment = the_only_segment(folder.path());
    flip(&folder.path().join(&segment), offset_of(folder.path(), 5) + 140);
    repair(folder.path(), &good);
    let copies = fs::read_dir(folder.path().join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let copy =
        copies.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "repair")).unwrap();
    flip(&copy, 512 + 140);
    check(
        "verify",
        folder.path(),
        &[],
        5,
        &[&format!("damage: {segment}"), "another voter is asked for a good copy"],
    );
}
