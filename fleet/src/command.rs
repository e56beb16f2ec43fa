use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Configuration, NodeName, Revision, Selector, Value};

/// A change of the fleet. Texts in it are unchecked: the fleet checks them when it executes the command.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub enum Command {
    /// Adds a node, or moves it.
    Place {
        /// Its name.
        node: String,
        /// From the top, from 1.
        row: u16,
        /// From the left, from 1.
        column: u16,
    },
    /// Adds and changes many nodes at once, or none of them.
    Import {
        /// What the file says.
        configuration: Configuration,
        /// What happens to what the file does not mention.
        mode: ImportMode,
    },
    /// Sets desired properties.
    Set {
        /// Of which nodes.
        selector: Selector,
        /// To what.
        properties: BTreeMap<String, Value>,
    },
    /// Removes desired properties.
    Unset {
        /// Of which nodes.
        selector: Selector,
        /// Which.
        keys: Vec<String>,
    },
    /// Saves what is desired of some nodes under a name; a scene of that name is replaced.
    SaveScene {
        /// The scene's name.
        scene: String,
        /// Which nodes it holds.
        selector: Selector,
    },
    /// Makes desired what was desired when a scene was saved.
    ApplyScene {
        /// The scene's name.
        scene: String,
    },
    /// Deletes a scene.
    DeleteScene {
        /// The scene's name.
        scene: String,
    },
    /// Says whether a node is there. Voters send it, when it changes.
    Presence {
        /// The node.
        node: String,
        /// Whether it is connected.
        present: bool,
    },
    /// Says what a node is. The node sends it, when it changes.
    Report {
        /// The node.
        node: String,
        /// The desired state that its driver last applied, or tried to.
        revision: Revision,
        /// What it is.
        properties: BTreeMap<String, Value>,
        /// Why its driver could not apply the desired state.
        error: Option<String>,
    },
    /// Removes nodes, and addresses of nodes that stay: what an import can add, and take only together with
    /// everything that it does not mention.
    Remove {
        /// These nodes.
        nodes: Vec<String>,
        /// The addresses of these nodes.
        addresses: Vec<String>,
    },
}

/// What an import does to what the file does not mention.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub enum ImportMode {
    /// It stays.
    Merge,
    /// It goes: nodes, labels, addresses and desired properties. Scenes only if the file has scenes.
    Replace,
}

/// What a command did.
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
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// These nodes are different now. None: everything was so already.
    Nodes {
        /// The nodes that were changed.
        changed: Vec<NodeName>,
        /// Nodes of an applied scene that are not in the fleet any more.
        missing: Vec<NodeName>,
    },
    /// The import was made.
    Imported {
        /// Nodes that are new.
        added: Vec<NodeName>,
        /// Nodes that are different now.
        changed: Vec<NodeName>,
        /// Nodes that are gone.
        removed: Vec<NodeName>,
    },
    /// A scene was saved or deleted.
    Scene {
        /// How many nodes it holds, or held.
        nodes: u32,
    },
}

impl Outcome {
    /// The nodes that are different now, new ones not counted.
    #[must_use]
    pub fn changed(&self) -> &[NodeName] {
        match self {
            Outcome::Nodes { changed, .. } | Outcome::Imported { changed, .. } => changed,
            Outcome::Scene { .. } => &[],
        }
    }
}
