//! Moments of the past: `journal`, `show --at`, `diff`, `blame`, `export`.

use serde_json::Value;

use crate::wall::{Voter, make_snapshot, make_wall, place, set, three_voters};
use crate::{check, entries, inspect, number, schema};

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

/// What came of each entry, in a word.
fn results(lines: &[Value]) -> Vec<(usize, &str)> {
    lines.iter().filter_map(|line| Some((number(&line["index"]), line["result"].as_str()?))).collect()
}

#[test]
fn the_journal_says_what_came_of_each_entry() {
    let folder = tempfile::tempdir().unwrap();
    let mut voter = Voter::found(folder.path());
    voter.write_one(2, 5, &place("pc1", 1));
    voter.write_one(2, 5, &place("pc1", 1));
    voter.give(99, 1, &place("pc2", 2));
    voter.give(2, 6, &place("pc2", 1));
    voter.give(2, 4, &place("pc3", 3));
    voter.write();
    voter.leave();
    let lines = entries(folder.path(), 0);
    let expected = [
        (2, "executed"),
        (3, "executed"),
        (4, "skipped"),
        (5, "unknown-session"),
        (6, "rejected"),
        (7, "skipped"),
    ];
    assert_eq!(results(&lines), expected);
    assert_eq!(lines[3]["detail"], "it repeats entry 3 and was answered again");
    assert_eq!(
        (&lines[2]["certainty"], &lines[6]["certainty"]),
        (&"committed".into(), &"not-known-committed".into())
    );
    check(
        "journal",
        folder.path(),
        &[],
        0,
        &[
            "ann (operator)  place pc1 at row 1, column 1 -> executed: added 1 node: pc1",
            "place pc2 at row 1, column 2 -> unknown session: it was not executed",
            "place pc2 at row 1, column 1 -> rejected: ",
            "-> skipped: its client had the answer already",
        ],
    );
    // A snapshot is begun with where there is one: the answers are the same.
    make_snapshot(folder.path(), 3);
    let rest = check("journal", folder.path(), &["--json", "--from", "4"], 0, &[]);
    let rest: Vec<Value> = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(results(&rest), expected[2..]);
    assert_eq!(rest, lines[3..]);

    let exported = check("export", folder.path(), &[], 0, &[]);
    let exported: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let indexes: Vec<usize> = exported.iter().map(|line| number(&line["index"])).collect();
    assert_eq!(indexes, [3, 5, 6, 7], "a command that was only answered again was not done twice");
    assert_eq!(exported[0]["outcome"]["added"][0], "pc1");
    assert_eq!((&exported[0]["actor"], &exported[0]["sequence"]), (&"ann".into(), &5.into()));
    assert!(exported[2]["rejection"].is_string() && exported[1]["problem"].is_string());
    exported.iter().for_each(|line| schema::check("inspect-export", line));
}

#[test]
fn a_time_names_the_last_entry_that_was_written_by_then() {
    let folder = tempfile::tempdir().unwrap();
    let mut voter = Voter::found(folder.path());
    for level in 1..=5 {
        let command = if level == 1 { place("pc1", 1) } else { set("level", level) };
        voter.write_one(2, level.try_into().unwrap(), &command);
    }
    voter.leave();
    // Entry 3 was written two minutes after noon.
    for (time, entry) in [("12:02:01", 3), ("12:03:30", 4), ("12:04:00.2", 5), ("23:00", 7)] {
        check(
            "show",
            folder.path(),
            &["--at", &format!("2026-07-01T{time}")],
            0,
            &[&format!("as of entry {entry} of")],
        );
    }
    let path = folder.path().to_str().unwrap();
    let (code, _, stderr) = inspect(&["show", path, "--at", "1969-07-01T11:00"]);
    assert!(code == 1 && stderr.contains("is not kept: the journal begins at"), "{stderr}");
    assert_eq!(inspect(&["show", path, "--at", "soon"]).0, 2);
}

#[test]
fn two_moments_and_two_directories_are_compared() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_wall(one.path());
    let path = one.path().to_str().unwrap();
    let diff = |from: &str, to: &str| {
        let (code, text, stderr) = inspect(&["diff", from, to]);
        assert_eq!(code, 0, "{stderr}");
        let (_, json, _) = inspect(&["diff", from, to, "--json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        schema::check("inspect-diff", &json);
        (text, json)
    };
    let (text, json) = diff(&format!("{path}@6"), path);
    assert!(text.contains("pc1: desired brightness 80 -> 60\n"), "{text}");
    assert!(text.contains("pc2: desired level (none) -> 5\n"), "{text}");
    assert_eq!((&json["from"]["index"], json["changes"].as_array().unwrap().len()), (&6.into(), 4));
    assert!(diff(path, path).0.ends_with("no difference\n"));

    let mut voter = Voter::found(other.path());
    voter.write_one(2, 1, &place("pc1", 7));
    voter.write_one(2, 2, &place("pc9", 1));
    voter.leave();
    let (text, _) = diff(path, other.path().to_str().unwrap());
    for line in ["pc1: moved from row 1, column 1 to row 1, column 7\n", "pc2: removed\n"] {
        assert!(text.contains(line), "{text}");
    }
    let (code, _, stderr) = inspect(&["diff", &format!("{path}@999"), path]);
    assert!(code == 1 && stderr.contains("no entry 999"), "{stderr}");
    assert_eq!(inspect(&["diff", &format!("{path}@soon"), path]).0, 2);
}

#[test]
fn the_last_change_of_a_property_is_found_to_the_entry() {
    let folder = tempfile::tempdir().unwrap();
    let mut voter = Voter::found(folder.path());
    voter.write_one(2, 1, &place("pc1", 1));
    // In one frame, and in the end it is as it was: the last change is the last of the three.
    voter.write_one(2, 2, &set("level", 1));
    voter.give(2, 3, &set("level", 2));
    voter.give(2, 4, &set("level", 1));
    voter.give(2, 5, &set("dotted.key", 7));
    voter.give(2, 6, &set("level", 1));
    voter.write();
    voter.write_one(2, 7, &place("pc1", 2));
    voter.leave();
    let path = folder.path().to_str().unwrap();
    let blame = |property: &str| -> Value {
        let (code, stdout, stderr) = inspect(&["blame", path, property, "--json"]);
        assert_eq!(code, 0, "{stderr}");
        let blamed = serde_json::from_str(&stdout).unwrap();
        schema::check("inspect-blame", &blamed);
        blamed
    };
    let level = blame("pc1.level");
    assert_eq!(
        (&level["value"], &level["change"]["index"], &level["change"]["from"]),
        (&1.into(), &6.into(), &2.into())
    );
    assert_eq!(
        (&level["change"]["actor"], &level["change"]["payload"]["command"]),
        (&"ann".into(), &"set".into())
    );
    let dotted = blame("pc1.dotted.key");
    assert_eq!(
        (&dotted["node"], &dotted["key"], &dotted["change"]["index"]),
        (&"pc1".into(), &"dotted.key".into(), &7.into())
    );
    assert!(blame("pc1.never")["change"].is_null());
    let (_, text, _) = inspect(&["blame", path, "pc1.level"]);
    assert!(text.starts_with("pc1.level is 1\nsince entry 6 of 2026-07-01T12:"), "{text}");
    assert!(
        text.contains("before that it was 2\nby ann: set all level=1 -> changed 1 node: pc1\n"),
        "{text}"
    );
    let (code, _, stderr) = inspect(&["blame", path, "pc7.level"]);
    assert!(code == 1 && stderr.contains("there is no such node"), "{stderr}");
    assert_eq!(inspect(&["blame", path, "level"]).0, 1);

    // What lies before the oldest snapshot that the journal leads on from is not known.
    make_snapshot(folder.path(), 3);
    assert_eq!(blame("pc1.level")["kept_from"], 1, "the journal is whole, so it begins with the first entry");
}
