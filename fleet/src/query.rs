use crate::{Configuration, Desired, Fleet, NodeView, SceneView, Selector, Status};

/// A question about the fleet.
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
pub enum Query {
    /// The grid at a glance.
    Status,
    /// Some nodes with everything known about them.
    Nodes(Selector),
    /// What is desired of one node: what the node itself follows.
    Desired {
        /// The node's name.
        node: String,
    },
    /// What people decided, for a file.
    Export,
    /// The scenes.
    Scenes,
}

/// The answer to the [`Query`] of the same name.
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
pub enum Answer {
    /// The grid at a glance.
    Status(Status),
    /// The selected nodes by name; empty if none is selected.
    Nodes(Vec<NodeView>),
    /// What is desired of the node; `None` if it is not in the fleet.
    Desired(Option<Desired>),
    /// What people decided.
    Export(Configuration),
    /// The scenes by name.
    Scenes(Vec<SceneView>),
}

impl Fleet {
    pub(crate) fn look_up(&self, query: &Query) -> Answer {
        match query {
            Query::Status => Answer::Status(Status::of(self)),
            Query::Nodes(selector) => {
                let selected = self.nodes().filter(|(name, node)| selector.selects(name, node));
                Answer::Nodes(selected.map(|(name, node)| NodeView::of(name, node)).collect())
            }
            Query::Desired { node } => Answer::Desired(self.node(node).map(|node| node.desired.clone())),
            Query::Export => Answer::Export(self.configuration()),
            Query::Scenes => {
                Answer::Scenes(self.scenes().map(|(name, scene)| SceneView::of(name, scene)).collect())
            }
        }
    }
}
