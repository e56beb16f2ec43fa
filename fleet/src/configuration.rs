use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::Value;

/// Scenes by name, and in each the desired properties by node.
pub type SceneEntries = BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>>;

/// What people decide about a fleet, as files hold it: nodes with what is desired of them, and scenes;
/// nothing that nodes report.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
#[serde(deny_unknown_fields, expecting = "an object with nodes, and perhaps scenes")]
pub struct Configuration {
    /// The nodes.
    pub nodes: Vec<NodeEntry>,
    /// The scenes. Not given: scenes stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "scenes")]
    pub scenes: Option<SceneEntries>,
}

/// One node in a file. What is not given is left as it is when the node exists and the import merges.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
#[serde(deny_unknown_fields, expecting = "an object with a node's name")]
pub struct NodeEntry {
    /// Its name.
    pub name: String,
    /// Its row, from 1. A new node needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u16>,
    /// Its column, from 1. A new node needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u16>,
    /// Where it is on the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// All its labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// What is desired of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "unique")]
    pub desired: BTreeMap<String, Value>,
}

/// A JSON object that names nothing twice: which of two values was meant is not for us to guess.
struct Unique<V>(BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique<V>, D::Error> {
        struct Entries<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = BTreeMap<String, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<BTreeMap<String, V>, A::Error> {
                let mut map = BTreeMap::new();
                while let Some(name) = entries.next_key::<String>()? {
                    if map.contains_key(&name) {
                        return Err(de::Error::custom(format!("{name:?} is given twice")));
                    }
                    map.insert(name, entries.next_value()?);
                }
                Ok(map)
            }
        }
        deserializer.deserialize_map(Entries(PhantomData)).map(Unique)
    }
}

fn unique<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Value>, D::Error> {
    Unique::deserialize(deserializer).map(|entries| entries.0)
}

fn scenes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SceneEntries>, D::Error> {
    let scenes: Unique<Unique<Unique<Value>>> = Unique::deserialize(deserializer)?;
    let plain =
        |scene: Unique<Unique<Value>>| scene.0.into_iter().map(|(node, values)| (node, values.0)).collect();
    Ok(Some(scenes.0.into_iter().map(|(name, scene)| (name, plain(scene))).collect()))
}
