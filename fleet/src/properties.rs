use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::value::shown;
use crate::{Key, NameProblem, PROPERTIES_BYTES_MAX, Value, ValueProblem};

/// Properties by key: all keys and values are checked, and together they are small enough.
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
pub struct Properties(BTreeMap<Key, Value>);

/// Why values cannot be properties.
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
pub enum PropertiesProblem {
    /// A key cannot be one.
    #[error("{key:?} cannot be a property's key: {problem}")]
    Key {
        /// Its beginning.
        key: String,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// A value cannot be one.
    #[error("the value of {key:?} is refused: {problem}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong with its value.
        problem: ValueProblem,
    },
    /// They are too much together.
    #[error("all properties together would have {bytes} bytes, and {PROPERTIES_BYTES_MAX} are the most")]
    TooLarge {
        /// Bytes of all keys and values.
        bytes: u64,
    },
}

impl Properties {
    /// Checks properties that came from outside.
    ///
    /// # Errors
    /// If a key, a value or their number of bytes is not allowed.
    pub fn parse(given: &BTreeMap<String, Value>) -> Result<Properties, PropertiesProblem> {
        let mut properties = Properties::default();
        for (key, value) in given {
            let refused = |problem| PropertiesProblem::Key { key: shown(key), problem };
            let parsed = Key::parse(key).map_err(refused)?;
            value.check().map_err(|problem| PropertiesProblem::Value { key: shown(key), problem })?;
            properties.0.insert(parsed, value.clone());
        }
        properties.check_size()?;
        Ok(properties)
    }

    /// These with `changes` made to them.
    pub(crate) fn merged(&self, changes: &Properties) -> Result<Properties, PropertiesProblem> {
        let mut merged = self.clone();
        merged.0.extend(changes.0.iter().map(|(key, value)| (key.clone(), value.clone())));
        merged.check_size()?;
        Ok(merged)
    }

    /// These without some keys.
    pub(crate) fn without(&self, keys: &[Key]) -> Properties {
        let mut rest = self.clone();
        rest.0.retain(|key, _| !keys.contains(key));
        rest
    }

    fn check_size(&self) -> Result<(), PropertiesProblem> {
        match self.bytes() {
            bytes if bytes <= PROPERTIES_BYTES_MAX => Ok(()),
            bytes => Err(PropertiesProblem::TooLarge { bytes: bytes as u64 }),
        }
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(|(key, value)| key.as_str().len() + value.bytes()).sum()
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.0.iter()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a command or a file holds them.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, Value> {
        self.iter().map(|(key, value)| (key.as_str().to_owned(), value.clone())).collect()
    }

    /// The keys whose desired value, in `self`, is not what `reported` says.
    #[must_use]
    pub fn drift(&self, reported: &Properties) -> Vec<Key> {
        let agrees = |key: &Key, value: &Value| {
            reported.get(key.as_str()).is_some_and(|actual| actual.agrees_with(value))
        };
        self.iter().filter(|(key, value)| !agrees(key, value)).map(|(key, _)| key.clone()).collect()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TEXT_BYTES_MAX;

    fn properties(pairs: &[(&str, Value)]) -> Properties {
        Properties::parse(&pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
            .unwrap()
    }

    #[test]
    fn drift_names_what_is_missing_or_different_and_nothing_more() {
        let desired = properties(&[("a", 1.into()), ("b", 2.into()), ("c", true.into())]);
        let reported = properties(&[("a", 1.into()), ("b", 3.into()), ("temperature", 40.into())]);
        let drift: Vec<String> = desired.drift(&reported).iter().map(ToString::to_string).collect();
        assert_eq!(drift, ["b", "c"]);
        assert!(desired.drift(&desired).is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused =
            |key: &str, value: Value| Properties::parse(&[(key.to_owned(), value)].into()).unwrap_err();
        assert!(matches!(refused("row", 1.into()), PropertiesProblem::Key { .. }));
        assert!(matches!(refused("a", "x\n".into()), PropertiesProblem::Value { .. }));

        let full: BTreeMap<String, Value> = ["a", "b", "c", "d"]
            .map(|key| (key.to_owned(), "x".repeat(TEXT_BYTES_MAX).as_str().into()))
            .into();
        assert_eq!(Properties::parse(&full), Err(PropertiesProblem::TooLarge { bytes: 4100 }));
    }
}
