//! Importing a configuration: a copy of the nodes is changed, checked as a whole, and then takes the
//! place of the old ones. So two nodes can change places, and a refused import leaves no trace.

use std::collections::{BTreeMap, BTreeSet};

use crate::execute::{check_node_count, check_scenes, parse_node_name, parse_place, parse_scene_name};
use crate::value::shown;
use crate::{
    ADDRESS_BYTES_MAX, Configuration, Desired, Fleet, ImportMode, LABELS_MAX, Label, Node, NodeEntry,
    NodeName, Outcome, Place, Properties, Rejection, Revision, Scene, SceneEntries, SceneName, Subject,
    Value,
};

impl Fleet {
    pub(crate) fn import(
        &mut self,
        configuration: Configuration,
        mode: ImportMode,
        revision: Revision,
    ) -> Result<Outcome, Rejection> {
        let Configuration { nodes: entries, scenes } = configuration;
        // A file without nodes that replaces would empty the fleet: more likely a wrong file than a wish.
        if entries.is_empty() && (mode == ImportMode::Replace || scenes.is_none()) {
            return Err(Rejection::NothingGiven { what: Subject::Node });
        }
        let mut nodes = match mode {
            ImportMode::Merge => self.nodes.clone(),
            ImportMode::Replace => BTreeMap::new(),
        };
        let mut given = BTreeSet::new();
        for entry in entries {
            let name = parse_node_name(&entry.name)?;
            if !given.insert(name.clone()) {
                return Err(Rejection::GivenTwice { node: name });
            }
            let node = import_node(&name, entry, self.nodes.get(&name), mode, revision)?;
            nodes.insert(name, node);
        }
        check_node_count(nodes.len())?;
        check_places(&nodes)?;
        let scenes = match scenes {
            None => None,
            Some(scenes) => Some(self.import_scenes(&scenes, mode)?),
        };
        let before = std::mem::replace(&mut self.nodes, nodes);
        if let Some(scenes) = scenes {
            self.scenes = scenes;
        }
        let (added, known): (Vec<NodeName>, Vec<NodeName>) =
            given.into_iter().partition(|name| !before.contains_key(name));
        Ok(Outcome::Imported {
            added,
            changed: known.into_iter().filter(|name| before[name] != self.nodes[name]).collect(),
            removed: before.into_keys().filter(|name| !self.nodes.contains_key(name)).collect(),
        })
    }

    fn import_scenes(
        &self,
        given: &SceneEntries,
        mode: ImportMode,
    ) -> Result<BTreeMap<SceneName, Scene>, Rejection> {
        let mut scenes = match mode {
            ImportMode::Merge => self.scenes.clone(),
            ImportMode::Replace => BTreeMap::new(),
        };
        for (name, nodes) in given {
            let mut scene = Scene::default();
            for (node, properties) in nodes {
                scene.nodes.insert(parse_node_name(node)?, parse_properties(node, properties)?);
            }
            scenes.insert(parse_scene_name(name)?, scene);
        }
        check_scenes(&scenes)?;
        Ok(scenes)
    }
}

/// The node that an entry describes. What a node reports belongs to the node, not to the file: it stays.
fn import_node(
    name: &NodeName,
    entry: NodeEntry,
    existing: Option<&Node>,
    mode: ImportMode,
    revision: Revision,
) -> Result<Node, Rejection> {
    let row = entry.row.or(existing.map(|node| node.place.row));
    let column = entry.column.or(existing.map(|node| node.place.column));
    let (Some(row), Some(column)) = (row, column) else {
        return Err(Rejection::NoPlace { node: name.clone() });
    };
    let place = parse_place(name, row, column)?;
    let properties = parse_properties(name.as_str(), &entry.desired)?;
    let mut node = existing.cloned().unwrap_or_else(|| Node::new(place, revision));
    node.place = place;
    if entry.address.is_some() || mode == ImportMode::Replace {
        node.address = entry.address.map(|address| parse_address(name, address)).transpose()?;
    }
    if entry.labels.is_some() || mode == ImportMode::Replace {
        node.labels = parse_labels(name, &entry.labels.unwrap_or_default())?;
    }
    let refused = |problem| Rejection::Properties { node: name.to_string(), problem };
    let properties = match mode {
        ImportMode::Merge => node.desired.properties.merged(&properties).map_err(refused)?,
        ImportMode::Replace => properties,
    };
    if properties != node.desired.properties {
        node.desired = Desired { revision, properties };
    }
    Ok(node)
}

fn parse_properties(node: &str, given: &BTreeMap<String, Value>) -> Result<Properties, Rejection> {
    Properties::parse(given).map_err(|problem| Rejection::Properties { node: shown(node), problem })
}

fn parse_address(node: &NodeName, address: String) -> Result<String, Rejection> {
    let readable = address.chars().all(|c| c > ' ' && !c.is_control());
    if address.is_empty() || address.len() > ADDRESS_BYTES_MAX || !readable {
        return Err(Rejection::Address { node: node.clone(), address: shown(&address) });
    }
    Ok(address)
}

fn parse_labels(node: &NodeName, labels: &[String]) -> Result<BTreeSet<Label>, Rejection> {
    let parse = |text: &String| {
        Label::parse(text).map_err(|problem| Rejection::Name {
            what: Subject::Label,
            text: shown(text),
            problem,
        })
    };
    let labels = labels.iter().map(parse).collect::<Result<BTreeSet<Label>, _>>()?;
    if labels.len() > LABELS_MAX {
        return Err(Rejection::TooManyLabels { node: node.clone(), labels: labels.len() as u64 });
    }
    Ok(labels)
}

fn check_places(nodes: &BTreeMap<NodeName, Node>) -> Result<(), Rejection> {
    let mut places: BTreeMap<Place, &NodeName> = BTreeMap::new();
    for (name, node) in nodes {
        if let Some(occupant) = places.insert(node.place, name) {
            return Err(Rejection::Occupied {
                node: name.clone(),
                place: node.place,
                occupant: occupant.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::testing::{apply, as_actor, fleet_3x3};
    use prevalent::{Actor, Role};

    fn entry(name: &str) -> NodeEntry {
        NodeEntry { name: name.into(), ..NodeEntry::default() }
    }

    fn placed(name: &str, row: u16, column: u16) -> NodeEntry {
        NodeEntry { row: Some(row), column: Some(column), ..entry(name) }
    }

    fn import(nodes: Vec<NodeEntry>, mode: ImportMode) -> Command {
        Command::Import { configuration: Configuration { nodes, scenes: None }, mode }
    }

    fn refused(nodes: Vec<NodeEntry>) -> Rejection {
        let mut fleet = fleet_3x3();
        let rejection = apply(&mut fleet, 20, import(nodes, ImportMode::Merge)).unwrap_err();
        assert_eq!(fleet, fleet_3x3());
        rejection
    }

    #[test]
    fn merging_keeps_what_the_file_does_not_mention() {
        let mut fleet = fleet_3x3();
        let before = fleet.node("pc1").unwrap().clone();
        let given = NodeEntry { desired: [("volume".into(), 3.into())].into(), ..entry("pc1") };
        let outcome =
            apply(&mut fleet, 20, import(vec![given, placed("pc10", 4, 1)], ImportMode::Merge)).unwrap();
        match outcome {
            Outcome::Imported { added, changed, removed } => {
                assert_eq!(added, ["pc10"]);
                assert_eq!(changed, ["pc1"]);
                assert!(removed.is_empty());
            }
            other => panic!("{other:?}"),
        }
        let after = fleet.node("pc1").unwrap();
        assert_eq!(
            (&after.address, &after.labels, after.place),
            (&before.address, &before.labels, before.place)
        );
        assert_eq!(after.desired.properties.len(), before.desired.properties.len() + 1);
        assert_eq!(after.desired.revision, Revision(20));
        assert_eq!(fleet.node("pc2").unwrap().desired.revision, Revision(3));
    }

    #[test]
    fn replacing_removes_what_the_file_does_not_mention_but_not_what_nodes_reported() {
        let mut fleet = fleet_3x3();
        let node = Actor { name: "pc1".into(), role: Role::Node };
        let report = Command::Report {
            node: "pc1".into(),
            revision: Revision(3),
            properties: BTreeMap::new(),
            error: None,
        };
        as_actor(&mut fleet, 19, &node, report).unwrap();
        apply(&mut fleet, 20, Command::SaveScene { scene: "day".into(), selector: crate::Selector::All })
            .unwrap();
        match apply(&mut fleet, 21, import(vec![placed("pc1", 1, 1)], ImportMode::Replace)).unwrap() {
            Outcome::Imported { removed, .. } => assert_eq!(removed.len(), 8),
            other => panic!("{other:?}"),
        }
        let only = fleet.node("pc1").unwrap();
        assert!(only.desired.properties.is_empty() && only.labels.is_empty() && only.address.is_none());
        assert!(only.reported.is_some());
        assert_eq!(fleet.scenes().count(), 1, "a file without scenes leaves them alone");
    }

    #[test]
    fn two_nodes_may_change_places() {
        let mut fleet = fleet_3x3();
        let swap = import(vec![placed("pc1", 1, 2), placed("pc2", 1, 1)], ImportMode::Merge);
        apply(&mut fleet, 20, swap).unwrap();
        assert_eq!(fleet.node("pc1").unwrap().place, Place { row: 1, column: 2 });
        assert_eq!(fleet.node("pc1").unwrap().desired.revision, Revision(3), "its driver has nothing to do");
    }

    #[test]
    fn the_same_import_again_changes_nothing() {
        let mut fleet = fleet_3x3();
        for mode in [ImportMode::Merge, ImportMode::Replace] {
            let again = Command::Import { configuration: fleet.configuration(), mode };
            let nothing = Outcome::Imported { added: vec![], changed: vec![], removed: vec![] };
            assert_eq!(apply(&mut fleet, 20, again), Ok(nothing));
        }
        assert_eq!(fleet, fleet_3x3());
    }

    #[test]
    fn one_bad_entry_refuses_the_whole_import() {
        let good = || placed("pc10", 4, 1);
        assert!(matches!(refused(vec![good(), entry("pc11")]), Rejection::NoPlace { .. }));
        assert!(matches!(refused(vec![good(), placed("pc11", 4, 1)]), Rejection::Occupied { .. }));
        assert!(matches!(refused(vec![good(), placed("pc11", 1, 1)]), Rejection::Occupied { .. }));
        assert!(matches!(refused(vec![good(), good()]), Rejection::GivenTwice { .. }));
        assert!(matches!(refused(vec![good(), placed("pc11", 0, 1)]), Rejection::OutsideGrid { .. }));
        assert!(matches!(refused(vec![good(), placed("pc 11", 4, 2)]), Rejection::Name { .. }));
        assert!(matches!(refused(vec![]), Rejection::NothingGiven { .. }));
        let address = |text: &str| NodeEntry { address: Some(text.into()), ..good() };
        for text in ["", "10.0.0.1 ", "a\tb", &"x".repeat(ADDRESS_BYTES_MAX + 1)] {
            assert!(matches!(refused(vec![address(text)]), Rejection::Address { .. }), "{text:?}");
        }
        let labels = |labels: Vec<String>| NodeEntry { labels: Some(labels), ..good() };
        assert!(matches!(
            refused(vec![labels(vec!["a b".into()])]),
            Rejection::Name { what: Subject::Label, .. }
        ));
        let many = (0..=LABELS_MAX).map(|n| format!("l{n}")).collect();
        assert!(matches!(refused(vec![labels(many)]), Rejection::TooManyLabels { .. }));
        let desired = NodeEntry { desired: [("a b".into(), 1.into())].into(), ..good() };
        assert!(matches!(refused(vec![desired]), Rejection::Properties { .. }));
        let crowd = (0..300).map(|n| placed(&format!("n{n}"), 5, n + 1)).collect();
        assert!(matches!(refused(crowd), Rejection::OutsideGrid { .. } | Rejection::TooManyNodes { .. }));
    }

    #[test]
    fn scenes_travel_with_the_configuration() {
        let mut fleet = fleet_3x3();
        apply(&mut fleet, 20, Command::SaveScene { scene: "day".into(), selector: crate::Selector::All })
            .unwrap();
        let mut copy = Fleet::default();
        let command = Command::Import { configuration: fleet.configuration(), mode: ImportMode::Merge };
        apply(&mut copy, 3, command).unwrap();
        assert_eq!(copy, fleet);
    }
}
