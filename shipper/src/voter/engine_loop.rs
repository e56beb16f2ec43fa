//! The loop that owns a replica: takes what has come, steps, and has done what the step asks for.
//!
//! Responsible for: that heartbeats and votes never wait for the disk, a job or a client. Not responsible
//! for: any decision; the replica makes them.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::{MetaOrder, SyncOrder, SyncWatch};
use position::{Index, MemberId, Tip};
use prevalent::{Effects, Fatal, Input, Now, Outgoing, Prevalent, Replica};
use quorum::{RoleName, Time};
use storage::DiskError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::conversation::{ClusterView, FINDINGS_MAX, MemberAddress, PastAt, StandbyStatus, VoterStatus};
use crate::peer::{FromPeer, Peers};
use crate::service::{Denied, Followed, Kept, Question, ToLoop};
use crate::voter::clients::Clients;
use crate::voter::turns::{TURN_PERIOD, Turns};
use crate::voter::watches::{Present, Watches};
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

/// A replica and everyone it talks to.
pub(crate) struct EngineLoop<S: Prevalent> {
    started: Instant,
    replica: Replica<S>,
    effects: Effects<S>,
    peers: Peers,
    clients: Clients,
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
            replica,
            effects: Effects::new(),
            peers,
            clients: Clients::default(),
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
            if self.now().time >= self.replica.next_deadline() {
                self.step(Input::Tick)?;
            }
            self.replica.flush(self.now(), &mut self.effects)?;
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
        self.clients.dismiss();
        self.watches.dismiss();
        self.replica.stop()?;
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
        let wait = self.replica.next_deadline().since(self.now().time);
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
        let now = self.now();
        self.replica.step(now, input, &mut self.effects)?;
        self.send_and_order()
    }

    fn ask(&mut self, Question { what, place }: Question) -> Result<(), VoterFailure> {
        match what {
            ToLoop::Register { actor, replies } => {
                let client = self.clients.admit(replies, 1);
                self.step(Input::Register { client, actor: &actor })
            }
            ToLoop::Commands { batch, actor, replies } => {
                // Passed over: its client was told `Busy` after sending it, and sends it again.
                let Some(entries) = batch.entries() else { return Ok(()) };
                let commands = journal::Entries::check(entries).map_or(1, |entries| entries.count() as usize);
                let client = self.clients.admit(replies, commands);
                self.step(Input::Commands { client, actor: &actor, entries })
            }
            ToLoop::Read { query, reply } => {
                let token = self.watches.read(query, reply, place);
                self.step(Input::Read(token))
            }
            ToLoop::Commit { reply } => {
                let token = self.watches.commit(reply, place);
                self.step(Input::Read(token))
            }
            ToLoop::Watch { query, changes } => {
                let token = self.watches.watch(query, changes, place);
                self.step(Input::Read(token))
            }
            ToLoop::Follow { after, bytes_max, reply } => {
                self.followers.retain(|follower| !follower.reply.is_closed());
                self.followers.push(Follower { after, bytes_max, reply });
                // A new follower may be behind although nothing new is committed.
                self.committed = Index::NONE;
                Ok(())
            }
            ToLoop::Past { at, reply } => {
                let _gone = reply.send(self.kept(at));
                Ok(())
            }
            ToLoop::Status { reply } => {
                let _gone = reply.send(self.status());
                Ok(())
            }
        }
    }

    /// Sends what a step wants sent, and gives its orders to the threads that block.
    fn send_and_order(&mut self) -> Result<(), VoterFailure> {
        if let Some(order) = self.effects.persist.take() {
            self.keeper.order(order);
        }
        if let Some(order) = self.effects.sync.take() {
            self.flusher.order(order);
        }
        for Outgoing { envelope, payload } in self.effects.send.drain(..) {
            self.peers.send(envelope, payload.into_iter().map(Bytes::from_owner).collect());
        }
        for job in self.effects.start.drain(..) {
            worker::run_job(job, self.done.clone(), self.chores.clone())?;
        }
        Ok(())
    }

    /// Does everything that the last steps ask for.
    fn perform(&mut self) -> Result<(), VoterFailure> {
        self.send_and_order()?;
        self.clients.hand_out(&self.effects);
        for &token in &self.effects.reads {
            self.watches.release(token);
        }
        for &token in &self.effects.unanswered_reads {
            self.watches.deny(token);
        }
        for alarm in &self.effects.alarms {
            tracing::error!("{alarm}");
        }
        if self.effects.stepped_down {
            self.clients.dismiss();
            self.watches.dismiss();
            self.stale = false;
        }
        if self.effects.changed {
            self.push_view();
        }
        self.stale |= self.effects.applied.is_some() && !self.watches.is_empty();
        self.effects.clear();
        if self.swept.elapsed() > SWEEP_PERIOD {
            self.swept = Instant::now();
            self.clients.sweep();
            self.say_whom_it_waits_for();
        }
        Ok(())
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
        let unheard = self.replica.unheard();
        if self.replica.view().master.is_none() && !unheard.is_empty() {
            let name = |id: &MemberId| self.replica.membership().member(*id).map_or("?", |voter| &voter.name);
            let names: Vec<&str> = unheard.iter().map(name).collect();
            let founded = self.replica.last().index() > Index(1);
            let needed =
                if founded { "a majority" } else { "all of them: a new cluster begins once all have met" };
            tracing::warn!(not_heard = names.join(", "), needed, "there is no master; waiting for voters");
        }
    }

    /// Applies committed frames. `true`: there was no time for all.
    fn apply(&mut self) -> Result<bool, VoterFailure> {
        let mut in_time = in_time();
        loop {
            if !self.replica.apply(1, &mut self.effects)? {
                return Ok(false);
            }
            if !in_time() {
                return Ok(true);
            }
        }
    }

    /// Answers reads whose index has passed. `true`: there was no time for all.
    fn answer_reads(&mut self) -> bool {
        match present(&self.replica) {
            Some(present) => self.watches.answer(&present, in_time()),
            None => false,
        }
    }

    fn renew_watches(&mut self) {
        let renews = self.stale || self.watches.has_due();
        if !renews || self.renewed.elapsed() < RENEW_PERIOD || self.replica.view().role != RoleName::Master {
            return;
        }
        let Some(present) = present(&self.replica) else { return };
        if !self.watches.has_due() {
            self.stale = false;
            self.watches.outdate();
        }
        self.watches.renew(&present, in_time());
        self.renewed = Instant::now();
    }

    /// Gives committed frames to those who wait for them.
    fn serve_followers(&mut self) {
        let commit = self.replica.voter().commit();
        if self.followers.is_empty() || commit == self.committed {
            return;
        }
        self.committed = commit;
        for follower in std::mem::take(&mut self.followers) {
            let Some(frames) = self.replica.committed_frames(follower.after, follower.bytes_max) else {
                let _gone = follower.reply.send(Ok(Followed::Behind(self.replica.shelf().clone())));
                continue;
            };
            match self.replica.end_of(&frames) {
                Some(through) => {
                    let frames = frames.into_iter().map(Bytes::from_owner).collect();
                    let _gone = follower.reply.send(Ok(Followed::Frames { frames, through }));
                }
                None => self.followers.push(follower),
            }
        }
    }

    fn kept(&self, at: PastAt) -> Kept {
        let journal = self.replica.journal();
        let at = match at {
            PastAt::Index(index) => index,
            PastAt::Time(wall_time) => journal.index_at(wall_time),
        };
        let commit = self.replica.voter().commit();
        Kept { shelf: self.replica.shelf().clone(), base: journal.base(), at: at.min(commit), commit }
    }

    fn push_view(&mut self) {
        let view = cluster_view(&self.replica);
        tracing::info!(role = ?self.replica.view().role, epoch = %view.epoch, master = ?view.master, "the cluster changed");
        self.peers.set_members(&view);
        self.view.send_replace(view);
    }

    fn status(&self) -> VoterStatus {
        let view = self.replica.view();
        let waits = self.waits().iter().filter_map(|(_, watch)| watch.waits()).max();
        let standby = |&(voter, durable): &(MemberId, Index)| StandbyStatus {
            voter,
            present: !self.replica.unheard().contains(&voter),
            durable,
        };
        VoterStatus {
            voter: self.replica.me().id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: role_name(&self.replica),
            view: cluster_view(&self.replica),
            last: self.replica.last().index(),
            durable: view.durable,
            commit: view.commit,
            applied: self.replica.applied().index(),
            outcome_hash: self
                .replica
                .engine()
                .map(|engine| engine.outcome_hash().to_string())
                .unwrap_or_default(),
            standbys: view.matched.iter().map(standby).collect(),
            findings: self.replica.health().iter().take(FINDINGS_MAX).map(ToString::to_string).collect(),
            disk_waits_ms: waits.map(|waits| u64::try_from(waits.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// The state that answers queries now; `None` while it is being rebuilt.
fn present<S: Prevalent>(replica: &Replica<S>) -> Option<Present<'_, S>> {
    let (engine, epoch) = (replica.engine()?, replica.voter().epoch());
    Some(Present { state: engine.state(), epoch, index: engine.applied().index() })
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
