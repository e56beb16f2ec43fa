//! `inspect journal`.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::RangeInclusive;

use fleet::{Command, WallTime, one_line};
use journal::{Damage, Entry, EntryKind, Frame, SegmentName, SessionId};
use position::{Index, Position};
use prevalent::{Actor, Role, SESSIONS_MAX, decode, decode_members, read_registration};
use serde::Serialize;

use crate::examined::Examined;
use crate::moment::Certainty;
use crate::place::Directory;
use crate::problem::Problem;
use crate::state::{Applied, Begin, Pace, Part, Way, replay};
use crate::survey::{Survey, VoterLine, voter_lines};
use crate::what_came::WhatCame;

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
    certainty: Certainty,
    #[serde(flatten)]
    came: Option<WhatCame>,
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

pub(crate) fn print(
    directory: &Directory,
    range: RangeInclusive<Index>,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Problem>> {
    let mut examined = Examined::of(directory)?;
    examined.refuse_other_commands()?;
    let committed = Survey::of(&examined).committed;
    let (first, last) = (*range.start(), *range.end());
    let mut printer =
        Printer { range, committed, actors: Actors::default(), json, out, problems: Vec::new() };
    // What is wrong comes first: what follows may be less than there should be.
    for problem in std::mem::take(&mut examined.problems) {
        printer.problem(problem)?;
    }
    let Some(journal) = examined.journal() else { return Ok(printer.problems) };
    let way = Way { begin: Begin::ToSee(first), through: last, pace: Pace::Frames };
    printer.actors.know(&way.begin.engine(directory, journal)?);
    let replayed = replay(directory, journal, way, &mut |part| printer.part(part))?;
    if let Some(why) = replayed.stopped {
        let what = format!("what came of some of the entries is not known: {why}");
        printer.problem(Problem::note_of_file("journal", what))?;
    }
    Ok(printer.problems)
}

/// Who opened which session, of as many as there can be at once.
#[derive(Default)]
struct Actors(BTreeMap<SessionId, Actor>);

impl Actors {
    fn know(&mut self, engine: &prevalent::Engine<fleet::Fleet>) {
        for session in engine.sessions().iter() {
            self.add(session.id(), session.actor().clone());
        }
    }

    fn add(&mut self, session: SessionId, actor: Actor) {
        self.0.insert(session, actor);
        while self.0.len() > 2 * SESSIONS_MAX {
            self.0.pop_first();
        }
    }
}

struct Printer<'a> {
    range: RangeInclusive<Index>,
    committed: Index,
    actors: Actors,
    json: bool,
    out: &'a mut dyn Write,
    problems: Vec<Problem>,
}

impl Printer<'_> {
    fn problem(&mut self, problem: Problem) -> anyhow::Result<()> {
        if self.json {
            writeln!(self.out, "{}", fleet::to_json(&ProblemLine { problem: &problem }))?;
        } else {
            writeln!(self.out, "{problem}")?;
        }
        self.problems.push(problem);
        Ok(())
    }

    fn part(&mut self, part: &Part<'_>) -> anyhow::Result<()> {
        match part {
            Part::Frame { file, offset, frame, applied } => {
                self.frame(*file, *offset, frame, applied.as_ref())
            }
            // It stands among the problems.
            Part::Damaged(Damage { id, .. }) if self.json || !self.range.contains(&id.first) => Ok(()),
            Part::Damaged(Damage { id, .. }) => {
                Ok(writeln!(self.out, "{}:{} to {} are damaged", id.epoch, id.first, id.last)?)
            }
        }
    }

    fn frame(
        &mut self,
        file: SegmentName,
        offset: usize,
        frame: &Frame<'_>,
        applied: Option<&Applied<'_>>,
    ) -> anyhow::Result<()> {
        let file = file.to_string();
        for (index, entry) in frame.entries() {
            if let Some(actor) = registered(&entry) {
                self.actors.add(SessionId(index.0), actor);
            }
            if !self.range.contains(&index) {
                continue;
            }
            let mut unreadable = None;
            let command = (entry.kind == EntryKind::Command).then(|| decode::<Command>(entry.payload));
            let payload = match &command {
                Some(Ok(command)) => Some(Payload::Command(command)),
                Some(Err(error)) => Some(Payload::Unreadable { unreadable: error.to_string() }),
                None => own_payload(&entry),
            };
            let came = match applied.and_then(|applied| WhatCame::of(index, applied.answers)).transpose() {
                Ok(came) => came,
                Err(error) => {
                    unreadable = Some(error);
                    None
                }
            };
            if let Some(Payload::Unreadable { unreadable: why }) = &payload {
                unreadable = Some(why.clone());
            }
            let header = frame.header();
            // A registration opens the session of its own number.
            let session = if entry.kind == EntryKind::Register { SessionId(index.0) } else { entry.session };
            let actor = self.actors.0.get(&session);
            let line = EntryLine {
                epoch: header.epoch.0,
                index,
                time: WallTime(header.wall_time),
                kind: kind_name(entry.kind),
                session: (session.0 > 0).then_some(session.0),
                sequence: (entry.sequence.0 > 0).then_some(entry.sequence.0),
                actor: actor.map(|actor| ActorLine { actor: &actor.name, role: actor.role }),
                payload,
                certainty: Certainty::of(index, self.committed),
                came,
                file: &file,
                offset,
            };
            let text = if self.json { fleet::to_json(&line) } else { line.text() };
            writeln!(self.out, "{text}")?;
            if let Some(why) = unreadable {
                self.problem(Problem::damage(&file, offset, format!("entry {index}: {why}")))?;
            }
        }
        Ok(())
    }
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
pub(crate) fn kind_name(kind: EntryKind) -> &'static str {
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
        let mut what = match &self.payload {
            Some(Payload::Command(command)) => command.to_string(),
            Some(payload) => fleet::to_json(payload),
            None => String::new(),
        };
        if let Some(came) = &self.came {
            what = format!("{what} -> {}", came.text()).trim_start().to_owned();
        }
        parts.extend((!what.is_empty()).then_some(what));
        if self.certainty == Certainty::NotKnownCommitted {
            parts.push("(not known to be committed)".to_owned());
        }
        one_line(parts.join("  ").trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::what_came::Came;

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
            actor: Some(ActorLine { actor: "a\u{1b}nn", role: Role::Operator }),
            payload: Some(Payload::Command(&command)),
            certainty: Certainty::Committed,
            came: Some(WhatCame { result: Came::Rejected, detail: "there is no such scene".into() }),
            file: "journal/1",
            offset: 640,
        };
        assert_eq!(
            line.text(),
            "2:41        2026-07-01T12:00:00.123Z  command   5/3  a\\u{1b}nn (operator)  apply scene day -> rejected: there is no such scene"
        );
        assert_eq!(
            fleet::to_json(&line),
            "{\"epoch\":2,\"index\":41,\"time\":\"2026-07-01T12:00:00.123Z\",\"kind\":\"command\",\"session\":5,\"sequence\":3,\
             \"actor\":\"a\\u001bnn\",\"role\":\"operator\",\"payload\":{\"command\":\"apply-scene\",\"scene\":\"day\"},\
             \"certainty\":\"committed\",\"result\":\"rejected\",\"detail\":\"there is no such scene\",\
             \"file\":\"journal/1\",\"offset\":640}"
        );
        let noop = EntryLine {
            kind: "noop",
            session: None,
            sequence: None,
            actor: None,
            payload: None,
            came: None,
            certainty: Certainty::NotKnownCommitted,
            ..line
        };
        assert_eq!(
            noop.text(),
            "2:41        2026-07-01T12:00:00.123Z  noop      (not known to be committed)"
        );
    }
}
