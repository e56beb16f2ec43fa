//! `inspect show`.

use std::io::Write;

use comfy_table::{Table, presets};
use fleet::{Answer, NodeView, PastMoment, Query, SceneEntries, Selector, Status, WallTime, one_line};
use position::Index;
use prevalent::Prevalent;
use serde::Serialize;

use crate::moment::{At, Certainty};
use crate::place::Place;
use crate::problem::Problem;

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

pub(crate) fn print(
    place: &Place,
    at: Option<PastMoment>,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Problem>> {
    let shown = Shown::of(At::of(place, at)?);
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

impl Shown {
    fn of(at: At) -> Shown {
        let (index, fleet) = (at.index(), at.engine.state());
        let Answer::Nodes(nodes) = fleet.answer(&Query::Nodes(Selector::All)) else {
            unreachable!("an answer is to the query of the same name")
        };
        let Answer::Status(status) = fleet.answer(&Query::Status) else {
            unreachable!("an answer is to the query of the same name")
        };
        Shown {
            index,
            time: at.time(),
            certainty: at.certainty,
            journal_ends: (at.end > index).then_some(at.end),
            nodes,
            scenes: fleet.configuration().scenes.unwrap_or_default(),
            problems: at.problems,
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
            text.push_str(&one_line(&format!("scene {scene}: {}", nodes.join(" "))));
            text.push('\n');
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
    // A snapshot from elsewhere may hold texts that no command of ours would have let in.
    let lines: Vec<String> = lines.iter().map(|line| one_line(line)).collect();
    lines.join("\n")
}
