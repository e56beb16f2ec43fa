//! The program on real directories: what it prints, where it finds damage, and its exit codes.

mod wall;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;
use std::thread;

use serde_json::Value;
use wall::{flip, make_snapshot, make_wall, open_wall, the_only_segment, three_voters};

fn inspect(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_inspect")).args(arguments).env_remove("RUST_LOG").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// Runs `inspect ACTION FOLDER ARGUMENTS` and checks the exit code and parts of standard output.
#[track_caller]
fn check(action: &str, place: &Path, arguments: &[&str], code: i32, parts: &[&str]) -> String {
    let all = [&[action, place.to_str().unwrap()], arguments].concat();
    let (found, stdout, stderr) = inspect(&all);
    assert_eq!(found, code, "{all:?}\n{stdout}{stderr}");
    for part in parts {
        assert!(stdout.contains(part), "{all:?}: no {part:?} in\n{stdout}{stderr}");
    }
    stdout
}

fn json(action: &str, place: &Path, code: i32) -> Value {
    serde_json::from_str(&check(action, place, &["--json"], code, &[])).unwrap()
}

fn entries(place: &Path, code: i32) -> Vec<Value> {
    let lines = check("journal", place, &["--json"], code, &[]);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap().try_into().unwrap()
}

/// Where the frame with this entry begins.
fn offset_of(place: &Path, index: usize) -> usize {
    let all = entries(place, 0);
    number(&all.iter().find(|entry| number(&entry["index"]) == index).unwrap()["offset"])
}

#[test]
fn a_sound_directory_is_shown_while_its_store_runs() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_wall(folder.path());
    make_snapshot(folder.path(), 5);
    let last = store.applied().index().0;

    check("verify", folder.path(), &[], 0, &["verified 1 snapshots", "no damage"]);
    let summary = json("summary", folder.path(), 0);
    assert_eq!(summary["identity"]["standing"], "settled");
    assert_eq!(summary["journal"]["last"]["index"], last);
    assert_eq!(summary["journal"]["committed"], last, "a sole voter is its own majority");
    assert_eq!(summary["newest_snapshot"]["at"]["index"], 5);
    assert_eq!(summary["voters"][0]["name"], "embedded");
    check("summary", folder.path(), &[], 0, &["damage     none found", "voter      embedded"]);
    check(
        "snapshots",
        folder.path(),
        &[],
        0,
        &["snapshots/00000000000000000005.snapshot", "fleet schema 1  valid"],
    );

    let shown = json("show", folder.path(), 0);
    assert_eq!((&shown["index"], &shown["certainty"]), (&last.into(), &"committed".into()));
    assert_eq!(shown["nodes"][0]["desired"]["properties"]["brightness"], 60);
    check("show", folder.path(), &[], 0, &["| pc1 ", "| pc2 ", "| brightness=60 ", "| unseen "]);
}

#[test]
fn a_journal_that_grows_meanwhile_is_not_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_wall(folder.path());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| wall::write_until(&store, &stop));
        let _stop = wall::StopWhenDropped(&stop);
        let mut last = 0;
        // Until the journal has gone on to its second file, and then a few times more.
        let (mut segments, mut looks) = (0, 0);
        while segments < 2 || looks < 5 {
            let verified = json("verify", folder.path(), 0);
            let now = verified["last"]["index"].as_u64().unwrap();
            assert!(now >= last, "{now} after {last}");
            check("show", folder.path(), &[], 0, &["as of entry"]);
            (last, segments, looks) = (now, number(&verified["segments"]), looks + 1);
        }
    });
}

#[test]
fn the_journal_says_who_did_what() {
    let folder = tempfile::tempdir().unwrap();
    make_wall(folder.path());
    let lines = entries(folder.path(), 0);
    let kinds: Vec<&str> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["members", "noop", "register"]);
    let set = lines.iter().find(|line| line["payload"]["command"] == "set").unwrap();
    assert_eq!(set["payload"]["properties"]["brightness"], 80);
    assert_eq!((&set["actor"], &set["role"]), (&"embedded".into(), &"operator".into()));
    let part = check("journal", folder.path(), &["--from", "4", "--to", "5"], 0, &["embedded (operator)"]);
    assert_eq!(part.lines().count(), 2, "{part}");
}

#[test]
fn the_past_is_shown_to_the_entry() {
    let folder = tempfile::tempdir().unwrap();
    make_wall(folder.path());
    // Several commands that were given together are one frame.
    let lines = entries(folder.path(), 0);
    let levels: Vec<(u64, i64)> = lines
        .iter()
        .filter_map(|line| Some((line["index"].as_u64()?, line["payload"]["properties"]["level"].as_i64()?)))
        .collect();
    assert_eq!(levels.len(), 5);
    let frames: std::collections::BTreeSet<usize> =
        lines.iter().map(|line| number(&line["offset"])).collect();
    assert!(frames.len() < lines.len(), "every frame holds a single entry");
    for (index, level) in levels {
        let shown = check("show", folder.path(), &["--json", "--at", &index.to_string()], 0, &[]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["index"], index);
        assert_eq!(shown["nodes"][0]["desired"]["properties"]["level"], level, "at {index}");
    }
    let (code, _, stderr) = inspect(&["show", folder.path().to_str().unwrap(), "--at", "999"]);
    assert!(code == 1 && stderr.contains("no entry 999"), "{code} {stderr}");
}

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
        check("journal", folder.path(), &[], 5, &[&place, "\"level\":5"]);
        let problem = json("verify", folder.path(), 5)["problems"][0].clone();
        assert_eq!((number(&problem["offset"]), &problem["file"]), (offset, &segment.clone().into()));
        // What lies before it can be seen, what lies behind it cannot.
        check("show", folder.path(), &["--at", "4"], 5, &["as of entry 4"]);
        let (code, stdout, stderr) = inspect(&["show", folder.path().to_str().unwrap(), "--at", "6"]);
        assert_eq!((code, stdout.as_str()), (5, ""), "{stderr}");
        assert!(stderr.contains("leads only to 4"), "{stderr}");
        // A snapshot leads past it: then nothing is lost, and still the disk is at fault.
        flip(&folder.path().join(&segment), offset + byte);
        make_snapshot(folder.path(), 6);
        flip(&folder.path().join(&segment), offset + byte);
        check("show", folder.path(), &["--at", "7"], 5, &["as of entry 7"]);
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
        check("verify", folder.path(), &[], 5, &[&format!("damage: {name}: ")]);
        check("verify", &file, &[], 5, &["1 place is damaged"]);
        let (code, stdout, stderr) = inspect(&["show", file.to_str().unwrap()]);
        assert_eq!((code, stdout.as_str()), (5, ""), "{stderr}");
        assert!(stderr.contains("not a valid snapshot"), "{stderr}");
        assert_eq!(check("show", folder.path(), &[], 5, &[]), before, "the older snapshot serves as well");
        flip(&file, byte);
    }
}

#[test]
fn a_snapshot_file_is_shown_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    make_wall(folder.path());
    let file = folder.path().join(make_snapshot(folder.path(), 6));
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("backup");
    fs::copy(&file, &copy).unwrap();
    check("show", &copy, &[], 0, &["as of entry 6", "pc1"]);
    check("verify", &copy, &[], 0, &["no damage"]);
    assert_eq!(json("snapshots", &copy, 0)[0]["at"]["index"], 6);
    let (code, _, stderr) = inspect(&["show", copy.to_str().unwrap(), "--at", "5"]);
    assert!(code == 1 && stderr.contains("state at 6 only"), "{stderr}");
    fs::write(&copy, b"something else").unwrap();
    check("snapshots", &copy, &[], 5, &["not valid: it holds 14 bytes"]);
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
    for (file, what) in [("meta.0", "the other one is good"), ("mark", "recovery does without it")] {
        let folder = tempfile::tempdir().unwrap();
        make_wall(folder.path());
        flip(&folder.path().join(file), 20);
        check("verify", folder.path(), &[], 5, &[&format!("damage: {file}: "), what]);
    }
}

#[test]
fn what_no_voter_starts_from_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    make_wall(folder.path());
    let segment = folder.path().join(the_only_segment(folder.path()));
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 7]).unwrap();
    check("verify", folder.path(), &[], 5, &["damage: journal", "no voter starts from it"]);
    fs::write(&segment, bytes).unwrap();

    fs::remove_file(folder.path().join("meta.1")).unwrap();
    check("verify", folder.path(), &[], 5, &["damage: meta.1: this copy of the identity is gone"]);
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
    check("verify", folder.path(), &[], 5, &["damage: mark: it says that", "was durable"]);
}

#[test]
fn what_is_not_known_to_be_committed_is_shown_on_request_only() {
    let folder = tempfile::tempdir().unwrap();
    three_voters(folder.path());
    check("verify", folder.path(), &[], 0, &["no damage"]);
    check(
        "summary",
        folder.path(),
        &[],
        0,
        &["entries 1 to 1:4#", "known committed 3", "voter      pc3 10.0.0.3:7400"],
    );
    check("show", folder.path(), &[], 0, &["as of entry 3", "goes on to 4", "| pc1 "]);
    let all = check("show", folder.path(), &["--at", "4"], 0, &["not known to be committed", "| pc1 "]);
    assert!(all.contains("pc2"), "{all}");
}

#[test]
fn what_is_no_fleet_is_not_misread() {
    let folder = tempfile::tempdir().unwrap();
    wall::make_counter(folder.path());
    let path = folder.path().to_str().unwrap();
    for action in ["show", "journal"] {
        let (code, stdout, stderr) = inspect(&[action, path]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.contains("another program's state"), "{stderr}");
    }
    check("summary", folder.path(), &[], 0, &["entries 1 to"]);
    check("verify", folder.path(), &[], 0, &["note: journal", "no damage"]);
}

#[test]
fn what_is_no_data_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for action in ["summary", "snapshots", "show", "journal", "verify"] {
        let (code, stdout, stderr) = inspect(&[action, path]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.contains("no data directory"), "{action}: {stderr}");
        assert_eq!(inspect(&[action, "no/such/place"]).0, 1);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was created");
    let (code, stdout, _) = inspect(&["--help"]);
    assert!(code == 0 && stdout.contains("Examples:") && stdout.contains("Exit codes:"), "{stdout}");
    assert_eq!(inspect(&["summary"]).0, 2);
}
