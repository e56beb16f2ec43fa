//! What is missing, and what only looks bad: `verify` and its exit codes.

use std::fs;

use crate::wall::{self, flip, long_wall, make_snapshot, make_wall, the_only_segment};
use crate::{check, entries, inspect, json, number, offset_of};

#[test]
fn damage_in_the_journal_is_found_with_file_and_offset() {
    // In the header, and in the contents.
    for byte in [20, 140] {
        let folder = tempfile::tempdir().unwrap();
        make_wall(folder.path());
        let offset = offset_of(folder.path(), 5);
        let segment = the_only_segment(folder.path());
        flip(&folder.path().join(&segment), offset + byte);
        let place = format!("damage: {segment} at byte {offset}: ");
        check("verify", folder.path(), &[], 5, &[&place, "1 place is damaged"]);
        check("summary", folder.path(), &[], 5, &[&place]);
        check("journal", folder.path(), &[], 5, &[&place, "1:5 to 5 are damaged", "set all level=5"]);
        let problem = json("verify", folder.path(), 5)["problems"][0].clone();
        assert_eq!((number(&problem["offset"]), &problem["file"]), (offset, &segment.clone().into()));
        // What lies before it can be seen, what lies behind it cannot.
        check("show", folder.path(), &["--at", "4"], 5, &["as of entry 4"]);
        let (code, stdout, stderr) = inspect(&["show", folder.path().to_str().unwrap(), "--at", "6"]);
        assert_eq!((code, stdout.as_str()), (5, ""), "{stderr}");
        assert!(stderr.contains("leads only to 4"), "{stderr}");
        // A snapshot leads past it: then nothing is lost.
        flip(&folder.path().join(&segment), offset + byte);
        make_snapshot(folder.path(), 6);
        flip(&folder.path().join(&segment), offset + byte);
        check("show", folder.path(), &["--at", "7"], 0, &["as of entry 7"]);
        check(
            "verify",
            folder.path(),
            &[],
            0,
            &["note: journal", "a snapshot covers them", "no damage, 1 note"],
        );
    }
}

#[test]
fn every_byte_of_a_frame_is_covered() {
    let folder = tempfile::tempdir().unwrap();
    make_wall(folder.path());
    let offset = offset_of(folder.path(), 5);
    let segment = folder.path().join(the_only_segment(folder.path()));
    for byte in (0..256).step_by(25) {
        flip(&segment, offset + byte);
        check("verify", folder.path(), &[], 5, &[&format!("at byte {offset}: ")]);
        flip(&segment, offset + byte);
    }
    check("verify", folder.path(), &[], 0, &["no damage"]);
}

#[test]
fn a_damaged_snapshot_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    make_wall(folder.path());
    make_snapshot(folder.path(), 5);
    let name = make_snapshot(folder.path(), 6);
    let before = check("show", folder.path(), &[], 0, &[]);
    for (byte, why) in [(60, "its header does not match"), (600, "not valid")] {
        let file = folder.path().join(&name);
        flip(&file, byte);
        check("snapshots", folder.path(), &[], 5, &[why, "  valid\n"]);
        check("verify", folder.path(), &[], 0, &[&format!("note: {name}: "), "no damage, 1 note"]);
        check("verify", &file, &[], 5, &["1 place is damaged"]);
        let (code, stdout, stderr) = inspect(&["show", file.to_str().unwrap()]);
        assert_eq!((code, stdout.as_str()), (5, ""), "{stderr}");
        assert!(stderr.contains("not a valid snapshot"), "{stderr}");
        assert_eq!(check("show", folder.path(), &[], 0, &[]), before, "the older snapshot serves as well");
        flip(&file, byte);
    }
}

#[test]
fn a_snapshot_of_another_history_is_noticed() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_wall(one.path());
    make_wall(other.path());
    let name = make_snapshot(one.path(), 5);
    fs::create_dir_all(other.path().join("snapshots")).unwrap();
    fs::copy(one.path().join(&name), other.path().join(&name)).unwrap();
    check("verify", other.path(), &[], 5, &[&name, "belongs to cluster", "and the journal holds"]);
}

#[test]
fn small_files_are_verified_too() {
    for (file, what) in [("meta.0", "the other one is good"), ("mark", "the journal is read without it")] {
        let folder = tempfile::tempdir().unwrap();
        make_wall(folder.path());
        flip(&folder.path().join(file), 20);
        check("verify", folder.path(), &[], 0, &[&format!("note: {file}: "), what, "no damage, 1 note"]);
        check("summary", folder.path(), &[], 0, &[&format!("note: {file}: "), "damage     none found"]);
    }
}

#[test]
fn a_file_that_lost_its_end_or_its_twin_is_judged_by_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    make_wall(folder.path());
    let segment = folder.path().join(the_only_segment(folder.path()));
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 7]).unwrap();
    check("verify", folder.path(), &[], 0, &["note: journal/", "which no segment is", "no damage, 1 note"]);
    fs::write(&segment, &bytes[..2007]).unwrap();
    check("verify", folder.path(), &[], 5, &["note: journal/", "which no segment is", "damage: journal"]);
    fs::write(&segment, bytes).unwrap();

    fs::remove_file(folder.path().join("meta.1")).unwrap();
    check("verify", folder.path(), &[], 0, &["note: meta.1: this copy of the identity is gone"]);
    fs::write(folder.path().join("meta.0"), [0; 513]).unwrap();
    check("verify", folder.path(), &[], 5, &["damage: meta.0: "]);
}

#[test]
fn a_journal_that_ends_before_the_mark_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    make_wall(folder.path());
    let last = entries(folder.path(), 0).pop().unwrap();
    let segment = folder.path().join(the_only_segment(folder.path()));
    let mut bytes = fs::read(&segment).unwrap();
    bytes[number(&last["offset"])..].fill(0);
    fs::write(&segment, bytes).unwrap();
    for action in ["verify", "summary", "journal"] {
        check(action, folder.path(), &[], 5, &["damage: journal: ", "the mark says that entries up to"]);
    }
    let (code, stdout, stderr) = inspect(&["show", folder.path().to_str().unwrap()]);
    assert_eq!(code, 5, "{stdout}{stderr}");
    assert!(
        stderr.contains("the mark says that entries up to"),
        "less is shown than the mark says, and nobody says so"
    );
}

/// What the journal builds on, and every segment under the mark.
#[test]
fn files_that_count_are_missed() {
    let folder = tempfile::tempdir().unwrap();
    let segments = long_wall(folder.path());
    let path = |name: &str| folder.path().join(name);
    check("verify", folder.path(), &[], 0, &["no damage"]);

    let newest = fs::read(path(&segments[1])).unwrap();
    fs::write(path(&segments[1]), vec![0; newest.len()]).unwrap();
    check("verify", folder.path(), &[], 5, &["damage: journal: ", "the mark says that entries up to"]);
    fs::remove_file(path(&segments[1])).unwrap();
    check("verify", folder.path(), &[], 5, &["damage: journal: ", "which the ballot names, is missing"]);
    fs::write(path(&segments[1]), newest).unwrap();
    check("verify", folder.path(), &[], 0, &["no damage"]);

    // Without the oldest one the journal builds on a snapshot, and there is none.
    let oldest = fs::read(path(&segments[0])).unwrap();
    fs::remove_file(path(&segments[0])).unwrap();
    check("verify", folder.path(), &[], 5, &["damage: snapshots: ", "the newest usable one ends at entry 0"]);
    let listed = check("journal", folder.path(), &[], 5, &["damage: snapshots: "]);
    assert!(listed.lines().count() > 10, "what is there is shown all the same: {listed}");
    fs::write(path(&segments[0]), oldest).unwrap();

    fs::remove_dir_all(path("journal")).unwrap();
    check(
        "verify",
        folder.path(),
        &[],
        5,
        &["damage: journal: entries from 1 on are in doubt", "is missing"],
    );
    check(
        "summary",
        folder.path(),
        &[],
        5,
        &["damage: journal: entries from 1 on are in doubt", "is missing"],
    );
    assert_eq!(inspect(&["show", folder.path().to_str().unwrap()]).0, 5);
}

/// Damage in the last frame, above the mark: a sector that was never written is no loss, anything else may be one.
#[test]
fn a_torn_end_is_a_note_and_a_doubtful_one_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = wall::open_wall(folder.path());
    let mark = fs::read(folder.path().join("mark")).unwrap();
    store.execute(wall::long_text()).unwrap();
    drop(store);
    let last = entries(folder.path(), 0).pop().unwrap();
    let (index, offset) = (number(&last["index"]), number(&last["offset"]));
    // The power went before the newest mark was on the disk.
    fs::write(folder.path().join("mark"), mark).unwrap();
    check("verify", folder.path(), &[], 0, &["no damage\n"]);
    let segment = the_only_segment(folder.path());
    let file = folder.path().join(&segment);
    let good = fs::read(&file).unwrap();

    flip(&file, offset + 300);
    let place = format!("damage: {segment} at byte {offset}: entries from {index} on are in doubt");
    check("verify", folder.path(), &[], 5, &[&place]);
    check("journal", folder.path(), &[], 5, &[&place]);

    let mut torn = good;
    let sector = (offset / 512 + 1) * 512;
    torn[sector..sector + 512].fill(0);
    fs::write(&file, torn).unwrap();
    let place = format!("note: {segment} at byte {offset}: entry {index} was never written whole");
    check("verify", folder.path(), &[], 0, &[&place, "no damage, 1 note"]);
    check("show", folder.path(), &[], 0, &[&format!("as of entry {}", index - 1)]);
}

#[test]
fn a_copy_that_was_made_while_its_owner_wrote_is_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = wall::open_wall(folder.path());
    let copy = tempfile::tempdir().unwrap();
    let take = |name: &str| {
        fs::create_dir_all(copy.path().join(name).parent().unwrap()).unwrap();
        fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    };
    let take_all = |names: &[&str]| names.iter().for_each(|name| take(name));
    // The journal first, and the mark last: it speaks of what the copy of the journal does not hold.
    take_all(&["LOCK", "meta.0", "meta.1", &the_only_segment(folder.path())]);
    store.execute(wall::long_text()).unwrap();
    take("mark");
    check("verify", copy.path(), &[], 5, &["damage: journal: ", "a copy that was made while the voter ran"]);
    // The other way round it is as of the moment of the mark, or later.
    take_all(&["mark", &the_only_segment(folder.path())]);
    check("verify", copy.path(), &[], 0, &["no damage\n"]);
    check("verify", folder.path(), &[], 0, &["no damage\n"]);
}
