use crate::{
    ADDRESS_BYTES_MAX, LABELS_MAX, NODES_MAX, NameProblem, NodeName, Place, PropertiesProblem,
    SCENES_BYTES_MAX, SCENES_MAX, SIDE_MAX, SceneName, ValueProblem,
};

/// Why the fleet refused a command. Nothing was changed by it.
///
/// Texts from the command are repeated shortened: a rejection is kept for the session.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    thiserror::Error,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub enum Rejection {
    /// The certificate's role does not allow it.
    #[error("{actor} may not {action}: {rule}. Nothing was changed; use a certificate of the right role")]
    NotAllowed {
        /// Who tried.
        actor: String,
        /// What.
        action: String,
        /// Who may.
        rule: String,
    },
    /// There is no such node.
    #[error(
        "there is no node named {node:?} in the fleet. Nothing was changed; list the nodes to see their names"
    )]
    NoSuchNode {
        /// The name.
        node: String,
    },
    /// A row, column or label that no node has.
    #[error(
        "{selector} selects no node of the fleet. Nothing was changed; list the nodes to see where they stand and what their labels are"
    )]
    NothingSelected {
        /// The selector.
        selector: String,
    },
    /// The command has nothing in it.
    #[error("the command names no {what}, so there is nothing to do. Nothing was changed")]
    NothingGiven {
        /// Of what there is none.
        what: Subject,
    },
    /// A text that cannot be a name.
    #[error("{text:?} cannot be a {what}: {problem}. Nothing was changed")]
    Name {
        /// What it should name.
        what: Subject,
        /// Its beginning.
        text: String,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// Properties that cannot be.
    #[error("{node}: {problem}. Nothing was changed")]
    Properties {
        /// Whose properties, or of which command.
        node: String,
        /// What is wrong with them.
        problem: PropertiesProblem,
    },
    /// A driver's error message that cannot be kept.
    #[error("the error message in the report of {node} is refused: {problem}. Nothing was changed")]
    ErrorMessage {
        /// The node.
        node: NodeName,
        /// What is wrong with it.
        problem: ValueProblem,
    },
    /// An address that cannot be one.
    #[error(
        "{address:?} cannot be the address of {node}: it is empty, has more than {ADDRESS_BYTES_MAX} bytes, or contains a space or control character. Nothing was changed"
    )]
    Address {
        /// The node.
        node: NodeName,
        /// Its beginning.
        address: String,
    },
    /// More labels than a node may have.
    #[error("{node} would have {labels} labels, and {LABELS_MAX} are the most. Nothing was changed")]
    TooManyLabels {
        /// The node.
        node: NodeName,
        /// How many.
        labels: u64,
    },
    /// A place outside any grid.
    #[error(
        "{node} cannot stand at row {row}, column {column}: both count from 1 to {SIDE_MAX}. Nothing was changed"
    )]
    OutsideGrid {
        /// The node.
        node: NodeName,
        /// Its row.
        row: u16,
        /// Its column.
        column: u16,
    },
    /// A new node without a place.
    #[error("{node} is new in the fleet and has no row or no column. Nothing was changed; give both")]
    NoPlace {
        /// The node.
        node: NodeName,
    },
    /// Two nodes at one place.
    #[error("{node} cannot stand at {place}: {occupant} stands there. Nothing was changed; move one of them")]
    Occupied {
        /// The node.
        node: NodeName,
        /// The place.
        place: Place,
        /// Who has it.
        occupant: NodeName,
    },
    /// One node twice in one import.
    #[error("{node} is given twice in one import. Nothing was changed")]
    GivenTwice {
        /// The node.
        node: NodeName,
    },
    /// More nodes than a fleet may have.
    #[error("the fleet would have {nodes} nodes, and {NODES_MAX} are the most. Nothing was changed")]
    TooManyNodes {
        /// How many.
        nodes: u64,
    },
    /// There is no such scene.
    #[error("there is no scene named {scene:?}. Nothing was changed; list the scenes to see their names")]
    NoSuchScene {
        /// The name.
        scene: String,
    },
    /// All nodes of the scene are gone.
    #[error(
        "none of the nodes that the scene {scene} was saved for is in the fleet any more. Nothing was changed; save the scene again"
    )]
    SceneWithoutNodes {
        /// The scene.
        scene: SceneName,
    },
    /// More scenes than a fleet may have.
    #[error(
        "the fleet would have {scenes} scenes of {bytes} bytes, and {SCENES_MAX} scenes of {SCENES_BYTES_MAX} bytes together are the most. Nothing was changed; delete one first"
    )]
    TooManyScenes {
        /// How many.
        scenes: u64,
        /// Bytes of all scenes.
        bytes: u64,
    },
}

/// What a text in a command names.
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
pub enum Subject {
    /// A node.
    Node,
    /// A property.
    Property,
    /// A label.
    Label,
    /// A scene.
    Scene,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Subject::Node => "node",
            Subject::Property => "property",
            Subject::Label => "label",
            Subject::Scene => "scene",
        })
    }
}

impl Rejection {
    /// Whether another certificate would help, and nothing else.
    #[must_use]
    pub fn is_by_role(&self) -> bool {
        matches!(self, Rejection::NotAllowed { .. })
    }
}
