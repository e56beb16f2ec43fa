//! The store in one process, beside what the disk alone can do.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context;
use prevalent::{Pending, Store};
use serde::Serialize;

use crate::latency::{Latency, Recorder, rate};
use crate::workload::{Add, PAYLOAD_BYTES, Tally};

/// Bytes of a frame's header, and of one command in it.
const HEADER_BYTES: usize = journal::FRAME_HEADER_BYTES;
const COMMAND_BYTES: usize = journal::ENTRY_HEADER_BYTES + PAYLOAD_BYTES + 8;
/// A segment of the journal.
const FILE_BYTES: usize = 8 << 20;
/// Commands that are replayed: as many as fit below the position at which a snapshot is due.
const REPLAYED: u64 = 450_000;

/// Writes and syncs as many bytes as a frame of so many commands has, into a preallocated file, as the
/// journal does, and nothing else: the floor of every figure.
pub(crate) fn raw(folder: &Path, commands: usize, length: Duration) -> anyhow::Result<Latency> {
    let path = folder.join("raw");
    std::fs::write(&path, vec![0; FILE_BYTES])?;
    let mut file = OpenOptions::new().write(true).open(&path)?;
    file.sync_all()?;
    let frame = vec![7; (HEADER_BYTES + commands * COMMAND_BYTES).next_multiple_of(journal::FRAME_ALIGNMENT)];
    let mut recorder = Recorder::new();
    let started = Instant::now();
    let mut room = FILE_BYTES;
    while started.elapsed() < length {
        if room < frame.len() {
            file.rewind()?;
            room = FILE_BYTES;
        }
        let before = Instant::now();
        file.write_all(&frame)?;
        file.sync_data()?;
        recorder.record(before.elapsed());
        room -= frame.len();
    }
    // A sync makes a whole frame durable; the rate is that of commands, to compare it with.
    let mut latency = recorder.finish(commands, started.elapsed());
    latency.per_second *= commands as u64;
    Ok(latency)
}

/// Durable commands of so many threads at once.
pub(crate) fn durable(folder: &Path, threads: usize, length: Duration) -> anyhow::Result<Latency> {
    let store = Store::<Tally>::open(folder.join(format!("store-{threads}")))?;
    let all = Mutex::new(Recorder::new());
    let started = Instant::now();
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    let mut recorder = Recorder::new();
                    while started.elapsed() < length {
                        let before = Instant::now();
                        store.execute(Add::new(1)).map_err(|error| anyhow::anyhow!("{error}"))?;
                        recorder.record(before.elapsed());
                    }
                    all.lock().expect("no thread panics while it adds").add(&recorder);
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    let elapsed = started.elapsed();
    Ok(all.into_inner().expect("no thread panics while it adds").finish(threads, elapsed))
}

/// What a restart replays.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Replay {
    pub(crate) commands: u64,
    pub(crate) ms: u128,
    pub(crate) per_second: u64,
}

/// Opens a store that has nothing but its journal.
pub(crate) fn replay(folder: &Path) -> anyhow::Result<Replay> {
    let directory = folder.join("replay");
    let store = Store::<Tally>::open(&directory)?;
    let mut under_way = VecDeque::new();
    let finish = |pending: Pending<Tally>| pending.wait().map_err(|error| anyhow::anyhow!("{error}"));
    for number in 0..REPLAYED {
        if under_way.len() == 256 {
            under_way.pop_front().map(finish).transpose()?;
        }
        under_way.push_back(store.submit(&Add::new(number)).map_err(|error| anyhow::anyhow!("{error}"))?);
    }
    under_way.into_iter().try_for_each(|pending| finish(pending).map(|_sum| ()))?;
    drop(store);
    let started = Instant::now();
    let store = Store::<Tally>::open(&directory).context("the store opens again")?;
    let took = started.elapsed();
    anyhow::ensure!(store.read(|tally| tally.commands) == REPLAYED, "a replay lost commands");
    Ok(Replay { commands: REPLAYED, ms: took.as_millis(), per_second: rate(REPLAYED, took) })
}
