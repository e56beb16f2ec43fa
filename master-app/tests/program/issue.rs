//! A folder for one more PC or person, as it is made without the cluster.

use std::path::Path;

use position::MemberId;
use shipper::{Credentials, Holder, Serial};

use crate::wall::master;

/// A cluster of three voters, which nobody starts.
fn init(folder: &Path) {
    std::fs::write(folder.join("fleet.csv"), "name,row,column\npc1,1,1\npc2,1,2\npc3,1,3\n").unwrap();
    let voters = "pc1=10.0.0.1:7400,pc2=10.0.0.2:7400,pc3=10.0.0.3:7400";
    runs(folder, &["init", "--fleet", "fleet.csv", "--voters", voters, "--out", "cluster"]);
}

#[track_caller]
fn runs(folder: &Path, arguments: &[&str]) -> String {
    let output = master(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refuses(folder: &Path, order: &str, code: i32, part: &str) {
    let before = files(folder);
    let output = master(folder, &order.split(' ').collect::<Vec<_>>());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{order}: {said}");
    assert!(said.contains(part), "{order}: {said}");
    assert_eq!(files(folder), before, "{order}");
}

/// Every file but the lock, with what is in it.
fn files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.push((entry.path(), Vec::new()));
            found.extend(files(&entry.path()));
        } else if entry.file_name() != "ledger.lock" {
            found.push((entry.path(), std::fs::read(entry.path()).unwrap()));
        }
    }
    found.sort();
    found
}

fn holder(folder: &Path, certificates: &str) -> (Holder, Serial) {
    let credentials = Credentials::load(&folder.join(certificates)).unwrap();
    (credentials.identity().holder.clone(), credentials.identity().serial)
}

/// The commands that `--help` shows.
fn examples(folder: &Path, order: &str) -> Vec<String> {
    let help = runs(folder, &[order, "--help"]);
    let (_, examples) = help.split_once("Examples:\n").expect("help has examples");
    let commands = examples.lines().filter_map(|line| line.trim().strip_prefix("master "));
    commands.map(str::to_owned).collect()
}

#[test]
fn what_help_shows_can_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    init(folder);
    let [issues, renews] = ["issue", "renew"].map(|order| examples(folder, order));
    assert_eq!((issues.len(), renews.len()), (5, 3));
    for example in issues.iter().chain(&renews) {
        let told = runs(folder, &example.split_whitespace().collect::<Vec<_>>());
        assert!(told.contains(" is made: certificate ") && told.contains("Next:"), "{told}");
        refuses(folder, example, 1, "exists already; nothing was changed");
    }
    let first = Serial::FIRST;
    assert_eq!(holder(folder, "pc10-voter/certificates/voter"), (Holder::Voter(MemberId(4)), first));
    assert_eq!(holder(folder, "ann/certificates").0.to_string(), "admin ann");
    assert_eq!(holder(folder, "pc10-node/certificates/node").0.to_string(), "node pc10");
    let second = first.next().unwrap();
    assert_eq!(holder(folder, "pc3-again/certificates/voter"), (Holder::Voter(MemberId(3)), second));

    // What it starts from: no identity, and everybody's address.
    let data = folder.join("pc10-voter/data");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
    let config = std::fs::read_to_string(folder.join("pc10-voter/master.toml")).unwrap();
    assert!(config.contains("listen = \"10.0.0.10:7400\""), "{config}");
    for last in [1, 2, 3, 10] {
        assert!(config.contains(&format!("\"10.0.0.{last}:7400\"")), "{config}");
    }
    let check = runs(folder, &["config", "check", "--config", "pc10-voter/master.toml"]);
    assert!(check.contains("starts as a learner: no identity in"), "{check}");
    // The address that pc2 moved to is what the next one is told.
    runs(folder, &["issue", "viewer", "wall2", "--authority", "cluster/authority", "--out", "wall2"]);
    let config = std::fs::read_to_string(folder.join("wall2/fleetctl.toml")).unwrap();
    assert!(config.contains("10.0.1.2:7400") && !config.contains("10.0.0.2:7400"), "{config}");
}

#[test]
fn what_cannot_be_issued_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    init(folder);
    let rest = "--authority cluster/authority --out new";
    let check = |order: &str, code, part| refuses(folder, &format!("{order} {rest}"), code, part);
    check("issue voter pc10", 1, "add --address ADDRESS:PORT");
    check("issue node pc10 --address 10.0.0.10:7400", 1, "only a voter listens");
    check("issue voter pc10 --address 10.0.0.3:7400", 1, "the address of voter pc3");
    check("issue voter PC3 --address 10.0.0.9:7400", 1, "voter pc3 has certificate 1 already");
    check("issue node pc2", 1, "master renew node pc2");
    check("issue voter operator --address 10.0.0.9:7400", 1, "no PC can be named operator");
    check("issue admin a/b", 1, "is not a name");
    check("renew admin ann", 1, "there is no admin ann in the ledger");
    check("issue king ann", 2, "admin");
    check("issue voter pc10 --address 0.0.0.0:7400", 2, "no machine's address");
    refuses(folder, "issue admin ann --authority cluster/pc1 --out new", 1, "nothing was made");

    let ledger = folder.join("cluster/authority/ledger.json");
    let whole = std::fs::read(&ledger).unwrap();
    std::fs::write(&ledger, &whole[..whole.len() / 2]).unwrap();
    check("issue admin ann", 1, "ledger.json");
    std::fs::remove_file(&ledger).unwrap();
    check("issue admin ann", 1, "restore it from where a copy");
}
