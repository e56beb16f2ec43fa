//! `inspect`: looks into a data directory or a snapshot file, read-only, whether a voter runs there or not.
//!
//! Responsible for: showing what lies on the disk and what is wrong with it. Not responsible for: repairing
//! anything (a voter does that when it starts), and what a cluster has agreed on: one disk cannot know.

mod arguments;
mod blame;
mod diff;
mod entries;
mod examined;
mod export;
mod findings;
mod moment;
mod place;
mod problem;
mod progress;
mod show;
mod snapshot_list;
mod state;
mod summary;
mod survey;
mod verify;
mod what_came;

use std::io::{self, BufWriter, Write};

use app::{Exit, conclude, start_log};
use snapshots::Flaw;
use storage::DiskError;

use crate::arguments::{Action, Arguments};
use crate::moment::CannotReach;
use crate::place::{Directory, Place};
use crate::problem::{Problem, is_damage};

fn main() -> Exit {
    let arguments: Arguments = app::parse();
    let log = start_log(arguments.log_format, "warn");
    let mut out = BufWriter::new(io::stdout().lock());
    let done = run(&arguments, &mut out).and_then(|problems| {
        out.flush()?;
        Ok(problems)
    });
    drop(log);
    conclude("inspect", done.map(|problems| exit_after(&problems)), exit_of)
}

/// Does what was asked, and says what was found to be wrong on the way.
fn run(arguments: &Arguments, out: &mut dyn Write) -> anyhow::Result<Vec<Problem>> {
    let json = arguments.json;
    match &arguments.action {
        Action::Summary { directory } => summary::print(&Directory::open(directory)?, json, out),
        Action::Snapshots { place } => snapshot_list::print(&Place::open(place)?, json, out),
        Action::Show { place, at } => show::print(&Place::open(place)?, *at, json, out),
        Action::Journal { directory, from, to } => {
            entries::print(&Directory::open(directory)?, *from..=*to, json, out)
        }
        Action::Diff { before, after } => diff::print(before, after, json, out),
        Action::Blame { directory, property } => {
            blame::print(&Directory::open(directory)?, property, json, out)
        }
        Action::Export { directory, from, to } => {
            export::print(&Directory::open(directory)?, *from..=*to, out)
        }
        Action::Verify { place } => verify::print(&Place::open(place)?, json, out),
    }
}

fn exit_after(problems: &[Problem]) -> Exit {
    if problems.iter().any(is_damage) { Exit::Corrupted } else { Exit::Done }
}

fn exit_of(error: &anyhow::Error) -> Exit {
    let is_damage = error.downcast_ref::<CannotReach>().is_some_and(|error| error.damaged)
        || error.downcast_ref::<Flaw>().is_some_and(|flaw| !matches!(flaw, Flaw::Version { .. }))
        || error.downcast_ref::<DiskError>().is_some_and(|error| matches!(error, DiskError::TooLong { .. }));
    if is_damage { Exit::Corrupted } else { Exit::Failed }
}
