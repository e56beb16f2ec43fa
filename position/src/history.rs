use crate::{FrameId, Index, Tip};

/// What the protocol must know of the journal that its driver keeps.
///
/// Every answer describes the *written* journal; what of it is durable comes as an input.
pub trait History {
    /// What the oldest kept frame follows: the newest compaction, or nothing.
    fn base(&self) -> Tip;

    /// The end of the last frame, or the base if there is none.
    fn tip(&self) -> Tip;

    /// The frame that holds entry `index`; `None` at or below the base, and above the tip.
    fn frame_containing(&self, index: Index) -> Option<FrameId>;

    /// How far whole frames after `after` reach within `bytes_max` bytes, and how many bytes that is.
    /// At least one frame, however large; `None` if there is none or `after` is no end of a frame.
    fn reach(&self, after: Index, bytes_max: usize) -> Option<(Index, usize)>;

    /// The tip at `index`, if a kept frame (or the base) ends exactly there.
    fn tip_at(&self, index: Index) -> Option<Tip> {
        if index == self.base().index() {
            return Some(self.base());
        }
        self.frame_containing(index).filter(|frame| frame.last == index).map(|frame| frame.tip())
    }

    /// The last end of a frame at or below `index`; the base if `index` is below it.
    fn tip_at_or_below(&self, index: Index) -> Tip {
        let Some(frame) = self.frame_containing(index) else {
            return if index > self.tip().index() { self.tip() } else { self.base() };
        };
        if frame.last == index {
            return frame.tip();
        }
        self.tip_at(frame.first.previous()).expect("a frame follows the end of another or the base")
    }
}
