//! The program as a script meets it, without a cluster: exit codes, and which stream says what.

use std::path::Path;
use std::process::{Command, Output};

use position::ClusterId;
use prevalent::Role;
use shipper::{Authority, Holder, Name, Serial};

fn certificates(folder: &Path) {
    let authority = Authority::create(ClusterId(7)).unwrap();
    let holder = Holder::Operator(Name::new("operator").unwrap());
    assert_eq!(holder.role(), Role::Operator);
    authority.issue(holder, Serial::FIRST, &folder.join("certificates")).unwrap();
}

fn fleetctl(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_fleetctl"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("FLEETCTL_CONFIG")
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn check(folder: &Path, arguments: &[&str], code: i32, parts: &[&str]) {
    let (found, stdout, stderr) = fleetctl(folder, arguments);
    assert_eq!(found, code, "{arguments:?}: {stderr}");
    assert_eq!(stdout, "", "{arguments:?}");
    for part in parts {
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
}

#[test]
fn without_a_master_it_says_whom_it_tried() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    // Nobody listens on the port that a socket of this test holds without ever reading.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let config = format!("[cluster]\nvoters = [\"{address}\"]\ncertificates = \"certificates\"\n");
    std::fs::write(folder.path().join("fleetctl.toml"), config).unwrap();
    for action in [&["status"][..], &["set", "all", "a=1"], &["export", "wall.json"], &["watch"]] {
        let arguments = [&["--timeout", "1"], action].concat();
        check(folder.path(), &arguments, 3, &["no master", &address, "nothing was changed"]);
    }
    assert!(!folder.path().join("wall.json").exists());
    for action in [&["log"][..], &["log", "--follow"], &["revert", "--to", "5"]] {
        check(folder.path(), &[&["--timeout", "1"], action].concat(), 3, &["no voter", &address]);
    }
}

#[test]
fn what_is_wrong_here_needs_no_cluster() {
    let folder = tempfile::tempdir().unwrap();
    check(folder.path(), &["set", "all"], 2, &["KEY=VALUE"]);
    check(folder.path(), &["status"], 1, &["fleetctl.toml", "--voter"]);
    std::fs::write(folder.path().join("fleetctl.toml"), "[cluster]\nvoters = 5\n").unwrap();
    check(folder.path(), &["status"], 1, &["fleetctl.toml line 2, column 10"]);

    let config = "[cluster]\nvoters = [\"127.0.0.1:1\"]\ncertificates = \"certificates\"\n";
    std::fs::write(folder.path().join("fleetctl.toml"), config).unwrap();
    check(folder.path(), &["status"], 1, &["ca.pem"]);
    certificates(folder.path());
    check(folder.path(), &["set", "all", "a=1", "a=2"], 2, &["a is given twice"]);
    std::fs::write(folder.path().join("wall.csv"), "name,row\npc1,x\n").unwrap();
    check(
        folder.path(),
        &["import", "wall.csv"],
        1,
        &["wall.csv line 2, column 2 (row)", "Nothing was changed"],
    );
}

#[test]
fn help_goes_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = fleetctl(folder.path(), &["--help"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("Examples:") && stdout.contains("Exit codes:"), "{stdout}");
}
