use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ChainHash;

/// Number of an entry in the journal. The first entry is 1; [`Index::NONE`] is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Index(pub u64);

impl Index {
    /// Before the first entry.
    pub const NONE: Index = Index(0);

    /// The index after this one.
    ///
    /// # Panics
    /// At the end of the number range, which 500,000 entries a second reach after a million years.
    #[must_use]
    pub fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The index before this one; [`Index::NONE`] stays itself.
    #[must_use]
    pub fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }

    /// The index `entries` further on.
    #[must_use]
    pub fn plus(self, entries: u64) -> Index {
        Index(self.0 + entries)
    }

    /// How many entries lie after `earlier`, up to and including this one; 0 if none do.
    #[must_use]
    pub fn since(self, earlier: Index) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a mastership: at most one master exists in each. [`Epoch::NONE`] is before the first election.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Before the first election; the founding frame carries it.
    pub const NONE: Epoch = Epoch(0);

    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the history: which mastership wrote it, and its number. Compares epoch first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The mastership that wrote the entry.
    pub epoch: Epoch,
    /// The entry's number.
    pub index: Index,
}

impl Position {
    /// Before everything.
    pub const NONE: Position = Position { epoch: Epoch::NONE, index: Index::NONE };

    /// The position of entry `index`, written in `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch, index: Index) -> Position {
        Position { epoch, index }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.index)
    }
}

/// The end of a frame: its position and the hash of everything up to it.
///
/// Two journals with the same tip hold the same history up to it.
///
/// So the index and the hash decide whether two are equal: the hash covers the epoch. Of a damaged frame that is known
/// by its hash alone, the epoch may be a lower bound only.
#[derive(Clone, Copy, Debug, Default, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// Epoch and index of the frame's last entry.
    pub position: Position,
    /// The frame's chain hash.
    pub hash: ChainHash,
}

impl PartialEq for Tip {
    fn eq(&self, other: &Tip) -> bool {
        self.index() == other.index() && self.hash == other.hash
    }
}

impl Tip {
    /// The end of an empty journal.
    pub const NONE: Tip = Tip { position: Position::NONE, hash: ChainHash::NONE };

    /// The index of the tip's last entry.
    #[must_use]
    pub fn index(&self) -> Index {
        self.position.index
    }

    /// The epoch in which the tip was written.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.position.epoch
    }
}

impl fmt::Display for Tip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.position, self.hash)
    }
}
