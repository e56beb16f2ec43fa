//! A disk that hangs: every sync of a living process is held up, from outside.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use demo::{Program, wait_until};
use fleet::{Command, Selector, Value};

use crate::trial::{Trial, more};

/// Longer than the test takes.
const DELAY_MICROSECONDS: u64 = 120_000_000;
/// What is sent while the disk hangs: seventy times what the first segment of a young journal holds. What becomes of
/// more than may wait for the disk is shown where nobody is slowed down by strace (`prevalent`).
const FILLING_COMMANDS: u64 = 1_500;
/// Spare segments that a voter keeps from its start.
const SPARES: usize = 3;
/// A command that is refused for the moment is not repeated for longer.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(5);
/// Commands under way at once: so few that strace, which stops the master at each call, is no reason to depose it.
const ABREAST: u64 = 10;

/// Holds up the syncs of a process until it is dropped.
struct Hang(Child);

impl Hang {
    /// `None` where there is no strace, or no right to trace.
    fn of(process: u32) -> Option<Hang> {
        let mut strace = std::process::Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"])
            .arg(format!("--inject=fsync,fdatasync:delay_enter={DELAY_MICROSECONDS}"))
            .args(["-p", &process.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        // It holds all threads once the kernel says so.
        let attached = || {
            let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
        };
        while !attached() {
            if strace.try_wait().ok()?.is_some() {
                let lines = BufReader::new(strace.stderr.take()?).lines();
                lines.map_while(Result::ok).for_each(|line| println!("strace: {line}"));
                return None;
            }
            std::thread::yield_now();
        }
        Some(Hang(strace))
    }
}

impl Drop for Hang {
    fn drop(&mut self) {
        // Killed, it lets go of the process, whose syncs go on at once.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Sets long texts. What is refused for the moment is given up after a while: that is what a client does.
async fn fill(trial: &Trial) -> u64 {
    let text = "x".repeat(fleet::TEXT_BYTES_MAX);
    let client = trial.cluster.client("operator", GIVEN_UP_AFTER).unwrap();
    let mut accepted = 0;
    for round in 0..FILLING_COMMANDS / ABREAST {
        let (client, text, before) = (client.clone(), text.clone(), accepted);
        let set = move |number: u64| {
            let (client, text) = (client.clone(), text.clone());
            async move {
                let keys = (0..3).map(|key| (format!("text{key}"), Value::Text(text.clone())));
                let command = Command::Set {
                    selector: Selector::Node(format!("pc{}", 1 + number % 9)),
                    properties: keys.collect(),
                };
                client.execute(&command).await.is_ok()
            }
        };
        let tasks: Vec<_> = (0..ABREAST).map(|number| tokio::spawn(set(round * ABREAST + number))).collect();
        for task in tasks {
            accepted += u64::from(task.await.unwrap());
        }
        if accepted < before + ABREAST {
            break;
        }
    }
    accepted
}

/// How many long spares lie in a data directory.
fn spares_in(data: &Path) -> usize {
    let entries = std::fs::read_dir(data).unwrap().map_while(Result::ok);
    let is_spare = |entry: &std::fs::DirEntry| {
        let is_long = entry.metadata().is_ok_and(|found| found.len() == journal::SEGMENT_BYTES);
        is_long && entry.file_name().to_string_lossy().starts_with("spare")
    };
    entries.filter(is_spare).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_whose_disk_hangs_leads_on() {
    let trial = Trial::start().await;
    let load = trial.flow().await;
    let master = trial.master().await;
    let data = trial.cluster.data_of(&master.pc);
    let spares = async || if spares_in(&data) >= SPARES { Ok(()) } else { Err("not all are made") };
    wait_until("spare segments of a young voter", spares).await.unwrap();
    let process = trial.cluster.process(&master.pc, Program::Master).id();
    let Some(hang) = Hang::of(process) else {
        println!("skipped: strace cannot hold up the syncs of a process here");
        return;
    };
    let log = trial.cluster.folder_of(&master.pc).join("master.log");
    let told = async || {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        if log.contains("has not come back") { Ok(()) } else { Err("nothing in the log") }
    };
    wait_until("a word about the sync that hangs", told).await.unwrap();
    // The disks of the others make a majority: commands go on as long as there is a segment for them.
    let accepted = fill(&trial).await;
    println!("{accepted} commands were accepted while the disk hung");
    assert_eq!(accepted, FILLING_COMMANDS);
    let still = trial.master().await;
    assert_eq!((still.pc, still.epoch), (master.pc.clone(), master.epoch), "it leads on");
    drop(hang);
    more(&load).await;
    trial.check(load, &[&master.pc]).await;
}
