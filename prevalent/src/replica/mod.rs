//! One voter: journal, engine and quorum behind one step function.
//!
//! Responsible for: what happens between a message and the disk, in which order, and what a crash between
//! any two steps leaves. Not responsible for: threads, sockets and clocks. A driver (`Store`, `shipper`,
//! the simulator) gives inputs and performs [`Effects`]; [`Replica::step`] never blocks on a sync and runs
//! no user code, [`Replica::apply`] runs it within a budget.

mod apply;
mod clock;
mod effects;
mod health;
mod input;
mod install;
mod intake;
mod jobs;
mod keeping;
mod members;
mod open;
mod rebuild;
mod receiving;
mod scrubbing;
mod snapshotting;
mod transfer;

use std::collections::VecDeque;

use journal::{
    Frame, FrameBuilder, FrameError, GoodCopy, Journal, JournalError, MetaFile, RoomMade, RoomOrder, Ticket,
    UnverifiedFrames,
};
use position::{ClusterId, FrameId, History, Index, Member, Tip};
use quorum::{ChangeToken, Envelope, Membership, ReadToken, Voter, VoterView};
use snapshots::Shelf;
use storage::{DiskError, Slice};

pub use effects::{Answered, ClientId, Effects, Outgoing, Refused, Unanswered};
pub use input::{Input, Now};
pub use jobs::{Finished, Job};
pub use open::{OpenError, Options};
pub use rebuild::RebuildError;
pub use scrubbing::ScrubFound;

use crate::engine::SnapshotRule;
use crate::members::members_of;
use crate::{Answers, Engine, Prevalent};
use clock::ClusterClock;
use health::Health;
use intake::Pending;
pub(crate) use intake::REGISTRATION_BYTES_MAX;
use jobs::{Jobs, Work};
use receiving::Receiving;
use scrubbing::Scrubbing;
use transfer::Transfers;

/// Something that ends the process: the disk failed, or the journal needs a newer program. What was
/// acknowledged stays acknowledged; a restart writes again what the disk may lack.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The journal could not be written or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] storage::DiskError),
    /// A frame could not be applied.
    #[error(transparent)]
    Apply(#[from] crate::ApplyError),
    /// The snapshots could not be listed or read.
    #[error(transparent)]
    Snapshot(#[from] snapshots::SnapshotError),
    /// The cluster has lost what this voter knows to be committed.
    #[error(transparent)]
    Contradicted(#[from] quorum::Contradiction),
    /// This PC is no member any more.
    #[error(
        "this PC was removed from the cluster (by a list of members after number {list}); its folder is as it was, and is of no use to the cluster any more"
    )]
    Removed {
        /// The newest list that names it.
        list: u64,
    },
    /// The state could not be rebuilt after a panic.
    #[error("the state cannot be rebuilt after a panic: {0}")]
    Rebuild(RebuildError),
}

/// One voter of a cluster, or all of it.
#[derive(Debug)]
pub struct Replica<S: Prevalent> {
    cluster: ClusterId,
    meta: MetaFile,
    voter: Voter,
    journal: Journal,
    shelf: Shelf,
    /// `None` while the state is being rebuilt or installed by a job, and after a start that found none.
    engine: Option<Engine<S>>,
    snapshot_rule: SnapshotRule,
    health: Health,
    clock: ClusterClock,

    /// What waits for the next frame.
    builder: FrameBuilder,
    /// Who waits for the answer of which entry, in the order of the journal.
    pending: VecDeque<Pending>,
    /// Changes of the members that wait for their list to be committed.
    waiting_changes: Vec<ChangeToken>,
    /// Reads that wait for this index to be applied.
    reads: VecDeque<(ReadToken, Index)>,

    history_bytes_max: u64,
    journal_bytes_max: u64,
    sync_in_flight: Option<Ticket>,
    jobs: Jobs,
    scrubbing: Scrubbing,
    transfers: Transfers,
    receiving: Option<Receiving>,

    /// Memory for what steps decide: a list for each step within a step.
    decisions: Vec<Vec<quorum::Effect>>,
    answers: Answers,
}

impl<S: Prevalent> Replica<S> {
    /// Deals with one input, and adds to `out` what must be done.
    ///
    /// # Errors
    /// If the disk failed: the driver must end the process without another word to anybody.
    pub fn step(&mut self, now: Now, input: Input<'_, S>, out: &mut Effects<S>) -> Result<(), Fatal> {
        match input {
            Input::Tick => {
                self.decide(now, quorum::Input::Tick, &[], out)?;
                self.on_tick(now, out);
            }
            Input::Connected(id) => self.decide(now, quorum::Input::Connected(id), &[], out)?,
            Input::Message { envelope, payload } => self.on_message(now, envelope, payload, out)?,
            Input::Register { client, actor } => self.register(now, client, actor, out)?,
            Input::Commands { client, actor, entries } => {
                self.take_commands(now, client, actor, entries, out)?
            }
            Input::Read(token) if self.voter.leads() => {
                self.decide(now, quorum::Input::Read(token), &[], out)?
            }
            Input::Read(token) => out.unanswered_reads.push(token),
            Input::Change(order) => self.take_change(now, order, out)?,
            Input::Synced(ticket) => {
                self.sync_in_flight = None;
                let durable = self.journal.synced(ticket);
                self.decide(now, quorum::Input::Durable(durable.index()), &[], out)?;
            }
            Input::Persisted(memory) => self.decide(now, quorum::Input::Persisted(&memory), &[], out)?,
            Input::Finished(finished) => self.on_finished(now, finished, out)?,
        }
        self.order_sync(out);
        Ok(())
    }

    /// Packs everything that waits into one frame. The driver calls this once it has no more input at
    /// hand, so that a frame grows with the load.
    ///
    /// # Errors
    /// If the disk failed.
    pub fn flush(&mut self, now: Now, out: &mut Effects<S>) -> Result<(), Fatal> {
        if self.builder.entries() > 0 && self.voter.leads() {
            self.append_frame(now, out)?;
            self.order_sync(out);
        }
        Ok(())
    }

    /// When [`Input::Tick`] is due at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> quorum::Time {
        self.voter.next_deadline()
    }

    /// What others may know of this voter.
    #[must_use]
    pub fn view(&self) -> VoterView {
        self.voter.view()
    }

    /// The voters of the cluster.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.voter.membership()
    }

    /// Who this voter is.
    #[must_use]
    pub fn me(&self) -> Member {
        self.voter.me()
    }

    /// Its cluster.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The engine; `None` while the state is being rebuilt.
    #[must_use]
    pub fn engine(&self) -> Option<&Engine<S>> {
        self.engine.as_ref()
    }

    /// End of what is applied; nothing while the state is being rebuilt.
    #[must_use]
    pub fn applied(&self) -> Tip {
        self.engine.as_ref().map_or(Tip::NONE, Engine::applied)
    }

    /// End of the written journal.
    #[must_use]
    pub fn last(&self) -> Tip {
        self.journal.last()
    }

    /// The protocol's state, for invariant checks.
    #[must_use]
    pub fn voter(&self) -> &Voter {
        &self.voter
    }

    /// The journal, for followers and invariant checks.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The ids of the voters that have not been heard of: whom a founding waits for.
    #[must_use]
    pub fn unheard(&self) -> Vec<position::MemberId> {
        self.voter.unheard()
    }

    /// Committed frames after the tip `after`, for a follower that never counts: at most `bytes_max`, at
    /// least one frame if there is any. `None` if the journal no longer reaches back that far, or never held
    /// that tip: the follower needs a snapshot.
    #[must_use]
    pub fn committed_frames(&self, after: Tip, bytes_max: usize) -> Option<Vec<Slice>> {
        if self.journal.tip_at(after.index()) != Some(after) {
            return None;
        }
        let commit = self.voter.commit();
        let reach = self.journal.reach(after.index(), bytes_max).map(|(through, _)| through.min(commit));
        match reach.map(|through| self.journal.tip_at_or_below(through).index()) {
            Some(through) if through > after.index() => {
                Some(self.journal.frames_between(after.index(), through))
            }
            _ => Some(Vec::new()),
        }
    }

    /// Where these frames end, as [`Replica::committed_frames`] gave them; `None` if there are none.
    #[must_use]
    pub fn end_of(&self, frames: &[Slice]) -> Option<Tip> {
        let last = UnverifiedFrames::new(frames.last()?).last()?;
        last.ok().map(|frame| frame.tip())
    }

    /// The snapshots, for a follower that the journal can no longer serve. Reading them takes as long as it
    /// takes.
    #[must_use]
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// An order to make room for a batch of so many bytes, if the journal has none: for a driver that may wait for
    /// the disk, and would otherwise be told that this voter is busy.
    #[must_use]
    pub fn order_room_for(&self, bytes: usize) -> Option<RoomOrder> {
        self.journal.order_room_for(self.frame_bytes_with(bytes))
    }

    /// What came of such an order.
    pub fn room_made(&mut self, made: RoomMade) {
        self.journal.room_made(made);
    }

    /// Notes that this process ends as it should: the next start need not doubt the journal's end.
    ///
    /// # Errors
    /// If the disk failed.
    pub fn stop(&mut self) -> Result<(), Fatal> {
        self.journal.stop_clean()?;
        Ok(())
    }

    /// Gives one input to the protocol, and performs what it decides, in order.
    fn decide(
        &mut self,
        now: Now,
        input: quorum::Input<'_>,
        frames: &[Frame<'_>],
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        let mut decisions = self.decisions.pop().unwrap_or_default();
        self.voter.step(now.time, input, &self.journal, &mut decisions);
        for decision in decisions.drain(..) {
            self.perform(now, decision, frames, out)?;
        }
        self.decisions.push(decisions);
        Ok(())
    }

    fn perform(
        &mut self,
        now: Now,
        decision: quorum::Effect,
        frames: &[Frame<'_>],
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        match decision {
            quorum::Effect::Persist(memory) => {
                self.health.follow(&memory.ballot);
                out.persist = Some(self.meta.remember(memory));
            }
            quorum::Effect::Send(envelope) => out.send.push(Outgoing { envelope, payload: Vec::new() }),
            quorum::Effect::SendFrames { envelope, after, through } => {
                let payload = self.journal.frames_between(after, through);
                out.send.push(Outgoing { envelope, payload });
            }
            quorum::Effect::Cut { after } => {
                self.journal.cut_after(after)?;
                self.clock.follow(&self.journal, self.engine.as_ref());
            }
            quorum::Effect::Adopt { after } => self.adopt(now, after, frames, out)?,
            quorum::Effect::Repair(frame) => self.repair(frame, frames, out)?,
            quorum::Effect::Lead(_) => self.open_epoch(now, out)?,
            quorum::Effect::StepDown => self.step_down(out),
            quorum::Effect::Commit(_) => {}
            quorum::Effect::ReadReady { token, index } => self.reads.push_back((token, index)),
            quorum::Effect::SnapshotWanted { by } => self.offer_snapshot(by, out),
            quorum::Effect::StoreChunk => {}
            quorum::Effect::ChunkAcknowledged { by, base, received, done } => {
                self.transfers.acknowledged(now, by, base, received, done);
                self.send_chunks(now, out);
            }
            quorum::Effect::Propose(list) => self.write_list(now, list, out)?,
            quorum::Effect::ChangeDone { token, result } => {
                self.change_done(token);
                out.changes.push((token, result));
            }
            quorum::Effect::Removed { list } => return Err(Fatal::Removed { list }),
            quorum::Effect::Contradicted(contradiction) => return Err(contradiction.into()),
            quorum::Effect::Changed => out.changed = true,
            quorum::Effect::Alarm(alarm) => out.alarms.push(alarm),
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        now: Now,
        envelope: &Envelope,
        payload: &[u8],
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        if matches!(envelope.message, quorum::Message::SnapshotChunk(_)) {
            return self.on_chunk(now, envelope, payload, out);
        }
        // Bytes of a peer are believed once every frame's hash is right and each follows the one before.
        let prev = match envelope.message {
            quorum::Message::Append(append) => Some(append.prev),
            quorum::Message::FetchReply(quorum::FetchReply {
                outcome: quorum::FetchOutcome::Frames { prev },
                ..
            }) => Some(prev),
            _ => None,
        };
        let frames: Result<Vec<Frame<'_>>, FrameError> = match prev {
            Some(prev) => UnverifiedFrames::after(prev, payload).collect(),
            None => Ok(Vec::new()),
        };
        let frames = match frames {
            Ok(frames) => frames,
            Err(flaw) => {
                tracing::warn!(from = %envelope.from, %flaw, "a peer's frames were dropped; it sends them again");
                return Ok(());
            }
        };
        let ids: Vec<FrameId> = frames.iter().map(Frame::id).collect();
        self.decide(now, quorum::Input::Message { envelope, frames: &ids }, &frames, out)
    }

    /// Writes the frames that lie after the journal's end, as long as there is room for them. A disk that is full
    /// or hangs costs this voter the frames, not its life: it goes on voting and answering.
    fn adopt(
        &mut self,
        now: Now,
        after: Index,
        frames: &[Frame<'_>],
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        assert_eq!(self.journal.last().index(), after, "frames are adopted at the journal's end");
        for frame in frames.iter().filter(|frame| frame.id().first > after) {
            match self.journal.append(frame) {
                Ok(_) => {}
                Err(JournalError::NotReady { .. }) => {
                    self.start_jobs(out);
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            if let Some((at, list)) = members_of(frame) {
                self.voter.add_list(at, list);
            }
        }
        self.clock.follow(&self.journal, self.engine.as_ref());
        self.decide(now, quorum::Input::Adopted(self.journal.last()), &[], out)
    }

    fn repair(&mut self, damaged: FrameId, frames: &[Frame<'_>], out: &mut Effects<S>) -> Result<(), Fatal> {
        // The protocol goes on asking until it is told: another copy is of no use while one is being written.
        if !self.jobs.begin_repair() {
            return Ok(());
        }
        // One frame, or all those that lie under a damaged header.
        let good: Vec<&[u8]> = frames.iter().map(Frame::bytes).collect();
        let order = match self.journal.order_repair(&good.concat()) {
            Ok(order) => order,
            Err(error @ (JournalError::BadCopy(_) | JournalError::NotWanted { .. })) => {
                // What comes before the damage here is not what comes before it there.
                tracing::warn!(%error, "a good copy does not fit; the damage waits for another one, or for a snapshot");
                self.jobs.end_repair();
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let lists = frames.iter().filter_map(members_of).collect();
        out.start.push(Job(Work::Repair { order: Box::new(order), damaged, lists }));
        Ok(())
    }

    /// The copy is durable, or could not be written.
    fn on_repaired(
        &mut self,
        now: Now,
        damaged: FrameId,
        copy: Result<GoodCopy, JournalError>,
        lists: Vec<(Index, Membership)>,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        let copy = match copy {
            Ok(copy) => copy,
            Err(error) => {
                return has_no_room(error, "a damaged frame was not replaced; its copy is asked for again");
            }
        };
        if !self.journal.repaired(copy) {
            return Ok(());
        }
        self.health.repaired(damaged);
        lists.into_iter().for_each(|(at, list)| self.voter.add_list(at, list));
        self.decide(now, quorum::Input::Repaired(damaged), &[], out)
    }

    /// One sync at a time: the newest covers everything written before it began.
    fn order_sync(&mut self, out: &mut Effects<S>) {
        if self.sync_in_flight.is_none() && self.journal.wants_sync() {
            let order = self.journal.ticket();
            self.sync_in_flight = Some(order.ticket());
            out.sync = Some(order);
        }
    }
}

/// What a disk could not take that is full or does not keep up comes again; the journal is as it was. Any other
/// failure is final.
fn has_no_room(error: JournalError, what: &'static str) -> Result<(), Fatal> {
    match error {
        JournalError::Disk(DiskError::Full { .. }) | JournalError::NotReady { .. } => {
            tracing::warn!(%error, "{what}");
            Ok(())
        }
        error => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
