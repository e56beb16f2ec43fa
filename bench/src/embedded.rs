//! The store in one process, beside what the disk alone can do.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context;
use prevalent::Store;

use crate::latency::{Latency, Recorder, rate};
use crate::workload::{Add, Tally};

/// Bytes that one command takes on the disk in a frame of its own.
const FRAME_BYTES: usize = 256;
/// Commands that are replayed.
const REPLAYED: u64 = 1_000_000;

/// Writes and syncs a preallocated file, as the journal does, and nothing else: the floor of every figure.
pub(crate) fn raw(folder: &Path, length: Duration) -> anyhow::Result<Latency> {
    let path = folder.join("raw");
    let file_bytes = 8 << 20;
    std::fs::write(&path, vec![0; file_bytes])?;
    let mut file = OpenOptions::new().write(true).open(&path)?;
    file.sync_all()?;
    let mut recorder = Recorder::new();
    let started = Instant::now();
    let mut written = 0;
    while started.elapsed() < length && written + FRAME_BYTES <= file_bytes {
        let before = Instant::now();
        file.write_all(&[7; FRAME_BYTES])?;
        sync(&file)?;
        recorder.record(before.elapsed());
        written += FRAME_BYTES;
    }
    Ok(recorder.finish(1, started.elapsed()))
}

fn sync(file: &File) -> std::io::Result<()> {
    file.sync_data()
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

/// Commands a second that a restart replays.
pub(crate) fn replay(folder: &Path) -> anyhow::Result<(u64, Duration)> {
    let directory = folder.join("replay");
    let store = Store::<Tally>::open(&directory)?;
    let mut under_way = std::collections::VecDeque::new();
    // Below the position at which a snapshot is due nothing but the journal is there to replay.
    let commands = REPLAYED.min(450_000);
    for number in 0..commands {
        if under_way.len() == 256 {
            let oldest: prevalent::Pending<Tally> = under_way.pop_front().expect("256 are under way");
            oldest.wait().map_err(|error| anyhow::anyhow!("{error}"))?;
        }
        under_way.push_back(store.submit(&Add::new(number)).map_err(|error| anyhow::anyhow!("{error}"))?);
    }
    for pending in under_way {
        pending.wait().map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    drop(store);
    let started = Instant::now();
    let store = Store::<Tally>::open(&directory).context("the store opens again")?;
    let took = started.elapsed();
    anyhow::ensure!(store.read(|tally| tally.commands) == commands, "a replay lost commands");
    Ok((rate(commands, took), took))
}
