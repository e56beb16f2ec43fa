use journal::{EntryKind, Frame, Schema};
use storage::{Disk, Segment, SimDisk};

use super::*;
use crate::testing::script::Time;
use crate::testing::sealing::{JournalWriter, entry};
use crate::testing::tally::{Order, Tally, payload};
use crate::{Actor, registration};

const CLUSTER: ClusterId = ClusterId(9);

/// A machine's engine, its journal and its snapshots.
struct Bench {
    sim: SimDisk,
    disk: Disk,
    shelf: Shelf,
    segment: Segment,
    journal: JournalWriter,
    live: Engine<Tally>,
    commands: u64,
}

impl Bench {
    fn new() -> Bench {
        let sim = SimDisk::new(1);
        let disk = sim.disk();
        let segment = disk.create_segment("journal/all", 64 * 1024).unwrap();
        let shelf = Shelf::new(disk.clone());
        let (journal, live) = (JournalWriter::default(), Engine::new());
        let mut bench = Bench { sim, disk, shelf, segment, journal, live, commands: 0 };
        let actor = registration(&Actor::embedded()).unwrap();
        bench.append(&[entry(EntryKind::Register, 0, 0, &actor)]);
        bench
    }

    fn append(&mut self, entries: &[journal::Entry<'_>]) {
        let time = Time { cluster: self.live.cluster_time(), wall: 77 };
        let frame = self.journal.frame(time, entries.iter().copied());
        self.segment.append(&frame).unwrap();
        self.live.apply(&Frame::verify(&frame).unwrap(), &mut crate::Answers::default()).unwrap();
    }

    /// Commands in frames of their own; returns where they end.
    fn commands(&mut self, count: u64) -> Tip {
        for _ in 0..count {
            self.commands += 1;
            let add = payload(&Order::Add(self.commands));
            self.append(&[entry(EntryKind::Command, 1, self.commands, &add)]);
        }
        self.live.applied()
    }

    fn job(&self, target: Tip) -> SnapshotJob<Tally> {
        let frames = vec![self.segment.slice(0..self.segment.written())];
        SnapshotJob::new(&self.live, self.shelf.clone(), CLUSTER, target, frames)
    }

    fn load(&self) -> Loaded<Tally> {
        load(&self.shelf, CLUSTER).unwrap()
    }
}

fn image(engine: &Engine<Tally>) -> Vec<u8> {
    let mut image = Vec::new();
    engine.write_image(&mut image).unwrap();
    image
}

#[test]
fn a_snapshot_of_an_earlier_position_is_made_while_the_engine_has_gone_on() {
    let mut bench = Bench::new();
    let target = bench.commands(3);
    let image_at_target = image(&bench.live);
    let outcome_hash = bench.live.outcome_hash();
    bench.commands(2);

    let made = bench.job(target).run().unwrap();
    assert_eq!(made.outcome_hash, outcome_hash);
    assert_eq!(&made.snapshot.archive()[..], image_at_target);
    let head = made.snapshot.head();
    assert_eq!((head.tip, head.time, head.type_name.as_str(), head.schema), (target, 77, "tally", 1));
    assert_eq!(image(&bench.load().engine), image_at_target);
}

#[test]
fn the_next_snapshot_starts_from_the_previous_one() {
    let mut bench = Bench::new();
    let first = bench.commands(3);
    bench.job(first).run().unwrap();
    let first_end = bench.segment.written();
    let second = bench.commands(3);
    // Only the frames since: the shadow engine cannot have begun anywhere else.
    let frames = vec![bench.segment.slice(first_end..bench.segment.written())];
    let job = SnapshotJob::new(&bench.live, bench.shelf.clone(), CLUSTER, second, frames);
    assert_eq!(&job.run().unwrap().snapshot.archive()[..], image(&bench.live));
    assert_eq!(bench.load().engine.applied(), second);
}

#[test]
fn a_damaged_snapshot_is_passed_over() {
    let mut bench = Bench::new();
    let first = bench.commands(3);
    bench.job(first).run().unwrap();
    let first_end = bench.segment.written();
    let second = bench.commands(3);
    bench.job(second).run().unwrap();
    let name = bench.shelf.list().unwrap()[0].name.clone();
    bench.sim.rot(&name, 600, 1);

    let loaded = bench.load();
    assert_eq!(loaded.engine.applied(), first);
    assert!(
        matches!(&loaded.passed_over[..], [PassedOver { index, error: PassedOverError::File(_) }] if *index == second.index())
    );

    // The next job needs more frames than since the damaged one, and says which.
    let third = bench.commands(1);
    let since_second = bench.segment.slice(bench.segment.written() - 256..bench.segment.written());
    let job = SnapshotJob::new(&bench.live, bench.shelf.clone(), CLUSTER, third, vec![since_second]);
    let failed = job.run().unwrap_err();
    assert!(
        matches!(failed, SnapshotJobError::Gap { needed_after, .. } if needed_after == first),
        "{failed}"
    );
    let frames = vec![bench.segment.slice(first_end..bench.segment.written())];
    let job = SnapshotJob::new(&bench.live, bench.shelf.clone(), CLUSTER, third, frames);
    assert_eq!(job.run().unwrap().passed_over.len(), 1);
    assert_eq!(bench.load().engine.applied(), third);
}

/// What looks right and is not: neither does it push out the last good one, nor does the journal go that leads on
/// from there.
#[test]
fn a_snapshot_that_could_not_be_used_supports_nothing() {
    let mut bench = Bench::new();
    let tips = [3, 3, 3, 3].map(|count| {
        let tip = bench.commands(count);
        bench.job(tip).run().unwrap();
        tip.index()
    });
    let [_, good, ..] = tips;
    for listed in &bench.shelf.list().unwrap()[..2] {
        bench.sim.rot(&listed.name, 600, 1);
    }
    let newest = bench.commands(3);
    let made = bench.job(newest).run().unwrap();
    assert_eq!((made.passed_over.len(), made.begin), (2, good));
    let kept: Vec<Index> = bench.shelf.list().unwrap().iter().map(|listed| listed.index).collect();
    assert_eq!(kept, [newest.index(), tips[3], tips[2], good]);
}

#[test]
fn an_archive_that_is_no_image_is_passed_over() {
    use std::io::Write;
    let mut bench = Bench::new();
    let first = bench.commands(3);
    let made = bench.job(first).run().unwrap();
    let second = bench.commands(1);
    let head = Head { tip: second, ..made.snapshot.head().clone() };
    for archive in [&b"\x01\0\0\0\0\0\0\0no image"[..], &made.snapshot.archive()] {
        let mut writer = bench.shelf.begin(head.clone()).unwrap();
        writer.write_all(archive).unwrap();
        writer.finish().unwrap();
        let loaded = bench.load();
        assert_eq!(loaded.engine.applied(), first);
        let passed_over = &loaded.passed_over[0].error;
        assert!(
            matches!(passed_over, PassedOverError::Image(_) | PassedOverError::Tip { .. }),
            "{passed_over}"
        );
    }
}

#[test]
fn nothing_is_made_that_is_there_already() {
    let mut bench = Bench::new();
    let first = bench.commands(3);
    let second = bench.commands(3);
    let made = bench.job(second).run().unwrap();
    let syncs = bench.sim.syncs();
    let again = bench.job(second).run().unwrap();
    assert_eq!(
        (again.outcome_hash, again.snapshot.archive_hash()),
        (made.outcome_hash, made.snapshot.archive_hash())
    );
    assert_eq!(bench.sim.syncs(), syncs);
    let overtaken = bench.job(first).run().unwrap_err();
    assert!(matches!(overtaken, SnapshotJobError::Overtaken { newer, .. } if newer == second), "{overtaken}");
}

#[test]
fn frames_that_do_not_reach_the_target_make_no_snapshot() {
    let mut bench = Bench::new();
    bench.commands(3);
    let end = bench.segment.written();
    let target = bench.commands(1);
    for frames in [vec![], vec![bench.segment.slice(0..end)], vec![bench.segment.slice(256..end)]] {
        let job = SnapshotJob::new(&bench.live, bench.shelf.clone(), CLUSTER, target, frames);
        let failed = job.run().unwrap_err();
        assert!(matches!(failed, SnapshotJobError::Gap { .. }), "{failed}");
    }
    let cut = vec![bench.segment.slice(0..end - 128)];
    let failed = SnapshotJob::new(&bench.live, bench.shelf.clone(), CLUSTER, target, cut).run().unwrap_err();
    assert!(matches!(failed, SnapshotJobError::Replay(_)), "{failed}");
    assert_eq!(bench.shelf.list().unwrap(), []);
}

#[test]
fn the_commands_that_the_live_engine_passes_over_are_passed_over_here() {
    let mut bench = Bench::new();
    bench.commands(1);
    bench.live = bench.live.with_panics(&BTreeSet::from([Index(3)]));
    let panic = payload(&Order::Panic);
    bench.append(&[entry(EntryKind::Command, 1, 2, &panic)]);
    let target = bench.live.applied();
    assert_eq!(&bench.job(target).run().unwrap().snapshot.archive()[..], image(&bench.live));
}

#[test]
fn a_full_disk_leaves_the_previous_snapshot() {
    let mut bench = Bench::new();
    let first = bench.commands(3);
    bench.job(first).run().unwrap();
    let second = bench.commands(3);
    bench.sim.fill_up(100);
    let failed = bench.job(second).run().unwrap_err();
    assert!(matches!(failed, SnapshotJobError::Image(_) | SnapshotJobError::File(_)), "{failed}");
    assert_eq!(bench.load().engine.applied(), first);
    assert!(bench.disk.list("snapshots").unwrap().len() == 1);
}

/// The same name in another schema: its archives may well validate.
#[derive(crate::rkyv::Archive, crate::rkyv::Serialize, crate::rkyv::Deserialize, Default)]
struct NewerTally;

impl Prevalent for NewerTally {
    type Command = ();
    type Outcome = ();
    type Rejection = ();
    type Query = ();
    type Answer = ();
    const NAME: &'static str = "tally";
    const SCHEMA: Schema = Schema(2);
    fn execute(&mut self, (): (), _: &crate::Moment<'_>) -> Result<(), ()> {
        Ok(())
    }
    fn answer(&self, (): &()) {}
}

#[test]
fn a_snapshot_of_something_else_is_refused_and_not_passed_over() {
    let mut bench = Bench::new();
    let target = bench.commands(3);
    bench.job(target).run().unwrap();
    let other_schema = load::<NewerTally>(&bench.shelf, CLUSTER).unwrap_err();
    assert!(
        matches!(other_schema, LoadError::OtherState { found_schema: 1, schema: 2, .. }),
        "{other_schema}"
    );
    let other_cluster = load::<Tally>(&bench.shelf, ClusterId(10)).unwrap_err();
    assert!(matches!(other_cluster, LoadError::OtherState { .. }), "{other_cluster}");
}

#[test]
fn a_snapshot_of_another_version_is_refused_and_not_passed_over() {
    use std::io::Write;
    let mut bench = Bench::new();
    let first = bench.commands(3);
    let made = bench.job(first).run().unwrap();
    let second = bench.commands(3);
    let mut writer = bench.shelf.begin(Head { tip: second, ..made.snapshot.head().clone() }).unwrap();
    writer.write_all(&[2, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    writer.write_all(&made.snapshot.archive()[8..]).unwrap();
    let name = "snapshots/00000000000000000007.snapshot";
    let image_of_version_2 = writer.finish().unwrap().file().to_vec();
    let mut file_of_version_3 = made.snapshot.file().to_vec();
    (file_of_version_3[16], file_of_version_3[17]) = (3, 0);
    file_of_version_3[20] ^= 1;
    for (bytes, version) in [(image_of_version_2, "version 2"), (file_of_version_3, "version 3")] {
        bench.disk.replace(name, &bytes).unwrap();
        let refused = load::<Tally>(&bench.shelf, CLUSTER).unwrap_err();
        assert!(matches!(refused, LoadError::OtherVersion { index: Index(7), .. }), "{refused}");
        assert!(refused.to_string().contains("has") && refused.to_string().contains(version), "{refused}");
    }
}
