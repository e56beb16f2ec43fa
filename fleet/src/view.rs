//! What programs show: the fleet as people look at it, with drift worked out.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::{Desired, Fleet, Key, Label, Node, NodeName, Place, Presence, Report, Scene, SceneName};

/// The grid at a glance.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub struct Status {
    /// The lowest row that has a node.
    pub rows: u16,
    /// The rightmost column that has a node.
    pub columns: u16,
    /// The occupied cells, row by row, each from the left.
    pub cells: Vec<Cell>,
}

/// A node in the grid.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub struct Cell {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// The node.
    pub node: NodeName,
    /// How it is doing.
    pub condition: Condition,
    /// The keys in which it is not as desired.
    pub drift: Vec<Key>,
}

/// How a node is doing, the worst first.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It is not there.
    Absent,
    /// It has never been there.
    Unseen,
    /// Its driver could not apply the desired state.
    Failed,
    /// It applied the desired state, and is not, or no longer, as desired.
    Drifted,
    /// It has not yet applied the newest desired state.
    Pending,
    /// It is as desired.
    Settled,
}

impl Condition {
    /// All of them, the worst first.
    pub const ALL: [Condition; 6] = [
        Condition::Absent,
        Condition::Unseen,
        Condition::Failed,
        Condition::Drifted,
        Condition::Pending,
        Condition::Settled,
    ];

    /// One word for tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Condition::Absent => "absent",
            Condition::Unseen => "unseen",
            Condition::Failed => "failed",
            Condition::Drifted => "drifted",
            Condition::Pending => "pending",
            Condition::Settled => "settled",
        }
    }

    /// How many there are of each that there is, the worst first.
    #[must_use]
    pub fn counts(all: impl IntoIterator<Item = Condition>) -> BTreeMap<Condition, usize> {
        let mut counts = BTreeMap::new();
        for condition in all {
            *counts.entry(condition).or_default() += 1;
        }
        counts
    }

    fn of(node: &Node, drift: &[Key]) -> Condition {
        match (&node.presence, &node.reported) {
            (Presence::Unknown, _) => Condition::Unseen,
            (Presence::Absent { .. }, _) => Condition::Absent,
            (Presence::Present { .. }, None) => Condition::Pending,
            (Presence::Present { .. }, Some(report)) if report.revision != node.desired.revision => {
                Condition::Pending
            }
            (Presence::Present { .. }, Some(report)) if report.error.is_some() => Condition::Failed,
            (Presence::Present { .. }, Some(_)) if !drift.is_empty() => Condition::Drifted,
            (Presence::Present { .. }, Some(_)) => Condition::Settled,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A node with everything known about it.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub struct NodeView {
    /// Its name.
    pub name: NodeName,
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// Where it is on the network.
    pub address: Option<String>,
    /// What it can be selected by.
    pub labels: Vec<Label>,
    /// Whether it is there.
    pub presence: Presence,
    /// How it is doing.
    pub condition: Condition,
    /// The keys in which it is not as desired.
    pub drift: Vec<Key>,
    /// What the operators want of it.
    pub desired: Desired,
    /// What it last said it is.
    pub reported: Option<Report>,
}

/// A scene's name and whose desired properties it holds.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub struct SceneView {
    /// Its name.
    pub name: SceneName,
    /// The nodes it holds.
    pub nodes: Vec<NodeName>,
}

impl Status {
    pub(crate) fn of(fleet: &Fleet) -> Status {
        let mut cells: Vec<Cell> = fleet
            .nodes()
            .map(|(name, node)| {
                let drift = drift(node);
                Cell { place: node.place, node: name.clone(), condition: Condition::of(node, &drift), drift }
            })
            .collect();
        cells.sort_by_key(|cell| cell.place);
        Status {
            rows: cells.iter().map(|cell| cell.place.row).max().unwrap_or(0),
            columns: cells.iter().map(|cell| cell.place.column).max().unwrap_or(0),
            cells,
        }
    }

    /// The node at a place.
    #[must_use]
    pub fn cell(&self, row: u16, column: u16) -> Option<&Cell> {
        let place = Place { row, column };
        self.cells.binary_search_by_key(&place, |cell| cell.place).ok().map(|at| &self.cells[at])
    }

    /// How many nodes are in a condition.
    #[must_use]
    pub fn count(&self, condition: Condition) -> usize {
        self.cells.iter().filter(|cell| cell.condition == condition).count()
    }
}

impl NodeView {
    pub(crate) fn of(name: &NodeName, node: &Node) -> NodeView {
        let drift = drift(node);
        NodeView {
            name: name.clone(),
            place: node.place,
            address: node.address.clone(),
            labels: node.labels.iter().cloned().collect(),
            presence: node.presence,
            condition: Condition::of(node, &drift),
            drift,
            desired: node.desired.clone(),
            reported: node.reported.clone(),
        }
    }
}

impl SceneView {
    pub(crate) fn of(name: &SceneName, scene: &Scene) -> SceneView {
        SceneView { name: name.clone(), nodes: scene.nodes.keys().cloned().collect() }
    }
}

/// Of a node that has reported nothing, nothing is as desired.
fn drift(node: &Node) -> Vec<Key> {
    match &node.reported {
        Some(report) => node.desired.properties.drift(&report.properties),
        None => node.desired.properties.iter().map(|(key, _)| key.clone()).collect(),
    }
}
