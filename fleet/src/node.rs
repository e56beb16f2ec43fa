use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use crate::{Label, Properties, SIDE_MAX};

/// One controlled machine.
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
pub struct Node {
    /// Where it stands. No two nodes stand at the same place.
    pub place: Place,
    /// Where it is on the network, for people and for setting clusters up.
    pub address: Option<String>,
    /// What it can be selected by.
    pub labels: BTreeSet<Label>,
    /// What the operators want of it.
    pub desired: Desired,
    /// What it last said it is.
    pub reported: Option<Report>,
    /// Whether it is there.
    pub presence: Presence,
}

/// A place in the grid. Rows and columns count from 1.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub struct Place {
    /// From the top.
    pub row: u16,
    /// From the left.
    pub column: u16,
}

impl Place {
    /// The place, if it is in a grid at all.
    #[must_use]
    pub fn new(row: u16, column: u16) -> Option<Place> {
        let inside = |coordinate| (1..=SIDE_MAX).contains(&coordinate);
        (inside(row) && inside(column)).then_some(Place { row, column })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}, column {}", self.row, self.column)
    }
}

/// Which desired state: the number of the command in the journal that last changed it.
///
/// It never repeats, not even when a node is removed and added again; 0 is "nothing yet".
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    serde::Deserialize,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is desired of a node.
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
pub struct Desired {
    /// Which state this is.
    pub revision: Revision,
    /// What the node should be.
    pub properties: Properties,
}

/// What a node last said it is.
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
pub struct Report {
    /// The desired state its driver last applied, or tried to.
    pub revision: Revision,
    /// What it is. It may report more than is desired of it.
    pub properties: Properties,
    /// Why its driver could not apply the desired state.
    pub error: Option<String>,
    /// When the report arrived.
    pub at: WallTime,
}

/// Whether a node is there, as the voters see it.
#[derive(
    Clone,
    Copy,
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
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Presence {
    /// It has never been seen.
    #[default]
    Unknown,
    /// It is connected.
    Present {
        /// When it came.
        since: WallTime,
    },
    /// It was connected.
    Absent {
        /// When it was missed.
        since: WallTime,
    },
}

impl Presence {
    /// Whether the node is connected.
    #[must_use]
    pub fn is_present(self) -> bool {
        matches!(self, Presence::Present { .. })
    }

    /// One word for tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Presence::Unknown => "unknown",
            Presence::Present { .. } => "present",
            Presence::Absent { .. } => "absent",
        }
    }
}

/// The master's wall clock, in nanoseconds since 1970: for people, it may jump.
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
pub struct WallTime(pub i64);

impl fmt::Display for WallTime {
    /// RFC 3339, in UTC, to the millisecond.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_nanosecond(i128::from(self.0))
            .expect("292 years around 1970 are all valid");
        write!(f, "{time:.3}")
    }
}

/// A text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no time; write 2026-07-01T12:00 in UTC, or with an offset, 2026-07-01T14:00:00+02:00")]
pub struct WallTimeError;

impl FromStr for WallTime {
    type Err = WallTimeError;

    /// RFC 3339; without an offset it is UTC, as it is written, and without a time of day it is midnight.
    fn from_str(text: &str) -> Result<WallTime, WallTimeError> {
        let with_offset = text.parse::<Timestamp>();
        let time =
            with_offset.or_else(|_| text.parse::<DateTime>()?.to_zoned(TimeZone::UTC).map(|t| t.timestamp()));
        let nanoseconds = time.map_err(|_| WallTimeError)?.as_nanosecond();
        i64::try_from(nanoseconds).map(WallTime).map_err(|_| WallTimeError)
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wall_time_can_be_written() {
        assert_eq!(WallTime(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(WallTime(1_782_907_200_123_456_789).to_string(), "2026-07-01T12:00:00.123Z");
        assert!(WallTime(i64::MIN).to_string().starts_with("1677-"));
        assert!(WallTime(i64::MAX).to_string().starts_with("2262-"));
    }

    #[test]
    fn what_was_written_can_be_read() {
        for text in ["2026-07-01T12:00:00.123Z", "1970-01-01T00:00:00.000Z"] {
            assert_eq!(text.parse::<WallTime>().unwrap().to_string(), text);
        }
        let noon = "2026-07-01T12:00:00Z".parse::<WallTime>();
        assert_eq!("2026-07-01T12:00".parse(), noon);
        assert_eq!("2026-07-01T14:00:00+02:00".parse(), noon);
        for text in ["", "noon", "2026-02-30", "9999-01-01T00:00:00Z"] {
            assert_eq!(text.parse::<WallTime>(), Err(WallTimeError), "{text}");
        }
    }

    #[test]
    fn places_count_from_one() {
        assert!(Place::new(1, SIDE_MAX).is_some());
        for (row, column) in [(0, 1), (1, 0), (SIDE_MAX + 1, 1), (1, u16::MAX)] {
            assert_eq!(Place::new(row, column), None);
        }
    }
}
