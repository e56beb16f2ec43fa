//! Voters without a protocol: real endpoints and services in front of one shared engine, whose master is
//! whoever the test says.
//!
//! Each voter has a runtime of its own. Killing one drops the runtime, so that its socket is gone without
//! a word to anybody, as after SIGKILL.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use journal::{Entries, Entry, EntryKind, Frame, FrameBuilder, Schema, Sequence, SessionId, Stamp};
use position::{ClusterId, Epoch, Index, MemberId, Tip};
use prevalent::rkyv;
use prevalent::{Answers, Engine, Moment, Prevalent, answer_query, registration};
use shipper::{
    Answer, Authority, ClientOptions, ClusterView, Credentials, Denied, Endpoint, Followed, FromLoop, Gate,
    Holder, Kept, MemberAddress, Name, PastAt, Question, Replies, Serial, Service, ToLoop, VoterStatus,
    serve_clients,
};
use snapshots::Shelf;
use storage::Disk;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};

/// Remembers every number that it was given, so that a lost or doubled one shows.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Default, Debug, PartialEq)]
#[rkyv(crate = prevalent::rkyv)]
pub(crate) struct Ledger {
    pub(crate) numbers: Vec<u64>,
}

const CLUSTER: ClusterId = ClusterId(77);

/// The ledger refuses this number.
pub(crate) const UNLUCKY: u64 = 13_000_000;

impl Prevalent for Ledger {
    type Command = u64;
    type Outcome = u64;
    type Rejection = String;
    type Query = u8;
    type Answer = Vec<u64>;

    const NAME: &'static str = "ledger";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, number: u64, _at: &Moment<'_>) -> Result<u64, String> {
        if number == UNLUCKY {
            return Err("an unlucky number".to_owned());
        }
        self.numbers.push(number);
        Ok(self.numbers.len() as u64)
    }

    fn answer(&self, _query: &u8) -> Vec<u64> {
        self.numbers.clone()
    }
}

/// What happens once the ledger has so many numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The master dies before it answers what it has just applied, and another takes over.
    Kill { next: u16 },
    /// The master steps down without dying, and another takes over.
    StepDown { next: u16 },
    /// The next batch of commands meets a busy voter.
    Busy,
    /// All sessions expire.
    Expire,
}

pub(crate) struct FakeCluster {
    folder: tempfile::TempDir,
    world: Arc<Mutex<World>>,
}

struct World {
    engine: Engine<Ledger>,
    epoch: Epoch,
    master: Option<MemberId>,
    members: Vec<MemberAddress>,
    voters: BTreeMap<MemberId, FakeVoter>,
    watchers: Vec<(watch::Sender<Option<Answer>>, Bytes)>,
    /// Frames, each with the tip that it follows and its own.
    journal: Vec<(Tip, Tip, Bytes)>,
    snapshots: Shelf,
    followers: Vec<(Tip, oneshot::Sender<Result<Followed, Denied>>)>,
    script: VecDeque<(usize, Event)>,
    cluster_time: Duration,
    busy: bool,
    /// The voter that does not say how it is, and who waits for it.
    stuck: Option<MemberId>,
    unanswered: Vec<oneshot::Sender<VoterStatus>>,
    /// So many registrations find no room.
    full: usize,
}

struct FakeVoter {
    runtime: Runtime,
    view: watch::Sender<ClusterView>,
}

impl FakeCluster {
    /// Starts `voters` voters without a master.
    pub(crate) fn start(voters: u16) -> FakeCluster {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(CLUSTER).unwrap();
        authority.write(folder.path()).unwrap();
        let world = World {
            engine: Engine::new(),
            epoch: Epoch::NONE,
            master: None,
            members: Vec::new(),
            voters: BTreeMap::new(),
            watchers: Vec::new(),
            journal: Vec::new(),
            snapshots: Shelf::new(Disk::open(folder.path().join("snapshots")).unwrap()),
            followers: Vec::new(),
            script: VecDeque::new(),
            cluster_time: Duration::ZERO,
            busy: false,
            stuck: None,
            unanswered: Vec::new(),
            full: 0,
        };
        let cluster = FakeCluster { folder, world: Arc::new(Mutex::new(world)) };
        for id in 1..=voters {
            cluster.start_voter(MemberId(id), &authority);
        }
        cluster.world().publish();
        cluster
    }

    fn start_voter(&self, id: MemberId, authority: &Authority) {
        let folder = self.folder.path().join(format!("voter-{id}"));
        authority.issue(Holder::Voter(id), Serial::FIRST, &folder).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (view, views) = watch::channel(ClusterView::default());
        let (to_loop, inbox) = mpsc::channel(64);
        let address = {
            let _inside = runtime.enter();
            let credentials = Credentials::load(&folder).unwrap();
            let endpoint = Endpoint::listen(([127, 0, 0, 1], 0).into(), credentials).unwrap();
            let address = endpoint.local_address().unwrap();
            let gate = Gate::new::<Ledger>(|_, _| Ok(()), |_, _| Ok(()));
            let service = Service::new(id, to_loop, views, gate);
            tokio::spawn(serve_clients(endpoint, Arc::new(service)));
            tokio::spawn(run_loop(Arc::clone(&self.world), id, inbox));
            address
        };
        let mut world = self.world();
        world.members.push(MemberAddress { id, name: format!("pc{id}"), address, is_voter: true });
        world.voters.insert(id, FakeVoter { runtime, view });
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(crate) fn promote(&self, id: u16) {
        self.world().promote(MemberId(id));
    }

    /// From now on this voter's loop answers nobody's question how it is.
    pub(crate) fn be_stuck(&self, id: u16) {
        self.world().stuck = Some(MemberId(id));
    }

    pub(crate) fn kill(&self, id: u16) {
        self.world().kill(MemberId(id));
    }

    /// What is to happen when the ledger has so many numbers; in order.
    pub(crate) fn script(&self, events: &[(usize, Event)]) {
        self.world().script.extend(events.iter().copied());
    }

    /// The next registrations find no room.
    pub(crate) fn fill(&self, registrations: usize) {
        self.world().full = registrations;
    }

    /// Lets two hours pass.
    pub(crate) fn expire_sessions(&self) {
        self.world().expire_all();
    }

    /// Makes a snapshot and forgets the journal before it.
    pub(crate) fn compact(&self) {
        self.snapshot();
        self.world().journal.clear();
    }

    pub(crate) fn snapshot(&self) {
        let world = self.world();
        let head = world.engine.snapshot_head(CLUSTER);
        let mut writer = world.snapshots.begin(head).unwrap();
        world.engine.write_image(&mut writer).unwrap();
        writer.finish().unwrap();
    }

    /// Journals an entry that a newer program wrote.
    pub(crate) fn journal_from_the_future(&self) {
        let mut world = self.world();
        let mut builder = FrameBuilder::new();
        builder.push(&Entry::internal(EntryKind::Feature, b"new")).unwrap();
        let previous = world.engine.applied();
        let stamp = world.stamp(previous);
        let frame = builder.seal(&stamp);
        world.journal.push((previous, frame.tip(), Bytes::copy_from_slice(frame.bytes())));
        world.tell_followers();
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.world().engine.state().numbers.clone()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.world().engine.sessions().iter().len()
    }

    pub(crate) fn address(&self, id: u16) -> SocketAddr {
        self.world().members[usize::from(id) - 1].address
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Options of a new operator's client that knows voter 1 only.
    pub(crate) fn options(&self, name: &str) -> ClientOptions {
        self.options_of(Holder::Operator(Name::new(name).unwrap()))
    }

    pub(crate) fn options_of(&self, holder: Holder) -> ClientOptions {
        ClientOptions {
            addresses: vec![self.address(1)],
            identity: self.identity(holder),
            members_file: None,
            time_out: Duration::from_secs(20),
        }
    }

    fn identity(&self, holder: Holder) -> PathBuf {
        let folder = self.folder.path().join(holder.name());
        Authority::load(self.folder.path()).unwrap().issue(holder, Serial::FIRST, &folder).unwrap();
        folder
    }
}

impl World {
    fn promote(&mut self, id: MemberId) {
        self.epoch = self.epoch.next();
        self.master = Some(id);
        self.watchers.clear();
        self.publish();
    }

    fn kill(&mut self, id: MemberId) {
        if let Some(voter) = self.voters.remove(&id) {
            voter.runtime.shutdown_background();
        }
        if self.master == Some(id) {
            self.master = None;
            self.watchers.clear();
        }
    }

    fn publish(&self) {
        for voter in self.voters.values() {
            let members = self.members.clone();
            voter.view.send_replace(ClusterView { epoch: self.epoch, master: self.master, members });
        }
    }

    /// Journals, commits and applies at once.
    fn apply(&mut self, fill: impl FnOnce(&mut FrameBuilder)) -> Answers {
        let mut builder = FrameBuilder::new();
        fill(&mut builder);
        let previous = self.engine.applied();
        let frame: Frame<'_> = builder.seal(&self.stamp(previous));
        let mut answers = Answers::default();
        self.engine.apply(&frame, &mut answers).unwrap();
        self.journal.push((previous, frame.tip(), Bytes::copy_from_slice(frame.bytes())));
        self.tell_followers();
        answers
    }

    fn stamp(&self, previous: Tip) -> Stamp {
        Stamp {
            previous,
            epoch: self.epoch,
            commit: Index::NONE,
            cluster_time: self.cluster_time,
            wall_time: i64::try_from(previous.index().0 + 1).unwrap(),
        }
    }

    /// What follows `after`; `None`: nothing yet.
    fn followed(&self, after: Tip) -> Option<Followed> {
        if let Some(at) = self.journal.iter().position(|(previous, ..)| *previous == after) {
            // A few at a time, so that followers have to ask again.
            let frames: Vec<_> = self.journal[at..].iter().take(3).collect();
            let through = frames.last()?.1;
            return Some(Followed::Frames {
                frames: frames.iter().map(|frame| frame.2.clone()).collect(),
                through,
            });
        }
        if after == self.engine.applied() || self.journal.last().is_some_and(|(_, tip, _)| *tip == after) {
            return None;
        }
        Some(Followed::Behind(self.snapshots.clone()))
    }

    fn tell_followers(&mut self) {
        for (after, reply) in std::mem::take(&mut self.followers) {
            self.follow(after, reply);
        }
    }

    fn follow(&mut self, after: Tip, reply: oneshot::Sender<Result<Followed, Denied>>) {
        match self.followed(after) {
            Some(followed) => drop(reply.send(Ok(followed))),
            None => self.followers.push((after, reply)),
        }
    }

    fn expire_all(&mut self) {
        self.cluster_time += 2 * prevalent::SESSION_IDLE;
        let sessions: Vec<_> = self.engine.sessions().iter().map(prevalent::Session::id).collect();
        self.apply(|builder| {
            for session in sessions {
                builder.push(&Entry { session, ..Entry::internal(EntryKind::Expire, &[]) }).unwrap();
            }
        });
    }

    fn answer(&self, query: &[u8]) -> Answer {
        let mut archive = Vec::new();
        answer_query(self.engine.state(), query, &mut archive).unwrap();
        self.answer_with(archive.into())
    }

    fn answer_with(&self, archive: Bytes) -> Answer {
        Answer { epoch: self.epoch, index: self.engine.applied().index(), archive }
    }

    fn tell_watchers(&mut self) {
        let answers: Vec<_> = self.watchers.iter().map(|(_, query)| self.answer(query)).collect();
        for ((changes, _), answer) in self.watchers.iter().zip(answers) {
            changes.send_replace(Some(answer));
        }
        self.watchers.retain(|(changes, _)| !changes.is_closed());
    }

    /// Plays the part of the script that is due. Returns whether the voter `me` still answers.
    fn play_script(&mut self, me: MemberId) -> bool {
        let applied = self.engine.state().numbers.len();
        while let Some((_, event)) = self.script.pop_front_if(|(at, _)| *at <= applied) {
            match event {
                Event::Kill { next } => {
                    self.kill(me);
                    self.promote(MemberId(next));
                    return false;
                }
                Event::StepDown { next } => {
                    self.promote(MemberId(next));
                    return false;
                }
                Event::Busy => self.busy = true,
                Event::Expire => self.expire_all(),
            }
        }
        true
    }
}

async fn run_loop(world: Arc<Mutex<World>>, me: MemberId, mut inbox: mpsc::Receiver<Question>) {
    while let Some(Question { what, place }) = inbox.recv().await {
        world.lock().unwrap().step(me, what);
        drop(place);
    }
}

impl World {
    fn step(&mut self, me: MemberId, asked: ToLoop) {
        let leads = self.master == Some(me);
        match asked {
            // A loop that is stuck keeps the question; the connection lives on.
            ToLoop::Status { reply } if self.stuck == Some(me) => self.unanswered.push(reply),
            ToLoop::Status { reply } => drop(reply.send(self.status(me))),
            ToLoop::Register { replies, .. } | ToLoop::Commands { replies, .. } if !leads => {
                replies.send(FromLoop::NotMaster);
            }
            ToLoop::Read { reply, .. } if !leads => drop(reply.send(Err(Denied::NotMaster))),
            ToLoop::Members { reply } => drop(reply.send(Err(Denied::NotMaster))),
            ToLoop::Change { reply, .. } => drop(reply.send(Err(Denied::NotMaster))),
            ToLoop::Commit { reply } if !leads => drop(reply.send(Err(Denied::NotMaster))),
            ToLoop::Commit { reply } => drop(reply.send(Ok(self.answer_with(Bytes::new())))),
            ToLoop::Watch { .. } if !leads => {}
            ToLoop::Register { replies, .. } if self.full > 0 => {
                self.full -= 1;
                let (session, sequence) = (SessionId(0), Sequence(0));
                replies.send(FromLoop::NotNow { session, sequence, reason: "full".to_owned() });
            }
            ToLoop::Register { actor, replies } => {
                let payload = registration(&actor).unwrap();
                let answers = self
                    .apply(|builder| builder.push(&Entry::internal(EntryKind::Register, &payload)).unwrap());
                let prevalent::Reply::<Ledger>::Registered(session) =
                    prevalent::Reply::read(answers.bytes_of(&answers.list[0])).unwrap()
                else {
                    panic!("not registered");
                };
                replies.send(FromLoop::Registered { session });
            }
            ToLoop::Commands { batch, replies, .. } => {
                if let Some(entries) = batch.entries() {
                    self.execute(me, entries, &replies);
                }
            }
            ToLoop::Read { query, reply } => drop(reply.send(Ok(self.answer(&query)))),
            ToLoop::Watch { query, changes } => {
                changes.send_replace(Some(self.answer(&query)));
                self.watchers.push((changes, query));
            }
            ToLoop::Follow { after, reply, .. } => self.follow(after, reply),
            ToLoop::Past { at, reply } => {
                let at = match at {
                    PastAt::Index(index) => index,
                    // Each entry is written a second after the one before.
                    PastAt::Time(seconds) => Index(u64::try_from(seconds).unwrap()),
                };
                let base = self.journal.first().map_or(self.engine.applied(), |(previous, ..)| *previous);
                let commit = self.engine.applied().index();
                drop(reply.send(Kept { shelf: self.snapshots.clone(), base, at: at.min(commit), commit }));
            }
        }
    }

    fn execute(&mut self, me: MemberId, entries: &[u8], replies: &Replies) {
        let entries = Entries::check(entries).unwrap();
        let first = entries.iter().next().unwrap();
        if std::mem::take(&mut self.busy) {
            replies.send(FromLoop::Busy { session: first.session, from: first.sequence });
            return;
        }
        let answers = self.apply(|builder| builder.push_all(&entries).unwrap());
        self.tell_watchers();
        if self.play_script(me) {
            let length = |range: &std::ops::Range<usize>| u32::try_from(range.len()).unwrap();
            let list = answers.list.iter().map(|answer| (answer.sequence, length(&answer.range))).collect();
            replies.send(FromLoop::Answers { session: first.session, list, bytes: answers.bytes.into() });
        }
    }

    fn status(&self, me: MemberId) -> VoterStatus {
        let applied = self.engine.applied().index();
        VoterStatus {
            voter: me,
            version: "test".to_owned(),
            role: if self.master == Some(me) { "master" } else { "standby" }.to_owned(),
            view: ClusterView { epoch: self.epoch, master: self.master, members: self.members.clone() },
            last: applied,
            durable: applied,
            commit: applied,
            applied,
            outcome_hash: self.engine.outcome_hash().to_string(),
            standbys: Vec::new(),
            disk_waits_ms: None,
            findings: Vec::new(),
        }
    }
}

impl Drop for FakeCluster {
    fn drop(&mut self) {
        let voters = std::mem::take(&mut self.world().voters);
        for voter in voters.into_values() {
            voter.runtime.shutdown_background();
        }
    }
}
