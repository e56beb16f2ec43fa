//! What the operator wants, as commands.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use console_ui::{Act, PreviewLine};
use fleet::{Change, Command, Configuration, Fleet, Format, ImportMode, NodeEntry, Selector, Value};
use position::Index;

use crate::reversal::Reversal;

/// A fleet's file is small; this is another one.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Commands that do what was asked for.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What they do, for people.
    pub(crate) what: String,
    /// In their order.
    pub(crate) commands: Vec<Command>,
    /// The nodes they are about.
    pub(crate) nodes: Vec<String>,
    /// What takes them back.
    pub(crate) reversal: Reversal,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(transparent)]
    Value(#[from] fleet::ValueProblem),
    #[error("{0} is not in the fleet any more. Nothing was changed")]
    Gone(String),
    #[error("that moment is not the one that is looked at. Nothing was changed; look at it first")]
    UnknownMoment,
    #[error("there is nothing to take back")]
    NothingToUndo,
    #[error("cannot read {file}: {source}. Nothing was changed")]
    Read { file: String, source: std::io::Error },
    #[error("{0} is no .csv, .tsv, .txt or .json file. Nothing was changed")]
    Format(String),
    #[error("{file} is larger than {FILE_BYTES_MAX} bytes and no fleet. Nothing was changed")]
    TooLarge { file: String },
    #[error(transparent)]
    File(#[from] fleet::FileError),
    #[error("a selection without a node. Nothing was changed")]
    NothingChosen,
}

/// A fleet as it was after a command.
pub(crate) struct Then {
    pub(crate) index: Index,
    pub(crate) fleet: Fleet,
}

/// Plans an act other than undo and redo, which the caller knows more about. `then` is the moment that is
/// looked at: the only one that can be restored.
pub(crate) fn plan(act: &Act, fleet: &Fleet, then: Option<&Then>) -> Result<Plan, PlanError> {
    let (commands, what) = match act {
        Act::Set { nodes, key, value } => set(nodes, key, value, fleet)?,
        Act::Unset { nodes, key } => unset(nodes, key, fleet)?,
        Act::SaveScene { scene, nodes } => save_scene(scene, nodes, fleet)?,
        Act::ApplyScene { scene } => said(vec![Command::ApplyScene { scene: scene.clone() }]),
        Act::DeleteScene { scene } => said(vec![Command::DeleteScene { scene: scene.clone() }]),
        Act::Move { node, row, column } => place(node, *row, *column, fleet)?,
        Act::Import { file, replace } => {
            let mode = if *replace { ImportMode::Replace } else { ImportMode::Merge };
            (vec![Command::Import { configuration: read(file)?, mode }], format!("import {file}"))
        }
        Act::Restore { index } => restore(Index(*index), then)?,
        Act::Undo | Act::Redo => return Err(PlanError::NothingToUndo),
    };
    Ok(Plan::of(what, commands, fleet))
}

impl Plan {
    /// With what takes the commands back, as far as can be told now.
    pub(crate) fn of(what: String, commands: Vec<Command>, fleet: &Fleet) -> Plan {
        let reversal = Reversal::of(fleet, &commands);
        let nodes = reversal.nodes().map(str::to_owned).collect();
        Plan { what, commands, nodes, reversal }
    }
}

/// Commands, and what the log will say of them.
fn said(commands: Vec<Command>) -> (Vec<Command>, String) {
    let what = commands.iter().map(Command::to_string).collect::<Vec<_>>().join(", ");
    (commands, what)
}

/// A selector that stands for exactly these nodes, if one does.
fn selector(nodes: &[String], fleet: &Fleet) -> Option<Selector> {
    if let [node] = nodes {
        return Some(Selector::Node(node.clone()));
    }
    let mut wanted: Vec<&str> = nodes.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    let is_exactly = |holds: &dyn Fn(&fleet::Node) -> bool| {
        let names = fleet.nodes().filter(|(_, node)| holds(node)).map(|(name, _)| name.as_str());
        names.eq(wanted.iter().copied())
    };
    if is_exactly(&|_| true) {
        return Some(Selector::All);
    }
    let first = fleet.node(wanted.first()?)?;
    let (row, column) = (first.place.row, first.place.column);
    if is_exactly(&|node| node.place.row == row) {
        return Some(Selector::Row(row));
    }
    if is_exactly(&|node| node.place.column == column) {
        return Some(Selector::Column(column));
    }
    let label = first.labels.iter().find(|label| is_exactly(&|node| node.labels.contains(*label)))?;
    Some(Selector::Label(label.as_str().to_owned()))
}

fn some(nodes: &[String]) -> Result<&[String], PlanError> {
    if nodes.is_empty() { Err(PlanError::NothingChosen) } else { Ok(nodes) }
}

fn set(nodes: &[String], key: &str, value: &str, fleet: &Fleet) -> Result<(Vec<Command>, String), PlanError> {
    let properties: BTreeMap<String, Value> = [(key.to_owned(), Value::parse(value)?)].into();
    if let Some(selector) = selector(some(nodes)?, fleet) {
        return Ok(said(vec![Command::Set { selector, properties }]));
    }
    // Any other selection: an import changes many nodes at once, or none of them.
    let entry =
        |name: &String| NodeEntry { name: name.clone(), desired: properties.clone(), ..NodeEntry::default() };
    let configuration = Configuration { nodes: nodes.iter().map(entry).collect(), scenes: None };
    let what = format!("set {} {key}={value}", nodes.join(" "));
    Ok((vec![Command::Import { configuration, mode: ImportMode::Merge }], what))
}

fn unset(nodes: &[String], key: &str, fleet: &Fleet) -> Result<(Vec<Command>, String), PlanError> {
    let keys = || vec![key.to_owned()];
    if let Some(selector) = selector(some(nodes)?, fleet) {
        return Ok(said(vec![Command::Unset { selector, keys: keys() }]));
    }
    let unset = |node: &String| Command::Unset { selector: Selector::Node(node.clone()), keys: keys() };
    Ok((nodes.iter().map(unset).collect(), format!("unset {} {key}", nodes.join(" "))))
}

fn save_scene(scene: &str, nodes: &[String], fleet: &Fleet) -> Result<(Vec<Command>, String), PlanError> {
    if let Some(selector) = selector(some(nodes)?, fleet) {
        return Ok(said(vec![Command::SaveScene { scene: scene.to_owned(), selector }]));
    }
    let mut saved = BTreeMap::new();
    for name in nodes {
        let node = fleet.node(name).ok_or_else(|| PlanError::Gone(name.clone()))?;
        saved.insert(name.clone(), node.desired.properties.to_map());
    }
    let configuration = Configuration { nodes: Vec::new(), scenes: Some([(scene.to_owned(), saved)].into()) };
    let what = format!("save scene {scene} of {}", nodes.join(" "));
    Ok((vec![Command::Import { configuration, mode: ImportMode::Merge }], what))
}

/// Moves a node, and whoever stands there to where it came from: both at once.
fn place(name: &str, row: u16, column: u16, fleet: &Fleet) -> Result<(Vec<Command>, String), PlanError> {
    let node = fleet.node(name).ok_or_else(|| PlanError::Gone(name.to_owned()))?;
    let there = fleet.nodes().find(|(_, other)| (other.place.row, other.place.column) == (row, column));
    let Some((other, _)) = there.filter(|(other, _)| **other != name) else {
        return Ok(said(vec![Command::Place { node: name.to_owned(), row, column }]));
    };
    let entry = |name: &str, row, column| NodeEntry {
        name: name.to_owned(),
        row: Some(row),
        column: Some(column),
        ..NodeEntry::default()
    };
    let nodes = vec![entry(name, row, column), entry(other.as_str(), node.place.row, node.place.column)];
    let import =
        Command::Import { configuration: Configuration { nodes, scenes: None }, mode: ImportMode::Merge };
    Ok((vec![import], format!("swap {name} and {other}")))
}

/// Makes the nodes what they were. Scenes are left alone: they are tools, and not what the wall shows.
fn restore(index: Index, then: Option<&Then>) -> Result<(Vec<Command>, String), PlanError> {
    let then = then.filter(|then| then.index == index).ok_or(PlanError::UnknownMoment)?;
    let configuration = Configuration { scenes: None, ..then.fleet.configuration() };
    let import = Command::Import { configuration, mode: ImportMode::Replace };
    Ok((vec![import], format!("restore the moment after command {index}")))
}

fn read(file: &str) -> Result<Configuration, PlanError> {
    let format = Format::of(Path::new(file)).ok_or_else(|| PlanError::Format(file.to_owned()))?;
    let failed = |source| PlanError::Read { file: file.to_owned(), source };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(PlanError::TooLarge { file: file.to_owned() });
    }
    Ok(fleet::read(file, format, &bytes, &[])?)
}

/// What commands would change, line by line.
pub(crate) fn preview(fleet: &Fleet, commands: &[Command]) -> Result<Vec<PreviewLine>, String> {
    let after = fleet.after(commands).map_err(|rejection| rejection.to_string())?;
    Ok(fleet.changes_to(&after).iter().map(line).collect())
}

fn line(change: &Change) -> PreviewLine {
    let words = change.to_string();
    let (subject, rest) = words.split_once(": ").unwrap_or(("", &words));
    // Undo brings the node back, and not what it had reported.
    let loses = matches!(change, Change::Removed { .. });
    PreviewLine { subject: subject.to_owned(), change: rest.to_owned(), loses }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fleet;

    fn names(list: &str) -> Vec<String> {
        list.split(' ').map(str::to_owned).collect()
    }

    /// What is sent for an act, in the words of the log.
    #[track_caller]
    fn check(act: &Act, sent: &str) {
        let fleet = fleet();
        let plan = plan(act, &fleet, None).unwrap();
        let words: Vec<String> = plan.commands.iter().map(Command::to_string).collect();
        assert_eq!(words.join("; "), sent);
        assert!(fleet.after(&plan.commands).is_ok(), "the fleet takes it");
    }

    #[test]
    fn a_selection_that_has_a_name_is_sent_by_it() {
        let set = |list: &str| Act::Set { nodes: names(list), key: "a".into(), value: "1".into() };
        check(&set("pc5"), "set pc5 a=1");
        check(&set("pc4 pc5 pc6"), "set row:2 a=1");
        check(&set("pc3 pc6 pc9"), "set column:3 a=1");
        check(&set("pc1 pc3 pc5 pc7 pc9"), "set label:odd a=1");
        check(&set("pc9 pc8 pc7 pc6 pc5 pc4 pc3 pc2 pc1"), "set all a=1");
        check(&set("pc1 pc5"), "import 2 nodes");
        let unset = Act::Unset { nodes: names("pc1 pc5"), key: "brightness".into() };
        check(&unset, "unset pc1 brightness; unset pc5 brightness");
    }

    #[test]
    fn nodes_are_moved_or_change_places_in_one_command() {
        let to = |row, column| Act::Move { node: "pc1".into(), row, column };
        check(&to(9, 9), "place pc1 at row 9, column 9");
        check(&to(3, 3), "import 2 nodes");
        check(&to(1, 1), "place pc1 at row 1, column 1");
    }

    #[test]
    fn a_preview_says_what_would_change_and_what_would_be_lost() {
        let fleet = fleet();
        let keep = NodeEntry { name: "pc1".into(), row: Some(1), column: Some(1), ..NodeEntry::default() };
        let configuration = Configuration { nodes: vec![keep], scenes: Some(BTreeMap::new()) };
        let import = Command::Import { configuration, mode: ImportMode::Replace };
        let lines = preview(&fleet, &[import]).unwrap();
        let lost: Vec<&str> =
            lines.iter().filter(|line| line.loses).map(|line| line.subject.as_str()).collect();
        assert_eq!(lost, ["pc2", "pc3", "pc4", "pc5", "pc6", "pc7", "pc8", "pc9"]);
        assert!(lines.iter().any(|line| line.subject == "pc1" && line.change.contains("brightness")));
        assert!(lines.iter().any(|line| line.subject == "scene Night" && line.change == "deleted"));
        let crowded = Command::Place { node: "pc1".into(), row: 1, column: 2 };
        assert!(preview(&fleet, &[crowded]).unwrap_err().contains("pc2"));
    }

    #[test]
    fn what_cannot_be_done_is_told_before_anything_is_sent() {
        let refused = |act: Act| plan(&act, &fleet(), None).unwrap_err().to_string();
        let set = Act::Set { nodes: names("pc1"), key: "a".into(), value: "9223372036854775808".into() };
        assert!(refused(set).contains("64 bits"));
        assert!(refused(Act::Move { node: "pc99".into(), row: 1, column: 1 }).contains("pc99"));
        assert!(refused(Act::Restore { index: 7 }).contains("moment"));
        assert!(refused(Act::Import { file: "wall.exe".into(), replace: false }).contains("wall.exe"));
        assert!(
            refused(Act::Set { nodes: Vec::new(), key: "a".into(), value: "1".into() }).contains("selection")
        );
    }
}
