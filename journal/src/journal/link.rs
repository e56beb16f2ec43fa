//! The way on behind a lost header.

use std::collections::BTreeSet;

use position::{Index, Position, Tip};

use crate::frame::{FRAME_ALIGNMENT, Frame, FrameHeader};

/// Looks in one segment for frames that are certainly part of its journal: from them the chain leads to something
/// that is known from elsewhere. (A payload may hold bytes that look like frames; nothing leads from those to a hash
/// that they do not know.)
#[derive(Debug)]
pub(super) struct LinkSearch<'a> {
    bytes: &'a [u8],
    known: Vec<Tip>,
    /// Where frames lie from which nothing known was reached. Each of them is followed once: to follow every frame of
    /// a long chain to its end would take the square of its length.
    dead: BTreeSet<usize>,
}

impl<'a> LinkSearch<'a> {
    pub(super) fn new(bytes: &'a [u8], known: Vec<Tip>) -> LinkSearch<'a> {
        LinkSearch { bytes, known, dead: BTreeSet::new() }
    }

    /// The first place behind `offset` at which the history goes on that ends at `after` before it, and what it
    /// follows there.
    pub(super) fn find(&mut self, offset: usize, after: Tip) -> Option<(usize, Tip)> {
        (offset + FRAME_ALIGNMENT..self.bytes.len())
            .step_by(FRAME_ALIGNMENT)
            .find_map(|at| self.link_at(at, after).map(|end| (at, end)))
    }

    fn link_at(&mut self, at: usize, after: Tip) -> Option<Tip> {
        if self.dead.contains(&at) {
            return None;
        }
        let header = FrameHeader::read(&self.bytes[at..]).ok()?;
        if header.first_index <= after.index().next() || header.epoch < after.epoch() {
            return None;
        }
        let frame = Frame::verify(&self.bytes[at..]).ok()?;
        let before = header.first_index.previous();
        if let Some(end) = self.known_at(before, |tip| tip.hash == header.previous_hash) {
            return Some(end);
        }
        if header.epoch != after.epoch() {
            return None; // Nothing says in which epoch the frame before it was written.
        }
        let end = Tip { position: Position::new(header.epoch, before), hash: header.previous_hash };
        self.leads_to_something_known(at, frame).then_some(end)
    }

    /// Follows the chain from this frame on.
    fn leads_to_something_known(&mut self, at: usize, first: Frame<'a>) -> bool {
        let (mut at, mut frame, mut passed) = (at, first, Vec::new());
        while !self.dead.contains(&at) {
            passed.push(at);
            let tip = frame.tip();
            if self.known_at(tip.index(), |known| known.hash == tip.hash).is_some() {
                return true;
            }
            at += frame.bytes().len();
            match Frame::verify(&self.bytes[at..]) {
                Ok(next) if next.follows(&tip) => frame = next,
                _ => break,
            }
        }
        self.dead.extend(passed);
        false
    }

    fn known_at(&self, index: Index, is_same: impl Fn(&Tip) -> bool) -> Option<Tip> {
        self.known.iter().find(|tip| tip.index() == index && is_same(tip)).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use position::{ChainHash, Epoch};

    use super::*;
    use crate::{Entry, EntryKind, FrameBuilder, Stamp};

    /// A chain of so many frames of one entry, and where each of them ends.
    fn chain(frames: usize) -> (Vec<u8>, Vec<Tip>) {
        let (mut bytes, mut tips, mut previous) = (Vec::new(), Vec::new(), Tip::NONE);
        for _ in 0..frames {
            let mut builder = FrameBuilder::new();
            builder.push(&Entry::internal(EntryKind::Noop, &[])).unwrap();
            let (epoch, commit) = (Epoch(1), Index::NONE);
            let stamp = Stamp { previous, epoch, commit, cluster_time: Duration::ZERO, wall_time: 0 };
            let frame = builder.seal(&stamp);
            bytes.extend_from_slice(frame.bytes());
            previous = frame.tip();
            tips.push(previous);
        }
        (bytes, tips)
    }

    fn elsewhere() -> Tip {
        Tip { position: Position::new(Epoch(1), Index(40)), hash: ChainHash([9; 32]) }
    }

    /// Looks behind a lost third frame for the way to one of these tips.
    #[track_caller]
    fn check(known: &[usize], expected: Option<usize>) {
        let (mut bytes, tips) = chain(50);
        let frame_bytes = bytes.len() / 50;
        bytes[2 * frame_bytes..2 * frame_bytes + 64].fill(0xff);
        let known = known.iter().map(|frame| tips[*frame]).chain([elsewhere()]).collect();
        let found = LinkSearch::new(&bytes, known).find(2 * frame_bytes, tips[1]);
        assert_eq!(found, expected.map(|frame| (frame * frame_bytes, tips[frame - 1])));
    }

    #[test]
    fn the_way_on_leads_to_something_known() {
        check(&[49], Some(3));
        check(&[3], Some(3));
        check(&[2], Some(3));
        check(&[1, 0], None);
        check(&[], None);
    }

    #[test]
    fn a_chain_that_leads_nowhere_is_followed_once() {
        let (bytes, tips) = chain(50);
        let mut search = LinkSearch::new(&bytes, vec![elsewhere()]);
        let frame_bytes = bytes.len() / 50;
        let first = Frame::verify(&bytes[3 * frame_bytes..]).unwrap();
        assert!(!search.leads_to_something_known(3 * frame_bytes, first));
        let dead: Vec<usize> = (3..50).map(|frame| frame * frame_bytes).collect();
        assert!(search.dead.iter().copied().eq(dead.iter().copied()));
        // What is marked is not even verified again: were it followed, it would lead to what is known by now.
        search.known.push(tips[49]);
        assert!(dead.iter().all(|at| search.link_at(*at, tips[0]).is_none()));
    }
}
