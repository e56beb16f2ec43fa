use crate::{Epoch, FrameId, Index};

/// How a journal ends, as recovery found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With a whole frame and nothing behind it.
    Clean,
    /// With a frame of which a sector was never written: it was never synced, so never acknowledged.
    Torn {
        /// What can be read of its identity.
        frame: Option<FrameId>,
        /// Where it starts.
        at: Index,
        /// Epoch of the last good frame.
        after: Epoch,
    },
    /// With a frame that was whole once, for all one can tell.
    Uncertain {
        /// What can be read of its identity.
        frame: Option<FrameId>,
        /// Where it starts.
        at: Index,
        /// Epoch of the last good frame.
        after: Epoch,
        /// Whether something follows it that is damaged too.
        more: bool,
    },
}
