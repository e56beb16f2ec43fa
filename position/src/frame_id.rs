use serde::{Deserialize, Serialize};

use crate::{ChainHash, Epoch, Index, Position, Tip};

/// What a frame is, apart from its bytes. Two frames with the same identity hold the same entries after
/// the same history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameId {
    /// The mastership that wrote it.
    pub epoch: Epoch,
    /// Its first entry.
    pub first: Index,
    /// Its last entry.
    pub last: Index,
    /// The chain hash at its end.
    pub hash: ChainHash,
}

impl FrameId {
    /// Where the frame ends.
    #[must_use]
    pub fn tip(&self) -> Tip {
        Tip { position: Position::new(self.epoch, self.last), hash: self.hash }
    }
}
