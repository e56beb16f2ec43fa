//! The journal as people read it: who did what, when, and what came of it.

use journal::{EntryKind, Frame};
use position::Index;

use crate::{Actor, Answers, CodecError, Engine, Prevalent, Reply, ReplyError, decode};

/// One executed command.
pub struct Line<S: Prevalent> {
    /// Its entry.
    pub index: Index,
    /// When the master wrote it, in nanoseconds since 1970.
    pub wall_time: i64,
    /// Who gave it; nobody if the session ended in the same moment.
    pub actor: Option<Actor>,
    /// What was to be done.
    pub command: S::Command,
    /// What came of it.
    pub reply: Reply<S>,
}

/// The same before anybody has looked at it.
#[derive(Clone, Debug)]
pub struct RawLine {
    index: Index,
    wall_time: i64,
    actor: Option<Actor>,
    command: Vec<u8>,
    reply: Vec<u8>,
}

/// A line cannot be read: an engine of another version applied it.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The command.
    #[error("a command in the log cannot be read: {0}")]
    Command(#[from] CodecError),
    /// The answer.
    #[error("an answer in the log cannot be read: {0}")]
    Reply(#[from] ReplyError),
}

impl RawLine {
    /// Reads it.
    ///
    /// # Errors
    /// If it is not a line of this type's.
    pub fn read<S: Prevalent>(&self) -> Result<Line<S>, LineError> {
        Ok(Line {
            index: self.index,
            wall_time: self.wall_time,
            actor: self.actor.clone(),
            command: decode(&self.command)?,
            reply: Reply::read(&self.reply)?,
        })
    }

    /// Its entry.
    #[must_use]
    pub fn index(&self) -> Index {
        self.index
    }
}

/// The commands that applying a frame has executed, in order. `engine` has just applied it, and given
/// `answers`. A command that was only answered again is not there a second time.
pub fn lines<'a, S: Prevalent>(
    frame: &'a Frame<'_>,
    engine: &'a Engine<S>,
    answers: &'a Answers,
) -> impl Iterator<Item = RawLine> {
    let mut list = answers.list.iter();
    let commands = frame.entries().filter(|(_, entry)| entry.kind == EntryKind::Command);
    commands.filter_map(move |(index, entry)| {
        let answer = list.find(|answer| answer.index == index)?;
        (answer.executed == index).then(|| RawLine {
            index,
            wall_time: frame.header().wall_time,
            actor: engine.sessions().get(entry.session).map(|session| session.actor().clone()),
            command: entry.payload.to_vec(),
            reply: answers.bytes_of(answer).to_vec(),
        })
    })
}
