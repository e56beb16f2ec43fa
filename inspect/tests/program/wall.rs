//! Data directories to look into.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleet::{Command, Fleet, Selector};
use journal::{
    Entry, EntryKind, FrameBuilder, Journal, Meta, Schema, Sequence, SessionId, Stamp, list_segments,
    view_segment,
};
use position::{Ballot, ClusterId, Epoch, Incarnation, Index, Member, MemberId, Memory, Tip};
use prevalent::{Actor, Answers, Engine, Founding, Moment, Prevalent, Role, Store, encode, registration};
use quorum::{MemberInfo, Membership};
use snapshots::Shelf;
use storage::Disk;

pub(crate) fn place(node: &str, column: u16) -> Command {
    Command::Place { node: node.into(), row: 1, column }
}

pub(crate) fn set(key: &str, value: i64) -> Command {
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

/// Goes on giving commands, several at a time. One that the disk has no room for yet is given again.
pub(crate) fn write_until(store: &Store<Fleet>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let levels: Vec<_> = (1..=20).filter_map(|level| store.submit(&set("level", level)).ok()).collect();
        for level in levels {
            drop(level.wait());
        }
    }
}

pub(crate) fn make_wall(folder: &Path) {
    drop(open_wall(folder));
}

/// A command that takes more than a sector.
pub(crate) fn long_text() -> Command {
    let keys = ["first", "second", "third"];
    let text = |key: &str| (key.to_owned(), "x".repeat(500).as_str().into());
    Command::Set { selector: Selector::All, properties: keys.map(text).into() }
}

/// A journal of two segments, and what they are called.
pub(crate) fn long_wall(folder: &Path) -> Vec<String> {
    let store = open_wall(folder);
    let disk = Disk::open_read_only(folder).unwrap();
    let names = || list_segments(&disk).unwrap().iter().map(|info| info.name.to_string()).collect::<Vec<_>>();
    let mut level = 0;
    while names().len() < 2 {
        level += 1;
        store.execute(set("level", level)).unwrap();
    }
    // The second one must hold something that the mark speaks of.
    for level in 1..=20 {
        store.execute(set("level", level)).unwrap();
    }
    drop(store);
    names()
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

/// When the first entry was written; each later one a minute after the one before.
pub(crate) const NOON: i64 = 1_782_907_200_123_456_789;

/// A voter of three whose journal a test writes entry by entry. Session 2 is ann's, an operator.
pub(crate) struct Voter {
    disk: Disk,
    journal: Journal,
    builder: FrameBuilder,
    tip: Tip,
}

impl Voter {
    const CLUSTER: ClusterId = ClusterId(7);

    pub(crate) fn found(folder: &Path) -> Voter {
        let voter = |id: u16| {
            MemberInfo::founder(Voter::member(id), &format!("pc{id}"), &format!("10.0.0.{id}:7400"), 0)
        };
        let membership = Membership::founding((1..=3).map(voter).collect()).unwrap();
        // The founding frame, as `init` writes it, and then what a master wrote.
        let founded = tempfile::tempdir().unwrap();
        let other = Disk::open(founded.path()).unwrap();
        let founding = Founding { cluster: Voter::CLUSTER, membership };
        founding.write::<Fleet>(&other, Voter::member(1)).unwrap();
        let founding = view_segment(&other, &list_segments(&other).unwrap()[0].name).unwrap().unwrap();
        let founding = founding.spots().next().unwrap().frame.unwrap();

        let disk = Disk::open(folder).unwrap();
        let tag = prevalent::journal_tag::<Fleet>(Voter::CLUSTER);
        let mut journal = Journal::create(disk.clone(), tag, Tip::NONE).unwrap();
        journal.append(&founding).unwrap();
        let mut voter = Voter { disk, journal, builder: FrameBuilder::new(), tip: founding.tip() };
        let ann = registration(&Actor { name: "ann".into(), role: Role::Operator }).unwrap();
        voter.prepare();
        voter.pack(&Entry::internal(EntryKind::Register, &ann));
        voter.write();
        voter
    }

    fn member(id: u16) -> Member {
        Member { id: MemberId(id), incarnation: Incarnation(u128::from(id) << 96) }
    }

    fn pack(&mut self, entry: &Entry<'_>) {
        self.builder.push(entry).unwrap();
    }

    /// Adds a command to the frame that is written next.
    pub(crate) fn give(&mut self, session: u64, sequence: u64, command: &Command) {
        let mut payload = Vec::new();
        encode(command, &mut payload).unwrap();
        self.pack(&Entry {
            kind: EntryKind::Command,
            session: SessionId(session),
            sequence: Sequence(sequence),
            lowest_unacknowledged: Sequence(sequence),
            payload: &payload,
        });
    }

    /// Writes the frame. All before it is committed, as it tells.
    pub(crate) fn write(&mut self) {
        let (previous, commit) = (self.tip, self.tip.index());
        let minutes = i64::try_from(commit.0).unwrap();
        let stamp = Stamp {
            previous,
            epoch: Epoch(1),
            commit,
            cluster_time: Duration::from_secs(1),
            wall_time: NOON + minutes * 60_000_000_000,
        };
        let frame = self.builder.seal(&stamp);
        if let Some(order) = self.journal.order_room_for(frame.bytes().len()) {
            self.journal.room_made(order.perform());
        }
        self.journal.append(&frame).unwrap();
        self.tip = frame.tip();
        self.builder.clear();
    }

    /// A frame of one command.
    pub(crate) fn write_one(&mut self, session: u64, sequence: u64, command: &Command) {
        self.give(session, sequence, command);
        self.write();
    }

    /// Makes all of it durable.
    pub(crate) fn sync(&mut self) {
        let order = self.journal.ticket();
        order.perform().unwrap();
        self.journal.synced(order.ticket());
        order.note_mark();
        self.prepare();
    }

    /// Makes a segment for what comes next.
    fn prepare(&mut self) {
        while let Some(chore) = self.journal.next_chore() {
            let done = chore.perform();
            self.journal.chore_done(done);
        }
    }

    pub(crate) fn leave(mut self) {
        self.sync();
        let ballot = Ballot { epoch: Epoch(1), ..Ballot::founded() };
        let meta = Meta::founded(Voter::CLUSTER, Voter::member(1));
        let meta = meta.remembering(Memory { ballot, ..meta.memory() });
        meta.write(&self.disk).unwrap();
    }
}

/// A voter of three, whose journal tells that entry 3 is committed and goes on to 4.
pub(crate) fn three_voters(folder: &Path) {
    let mut voter = Voter::found(folder);
    voter.write_one(2, 1, &place("pc1", 1));
    voter.write_one(2, 2, &place("pc2", 2));
    voter.leave();
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
