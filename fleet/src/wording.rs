//! Commands and what came of them in words: one line for people, and as JSON for programs. Whatever shows a
//! history of the fleet shows it in these words.

use std::collections::BTreeMap;
use std::fmt;

use prevalent::{Actor, Reply, Role};
use serde::{Serialize, Serializer};

use crate::{Command, Configuration, Fleet, ImportMode, NodeName, Outcome, Revision, Value};

/// The shape of each command's JSON. Scripts read it: fields are added, never renamed.
#[derive(Serialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
enum Shown<'a> {
    Place {
        node: &'a str,
        row: u16,
        column: u16,
    },
    Import {
        mode: &'static str,
        configuration: &'a Configuration,
    },
    Set {
        selector: String,
        properties: &'a BTreeMap<String, Value>,
    },
    Unset {
        selector: String,
        keys: &'a [String],
    },
    SaveScene {
        scene: &'a str,
        selector: String,
    },
    ApplyScene {
        scene: &'a str,
    },
    DeleteScene {
        scene: &'a str,
    },
    Presence {
        node: &'a str,
        present: bool,
    },
    Report {
        node: &'a str,
        revision: Revision,
        properties: &'a BTreeMap<String, Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    },
    Remove {
        nodes: &'a [String],
        addresses: &'a [String],
    },
}

impl Serialize for Command {
    /// An object whose field `command` says which it is.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = match self {
            Command::Place { node, row, column } => Shown::Place { node, row: *row, column: *column },
            Command::Import { configuration, mode } => Shown::Import { mode: mode.name(), configuration },
            Command::Set { selector, properties } => {
                Shown::Set { selector: selector.to_string(), properties }
            }
            Command::Unset { selector, keys } => Shown::Unset { selector: selector.to_string(), keys },
            Command::SaveScene { scene, selector } => {
                Shown::SaveScene { scene, selector: selector.to_string() }
            }
            Command::ApplyScene { scene } => Shown::ApplyScene { scene },
            Command::DeleteScene { scene } => Shown::DeleteScene { scene },
            Command::Presence { node, present } => Shown::Presence { node, present: *present },
            Command::Report { node, revision, properties, error } => {
                Shown::Report { node, revision: *revision, properties, error: error.as_deref() }
            }
            Command::Remove { nodes, addresses } => Shown::Remove { nodes, addresses },
        };
        shown.serialize(serializer)
    }
}

impl ImportMode {
    fn name(self) -> &'static str {
        match self {
            ImportMode::Merge => "merge",
            ImportMode::Replace => "replace",
        }
    }
}

impl fmt::Display for Command {
    /// One line for people. Texts of a command are unchecked until it is executed, so control characters
    /// are escaped: a log on a terminal must not obey what a rejected command had in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.words()))
    }
}

impl Command {
    fn words(&self) -> String {
        match self {
            Command::Place { node, row, column } => format!("place {node} at row {row}, column {column}"),
            Command::Import { configuration, mode } => {
                let what = imported(configuration);
                match mode {
                    ImportMode::Merge => format!("import {what}"),
                    ImportMode::Replace => format!("import {what}, removing all others"),
                }
            }
            Command::Set { selector, properties } => format!("set {selector} {}", assigned(properties)),
            Command::Unset { selector, keys } => format!("unset {selector} {}", keys.join(" ")),
            Command::SaveScene { scene, selector } => format!("save scene {scene} of {selector}"),
            Command::ApplyScene { scene } => format!("apply scene {scene}"),
            Command::DeleteScene { scene } => format!("delete scene {scene}"),
            Command::Presence { node, present: true } => format!("{node} is present"),
            Command::Presence { node, present: false } => format!("{node} is absent"),
            Command::Report { node, revision, properties, error } => {
                let mut words = format!("{node} reports revision {revision}");
                if !properties.is_empty() {
                    words.push_str(&format!(": {}", assigned(properties)));
                }
                if let Some(error) = error {
                    words.push_str(&format!("; it failed: {error}"));
                }
                words
            }
            Command::Remove { nodes, addresses } => {
                let nodes = named(nodes.iter());
                let addresses = match addresses.as_slice() {
                    [] => String::new(),
                    [node] => format!("the address of {node}"),
                    several => format!("the addresses of {}", named(several.iter())),
                };
                let and = if nodes.is_empty() || addresses.is_empty() { "" } else { " and " };
                format!("remove {nodes}{and}{addresses}")
            }
        }
    }
}

fn imported(configuration: &Configuration) -> String {
    let nodes = counted(configuration.nodes.len(), "node");
    match &configuration.scenes {
        None => nodes,
        Some(scenes) if configuration.nodes.is_empty() => counted(scenes.len(), "scene"),
        Some(scenes) => format!("{nodes} and {}", counted(scenes.len(), "scene")),
    }
}

fn assigned(properties: &BTreeMap<String, Value>) -> String {
    let pairs: Vec<String> = properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(" ")
}

/// Words with every control character escaped: a terminal must not obey what a stranger wrote, and a line must
/// stay one.
#[must_use]
pub fn one_line(words: &str) -> String {
    let mut line = String::with_capacity(words.len());
    for character in words.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

impl fmt::Display for Outcome {
    /// What was done, in a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Nodes { changed, missing } => {
                match changed.as_slice() {
                    [] => f.write_str("nothing had to be changed")?,
                    changed => write!(f, "changed {}", listed(changed))?,
                }
                if !missing.is_empty() {
                    write!(f, "; no longer in the fleet: {}", named(missing.iter()))?;
                }
                Ok(())
            }
            Outcome::Imported { added, changed, removed } => {
                let parts = [("added", added), ("changed", changed), ("removed", removed)];
                let parts: Vec<String> = parts
                    .into_iter()
                    .filter(|(_, nodes)| !nodes.is_empty())
                    .map(|(done, nodes)| format!("{done} {}", listed(nodes)))
                    .collect();
                match parts.as_slice() {
                    // Scenes of an import may have been changed: the outcome does not tell.
                    [] => f.write_str("no node had to be changed"),
                    parts => f.write_str(&parts.join("; ")),
                }
            }
            Outcome::Scene { nodes } => {
                write!(
                    f,
                    "done: a scene of {}",
                    counted(usize::try_from(*nodes).unwrap_or(usize::MAX), "node")
                )
            }
        }
    }
}

/// Who gave a command: people and PCs have names, voters have numbers.
#[must_use]
pub fn called(actor: Option<&Actor>) -> String {
    match actor {
        None => "unknown".to_owned(),
        Some(Actor { name, role: Role::Voter }) => format!("voter {name}"),
        Some(Actor { name, .. }) => name.clone(),
    }
}

/// What came of a command: what it did, or why it did nothing.
///
/// # Errors
/// If it did nothing.
pub fn came_of(reply: &Reply<Fleet>) -> Result<String, String> {
    match (reply, failure(reply)) {
        (Reply::Outcome(outcome), _) => Ok(outcome.to_string()),
        // Names in a rejection are repeated from a command that nobody has checked.
        (Reply::Rejection(rejection), _) => Err(one_line(&format!("rejected: {rejection}"))),
        (_, why) => Err(format!("failed: {}", why.unwrap_or_default())),
    }
}

/// Why a command has neither an outcome nor a rejection.
#[must_use]
pub fn failure(reply: &Reply<Fleet>) -> Option<&'static str> {
    match reply {
        Reply::Outcome(_) | Reply::Rejection(_) => None,
        Reply::Panicked => Some("it made the program panic, and changed nothing"),
        Reply::UnknownSession
        | Reply::Forgotten
        | Reply::TableFull
        | Reply::Registered(_)
        | Reply::TooFar => Some("it was not executed"),
    }
}

fn listed(nodes: &[NodeName]) -> String {
    format!("{}: {}", counted(nodes.len(), "node"), named(nodes.iter()))
}

/// So many names are in a line; of more the number is. Programs are told all.
const NAMES_MAX: usize = 16;

/// Names one after the other, as far as they can be read.
pub(crate) fn named<T: fmt::Display>(names: impl ExactSizeIterator<Item = T>) -> String {
    let more = names.len().saturating_sub(NAMES_MAX);
    let mut words: Vec<String> = names.take(NAMES_MAX).map(|name| name.to_string()).collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(" ")
}

/// `1 node`, `3 nodes`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeEntry, Rejection, Selector};

    #[track_caller]
    fn check(command: &Command, words: &str, json: &str) {
        assert_eq!(command.to_string(), words);
        assert_eq!(crate::to_json(command), json);
    }

    #[test]
    fn every_command_is_a_line_and_an_object() {
        check(
            &Command::Place { node: "pc1".into(), row: 1, column: 2 },
            "place pc1 at row 1, column 2",
            r#"{"command":"place","node":"pc1","row":1,"column":2}"#,
        );
        let properties: BTreeMap<String, Value> =
            [("gamma".to_owned(), Value::parse("2.2").unwrap()), ("title".to_owned(), "gr\u{fc}n".into())]
                .into();
        check(
            &Command::Set { selector: Selector::Row(1), properties: properties.clone() },
            "set row:1 gamma=2.2 title=gr\u{fc}n",
            r#"{"command":"set","selector":"row:1","properties":{"gamma":2.2,"title":"gr\u00fcn"}}"#,
        );
        check(
            &Command::Unset { selector: Selector::All, keys: vec!["gamma".into()] },
            "unset all gamma",
            r#"{"command":"unset","selector":"all","keys":["gamma"]}"#,
        );
        check(
            &Command::SaveScene { scene: "day".into(), selector: Selector::Label("left".into()) },
            "save scene day of label:left",
            r#"{"command":"save-scene","scene":"day","selector":"label:left"}"#,
        );
        check(
            &Command::ApplyScene { scene: "day".into() },
            "apply scene day",
            r#"{"command":"apply-scene","scene":"day"}"#,
        );
        check(
            &Command::DeleteScene { scene: "day".into() },
            "delete scene day",
            r#"{"command":"delete-scene","scene":"day"}"#,
        );
        check(
            &Command::Presence { node: "pc1".into(), present: false },
            "pc1 is absent",
            r#"{"command":"presence","node":"pc1","present":false}"#,
        );
        let report = |properties, error: Option<&str>| Command::Report {
            node: "pc1".into(),
            revision: Revision(7),
            properties,
            error: error.map(str::to_owned),
        };
        check(
            &report(BTreeMap::new(), None),
            "pc1 reports revision 7",
            r#"{"command":"report","node":"pc1","revision":7,"properties":{}}"#,
        );
        check(
            &report([("on".to_owned(), true.into())].into(), Some("jam")),
            "pc1 reports revision 7: on=true; it failed: jam",
            r#"{"command":"report","node":"pc1","revision":7,"properties":{"on":true},"error":"jam"}"#,
        );
    }

    #[test]
    fn removals_name_what_goes() {
        let remove = |nodes: &[&str], addresses: &[&str]| {
            let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            Command::Remove { nodes: list(nodes), addresses: list(addresses) }
        };
        check(
            &remove(&["pc1", "pc2"], &["pc3"]),
            "remove pc1 pc2 and the address of pc3",
            r#"{"command":"remove","nodes":["pc1","pc2"],"addresses":["pc3"]}"#,
        );
        assert_eq!(remove(&["pc1"], &[]).to_string(), "remove pc1");
        assert_eq!(remove(&[], &["pc1", "pc2"]).to_string(), "remove the addresses of pc1 pc2");
    }

    #[test]
    fn imports_say_how_much_they_bring() {
        let node = || NodeEntry { name: "pc1".into(), ..NodeEntry::default() };
        let import = |nodes, scenes, mode| {
            Command::Import { configuration: Configuration { nodes, scenes }, mode }.to_string()
        };
        assert_eq!(import(vec![node()], None, ImportMode::Merge), "import 1 node");
        assert_eq!(
            import(vec![node()], Some(BTreeMap::new()), ImportMode::Replace),
            "import 1 node and 0 scenes, removing all others"
        );
        let scenes = [("day".to_owned(), BTreeMap::new())].into();
        assert_eq!(import(vec![], Some(scenes), ImportMode::Merge), "import 1 scene");
        let replace = Command::Import { configuration: Configuration::default(), mode: ImportMode::Replace };
        assert_eq!(
            crate::to_json(&replace),
            r#"{"command":"import","mode":"replace","configuration":{"nodes":[]}}"#
        );
    }

    #[test]
    fn a_line_stays_a_line() {
        let hostile = Command::ApplyScene { scene: "a\n\u{1b}[2Jb".into() };
        assert_eq!(hostile.to_string(), "apply scene a\\n\\u{1b}[2Jb");
    }

    #[test]
    fn outcomes_are_sentences() {
        let name = |text: &str| NodeName::parse(text).unwrap();
        let check = |outcome: Outcome, words: &str| assert_eq!(outcome.to_string(), words);
        let nodes = |changed, missing| Outcome::Nodes { changed, missing };
        check(nodes(vec![], vec![]), "nothing had to be changed");
        check(nodes(vec![name("a"), name("b")], vec![]), "changed 2 nodes: a b");
        let many: Vec<NodeName> = (1..=20).map(|number| name(&format!("n{number}"))).collect();
        check(
            nodes(many, vec![]),
            "changed 20 nodes: n1 n2 n3 n4 n5 n6 n7 n8 n9 n10 n11 n12 n13 n14 n15 n16 and 4 more",
        );
        check(nodes(vec![name("a")], vec![name("c")]), "changed 1 node: a; no longer in the fleet: c");
        let imported = |added, removed| Outcome::Imported { added, changed: vec![], removed };
        check(imported(vec![], vec![]), "no node had to be changed");
        check(imported(vec![name("a")], vec![name("b")]), "added 1 node: a; removed 1 node: b");
        check(Outcome::Scene { nodes: 1 }, "done: a scene of 1 node");
    }

    #[test]
    fn voters_are_called_by_their_number() {
        let called = |name: &str, role| super::called(Some(&Actor { name: name.into(), role }));
        assert_eq!(called("ann", Role::Operator), "ann");
        assert_eq!(called("pc3", Role::Node), "pc3");
        assert_eq!(called("3", Role::Voter), "voter 3");
        assert_eq!(super::called(None), "unknown");
    }

    #[test]
    fn what_came_of_a_command_is_said_in_a_line() {
        let check = |reply: Reply<Fleet>, words: Result<&str, &str>| {
            assert_eq!(came_of(&reply), words.map(str::to_owned).map_err(str::to_owned));
        };
        check(Reply::Outcome(Outcome::Scene { nodes: 3 }), Ok("done: a scene of 3 nodes"));
        let panicked = "failed: it made the program panic, and changed nothing";
        check(Reply::Panicked, Err(panicked));
        check(Reply::Forgotten, Err("failed: it was not executed"));
        let hostile = Rejection::NoSuchNode { node: "a\u{1b}[2J".into() };
        let words = came_of(&Reply::Rejection(hostile)).unwrap_err();
        assert!(words.starts_with("rejected: there is no node named"), "{words}");
        assert!(!words.contains('\u{1b}'), "{words}");
    }
}
