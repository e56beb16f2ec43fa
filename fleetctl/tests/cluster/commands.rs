//! Every subcommand once in earnest.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use fleet::Command;
use serde_json::Value;

use crate::schema::check;
use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn every_subcommand_keeps_to_its_schema() {
    let site = Site::start().await;
    check("status", &site.json(&["status"]));
    let nodes = site.json(&["nodes"]);
    check("nodes", &nodes);
    assert_eq!(nodes.as_array().unwrap().len(), 9);
    assert_eq!(site.json(&["nodes", "row:2"]).as_array().unwrap().len(), 3);
    assert_eq!(site.json(&["nodes", "column:1"]).as_array().unwrap().len(), 3);
    assert_eq!(site.json(&["nodes", "pc5"]).as_array().unwrap().len(), 1);
    assert!(!site.json(&["nodes", "label:left"]).as_array().unwrap().is_empty());

    let preview = site.json(&["set", "row:1", "brightness=5", "contrast=2.2", "--dry-run"]);
    check("changes", &preview);
    assert_eq!(preview.as_array().unwrap().len(), 6);
    assert_eq!(site.json(&["set", "row:1", "brightness=5", "--dry-run"]).as_array().unwrap().len(), 3);
    check("outcome", &site.json(&["set", "row:1", "brightness=5", "contrast=2.2"]));
    check("outcome", &site.json(&["unset", "pc1", "contrast"]));
    assert_eq!(site.told(&["set", "row:1", "brightness=5"]), "nothing had to be changed\n");
    assert_eq!(site.told(&["set", "row:1", "brightness=5", "--dry-run"]), "nothing would be changed\n");

    check("changes", &site.json(&["scene", "save", "day", "--dry-run"]));
    check("outcome", &site.json(&["scene", "save", "day"]));
    check("scenes", &site.json(&["scene", "list"]));
    site.told(&["set", "all", "brightness=1"]);
    let preview = site.told(&["scene", "apply", "day", "--dry-run"]);
    assert!(preview.contains("pc1: desired brightness 1 -> 5\n"), "{preview}");
    check("outcome", &site.json(&["scene", "apply", "day"]));
    check("outcome", &site.json(&["scene", "delete", "day"]));

    site.told(&["export", "wall.json"]);
    let wall = site.cluster.folder_of("operator").join("wall.json");
    check("export", &serde_json::from_slice(&std::fs::read(&wall).unwrap()).unwrap());
    std::fs::write(wall.with_file_name("new.csv"), "name,row,column\npc10,4,1\n").unwrap();
    check("changes", &site.json(&["import", "new.csv", "--dry-run"]));
    check("outcome", &site.json(&["import", "new.csv"]));
    // Undo in the console sends it; no subcommand does.
    let remove = Command::Remove { nodes: vec!["pc10".into()], addresses: vec!["pc1".into()] };
    site.operator.client().execute(&remove).await.unwrap().unwrap();
    for line in site.told(&["log", "--last", "1000", "--json"]).lines() {
        check("log", &serde_json::from_str(line).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_who_did_what_and_a_past_moment_comes_back() {
    let mut site = Site::start().await;
    site.told(&["scene", "save", "day"]);
    let then = site.json(&["nodes"]);
    let log = |arguments: &[&str]| -> Vec<Value> {
        let lines = site.told(&[&["log", "--json"], arguments].concat());
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let moment = log(&["--last", "1"]).remove(0);
    assert_eq!(moment["payload"]["command"], "save-scene");
    assert_eq!((&moment["actor"], &moment["role"]), (&"operator".into(), &"operator".into()));
    let index = moment["index"].to_string();

    site.told(&["set", "all", "brightness=1", "extra=true"]);
    site.told(&["scene", "delete", "day"]);
    site.refuses("operator", &["set", "pc99", "a=1"], 1, "no node named");
    let since = log(&["--since", &index]);
    assert_eq!(since.len(), 4, "{since:#?}");
    assert!(since[3]["rejection"].as_str().unwrap().contains("pc99"), "{since:#?}");
    assert_eq!(log(&["--since", &index, "--last", "2"]).len(), 2);
    assert_eq!(log(&["--since", "1h"]), log(&["--last", "100000"]));
    assert_eq!(site.run_as("operator", &["log", "--since", "0"]).stderr, "", "nothing is left out");
    let text = site.told(&["log", "--last", "2"]);
    assert!(text.contains("operator (operator): delete scene day -> done"), "{text}");
    assert!(text.contains("rejected: there is no node"), "{text}");
    // By a standby that has become master, too.
    let before = log(&["--last", "3"]);
    site.fail_over().await;
    let lines = site.told(&["log", "--json", "--last", "3"]);
    let after: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(after, before);

    let preview = site.told(&["revert", "--to", &index, "--dry-run"]);
    assert!(preview.contains("pc1: desired extra true -> (none)\n"), "{preview}");
    assert!(preview.contains("scene day: saved for pc1 "), "{preview}");
    check("changes", &site.json(&["revert", "--to", &index, "--dry-run"]));
    check("outcome", &site.json(&["revert", "--to", &index]));
    let desired = |nodes: &Value| -> Vec<Value> {
        nodes.as_array().unwrap().iter().map(|node| node["desired"]["properties"].clone()).collect()
    };
    assert_eq!(desired(&site.json(&["nodes"])), desired(&then));
    assert!(site.told(&["scene", "list"]).contains("day"));
    assert_eq!(site.told(&["revert", "--to", &index, "--dry-run"]), "nothing would be changed\n");
    site.refuses("operator", &["revert", "--to", "999999"], 1, "there is no entry 999999 yet");
    site.refuses("operator", &["revert", "--to", "1"], 1, "had no nodes");
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_see_each_change_once_across_a_change_of_master() {
    let mut site = Site::start().await;
    let start = |arguments: &[&str]| {
        let mut child = site.command("viewer", arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    };
    let (mut log, mut logged) = start(&["log", "--follow", "--json", "--last", "1"]);
    let (mut watch, mut watched) = start(&["watch", "pc5"]);
    let next = |lines: &mut std::io::Lines<BufReader<std::process::ChildStdout>>| -> Value {
        serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()
    };
    assert_eq!(next(&mut logged)["payload"]["command"], "import");
    // That it watches shows in the first change it tells: until then there is something to tell.
    let mut level = 0;
    let (send, first) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let change = next(&mut watched);
        send.send(()).unwrap();
        (change, watched)
    });
    while first.try_recv().is_err() {
        level += 1;
        site.told(&["set", "pc5", &format!("level={level}")]);
    }
    let (change, mut watched) = reader.join().unwrap();
    check("watch", &change);
    assert_eq!((&change["node"], &change["key"]), (&"pc5".into(), &"level".into()));

    site.fail_over().await;
    site.told(&["set", "pc5", "level=-1"]);
    while next(&mut watched)["to"] != -1 {}
    let mut expected = 1;
    loop {
        let line = next(&mut logged);
        check("log", &line);
        let told = &line["payload"]["properties"]["level"];
        if *told == -1 {
            break;
        }
        assert_eq!(*told, expected, "each once, and in order");
        expected += 1;
    }
    assert_eq!(expected, level + 1);
    for child in [&mut log, &mut watch] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_or_not_there_is_told_by_the_exit_code() {
    let mut site = Site::start().await;
    for arguments in [&["set", "all", "a=1"][..], &["set", "all", "a=1", "--dry-run"]] {
        site.refuses("viewer", arguments, 4, "viewer (viewer) may not change the fleet");
    }
    let as_node = ["--config", "../operator/fleetctl.toml", "--certificates", "certificates/node"];
    for arguments in [&["status"][..], &["nodes"], &["watch"], &["log"], &["log", "--follow"]] {
        site.refuses("pc4", &[&as_node, arguments].concat(), 4, "pc4 (node) may not ask this");
    }
    site.refuses("pc4", &[&as_node[..], &["revert", "--to", "5"]].concat(), 4, "pc4 (node) may not ask this");
    site.refuses("operator", &["nodes", "label:nobody"], 1, "label:nobody selects no node");
    site.refuses("operator", &["set", "row:9", "a=1", "--dry-run"], 1, "row:9");
    site.refuses("operator", &["scene", "apply", "night"], 1, "night");
    site.refuses("operator", &["top"], 1, "needs a terminal");
    assert_eq!(site.run_as("viewer", &["log", "--last", "1"]).code, 0);
    site.cluster.kill_all().unwrap();
    for arguments in
        [&["status"][..], &["log"], &["revert", "--to", "5"], &["set", "all", "a=1", "--dry-run"], &["watch"]]
    {
        let said = site.run_as("operator", &[arguments, &["--timeout", "1"]].concat());
        assert_eq!(said.code, 3, "{arguments:?}: {said:?}");
    }
}
