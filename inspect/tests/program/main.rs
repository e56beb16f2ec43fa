//! The program on real directories: what it prints, where it finds damage, and its exit codes.

mod damage;
mod memory;
mod past;
mod repaired;
#[path = "../../../fleetctl/tests/cluster/schema.rs"]
mod schema;
mod wall;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;
use std::thread;

use serde_json::Value;
use wall::{make_snapshot, make_wall, open_wall};

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
        let writer = scope.spawn(|| wall::write_until(&store, &stop));
        let _stop = wall::StopWhenDropped(&stop);
        let mut last = 0;
        // Until the journal has gone on to its second file, and then a few times more.
        let (mut segments, mut looks) = (0, 0);
        while segments < 2 || looks < 5 {
            assert!(!writer.is_finished(), "nobody writes any more");
            let verified = json("verify", folder.path(), 0);
            let now = verified["last"]["index"].as_u64().unwrap();
            assert!(now >= last, "{now} after {last}");
            check("show", folder.path(), &[], 0, &["as of entry"]);
            (last, segments, looks) = (now, number(&verified["segments"]), looks + 1);
        }
    });
}

/// Every output for programs is as its schema says. (`diff`, `blame` and `export`: see `past`.)
#[test]
fn outputs_keep_to_their_schemas() {
    let folder = tempfile::tempdir().unwrap();
    make_wall(folder.path());
    let bad = make_snapshot(folder.path(), 5);
    make_snapshot(folder.path(), 6);
    wall::flip(&folder.path().join(&bad), 600);
    wall::flip(&folder.path().join("meta.1"), 20);
    schema::check("inspect-summary", &json("summary", folder.path(), 0));
    schema::check("inspect-snapshots", &json("snapshots", folder.path(), 5));
    schema::check("inspect-show", &json("show", folder.path(), 0));
    schema::check("inspect-verify", &json("verify", folder.path(), 0));
    let lines = entries(folder.path(), 0);
    assert!(lines.iter().any(|line| line.get("problem").is_some()), "notes are lines of the journal too");
    lines.iter().for_each(|line| schema::check("inspect-journal", line));

    let other = tempfile::tempdir().unwrap();
    wall::three_voters(other.path());
    schema::check("inspect-summary", &json("summary", other.path(), 0));
    schema::check("inspect-show", &json("show", other.path(), 0));
    entries(other.path(), 0).iter().for_each(|line| schema::check("inspect-journal", line));
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
fn what_is_no_fleet_is_not_misread() {
    let folder = tempfile::tempdir().unwrap();
    wall::make_counter(folder.path());
    let path = folder.path().to_str().unwrap();
    for action in ["show", "journal", "export"] {
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
    for action in ["summary", "snapshots", "show", "journal", "export", "verify"] {
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
