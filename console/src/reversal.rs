//! How to take commands back: as new commands, which touch only what the first ones changed. What somebody
//! else has changed since stays as it is.

use std::collections::BTreeMap;

use fleet::{Command, Configuration, Fleet, ImportMode, NodeEntry, SceneEntries, Selector, Value};

/// What leads from a fleet back to the fleet before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reversal {
    nodes: BTreeMap<String, Step>,
    scenes: BTreeMap<String, Turn<Option<Scene>>>,
}

type Scene = BTreeMap<String, BTreeMap<String, Value>>;

/// What leads one node back.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// It was not there. So it came.
    Remove(NodeEntry),
    /// It was there.
    Add(NodeEntry),
    Change(Change),
}

/// Something as it was before the commands, and as they left it.
#[derive(Clone, Debug, PartialEq)]
struct Turn<T> {
    before: T,
    after: T,
}

/// What of a node was different.
#[derive(Clone, Debug, Default, PartialEq)]
struct Change {
    place: Option<Turn<(Option<u16>, Option<u16>)>>,
    address: Option<Turn<Option<String>>>,
    labels: Option<Turn<Option<Vec<String>>>>,
    desired: BTreeMap<String, Turn<Option<Value>>>,
}

/// What takes commands back in a fleet as it is now.
#[derive(Debug, Default)]
pub(crate) struct Back {
    pub(crate) commands: Vec<Command>,
    /// What was changed again since, and stays.
    pub(crate) kept: Vec<String>,
}

impl Reversal {
    /// What takes commands back that lead from one fleet to another.
    pub(crate) fn between(before: &Fleet, after: &Fleet) -> Reversal {
        let (before, after) = (before.configuration(), after.configuration());
        let (old, new) = (by_name(&before), by_name(&after));
        let mut reversal = Reversal::default();
        for (name, node) in &old {
            let step = match new.get(name) {
                None => Some(Step::Add((*node).clone())),
                Some(changed) => Change::between(node, changed).map(Step::Change),
            };
            reversal.nodes.extend(step.map(|step| ((*name).to_owned(), step)));
        }
        for (name, node) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
            reversal.nodes.insert((*name).to_owned(), Step::Remove((*node).clone()));
        }
        let (old, new) = (before.scenes.unwrap_or_default(), after.scenes.unwrap_or_default());
        for name in old.keys().chain(new.keys()) {
            let turn = Turn::between(old.get(name).cloned(), new.get(name).cloned());
            reversal.scenes.extend(turn.map(|turn| (name.clone(), turn)));
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
    pub(crate) fn back(&self, fleet: &Fleet) -> Back {
        let now = fleet.configuration();
        let nodes = by_name(&now);
        let mut taking = Taking::default();
        for (name, step) in &self.nodes {
            match (step, nodes.get(name.as_str())) {
                (Step::Remove(came), Some(node)) if came == *node => taking.nodes.push(name.clone()),
                (Step::Add(entry), None) => taking.entries.push(entry.clone()),
                (Step::Change(change), Some(node)) => change.take_back(node, &mut taking),
                (Step::Add(entry), Some(node)) if entry == *node => {}
                (Step::Remove(_) | Step::Add(_), Some(_)) => taking.kept.push(name.clone()),
                // Somebody has removed it since.
                (Step::Remove(_) | Step::Change(_), None) => {}
            }
        }
        let scenes = now.scenes.unwrap_or_default();
        for (name, turn) in &self.scenes {
            match turn.back(&scenes.get(name).cloned(), || format!("scene {name}"), &mut taking.kept) {
                Some(Some(scene)) => drop(taking.scenes.insert(name.clone(), scene)),
                Some(None) => taking.deleted.push(Command::DeleteScene { scene: name.clone() }),
                None => {}
            }
        }
        taking.finish()
    }
}

/// What has to be taken back, kind by kind.
#[derive(Default)]
struct Taking {
    nodes: Vec<String>,
    addresses: Vec<String>,
    entries: Vec<NodeEntry>,
    scenes: SceneEntries,
    unset: Vec<Command>,
    deleted: Vec<Command>,
    kept: Vec<String>,
}

impl Taking {
    fn finish(self) -> Back {
        let Taking { nodes, addresses, entries, scenes, unset, deleted, kept } = self;
        let mut commands = Vec::new();
        // First: others may return to the places of those that go.
        if !nodes.is_empty() || !addresses.is_empty() {
            commands.push(Command::Remove { nodes, addresses });
        }
        if !entries.is_empty() || !scenes.is_empty() {
            let scenes = (!scenes.is_empty()).then_some(scenes);
            let configuration = Configuration { nodes: entries, scenes };
            commands.push(Command::Import { configuration, mode: ImportMode::Merge });
        }
        commands.extend(unset);
        commands.extend(deleted);
        Back { commands, kept }
    }
}

impl<T: Clone + PartialEq> Turn<T> {
    fn between(before: T, after: T) -> Option<Turn<T>> {
        (before != after).then_some(Turn { before, after })
    }

    /// What it has to become: nothing else than it is if it is so already, or if it is `kept` as somebody else
    /// has made it since.
    fn back(&self, now: &T, what: impl FnOnce() -> String, kept: &mut Vec<String>) -> Option<T> {
        if *now == self.after {
            return Some(self.before.clone());
        }
        if *now != self.before {
            kept.push(what());
        }
        None
    }
}

impl Change {
    fn between(before: &NodeEntry, after: &NodeEntry) -> Option<Change> {
        let keys = before.desired.keys().chain(after.desired.keys());
        let desired = keys.filter_map(|key| {
            let value = |node: &NodeEntry| node.desired.get(key).cloned();
            Some((key.clone(), Turn::between(value(before), value(after))?))
        });
        let change = Change {
            place: Turn::between((before.row, before.column), (after.row, after.column)),
            address: Turn::between(before.address.clone(), after.address.clone()),
            labels: Turn::between(before.labels.clone(), after.labels.clone()),
            desired: desired.collect(),
        };
        (change != Change::default()).then_some(change)
    }

    fn take_back(&self, node: &NodeEntry, taking: &mut Taking) {
        let name = &node.name;
        let kept = &mut taking.kept;
        let nothing = NodeEntry { name: name.clone(), ..NodeEntry::default() };
        let mut entry = nothing.clone();
        let place = self.place.as_ref();
        let now = (node.row, node.column);
        (entry.row, entry.column) = place
            .and_then(|turn| turn.back(&now, || format!("the place of {name}"), kept))
            .unwrap_or_default();
        let address = self.address.as_ref();
        match address.and_then(|turn| turn.back(&node.address, || format!("the address of {name}"), kept)) {
            Some(None) => taking.addresses.push(name.clone()),
            address => entry.address = address.flatten(),
        }
        let labels = self.labels.as_ref();
        entry.labels = labels
            .and_then(|turn| turn.back(&node.labels, || format!("the labels of {name}"), kept))
            .flatten();
        let mut keys = Vec::new();
        for (key, turn) in &self.desired {
            match turn.back(&node.desired.get(key).cloned(), || format!("{key} of {name}"), kept) {
                Some(Some(value)) => drop(entry.desired.insert(key.clone(), value)),
                Some(None) => keys.push(key.clone()),
                None => {}
            }
        }
        if entry != nothing {
            taking.entries.push(entry);
        }
        if !keys.is_empty() {
            taking.unset.push(Command::Unset { selector: Selector::Node(name.clone()), keys });
        }
    }
}

fn by_name(configuration: &Configuration) -> BTreeMap<&str, &NodeEntry> {
    configuration.nodes.iter().map(|node| (node.name.as_str(), node)).collect()
}

impl Back {
    /// What is said of it: what is taken back, and what is not.
    pub(crate) fn words(&self, what: &str) -> String {
        let named = self.kept.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        match self.kept.len() {
            0 => what.to_owned(),
            few if few <= NAMED_MAX => format!("{what}, except {named}, changed since"),
            many => format!("{what}, except {named} and {} more, changed since", many - NAMED_MAX),
        }
    }
}

/// So many things that stay are named; of more the number is said.
const NAMED_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fleet, set};

    /// Commands and then their reversal leave the configuration as it was.
    #[track_caller]
    fn check(commands: &[Command]) {
        let before = fleet();
        let after = before.after(commands).unwrap();
        assert_ne!(after.configuration(), before.configuration(), "nothing to take back");
        let back = take_back(&before, &after, &after);
        assert_eq!(back.configuration(), before.configuration());
        // And forward again, by what takes the reversal back.
        let forward = take_back(&after, &back, &back);
        assert_eq!(forward.configuration(), after.configuration());
    }

    /// The fleet of `now`, with what led from one to the other taken back.
    #[track_caller]
    fn take_back(from: &Fleet, to: &Fleet, now: &Fleet) -> Fleet {
        now.after(&Reversal::between(from, to).back(now).commands).unwrap()
    }

    fn import(nodes: Vec<NodeEntry>, mode: ImportMode) -> Command {
        Command::Import { configuration: Configuration { nodes, scenes: None }, mode }
    }

    fn entry(name: &str, row: u16, column: u16) -> NodeEntry {
        NodeEntry { name: name.into(), row: Some(row), column: Some(column), ..NodeEntry::default() }
    }

    fn addressed(name: &str) -> NodeEntry {
        NodeEntry { name: name.into(), address: Some("10.9.9.9".into()), ..NodeEntry::default() }
    }

    fn place(node: &str, row: u16, column: u16) -> Command {
        Command::Place { node: node.into(), row, column }
    }

    #[test]
    fn everything_an_operator_can_do_can_be_taken_back() {
        let scene = || "Day".to_owned();
        check(&[set("all", "brightness", 5)]);
        check(&[set("pc1", "new", 5)]);
        check(&[Command::Unset { selector: Selector::All, keys: vec!["brightness".into()] }]);
        check(&[set("all", "brightness", 5), set("row:1", "new", 1)]);
        check(&[place("pc1", 9, 9)]);
        check(&[import(vec![entry("pc1", 1, 2), entry("pc2", 1, 1)], ImportMode::Merge)]);
        check(&[import(vec![entry("pc77", 7, 7)], ImportMode::Merge)]);
        check(&[import(vec![entry("pc1", 1, 1)], ImportMode::Replace)]);
        check(&[import(vec![entry("pc77", 1, 1)], ImportMode::Replace)]);
        check(&[Command::SaveScene { scene: scene(), selector: Selector::Row(1) }]);
        check(&[Command::SaveScene { scene: "Night".into(), selector: Selector::Row(1) }]);
        check(&[Command::DeleteScene { scene: "Night".into() }]);
        check(&[
            set("all", "brightness", 5),
            Command::ApplyScene { scene: "Night".into() },
            set("pc2", "x", 1),
        ]);
        check(&[import(
            vec![NodeEntry { labels: Some(vec!["x".into()]), ..addressed("pc2") }],
            ImportMode::Merge,
        )]);
    }

    /// What is taken back of `done`, after others have done `since`: what stays, and the fleet.
    #[track_caller]
    fn meanwhile(done: &[Command], since: &[Command], kept: &[&str]) -> Fleet {
        let before = fleet();
        let after = before.after(done).unwrap();
        let now = after.after(since).unwrap();
        let back = Reversal::between(&before, &after).back(&now);
        assert_eq!(back.kept, kept);
        now.after(&back.commands).unwrap()
    }

    fn brightness(fleet: &Fleet, node: &str) -> Option<Value> {
        fleet.node(node)?.desired.properties.get("brightness").cloned()
    }

    #[test]
    fn what_others_have_done_since_stays() {
        let done = [set("all", "brightness", 5)];
        let since = [set("pc1", "input", 7), place("pc1", 9, 9), set("pc2", "brightness", 33)];
        let back = meanwhile(&done, &since, &["brightness of pc2"]);
        let node = back.node("pc1").unwrap();
        assert_eq!((node.place.row, node.place.column), (9, 9));
        assert_eq!(node.desired.properties.get("input"), Some(&Value::Integer(7)));
        assert_eq!(brightness(&back, "pc1"), Some(Value::Integer(80)));
        assert_eq!(brightness(&back, "pc2"), Some(Value::Integer(33)));
    }

    #[test]
    fn an_import_is_taken_back_without_touching_the_rest_of_the_fleet() {
        let done =
            [import(vec![entry("pc77", 7, 7), entry("pc78", 7, 8), addressed("pc1")], ImportMode::Merge)];
        let since = [
            place("pc90", 8, 8),
            set("pc2", "brightness", 1),
            set("pc78", "brightness", 2),
            Command::SaveScene { scene: "Day".into(), selector: Selector::All },
        ];
        let back = meanwhile(&done, &since, &["pc78"]);
        assert!(back.node("pc77").is_none());
        assert!(back.node("pc1").unwrap().address.is_none());
        assert!(back.node("pc78").is_some(), "somebody has begun to use it");
        assert!(back.node("pc90").is_some(), "it is somebody else's");
        assert_eq!(brightness(&back, "pc2"), Some(Value::Integer(1)));
        assert_eq!(back.scenes().count(), 2);
        // However late it is executed: it names what goes, and nothing that stays.
        let before = fleet();
        let after = before.after(&done).unwrap();
        let commands = Reversal::between(&before, &after).back(&after).commands;
        let words: Vec<String> = commands.iter().map(Command::to_string).collect();
        assert_eq!(words, ["remove pc77 pc78 and the address of pc1"]);
    }

    #[test]
    fn what_was_removed_or_made_anew_since_is_left_alone() {
        let done = [import(vec![entry("pc1", 1, 1)], ImportMode::Replace), set("pc1", "brightness", 5)];
        let since = [place("pc2", 5, 5)];
        let back = meanwhile(&done, &since, &["pc2"]);
        assert_eq!(back.nodes().count(), 9);
        assert_eq!(back.node("pc2").unwrap().place.row, 5);
        let gone = Command::Remove { nodes: vec!["pc1".into()], addresses: vec![] };
        assert_eq!(meanwhile(&[set("all", "brightness", 5)], &[gone], &[]).nodes().count(), 8);
        let save = |selector| Command::SaveScene { scene: "Day".into(), selector };
        let back = meanwhile(&[save(Selector::All)], &[save(Selector::Row(1))], &["scene Day"]);
        assert_eq!(back.scenes().count(), 2);
    }

    #[test]
    fn nothing_is_sent_to_take_back_nothing() {
        let fleet = fleet();
        let after = fleet.after(&[set("all", "brightness", 80)]).unwrap();
        let reversal = Reversal::between(&fleet, &after);
        assert!(reversal.is_empty());
        assert_eq!(reversal.back(&fleet).commands, []);
    }

    #[test]
    fn what_stays_is_named_as_far_as_it_can_be_read() {
        let back =
            |kept: usize| Back { commands: vec![], kept: (1..=kept).map(|n| format!("pc{n}")).collect() };
        assert_eq!(back(0).words("undo x"), "undo x");
        assert_eq!(back(2).words("undo x"), "undo x, except pc1, pc2, changed since");
        assert_eq!(back(5).words("undo x"), "undo x, except pc1, pc2, pc3 and 2 more, changed since");
    }
}
