//! What each command does. Everything that can be refused is refused before anything is changed.

use std::collections::BTreeMap;

use prevalent::Moment;

use crate::value::{check_text, shown};
use crate::{
    Command, Desired, Fleet, Key, NODES_MAX, Node, NodeName, Outcome, Place, Presence, Properties,
    PropertiesProblem, Rejection, Report, Revision, SCENES_BYTES_MAX, SCENES_MAX, Scene, SceneName, Selector,
    Subject, Value, WallTime,
};

impl Fleet {
    pub(crate) fn carry_out(&mut self, command: Command, at: &Moment<'_>) -> Result<Outcome, Rejection> {
        let revision = Revision(at.index.0);
        let now = WallTime(at.wall_time);
        match command {
            Command::Place { node, row, column } => self.place(&node, row, column, revision),
            Command::Import { configuration, mode } => self.import(configuration, mode, revision),
            Command::Set { selector, properties } => self.set(&selector, &properties, revision),
            Command::Unset { selector, keys } => self.unset(&selector, &keys, revision),
            Command::SaveScene { scene, selector } => self.save_scene(&scene, &selector),
            Command::ApplyScene { scene } => self.apply_scene(&scene, revision),
            Command::DeleteScene { scene } => self.delete_scene(&scene),
            Command::Presence { node, present } => self.record_presence(&node, present, now),
            Command::Report { node, revision, properties, error } => {
                self.record_report(&node, revision, &properties, error, now)
            }
            Command::Remove { nodes, addresses } => self.remove(&nodes, &addresses),
        }
    }

    fn place(&mut self, name: &str, row: u16, column: u16, revision: Revision) -> Result<Outcome, Rejection> {
        let name = parse_node_name(name)?;
        let place = parse_place(&name, row, column)?;
        if let Some((occupant, _)) =
            self.nodes.iter().find(|(other, node)| node.place == place && **other != name)
        {
            return Err(Rejection::Occupied { node: name, place, occupant: occupant.clone() });
        }
        if let Some(node) = self.nodes.get_mut(&name) {
            let changed = if node.place == place { Vec::new() } else { vec![name] };
            node.place = place;
            return Ok(Outcome::Nodes { changed, missing: Vec::new() });
        }
        check_node_count(self.nodes.len() + 1)?;
        self.nodes.insert(name.clone(), Node::new(place, revision));
        Ok(Outcome::Imported { added: vec![name], changed: Vec::new(), removed: Vec::new() })
    }

    fn set(
        &mut self,
        selector: &Selector,
        properties: &BTreeMap<String, Value>,
        revision: Revision,
    ) -> Result<Outcome, Rejection> {
        if properties.is_empty() {
            return Err(Rejection::NothingGiven { what: Subject::Property });
        }
        let refused = |problem| Rejection::Properties { node: selector_shown(selector), problem };
        let changes = Properties::parse(properties).map_err(refused)?;
        self.redesire(&self.select(selector)?, revision, |_, node| node.desired.properties.merged(&changes))
    }

    fn unset(
        &mut self,
        selector: &Selector,
        keys: &[String],
        revision: Revision,
    ) -> Result<Outcome, Rejection> {
        if keys.is_empty() {
            return Err(Rejection::NothingGiven { what: Subject::Property });
        }
        let parse = |key: &String| {
            Key::parse(key).map_err(|problem| Rejection::Name {
                what: Subject::Property,
                text: shown(key),
                problem,
            })
        };
        let keys = keys.iter().map(parse).collect::<Result<Vec<Key>, _>>()?;
        self.redesire(&self.select(selector)?, revision, |_, node| Ok(node.desired.properties.without(&keys)))
    }

    fn save_scene(&mut self, name: &str, selector: &Selector) -> Result<Outcome, Rejection> {
        let name = parse_scene_name(name)?;
        let selected = self.select(selector)?;
        let saved = |node: &NodeName| (node.clone(), self.nodes[node].desired.properties.clone());
        let scene = Scene { nodes: selected.iter().map(saved).collect() };
        let mut scenes = self.scenes.clone();
        scenes.insert(name, scene);
        check_scenes(&scenes)?;
        self.scenes = scenes;
        Ok(Outcome::Scene { nodes: count(selected.len()) })
    }

    fn apply_scene(&mut self, name: &str, revision: Revision) -> Result<Outcome, Rejection> {
        let (name, scene) =
            self.scenes.get_key_value(name).ok_or_else(|| Rejection::NoSuchScene { scene: shown(name) })?;
        let (there, missing): (Vec<NodeName>, Vec<NodeName>) =
            scene.nodes.keys().cloned().partition(|node| self.nodes.contains_key(node));
        if there.is_empty() {
            return Err(Rejection::SceneWithoutNodes { scene: name.clone() });
        }
        let scene = scene.clone();
        let outcome = self.redesire(&there, revision, |name, _| Ok(scene.nodes[name].clone()))?;
        Ok(Outcome::Nodes { changed: outcome.changed().to_vec(), missing })
    }

    fn delete_scene(&mut self, name: &str) -> Result<Outcome, Rejection> {
        match self.scenes.remove(name) {
            Some(scene) => Ok(Outcome::Scene { nodes: count(scene.nodes.len()) }),
            None => Err(Rejection::NoSuchScene { scene: shown(name) }),
        }
    }

    fn record_presence(&mut self, name: &str, present: bool, now: WallTime) -> Result<Outcome, Rejection> {
        let (name, node) = self.find(name)?;
        let changed = match (node.presence, present) {
            (Presence::Present { .. }, true) | (Presence::Absent { .. }, false) => false,
            (_, true) => {
                node.presence = Presence::Present { since: now };
                true
            }
            (_, false) => {
                node.presence = Presence::Absent { since: now };
                true
            }
        };
        Ok(Outcome::Nodes { changed: changed.then_some(name).into_iter().collect(), missing: Vec::new() })
    }

    fn record_report(
        &mut self,
        name: &str,
        revision: Revision,
        properties: &BTreeMap<String, Value>,
        error: Option<String>,
        at: WallTime,
    ) -> Result<Outcome, Rejection> {
        let (name, node) = self.find(name)?;
        let refused = |problem| Rejection::Properties { node: name.to_string(), problem };
        let properties = Properties::parse(properties).map_err(refused)?;
        if let Some(error) = &error {
            check_text(error).map_err(|problem| Rejection::ErrorMessage { node: name.clone(), problem })?;
        }
        let report = Report { revision, properties, error, at };
        let same = node.reported.as_ref().is_some_and(|last| Report { at, ..last.clone() } == report);
        if same {
            return Ok(Outcome::Nodes { changed: Vec::new(), missing: Vec::new() });
        }
        node.reported = Some(report);
        Ok(Outcome::Nodes { changed: vec![name], missing: Vec::new() })
    }

    fn find(&mut self, name: &str) -> Result<(NodeName, &mut Node), Rejection> {
        let known = self.nodes.get_key_value(name).map(|(name, _)| name.clone());
        let name = known.ok_or_else(|| Rejection::NoSuchNode { node: shown(name) })?;
        let node = self.nodes.get_mut(&name).expect("it was found just now");
        Ok((name, node))
    }

    /// Gives nodes new desired properties, all or none. Only a node whose properties differ gets the new
    /// revision: another would make its driver run for nothing.
    fn redesire(
        &mut self,
        selected: &[NodeName],
        revision: Revision,
        properties: impl Fn(&NodeName, &Node) -> Result<Properties, PropertiesProblem>,
    ) -> Result<Outcome, Rejection> {
        let mut updates = Vec::new();
        for name in selected {
            let node = &self.nodes[name];
            let refused = |problem| Rejection::Properties { node: name.to_string(), problem };
            let properties = properties(name, node).map_err(refused)?;
            if properties != node.desired.properties {
                updates.push((name.clone(), properties));
            }
        }
        let mut changed = Vec::new();
        for (name, properties) in updates {
            self.nodes.get_mut(&name).expect("selected from the fleet").desired =
                Desired { revision, properties };
            changed.push(name);
        }
        Ok(Outcome::Nodes { changed, missing: Vec::new() })
    }
}

impl Node {
    /// A node of which nothing is known but where it stands.
    pub(crate) fn new(place: Place, revision: Revision) -> Node {
        Node {
            place,
            address: None,
            labels: std::collections::BTreeSet::new(),
            desired: Desired { revision, properties: Properties::default() },
            reported: None,
            presence: Presence::Unknown,
        }
    }
}

pub(crate) fn parse_node_name(text: &str) -> Result<NodeName, Rejection> {
    NodeName::parse(text).map_err(|problem| Rejection::Name {
        what: Subject::Node,
        text: shown(text),
        problem,
    })
}

pub(crate) fn parse_scene_name(text: &str) -> Result<SceneName, Rejection> {
    SceneName::parse(text).map_err(|problem| Rejection::Name {
        what: Subject::Scene,
        text: shown(text),
        problem,
    })
}

pub(crate) fn parse_place(node: &NodeName, row: u16, column: u16) -> Result<Place, Rejection> {
    Place::new(row, column).ok_or_else(|| Rejection::OutsideGrid { node: node.clone(), row, column })
}

pub(crate) fn check_node_count(nodes: usize) -> Result<(), Rejection> {
    if nodes > NODES_MAX { Err(Rejection::TooManyNodes { nodes: nodes as u64 }) } else { Ok(()) }
}

pub(crate) fn check_scenes(scenes: &BTreeMap<SceneName, Scene>) -> Result<(), Rejection> {
    let bytes: usize = scenes.values().map(Scene::bytes).sum();
    if scenes.len() > SCENES_MAX || bytes > SCENES_BYTES_MAX {
        return Err(Rejection::TooManyScenes { scenes: scenes.len() as u64, bytes: bytes as u64 });
    }
    Ok(())
}

fn selector_shown(selector: &Selector) -> String {
    shown(&selector.to_string())
}

fn count(nodes: usize) -> u32 {
    u32::try_from(nodes).expect("a fleet has few nodes")
}

#[cfg(test)]
mod tests {
    use prevalent::{Actor, Prevalent, Role};

    use super::*;
    use crate::NameProblem;
    use crate::testing::{apply, as_actor, fleet_3x3, operator, set};

    fn rejected(fleet: &Fleet, actor: &Actor, command: Command) -> Rejection {
        let mut after = fleet.clone();
        let rejection = as_actor(&mut after, 99, actor, command).unwrap_err();
        assert_eq!(after, *fleet, "a rejection changed the state: {rejection}");
        assert!(rejection.to_string().contains("Nothing was changed"), "{rejection}");
        rejection
    }

    fn refused(command: Command) -> Rejection {
        rejected(&fleet_3x3(), &operator(), command)
    }

    fn names(outcome: &Outcome) -> Vec<&str> {
        outcome.changed().iter().map(NodeName::as_str).collect()
    }

    fn report(node: &str, revision: u64, error: Option<&str>) -> Command {
        let properties = [("brightness".to_owned(), Value::Integer(70))].into();
        Command::Report {
            node: node.into(),
            revision: Revision(revision),
            properties,
            error: error.map(str::to_owned),
        }
    }

    fn actor(role: Role, name: &str) -> Actor {
        Actor { name: name.into(), role }
    }

    #[test]
    fn set_changes_only_what_differs_and_only_there() {
        let mut fleet = fleet_3x3();
        let outcome = apply(&mut fleet, 20, set("row:2", "brightness", 50.into())).unwrap();
        assert_eq!(names(&outcome), ["pc4", "pc5", "pc6"]);
        assert_eq!(fleet.node("pc5").unwrap().desired.revision, Revision(20));
        assert_eq!(
            fleet.node("pc5").unwrap().desired.properties.get("brightness"),
            Some(&Value::Integer(50))
        );
        let before = fleet.clone();
        let again = apply(&mut fleet, 21, set("pc5", "brightness", 50.into())).unwrap();
        assert!(names(&again).is_empty());
        assert_eq!(fleet, before, "the same value again is no new revision");
    }

    #[test]
    fn selectors_choose_rows_columns_labels_and_all() {
        let mut fleet = fleet_3x3();
        let mut chosen = |selector: &str, value: i64| {
            let outcome = apply(&mut fleet, 20, set(selector, "x", value.into())).unwrap();
            names(&outcome).join(" ")
        };
        assert_eq!(chosen("column:3", 1), "pc3 pc6 pc9");
        assert_eq!(chosen("label:corner", 2), "pc1 pc3 pc7 pc9");
        assert_eq!(chosen("pc5", 3), "pc5");
        assert_eq!(chosen("all", 4), "pc1 pc2 pc3 pc4 pc5 pc6 pc7 pc8 pc9");
    }

    #[test]
    fn unset_removes_a_key() {
        let mut fleet = fleet_3x3();
        let unset = Command::Unset { selector: Selector::Row(1), keys: vec!["brightness".into()] };
        let outcome = apply(&mut fleet, 20, unset.clone()).unwrap();
        assert_eq!(names(&outcome), ["pc1", "pc2", "pc3"]);
        assert!(fleet.node("pc1").unwrap().desired.properties.get("brightness").is_none());
        assert!(names(&apply(&mut fleet, 21, unset).unwrap()).is_empty());
    }

    #[test]
    fn a_scene_brings_back_exactly_what_was_desired() {
        let mut fleet = fleet_3x3();
        let day = fleet.node("pc1").unwrap().desired.properties.clone();
        let save = Command::SaveScene { scene: "day".into(), selector: Selector::Row(1) };
        assert_eq!(apply(&mut fleet, 20, save), Ok(Outcome::Scene { nodes: 3 }));
        apply(&mut fleet, 21, set("all", "brightness", 1.into())).unwrap();
        apply(&mut fleet, 22, set("pc1", "extra", true.into())).unwrap();
        let outcome = apply(&mut fleet, 23, Command::ApplyScene { scene: "day".into() }).unwrap();
        assert_eq!(names(&outcome), ["pc1", "pc2", "pc3"]);
        assert_eq!(fleet.node("pc1").unwrap().desired, Desired { revision: Revision(23), properties: day });
        let dark = fleet.node("pc4").unwrap();
        assert_eq!(dark.desired.properties.get("brightness"), Some(&Value::Integer(1)), "not in the scene");
        assert_eq!(
            apply(&mut fleet, 24, Command::DeleteScene { scene: "day".into() }),
            Ok(Outcome::Scene { nodes: 3 })
        );
        assert_eq!(fleet.scenes().count(), 0);
    }

    #[test]
    fn a_scene_passes_over_nodes_that_are_gone() {
        let mut fleet = fleet_3x3();
        apply(&mut fleet, 20, Command::SaveScene { scene: "s".into(), selector: Selector::Row(1) }).unwrap();
        fleet.nodes.remove("pc2");
        match apply(&mut fleet, 21, Command::ApplyScene { scene: "s".into() }).unwrap() {
            Outcome::Nodes { changed, missing } => {
                assert!(changed.is_empty());
                assert_eq!(missing, ["pc2"]);
            }
            other => panic!("{other:?}"),
        }
        fleet.nodes.retain(|name, _| *name != "pc1" && *name != "pc3");
        let rejection = rejected(&fleet, &operator(), Command::ApplyScene { scene: "s".into() });
        assert!(matches!(rejection, Rejection::SceneWithoutNodes { .. }));
    }

    #[test]
    fn nodes_are_placed_and_moved() {
        let mut fleet = fleet_3x3();
        let place = |node: &str, row, column| Command::Place { node: node.into(), row, column };
        match apply(&mut fleet, 20, place("pc10", 4, 1)).unwrap() {
            Outcome::Imported { added, .. } => assert_eq!(added, ["pc10"]),
            other => panic!("{other:?}"),
        }
        assert_eq!(names(&apply(&mut fleet, 21, place("pc10", 4, 2)).unwrap()), ["pc10"]);
        assert!(names(&apply(&mut fleet, 22, place("pc10", 4, 2)).unwrap()).is_empty());
        assert_eq!(fleet.node("pc10").unwrap().place, Place { row: 4, column: 2 });
    }

    #[test]
    fn presence_and_reports_are_recorded_once() {
        let mut fleet = fleet_3x3();
        let voter = actor(Role::Voter, "pc1");
        let presence = |present| Command::Presence { node: "pc5".into(), present };
        assert_eq!(names(&as_actor(&mut fleet, 20, &voter, presence(true)).unwrap()), ["pc5"]);
        assert!(fleet.node("pc5").unwrap().presence.is_present());
        assert!(names(&as_actor(&mut fleet, 21, &voter, presence(true)).unwrap()).is_empty());
        assert_eq!(names(&as_actor(&mut fleet, 22, &voter, presence(false)).unwrap()), ["pc5"]);
        assert_eq!(fleet.node("pc5").unwrap().presence, Presence::Absent { since: WallTime(22_000) });

        let node = actor(Role::Node, "pc5");
        assert_eq!(names(&as_actor(&mut fleet, 23, &node, report("pc5", 3, None)).unwrap()), ["pc5"]);
        assert!(names(&as_actor(&mut fleet, 24, &node, report("pc5", 3, None)).unwrap()).is_empty());
        assert_eq!(
            fleet.node("pc5").unwrap().reported.as_ref().unwrap().at,
            WallTime(23_000),
            "the first time"
        );
        assert_eq!(names(&as_actor(&mut fleet, 25, &node, report("pc5", 3, Some("jam"))).unwrap()), ["pc5"]);
    }

    #[test]
    fn each_role_changes_its_own_part_only() {
        let fleet = fleet_3x3();
        let desired = || set("all", "x", 1.into());
        let presence = || Command::Presence { node: "pc5".into(), present: true };
        let import =
            || Command::Import { configuration: fleet_3x3().configuration(), mode: crate::ImportMode::Merge };
        let not_allowed = |role, command| {
            let rejection = rejected(&fleet, &actor(role, "pc5"), command);
            assert!(rejection.is_by_role(), "{rejection}");
            rejection.to_string()
        };
        for role in [Role::Viewer, Role::Node, Role::Voter] {
            not_allowed(role, desired());
            not_allowed(role, import());
            not_allowed(role, Command::DeleteScene { scene: "none".into() });
            not_allowed(role, Command::Remove { nodes: vec!["pc5".into()], addresses: vec![] });
        }
        not_allowed(Role::Viewer, presence());
        not_allowed(Role::Node, presence());
        not_allowed(Role::Operator, presence());
        not_allowed(Role::Viewer, report("pc5", 1, None));
        not_allowed(Role::Operator, report("pc5", 1, None));
        not_allowed(Role::Voter, report("pc5", 1, None));
        let message = not_allowed(Role::Node, report("pc4", 1, None));
        assert!(message.starts_with("pc5 (node) may not report a node's state"), "{message}");
        // The founding import.
        assert!(as_actor(&mut Fleet::default(), 1, &actor(Role::Voter, "pc5"), import()).is_ok());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let message = refused(set("pc10", "x", 1.into())).to_string();
        assert!(message.contains("\"pc10\""), "{message}");
        assert!(matches!(refused(set("row:9", "x", 1.into())), Rejection::NothingSelected { .. }));
        assert!(matches!(refused(set("label:none", "x", 1.into())), Rejection::NothingSelected { .. }));
        assert!(matches!(
            refused(Command::ApplyScene { scene: "dusk".into() }),
            Rejection::NoSuchScene { .. }
        ));
        assert!(matches!(
            refused(Command::DeleteScene { scene: "dusk".into() }),
            Rejection::NoSuchScene { .. }
        ));
        let presence = Command::Presence { node: "pc10".into(), present: true };
        assert!(matches!(
            rejected(&fleet_3x3(), &actor(Role::Voter, "v"), presence),
            Rejection::NoSuchNode { .. }
        ));
        let stranger = rejected(&fleet_3x3(), &actor(Role::Node, "pc10"), report("pc10", 1, None));
        assert!(matches!(stranger, Rejection::NoSuchNode { .. }));
    }

    #[test]
    fn unsound_texts_are_refused() {
        assert!(matches!(refused(set("all", "a b", 1.into())), Rejection::Properties { .. }));
        assert!(matches!(refused(set("all", "a", "x\ny".into())), Rejection::Properties { .. }));
        let nothing = Command::Set { selector: Selector::All, properties: BTreeMap::new() };
        assert_eq!(refused(nothing), Rejection::NothingGiven { what: Subject::Property });
        let unset = |keys: &[&str]| Command::Unset {
            selector: Selector::All,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        };
        assert_eq!(refused(unset(&[])), Rejection::NothingGiven { what: Subject::Property });
        assert!(matches!(refused(unset(&["="])), Rejection::Name { what: Subject::Property, .. }));
        let save = Command::SaveScene { scene: " x".into(), selector: Selector::All };
        assert!(matches!(
            refused(save),
            Rejection::Name { what: Subject::Scene, problem: NameProblem::Edge(' '), .. }
        ));
        let place = |node: &str, row, column| Command::Place { node: node.into(), row, column };
        assert!(matches!(refused(place("a/b", 1, 1)), Rejection::Name { what: Subject::Node, .. }));
        assert!(matches!(refused(place("pc1", 0, 1)), Rejection::OutsideGrid { .. }));
        let occupied = refused(place("pc1", 2, 2)).to_string();
        assert!(occupied.contains("pc5 stands there"), "{occupied}");
        let garbled = rejected(&fleet_3x3(), &actor(Role::Node, "pc5"), report("pc5", 1, Some("\x1b[2J")));
        assert!(matches!(garbled, Rejection::ErrorMessage { .. }));
        let mut large = report("pc5", 1, None);
        if let Command::Report { properties, .. } = &mut large {
            properties.extend((0..5).map(|n| (format!("k{n}"), "x".repeat(1000).as_str().into())));
        }
        let large = rejected(&fleet_3x3(), &actor(Role::Node, "pc5"), large);
        assert!(matches!(large, Rejection::Properties { problem: PropertiesProblem::TooLarge { .. }, .. }));
    }

    #[test]
    fn one_node_that_is_full_refuses_the_set_for_all() {
        let mut fleet = fleet_3x3();
        for key in ["a", "b", "c"] {
            apply(&mut fleet, 20, set("pc9", key, "x".repeat(1024).as_str().into())).unwrap();
        }
        match rejected(&fleet, &operator(), set("all", "d", "x".repeat(1024).as_str().into())) {
            Rejection::Properties { node, .. } => assert_eq!(node, "pc9"),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_fleet_and_its_scenes_stay_within_their_limits() {
        let mut fleet = Fleet::default();
        let place =
            |n: usize| Command::Place { node: format!("n{n}"), row: 1, column: u16::try_from(n).unwrap() };
        for n in 1..=NODES_MAX {
            apply(&mut fleet, 1, place(n)).unwrap();
        }
        let one_more = Command::Place { node: "last".into(), row: 2, column: 1 };
        assert_eq!(rejected(&fleet, &operator(), one_more), Rejection::TooManyNodes { nodes: 257 });

        let save = |scene: String| Command::SaveScene { scene, selector: Selector::Node("n1".into()) };
        for n in 0..SCENES_MAX {
            apply(&mut fleet, 1000, save(format!("scene{n}"))).unwrap();
        }
        assert!(matches!(
            rejected(&fleet, &operator(), save("more".into())),
            Rejection::TooManyScenes { .. }
        ));
        apply(&mut fleet, 1001, save("scene0".into())).expect("an existing scene can be saved again");
    }

    #[test]
    fn queries_answer_with_drift_and_condition() {
        use crate::{Answer, Condition, Query};
        let mut fleet = fleet_3x3();
        let condition = |fleet: &Fleet| match fleet.answer(&Query::Status) {
            Answer::Status(status) => status.cell(2, 2).unwrap().condition,
            other => panic!("{other:?}"),
        };
        assert_eq!(condition(&fleet), Condition::Unseen);
        let voter = actor(Role::Voter, "pc1");
        as_actor(&mut fleet, 20, &voter, Command::Presence { node: "pc5".into(), present: true }).unwrap();
        assert_eq!(condition(&fleet), Condition::Pending);
        apply(&mut fleet, 21, set("pc5", "brightness", 70.into())).unwrap();
        let others = ["gamma", "input", "powered"].map(str::to_owned).to_vec();
        let unset = Command::Unset { selector: Selector::Node("pc5".into()), keys: others };
        apply(&mut fleet, 22, unset).unwrap();
        let node = actor(Role::Node, "pc5");
        as_actor(&mut fleet, 23, &node, report("pc5", 22, None)).unwrap();
        assert_eq!(condition(&fleet), Condition::Settled);
        as_actor(&mut fleet, 24, &node, report("pc5", 22, Some("jam"))).unwrap();
        assert_eq!(condition(&fleet), Condition::Failed);
        as_actor(&mut fleet, 25, &node, report("pc5", 22, None)).unwrap();
        apply(&mut fleet, 26, set("pc5", "brightness", 71.into())).unwrap();
        assert_eq!(condition(&fleet), Condition::Pending);
        as_actor(&mut fleet, 27, &node, report("pc5", 26, None)).unwrap();
        assert_eq!(condition(&fleet), Condition::Drifted);
        match fleet.answer(&Query::Nodes(Selector::Node("pc5".into()))) {
            Answer::Nodes(nodes) => assert_eq!(nodes[0].drift, ["brightness"]),
            other => panic!("{other:?}"),
        }
        as_actor(&mut fleet, 28, &voter, Command::Presence { node: "pc5".into(), present: false }).unwrap();
        assert_eq!(condition(&fleet), Condition::Absent);
        assert_eq!(fleet.answer(&Query::Desired { node: "pc10".into() }), Answer::Desired(None));
        assert_eq!(
            fleet.answer(&Query::Desired { node: "pc5".into() }),
            Answer::Desired(Some(fleet.node("pc5").unwrap().desired.clone()))
        );
    }
}
