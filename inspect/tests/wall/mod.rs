//! Data directories to look into.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleet::{Command, Fleet, Selector};
use journal::{
    Entry, EntryKind, Frame, FrameBuilder, Journal, Meta, Schema, Sequence, SessionId, Stamp, list_segments,
    view_segment,
};
use position::{ClusterId, Epoch, Incarnation, Index, Member, MemberId, Tip};
use prevalent::{Actor, Answers, Engine, Founding, Moment, Prevalent, Role, Store, encode, registration};
use quorum::{Kind, Membership, VoterInfo};
use snapshots::Shelf;
use storage::Disk;

fn place(node: &str, column: u16) -> Command {
    Command::Place { node: node.into(), row: 1, column }
}

fn set(key: &str, value: i64) -> Command {
    Command::Set { selector: Selector::All, properties: [(key.to_owned(), value.into())].into() }
}

/// Entries 4 to 7 are frames of their own, the last five are given together.
pub(crate) fn open_wall(folder: &Path) -> Store<Fleet> {
    let store = Store::<Fleet>::open(folder).unwrap();
    for command in [place("pc1", 1), place("pc2", 2), set("brightness", 80), set("brightness", 60)] {
        store.execute(command).unwrap();
    }
    let levels: Vec<_> = (1..=5).map(|level| store.submit(&set("level", level)).unwrap()).collect();
    for level in levels {
        level.wait().unwrap();
    }
    store
}

/// Ends [`write_until`] when a test ends, also when it fails.
pub(crate) struct StopWhenDropped<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Goes on giving commands, several at a time.
pub(crate) fn write_until(store: &Store<Fleet>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let levels: Vec<_> = (1..=20).map(|level| store.submit(&set("level", level)).unwrap()).collect();
        for level in levels {
            level.wait().unwrap();
        }
    }
}

pub(crate) fn make_wall(folder: &Path) {
    drop(open_wall(folder));
}

/// The one file of a short journal.
pub(crate) fn the_only_segment(folder: &Path) -> String {
    let disk = Disk::open_read_only(folder).unwrap();
    let segments = list_segments(&disk).unwrap();
    assert_eq!(segments.len(), 1);
    segments[0].name.to_string()
}

/// Makes the snapshot at `index`, where a frame must end, and says what it is called.
pub(crate) fn make_snapshot(folder: &Path, index: u64) -> String {
    let disk = Disk::open_read_only(folder).unwrap();
    let segment = list_segments(&disk).unwrap()[0].name;
    let view = view_segment(&disk, &segment).unwrap().unwrap();
    let mut engine = Engine::<Fleet>::new();
    let frames = view.spots().map(|spot| spot.frame.unwrap());
    for frame in frames.take_while(|frame| frame.tip().index() <= Index(index)) {
        engine.apply(&frame, &mut Answers::default()).unwrap();
    }
    assert_eq!(engine.applied().index(), Index(index));
    // A running store holds the lock of its directory, so the file is made in another one.
    let made = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(Disk::open(made.path()).unwrap());
    let tag = view.header.unwrap().tag;
    let mut writer = shelf.begin(engine.snapshot_head(tag.cluster)).unwrap();
    engine.write_image(&mut writer).unwrap();
    writer.finish().unwrap();
    let name = shelf.list().unwrap()[0].name.clone();
    fs::create_dir_all(folder.join("snapshots")).unwrap();
    fs::copy(made.path().join(&name), folder.join(&name)).unwrap();
    name
}

/// Inverts a byte of a file; twice, and it is as before.
pub(crate) fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0xff;
    fs::write(path, bytes).unwrap();
}

/// A voter of three, whose journal tells that entry 3 is committed and goes on to 4.
pub(crate) fn three_voters(folder: &Path) {
    let member = |id: u16| Member { id: MemberId(id), incarnation: Incarnation(u128::from(id) << 96) };
    let voter = |id: u16| VoterInfo {
        member: member(id),
        name: format!("pc{id}"),
        address: format!("10.0.0.{id}:7400"),
        rank: 0,
        kind: Kind::Data,
    };
    let membership = Membership::new((1..=3).map(voter).collect()).unwrap();
    let cluster = ClusterId(7);
    let disk: Disk = Disk::open(folder).unwrap();
    // The founding frame, as `init` writes it, and then what a master wrote.
    let founded = tempfile::tempdir().unwrap();
    let other: Disk = Disk::open(founded.path()).unwrap();
    Founding { cluster, membership }.write::<Fleet>(&other, member(1)).unwrap();
    let founding = view_segment(&other, &list_segments(&other).unwrap()[0].name).unwrap().unwrap();
    let founding = founding.spots().next().unwrap().frame.unwrap();

    let mut journal =
        Journal::create(disk.clone(), prevalent::journal_tag::<Fleet>(cluster), Tip::NONE).unwrap();
    journal.append(&founding).unwrap();
    let operator = registration(&Actor { name: "ann".into(), role: Role::Operator }).unwrap();
    let mut tip = append(&mut journal, founding.tip(), 1, &[Entry::internal(EntryKind::Register, &operator)]);
    for (sequence, node) in [(1, "pc1"), (2, "pc2")] {
        let mut payload = Vec::new();
        encode(&place(node, sequence), &mut payload).unwrap();
        let entry = Entry {
            kind: EntryKind::Command,
            session: SessionId(2),
            sequence: Sequence(u64::from(sequence)),
            lowest_unacknowledged: Sequence(1),
            payload: &payload,
        };
        tip = append(&mut journal, tip, tip.index().0, &[entry]);
    }
    journal.ticket().perform().unwrap();
    Meta::founded(cluster, member(1)).write(&disk).unwrap();
}

fn append(journal: &mut Journal, previous: Tip, commit: u64, entries: &[Entry<'_>]) -> Tip {
    let mut builder = FrameBuilder::new();
    entries.iter().for_each(|entry| builder.push(entry).unwrap());
    let stamp = Stamp {
        previous,
        epoch: Epoch(1),
        commit: Index(commit),
        cluster_time: Duration::from_secs(1),
        wall_time: 1_782_907_200_123_456_789,
    };
    let frame: Frame<'_> = builder.seal(&stamp);
    journal.append(&frame).unwrap();
    frame.tip()
}

/// Another program's state.
#[derive(Default, prevalent::rkyv::Archive, prevalent::rkyv::Serialize, prevalent::rkyv::Deserialize)]
#[rkyv(crate = prevalent::rkyv)]
struct Counter {
    total: i64,
}

impl Prevalent for Counter {
    type Command = i64;
    type Outcome = i64;
    type Rejection = ();
    type Query = ();
    type Answer = i64;

    const NAME: &'static str = "counter";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, command: i64, _at: &Moment<'_>) -> Result<i64, ()> {
        self.total += command;
        Ok(self.total)
    }

    fn answer(&self, (): &()) -> i64 {
        self.total
    }
}

pub(crate) fn make_counter(folder: &Path) {
    let store = Store::<Counter>::open(folder).unwrap();
    assert_eq!(store.execute(5).unwrap(), 5);
}
