//! How to take commands back: as new commands, which touch only what the first ones changed.

use std::collections::BTreeMap;

use fleet::{Command, Configuration, Fleet, ImportMode, NodeEntry, Selector, Value};

/// What leads from a fleet back to the fleet before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reversal {
    nodes: BTreeMap<String, Step>,
    scenes: BTreeMap<String, Option<Scene>>,
}

type Scene = BTreeMap<String, BTreeMap<String, Value>>;

/// What leads one node back.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// It was not there.
    Remove,
    /// It was there.
    Add(NodeEntry),
    Change(Change),
}

/// What of a node was different.
#[derive(Clone, Debug, Default, PartialEq)]
struct Change {
    place: Option<(Option<u16>, Option<u16>)>,
    address: Option<Option<String>>,
    labels: Option<Vec<String>>,
    desired: BTreeMap<String, Option<Value>>,
}

impl Reversal {
    /// What takes commands back, or nothing if they would be rejected.
    pub(crate) fn of(fleet: &Fleet, commands: &[Command]) -> Reversal {
        let between = |after: Fleet| Reversal::between(&fleet.configuration(), &after.configuration());
        fleet.after(commands).map(between).unwrap_or_default()
    }

    fn between(before: &Configuration, after: &Configuration) -> Reversal {
        let by_name = |configuration: &Configuration| -> BTreeMap<String, NodeEntry> {
            configuration.nodes.iter().map(|node| (node.name.clone(), node.clone())).collect()
        };
        let (old, new) = (by_name(before), by_name(after));
        let mut reversal = Reversal::default();
        for (name, node) in &old {
            let step = match new.get(name) {
                None => Some(Step::Add(node.clone())),
                Some(changed) => Change::between(node, changed).map(Step::Change),
            };
            reversal.nodes.extend(step.map(|step| (name.clone(), step)));
        }
        let added = new.keys().filter(|name| !old.contains_key(*name));
        reversal.nodes.extend(added.map(|name| (name.clone(), Step::Remove)));
        let nothing = BTreeMap::new();
        let scenes = |configuration: &Configuration| configuration.scenes.clone().unwrap_or_default();
        let (old, new) = (scenes(before), scenes(after));
        for name in old.keys().chain(new.keys()) {
            if old.get(name).unwrap_or(&nothing) != new.get(name).unwrap_or(&nothing)
                || old.contains_key(name) != new.contains_key(name)
            {
                reversal.scenes.insert(name.clone(), old.get(name).cloned());
            }
        }
        reversal
    }

    /// Whether there is nothing to take back.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.scenes.is_empty()
    }

    /// The nodes that it is about.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// The commands that do it, in a fleet in which other things may have changed since.
    pub(crate) fn commands(&self, fleet: &Fleet) -> Vec<Command> {
        let needs_replacement = self.nodes.values().any(|step| match step {
            Step::Remove => true,
            Step::Add(_) => false,
            // An import can give an address, and only a replacing one can take it.
            Step::Change(change) => change.address == Some(None),
        });
        let mut commands = if needs_replacement { self.replacing(fleet) } else { self.merging(fleet) };
        let gone = self.scenes.iter().filter(|(_, scene)| scene.is_none());
        commands.extend(gone.map(|(name, _)| Command::DeleteScene { scene: name.clone() }));
        commands
    }

    /// Scenes that were there, for an import.
    fn scenes(&self) -> Option<fleet::SceneEntries> {
        let scenes: fleet::SceneEntries =
            self.scenes.iter().filter_map(|(name, scene)| Some((name.clone(), scene.clone()?))).collect();
        (!scenes.is_empty()).then_some(scenes)
    }

    fn merging(&self, fleet: &Fleet) -> Vec<Command> {
        let mut nodes = Vec::new();
        let mut unset = Vec::new();
        for (name, step) in &self.nodes {
            match step {
                Step::Add(entry) => nodes.push(entry.clone()),
                Step::Change(change) if fleet.node(name).is_some() => {
                    nodes.extend(change.entry(name));
                    let keys: Vec<String> = change.unset().collect();
                    if !keys.is_empty() {
                        unset.push(Command::Unset { selector: Selector::Node(name.clone()), keys });
                    }
                }
                // Somebody has removed it since.
                Step::Change(_) | Step::Remove => {}
            }
        }
        let configuration = Configuration { nodes, scenes: self.scenes() };
        let import = Command::Import { configuration, mode: ImportMode::Merge };
        let is_needed = matches!(&import, Command::Import { configuration, .. } if !configuration.nodes.is_empty() || configuration.scenes.is_some());
        is_needed.then_some(import).into_iter().chain(unset).collect()
    }

    fn replacing(&self, fleet: &Fleet) -> Vec<Command> {
        let Configuration { mut nodes, .. } = fleet.configuration();
        nodes.retain(|node| self.nodes.get(&node.name) != Some(&Step::Remove));
        for (name, step) in &self.nodes {
            let existing = nodes.iter_mut().find(|node| node.name == *name);
            match (step, existing) {
                (Step::Add(entry), None) => nodes.push(entry.clone()),
                (Step::Add(entry), Some(node)) => *node = entry.clone(),
                (Step::Change(change), Some(node)) => change.make(node),
                (Step::Change(_) | Step::Remove, _) => {}
            }
        }
        // Scenes that the configuration names are all there will be: those that stay have to be named too.
        let scenes = self.scenes().map(|mut scenes| {
            for (name, scene) in fleet.configuration().scenes.unwrap_or_default() {
                scenes.entry(name).or_insert(scene);
            }
            scenes
        });
        vec![Command::Import { configuration: Configuration { nodes, scenes }, mode: ImportMode::Replace }]
    }
}

impl Change {
    fn between(before: &NodeEntry, after: &NodeEntry) -> Option<Change> {
        let keys = before.desired.keys().chain(after.desired.keys());
        let change = Change {
            place: ((before.row, before.column) != (after.row, after.column))
                .then_some((before.row, before.column)),
            address: (before.address != after.address).then(|| before.address.clone()),
            labels: (before.labels != after.labels).then(|| before.labels.clone().unwrap_or_default()),
            desired: keys
                .filter(|key| before.desired.get(*key) != after.desired.get(*key))
                .map(|key| (key.clone(), before.desired.get(key).cloned()))
                .collect(),
        };
        (change != Change::default()).then_some(change)
    }

    /// What a merging import has to say; nothing, if all there is to do is to unset.
    fn entry(&self, name: &str) -> Option<NodeEntry> {
        let mut entry = NodeEntry { name: name.to_owned(), ..NodeEntry::default() };
        let (row, column) = self.place.unwrap_or_default();
        (entry.row, entry.column) = (row, column);
        entry.address = self.address.clone().flatten();
        entry.labels.clone_from(&self.labels);
        entry.desired =
            self.desired.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
        let says = NodeEntry { name: name.to_owned(), ..NodeEntry::default() } != entry;
        says.then_some(entry)
    }

    fn unset(&self) -> impl Iterator<Item = String> {
        self.desired.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key.clone())
    }

    fn make(&self, node: &mut NodeEntry) {
        if let Some((row, column)) = self.place {
            (node.row, node.column) = (row, column);
        }
        if let Some(address) = &self.address {
            node.address.clone_from(address);
        }
        if let Some(labels) = &self.labels {
            node.labels = Some(labels.clone());
        }
        for (key, value) in &self.desired {
            match value {
                Some(value) => drop(node.desired.insert(key.clone(), value.clone())),
                None => drop(node.desired.remove(key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fleet, set};

    /// Commands and then their reversal leave the configuration as it was.
    #[track_caller]
    fn check(commands: &[Command]) {
        let before = fleet();
        let (after, reversal) = (before.after(commands).unwrap(), Reversal::of(&before, commands));
        assert_ne!(after.configuration(), before.configuration(), "nothing to take back");
        let commands = reversal.commands(&after);
        let back = after.after(&commands).unwrap();
        assert_eq!(back.configuration(), before.configuration());
        // And forward again, by what takes the reversal back.
        let commands = Reversal::of(&after, &commands).commands(&back);
        assert_eq!(back.after(&commands).unwrap().configuration(), after.configuration());
    }

    fn import(nodes: Vec<NodeEntry>, mode: ImportMode) -> Command {
        Command::Import { configuration: Configuration { nodes, scenes: None }, mode }
    }

    fn entry(name: &str, row: u16, column: u16) -> NodeEntry {
        NodeEntry { name: name.into(), row: Some(row), column: Some(column), ..NodeEntry::default() }
    }

    #[test]
    fn everything_an_operator_can_do_can_be_taken_back() {
        let scene = || "Day".to_owned();
        check(&[set("all", "brightness", 5)]);
        check(&[set("pc1", "new", 5)]);
        check(&[Command::Unset { selector: Selector::All, keys: vec!["brightness".into()] }]);
        check(&[set("all", "brightness", 5), set("row:1", "new", 1)]);
        check(&[Command::Place { node: "pc1".into(), row: 9, column: 9 }]);
        check(&[import(vec![entry("pc1", 1, 2), entry("pc2", 1, 1)], ImportMode::Merge)]);
        check(&[import(vec![entry("pc77", 7, 7)], ImportMode::Merge)]);
        check(&[import(vec![entry("pc1", 1, 1)], ImportMode::Replace)]);
        check(&[Command::SaveScene { scene: scene(), selector: Selector::Row(1) }]);
        check(&[Command::SaveScene { scene: "Night".into(), selector: Selector::Row(1) }]);
        check(&[Command::DeleteScene { scene: "Night".into() }]);
        check(&[
            set("all", "brightness", 5),
            Command::ApplyScene { scene: "Night".into() },
            set("pc2", "x", 1),
        ]);
        let addressed = NodeEntry {
            address: Some("10.9.9.9".into()),
            labels: Some(vec!["x".into()]),
            ..entry("pc2", 1, 2)
        };
        check(&[import(vec![addressed], ImportMode::Merge)]);
    }

    #[test]
    fn what_others_have_done_since_stays() {
        let done = [set("all", "brightness", 5)];
        let since = [set("pc1", "input", 7), Command::Place { node: "pc1".into(), row: 9, column: 9 }];
        let later = fleet().after(&done).unwrap().after(&since).unwrap();
        let back = later.after(&Reversal::of(&fleet(), &done).commands(&later)).unwrap();
        let node = back.node("pc1").unwrap();
        assert_eq!((node.place.row, node.place.column), (9, 9));
        assert_eq!(node.desired.properties.get("input"), Some(&Value::Integer(7)));
        assert_eq!(node.desired.properties.get("brightness"), Some(&Value::Integer(80)));
    }

    #[test]
    fn nothing_is_sent_to_take_back_nothing() {
        let fleet = fleet();
        let reversal = Reversal::of(&fleet, &[set("all", "brightness", 80)]);
        assert!(reversal.is_empty());
        assert_eq!(reversal.commands(&fleet), []);
    }
}
