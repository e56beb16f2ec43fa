//! The master's side of a command: from a client's batch to a frame in the journal.

use std::ops::Range;

use journal::{
    Entries, Entry, EntryKind, FRAME_ALIGNMENT, FRAME_BYTES_MAX, JournalError, Sequence, SessionId, Stamp,
};
use position::Index;
use quorum::Membership;

use crate::answer::Tag;
use crate::replica::{Answered, ClientId, Effects, Fatal, Now, Refused, Replica, Unanswered};
use crate::{Actor, Admission, Engine, Prevalent, check_command, registration};

/// So many entries may wait for their answer. More than a disk of a thousand syncs a second and frames
/// of sixty commands drain in a second.
const PENDING_MAX: usize = 65_536;

/// Room for the entry that registers a session.
pub(crate) const REGISTRATION_BYTES_MAX: usize = 4096;

/// Frames are executed whole between two looks at the clock, by the thread that heartbeats come from: this many
/// commands take some milliseconds.
const FRAME_ENTRIES_MAX: u32 = 4096;

/// The journal on this disk may take so much, beside the past that is kept: several times what lies between two
/// snapshots.
pub(crate) const JOURNAL_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Who waits for the answer of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) index: Index,
    pub(crate) client: ClientId,
    pub(crate) session: SessionId,
    pub(crate) sequence: Option<Sequence>,
}

impl Pending {
    /// Its answer, which lies at `bytes`. A session's id is the index of the entry that registered it.
    pub(crate) fn answered(&self, bytes: Range<usize>) -> Answered {
        let session = if self.sequence.is_some() { self.session } else { SessionId(self.index.0) };
        Answered { client: self.client, session, sequence: self.sequence, bytes }
    }
}

impl<S: Prevalent> Replica<S> {
    pub(crate) fn register(
        &mut self,
        now: Now,
        client: ClientId,
        actor: &Actor,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        let has_room = |engine: &Engine<S>| engine.sessions().has_room_for(actor);
        let unable = self.unable_to_take(REGISTRATION_BYTES_MAX, out);
        let why = match (unable, registration(actor)) {
            (Some(why), _) => why,
            // Journaled, it would be refused all the same, and be in the journal.
            (None, _) if !self.engine.as_ref().is_some_and(has_room) => Refused::TableFull,
            (None, Err(flaw)) => Refused::BadCommand(flaw.to_string()),
            (None, Ok(payload)) => {
                return self.push(now, client, &Entry::internal(EntryKind::Register, &payload), out);
            }
        };
        out.unanswered.push(Unanswered { client, session: SessionId(0), sequence: None, commands: 1, why });
        Ok(())
    }

    /// Looks at each command of a batch: answered before, to be journaled, or to be refused.
    pub(crate) fn take_commands(
        &mut self,
        now: Now,
        client: ClientId,
        actor: &Actor,
        bytes: &[u8],
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        let entries = match Entries::check(bytes) {
            Ok(entries) => entries,
            Err(flaw) => {
                let why = Refused::Malformed(flaw.to_string());
                out.unanswered.push(Unanswered {
                    client,
                    session: SessionId(0),
                    sequence: None,
                    commands: 1,
                    why,
                });
                return Ok(());
            }
        };
        let all = entries.count() as usize;
        for (before, entry) in entries.iter().enumerate() {
            match self.admit(client, actor, &entry, out) {
                Ok(true) => self.push(now, client, &entry, out)?,
                Ok(false) => {}
                Err(why) => {
                    // What follows a command that has to come again has to come again too, in order.
                    let stop = matches!(why, Refused::Busy | Refused::NotMaster);
                    let (session, sequence) = (entry.session, Some(entry.sequence));
                    let commands = if stop { all - before } else { 1 };
                    out.unanswered.push(Unanswered { client, session, sequence, commands, why });
                    if stop {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// `true`: to be journaled. `false`: its answer was kept, and is given again.
    fn admit(
        &mut self,
        client: ClientId,
        actor: &Actor,
        entry: &Entry<'_>,
        out: &mut Effects<S>,
    ) -> Result<bool, Refused> {
        if let Some(why) = self.unable_to_take(entry.bytes(), out) {
            return Err(why);
        }
        if entry.kind != EntryKind::Command {
            return Err(Refused::Malformed("clients send commands only".to_owned()));
        }
        if entry.sequence.max(entry.lowest_unacknowledged) > Sequence::MAX {
            return Err(Refused::Malformed(format!("no client has come to {}", entry.sequence)));
        }
        let engine = self.engine.as_ref().expect("a voter without a state takes nothing");
        let start = out.bytes.len();
        match engine.admit(entry.session, entry.sequence, entry.lowest_unacknowledged, actor) {
            // Its registration may be in the journal and not applied: nobody knows yet whose session it is, and a
            // command that is journaled now would be executed in that actor's name, whoever has sent it.
            Admission::UnknownSession if self.is_yet_to_be_applied(entry.session) => {
                return Err(Refused::Busy);
            }
            // A deposed master may never have heard of it: that there is no such session is for the journal to say.
            // It cannot be registered in front of this command any more.
            Admission::New | Admission::UnknownSession => {
                check_command::<S>(entry.payload).map_err(|flaw| Refused::BadCommand(flaw.to_string()))?;
                return Ok(true);
            }
            Admission::Busy => return Err(Refused::Busy),
            Admission::WrongActor => return Err(Refused::WrongActor),
            Admission::Answered(kept) => out.bytes.extend_from_slice(kept.bytes),
            Admission::Forgotten => out.bytes.push(Tag::Forgotten.byte()),
        }
        let sequence = Some(entry.sequence);
        let session = entry.session;
        out.answers.push(Answered { client, session, sequence, bytes: start..out.bytes.len() });
        Ok(false)
    }

    /// Whether an entry that is not applied could register this session.
    fn is_yet_to_be_applied(&self, session: SessionId) -> bool {
        let last = self.journal.last().index().plus(u64::from(self.builder.entries()));
        (self.applied().index().next().0..=last.0).contains(&session.0)
    }

    /// Why nothing of so many bytes can be journaled now.
    fn unable_to_take(&mut self, bytes: usize, out: &mut Effects<S>) -> Option<Refused> {
        if !self.voter.leads() {
            Some(Refused::NotMaster)
        } else if self.engine.is_none() || self.pending.len() >= PENDING_MAX {
            Some(Refused::Busy)
        } else if self.journal_is_full() {
            Some(Refused::NoRoom)
        } else if !self.journal.has_room_for(self.frame_bytes_with(bytes)) {
            self.journal.ask_for_room();
            self.start_jobs(out);
            Some(self.without_room())
        } else {
            None
        }
    }

    /// The most that a frame takes of what waits and so many bytes more.
    pub(crate) fn frame_bytes_with(&self, bytes: usize) -> usize {
        FRAME_BYTES_MAX - self.builder.room() + bytes + FRAME_ALIGNMENT
    }

    /// A disk that has not kept up is waited for. A full one is for a person to see to.
    fn without_room(&self) -> Refused {
        if self.journal.disk_is_full() { Refused::NoRoom } else { Refused::Busy }
    }

    /// Whether snapshots could not be made for so long that the journal takes no more commands.
    pub(crate) fn journal_is_full(&self) -> bool {
        self.journal.bytes() >= self.journal_bytes_max.saturating_add(self.history_bytes_max)
    }

    /// Puts an entry into the frame that is being packed; a full one is written first.
    fn push(
        &mut self,
        now: Now,
        client: ClientId,
        entry: &Entry<'_>,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        if self.builder.room() < entry.bytes() || self.builder.entries() >= FRAME_ENTRIES_MAX {
            self.append_frame(now, out)?;
        }
        self.builder.push(entry).expect("an empty frame has room for any entry");
        let index = self.journal.last().index().plus(u64::from(self.builder.entries()));
        let sequence = (entry.kind == EntryKind::Command).then_some(entry.sequence);
        self.pending.push_back(Pending { index, client, session: entry.session, sequence });
        Ok(())
    }

    /// Writes what waits as one frame of this epoch.
    pub(crate) fn append_frame(&mut self, now: Now, out: &mut Effects<S>) -> Result<(), Fatal> {
        self.append_frame_with(now, None, out)
    }

    /// The same; `list` is what the frame brings.
    pub(crate) fn append_frame_with(
        &mut self,
        now: Now,
        list: Option<Membership>,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        let frame = self.builder.seal(&Stamp {
            previous: self.journal.last(),
            epoch: self.voter.epoch(),
            commit: self.voter.commit(),
            cluster_time: self.clock.read(now.time),
            wall_time: now.wall_time,
        });
        // A master without its first frame is of no use.
        let is_first = self.journal.last().epoch() < self.voter.epoch();
        let appended =
            if is_first { self.journal.append_needed(&frame) } else { self.journal.append(&frame) };
        self.builder.clear();
        match appended {
            Ok(_) => {
                let last = self.journal.last();
                if let Some(list) = list {
                    self.voter.add_list(last.index(), list);
                }
                self.decide(now, quorum::Input::Appended(last), &[], out)
            }
            // The journal is as it was, and what it holds can still be read and voted with.
            Err(JournalError::NotReady { .. }) => {
                self.refuse_unwritten(out);
                self.start_jobs(out);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes back what was to go into a frame that could not be written.
    fn refuse_unwritten(&mut self, out: &mut Effects<S>) {
        let last = self.journal.last().index();
        let why = self.without_room();
        let written = self.pending.partition_point(|pending| pending.index <= last);
        for Pending { client, session, sequence, .. } in self.pending.drain(written..) {
            // What follows a command that has to come again has to come again too.
            match out.unanswered.last_mut() {
                Some(before)
                    if (before.client, before.session, &before.why) == (client, session, &Refused::Busy)
                        && before.sequence.is_some()
                        && sequence.is_some() =>
                {
                    before.commands += 1;
                }
                _ => out.unanswered.push(Unanswered {
                    client,
                    session,
                    sequence,
                    commands: 1,
                    why: why.clone(),
                }),
            }
        }
    }

    /// A mastership starts: its first frame is a no-op, since frames of earlier epochs are committed only
    /// by one of this epoch behind them.
    pub(crate) fn open_epoch(&mut self, now: Now, out: &mut Effects<S>) -> Result<(), Fatal> {
        assert!(self.pending.is_empty() && self.builder.entries() == 0, "a standby takes no commands");
        self.clock.follow(&self.journal, self.engine.as_ref());
        self.clock.run(now.time);
        let noop = Entry::internal(EntryKind::Noop, &[]);
        self.builder.push(&noop).expect("an empty frame has room for any entry");
        self.append_frame(now, out)
    }

    /// Nobody gets an answer any more: what is pending may yet be committed by another master.
    pub(crate) fn step_down(&mut self, out: &mut Effects<S>) {
        self.builder.clear();
        self.pending.clear();
        out.unanswered_changes.append(&mut self.waiting_changes);
        self.clock.follow(&self.journal, self.engine.as_ref());
        self.transfers.clear();
        out.unanswered_reads.extend(self.reads.drain(..).map(|(token, _)| token));
        out.stepped_down = true;
    }

    /// Removes sessions that have been idle for long, by an entry, so that every replica does it at once.
    pub(crate) fn expire_sessions(&mut self, now: Now) {
        let Some(engine) = &self.engine else { return };
        if !self.voter.leads() || self.builder.entries() > 0 {
            return;
        }
        // A store's own session lives as long as its directory: nobody else could register instead.
        let embedded = Actor::embedded();
        let of_a_store = |id: &SessionId| {
            engine.sessions().iter().any(|session| session.id() == *id && *session.actor() == embedded)
        };
        let expirable = engine.expirable(self.clock.read(now.time)).filter(|id| !of_a_store(id));
        let idle: Vec<SessionId> = expirable.take(64).collect();
        for session in idle {
            let expire = Entry { session, ..Entry::internal(EntryKind::Expire, &[]) };
            self.builder.push(&expire).expect("an empty frame has room for a few entries");
        }
    }
}
