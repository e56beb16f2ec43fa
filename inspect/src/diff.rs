//! `inspect diff`: what differs between two moments of a directory, or between two directories.

use std::io::Write;

use fleet::{Change, WallTime, one_line};
use position::Index;
use serde::Serialize;

use crate::moment::{At, Certainty};
use crate::place::{NamedMoment, Place};
use crate::problem::Problem;

/// `inspect diff --json`.
#[derive(Serialize)]
struct Difference {
    from: Side,
    to: Side,
    changes: Vec<Change>,
    problems: Vec<Problem>,
}

/// One of the two states.
#[derive(Serialize)]
struct Side {
    place: String,
    index: Index,
    time: WallTime,
    certainty: Certainty,
}

impl Side {
    fn of(named: &NamedMoment, at: &At) -> Side {
        let place = named.path.display().to_string();
        Side { place, index: at.index(), time: at.time(), certainty: at.certainty }
    }

    fn text(&self) -> String {
        let doubt = match self.certainty {
            Certainty::Committed => "",
            Certainty::NotKnownCommitted => ", not known to be committed",
        };
        one_line(&format!("{} as of entry {} of {}{doubt}", self.place, self.index, self.time))
    }
}

pub(crate) fn print(
    before: &NamedMoment,
    after: &NamedMoment,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Problem>> {
    let state = |named: &NamedMoment| At::of(&Place::open(&named.path)?, named.at);
    let (before_at, after_at) = (state(before)?, state(after)?);
    let (from, to) = (Side::of(before, &before_at), Side::of(after, &after_at));
    let changes = before_at.engine.state().changes_to(after_at.engine.state());
    let mut problems = before_at.problems;
    problems.extend(after_at.problems);
    problems.dedup();
    if before.path == after.path {
        // The same place was looked at twice.
        let mut seen = Vec::new();
        problems.retain(|problem| {
            !seen.contains(problem) && {
                seen.push(problem.clone());
                true
            }
        });
    }
    let difference = Difference { from, to, changes, problems };
    if json {
        writeln!(out, "{}", fleet::to_json(&difference))?;
    } else {
        writeln!(out, "from {}", difference.from.text())?;
        writeln!(out, "to   {}", difference.to.text())?;
        if difference.changes.is_empty() {
            writeln!(out, "no difference")?;
        }
        for change in &difference.changes {
            writeln!(out, "{}", one_line(&change.to_string()))?;
        }
    }
    for problem in &difference.problems {
        app::complain(format_args!("inspect: {problem}"));
    }
    Ok(difference.problems)
}
