//! What is found before a voter is started.

use crate::wall::{Wall, master};

fn check(wall: &Wall, arguments: &[&str], code: i32, part: &str) {
    let output = master(&wall.pc(), arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stdout}{stderr}");
    let said = if code == 0 { stdout } else { stderr + &stdout };
    assert!(said.contains(part), "{arguments:?}: {said}");
}

#[test]
fn a_voter_whose_disk_was_replaced_can_be_installed() {
    let wall = Wall::make();
    std::fs::remove_dir_all(wall.pc().join("data")).unwrap();
    check(&wall, &["config", "check"], 0, "this voter would learn and not count");
    check(&wall, &["service", "install", "--print", "--standby"], 0, "--standby");
    assert!(!wall.pc().join("data").exists(), "looking makes nothing");
    std::fs::write(wall.pc().join("data"), "a file").unwrap();
    check(&wall, &["config", "check"], 1, "data");
}
