//! How much memory of its own the program needs for a long journal.
//!
//! `cargo test -p inspect --test program memory -- --nocapture` prints the figure.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;

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

    for action in ["verify", "show"] {
        let (said, most) = run_limited(action, folder.path());
        println!("{action}: at most {most} KiB of private memory for {} MiB of journal", bytes >> 20);
        assert!((1..=PRIVATE_KIB_MAX).contains(&most), "{action}: {most} KiB of private memory");
        let expected = if action == "verify" { "no damage" } else { "pc1" };
        assert!(said.contains(expected), "{action}: {said}");
    }
}

/// Runs the program with so much private memory. The kernel refuses more, so the program ends if it asks for it. Says
/// what it printed last, and the most that it had.
fn run_limited(action: &str, folder: &Path) -> (String, u64) {
    let limited = format!("ulimit -d {PRIVATE_KIB_MAX}; exec \"$0\" {action} \"$1\"");
    let out = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_inspect")])
        .arg(folder)
        .stdout(out.reopen().unwrap())
        .spawn()
        .unwrap();
    let mut most = 0;
    let status = loop {
        most = most.max(private_kib(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    let said = fs::read_to_string(out.path()).unwrap();
    let last = said.lines().rev().take(9).collect::<Vec<_>>().join("\n");
    assert!(status.success(), "{action}: {status}\n{last}");
    (last, most)
}

/// Of a running process; 0 if it has gone.
fn private_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
