//! `inspect export`: the commands of a journal and what came of them, a JSON object a line.

use std::io::Write;
use std::ops::RangeInclusive;

use fleet::{Fleet, LogLine};
use journal::EntryKind;
use position::Index;
use prevalent::lines;
use serde::Serialize;

use crate::examined::Examined;
use crate::moment::Certainty;
use crate::place::Directory;
use crate::problem::Problem;
use crate::state::{Begin, Pace, Part, Way, replay};
use crate::survey::Survey;

/// One command.
#[derive(Serialize)]
struct ExportLine<'a> {
    epoch: u64,
    /// The cluster's time, which stands still while there is no master.
    cluster_seconds: f64,
    session: u64,
    sequence: u64,
    certainty: Certainty,
    #[serde(flatten)]
    line: LogLine<'a>,
}

pub(crate) fn print(
    directory: &Directory,
    range: RangeInclusive<Index>,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Problem>> {
    let mut examined = Examined::of(directory)?;
    examined.refuse_other_commands()?;
    let mut problems = std::mem::take(&mut examined.problems);
    let committed = Survey::of(&examined).committed;
    let mut unknown: Option<(Index, Index)> = None;
    let replayed = match examined.journal() {
        None => None,
        Some(journal) => {
            let (begin, through) = (Begin::ToSee(*range.start()), *range.end());
            let way = Way { begin, through, pace: Pace::Frames };
            Some(replay(directory, journal, way, &mut |part| {
                let Part::Frame { frame, applied, .. } = part else { return Ok(()) };
                let Some(applied) = applied else {
                    let id = frame.id();
                    if range.contains(&id.first) || range.contains(&id.last) {
                        unknown = Some((unknown.map_or(id.first, |(first, _)| first), id.last));
                    }
                    return Ok(());
                };
                // Entries and lines are in the same order; what was only answered again is no line.
                let mut commands = frame.entries().filter(|(_, entry)| entry.kind == EntryKind::Command);
                for raw in lines(frame, applied.engine, applied.answers) {
                    let Some((index, entry)) = commands.find(|(index, _)| *index == raw.index()) else {
                        break;
                    };
                    if !range.contains(&index) {
                        continue;
                    }
                    let line = raw.read::<Fleet>()?;
                    let header = frame.header();
                    let exported = ExportLine {
                        epoch: header.epoch.0,
                        cluster_seconds: header.cluster_time.as_secs_f64(),
                        session: entry.session.0,
                        sequence: entry.sequence.0,
                        certainty: Certainty::of(index, committed),
                        line: LogLine::of(&line),
                    };
                    writeln!(out, "{}", fleet::to_json(&exported))?;
                }
                Ok(())
            })?)
        }
    };
    if let Some((first, last)) = unknown {
        let why = replayed.and_then(|replayed| replayed.stopped);
        let why = why.unwrap_or_else(|| "the state before them is not kept".to_owned());
        let what =
            format!("entries {first} to {last} are not all exported: what came of them is unknown ({why})");
        problems.push(Problem::note_of_file("journal", what));
    }
    for problem in &problems {
        app::complain(format_args!("inspect: {problem}"));
    }
    Ok(problems)
}
