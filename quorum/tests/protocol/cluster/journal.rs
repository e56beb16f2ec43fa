use position::{ChainHash, Epoch, FrameId, History, Index, Position, Tip};

use super::dice::mix;

/// A journal without bytes: the identities of its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Journal {
    base: Tip,
    frames: Vec<FrameId>,
}

/// What every frame weighs: enough that a message holds a few and that the in-flight limit is met.
const FRAME_BYTES: usize = 100 * 1024;

impl Journal {
    pub(crate) fn following(base: Tip) -> Journal {
        Journal { base, frames: Vec::new() }
    }

    /// The founding frame: the same on all machines.
    pub(crate) fn founded() -> Journal {
        let mut journal = Journal::following(Tip::NONE);
        journal.append(frame_after(Tip::NONE, Epoch::NONE, 1, 0));
        journal
    }

    pub(crate) fn frames(&self) -> &[FrameId] {
        &self.frames
    }

    pub(crate) fn append(&mut self, frame: FrameId) {
        assert_eq!(frame.first, self.tip().index().next(), "a frame that does not follow the journal's end");
        assert!(frame.epoch >= self.tip().epoch(), "an older epoch behind a newer one");
        self.frames.push(frame);
    }

    pub(crate) fn cut_after(&mut self, after: Index) {
        assert!(self.tip_at(after).is_some(), "a cut inside a frame");
        self.frames.retain(|frame| frame.last <= after);
    }

    pub(crate) fn after(&self, after: Index, through: Index) -> Vec<FrameId> {
        let wanted = self.frames.iter().filter(|frame| frame.first > after && frame.last <= through);
        wanted.copied().collect()
    }

    pub(crate) fn compact_through(&mut self, through: Index) {
        self.base = self.tip_at(through).expect("compaction ends with a frame");
        self.frames.retain(|frame| frame.first > through);
    }

    /// The journal follows this snapshot now, and keeps what follows it if it is the same history.
    pub(crate) fn install(&mut self, base: Tip) {
        if self.tip_at(base.index()) == Some(base) {
            self.compact_through(base.index());
        } else {
            *self = Journal::following(base);
        }
    }

    /// The end of what this journal and the other one share.
    pub(crate) fn shared_with(&self, other: &Journal) -> Index {
        let ends = self.frames.iter().rev().map(FrameId::tip).chain([self.base]);
        ends.into_iter()
            .find(|tip| other.tip_at(tip.index()) == Some(*tip))
            .map_or(Index::NONE, |tip| tip.index())
    }

    /// Whether this very frame is in it, or covered by its base.
    pub(crate) fn holds(&self, frame: &FrameId) -> bool {
        frame.last <= self.base.index() || self.frame_containing(frame.first) == Some(*frame)
    }
}

/// A frame that never was before: `nonce` stands for its contents.
pub(crate) fn frame_after(prev: Tip, epoch: Epoch, entries: u64, nonce: u64) -> FrameId {
    let mut hash = prev.hash.0;
    let mut state = mix(nonce ^ epoch.0.rotate_left(32)) ^ entries;
    for eight in hash.chunks_exact_mut(8) {
        state = mix(state ^ u64::from_le_bytes(eight.try_into().expect("eight bytes")));
        eight.copy_from_slice(&state.to_le_bytes());
    }
    let first = prev.index().next();
    FrameId { epoch, first, last: first.plus(entries - 1), hash: ChainHash(hash) }
}

impl History for Journal {
    fn base(&self) -> Tip {
        self.base
    }

    fn tip(&self) -> Tip {
        self.frames.last().map_or(self.base, FrameId::tip)
    }

    fn frame_containing(&self, index: Index) -> Option<FrameId> {
        let at = self.frames.partition_point(|frame| frame.last < index);
        self.frames.get(at).filter(|frame| frame.first <= index).copied()
    }

    fn reach(&self, after: Index, bytes_max: usize) -> Option<(Index, usize)> {
        self.tip_at(after)?;
        let at = self.frames.partition_point(|frame| frame.last <= after);
        let count = (bytes_max / FRAME_BYTES).clamp(1, self.frames.len().checked_sub(at)?.max(1));
        let last = self.frames.get(at + count - 1)?;
        Some((last.last, count * FRAME_BYTES))
    }
}

#[test]
fn a_journal_knows_what_it_shares_with_another() {
    let mut ours = Journal::founded();
    ours.append(frame_after(ours.tip(), Epoch(1), 3, 1));
    let mut theirs = ours.clone();
    ours.append(frame_after(ours.tip(), Epoch(1), 1, 2));
    theirs.append(frame_after(theirs.tip(), Epoch(2), 1, 3));
    assert_eq!(ours.shared_with(&theirs), Index(4));
    assert_eq!(ours.tip().position, Position::new(Epoch(1), Index(5)));
    assert!(!theirs.holds(&ours.frames()[2]));
}
