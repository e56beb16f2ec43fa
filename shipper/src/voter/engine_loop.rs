//! The loop that owns a node: takes what has come, steps, and has done what the step asks for.
//!
//! Responsible for: that heartbeats and votes never wait for the disk, a job or a client. Not responsible
//! for: any decision, which the replica makes, and the order of what follows from it, which is the node's.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::{MetaOrder, SyncOrder, SyncWatch};
use position::{Index, MemberId, Tip};
use prevalent::{Fatal, Input, Node, Now, Order, Outgoing, Prevalent, Replica, Words};
use quorum::{ChangeRefused, Kind, MemberView, Newcomer, RoleName, Time};
use storage::DiskError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::conversation::{
    ClusterView, FINDINGS_MAX, MemberAddress, MemberStatus, Members, NewcomerStatus, PastAt, StandbyStatus,
    VoterStatus,
};
use crate::peer::{FromPeer, Peers};
use crate::service::{Denied, Followed, Kept, Place, Question, Replies, ToLoop};
use crate::voter::clients;
use crate::voter::turns::{TURN_PERIOD, Turns};
use crate::voter::watches::{Asked, Present, Watches};
use crate::voter::worker::{self, DONE_MAX, Done, Worker};

/// So many inputs of each kind are taken before the loop turns to what they ask for.
const INPUTS_PER_TURN: usize = 256;
/// Watched answers are made anew at most this often: latest value wins.
const RENEW_PERIOD: Duration = Duration::from_millis(5);
/// Committed frames, reads, and again watched answers, get so much of a turn each: a fraction of a heartbeat's
/// period, whatever clients send and ask. Watched answers thus take half of the loop's time at most.
const SHARE_OF_TURN: Duration = Duration::from_millis(5);
/// Batches of clients that have gone are forgotten this often.
const SWEEP_PERIOD: Duration = Duration::from_secs(5);

/// Why a voter stopped that was not asked to.
#[derive(Debug, thiserror::Error)]
pub enum VoterFailure {
    /// The disk failed, or the journal needs a newer program.
    #[error(transparent)]
    Replica(#[from] Fatal),
    /// A sync or the writing of a ballot failed.
    #[error(
        "{0}; the voter stops, since what the disk holds is no longer known; it recovers at its next start"
    )]
    Disk(#[from] DiskError),
    /// A thread could not be started.
    #[error("no thread for background work: {0}")]
    Thread(#[from] io::Error),
}

/// Everything the loop hears from.
pub(crate) struct Inboxes<S: Prevalent> {
    pub(crate) peers: mpsc::Receiver<FromPeer>,
    pub(crate) clients: mpsc::Receiver<Question>,
    pub(crate) done: mpsc::Receiver<Done<S>>,
    pub(crate) stop: CancellationToken,
}

/// A node and everyone it talks to.
pub(crate) struct EngineLoop<S: Prevalent> {
    started: Instant,
    node: Node<S, Replies, Waiting>,
    words: Words<Replies, Waiting>,
    peers: Peers,
    watches: Watches,
    /// The service lets in so many and no more.
    followers: Vec<Follower>,
    view: watch::Sender<ClusterView>,
    done: mpsc::Sender<Done<S>>,
    flusher: Worker<SyncOrder>,
    keeper: Worker<MetaOrder>,
    /// The journal's own jobs.
    chores: SyncWatch,
    /// The state has changed since watched answers were last made.
    stale: bool,
    renewed: Instant,
    swept: Instant,
    committed: Index,
    turns: Turns,
}

struct Follower {
    after: Tip,
    bytes_max: usize,
    reply: oneshot::Sender<Result<Followed, Denied>>,
}

/// Who waits for the node.
#[derive(Debug)]
enum Waiting {
    /// For a read index.
    Query(Asked),
    /// For a change of the members.
    Change {
        reply: oneshot::Sender<Result<Result<u64, ChangeRefused>, Denied>>,
        #[expect(dead_code, reason = "it is kept as long as the change is under way")]
        place: Place,
    },
}

impl Waiting {
    /// What became of a change.
    fn tell(self, result: Result<u64, ChangeRefused>) {
        if let Waiting::Change { reply, .. } = self {
            let _gone = reply.send(Ok(result));
        }
    }

    /// This voter leads no more.
    fn deny(self) {
        match self {
            Waiting::Query(asked) => asked.deny(),
            change @ Waiting::Change { .. } => change.tell(Err(ChangeRefused::MasterChanged)),
        }
    }
}

/// What woke the loop.
enum Woken<S: Prevalent> {
    Done(Done<S>),
    Peer(FromPeer),
    Client(Question),
    Time,
    Stop,
}

impl<S: Prevalent> EngineLoop<S> {
    pub(crate) fn new(
        started: Instant,
        replica: Replica<S>,
        peers: Peers,
        view: watch::Sender<ClusterView>,
    ) -> io::Result<(EngineLoop<S>, mpsc::Receiver<Done<S>>)> {
        let (done, inbox) = mpsc::channel(DONE_MAX);
        let engine_loop = EngineLoop {
            started,
            node: Node::new(replica),
            words: Words::default(),
            peers,
            watches: Watches::default(),
            followers: Vec::new(),
            view,
            flusher: worker::flusher(done.clone())?,
            keeper: worker::keeper(done.clone())?,
            chores: SyncWatch::default(),
            done,
            stale: false,
            renewed: started,
            swept: started,
            committed: Index::NONE,
            turns: Turns::default(),
        };
        Ok((engine_loop, inbox))
    }

    /// Runs until asked to stop, or until the disk fails.
    pub(crate) async fn run(mut self, mut inboxes: Inboxes<S>) -> Result<(), VoterFailure> {
        self.push_view();
        let mut more = false;
        loop {
            self.turns.add();
            self.tell_what_hangs();
            let woken = if more { self.poll(&mut inboxes) } else { self.wait(&mut inboxes).await };
            match woken {
                Some(Woken::Stop) => break,
                Some(woken) => {
                    self.take(woken)?;
                    self.drain(&mut inboxes)?;
                }
                None => {}
            }
            self.node.end_input(self.now())?;
            self.perform()?;
            more = self.apply()?;
            self.perform()?;
            self.serve_followers();
            more |= self.answer_reads();
            self.renew_watches();
            if more {
                // Network tasks of this thread's runtime, if any, get their turn.
                tokio::task::yield_now().await;
            }
        }
        self.node.dismiss(&mut self.words);
        self.speak();
        self.node.replica_mut().stop()?;
        Ok(())
    }

    pub(crate) fn turns(&self) -> Turns {
        self.turns.clone()
    }

    fn now(&self) -> Now {
        Now { time: Time::after(self.started.elapsed()), wall_time: prevalent::wall_time() }
    }

    /// What is there already, without waiting.
    fn poll(&self, inboxes: &mut Inboxes<S>) -> Option<Woken<S>> {
        if inboxes.stop.is_cancelled() {
            return Some(Woken::Stop);
        }
        let done = inboxes.done.try_recv().ok().map(Woken::Done);
        let peer = || inboxes.peers.try_recv().ok().map(Woken::Peer);
        done.or_else(peer).or_else(|| inboxes.clients.try_recv().ok().map(Woken::Client))
    }

    async fn wait(&self, inboxes: &mut Inboxes<S>) -> Option<Woken<S>> {
        let wait = self.node.next_deadline().since(self.now().time);
        let renews = self.stale || self.watches.has_due();
        let wait = if renews { wait.min(RENEW_PERIOD) } else { wait.min(TURN_PERIOD) };
        tokio::select! {
            biased;
            () = inboxes.stop.cancelled() => Some(Woken::Stop),
            done = inboxes.done.recv() => done.map(Woken::Done),
            peer = inboxes.peers.recv() => peer.map(Woken::Peer),
            client = inboxes.clients.recv() => client.map(Woken::Client),
            () = tokio::time::sleep(wait) => Some(Woken::Time),
        }
    }

    /// Takes what else has come, so that one frame holds as much as possible.
    fn drain(&mut self, inboxes: &mut Inboxes<S>) -> Result<(), VoterFailure> {
        for _ in 0..INPUTS_PER_TURN {
            let Ok(done) = inboxes.done.try_recv() else { break };
            self.take(Woken::Done(done))?;
        }
        for _ in 0..INPUTS_PER_TURN {
            let Ok(message) = inboxes.peers.try_recv() else { break };
            self.take(Woken::Peer(message))?;
        }
        for _ in 0..INPUTS_PER_TURN {
            let Ok(question) = inboxes.clients.try_recv() else { break };
            self.take(Woken::Client(question))?;
        }
        Ok(())
    }

    fn take(&mut self, woken: Woken<S>) -> Result<(), VoterFailure> {
        match woken {
            Woken::Done(Done::Synced(ticket)) => self.step(Input::Synced(ticket?))?,
            Woken::Done(Done::Persisted(ballot)) => self.step(Input::Persisted(ballot?))?,
            Woken::Done(Done::Finished(finished)) => self.step(Input::Finished(finished))?,
            Woken::Peer(FromPeer::Linked(id)) => self.step(Input::Connected(id))?,
            Woken::Peer(FromPeer::Message { envelope, payload }) => {
                self.step(Input::Message { envelope: &envelope, payload: &payload })?;
            }
            Woken::Client(question) => self.ask(question)?,
            Woken::Time | Woken::Stop => {}
        }
        Ok(())
    }

    fn step(&mut self, input: Input<'_, S>) -> Result<(), VoterFailure> {
        self.node.step(self.now(), input)?;
        self.give_orders()
    }

    fn ask(&mut self, Question { what, place }: Question) -> Result<(), VoterFailure> {
        let now = self.now();
        match what {
            ToLoop::Register { actor, replies } => self.node.register(now, replies, &actor)?,
            ToLoop::Commands { batch, actor, replies } => {
                // Passed over: its client was told `Busy` after sending it, and sends it again.
                let Some(entries) = batch.entries() else { return Ok(()) };
                self.node.commands(now, replies, &actor, entries)?;
            }
            ToLoop::Read { query, reply } => {
                self.node.read(now, Waiting::Query(Asked::Read { query, reply, place }))?
            }
            ToLoop::Commit { reply } => {
                self.node.read(now, Waiting::Query(Asked::Commit { reply, place }))?
            }
            ToLoop::Watch { query, changes } => {
                self.node.read(now, Waiting::Query(Asked::Watch { query, changes, place }))?
            }
            ToLoop::Follow { after, bytes_max, reply } => {
                self.followers.retain(|follower| !follower.reply.is_closed());
                self.followers.push(Follower { after, bytes_max, reply });
                // A new follower may be behind although nothing new is committed.
                self.committed = Index::NONE;
            }
            ToLoop::Past { at, reply } => {
                let _gone = reply.send(self.kept(at));
            }
            ToLoop::Members { reply } => {
                let _gone = reply.send(self.members());
            }
            ToLoop::Change { reply, .. } if !self.node.voter().leads() => {
                let _gone = reply.send(Err(Denied::NotMaster));
            }
            ToLoop::Change { change, expected, dry_run, reply } => {
                self.node.change(now, Waiting::Change { reply, place }, &change, expected, dry_run)?;
            }
            ToLoop::Status { reply } => {
                let _gone = reply.send(self.status());
            }
        }
        self.give_orders()
    }

    /// Sends what a step wants sent, and gives its orders to the threads that block.
    fn give_orders(&mut self) -> Result<(), VoterFailure> {
        self.node.give_orders(|order| {
            match order {
                Order::Persist(order) => self.keeper.order(order),
                Order::Sync(order) => self.flusher.order(order),
                Order::Send(Outgoing { envelope, payload }) => {
                    self.peers.send(envelope, payload.into_iter().map(Bytes::from_owner).collect());
                }
                Order::Start(job) => worker::run_job(job, self.done.clone(), self.chores.clone())?,
            }
            Ok(())
        })
    }

    /// Does everything that the last steps ask for.
    fn perform(&mut self) -> Result<(), VoterFailure> {
        self.give_orders()?;
        self.node.take_words(&mut self.words);
        self.speak();
        if self.swept.elapsed() > SWEEP_PERIOD {
            self.swept = Instant::now();
            self.node.forget(Replies::is_closed);
            self.say_whom_it_waits_for();
        }
        Ok(())
    }

    /// Tells everybody what the node has for them.
    fn speak(&mut self) {
        self.words.refused.drain(..).for_each(clients::refuse);
        self.words.answers().for_each(|answers| clients::answer::<S>(&answers));
        for waiting in self.words.released.drain(..) {
            if let Waiting::Query(asked) = waiting {
                self.watches.release(asked);
            }
        }
        self.words.changes.drain(..).for_each(|(waiting, result)| waiting.tell(result));
        self.words.denied.drain(..).for_each(Waiting::deny);
        for alarm in &self.words.alarms {
            tracing::error!("{alarm}");
        }
        self.words.dismissed.iter().for_each(clients::dismiss);
        if self.words.stepped_down {
            self.watches.dismiss();
            self.stale = false;
        }
        if self.words.changed {
            self.push_view();
        }
        self.stale |= self.words.applied && !self.watches.is_empty();
    }

    /// What waits for the disk, by its name.
    fn waits(&self) -> [(&'static str, &SyncWatch); 3] {
        [
            ("the journal", self.flusher.watch()),
            ("the vote", self.keeper.watch()),
            ("the journal's next segment", &self.chores),
        ]
    }

    fn tell_what_hangs(&self) {
        self.waits().iter().for_each(|(what, watch)| watch.tell(what));
    }

    /// Without a master an operator wants to know which PC to look at.
    fn say_whom_it_waits_for(&self) {
        let unheard = self.node.unheard();
        if self.node.view().master.is_none() && !unheard.is_empty() {
            let name = |id: &MemberId| self.node.membership().member(*id).map_or("?", |voter| &voter.name);
            let names: Vec<&str> = unheard.iter().map(name).collect();
            let founded = self.node.last().index() > Index(1);
            let needed =
                if founded { "a majority" } else { "all of them: a new cluster begins once all have met" };
            tracing::warn!(not_heard = names.join(", "), needed, "there is no master; waiting for voters");
        }
    }

    /// Applies committed frames. `true`: there was no time for all.
    fn apply(&mut self) -> Result<bool, VoterFailure> {
        Ok(self.node.apply(in_time())?)
    }

    /// Answers reads whose index has passed. `true`: there was no time for all.
    fn answer_reads(&mut self) -> bool {
        match present(&self.node) {
            Some(present) => self.watches.answer(&present, in_time()),
            None => false,
        }
    }

    fn renew_watches(&mut self) {
        let renews = self.stale || self.watches.has_due();
        if !renews || self.renewed.elapsed() < RENEW_PERIOD || self.node.view().role != RoleName::Master {
            return;
        }
        let Some(present) = present(&self.node) else { return };
        if !self.watches.has_due() {
            self.stale = false;
            self.watches.outdate();
        }
        self.watches.renew(&present, in_time());
        self.renewed = Instant::now();
    }

    /// Gives committed frames to those who wait for them.
    fn serve_followers(&mut self) {
        let commit = self.node.voter().commit();
        if self.followers.is_empty() || commit == self.committed {
            return;
        }
        self.committed = commit;
        for follower in std::mem::take(&mut self.followers) {
            let Some(frames) = self.node.committed_frames(follower.after, follower.bytes_max) else {
                let _gone = follower.reply.send(Ok(Followed::Behind(self.node.shelf().clone())));
                continue;
            };
            match self.node.end_of(&frames) {
                Some(through) => {
                    let frames = frames.into_iter().map(Bytes::from_owner).collect();
                    let _gone = follower.reply.send(Ok(Followed::Frames { frames, through }));
                }
                None => self.followers.push(follower),
            }
        }
    }

    fn kept(&self, at: PastAt) -> Kept {
        let journal = self.node.journal();
        let at = match at {
            PastAt::Index(index) => index,
            PastAt::Time(wall_time) => journal.index_at(wall_time),
        };
        let commit = self.node.voter().commit();
        Kept { shelf: self.node.shelf().clone(), base: journal.base(), at: at.min(commit), commit }
    }

    fn push_view(&mut self) {
        let view = cluster_view(&self.node);
        tracing::info!(role = ?self.node.view().role, epoch = %view.epoch, master = ?view.master, "the cluster changed");
        let stated = self.node.voter().addresses();
        let stated = stated.into_iter().filter_map(|(id, address)| Some((id, address.parse().ok()?)));
        self.peers.set_members(&view, &stated.collect::<Vec<_>>());
        self.view.send_replace(view);
    }

    /// The members, which a master alone knows all about.
    fn members(&self) -> Result<Members, Denied> {
        let (voter, list) = (self.node.voter(), self.node.membership());
        if !voter.leads() {
            return Err(Denied::NotMaster);
        }
        let newcomers =
            self.node.newcomers().into_iter().filter(|newcomer| list.member(newcomer.member.id).is_none());
        Ok(Members {
            list: list.number(),
            committed: voter.list_is_committed(),
            replace_after_s: list.replace_after().as_secs(),
            last: self.node.last().index(),
            members: self.node.members().into_iter().map(member_status).collect(),
            newcomers: newcomers
                .map(|Newcomer { member, name, address, .. }| NewcomerStatus { id: member.id, name, address })
                .collect(),
        })
    }

    fn status(&self) -> VoterStatus {
        let view = self.node.view();
        let waits = self.waits().iter().filter_map(|(_, watch)| watch.waits()).max();
        let standby = |&(voter, durable): &(MemberId, Index)| StandbyStatus {
            voter,
            present: !self.node.unheard().contains(&voter),
            durable,
        };
        VoterStatus {
            voter: self.node.me().id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: role_name(&self.node),
            view: cluster_view(&self.node),
            last: self.node.last().index(),
            durable: view.durable,
            commit: view.commit,
            applied: self.node.applied().index(),
            outcome_hash: self
                .node
                .engine()
                .map(|engine| engine.outcome_hash().to_string())
                .unwrap_or_default(),
            standbys: view.matched.iter().map(standby).collect(),
            findings: self.node.health().iter().take(FINDINGS_MAX).map(ToString::to_string).collect(),
            disk_waits_ms: waits.map(|waits| u64::try_from(waits.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// The state that answers queries now; `None` while it is being rebuilt.
fn present<S: Prevalent>(replica: &Replica<S>) -> Option<Present<'_, S>> {
    let (engine, epoch) = (replica.engine()?, replica.voter().epoch());
    Some(Present { state: engine.state(), epoch, index: engine.applied().index() })
}

fn member_status(view: MemberView) -> MemberStatus {
    let MemberView { info, durable, word } = view;
    MemberStatus {
        id: info.member.id,
        incarnation: info.member.incarnation.to_string(),
        name: info.name,
        address: info.address,
        rank: info.rank,
        is_witness: info.kind == Kind::Witness,
        suffrage: info.suffrage,
        successor: info.successor.map(|successor| successor.id),
        durable,
        word,
    }
}

/// Whether what began now may go on.
fn in_time() -> impl FnMut() -> bool {
    let begun = Instant::now();
    move || begun.elapsed() < SHARE_OF_TURN
}

fn role_name<S: Prevalent>(replica: &Replica<S>) -> String {
    let view = replica.view();
    let role = match view.role {
        RoleName::Master => "master",
        RoleName::Standby => "standby",
        RoleName::Candidate => "candidate",
    };
    match view.standing {
        position::Standing::Settled if replica.membership().counts(replica.me()) => role.to_owned(),
        position::Standing::Settled => "learner".to_owned(),
        position::Standing::Removed => "removed".to_owned(),
        position::Standing::Unsettled(_) => format!("{role}, unsettled"),
        position::Standing::Amnesiac(_) => format!("{role}, amnesiac"),
    }
}

fn cluster_view<S: Prevalent>(replica: &Replica<S>) -> ClusterView {
    let view = replica.view();
    let member = |voter: &quorum::MemberInfo| {
        let address = voter.address.parse().ok()?;
        Some(MemberAddress {
            id: voter.member.id,
            name: voter.name.clone(),
            address,
            is_voter: voter.is_voter(),
        })
    };
    let members = replica.membership().members().iter().filter_map(member).collect();
    ClusterView { epoch: view.epoch, master: view.master, members }
}
