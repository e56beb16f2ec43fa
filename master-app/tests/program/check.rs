//! What is found before a voter is started, and what its exit code says when it cannot be.

use std::path::Path;

use crate::wall::{Wall, master};

fn check(wall: &Wall, arguments: &[&str], code: i32, part: &str) {
    let output = master(&wall.pc(), arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stdout}{stderr}");
    let said = if code == 0 { stdout } else { stderr + &stdout };
    assert!(said.contains(part), "{arguments:?}: {said}");
}

/// The same by the check and by the start.
fn check_both(wall: &Wall, code: i32, part: &str) {
    for arguments in [&["config", "check"][..], &["--config", "master.toml"]] {
        check(wall, arguments, code, part);
    }
}

fn damage(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_voter_whose_disk_was_replaced_can_be_installed() {
    let wall = Wall::make();
    std::fs::remove_dir_all(wall.pc().join("data")).unwrap();
    check(&wall, &["config", "check"], 0, "starts as a learner: no identity in");
    check(&wall, &["service", "install", "--print", "--standby"], 0, "--standby");
    assert!(!wall.pc().join("data").exists(), "looking makes nothing");
    std::fs::write(wall.pc().join("data"), "a file").unwrap();
    check(&wall, &["config", "check"], 1, "data");
}

#[test]
fn a_certificate_that_is_no_voters_is_refused() {
    let wall = Wall::make();
    let voter = wall.pc().join("certificates").join("voter");
    std::fs::remove_dir_all(&voter).unwrap();
    std::fs::rename(wall.folder_of("viewer").join("certificates"), &voter).unwrap();
    check_both(&wall, 4, "viewer");
}

/// Wine lets programs listen on addresses that the machine does not have.
#[cfg(unix)]
#[test]
fn an_address_that_the_pc_does_not_have_is_warned_of() {
    let wall = Wall::make();
    check(&wall, &["config", "check"], 0, "goes on as voter 1 with what is in");
    let text = std::fs::read_to_string(wall.pc().join("master.toml")).unwrap();
    // Of the addresses for documentation: nobody has it.
    let elsewhere = text.replacen("listen = \"127.0.0.1:", "listen = \"192.0.2.1:", 1);
    std::fs::write(wall.pc().join("master.toml"), elsewhere).unwrap();
    check(&wall, &["config", "check"], 0, "warning: 192.0.2.1 is no address of this machine");
    check(&wall, &["config", "check"], 0, "is not among the cluster's voters in this file (127.0.0.1:");
}

#[test]
fn whether_a_start_can_have_the_directory_is_tried() {
    let wall = Wall::make();
    let free = "data directory: free, and can be written to";
    check(&wall, &["config", "check"], 0, free);
    let owner = storage::Disk::open(wall.pc().join("data")).unwrap();
    check(&wall, &["config", "check"], 0, "data directory: in use: a voter runs on it now");
    drop(owner);
    check(&wall, &["config", "check"], 0, free);
    let left = std::fs::read_dir(wall.pc().join("data")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(
        !left.into_iter().any(|name| name.to_string_lossy().contains("config-check")),
        "looking makes nothing"
    );
}

#[test]
fn damage_on_the_disk_has_an_exit_code_of_its_own() {
    let wall = Wall::make();
    let data = wall.pc().join("data");
    for copy in ["meta.0", "meta.1"] {
        damage(&data.join(copy), 100);
    }
    check(&wall, &["config", "check"], 5, "both copies of the identity in");
}
