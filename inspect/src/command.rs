//! A command as JSON: what the journal holds, in the words of `fleetctl`.

use std::collections::BTreeMap;

use fleet::{Command, Configuration, ImportMode, Revision, Value};
use serde::Serialize;

/// The shape of each command's JSON. Scripts read it: fields are added, never renamed.
#[derive(Serialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub(crate) enum Shown<'a> {
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
}

impl<'a> Shown<'a> {
    pub(crate) fn of(command: &'a Command) -> Shown<'a> {
        match command {
            Command::Place { node, row, column } => Shown::Place { node, row: *row, column: *column },
            Command::Import { configuration, mode } => {
                let mode = match mode {
                    ImportMode::Merge => "merge",
                    ImportMode::Replace => "replace",
                };
                Shown::Import { mode, configuration }
            }
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::Selector;

    #[track_caller]
    fn check(command: &Command, expected: &str) {
        assert_eq!(fleet::to_json(&Shown::of(command)), expected);
    }

    #[test]
    fn commands_are_compact_json() {
        check(
            &Command::Place { node: "pc1".into(), row: 1, column: 2 },
            r#"{"command":"place","node":"pc1","row":1,"column":2}"#,
        );
        let properties: BTreeMap<String, Value> =
            [("gamma".to_owned(), Value::parse("2.2").unwrap()), ("title".to_owned(), "gr\u{fc}n".into())]
                .into();
        check(
            &Command::Set { selector: Selector::Row(1), properties: properties.clone() },
            r#"{"command":"set","selector":"row:1","properties":{"gamma":2.2,"title":"gr\u00fcn"}}"#,
        );
        check(
            &Command::Unset { selector: Selector::All, keys: vec!["gamma".into()] },
            r#"{"command":"unset","selector":"all","keys":["gamma"]}"#,
        );
        check(
            &Command::SaveScene { scene: "day".into(), selector: Selector::Label("left".into()) },
            r#"{"command":"save-scene","scene":"day","selector":"label:left"}"#,
        );
        check(
            &Command::Report {
                node: "pc1".into(),
                revision: Revision(7),
                properties: BTreeMap::new(),
                error: None,
            },
            r#"{"command":"report","node":"pc1","revision":7,"properties":{}}"#,
        );
        check(
            &Command::Import { configuration: Configuration::default(), mode: ImportMode::Replace },
            r#"{"command":"import","mode":"replace","configuration":{"nodes":[]}}"#,
        );
    }
}
