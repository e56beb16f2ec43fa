//! Three voters in one thread: a network that loses nothing, one clock for all, and disks that answer when the test
//! lets them.

use std::collections::VecDeque;
use std::time::Duration;

use journal::{Entry, EntryKind, Sequence, SessionId, Sizes, SyncOrder};
use position::{ClusterId, Incarnation, MemberId};
use quorum::{MemberInfo, Time};
use storage::Disk;

use super::super::*;
use super::upkeep::Count;
use crate::{Actor, Founding, encode};

const CLIENT: ClientId = ClientId(1);
/// How often the clock is looked at.
const STEP: Duration = Duration::from_millis(20);

pub(super) struct Trio {
    pub(super) voters: Vec<Node>,
    clock: Duration,
    session: SessionId,
    sequence: Sequence,
}

pub(super) struct Node {
    pub(super) replica: Replica<Count>,
    effects: Effects<Count>,
    inbox: VecDeque<(Envelope, Vec<u8>)>,
    /// Its disk does not answer: neither syncs nor jobs come back.
    pub(super) hangs: bool,
    /// Nothing comes to it, and nothing from it.
    pub(super) is_cut_off: bool,
    /// The names of the jobs that were done for it.
    pub(super) jobs_done: Vec<&'static str>,
    sync: Option<SyncOrder>,
    jobs: Vec<Job<Count>>,
}

fn member(id: u16) -> Member {
    Member { id: MemberId(id), incarnation: Incarnation(u128::from(id)) }
}

fn info(id: u16) -> MemberInfo {
    MemberInfo::founder(member(id), &format!("pc{id}"), "", id.into())
}

/// Small segments, and a snapshot every so many entries.
pub(super) fn options(entries: u64, process: u64) -> Options {
    let never =
        SnapshotRule { frame_bytes: u64::MAX, entries: u64::MAX, cluster_time: Duration::from_secs(1 << 30) };
    Options {
        snapshot_rule: SnapshotRule { entries, ..never },
        segment_sizes: Sizes::SMALL,
        ..Options::new(process)
    }
}

impl Trio {
    /// Founds a cluster on these disks, and waits until one leads.
    pub(super) fn found(disks: [Disk; 3], entries: u64) -> Trio {
        let membership = Membership::founding((1..=3).map(info).collect()).unwrap();
        let now = Now { time: Time::default(), wall_time: 0 };
        let open = |(id, disk): (u16, Disk)| {
            let founding = Founding { cluster: ClusterId(5), membership: membership.clone() };
            founding.write::<Count>(&disk, member(id)).unwrap();
            let replica = Replica::open(now, disk, &options(entries, u64::from(id))).unwrap();
            let (effects, inbox, jobs) = (Effects::new(), VecDeque::new(), Vec::new());
            let (hangs, is_cut_off, jobs_done) = (false, false, Vec::new());
            Node { replica, effects, inbox, hangs, is_cut_off, jobs_done, sync: None, jobs }
        };
        let voters = (1..=3).zip(disks).map(open).collect();
        let (session, sequence) = (SessionId(0), Sequence::FIRST);
        let mut trio = Trio { voters, clock: Duration::ZERO, session, sequence };
        for node in 0..3 {
            for other in 0..3 {
                if node != other {
                    let id = trio.voters[other].replica.me().id;
                    trio.step(node, Input::Connected(id));
                }
            }
        }
        trio.run_until("somebody leads", |trio| {
            trio.voters.iter().filter(|node| node.replica.view().master.is_some()).count() == 3
        });
        trio.register();
        trio
    }

    /// Which voter leads.
    pub(super) fn master(&self) -> usize {
        self.voters.iter().position(|node| node.replica.voter().leads()).expect("somebody leads")
    }

    pub(super) fn now(&self) -> Now {
        Now { time: Time::after(self.clock), wall_time: 0 }
    }

    pub(super) fn step(&mut self, node: usize, input: Input<'_, Count>) {
        let now = self.now();
        let Node { replica, effects, .. } = &mut self.voters[node];
        replica.step(now, input, effects).unwrap();
        replica.flush(now, effects).unwrap();
    }

    /// Lets so much time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.clock + time;
        while self.clock < end {
            self.clock += STEP;
            (0..3).for_each(|node| self.step(node, Input::Tick));
            self.settle();
        }
    }

    /// Lets time pass until this is so, at most some seconds.
    #[track_caller]
    pub(super) fn run_until(&mut self, what: &str, is_so: impl Fn(&Trio) -> bool) {
        for _ in 0..2_000 {
            if is_so(self) {
                return;
            }
            self.run(STEP);
        }
        panic!("it never comes to it that {what}");
    }

    /// Delivers and performs everything that does not wait for a disk that hangs.
    pub(super) fn settle(&mut self) {
        while (0..3).fold(false, |moved, node| self.perform(node) | moved) {}
    }

    fn perform(&mut self, node: usize) -> bool {
        let now = self.now();
        let Node { replica, effects, inbox, hangs, is_cut_off, jobs_done, sync, jobs } =
            &mut self.voters[node];
        let mut moved = false;
        *sync = sync.take().or(effects.sync.take());
        jobs.append(&mut effects.start);
        if !*hangs {
            if let Some(order) = effects.persist.take() {
                replica.step(now, Input::Persisted(order.perform().unwrap()), effects).unwrap();
                moved = true;
            }
            if let Some(order) = sync.take() {
                order.perform().unwrap();
                order.note_mark();
                replica.step(now, Input::Synced(order.ticket()), effects).unwrap();
                moved = true;
            }
            for job in std::mem::take(jobs) {
                jobs_done.push(job.name());
                replica.step(now, Input::Finished(job.run()), effects).unwrap();
                moved = true;
            }
        }
        if *is_cut_off {
            inbox.clear();
            effects.send.clear();
        }
        while let Some((envelope, payload)) = inbox.pop_front() {
            let message = Input::Message { envelope: &envelope, payload: &payload };
            replica.step(now, message, effects).unwrap();
            moved = true;
        }
        moved |= replica.apply(16, effects).unwrap();
        replica.flush(now, effects).unwrap();
        for Outgoing { envelope, payload } in std::mem::take(&mut effects.send) {
            let payload: Vec<u8> = payload.iter().flat_map(|slice| slice.to_vec()).collect();
            let to = self.voters.iter_mut().find(|to| to.replica.me().id == envelope.to.id);
            to.expect("a voter of this cluster").inbox.push_back((envelope, payload));
            moved = true;
        }
        moved
    }

    fn register(&mut self) {
        let master = self.master();
        self.step(master, Input::Register { client: CLIENT, actor: &Actor::embedded() });
        self.settle();
        self.session = self.voters[master].effects.answers.pop().expect("it is registered").session;
    }

    /// Sends a command of so many bytes to the master, and says what became of it.
    pub(super) fn execute(&mut self, bytes: usize) -> Result<(), Refused> {
        let master = self.master();
        let (mut payload, mut entries) = (Vec::new(), Vec::new());
        encode(&vec![7_u8; bytes], &mut payload).unwrap();
        let (kind, session, sequence) = (EntryKind::Command, self.session, self.sequence);
        let entry = Entry { kind, session, sequence, lowest_unacknowledged: sequence, payload: &payload };
        entry.write(&mut entries).unwrap();
        self.step(master, Input::Commands { client: CLIENT, actor: &Actor::embedded(), entries: &entries });
        self.settle();
        let effects = &mut self.voters[master].effects;
        if let Some(unanswered) = effects.unanswered.pop() {
            return Err(unanswered.why);
        }
        effects.answers.pop().expect("it is answered");
        self.sequence = self.sequence.next();
        Ok(())
    }

    /// What is executed here.
    pub(super) fn state_of(&self, node: usize) -> u64 {
        self.voters[node].replica.engine().expect("it has a state").state().answer(&())
    }

    /// Has this voter read again all that its disk holds, on a thread of its own, as it were.
    pub(super) fn scrub(&mut self, node: usize) -> ScrubFound {
        let now = self.now();
        assert!(self.voters[node].replica.begin_scrub(now), "nothing is being read");
        loop {
            let replica = &mut self.voters[node].replica;
            let job = replica.next_scrub_job();
            if replica.has_scrubbed() {
                return replica.scrub_found();
            }
            let finished = job.expect("nobody else reads").run();
            self.step(node, Input::Finished(finished));
        }
    }
}
