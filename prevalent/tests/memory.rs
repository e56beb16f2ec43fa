//! What snapshots cost in memory beside the state. Alone in its process, whose memory is measured.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::time::Duration;

use journal::{Entry, EntryKind, FrameBuilder, Sequence, SessionId, Stamp};
use position::{ClusterId, Epoch};
use prevalent::rkyv::{Archive, Deserialize, Serialize};
use prevalent::{
    Actor, Answers, Engine, Moment, Prevalent, Random, Schema, SnapshotJob, encode, load, registration,
};
use snapshots::Shelf;
use storage::{Disk, Segment};

const CLUSTER: ClusterId = ClusterId(1);
/// Tells a process of this program to load the newest snapshot in that folder, and to print what that took: a process
/// that has had another state before would use its memory again.
const LOAD_FROM: &str = "PREVALENT_TEST_LOAD_FROM";
/// Large enough that what every process needs does not matter.
const STATE_BYTES: u64 = 96_000_000;
const VALUE_BYTES: u64 = 1_000;
/// Commands in one frame.
const BATCH: u64 = 100;

/// Values of all lengths up to twice the usual one, under a number.
#[derive(Archive, Serialize, Deserialize, Default)]
#[rkyv(crate = prevalent::rkyv)]
struct Values(BTreeMap<u64, Vec<u8>>);

impl Prevalent for Values {
    type Command = (u64, Vec<u8>);
    type Outcome = ();
    type Rejection = ();
    type Query = ();
    type Answer = ();
    const NAME: &'static str = "values";
    const SCHEMA: Schema = Schema(1);
    fn execute(&mut self, (number, value): (u64, Vec<u8>), _: &Moment<'_>) -> Result<(), ()> {
        self.0.insert(number, value);
        Ok(())
    }
    fn answer(&self, (): &()) {}
}

/// An engine that grows, and the newest frames that it has applied.
struct Machine {
    live: Engine<Values>,
    builder: FrameBuilder,
    commands: u64,
}

impl Machine {
    fn new() -> Machine {
        let mut machine = Machine { live: Engine::new(), builder: FrameBuilder::new(), commands: 0 };
        let actor = registration(&Actor::embedded()).unwrap();
        machine.builder.push(&Entry::internal(EntryKind::Register, &actor)).unwrap();
        machine.apply(None);
        machine
    }

    /// Seals what was pushed, and keeps it in `segment` if there is one.
    fn apply(&mut self, segment: Option<&mut Segment>) {
        let stamp = Stamp {
            previous: self.live.applied(),
            epoch: Epoch(1),
            commit: self.live.applied().index(),
            cluster_time: Duration::ZERO,
            wall_time: 0,
        };
        let frame = self.builder.seal(&stamp);
        self.live.apply(&frame, &mut Answers::default()).unwrap();
        if let Some(segment) = segment {
            segment.append(frame.bytes()).unwrap();
        }
        self.builder.clear();
    }

    fn commands(&mut self, segment: Option<&mut Segment>) {
        for _ in 0..BATCH {
            self.commands += 1;
            let mut random = Random::seeded(self.commands);
            let bytes = random.below(2 * VALUE_BYTES);
            let value: Vec<u8> = (0..bytes).map(|_| random.next_u64().to_le_bytes()[0]).collect();
            let mut payload = Vec::new();
            encode(&(self.commands, value), &mut payload).unwrap();
            let sequence = Sequence(self.commands);
            let entry = Entry {
                kind: EntryKind::Command,
                session: SessionId(1),
                sequence,
                lowest_unacknowledged: sequence,
                payload: &payload,
            };
            self.builder.push(&entry).unwrap();
        }
        self.apply(segment);
    }
}

/// What `/proc` says of this process's memory, in bytes; mapped files count.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// The most memory in use during `work`, beyond `before`; `None` where the system does not say.
fn peak(before: u64, work: impl FnOnce()) -> Option<u64> {
    let reset = fs::OpenOptions::new().write(true).open("/proc/self/clear_refs");
    reset.and_then(|mut file| file.write_all(b"5")).ok()?;
    work();
    Some(memory("VmHWM:").saturating_sub(before))
}

/// Loads the newest snapshot, and says what that took.
fn load_from(shelf: &Shelf) -> Option<u64> {
    let before = memory("VmRSS:");
    peak(before, || {
        let engine = load::<Values>(shelf, CLUSTER).unwrap().engine;
        assert_eq!(engine.state().0.len() as u64, engine.applied().index().0 - 1);
        println!("state {}", memory("VmRSS:") - before);
    })
}

/// The same in a process of its own.
fn load_elsewhere(folder: &std::path::Path) -> u64 {
    let mut other = std::process::Command::new(std::env::current_exe().unwrap());
    let output = other.arg("--nocapture").env(LOAD_FROM, folder).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let peak = output.lines().find_map(|line| line.strip_prefix("peak "));
    peak.unwrap_or_else(|| panic!("the other process said {output}")).parse().unwrap()
}

#[test]
fn a_snapshot_costs_a_second_state_and_hardly_more() {
    if let Some(folder) = std::env::var_os(LOAD_FROM) {
        let disk = Disk::open(folder).unwrap();
        println!("peak {}", load_from(&Shelf::new(disk)).unwrap());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let shelf = Shelf::new(disk.clone());
    let before = memory("VmRSS:");

    let mut machine = Machine::new();
    while machine.commands * VALUE_BYTES < STATE_BYTES {
        machine.commands(None);
    }
    let state = memory("VmRSS:") - before;
    assert!(state > STATE_BYTES, "the state takes only {state} bytes");
    let mut writer = shelf.begin(machine.live.snapshot_head(CLUSTER)).unwrap();
    let written = peak(before, || machine.live.write_image(&mut writer).unwrap());
    writer.finish().unwrap();

    let mut segment = disk.create_segment("journal/newest", 4 << 20).unwrap();
    machine.commands(Some(&mut segment));
    let target = machine.live.applied();
    let frames = vec![segment.slice(0..segment.written())];
    let made = peak(before, || {
        let job = SnapshotJob::new(&machine.live, shelf.clone(), CLUSTER, target, frames);
        assert_eq!(job.run().unwrap().snapshot.head().tip, target);
    });

    let (Some(written), Some(made)) = (written, made) else {
        eprintln!("skipped: /proc/self/clear_refs cannot be written, so no peak can be measured");
        return;
    };
    // The directory belongs to one process at a time.
    drop((segment, shelf, disk));
    let loaded = load_elsewhere(folder.path());
    let percent = |peak: u64| peak * 100 / state;
    println!(
        "state {state} bytes; peak while written {} %, made {} %, loaded {} %",
        percent(written),
        percent(made),
        percent(loaded)
    );
    assert!(percent(written) <= 110, "writing a snapshot took {} % of the state", percent(written));
    assert!(percent(made) <= 220, "making a snapshot took {} % of the state", percent(made));
    assert!(percent(loaded) <= 130, "loading a snapshot took {} % of the state", percent(loaded));
}
