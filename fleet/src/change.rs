use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::wording::named;
use crate::{Fleet, Key, Label, NodeName, NodeView, Place, Presence, Properties, Revision, SceneName, Value};

/// One difference between two looks at the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// A node is new.
    Added {
        /// The node.
        node: NodeName,
        /// Where it stands.
        #[serde(flatten)]
        place: Place,
    },
    /// A node is gone.
    Removed {
        /// The node.
        node: NodeName,
    },
    /// A node stands elsewhere.
    Moved {
        /// The node.
        node: NodeName,
        /// Where it stood.
        from: Place,
        /// Where it stands.
        to: Place,
    },
    /// A node has another address.
    Address {
        /// The node.
        node: NodeName,
        /// Its address before.
        from: Option<String>,
        /// Its address now.
        to: Option<String>,
    },
    /// A node has other labels.
    Labels {
        /// The node.
        node: NodeName,
        /// Its labels before.
        from: Vec<Label>,
        /// Its labels now.
        to: Vec<Label>,
    },
    /// Something else is desired of a node.
    Desired {
        /// The node.
        node: NodeName,
        /// Which property.
        key: Key,
        /// Its value before; none: it was not there.
        from: Option<Value>,
        /// Its value now; none: it is not there any more.
        to: Option<Value>,
    },
    /// A node reports something else.
    Reported {
        /// The node.
        node: NodeName,
        /// Which property.
        key: Key,
        /// Its value before.
        from: Option<Value>,
        /// Its value now.
        to: Option<Value>,
    },
    /// A node's driver has applied another desired state, or failed to.
    Applied {
        /// The node.
        node: NodeName,
        /// Which state.
        revision: Revision,
        /// Why it failed.
        error: Option<String>,
    },
    /// A node came or went.
    Presence {
        /// The node.
        node: NodeName,
        /// Whether it is there.
        presence: Presence,
    },
    /// A scene is new, or holds something else.
    SceneSaved {
        /// The scene.
        scene: SceneName,
        /// The nodes it holds.
        nodes: Vec<NodeName>,
    },
    /// A scene is gone.
    SceneDeleted {
        /// The scene.
        scene: SceneName,
    },
}

/// What is different in `after`, node by node in the order of their names. Both are sorted by name, as
/// answers are.
#[must_use]
pub fn changes(before: &[NodeView], after: &[NodeView]) -> Vec<Change> {
    let by_name = |views| -> BTreeMap<NodeName, &NodeView> {
        let views: &[NodeView] = views;
        views.iter().map(|view| (view.name.clone(), view)).collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    let mut names: Vec<&NodeName> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) => compare(old, new, &mut found),
            (Some(_), None) => found.push(Change::Removed { node: name.clone() }),
            (None, Some(new)) => {
                found.push(Change::Added { node: name.clone(), place: new.place });
                compare(&new.as_added(), new, &mut found);
            }
            (None, None) => unreachable!("each name is from one of the two"),
        }
    }
    found
}

fn compare(old: &NodeView, new: &NodeView, found: &mut Vec<Change>) {
    let node = || new.name.clone();
    if old.place != new.place {
        found.push(Change::Moved { node: node(), from: old.place, to: new.place });
    }
    if old.address != new.address {
        found.push(Change::Address { node: node(), from: old.address.clone(), to: new.address.clone() });
    }
    if old.labels != new.labels {
        found.push(Change::Labels { node: node(), from: old.labels.clone(), to: new.labels.clone() });
    }
    for (key, from, to) in differences(&old.desired.properties, &new.desired.properties) {
        found.push(Change::Desired { node: node(), key, from, to });
    }
    if old.presence != new.presence {
        found.push(Change::Presence { node: node(), presence: new.presence });
    }
    let nothing = Properties::default();
    let reported =
        |view: &NodeView| view.reported.as_ref().map(|report| (report.revision, report.error.clone()));
    if reported(old) != reported(new)
        && let Some((revision, error)) = reported(new)
    {
        found.push(Change::Applied { node: node(), revision, error });
    }
    let old_report = old.reported.as_ref().map_or(&nothing, |report| &report.properties);
    let new_report = new.reported.as_ref().map_or(&nothing, |report| &report.properties);
    for (key, from, to) in differences(old_report, new_report) {
        found.push(Change::Reported { node: node(), key, from, to });
    }
}

fn differences(old: &Properties, new: &Properties) -> Vec<(Key, Option<Value>, Option<Value>)> {
    let mut keys: Vec<&Key> = old.iter().chain(new.iter()).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    let value = |properties: &Properties, key: &Key| properties.get(key.as_str()).cloned();
    keys.into_iter()
        .map(|key| (key.clone(), value(old, key), value(new, key)))
        .filter(|(_, from, to)| from != to)
        .collect()
}

impl Fleet {
    /// What is different in `after`: nodes first, then scenes, each in the order of their names.
    #[must_use]
    pub fn changes_to(&self, after: &Fleet) -> Vec<Change> {
        let mut found = changes(&self.views(), &after.views());
        let mut scenes: Vec<&SceneName> = self.scenes.keys().chain(after.scenes.keys()).collect();
        scenes.sort();
        scenes.dedup();
        for name in scenes {
            match (self.scenes.get(name), after.scenes.get(name)) {
                (_, None) => found.push(Change::SceneDeleted { scene: name.clone() }),
                (old, Some(new)) if old != Some(new) => found.push(Change::SceneSaved {
                    scene: name.clone(),
                    nodes: new.nodes.keys().cloned().collect(),
                }),
                _ => {}
            }
        }
        found
    }

    /// All nodes as a query shows them.
    #[must_use]
    pub fn views(&self) -> Vec<NodeView> {
        self.nodes().map(|(name, node)| NodeView::of(name, node)).collect()
    }
}

impl NodeView {
    /// This node as it was when there was nothing to it but its place.
    fn as_added(&self) -> NodeView {
        let node = crate::Node::new(self.place, Revision::default());
        NodeView::of(&self.name, &node)
    }
}

impl fmt::Display for Change {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added { node, place } => write!(f, "{node}: added at {place}"),
            Change::Removed { node } => write!(f, "{node}: removed"),
            Change::Moved { node, from, to } => write!(f, "{node}: moved from {from} to {to}"),
            Change::Address { node, from, to } => {
                write!(f, "{node}: address {} -> {}", or_none(from.as_ref()), or_none(to.as_ref()))
            }
            Change::Labels { node, from, to } => {
                write!(f, "{node}: labels {} -> {}", listed(from), listed(to))
            }
            Change::Desired { node, key, from, to } => {
                write!(f, "{node}: desired {key} {} -> {}", or_none(from.as_ref()), or_none(to.as_ref()))
            }
            Change::Reported { node, key, from, to } => {
                write!(f, "{node}: reported {key} {} -> {}", or_none(from.as_ref()), or_none(to.as_ref()))
            }
            Change::Applied { node, revision, error: None } => {
                write!(f, "{node}: applied revision {revision}")
            }
            Change::Applied { node, revision, error: Some(error) } => {
                write!(f, "{node}: could not apply revision {revision}: {error}")
            }
            Change::Presence { node, presence } => write!(f, "{node}: {}", presence.name()),
            Change::SceneSaved { scene, nodes } => {
                write!(f, "scene {scene}: saved for {}", named(nodes.iter()))
            }
            Change::SceneDeleted { scene } => write!(f, "scene {scene}: deleted"),
        }
    }
}

fn or_none<T: fmt::Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "(none)".to_owned(), ToString::to_string)
}

fn listed(labels: &[Label]) -> String {
    match labels {
        [] => "(none)".to_owned(),
        labels => labels.iter().map(Label::as_str).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{apply, as_actor, fleet_3x3, set};
    use crate::{Command, ImportMode, NodeEntry};
    use prevalent::{Actor, Role};

    fn check(change: impl FnOnce(&mut Fleet), lines: &[&str]) {
        let mut fleet = fleet_3x3();
        let before = fleet.views();
        change(&mut fleet);
        let found: Vec<String> = changes(&before, &fleet.views()).iter().map(ToString::to_string).collect();
        assert_eq!(found, lines);
    }

    #[test]
    fn every_kind_of_change_is_one_line() {
        check(|_| {}, &[]);
        check(
            |fleet| drop(apply(fleet, 20, set("pc5", "brightness", 5.into())).unwrap()),
            &["pc5: desired brightness 80 -> 5"],
        );
        check(
            |fleet| {
                drop(apply(fleet, 20, Command::Place { node: "pc10".into(), row: 4, column: 4 }).unwrap())
            },
            &["pc10: added at row 4, column 4"],
        );
        check(
            |fleet| drop(apply(fleet, 20, Command::Place { node: "pc1".into(), row: 4, column: 4 }).unwrap()),
            &["pc1: moved from row 1, column 1 to row 4, column 4"],
        );
        check(|fleet| drop(fleet.nodes.remove("pc1")), &["pc1: removed"]);
        let relabelled = |fleet: &mut Fleet| {
            let entry = NodeEntry {
                name: "pc1".into(),
                address: Some("10.0.0.99".into()),
                labels: Some(vec![]),
                ..NodeEntry::default()
            };
            let configuration = crate::Configuration { nodes: vec![entry], scenes: None };
            apply(fleet, 20, Command::Import { configuration, mode: ImportMode::Merge }).unwrap();
        };
        check(relabelled, &["pc1: address 10.0.0.1 -> 10.0.0.99", "pc1: labels corner left -> (none)"]);
    }

    #[test]
    fn what_nodes_say_is_followed_too() {
        let report = |error: Option<&str>| Command::Report {
            node: "pc5".into(),
            revision: Revision(3),
            properties: [("brightness".to_owned(), 80.into())].into(),
            error: error.map(str::to_owned),
        };
        let node = Actor { name: "pc5".into(), role: Role::Node };
        check(
            |fleet| drop(as_actor(fleet, 20, &node, report(None)).unwrap()),
            &["pc5: applied revision 3", "pc5: reported brightness (none) -> 80"],
        );
        check(
            |fleet| drop(as_actor(fleet, 20, &node, report(Some("jam"))).unwrap()),
            &["pc5: could not apply revision 3: jam", "pc5: reported brightness (none) -> 80"],
        );
        let voter = Actor { name: "pc1".into(), role: Role::Voter };
        let presence = Command::Presence { node: "pc5".into(), present: true };
        check(|fleet| drop(as_actor(fleet, 20, &voter, presence).unwrap()), &["pc5: present"]);
    }

    #[test]
    fn a_change_is_one_json_object() {
        let change = Change::Desired {
            node: NodeName::parse("pc1").unwrap(),
            key: Key::parse("gamma").unwrap(),
            from: None,
            to: Some(Value::parse("2.20").unwrap()),
        };
        let json = serde_json::to_string(&change).unwrap();
        assert_eq!(json, r#"{"change":"desired","node":"pc1","key":"gamma","from":null,"to":2.2}"#);
    }
}
