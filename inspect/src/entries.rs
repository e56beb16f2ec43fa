//! `inspect journal`.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::RangeInclusive;

use fleet::{Command, WallTime};
use journal::{Entry, EntryKind, SessionId};
use position::{Index, Position};
use prevalent::{Actor, Role, decode, decode_members, read_registration};
use serde::Serialize;

use crate::journal::{Finding, JournalFiles, Placed};
use crate::place::Directory;
use crate::problem::Problem;
use crate::state::{Base, refuse_other_commands};
use crate::survey::{VoterLine, voter_lines};

/// One entry: a line of `inspect journal --json`.
#[derive(Serialize)]
struct EntryLine<'a> {
    epoch: u64,
    index: Index,
    time: WallTime,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(flatten)]
    actor: Option<ActorLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload<'a>>,
    file: &'a str,
    /// Of the frame that holds it.
    offset: usize,
}

#[derive(Serialize)]
struct ActorLine<'a> {
    actor: &'a str,
    role: Role,
}

/// What an entry says, as far as this program can read it.
#[derive(Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    Command(&'a Command),
    Voters { voters: Vec<VoterLine> },
    Unreadable { unreadable: String },
}

#[derive(Serialize)]
struct ProblemLine<'a> {
    problem: &'a Problem,
}

/// Who opened which session.
type Actors = BTreeMap<SessionId, Actor>;

pub(crate) fn print(
    directory: &Directory,
    range: RangeInclusive<Index>,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Problem>> {
    let files = JournalFiles::open(&directory.disk)?;
    refuse_other_commands(&files)?;
    // Sessions that were opened before the journal begins are in the snapshot.
    let base = Base::find(directory, Index(u64::MAX))?;
    let sessions = base.engine.sessions().iter();
    let mut actors: Actors = sessions.map(|session| (session.id(), session.actor().clone())).collect();
    let mut problems = Vec::new();
    for finding in files.findings(base.index()) {
        match finding {
            Finding::Frame(placed) => print_frame(&placed, &range, &mut actors, json, &mut problems, out)?,
            Finding::Problem(problem) => print_problem(problem, json, &mut problems, out)?,
        }
    }
    Ok(problems)
}

fn print_problem(
    problem: Problem,
    json: bool,
    problems: &mut Vec<Problem>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{}", fleet::to_json(&ProblemLine { problem: &problem }))?;
    } else {
        writeln!(out, "{problem}")?;
    }
    problems.push(problem);
    Ok(())
}

fn print_frame(
    placed: &Placed<'_>,
    range: &RangeInclusive<Index>,
    actors: &mut Actors,
    json: bool,
    problems: &mut Vec<Problem>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let file = placed.file.to_string();
    for (index, entry) in placed.frame.entries() {
        if let Some(actor) = registered(&entry) {
            actors.insert(SessionId(index.0), actor);
        }
        if !range.contains(&index) {
            continue;
        }
        let command = (entry.kind == EntryKind::Command).then(|| decode::<Command>(entry.payload));
        let payload = match &command {
            Some(Ok(command)) => Some(Payload::Command(command)),
            Some(Err(error)) => Some(Payload::Unreadable { unreadable: error.to_string() }),
            None => own_payload(&entry),
        };
        if let Some(Payload::Unreadable { unreadable }) = &payload {
            problems.push(Problem::damage(&file, placed.offset, format!("entry {index}: {unreadable}")));
        }
        let header = placed.frame.header();
        // A registration opens the session of its own number.
        let session = if entry.kind == EntryKind::Register { SessionId(index.0) } else { entry.session };
        let line = EntryLine {
            epoch: header.epoch.0,
            index,
            time: WallTime(header.wall_time),
            kind: kind_name(entry.kind),
            session: (session.0 > 0).then_some(session.0),
            sequence: (entry.sequence.0 > 0).then_some(entry.sequence.0),
            actor: actors.get(&session).map(|actor| ActorLine { actor: &actor.name, role: actor.role }),
            payload,
            file: &file,
            offset: placed.offset,
        };
        if json {
            writeln!(out, "{}", fleet::to_json(&line))?;
        } else {
            writeln!(out, "{}", line.text())?;
        }
    }
    Ok(())
}

fn registered(entry: &Entry<'_>) -> Option<Actor> {
    (entry.kind == EntryKind::Register).then(|| read_registration(entry.payload)).flatten()
}

/// What one of the journal's own entries says, if it says anything.
fn own_payload(entry: &Entry<'_>) -> Option<Payload<'static>> {
    let unreadable = |what: &str| Payload::Unreadable { unreadable: what.to_owned() };
    match entry.kind {
        EntryKind::Members => Some(match decode_members(entry.payload) {
            Some(members) => Payload::Voters { voters: voter_lines(&members) },
            None => unreadable("this is no list of voters"),
        }),
        EntryKind::Register if registered(entry).is_none() => Some(unreadable("this registers nobody")),
        _ => None,
    }
}

/// A kind's name in the documents.
fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Noop => "noop",
        EntryKind::Register => "register",
        EntryKind::Expire => "expire",
        EntryKind::Members => "members",
        EntryKind::Feature => "feature",
        EntryKind::Quarantine => "quarantine",
        EntryKind::Command => "command",
    }
}

impl EntryLine<'_> {
    fn text(&self) -> String {
        let position = Position::new(position::Epoch(self.epoch), self.index);
        let mut parts =
            vec![format!("{position:<10}", position = position.to_string()), self.time.to_string()];
        parts.push(format!("{:<8}", self.kind));
        match (self.session, self.sequence) {
            (Some(session), Some(sequence)) => parts.push(format!("{session}/{sequence}")),
            (Some(session), None) => parts.push(session.to_string()),
            _ => {}
        }
        parts.extend(self.actor.as_ref().map(|actor| format!("{} ({})", actor.actor, actor.role)));
        parts.extend(self.payload.as_ref().map(fleet::to_json));
        parts.join("  ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_line() {
        let command = Command::ApplyScene { scene: "day".into() };
        let line = EntryLine {
            epoch: 2,
            index: Index(41),
            time: WallTime(1_782_907_200_123_456_789),
            kind: "command",
            session: Some(5),
            sequence: Some(3),
            actor: Some(ActorLine { actor: "ann", role: Role::Operator }),
            payload: Some(Payload::Command(&command)),
            file: "journal/1",
            offset: 640,
        };
        assert_eq!(
            line.text(),
            "2:41        2026-07-01T12:00:00.123Z  command   5/3  ann (operator)  {\"command\":\"apply-scene\",\"scene\":\"day\"}"
        );
        assert_eq!(
            fleet::to_json(&line),
            "{\"epoch\":2,\"index\":41,\"time\":\"2026-07-01T12:00:00.123Z\",\"kind\":\"command\",\"session\":5,\"sequence\":3,\
             \"actor\":\"ann\",\"role\":\"operator\",\"payload\":{\"command\":\"apply-scene\",\"scene\":\"day\"},\
             \"file\":\"journal/1\",\"offset\":640}"
        );
        let noop =
            EntryLine { kind: "noop", session: None, sequence: None, actor: None, payload: None, ..line };
        assert_eq!(noop.text(), "2:41        2026-07-01T12:00:00.123Z  noop");
    }
}
