use std::collections::{BTreeMap, BTreeSet};

use prevalent::Schema;
use prevalent::{Moment, Prevalent};

use crate::value::shown;
use crate::{
    Answer, Command, Configuration, NODES_MAX, Node, NodeEntry, NodeName, Outcome, Query, Rejection, Scene,
    SceneName, Selector,
};

/// The state: all nodes and all scenes. Everything in it is checked, and sorted by name, so that it is
/// the same on every machine to the last byte.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub struct Fleet {
    pub(crate) nodes: BTreeMap<NodeName, Node>,
    pub(crate) scenes: BTreeMap<SceneName, Scene>,
}

impl Prevalent for Fleet {
    type Command = Command;
    type Outcome = Outcome;
    type Rejection = Rejection;
    type Query = Query;
    type Answer = Answer;

    const NAME: &'static str = "fleet";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, command: Command, at: &Moment<'_>) -> Result<Outcome, Rejection> {
        self.check_role(&command, at.actor)?;
        let outcome = self.carry_out(command, at)?;
        self.assert_sound();
        Ok(outcome)
    }

    fn answer(&self, query: &Query) -> Answer {
        self.look_up(query)
    }
}

impl Fleet {
    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = (&NodeName, &Node)> {
        self.nodes.iter()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// All scenes, by name.
    pub fn scenes(&self) -> impl Iterator<Item = (&SceneName, &Scene)> {
        self.scenes.iter()
    }

    /// The selected nodes, by name.
    ///
    /// # Errors
    /// If there are none.
    pub(crate) fn select(&self, selector: &Selector) -> Result<Vec<NodeName>, Rejection> {
        let selected: Vec<NodeName> = self
            .nodes
            .iter()
            .filter(|(name, node)| selector.selects(name, node))
            .map(|(name, _)| name.clone())
            .collect();
        match selector {
            _ if !selected.is_empty() => Ok(selected),
            Selector::Node(name) => Err(Rejection::NoSuchNode { node: shown(name) }),
            _ => Err(Rejection::NothingSelected { selector: shown(&selector.to_string()) }),
        }
    }

    /// What people decided: importing it into an empty fleet makes this fleet again, without what its
    /// nodes reported.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        let entry = |(name, node): (&NodeName, &Node)| NodeEntry {
            name: name.as_str().to_owned(),
            row: Some(node.place.row),
            column: Some(node.place.column),
            address: node.address.clone(),
            labels: Some(node.labels.iter().map(|label| label.as_str().to_owned()).collect()),
            desired: node.desired.properties.to_map(),
        };
        let scene = |(name, scene): (&SceneName, &Scene)| {
            let nodes =
                scene.nodes.iter().map(|(name, desired)| (name.as_str().to_owned(), desired.to_map()));
            (name.as_str().to_owned(), nodes.collect())
        };
        Configuration {
            nodes: self.nodes.iter().map(entry).collect(),
            scenes: Some(self.scenes.iter().map(scene).collect()),
        }
    }

    /// What every command leaves behind, whatever it did.
    fn assert_sound(&self) {
        assert!(self.nodes.len() <= NODES_MAX, "the fleet has {} nodes", self.nodes.len());
        let places: BTreeSet<_> = self.nodes.values().map(|node| node.place).collect();
        assert_eq!(places.len(), self.nodes.len(), "two nodes stand at one place");
    }
}
