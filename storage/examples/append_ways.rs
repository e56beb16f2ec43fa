//! How long one durable append takes, by the way its bytes get into the file. `docs/decisions/0005` rests
//! on it: `cargo run --release -p storage --example append_ways [DIRECTORY]`.
//!
//! Both ways append to a preallocated, zero-filled, mapped file, as segments are, and take turns, so that
//! whatever else the machine does hits both alike.
#![allow(unsafe_code)]

use std::error::Error;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use memmap2::MmapMut;

const APPENDS: usize = 1000;
const TURN: usize = 50;

/// A zero-filled file and a writable view of it.
struct Target {
    file: File,
    view: MmapMut,
}

impl Target {
    fn create(bytes: usize, folder: &PathBuf) -> Result<Target, Box<dyn Error>> {
        let mut file = tempfile::tempfile_in(folder)?;
        file.write_all(&vec![0; bytes])?;
        file.sync_all()?;
        // SAFETY: the file has no name, so nobody else can truncate it or write to it.
        let view = unsafe { MmapMut::map_mut(&file)? };
        Ok(Target { file, view })
    }
}

fn write_to_file(target: &mut Target, offset: usize, frame: &[u8]) -> Result<(), Box<dyn Error>> {
    target.file.seek(SeekFrom::Start(offset as u64))?;
    target.file.write_all(frame)?;
    Ok(target.file.sync_data()?)
}

fn write_through_view(target: &mut Target, offset: usize, frame: &[u8]) -> Result<(), Box<dyn Error>> {
    target.view[offset..offset + frame.len()].copy_from_slice(frame);
    Ok(target.view.flush_range(offset, frame.len())?)
}

type Way = fn(&mut Target, usize, &[u8]) -> Result<(), Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let ways: [(&str, Way); 2] = [
        ("write to the file, sync it", write_to_file),
        ("write through the view, flush it", write_through_view),
    ];
    println!("{:>7}  {:32}  {:>8}  {:>8}  {:>8}", "bytes", "way", "p50 µs", "p99 µs", "1/s");
    for frame_bytes in [256, 64 * 1024] {
        let frame = vec![0xA5; frame_bytes];
        let mut targets = [
            Target::create(frame_bytes * APPENDS, &folder)?,
            Target::create(frame_bytes * APPENDS, &folder)?,
        ];
        let mut took = [Vec::new(), Vec::new()];
        for turn in 0..APPENDS / TURN {
            for (which, (_, way)) in ways.iter().enumerate() {
                for append in turn * TURN..(turn + 1) * TURN {
                    let started = Instant::now();
                    way(&mut targets[which], append * frame_bytes, &frame)?;
                    took[which].push(started.elapsed());
                }
            }
        }
        for ((name, _), mut took) in ways.iter().zip(took) {
            let rate = took.len() as f64 / took.iter().sum::<Duration>().as_secs_f64();
            took.sort_unstable();
            let micros = |part: usize| took[took.len() * part / 100].as_micros();
            println!("{frame_bytes:>7}  {name:32}  {:>8}  {:>8}  {rate:>8.0}", micros(50), micros(99));
        }
    }
    Ok(())
}
