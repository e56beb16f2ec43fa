use std::fmt;

use serde::{Deserialize, Serialize};

/// Blake3 over everything in the journal up to the end of a frame.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// What the first frame of a journal follows.
    pub const NONE: ChainHash = ChainHash([0; 32]);
}

/// The first eight hexadecimal digits: enough for a person to tell two histories apart.
impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainHash({self})")
    }
}
