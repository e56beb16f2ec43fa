//! Did the cluster keep its word?
//!
//! Responsible for: executing a voter's journal after the fact, once and in order on a fleet of its own, and
//! comparing that with what was acknowledged and with what the cluster said at the end. Not responsible for: the
//! cluster's own ways of executing a command once; none of that code is used here. What is in the journal, good
//! copies of damaged frames included, is what recovery says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fleet::{Command, Desired, Fleet, NodeView, Outcome};
use journal::{EntryKind, Frame, Journal, JournalError, JournalTag, list_segments, view_segment};
use position::{Index, Tip};
use prevalent::{Actor, CodecError, Moment, Prevalent};
use storage::{Disk, DiskError};

use crate::Acknowledged;
use crate::load::number_of;

/// What was found. All three should be 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Acknowledged commands that are not in the journal.
    pub lost: usize,
    /// Commands that are in the journal under two identities, and so were executed twice.
    pub duplicated: usize,
    /// Acknowledged commands whose answer, and PCs whose desired state, is another than the journal gives
    /// when each of its commands is executed once.
    pub differing: usize,
}

/// The journal cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The directory cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A command in it cannot be decoded.
    #[error("the command at {index} cannot be read: {source}")]
    Command {
        /// Where.
        index: Index,
        /// Why.
        source: CodecError,
    },
    /// Its beginning has been removed, since a snapshot covers it.
    #[error("the journal begins after {base} only: there were too many commands to check them afterwards")]
    Compacted {
        /// What it follows.
        base: Tip,
    },
    /// Frames are missing.
    #[error("the journal is broken after {at}: the next frame is entry {next}")]
    Broken {
        /// The last frame that fits.
        at: Tip,
        /// The first entry of the next one.
        next: Index,
    },
}

/// Holds the journal in the data directory `data`, which no process uses any more, against what was
/// acknowledged and what the cluster said last of its nodes.
///
/// # Errors
/// If the journal cannot be read from its beginning.
pub fn audit(data: &Path, acknowledged: &[Acknowledged], nodes: &[NodeView]) -> Result<Audit, AuditError> {
    let mut replay = Replay::default();
    for_each_frame(&Disk::open_read_only(data)?, |frame| replay.frame(frame))?;
    Ok(replay.compare(acknowledged, nodes))
}

/// Calls `look` with each frame of a journal that counts, in order: as recovery reads it, good copies of damaged
/// frames included. The journal's end may be half a frame that was being written when its voter was killed. Nothing
/// in it was acknowledged; if anything was lost with it, it is found missing.
fn for_each_frame(
    disk: &Disk,
    mut look: impl FnMut(&Frame<'_>) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    let Some(tag) = tag_of(disk)? else { return Ok(()) };
    let journal = Journal::recover(disk.clone(), tag, None)?.journal;
    let mut at = journal.base();
    while at.index() < journal.last().index() {
        let frame = journal.read_frame(at.index().next())?;
        look(&frame)?;
        at = frame.tip();
    }
    Ok(())
}

/// Whose commands the journal holds, by its own word.
fn tag_of(disk: &Disk) -> Result<Option<JournalTag>, AuditError> {
    for segment in list_segments(disk)? {
        let Some(view) = view_segment(disk, &segment.name)? else { continue };
        if let Ok(header) = view.header {
            return Ok(Some(header.tag));
        }
    }
    Ok(None)
}

#[derive(Default)]
struct Replay {
    tip: Tip,
    fleet: Fleet,
    /// The identities of all commands executed: after a change of master the same one may come again.
    seen: BTreeSet<(u64, u64)>,
    /// What the numbered commands did.
    outcomes: BTreeMap<i64, Vec<Option<Outcome>>>,
}

impl Replay {
    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), AuditError> {
        let header = frame.header();
        if !frame.follows(&self.tip) {
            let (at, next) = (self.tip, frame.id().first);
            return Err(if at == Tip::NONE {
                AuditError::Compacted { base: at }
            } else {
                AuditError::Broken { at, next }
            });
        }
        // As an operator, who may do everything that is looked at here.
        let actor = Actor::embedded();
        for (index, entry) in frame.entries() {
            let identity = (entry.session.0, entry.sequence.0);
            if entry.kind != EntryKind::Command || !self.seen.insert(identity) {
                continue;
            }
            let command: Command =
                prevalent::decode(entry.payload).map_err(|source| AuditError::Command { index, source })?;
            let (number, cluster_time, wall_time) =
                (number_of(&command), header.cluster_time, header.wall_time);
            let moment = Moment { index, cluster_time, wall_time, actor: &actor };
            let outcome = self.fleet.execute(command, &moment).ok();
            if let Some(number) = number {
                self.outcomes.entry(number).or_default().push(outcome);
            }
        }
        self.tip = frame.tip();
        Ok(())
    }

    fn compare(&self, acknowledged: &[Acknowledged], nodes: &[NodeView]) -> Audit {
        let executed = |one: &&Acknowledged| self.outcomes.contains_key(&one.number);
        let as_answered = |one: &&Acknowledged| {
            self.outcomes[&one.number].iter().any(|outcome| outcome.as_ref() == Some(&one.outcome))
        };
        let said: BTreeMap<&str, &Desired> =
            nodes.iter().map(|node| (node.name.as_str(), &node.desired)).collect();
        let made: BTreeMap<&str, &Desired> =
            self.fleet.nodes().map(|(name, node)| (name.as_str(), &node.desired)).collect();
        let all: BTreeSet<&str> = said.keys().chain(made.keys()).copied().collect();
        let answers = acknowledged.iter().filter(executed).filter(|one| !as_answered(one)).count();
        let states = all.into_iter().filter(|name| said.get(name) != made.get(name)).count();
        Audit {
            lost: acknowledged.iter().filter(|one| !executed(one)).count(),
            duplicated: self.outcomes.values().filter(|executions| executions.len() > 1).count(),
            differing: answers + states,
        }
    }
}

#[cfg(test)]
mod tests {

    use std::time::{Duration, Instant};

    use fleet::Selector;
    use journal::{Entry, FrameBuilder, Sequence, SessionId, Stamp};
    use position::{ClusterId, Epoch};

    use super::*;
    use crate::load::numbered;

    /// Writes a journal: a frame with pc1, then one with each (session, sequence, number).
    fn journal(commands: &[(u64, u64, i64)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let tag = JournalTag { cluster: ClusterId(1), archive_tag: 1, schema: Fleet::SCHEMA, layout: 1 };
        let disk = Disk::open(folder.path()).unwrap();
        let mut journal = Journal::create(disk, tag, Tip::NONE).unwrap();
        let place = Command::Place { node: "pc1".to_owned(), row: 1, column: 1 };
        let numbered =
            commands.iter().map(|&(session, sequence, number)| (session, sequence, numbered("pc1", number)));
        for (session, sequence, command) in std::iter::once((1, 1, place)).chain(numbered) {
            let mut payload = Vec::new();
            prevalent::encode(&command, &mut payload).unwrap();
            let mut builder = FrameBuilder::new();
            let entry = Entry {
                kind: EntryKind::Command,
                session: SessionId(session),
                sequence: Sequence(sequence),
                lowest_unacknowledged: Sequence(sequence),
                payload: &payload,
            };
            builder.push(&entry).unwrap();
            let (previous, commit) = (journal.last(), journal.last().index());
            let (cluster_time, wall_time) = (Duration::ZERO, 0);
            let stamp = Stamp { previous, epoch: Epoch(1), commit, cluster_time, wall_time };
            journal.append(&builder.seal(&stamp)).unwrap();
        }
        journal.stop_clean().unwrap();
        folder
    }

    fn acknowledged(number: i64, changed: bool) -> Acknowledged {
        let changed = if changed { vec![fleet::NodeName::parse("pc1").unwrap()] } else { Vec::new() };
        let outcome = Outcome::Nodes { changed, missing: Vec::new() };
        let now = Instant::now();
        Acknowledged { number, pc: "pc1".to_owned(), outcome, submitted: now, answered: now }
    }

    /// What a cluster that has executed these numbers in this order says of its nodes.
    fn nodes(commands: &[(u64, u64, i64)]) -> Vec<NodeView> {
        let mut replay = Replay::default();
        let folder = journal(commands);
        let disk = Disk::open_read_only(folder.path()).unwrap();
        for_each_frame(&disk, |frame| replay.frame(frame)).unwrap();
        match replay.fleet.answer(&fleet::Query::Nodes(Selector::All)) {
            fleet::Answer::Nodes(nodes) => nodes,
            other => panic!("{other:?}"),
        }
    }

    fn check(commands: &[(u64, u64, i64)], answers: &[Acknowledged], said: &[NodeView], expected: Audit) {
        let folder = journal(commands);
        assert_eq!(audit(folder.path(), answers, said).unwrap(), expected, "{commands:?}");
    }

    const GOOD: [(u64, u64, i64); 3] = [(2, 1, 1), (2, 2, 2), (3, 1, 3)];

    #[test]
    fn a_journal_that_holds_what_was_acknowledged_is_good() {
        let answers = [acknowledged(1, true), acknowledged(3, true)];
        check(&GOOD, &answers, &nodes(&GOOD), Audit::default());
        // The same command once more, as a client sends it to a new master: it is executed once.
        let again = [GOOD[0], GOOD[1], GOOD[0], GOOD[2]];
        let mut said = nodes(&GOOD);
        said[0].desired = nodes(&again)[0].desired.clone();
        check(&again, &answers, &said, Audit::default());
    }

    #[test]
    fn what_is_lost_doubled_or_different_is_counted() {
        let lost = Audit { lost: 1, ..Audit::default() };
        check(&GOOD, &[acknowledged(1, true), acknowledged(4, true)], &nodes(&GOOD), lost);

        let twice = [GOOD[0], GOOD[1], (4, 1, 2), GOOD[2]];
        let duplicated = Audit { duplicated: 1, ..Audit::default() };
        check(&twice, &[acknowledged(2, true)], &nodes(&twice), duplicated);

        let differing = Audit { differing: 1, ..Audit::default() };
        check(&GOOD, &[acknowledged(2, false)], &nodes(&GOOD), differing);
        check(&GOOD, &[acknowledged(2, true)], &nodes(&GOOD[..2]), differing);
        check(&GOOD, &[acknowledged(2, true)], &[], differing);
    }
}
