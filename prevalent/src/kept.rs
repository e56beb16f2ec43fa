//! The answers of one session that its client may still ask for again.
//!
//! Responsible for: finding an answer by its sequence, and giving memory back as the client moves on.
//! Not responsible for: limits over all sessions (`session`), what an answer's bytes say (`answer`).

use std::collections::VecDeque;

use position::Index;

use journal::Sequence;

/// A client may have this many sequences between its lowest unacknowledged one and its newest. More in
/// flight would not fill a frame any better, and each costs every machine memory until acknowledged.
pub const SESSION_WINDOW: u64 = 1024;

/// Dead bytes that are not worth moving live ones for.
const SLACK_BYTES: usize = 1024;
/// A session without answers gives larger buffers back: most sessions are idle after a burst.
const IDLE_BYTES_MAX: usize = 16 * 1024;
/// The same for its slots.
const IDLE_SLOTS_MAX: usize = 64;

/// An answer as it was given the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptAnswer<'a> {
    /// The entry that was executed: the first one of its session and sequence.
    pub executed: Index,
    /// The answer.
    pub bytes: &'a [u8],
}

/// What a session's history says about a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SequenceStatus<'a> {
    /// Never executed.
    New,
    /// Executed; this was the answer.
    Answered(KeptAnswer<'a>),
    /// The client has said that it needs this answer no more. Whether it was executed is not known here.
    Forgotten,
    /// Too far above the client's lowest unacknowledged sequence.
    TooFar,
}

/// One slot for each sequence from the lowest to the newest answered one. Commands may be executed out of
/// their order (the master was busy at one and not at the next), so a slot may be empty for a while.
#[derive(Debug)]
pub(crate) struct Kept {
    lowest: Sequence,
    slots: VecDeque<Slot>,
    /// Answers in the order they were given, with the dead ones between that no slot names any more.
    bytes: Vec<u8>,
    /// Bytes that slots name.
    live: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    executed: Index,
    start: u32,
    /// 0: not executed yet. No answer is empty, since each begins with a tag.
    length: u32,
}

impl Slot {
    const EMPTY: Slot = Slot { executed: Index::NONE, start: 0, length: 0 };

    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }
}

impl Kept {
    pub(crate) fn starting_at(lowest: Sequence) -> Kept {
        Kept { lowest, slots: VecDeque::new(), bytes: Vec::new(), live: 0 }
    }

    pub(crate) fn lowest(&self) -> Sequence {
        self.lowest
    }

    pub(crate) fn live_bytes(&self) -> usize {
        self.live
    }

    /// The bytes that would stay if the client's lowest unacknowledged sequence were `lowest`.
    pub(crate) fn live_bytes_from(&self, lowest: Sequence) -> usize {
        let below = lowest.0.saturating_sub(self.lowest.0);
        let below = usize::try_from(below).unwrap_or(usize::MAX);
        self.live - self.slots.iter().take(below).map(|slot| slot.length as usize).sum::<usize>()
    }

    /// The one rule of exactly-once, used before a command is journaled and again when it is applied.
    pub(crate) fn judge(&self, sequence: Sequence, lowest: Sequence) -> SequenceStatus<'_> {
        let lowest = self.lowest.max(lowest);
        if sequence < lowest {
            return SequenceStatus::Forgotten;
        }
        match self.answer(sequence) {
            Some(answer) => SequenceStatus::Answered(answer),
            None if sequence.0 - lowest.0 >= SESSION_WINDOW => SequenceStatus::TooFar,
            None => SequenceStatus::New,
        }
    }

    fn answer(&self, sequence: Sequence) -> Option<KeptAnswer<'_>> {
        let at = usize::try_from(sequence.0.checked_sub(self.lowest.0)?).ok()?;
        let slot = self.slots.get(at).filter(|slot| slot.length > 0)?;
        Some(KeptAnswer { executed: slot.executed, bytes: &self.bytes[slot.range()] })
    }

    /// The client needs no answer below `lowest` any more.
    pub(crate) fn forget_below(&mut self, lowest: Sequence) {
        while self.lowest < lowest {
            let Some(slot) = self.slots.pop_front() else {
                self.lowest = lowest;
                break;
            };
            self.live -= slot.length as usize;
            self.lowest = self.lowest.next();
        }
        if self.live == 0 {
            assert!(self.slots.is_empty(), "the newest slot always holds an answer");
            self.bytes.clear();
            if self.bytes.capacity() > IDLE_BYTES_MAX {
                self.bytes = Vec::new();
            }
            if self.slots.capacity() > IDLE_SLOTS_MAX {
                self.slots = VecDeque::new();
            }
        }
    }

    /// Keeps the answer of a sequence that [`Kept::judge`] called new.
    pub(crate) fn keep(&mut self, sequence: Sequence, executed: Index, answer: &[u8]) {
        assert!(!answer.is_empty(), "an answer begins with a tag");
        assert!(
            matches!(self.judge(sequence, self.lowest), SequenceStatus::New),
            "{sequence} is answered twice"
        );
        if self.bytes.len() > 2 * self.live + SLACK_BYTES {
            self.drop_dead_bytes(answer.len());
        }
        let at = usize::try_from(sequence.0 - self.lowest.0).expect("within the window");
        if at >= self.slots.len() {
            self.slots.resize(at + 1, Slot::EMPTY);
        }
        let start = u32::try_from(self.bytes.len()).expect("answers of a session fit 4 GiB");
        let length = u32::try_from(answer.len()).expect("an answer fits 4 GiB");
        self.bytes.extend_from_slice(answer);
        self.slots[at] = Slot { executed, start, length };
        self.live += answer.len();
    }

    /// Moves the live answers together. Costs one allocation for at least as many dead bytes as live ones.
    fn drop_dead_bytes(&mut self, room: usize) {
        let mut bytes = Vec::with_capacity(2 * self.live + room + SLACK_BYTES);
        for slot in self.slots.iter_mut().filter(|slot| slot.length > 0) {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[slot.range()]);
            slot.start = u32::try_from(start).expect("less than before");
        }
        assert_eq!(bytes.len(), self.live, "slots name exactly the live bytes");
        self.bytes = bytes;
    }

    /// Every kept answer in the order of sequences: the same on every machine, whatever was forgotten when.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Sequence, KeptAnswer<'_>)> {
        let filled = self.slots.iter().enumerate().filter(|(_, slot)| slot.length > 0);
        filled.map(|(at, slot)| {
            let answer = KeptAnswer { executed: slot.executed, bytes: &self.bytes[slot.range()] };
            // Counted from the lowest, not up from it: the lowest may be the last sequence that there is.
            (Sequence(self.lowest.0 + at as u64), answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use super::*;
    use crate::Random;

    fn check(kept: &Kept, sequence: u64, expected: SequenceStatus<'_>) {
        assert_eq!(kept.judge(Sequence(sequence), Sequence(0)), expected, "sequence {sequence}");
    }

    #[test]
    fn a_sequence_is_new_once() {
        let mut kept = Kept::starting_at(Sequence(1));
        check(&kept, 0, SequenceStatus::Forgotten);
        check(&kept, 1, SequenceStatus::New);
        kept.keep(Sequence(1), Index(9), b"one");
        check(&kept, 1, SequenceStatus::Answered(KeptAnswer { executed: Index(9), bytes: b"one" }));
        kept.forget_below(Sequence(2));
        check(&kept, 1, SequenceStatus::Forgotten);
        check(&kept, 2, SequenceStatus::New);
        assert_eq!(kept.live_bytes(), 0);
    }

    #[test]
    fn a_gap_stays_open_for_the_sequence_that_was_overtaken() {
        let mut kept = Kept::starting_at(Sequence(1));
        kept.keep(Sequence(3), Index(9), b"three");
        check(&kept, 2, SequenceStatus::New);
        kept.keep(Sequence(2), Index(10), b"two");
        check(&kept, 1, SequenceStatus::New);
        check(&kept, 2, SequenceStatus::Answered(KeptAnswer { executed: Index(10), bytes: b"two" }));
        kept.forget_below(Sequence(3));
        check(&kept, 3, SequenceStatus::Answered(KeptAnswer { executed: Index(9), bytes: b"three" }));
    }

    #[test]
    fn the_window_moves_with_the_lowest_that_the_command_itself_names() {
        let kept = Kept::starting_at(Sequence(1));
        check(&kept, SESSION_WINDOW, SequenceStatus::New);
        check(&kept, SESSION_WINDOW + 1, SequenceStatus::TooFar);
        assert_eq!(kept.judge(Sequence(SESSION_WINDOW + 1), Sequence(2)), SequenceStatus::New);
        assert_eq!(kept.judge(Sequence(1), Sequence(2)), SequenceStatus::Forgotten);
        check(&kept, u64::MAX, SequenceStatus::TooFar);
    }

    #[test]
    fn a_lowest_from_nowhere_costs_no_memory_and_no_time() {
        let mut kept = Kept::starting_at(Sequence(1));
        kept.keep(Sequence(2), Index(1), b"two");
        kept.forget_below(Sequence(u64::MAX));
        assert_eq!(kept.live_bytes(), 0);
        check(&kept, u64::MAX, SequenceStatus::New);
        assert_eq!(kept.iter().count(), 0);
        kept.keep(Sequence(u64::MAX), Index(2), b"last");
        let last = KeptAnswer { executed: Index(2), bytes: b"last" };
        check(&kept, u64::MAX, SequenceStatus::Answered(last));
        assert_eq!(kept.iter().collect::<Vec<_>>(), [(Sequence(u64::MAX), last)]);
    }

    /// Against a map, with sequences out of order and answers of all sizes.
    #[test]
    fn it_keeps_what_a_map_would_keep() {
        let mut random = Random::seeded(7);
        let mut kept = Kept::starting_at(Sequence(1));
        let mut model: BTreeMap<u64, (u64, Vec<u8>)> = BTreeMap::new();
        let mut lowest = 1;
        for index in 1..20_000 {
            let sequence = lowest + random.below(40);
            if let Entry::Vacant(vacant) = model.entry(sequence) {
                let length = usize::try_from(1 + random.below(90)).unwrap();
                let answer = vec![u8::try_from(index % 251).unwrap(); length];
                kept.keep(Sequence(sequence), Index(index), &answer);
                let bound = 2 * kept.live_bytes() + SLACK_BYTES;
                assert!(kept.bytes.len() <= bound, "dead bytes pile up at {index}");
                vacant.insert((index, answer));
            }
            lowest += random.below(10) / 6;
            let beyond = Sequence(lowest + 3);
            model.retain(|&sequence, _| sequence >= lowest);
            kept.forget_below(Sequence(lowest));

            let live: usize = model.values().map(|(_, answer)| answer.len()).sum();
            let live_beyond: usize = model.range(beyond.0..).map(|(_, (_, answer))| answer.len()).sum();
            assert_eq!((kept.live_bytes(), kept.live_bytes_from(beyond)), (live, live_beyond), "at {index}");
        }
        let listed: Vec<_> =
            kept.iter().map(|(sequence, kept)| (sequence.0, kept.executed.0, kept.bytes)).collect();
        let expected: Vec<_> =
            model.iter().map(|(&sequence, (index, answer))| (sequence, *index, &answer[..])).collect();
        assert_eq!(listed, expected);
        assert!(listed.len() > 10, "the test kept next to nothing");
    }
}
