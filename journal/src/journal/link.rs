//! Anchors: the frames of one segment that certainly belong to the journal, whatever is damaged around them.
//!
//! A frame names what it follows: the header holds the index and the chain hash. So from an end of the history that
//! is known from elsewhere (the mark, the newest snapshot, the next segment's header) the names lead back, from frame
//! to frame. Whatever carries such a name is the frame that was written. Bytes that merely look like a frame, such as
//! a payload, a stale frame or a misdirected sector, carry none: nobody can put the hash of a frame into that frame.
//!
//! Responsible for: which frames are named, and where they lie.
//! Not responsible for: what is done with them (`walk`).

use std::cmp::Reverse;
use std::collections::BTreeSet;

use position::{ChainHash, Epoch, Index, Position, Tip};

use crate::frame::{FRAME_ALIGNMENT, Frame, FrameHeader};
use crate::segment::SEGMENT_HEADER_BYTES;

/// Something that is certain to follow a certain end of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Where it lies in the segment.
    pub(super) at: usize,
    /// Its first entry.
    pub(super) first: Index,
    /// Where the history ends with it; `None` for what lies behind this segment.
    pub(super) end: Option<Tip>,
    /// The chain hash of what it follows.
    pub(super) previous_hash: ChainHash,
    /// What it follows was written in this epoch or an earlier one.
    epoch_max: Epoch,
    /// The epoch of what it follows, where that is known.
    previous_epoch: Option<Epoch>,
    /// Something behind it leads back to it. Else it is known from what it follows alone, and that does for what
    /// lies behind something lost only: a frame that others could see when they sent a command may be named there.
    pub(super) is_named: bool,
}

/// The anchors of one segment, in the order of the history.
#[derive(Debug, Default)]
pub(super) struct Anchors(Vec<Anchor>);

impl Anchor {
    /// What follows this segment: the history there ends with `previous`.
    pub(super) fn behind(at: usize, previous: Tip) -> Anchor {
        Anchor {
            at,
            first: previous.index().next(),
            end: None,
            previous_hash: previous.hash,
            epoch_max: previous.epoch(),
            previous_epoch: Some(previous.epoch()),
            is_named: true,
        }
    }

    /// The same for an anchor of the next segment, which is `at` here.
    pub(super) fn moved_to(self, at: usize) -> Anchor {
        Anchor { at, end: None, ..self }
    }

    fn of(at: usize, header: &FrameHeader, known: &[Tip]) -> Anchor {
        let before = header.first_index.previous();
        let is_same = |tip: &&Tip| tip.index() == before && tip.hash == header.previous_hash;
        Anchor {
            at,
            first: header.first_index,
            end: Some(header.id().tip()),
            previous_hash: header.previous_hash,
            epoch_max: header.epoch,
            previous_epoch: known.iter().find(is_same).map(Tip::epoch),
            is_named: false,
        }
    }

    /// Whether the history that ends at `tip` goes on with it.
    pub(super) fn follows(&self, tip: &Tip) -> bool {
        self.first == tip.index().next() && self.previous_hash == tip.hash
    }

    /// What it follows, seen from `after`, which lies before that. The header of what it follows may be lost at a
    /// change of epoch: then its epoch is not known, and this says the lowest that it can be. Its hash covers it.
    pub(super) fn previous(&self, after: Tip) -> Tip {
        let epoch = self.previous_epoch.unwrap_or(after.epoch());
        Tip { position: Position::new(epoch, self.first.previous()), hash: self.previous_hash }
    }

    /// Whether what it follows can lie behind `tip`: epochs never fall.
    pub(super) fn may_follow_behind(&self, tip: &Tip) -> bool {
        self.previous_epoch.unwrap_or(self.epoch_max) >= tip.epoch()
    }
}

impl Anchors {
    /// Goes through the frames of a segment from the last to the first, with what is known of the history at this place. `behind` is
    /// what follows the segment.
    pub(super) fn of(bytes: &[u8], known: &[Tip], behind: Option<Anchor>) -> Anchors {
        let mut names: BTreeSet<(Index, ChainHash)> =
            known.iter().map(|tip| (tip.index(), tip.hash)).collect();
        names.extend(behind.map(|behind| (behind.first.previous(), behind.previous_hash)));
        let starts = (SEGMENT_HEADER_BYTES..bytes.len()).step_by(FRAME_ALIGNMENT);
        let mut anchors: Vec<Anchor> = starts
            .filter_map(|at| Some(Anchor::of(at, &FrameHeader::read(&bytes[at..]).ok()?, known)))
            .collect();
        anchors.sort_by_key(|anchor| Reverse(anchor.first));
        anchors.retain_mut(|anchor| {
            let end = anchor.end.expect("it is a frame");
            anchor.is_named = names.contains(&(end.index(), end.hash));
            // Either it is named itself, or what it follows is: that hash stands nowhere within the frame it is of.
            let is_certain = anchor.is_named || anchor.previous_epoch.is_some();
            if is_certain {
                names.insert((anchor.first.previous(), anchor.previous_hash));
            }
            is_certain
        });
        // A frame may lie here twice, whole in one place only.
        let is_bad = |anchor: &Anchor| Frame::verify(&bytes[anchor.at..]).is_err();
        anchors.sort_by_cached_key(|anchor| (anchor.first, is_bad(anchor), !anchor.is_named, anchor.at));
        anchors.dedup_by_key(|anchor| anchor.first);
        anchors.extend(behind);
        Anchors(anchors)
    }

    /// The first one of all.
    pub(super) fn first(&self) -> Option<&Anchor> {
        self.0.first()
    }

    /// The first one behind the last that the history has passed already.
    pub(super) fn next_of(&self, passed: impl Fn(&Tip) -> bool) -> Option<&Anchor> {
        let is_passed = |anchor: &Anchor| anchor.end.is_some_and(|end| passed(&end));
        let behind = self.0.iter().rposition(is_passed).map_or(0, |last| last + 1);
        self.0.get(behind)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Entry, EntryKind, FrameBuilder, Stamp};

    /// A segment with so many frames of one entry, ten in each epoch, and where each of them starts and ends.
    fn segment(frames: usize) -> (Vec<u8>, Vec<(usize, Tip)>) {
        let (mut bytes, mut places, mut previous) = (vec![0; SEGMENT_HEADER_BYTES], Vec::new(), Tip::NONE);
        for number in 0..frames as u64 {
            let mut builder = FrameBuilder::new();
            builder.push(&Entry::internal(EntryKind::Noop, &[])).unwrap();
            let (epoch, commit) = (Epoch(1 + number / 10), Index::NONE);
            let stamp = Stamp { previous, epoch, commit, cluster_time: Duration::ZERO, wall_time: 0 };
            let frame = builder.seal(&stamp);
            previous = frame.tip();
            places.push((bytes.len(), previous));
            bytes.extend_from_slice(frame.bytes());
        }
        (bytes, places)
    }

    /// Loses the headers of these frames, and says which ones are anchors then if the ends of `known` are.
    #[track_caller]
    fn check(lost: &[usize], known: &[usize], behind: Option<usize>, expected: impl Iterator<Item = usize>) {
        let (mut bytes, places) = segment(50);
        for frame in lost {
            bytes[places[*frame].0 + 20] ^= 1;
        }
        let known: Vec<Tip> = known.iter().map(|frame| places[*frame].1).collect();
        let behind = behind.map(|frame| Anchor::behind(bytes.len(), places[frame].1));
        let anchors = Anchors::of(&bytes, &known, behind);
        let found: Vec<usize> = anchors.0.iter().map(|anchor| anchor.at).collect();
        let expected = expected.map(|frame| places[frame].0).chain(behind.map(|_| bytes.len()));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    #[test]
    fn the_names_lead_back_from_what_is_known_to_the_first_loss() {
        check(&[], &[], Some(49), 0..50);
        check(&[2], &[49], None, 3..50);
        check(&[2], &[], Some(49), 3..50);
        check(&[2, 30], &[49], None, 31..50);
        check(&[2, 30], &[49, 20], None, (3..=21).chain(31..50));
        check(&[2], &[1], None, 0..2);
        check(&[2], &[], None, 0..0);
    }

    /// Each of them is the tenth of its epoch, and the next one is of the next.
    #[test]
    fn a_change_of_epoch_is_no_end_of_the_names() {
        check(&[9, 10, 19], &[49], None, 20..50);
        check(&[9], &[49], None, 10..50);
        let (mut bytes, places) = segment(50);
        bytes[places[9].0 + 20] ^= 1;
        let anchors = Anchors::of(&bytes, &[places[49].1], None);
        let next = anchors.next_of(|_| false).unwrap();
        let (before, lost) = (places[8].1, places[9].1);
        assert!(next.may_follow_behind(&before) && !next.may_follow_behind(&places[29].1));
        assert_eq!((next.previous(before).hash, next.previous(before).epoch()), (lost.hash, Epoch(1)));
    }

    #[test]
    fn what_stands_behind_a_known_end_is_an_anchor_but_not_a_named_one() {
        let (mut bytes, places) = segment(50);
        bytes[places[30].0 + 20] ^= 1;
        let anchors = Anchors::of(&bytes, &[places[30].1], None);
        let all: Vec<_> = anchors.0.iter().map(|anchor| (anchor.at, anchor.is_named)).collect();
        assert_eq!(all, [(places[31].0, false)]);
    }

    #[test]
    fn of_two_copies_the_whole_one_counts() {
        let (mut bytes, places) = segment(20);
        let copied: Vec<u8> = bytes[places[5].0..places[6].0].to_vec();
        bytes.extend_from_slice(&copied);
        bytes[places[5].0 + 150] ^= 1;
        let anchors = Anchors::of(&bytes, &[places[19].1], None);
        assert_eq!(anchors.0[5].at, bytes.len() - copied.len());
        assert_eq!(anchors.0.len(), 20);
    }

    #[test]
    fn what_merely_looks_like_a_frame_is_no_anchor() {
        let (bytes, _) = segment(20);
        let elsewhere = Tip { position: Position::new(Epoch(1), Index(20)), hash: ChainHash([9; 32]) };
        assert_eq!(Anchors::of(&bytes, &[elsewhere], None).0, []);
    }
}
