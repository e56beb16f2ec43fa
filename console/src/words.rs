//! Commands and what they did, in the words of the log.

use std::collections::BTreeMap;

use console_ui::Origin;
use fleet::{Command, Fleet, ImportMode, Outcome, Value};
use prevalent::{Actor, Reply, Role};

/// What a command says.
pub(crate) fn of_command(command: &Command) -> String {
    match command {
        Command::Place { node, row, column } => format!("place {node} at row {row}, column {column}"),
        Command::Import { configuration, mode } => {
            let what = counted(configuration.nodes.len(), "node");
            let scenes = configuration.scenes.as_ref().map(|scenes| counted(scenes.len(), "scene"));
            let what = match (configuration.nodes.len(), scenes) {
                (0, Some(scenes)) => scenes,
                (_, Some(scenes)) => format!("{what} and {scenes}"),
                (_, None) => what,
            };
            match mode {
                ImportMode::Merge => format!("import {what}"),
                ImportMode::Replace => format!("import {what} and remove all others"),
            }
        }
        Command::Set { selector, properties } => format!("set {} on {selector}", listed(properties)),
        Command::Unset { selector, keys } => format!("unset {} on {selector}", keys.join(" ")),
        Command::SaveScene { scene, selector } => format!("save scene {scene} of {selector}"),
        Command::ApplyScene { scene } => format!("apply scene {scene}"),
        Command::DeleteScene { scene } => format!("delete scene {scene}"),
        Command::Presence { node, present: true } => format!("{node} is present"),
        Command::Presence { node, present: false } => format!("{node} is absent"),
        Command::Report { node, revision, properties, error } => {
            let mut words = format!("{node} reports revision {revision}");
            if !properties.is_empty() {
                words.push_str(&format!(": {}", listed(properties)));
            }
            if let Some(error) = error {
                words.push_str(&format!(", failed: {error}"));
            }
            words
        }
    }
}

fn listed(properties: &BTreeMap<String, Value>) -> String {
    let pairs: Vec<String> = properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(" ")
}

/// `1 node`, `3 nodes`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// What a command did.
pub(crate) fn of_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Nodes { changed, missing } => {
            let changed = if changed.is_empty() {
                "nothing changed".to_owned()
            } else {
                format!("{} changed", changed.len())
            };
            if missing.is_empty() {
                changed
            } else {
                format!("{changed}, {} not there any more", missing.len())
            }
        }
        Outcome::Imported { added, changed, removed } => {
            let parts = [(added.len(), "added"), (changed.len(), "changed"), (removed.len(), "removed")];
            let parts: Vec<String> = parts
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            if parts.is_empty() { "nothing changed".to_owned() } else { parts.join(", ") }
        }
        Outcome::Scene { nodes } => format!("{nodes} nodes"),
    }
}

/// What became of a command: what it did, or why it did nothing.
pub(crate) fn of_reply(reply: &Reply<Fleet>) -> Result<String, String> {
    match reply {
        Reply::Outcome(outcome) => Ok(of_outcome(outcome)),
        Reply::Rejection(rejection) => Err(rejection.to_string()),
        Reply::Panicked => Err("it made the program panic, and changed nothing".to_owned()),
        Reply::UnknownSession
        | Reply::Forgotten
        | Reply::TableFull
        | Reply::Registered(_)
        | Reply::TooFar => Err("it was not executed".to_owned()),
    }
}

/// Who sent a command.
pub(crate) fn of_actor(actor: Option<&Actor>) -> (String, Origin) {
    match actor {
        Some(actor) => {
            let origin = match actor.role {
                Role::Node => Origin::Node,
                Role::Voter => Origin::Voter,
                Role::Operator | Role::Viewer => Origin::Operator,
            };
            (actor.name.clone(), origin)
        }
        None => ("unknown".to_owned(), Origin::Operator),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::{Configuration, NodeEntry, Selector};

    fn check(command: Command, words: &str) {
        assert_eq!(of_command(&command), words);
    }

    #[test]
    fn commands_are_said_as_operators_say_them() {
        let set = [("a".to_owned(), Value::Integer(5)), ("b".to_owned(), Value::Bool(true))];
        check(Command::Set { selector: Selector::Row(1), properties: set.into() }, "set a=5 b=true on row:1");
        check(Command::Presence { node: "pc1".into(), present: false }, "pc1 is absent");
        let nodes = vec![NodeEntry::default()];
        let import =
            Command::Import { configuration: Configuration { nodes, scenes: None }, mode: ImportMode::Merge };
        check(import, "import 1 node");
        let scenes =
            Some([("Day".to_owned(), BTreeMap::new()), ("Night".to_owned(), BTreeMap::new())].into());
        let import = Command::Import {
            configuration: Configuration { nodes: vec![], scenes },
            mode: ImportMode::Merge,
        };
        check(import, "import 2 scenes");
    }
}
