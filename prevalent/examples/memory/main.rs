//! What snapshots cost in memory, measured with the key-value example's state.
//!
//! `cargo run --release -p prevalent --example memory -- [MB of state, 200 by default] [FOLDER]`
//!
//! Each figure is the most memory that a process of its own ever had, mapped files included, less what it had at its
//! beginning. Only Linux says so.

#[path = "../key-value/key_value.rs"]
mod key_value;

use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use position::Index;
use prevalent::{Actor, Moment, Pending, Prevalent, Random, Store};

use key_value::{Condition, KeyValue, Put};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What a value has, give or take half of it.
const VALUE_BYTES: u64 = 1000;
/// What a value costs in memory with its key and its place in the map.
const ENTRY_BYTES: u64 = VALUE_BYTES + 120;
/// Commands under way at once.
const UNDER_WAY: usize = 256;
/// A snapshot is due after so many bytes of frames.
const SNAPSHOT_BYTES: u64 = 64 * 1024 * 1024;
/// How often the folder is looked at for a new snapshot.
const LOOK_EVERY: Duration = Duration::from_millis(20);

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["phase", phase, keys, folder] => {
            println!("{}", measure(phase, keys.parse()?, Path::new(folder))?);
            Ok(())
        }
        [] => report(200, None),
        [megabytes] => report(megabytes.parse()?, None),
        [megabytes, folder] => report(megabytes.parse()?, Some(Path::new(folder))),
        _ => Err("usage: memory [MEGABYTES] [FOLDER]".into()),
    }
}

/// Runs each phase in a process of its own, so that none is charged for another's memory.
fn report(megabytes: u64, folder: Option<&Path>) -> Outcome<()> {
    let folder = match folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let keys = (megabytes * 1_000_000 / ENTRY_BYTES).to_string();
    let run = |phase: &str| -> Outcome<u64> {
        let mut child = Command::new(std::env::current_exe()?);
        let output = child.args(["phase", phase, &keys]).arg(folder.path()).output()?;
        if !output.status.success() {
            return Err(format!("{phase}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    };
    run("fill")?;
    let state = run("state")?;
    println!("the state alone                {:7.1} MB", megabytes_of(state));
    for (what, phase) in [("while a snapshot is loaded", "load"), ("while a snapshot is made", "make")] {
        let peak = run(phase)?;
        #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
        let ratio = peak as f64 / state as f64;
        println!("{what:<30} {:7.1} MB, {ratio:.2} times the state", megabytes_of(peak));
    }
    let file = newest_snapshot(folder.path())?.ok_or("there is no snapshot")?;
    println!("the snapshot's file            {:7.1} MB", megabytes_of(fs::metadata(file)?.len()));
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn megabytes_of(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// What this process has needed for one thing, in bytes.
fn measure(phase: &str, keys: u64, folder: &Path) -> Outcome<u64> {
    let before = resident("VmRSS:")?;
    match phase {
        "fill" => {
            let store = Store::<KeyValue>::open(folder)?;
            put(&store, 0..keys, keys)?;
            // One more snapshot, of a state that is complete.
            let enough = SNAPSHOT_BYTES / VALUE_BYTES + 1;
            put(&store, 0..enough, keys)?;
        }
        "state" => {
            let mut state = KeyValue::default();
            let actor = Actor::embedded();
            for number in 0..keys {
                let at = Moment {
                    index: Index(number + 1),
                    cluster_time: Duration::ZERO,
                    wall_time: 0,
                    actor: &actor,
                };
                state.execute(command(number, keys), &at).map_err(|conflict| format!("{conflict:?}"))?;
            }
            return Ok(resident("VmHWM:")? - before);
        }
        "load" => drop(Store::<KeyValue>::open(folder)?),
        "make" => {
            let store = Store::<KeyValue>::open(folder)?;
            // What loading has needed is not counted again.
            fs::write("/proc/self/clear_refs", "5")?;
            let last = newest_snapshot(folder)?;
            let mut number = 0;
            while newest_snapshot(folder)? == last {
                if number < 2 * SNAPSHOT_BYTES / VALUE_BYTES {
                    put(&store, number..number + 1000, keys)?;
                    number += 1000;
                } else {
                    std::thread::sleep(LOOK_EVERY);
                }
            }
        }
        _ => return Err("there is no such phase".into()),
    }
    Ok(resident("VmHWM:")? - before)
}

/// Sets the values with these numbers, counted anew behind the last key.
fn put(store: &Store<KeyValue>, numbers: std::ops::Range<u64>, keys: u64) -> Outcome<()> {
    let mut under_way: VecDeque<Pending<KeyValue>> = VecDeque::new();
    for number in numbers {
        if under_way.len() == UNDER_WAY
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.wait()?;
        }
        under_way.push_back(store.submit(&command(number, keys))?);
    }
    for pending in under_way {
        pending.wait()?;
    }
    Ok(())
}

/// The same key always gets a value of the same length, so that the state keeps its size.
fn command(number: u64, keys: u64) -> Put {
    let key = number % keys;
    let mut random = Random::seeded(key);
    let bytes = VALUE_BYTES / 2 + random.below(VALUE_BYTES);
    let value = (0..bytes).map(|_| random.next_u64().to_le_bytes()[0]).collect();
    Put { key: format!("key {key:012}"), value: Some(value), condition: Condition::None }
}

fn newest_snapshot(folder: &Path) -> Outcome<Option<std::path::PathBuf>> {
    let Ok(entries) = fs::read_dir(folder.join("snapshots")) else { return Ok(None) };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|name| name == "snapshot")).max())
}

/// What the system says of this process's memory, in bytes.
fn resident(name: &str) -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()).ok_or("/proc does not say so")?;
    Ok(number.parse::<u64>()? * 1024)
}
