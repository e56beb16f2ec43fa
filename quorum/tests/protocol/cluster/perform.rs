//! The driver's part: effects, in the order named.

use position::{Epoch, FrameId, History, Index, MemberId, Memory, Tip};
use quorum::{Effect, Envelope, Input, Message, SnapshotChunk};

use super::{Cluster, Disk, Event, Order, Packet, Process, frame_after, ms};

/// What follows from effects, once all of them are performed.
enum Then {
    Appended(Tip),
    Repaired(FrameId),
    Installed(Tip),
}

impl Cluster {
    fn disk(&mut self, id: MemberId) -> &mut Disk {
        self.disks.get_mut(&id).expect("a machine")
    }

    fn process(&mut self, id: MemberId) -> &mut Process {
        self.processes.get_mut(&id).expect("a running voter")
    }

    /// `beside`: the message of the step, and the frames that came with it.
    pub(super) fn perform(
        &mut self,
        id: MemberId,
        effects: Vec<Effect>,
        message: Option<&Envelope>,
        beside: &[FrameId],
    ) {
        let mut follow_up = Vec::new();
        for effect in effects {
            self.trace_effect(id, &effect, beside);
            match effect {
                Effect::Persist(memory) => self.persist(id, memory),
                Effect::Send(envelope) => self.send(id, envelope, Vec::new()),
                Effect::SendFrames { envelope, after, through } => {
                    let frames = self.disks[&id].written.after(after, through);
                    assert!(!frames.is_empty(), "frames that the journal does not have");
                    self.send(id, envelope, frames);
                }
                Effect::Cut { after } => self.disk(id).written.cut_after(after),
                Effect::Adopt { after } => {
                    self.adopt(id, after, beside);
                    self.input(id, Input::Adopted(self.disks[&id].written.tip()));
                }
                Effect::Repair(frame) => {
                    assert!(beside.contains(&frame), "the good copy travels beside the message");
                    follow_up.push(Then::Repaired(frame));
                }
                Effect::Lead(epoch) => {
                    self.lead(id, epoch);
                    follow_up.push(Then::Appended(self.disks[&id].written.tip()));
                }
                Effect::StepDown => self.process(id).transfers.clear(),
                Effect::Commit(index) => self.committed(id, index),
                Effect::ReadReady { token, index } => self.oracle.read_passes(token, index),
                Effect::SnapshotWanted { by } => {
                    let base = self.disks[&id].written.base();
                    self.process(id).transfers.insert(by, base);
                }
                Effect::StoreChunk => {
                    let Some(Message::SnapshotChunk(chunk)) = message.map(|envelope| &envelope.message)
                    else {
                        panic!("a chunk without a message");
                    };
                    follow_up.push(Then::Installed(chunk.base));
                }
                Effect::ChunkAcknowledged { by, done, .. } => {
                    if done {
                        self.process(id).transfers.remove(&by);
                    }
                }
                Effect::Contradicted(contradiction) => self.process(id).contradicted = Some(contradiction),
                Effect::Propose(list) => {
                    let frame = self.append_own(id, 1);
                    self.oracle.brings(&frame, list.clone());
                    self.process(id).voter.add_list(frame.last, list);
                    follow_up.push(Then::Appended(frame.tip()));
                }
                Effect::ChangeDone { token, result } => self.process(id).changes.push((token, result)),
                Effect::Removed { .. } => self.process(id).removed = true,
                Effect::Changed => {}
                Effect::Alarm(alarm) => self.process(id).alarms.push(alarm),
            }
        }
        for then in follow_up {
            match then {
                Then::Appended(tip) => self.input(id, Input::Appended(tip)),
                Then::Repaired(frame) => self.input(id, Input::Repaired(frame)),
                Then::Installed(base) => self.install(id, base),
            }
        }
    }

    /// A journal that holds what the snapshot covers stays, and only what is damaged in it is given up.
    fn install(&mut self, id: MemberId, base: Tip) {
        let disk = self.disk(id);
        if disk.written.tip_at(base.index()) == Some(base) {
            if !std::mem::replace(&mut disk.has_state, true) {
                self.input(id, Input::HasState(base));
            }
            let disk = self.disk(id);
            let covered: Vec<FrameId> =
                disk.repairs.extract_if(.., |frame| frame.last <= base.index()).collect();
            covered.into_iter().for_each(|frame| self.input(id, Input::Repaired(frame)));
        } else {
            disk.has_state = true;
            disk.written.install(base);
            disk.durable = disk.written.clone();
            if let Some((at, list)) = self.oracle.list_before(base) {
                self.process(id).voter.replace_lists(at, list);
            }
            self.input(id, Input::Installed(base));
        }
    }

    fn adopt(&mut self, id: MemberId, after: Index, beside: &[FrameId]) {
        let new: Vec<FrameId> = beside.iter().filter(|frame| frame.first > after).copied().collect();
        let disk = &self.disks[&id];
        self.oracle.check_chain(disk.written.tip().hash, &new);
        let epoch = disk.ballot.epoch;
        assert!(new.iter().all(|frame| frame.epoch <= epoch), "a frame of an epoch that is not durable");
        let full_after = self.disks[&id].full_after;
        for frame in new.into_iter().take_while(|frame| full_after.is_none_or(|end| frame.last <= end)) {
            self.disk(id).written.append(frame);
            if let Some(list) = self.oracle.list_in(&frame) {
                self.process(id).voter.add_list(frame.last, list);
            }
        }
    }

    fn lead(&mut self, id: MemberId, epoch: Epoch) {
        let member = self.member(id);
        self.oracle.leads(member, epoch, &self.disks[&id].written);
        self.append_own(id, 1);
    }

    pub(super) fn append_own(&mut self, id: MemberId, entries: u64) -> FrameId {
        let nonce = self.dice.next();
        let epoch = self.voter(id).epoch();
        let prev = self.disks[&id].written.tip();
        let frame = frame_after(prev, epoch, entries, nonce);
        self.oracle.wrote(prev, &frame);
        self.disk(id).written.append(frame);
        frame
    }

    fn committed(&mut self, id: MemberId, index: Index) {
        let leads = self.voter(id).leads();
        let disks: Vec<(MemberId, &Disk)> = self.disks.iter().map(|(&id, disk)| (id, disk)).collect();
        let written = &self.disks[&id].written;
        assert!(index <= written.tip().index(), "commits what is not written");
        self.oracle.commits(leads, index, written, &disks);
    }

    pub(super) fn persist(&mut self, id: MemberId, memory: Memory) {
        let process = self.process(id);
        if process.persisting.is_some() {
            process.persist_next = Some(memory);
            return;
        }
        process.persisting = Some(memory.clone());
        let life = process.life;
        self.schedule_disk(id, Order::Ballot, Event::Persisted { id, life, memory });
    }

    pub(super) fn sync_if_needed(&mut self, id: MemberId) {
        let disk = &self.disks[&id];
        let process = &self.processes[&id];
        if process.syncing || disk.durable == disk.written {
            return;
        }
        let (life, began_with) = (process.life, disk.written.clone());
        self.process(id).syncing = true;
        self.schedule_disk(id, Order::Sync, Event::Synced { id, life, began_with });
    }

    fn send(&mut self, id: MemberId, envelope: Envelope, frames: Vec<FrameId>) {
        // Asked once: what is held may depend on what was before.
        let held = self.held_back.as_ref().is_some_and(|selects| selects(&envelope));
        if !matches!(envelope.message, Message::SnapshotChunk(_)) {
            self.trace_message(&envelope, &frames, held);
        }
        let disk = &self.disks[&id];
        self.oracle.promises(&envelope, disk, &disk.written);
        self.frames_sent += frames.len();
        let packet = Packet { envelope, frames };
        if held {
            self.held.push(packet);
            return;
        }
        if self.dice.below(100) < self.weather.lost_percent {
            return;
        }
        let copies = if self.dice.below(100) < self.weather.doubled_percent { 2 } else { 1 };
        for _ in 0..copies {
            let at = self.now + self.dice.between(self.weather.delay_min, self.weather.delay_max);
            self.schedule(at, Event::Deliver(packet.clone()));
        }
    }

    /// Sends the newest snapshot to whoever needs it, again and again until it is acknowledged.
    pub(super) fn transfer(&mut self, id: MemberId) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&id) else { return };
        if process.transfers.is_empty() || now.since(process.transferred) < ms(20) {
            return;
        }
        process.transferred = now;
        let chunks: Vec<Envelope> = process
            .transfers
            .iter()
            .filter_map(|(&to, &base)| {
                let chunk = SnapshotChunk { round: 0, base, offset: 0, total: 1 };
                process.voter.snapshot_chunk(to, chunk)
            })
            .collect();
        for envelope in chunks {
            self.send(id, envelope, Vec::new());
        }
    }
}
