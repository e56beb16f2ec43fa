//! How much memory of its own the program needs for a long journal.
//!
//! `cargo test -p inspect --test program memory -- --nocapture` prints the figure.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Command, Stdio};

use crate::wall::{Voter, long_text, place};

const JOURNAL_MIB: u64 = 150;
/// What the documentation promises, in KiB.
const PRIVATE_KIB_MAX: u64 = 32 * 1024;
/// Commands in a frame, as under load.
const IN_FRAME: u64 = 100;

#[test]
fn a_long_journal_is_verified_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut voter = Voter::found(folder.path());
    voter.write_one(2, 1, &place("pc1", 1));
    let command = long_text();
    let (mut sequence, mut bytes) = (1, 0);
    while bytes < JOURNAL_MIB << 20 {
        for _ in 0..IN_FRAME {
            sequence += 1;
            voter.give(2, sequence, &command);
        }
        voter.write();
        voter.sync();
        bytes = fs::read_dir(folder.path().join("journal"))
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
    }
    voter.leave();

    // The kernel refuses more private memory than that, so the program ends if it asks for it.
    let limited = format!("ulimit -d {PRIVATE_KIB_MAX}; exec \"$0\" verify \"$1\"");
    let mut child = Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_inspect")])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(private_kib(child.id()));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    println!("{said}{} MiB of journal: at most {most} KiB of private memory", bytes >> 20);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("no damage"), "{said}");
    assert!((1..=PRIVATE_KIB_MAX).contains(&most), "{most} KiB of private memory");
}

/// Of a running process; 0 if it has gone.
fn private_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
