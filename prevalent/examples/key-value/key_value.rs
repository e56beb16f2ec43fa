//! A map with compare-and-set, as far as many programs ever need a database.

use std::collections::BTreeMap;
use std::ops::Bound;

use journal::Schema;
use prevalent::rkyv::{Archive, Deserialize, Serialize};
use prevalent::{Moment, Prevalent};

/// Values under keys, each with the number of the command that set it.
#[derive(Archive, Serialize, Deserialize, Debug, Default)]
#[rkyv(crate = prevalent::rkyv)]
pub struct KeyValue {
    entries: BTreeMap<String, Entry>,
}

/// A value and its version.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(crate = prevalent::rkyv)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// The journal index of the command that set it: no two values of a key ever share one.
    pub version: u64,
}

/// What must be true of a key for a change to be made.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(crate = prevalent::rkyv)]
pub enum Condition {
    /// Nothing.
    None,
    /// It has no value.
    Absent,
    /// Its value is still of this version.
    Version(u64),
}

/// A change.
#[derive(Archive, Serialize, Deserialize, Debug)]
#[rkyv(crate = prevalent::rkyv)]
pub struct Put {
    /// Which key.
    pub key: String,
    /// Its new value; `None` removes it.
    pub value: Option<Vec<u8>>,
    /// Made only if this holds.
    pub condition: Condition,
}

/// The condition did not hold; nothing was changed.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq, Eq)]
#[rkyv(crate = prevalent::rkyv)]
pub struct Conflict {
    /// The version that the key has instead.
    pub version: Option<u64>,
}

/// A question.
#[derive(Archive, Serialize, Deserialize, Debug)]
#[rkyv(crate = prevalent::rkyv)]
pub enum Get {
    /// The value of one key.
    Key(String),
    /// The keys that come after one, in order, at most so many: an answer is never larger than asked for.
    KeysAfter {
        /// The last key that is known already; empty for the first page.
        key: String,
        /// How many.
        count: u32,
    },
}

/// An answer.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq, Eq)]
#[rkyv(crate = prevalent::rkyv)]
pub enum Found {
    /// To [`Get::Key`].
    Entry(Option<Entry>),
    /// To [`Get::KeysAfter`].
    Keys(Vec<String>),
}

impl KeyValue {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }
}

impl Prevalent for KeyValue {
    type Command = Put;
    /// The version that the key has now.
    type Outcome = Option<u64>;
    type Rejection = Conflict;
    type Query = Get;
    type Answer = Found;

    const NAME: &'static str = "key-value";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, put: Put, at: &Moment<'_>) -> Result<Option<u64>, Conflict> {
        let version = self.get(&put.key).map(|entry| entry.version);
        let holds = match put.condition {
            Condition::None => true,
            Condition::Absent => version.is_none(),
            Condition::Version(expected) => version == Some(expected),
        };
        if !holds {
            return Err(Conflict { version });
        }
        let Some(value) = put.value else {
            self.entries.remove(&put.key);
            return Ok(None);
        };
        let version = at.index.0;
        self.entries.insert(put.key, Entry { value, version });
        Ok(Some(version))
    }

    fn answer(&self, query: &Get) -> Found {
        match query {
            Get::Key(key) => Found::Entry(self.get(key).cloned()),
            Get::KeysAfter { key, count } => {
                let keys = self.entries.range::<str, _>((Bound::Excluded(key.as_str()), Bound::Unbounded));
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                Found::Keys(keys.take(count).map(|(key, _)| key.clone()).collect())
            }
        }
    }
}
