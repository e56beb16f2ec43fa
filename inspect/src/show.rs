//! `inspect show`.

use std::io::Write;

use comfy_table::{Table, presets};
use fleet::{Answer, Fleet, NodeView, Query, SceneEntries, Selector, Status, WallTime};
use position::Index;
use prevalent::{Engine, Prevalent};
use serde::Serialize;

use crate::journal::JournalFiles;
use crate::place::{Directory, Place, SnapshotFile};
use crate::problem::{Problem, is_damage};
use crate::state::{Base, CannotReach, Replayed, read_snapshot, refuse_other_commands, replay};
use crate::survey::Survey;

/// `inspect show --json`.
#[derive(Serialize)]
struct Shown {
    /// The last entry whose effects are shown.
    index: Index,
    time: WallTime,
    certainty: Certainty,
    /// The last entry of the journal, where it goes on behind `index`.
    #[serde(skip_serializing_if = "Option::is_none")]
    journal_ends: Option<Index>,
    nodes: Vec<NodeView>,
    scenes: SceneEntries,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
    #[serde(skip)]
    status: Status,
}

/// Whether a majority is known to have what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Certainty {
    Committed,
    /// One disk cannot tell: a later master may have written something else there.
    NotKnownCommitted,
}

pub(crate) fn print(
    place: &Place,
    at: Option<Index>,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Problem>> {
    let shown = match place {
        Place::Directory(directory) => of_directory(directory, at)?,
        Place::Snapshot(file) => of_snapshot(file, at)?,
    };
    if json {
        writeln!(out, "{}", fleet::to_json(&shown))?;
    } else {
        out.write_all(shown.text().as_bytes())?;
    }
    for problem in &shown.problems {
        app::complain(format_args!("inspect: {problem}"));
    }
    Ok(shown.problems)
}

fn of_snapshot(file: &SnapshotFile, at: Option<Index>) -> anyhow::Result<Shown> {
    let name = file.path.display().to_string();
    let opened = file.opened.as_ref().map_err(|flaw| {
        anyhow::Error::from(flaw.clone())
            .context(format!("{name} is not a valid snapshot; nothing in it was used"))
    })?;
    let engine = read_snapshot(&name, opened)?;
    let index = engine.applied().index();
    anyhow::ensure!(
        at.is_none_or(|at| at == index),
        "{name} holds the state at {index} only; name the data directory to see another"
    );
    Ok(Shown::of(&engine, index, Certainty::Committed))
}

fn of_directory(directory: &Directory, at: Option<Index>) -> anyhow::Result<Shown> {
    // The journal first: a running voter compacts it only after its snapshot can be found.
    let files = JournalFiles::open(&directory.disk)?;
    refuse_other_commands(&files)?;
    let base = Base::find(directory, Index(u64::MAX))?;
    let survey = Survey::of(&files, base.index(), &[]);
    let listed = base.engine.members().and_then(|members| prevalent::decode_members(&members.payload));
    let members = survey.members.as_ref().or(listed.as_ref());
    let committed = survey.committed(base.index(), members);
    let wanted = at.unwrap_or(committed);
    let end = survey.tip.index().max(base.index());
    anyhow::ensure!(wanted <= end, "there is no entry {wanted}: the journal ends with {end}");

    let Replayed { engine, stopped } = replay(directory, &files, wanted)?;
    let reached = engine.applied().index();
    if reached < wanted && at.is_some() {
        return Err(cannot_reach(wanted, &engine, stopped, base.problems, survey).into());
    }
    let certainty = if reached <= committed { Certainty::Committed } else { Certainty::NotKnownCommitted };
    let mut shown = Shown::of(&engine, reached, certainty);
    shown.journal_ends = (end > reached).then_some(end);
    shown.problems = base.problems;
    shown.problems.extend(survey.problems);
    if reached < wanted {
        let why = stopped.unwrap_or_else(|| "frames are missing".to_owned());
        let what = format!("entries {} to {wanted} are committed and cannot be shown: {why}", reached.next());
        shown.problems.push(Problem::of_file("journal", what));
    }
    Ok(shown)
}

fn cannot_reach(
    wanted: Index,
    engine: &Engine<Fleet>,
    stopped: Option<String>,
    mut problems: Vec<Problem>,
    survey: Survey,
) -> CannotReach {
    let reached = engine.applied().index();
    problems.extend(survey.problems);
    let damaged = problems.iter().any(is_damage);
    let compacted = survey.first.filter(|first| !damaged && *first > reached.next());
    let why = compacted
        .map(|first| format!("the journal begins with {first}, and no snapshot is as old"))
        .or(stopped);
    CannotReach { wanted, reached, why, damaged }
}

impl Shown {
    fn of(engine: &Engine<Fleet>, index: Index, certainty: Certainty) -> Shown {
        let fleet = engine.state();
        let Answer::Nodes(nodes) = fleet.answer(&Query::Nodes(Selector::All)) else {
            unreachable!("an answer is to the query of the same name")
        };
        let Answer::Status(status) = fleet.answer(&Query::Status) else {
            unreachable!("an answer is to the query of the same name")
        };
        Shown {
            index,
            time: WallTime(engine.wall_time()),
            certainty,
            journal_ends: None,
            nodes,
            scenes: fleet.configuration().scenes.unwrap_or_default(),
            problems: Vec::new(),
            status,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("as of entry {} of {}", self.index, self.time);
        match (self.certainty, self.journal_ends) {
            (Certainty::NotKnownCommitted, _) => {
                text.push_str(", which is not known to be committed: a later master may have replaced it");
            }
            (Certainty::Committed, Some(end)) => text.push_str(&format!(
                "; the journal goes on to {end} (--at {end} shows that, known to be committed or not)"
            )),
            (Certainty::Committed, None) => {}
        }
        text.push('\n');
        if self.nodes.is_empty() {
            text.push_str("the fleet has no nodes\n");
            return text;
        }
        text.push_str(&grid(&self.status, &self.nodes));
        for (scene, nodes) in &self.scenes {
            let nodes: Vec<&str> = nodes.keys().map(String::as_str).collect();
            text.push_str(&format!("scene {scene}: {}\n", nodes.join(" ")));
        }
        text
    }
}

/// The wall as it hangs, with what is desired of each node and where the node says otherwise. Only ASCII
/// borders: a Windows 7 console has no others.
fn grid(status: &Status, nodes: &[NodeView]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_FULL);
    for row in 1..=status.rows {
        table.add_row((1..=status.columns).map(|column| {
            let node = nodes.iter().find(|node| (node.place.row, node.place.column) == (row, column));
            node.map(cell).unwrap_or_default()
        }));
    }
    let mut text: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
}

fn cell(node: &NodeView) -> String {
    let mut lines = vec![node.name.to_string(), node.condition.to_string()];
    for (key, desired) in node.desired.properties.iter() {
        let reported = node.reported.as_ref().and_then(|report| report.properties.get(key.as_str()));
        lines.push(match reported {
            Some(reported) if reported != desired => format!("{key}={desired} (is {reported})"),
            _ => format!("{key}={desired}"),
        });
    }
    lines.join("\n")
}
