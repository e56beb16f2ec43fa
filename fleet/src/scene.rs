use std::collections::BTreeMap;

use crate::{NodeName, Properties};

/// What was desired of some nodes when the scene was saved. Applying it makes exactly that desired of
/// them again: keys that were set since then are unset.
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
pub struct Scene {
    /// The desired properties by node. A node may be gone by now; it is then passed over.
    pub nodes: BTreeMap<NodeName, Properties>,
}

impl Scene {
    /// What it counts against [`SCENES_BYTES_MAX`](crate::SCENES_BYTES_MAX).
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.nodes.iter().map(|(name, properties)| name.as_str().len() + properties.bytes()).sum()
    }
}
