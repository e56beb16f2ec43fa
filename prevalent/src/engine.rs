//! Turns the journal into state: the same on every machine and in every replay.
//!
//! Responsible for: applying whole frames in order, exactly-once, the chained hash of all answers, and
//! what follows a panic in user code. Not responsible for: what is committed (`quorum`), where frames
//! come from (`journal`), clocks: everything here follows from the frames alone.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use journal::{Entry, EntryKind, Frame, Sequence, SessionId};
use position::{ChainHash, Index, Mutant, Tip};

use crate::answer::Tag;
use crate::execution::{Failure, execute};
use crate::kept::SequenceStatus;
use crate::registration::read_registration;
use crate::session::Seat;
use crate::{Actor, Admission, Answers, CodecError, Moment, Prevalent, Sessions};

/// So many indexes of commands that panicked are kept of those that were applied. An older one that a replay meets
/// again, as from an older snapshot, costs one more rebuild.
pub(crate) const PANICS_MAX: usize = 1024;

/// A frame could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The frame has an entry of a kind that this program does not know. Nothing of it was applied, and
    /// the state is as it was after the frame before.
    #[error(
        "entry {index} is of the kind {kind}, which this program does not know; nothing was applied from \
         here on and the journal was left alone; install the version that the master runs"
    )]
    UnknownKind {
        /// The entry.
        index: Index,
        /// Its kind.
        kind: u8,
    },
    /// A command that no master of this version would have journaled. The engine must be rebuilt.
    #[error(
        "entry {index} cannot be read although its frame is intact: its master ran another version of the \
         program; the journal was left alone; install the version that the master runs"
    )]
    Unreadable {
        /// The entry.
        index: Index,
        /// What is wrong with it, if it is a command.
        source: Option<CodecError>,
    },
    /// The command panicked. The engine must be rebuilt, with the index among those that it passes over.
    #[error(
        "command {index} made the program panic ({message}); it is undone by rebuilding the state without it"
    )]
    Panicked {
        /// The command.
        index: Index,
        /// What the panic said.
        message: String,
    },
}

/// How often a snapshot is due: as soon as one of these has been reached since the last one. All machines
/// of a cluster go by the same numbers, so that they make the same snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotRule {
    /// Bytes of frames: bounds the journal's size on disk.
    pub frame_bytes: u64,
    /// Entries: bounds the time of a replay.
    pub entries: u64,
    /// The cluster's time: an old snapshot may need an old program to read what follows it.
    pub cluster_time: Duration,
}

impl Default for SnapshotRule {
    fn default() -> SnapshotRule {
        SnapshotRule {
            frame_bytes: 64 * 1024 * 1024,
            entries: 500_000,
            cluster_time: Duration::from_secs(3600),
        }
    }
}

/// What was applied since the last position at which a snapshot was due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SinceSnapshot {
    pub(crate) frame_bytes: u64,
    pub(crate) entries: u64,
    /// The cluster's time at that position.
    pub(crate) cluster_time: Duration,
}

/// The newest configuration of the cluster that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// The entry that brought it.
    pub index: Index,
    /// The entry's payload, which `quorum` reads.
    pub payload: Vec<u8>,
}

/// The state with everything that must be replicated beside it.
///
/// Dropping an engine drops the state on the calling thread: a driver that must not stall gives a large
/// one to another thread, and a state nested so deep that its own drop overflows the stack could not be
/// archived either.
pub struct Engine<S> {
    pub(crate) state: S,
    pub(crate) sessions: Sessions,
    pub(crate) applied: Tip,
    pub(crate) outcome_hash: ChainHash,
    pub(crate) cluster_time: Duration,
    pub(crate) wall_time: i64,
    pub(crate) members: Option<Members>,
    pub(crate) panics: BTreeSet<Index>,
    pub(crate) since_snapshot: SinceSnapshot,
    pub(crate) snapshot_rule: SnapshotRule,
    /// Where applying failed halfway. The state is then nobody's.
    broken: Option<Index>,
}

/// Says where the engine is, and nothing of the state: that may be large, and need not be `Debug`.
impl<S> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("applied", &self.applied)
            .field("outcome_hash", &self.outcome_hash)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl<S: Prevalent> Default for Engine<S> {
    fn default() -> Engine<S> {
        Engine::new()
    }
}

impl<S: Prevalent> Engine<S> {
    /// Before the first entry.
    #[must_use]
    pub fn new() -> Engine<S> {
        Engine {
            state: S::default(),
            sessions: Sessions::default(),
            applied: Tip::NONE,
            outcome_hash: ChainHash::NONE,
            cluster_time: Duration::ZERO,
            wall_time: 0,
            members: None,
            panics: BTreeSet::new(),
            since_snapshot: SinceSnapshot::default(),
            snapshot_rule: SnapshotRule::default(),
            broken: None,
        }
    }

    /// The same engine, which passes over the commands with these indexes: they panicked before.
    #[must_use]
    pub fn with_panics(mut self, panics: &BTreeSet<Index>) -> Engine<S> {
        self.panics.extend(panics);
        // Only of what was applied: one that lies ahead and was forgotten would panic in every replay anew.
        let applied = self.panics.range(..=self.applied.index());
        if let Some(&oldest) = applied.rev().nth(PANICS_MAX - 1) {
            self.panics = self.panics.split_off(&oldest);
        }
        self
    }

    /// The same engine with another rule for snapshots: for tests, which cannot wait for 500,000 entries.
    #[must_use]
    pub fn with_snapshot_rule(mut self, rule: SnapshotRule) -> Engine<S> {
        self.snapshot_rule = rule;
        self
    }

    /// The state.
    ///
    /// # Panics
    /// If the engine is [broken](Engine::broken): half a command's changes are nobody's to see.
    #[must_use]
    pub fn state(&self) -> &S {
        assert_eq!(self.broken, None, "the state of a broken engine was asked for");
        &self.state
    }

    /// The state, for whoever needs nothing else.
    ///
    /// # Panics
    /// As [`Engine::state`].
    #[must_use]
    pub fn into_state(self) -> S {
        assert_eq!(self.broken, None, "the state of a broken engine was asked for");
        self.state
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The end of the last frame that was applied.
    #[must_use]
    pub fn applied(&self) -> Tip {
        self.applied
    }

    /// Blake3 over all answers so far. Two machines that have applied the same and differ here differ in
    /// what they told clients.
    #[must_use]
    pub fn outcome_hash(&self) -> ChainHash {
        self.outcome_hash
    }

    /// The cluster's time at the last frame that was applied.
    #[must_use]
    pub fn cluster_time(&self) -> Duration {
        self.cluster_time
    }

    /// The wall clock of the master that wrote the last frame that was applied, in nanoseconds since 1970.
    #[must_use]
    pub fn wall_time(&self) -> i64 {
        self.wall_time
    }

    /// How often a snapshot is due.
    #[must_use]
    pub fn snapshot_rule(&self) -> SnapshotRule {
        self.snapshot_rule
    }

    /// The newest configuration of the cluster that was applied.
    #[must_use]
    pub fn members(&self) -> Option<&Members> {
        self.members.as_ref()
    }

    /// The commands that this engine passes over, or has.
    #[must_use]
    pub fn panics(&self) -> &BTreeSet<Index> {
        &self.panics
    }

    /// The entry at which applying failed halfway. A broken engine is good for nothing but dropping.
    #[must_use]
    pub fn broken(&self) -> Option<Index> {
        self.broken
    }

    /// Judges a command before it is journaled; see [`Sessions::admit`].
    #[must_use]
    pub fn admit(&self, id: SessionId, sequence: Sequence, lowest: Sequence, actor: &Actor) -> Admission<'_> {
        self.sessions.admit(id, sequence, lowest, actor)
    }

    /// The sessions that an `Expire` entry at `cluster_time` would end.
    pub fn expirable(&self, cluster_time: Duration) -> impl Iterator<Item = SessionId> {
        self.sessions.expirable(cluster_time)
    }

    /// Applies the frame that follows what was applied, and adds its answers to `answers`.
    ///
    /// # Errors
    /// If an entry cannot be applied: none of the frame's answers may be given then, and after all but
    /// [`ApplyError::UnknownKind`] the engine is [broken](Engine::broken).
    ///
    /// # Panics
    /// If the frame does not follow what was applied, or the engine is broken.
    pub fn apply(&mut self, frame: &Frame<'_>, answers: &mut Answers) -> Result<(), ApplyError> {
        assert_eq!(self.broken, None, "a frame was given to a broken engine");
        let header = frame.header();
        assert!(frame.follows(&self.applied), "frame {:?} does not follow {}", frame.id(), self.applied);
        refuse_unknown_kinds(frame)?;

        // A master's clock that went back is no reason to stop: time just stands still here, as everywhere.
        self.cluster_time = self.cluster_time.max(header.cluster_time);
        self.wall_time = header.wall_time;
        let first_answer = answers.list.len();
        let first_byte = answers.bytes.len();
        for (index, entry) in frame.entries() {
            if let Err(error) = self.apply_entry(index, &entry, answers) {
                self.broken = Some(index);
                answers.list.truncate(first_answer);
                answers.bytes.truncate(first_byte);
                return Err(error);
            }
        }
        self.applied = frame.tip();
        self.chain_answers(answers, first_answer, first_byte);
        self.count_towards_snapshot(frame, answers);
        Ok(())
    }

    fn apply_entry(
        &mut self,
        index: Index,
        entry: &Entry<'_>,
        answers: &mut Answers,
    ) -> Result<(), ApplyError> {
        match entry.kind {
            EntryKind::Command => self.apply_command(index, entry, answers)?,
            EntryKind::Register => self.apply_register(index, entry, answers)?,
            EntryKind::Expire => self.sessions.expire(entry.session, self.cluster_time),
            EntryKind::Members => self.members = Some(Members { index, payload: entry.payload.to_vec() }),
            EntryKind::Noop => {}
            EntryKind::Feature | EntryKind::Quarantine => unreachable!("refused before the first entry"),
        }
        Ok(())
    }

    fn apply_command(
        &mut self,
        index: Index,
        entry: &Entry<'_>,
        answers: &mut Answers,
    ) -> Result<(), ApplyError> {
        let (sequence, lowest) = (entry.sequence, entry.lowest_unacknowledged);
        let Some(seat) = self.sessions.seat(entry.session) else {
            answers.push_tag(Tag::UnknownSession);
            answers.close(index, index, entry);
            return Ok(());
        };
        self.sessions.touch(seat, lowest, self.cluster_time);
        let mut executed = index;
        let executes_twice = Mutant::ExecutesTwice.is_active();
        match self.sessions.judge(seat, sequence, lowest) {
            SequenceStatus::Answered(_) if executes_twice => {
                self.execute_again(index, seat, entry, answers)?
            }
            SequenceStatus::Answered(kept) => {
                answers.bytes.extend_from_slice(kept.bytes);
                executed = kept.executed;
            }
            SequenceStatus::Forgotten => answers.push_tag(Tag::Forgotten),
            SequenceStatus::TooFar => answers.push_tag(Tag::TooFar),
            SequenceStatus::New => {
                let start = answers.bytes.len();
                if self.panics.contains(&index) {
                    answers.push_tag(Tag::Panicked);
                } else {
                    let actor = self.sessions.actor(seat);
                    let moment =
                        Moment { index, cluster_time: self.cluster_time, wall_time: self.wall_time, actor };
                    execute(&mut self.state, entry.payload, &moment, &mut answers.bytes)
                        .map_err(|failure| failed(index, failure))?;
                }
                self.sessions.keep(seat, sequence, index, &answers.bytes[start..]);
            }
        }
        answers.close(index, executed, entry);
        Ok(())
    }

    /// What [`Mutant::ExecutesTwice`] does.
    fn execute_again(
        &mut self,
        index: Index,
        seat: Seat,
        entry: &Entry<'_>,
        answers: &mut Answers,
    ) -> Result<(), ApplyError> {
        let actor = self.sessions.actor(seat);
        let moment = Moment { index, cluster_time: self.cluster_time, wall_time: self.wall_time, actor };
        execute(&mut self.state, entry.payload, &moment, &mut answers.bytes)
            .map_err(|failure| failed(index, failure))
    }

    fn apply_register(
        &mut self,
        index: Index,
        entry: &Entry<'_>,
        answers: &mut Answers,
    ) -> Result<(), ApplyError> {
        let actor = read_registration(entry.payload).ok_or(ApplyError::Unreadable { index, source: None })?;
        match self.sessions.register(index, actor, self.cluster_time) {
            Some(id) => {
                answers.push_tag(Tag::Registered);
                answers.bytes.extend_from_slice(&id.0.to_le_bytes());
            }
            None => answers.push_tag(Tag::TableFull),
        }
        answers.close(index, index, entry);
        Ok(())
    }

    /// One hash a frame: frames are the same everywhere, and so is where each of them begins and ends.
    fn chain_answers(&mut self, answers: &Answers, first_answer: usize, first_byte: usize) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.outcome_hash.0);
        hasher.update(&self.applied.index().0.to_le_bytes());
        // All bytes at once, as hashing is several times faster that way; then where each answer ends.
        hasher.update(&answers.bytes[first_byte..]);
        for answer in &answers.list[first_answer..] {
            hasher.update(&(answer.range.len() as u64).to_le_bytes());
        }
        self.outcome_hash = ChainHash(*hasher.finalize().as_bytes());
    }

    fn count_towards_snapshot(&mut self, frame: &Frame<'_>, answers: &mut Answers) {
        let since = &mut self.since_snapshot;
        since.frame_bytes += frame.bytes().len() as u64;
        since.entries += u64::from(frame.header().entries);
        let rule = &self.snapshot_rule;
        let due = since.frame_bytes >= rule.frame_bytes
            || since.entries >= rule.entries
            || self.cluster_time.saturating_sub(since.cluster_time) >= rule.cluster_time;
        if due {
            *since = SinceSnapshot { frame_bytes: 0, entries: 0, cluster_time: self.cluster_time };
            answers.snapshot_due = Some(self.applied);
        }
    }
}

/// Looks at the whole frame before its first entry is applied: an observer that meets a newer master keeps
/// a whole picture.
fn refuse_unknown_kinds(frame: &Frame<'_>) -> Result<(), ApplyError> {
    for (index, entry) in frame.entries() {
        if matches!(entry.kind, EntryKind::Feature | EntryKind::Quarantine) {
            return Err(ApplyError::UnknownKind { index, kind: entry.kind as u8 });
        }
    }
    Ok(())
}

fn failed(index: Index, failure: Failure) -> ApplyError {
    match failure {
        Failure::Panicked { message } => ApplyError::Panicked { index, message },
        Failure::Unreadable(source) => ApplyError::Unreadable { index, source: Some(source) },
    }
}

#[cfg(test)]
mod tests;
