//! Snapshots, cuts and rebuilds: its clock goes when the test says so, and so do its jobs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use journal::{Entry, EntryKind, Schema, Sequence, SessionId};
use position::{ClusterId, Incarnation, MemberId};
use quorum::{MemberInfo, Time};
use storage::SimDisk;

use super::super::*;
use crate::engine::SnapshotRule;
use crate::{Actor, Founding, Moment, Reply, encode};

const CLIENT: ClientId = ClientId(1);
const SOON: Duration = Duration::from_millis(1);

/// Counts the commands that it executed; an empty one panics.
#[derive(Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(super) struct Count(u64);

impl Prevalent for Count {
    type Command = Vec<u8>;
    type Outcome = u64;
    type Rejection = ();
    type Query = ();
    type Answer = u64;
    const NAME: &'static str = "count";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, command: Vec<u8>, _: &Moment<'_>) -> Result<u64, ()> {
        self.0 += 1;
        assert!(!command.is_empty(), "an empty command");
        Ok(self.0)
    }

    fn answer(&self, (): &()) -> u64 {
        self.0
    }
}

struct Alone<S: Prevalent> {
    replica: Replica<S>,
    effects: Effects<S>,
    clock: Duration,
    jobs: Vec<Job<S>>,
    session: SessionId,
    sequence: Sequence,
}

fn found<S: Prevalent>(machine: &SimDisk) {
    let member = Member { id: MemberId(1), incarnation: Incarnation(1) };
    let info = MemberInfo::founder(member, "pc1", "", 0);
    let membership = Membership::founding(vec![info]).unwrap();
    Founding { cluster: ClusterId(7), membership }.write::<S>(&machine.disk(), member).unwrap();
}

/// So many entries make a snapshot due.
fn every(entries: u64) -> Options {
    let never = SnapshotRule { frame_bytes: u64::MAX, entries: u64::MAX, cluster_time: Duration::MAX };
    Options { snapshot_rule: SnapshotRule { entries, ..never }, ..Options::new(1) }
}

impl<S: Prevalent<Command = Vec<u8>>> Alone<S> {
    /// Opens a founded directory, and leads.
    fn open(machine: &SimDisk, options: &Options) -> Alone<S> {
        let mut alone = Alone::standing_by(machine, options);
        alone.tick(SOON);
        assert!(alone.replica.voter.leads());
        alone.step(Input::Register { client: CLIENT, actor: &Actor::embedded() });
        alone.session = alone.effects.answers.last().expect("it is registered").session;
        alone
    }

    fn standing_by(machine: &SimDisk, options: &Options) -> Alone<S> {
        let now = Now { time: Time::default(), wall_time: 0 };
        Alone {
            replica: Replica::open(now, machine.disk(), options).unwrap(),
            effects: Effects::new(),
            clock: Duration::ZERO,
            jobs: Vec::new(),
            session: SessionId(0),
            sequence: Sequence::FIRST,
        }
    }

    fn now(&self) -> Now {
        Now { time: Time::after(self.clock), wall_time: 0 }
    }

    fn tick(&mut self, later: Duration) {
        self.clock += later;
        self.step(Input::Tick);
    }

    /// One step, and all that it asks for but jobs.
    fn step(&mut self, input: Input<'_, S>) {
        let now = self.now();
        self.effects.clear();
        self.make_room(16 * 1024);
        self.replica.step(now, input, &mut self.effects).unwrap();
        self.replica.flush(now, &mut self.effects).unwrap();
        loop {
            if let Some(order) = self.effects.persist.take() {
                let persisted = Input::Persisted(order.perform().unwrap());
                self.replica.step(now, persisted, &mut self.effects).unwrap();
            } else if let Some(order) = self.effects.sync.take() {
                order.perform().unwrap();
                order.note_mark();
                self.replica.step(now, Input::Synced(order.ticket()), &mut self.effects).unwrap();
            } else if !self.replica.apply(16, &mut self.effects).unwrap() {
                break;
            }
        }
        self.jobs.append(&mut self.effects.start);
    }

    /// As a driver does that may wait for the disk.
    fn make_room(&mut self, bytes: usize) {
        if let Some(order) = self.replica.order_room_for(bytes) {
            self.replica.room_made(order.perform());
        }
    }

    fn send(&mut self, sequence: Sequence, command: &[u8]) {
        let (mut payload, mut entries) = (Vec::new(), Vec::new());
        encode(&command.to_vec(), &mut payload).unwrap();
        let (kind, session) = (EntryKind::Command, self.session);
        let entry = Entry { kind, session, sequence, lowest_unacknowledged: sequence, payload: &payload };
        entry.write(&mut entries).unwrap();
        self.make_room(entries.len());
        self.step(Input::Commands { client: CLIENT, actor: &Actor::embedded(), entries: &entries });
    }

    /// What became of a command, unless its answer is still to come.
    fn execute(&mut self, command: &[u8]) -> Result<Option<Reply<S>>, Refused> {
        self.send(self.sequence, command);
        if let Some(unanswered) = self.effects.unanswered.first() {
            return Err(unanswered.why.clone());
        }
        self.sequence = self.sequence.next();
        let answer = self.effects.answers.first();
        Ok(answer.map(|answer| Reply::read(&self.effects.bytes[answer.bytes.clone()]).unwrap()))
    }

    /// Takes the job of this name from those that were given out.
    fn job(&mut self, name: &str) -> Option<Job<S>> {
        let at = self.jobs.iter().position(|job| job.name() == name)?;
        Some(self.jobs.remove(at))
    }

    /// Has everything done that was given out until now.
    fn do_jobs(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            self.step(Input::Finished(job.run()));
        }
    }
}

const SNAPSHOT: &str = "make a snapshot";

#[test]
fn a_snapshot_that_could_not_be_made_is_tried_again_although_no_other_is_due() {
    let machine = SimDisk::new(1);
    found::<Count>(&machine);
    let mut alone = Alone::<Count>::open(&machine, &every(10));
    (0..10).for_each(|_| assert!(alone.execute(b"x").unwrap().is_some()));
    let job = alone.job(SNAPSHOT).expect("one is due");
    machine.fill_up(0);
    alone.step(Input::Finished(job.run()));
    machine.fill_up(u64::MAX);
    alone.tick(Duration::from_millis(900));
    assert!(alone.job(SNAPSHOT).is_none(), "at once the disk would be as full");
    alone.tick(Duration::from_millis(200));
    let job = alone.job(SNAPSHOT).expect("it is tried again");
    alone.step(Input::Finished(job.run()));
    assert_eq!(alone.replica.shelf.list().unwrap().len(), 1);
    alone.tick(Duration::from_secs(100));
    assert!(alone.job(SNAPSHOT).is_none());
}

#[test]
fn a_snapshot_that_a_crash_prevented_is_made_after_it() {
    let machine = SimDisk::new(1);
    found::<Count>(&machine);
    let mut alone = Alone::<Count>::open(&machine, &every(10));
    (0..15).for_each(|_| assert!(alone.execute(b"x").unwrap().is_some()));
    let due = alone.job(SNAPSHOT).expect("one is due");
    machine.crash();
    drop(due);
    let mut alone = Alone::<Count>::standing_by(&machine, &every(10));
    alone.tick(SOON);
    let job = alone.job(SNAPSHOT).expect("it is made now");
    alone.step(Input::Finished(job.run()));
    assert_eq!(alone.replica.shelf.list().unwrap()[0].index, Index(10));
}

/// Whatever kept snapshots from being made until then.
#[test]
fn a_journal_that_is_full_makes_room_for_itself() {
    let machine = SimDisk::new(1);
    found::<Count>(&machine);
    let options = Options { journal_bytes_max: 20 << 20, ..every(u64::MAX) };
    let mut alone = Alone::<Count>::open(&machine, &options);
    let large = vec![1; 900_000];
    let refused = (0..100).find_map(|_| alone.execute(&large).err());
    assert_eq!(refused, Some(Refused::NoRoom));
    for _ in 0..10 {
        alone.tick(SOON);
        alone.do_jobs();
    }
    assert!(matches!(alone.execute(&large), Ok(Some(Reply::Outcome(_)))));
}

#[test]
fn a_journal_that_is_full_up_to_its_only_snapshot_makes_room_for_itself() {
    let machine = SimDisk::new(1);
    found::<Count>(&machine);
    let mut alone = Alone::<Count>::open(&machine, &every(24));
    let large = vec![1; 900_000];
    (0..21).for_each(|_| assert!(alone.execute(&large).unwrap().is_some()));
    alone.do_jobs();
    assert_eq!(alone.replica.shelf.list().unwrap()[0].index, alone.replica.journal.last().index());
    alone.replica.journal_bytes_max = alone.replica.journal.bytes();
    assert_eq!(alone.execute(&large).unwrap_err(), Refused::NoRoom);
    for _ in 0..10 {
        alone.tick(SOON);
        alone.do_jobs();
    }
    assert!(matches!(alone.execute(&large), Ok(Some(Reply::Outcome(_)))));
}

#[test]
fn the_past_that_is_kept_takes_no_room_from_commands() {
    let machine = SimDisk::new(1);
    found::<Count>(&machine);
    let options = Options { journal_bytes_max: 1 << 20, history_bytes_max: 4 << 20, ..every(u64::MAX) };
    let mut alone = Alone::<Count>::open(&machine, &options);
    let large = vec![1; 900_000];
    let refused = (0..100).find_map(|number| alone.execute(&large).err().map(|_| number));
    assert_eq!(refused, Some(6));
}

static FRAGILE: AtomicBool = AtomicBool::new(false);

/// Cannot be made while the test says so.
#[derive(Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Fragile;

impl Default for Fragile {
    fn default() -> Fragile {
        assert!(!FRAGILE.load(Ordering::Relaxed), "a state that cannot be made");
        Fragile
    }
}

impl Prevalent for Fragile {
    type Command = Vec<u8>;
    type Outcome = ();
    type Rejection = ();
    type Query = ();
    type Answer = ();
    const NAME: &'static str = "fragile";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, _: Vec<u8>, _: &Moment<'_>) -> Result<(), ()> {
        Ok(())
    }

    fn answer(&self, (): &()) {}
}

#[test]
fn a_job_that_panics_comes_back_and_is_given_out_again() {
    let machine = SimDisk::new(1);
    found::<Fragile>(&machine);
    let mut alone = Alone::<Fragile>::open(&machine, &every(10));
    (0..10).for_each(|_| assert!(alone.execute(b"x").unwrap().is_some()));
    let job = alone.job(SNAPSHOT).expect("one is due");
    FRAGILE.store(true, Ordering::Relaxed);
    let finished = job.run();
    FRAGILE.store(false, Ordering::Relaxed);
    assert!(finished.has_panicked());
    alone.step(Input::Finished(finished));
    alone.tick(Duration::from_secs(2));
    let job = alone.job(SNAPSHOT).expect("it is tried again");
    alone.step(Input::Finished(job.run()));
    assert_eq!(alone.replica.shelf.list().unwrap().len(), 1);
}

/// With the highest of all, counting on from it would panic, on every voter, wherever its answers are listed.
#[test]
fn a_sequence_that_no_client_can_have_come_to_is_refused() {
    let machine = SimDisk::new(1);
    found::<Count>(&machine);
    let mut alone = Alone::<Count>::open(&machine, &every(u64::MAX));
    for sequence in [u64::MAX, u64::MAX - 1, u64::MAX / 2 + 1] {
        alone.send(Sequence(sequence), b"x");
        assert!(matches!(alone.effects.unanswered[0].why, Refused::Malformed(_)));
    }
    alone.send(Sequence(u64::MAX / 2), b"x");
    assert!(alone.effects.unanswered.is_empty());
}

#[test]
fn a_rebuild_that_ends_after_a_snapshot_was_installed_changes_nothing() {
    let (behind, ahead) = (SimDisk::new(1), SimDisk::new(2));
    [&behind, &ahead].iter().for_each(|machine| found::<Count>(machine));
    let mut master = Alone::<Count>::open(&ahead, &every(20));
    (0..20).for_each(|_| assert!(master.execute(b"x").unwrap().is_some()));
    master.do_jobs();
    let snapshot = master.replica.shelf.newest_valid().unwrap().snapshot.expect("one was due");
    let base = snapshot.head().tip;

    let mut alone = Alone::<Count>::standing_by(&behind, &every(20));
    behind.disk().prepare_segment(journal::FIRST_SEGMENT_BYTES).unwrap();
    let mut incoming = alone.replica.shelf.receive(base, snapshot.file().len() as u64).unwrap();
    incoming.write(0, snapshot.file()).unwrap();
    alone.replica.rebuild_without(Index(1), &mut alone.effects);
    alone.replica.start_install(incoming, &mut alone.effects);
    alone.jobs.append(&mut alone.effects.start);
    let late = alone.job("rebuild the state").unwrap().run();
    let installed = alone.job("install a snapshot").unwrap().run();
    alone.step(Input::Finished(installed));
    assert_eq!(alone.replica.applied(), base);
    alone.step(Input::Finished(late));
    assert_eq!(alone.replica.applied(), base);
}

/// The newest snapshot rots while the voter runs, and the journal does not reach back to the one before.
#[test]
fn a_rebuild_that_leads_back_in_time_is_an_error() {
    let machine = SimDisk::new(1);
    found::<Count>(&machine);
    let mut alone = Alone::<Count>::open(&machine, &every(20));
    let large = vec![1; 900_000];
    for _ in 0..60 {
        assert!(alone.execute(&large).unwrap().is_some());
        alone.do_jobs();
    }
    assert!(alone.replica.journal.base().index() > Index::NONE);
    for listed in alone.replica.shelf.list().unwrap() {
        machine.rot(&listed.name, 600, 1);
    }
    alone.execute(b"").unwrap();
    let rebuilt = alone.job("rebuild the state").unwrap().run();
    let now = alone.now();
    let failed = alone.replica.step(now, Input::Finished(rebuilt), &mut alone.effects);
    assert!(matches!(failed, Err(Fatal::Rebuild(RebuildError::Gap { .. }))), "{failed:?}");
}

/// Whatever a voter is told, and whatever its journal needs then: a disk that hangs holds up whoever calls it, so a step
/// never does.
#[test]
fn no_step_waits_for_the_disk() {
    let machine = SimDisk::new(1);
    found::<Count>(&machine);
    let mut alone = Alone::<Count>::open(&machine, &every(u64::MAX));
    let calls = machine.calls();
    let (mut sequence, mut taken, mut refused) = (alone.sequence, 0_u64, 0_u64);
    let mut entries = Vec::new();
    // From here on no order is performed and no job is run: the disk hangs.
    let now = alone.now();
    for _ in 0..400 {
        let mut payload = Vec::new();
        encode(&vec![7_u8; 200_000], &mut payload).unwrap();
        entries.clear();
        let (kind, session) = (EntryKind::Command, alone.session);
        let entry = Entry { kind, session, sequence, lowest_unacknowledged: sequence, payload: &payload };
        entry.write(&mut entries).unwrap();
        let actor = Actor::embedded();
        let input = Input::Commands { client: CLIENT, actor: &actor, entries: &entries };
        alone.replica.step(now, input, &mut alone.effects).unwrap();
        alone.replica.flush(now, &mut alone.effects).unwrap();
        alone.replica.step(now, Input::Tick, &mut alone.effects).unwrap();
        match alone.effects.unanswered.pop() {
            None => (taken, sequence) = (taken + 1, sequence.next()),
            Some(unanswered) => {
                assert_eq!(unanswered.why, Refused::Busy);
                refused += 1;
            }
        }
    }
    assert_eq!(machine.calls(), calls);
    assert!(refused > 0, "so much may wait, and no more");
    assert!(taken < 200, "{taken} commands of 200 kB");
    assert!(alone.replica.voter.leads());
}
