//! The commands of a store that have no answer yet, in their order, and which of them are journaled next.
//!
//! Responsible for: that each is answered once, and executed in its turn. Not responsible for: who waits and who
//! leads (`group`).

use std::collections::VecDeque;
use std::sync::Arc;

use journal::{Entry, EntryKind, FRAME_BYTES_MAX, Sequence, SessionId};

use crate::answer::Tag;
use crate::replica::Refused;
use crate::store::pending::{Slot, Verdict};

/// So many commands may be under way: below the window of answers that a session keeps.
const UNDER_WAY_MAX: usize = 512;

#[derive(Debug)]
pub(crate) struct Queue {
    session: SessionId,
    next: Sequence,
    under_way: VecDeque<UnderWay>,
    /// So many of them are journaled in one round. A session keeps a megabyte of answers: what would be answered
    /// beyond it is put off, not executed, and journaled again. So a round whose answers were too much for that
    /// makes the next ones small.
    batch_max: usize,
    /// Commands that were answered since the last batch was taken.
    settled: usize,
    /// Some of the last batch were put off.
    put_off: bool,
}

/// A command without an answer.
#[derive(Debug)]
struct UnderWay {
    sequence: Sequence,
    payload: Vec<u8>,
    slot: Arc<Slot>,
}

impl Queue {
    pub(crate) fn new(session: SessionId, next: Sequence) -> Queue {
        Queue {
            session,
            next,
            under_way: VecDeque::new(),
            batch_max: UNDER_WAY_MAX,
            settled: 0,
            put_off: false,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.under_way.len() >= UNDER_WAY_MAX
    }

    /// Takes a command, whose payload is no larger than any may be.
    pub(crate) fn push(&mut self, payload: Vec<u8>) -> Arc<Slot> {
        let slot = Arc::new(Slot::default());
        let sequence = self.next;
        self.next = sequence.next();
        self.under_way.push_back(UnderWay { sequence, payload, slot: Arc::clone(&slot) });
        slot
    }

    /// Lays out what is to be journaled now. Whatever an earlier batch held has been answered or put off.
    ///
    /// All of it names the same lowest unacknowledged sequence, its own first one: the answers before that have
    /// been handed out. And once one of it is put off, so is everything behind that one: the order stays.
    pub(crate) fn take_batch(&mut self, entries: &mut Vec<u8>) {
        self.batch_max = match self.put_off {
            true => self.settled.max(1),
            false => (self.batch_max + self.batch_max.div_ceil(4)).min(UNDER_WAY_MAX),
        };
        (self.settled, self.put_off) = (0, false);
        let Some(lowest) = self.under_way.front().map(|oldest| oldest.sequence) else { return };
        for UnderWay { sequence, payload, .. } in self.under_way.iter().take(self.batch_max) {
            let entry = Entry {
                kind: EntryKind::Command,
                session: self.session,
                sequence: *sequence,
                lowest_unacknowledged: lowest,
                payload,
            };
            if !entries.is_empty() && entries.len() + entry.bytes() > FRAME_BYTES_MAX {
                break;
            }
            entry.write(entries).expect("what is too large was refused before");
        }
    }

    /// A command has this answer. One that was put off stays, and goes into the next batch.
    pub(crate) fn answer(&mut self, sequence: Sequence, answer: &[u8]) {
        if answer == [Tag::TooFar.byte()] {
            self.put_off = true;
        } else if let Some(at) = self.position(sequence) {
            self.settle(at, Verdict::Answer(answer.to_vec()));
        }
    }

    /// This command of the batch, and those that follow it, `commands` in all, have not been journaled.
    pub(crate) fn refuse(&mut self, first: Sequence, commands: usize, why: &Refused) {
        let Some(at) = self.position(first) else { return };
        for _ in 0..commands.min(self.under_way.len() - at) {
            self.settle(at, Verdict::Refused(why.clone()));
        }
    }

    /// Nothing is answered any more.
    pub(crate) fn fail(&mut self, why: &str) {
        for UnderWay { slot, .. } in self.under_way.drain(..) {
            slot.put(Verdict::Failed(why.to_owned()));
        }
    }

    /// Asks a thread that sleeps to lead, if one does.
    pub(crate) fn ask_to_lead(&self) -> bool {
        self.under_way.iter().any(|command| command.slot.ask_to_lead())
    }

    /// Answers come in the order of the sequences, so it is the oldest as a rule.
    fn position(&self, sequence: Sequence) -> Option<usize> {
        self.under_way.iter().position(|command| command.sequence == sequence)
    }

    fn settle(&mut self, at: usize, verdict: Verdict) {
        if let Some(UnderWay { slot, .. }) = self.under_way.remove(at) {
            self.settled += 1;
            slot.put(verdict);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::{ENTRY_HEADER_BYTES, Entries, PAYLOAD_BYTES_MAX};

    fn queue(commands: usize, payload_bytes: usize) -> (Queue, Vec<Arc<Slot>>) {
        let mut queue = Queue::new(SessionId(3), Sequence(10));
        let slots = (0..commands).map(|_| queue.push(vec![1; payload_bytes])).collect();
        (queue, slots)
    }

    /// Takes a batch, which must be of these sequences.
    #[track_caller]
    fn check(queue: &mut Queue, expected: std::ops::RangeInclusive<u64>) {
        let mut entries = Vec::new();
        queue.take_batch(&mut entries);
        let entries = Entries::check(&entries).unwrap();
        let lowest = Sequence(*expected.start());
        assert!(entries.iter().all(|entry| entry.lowest_unacknowledged == lowest));
        assert!(entries.iter().map(|entry| entry.sequence.0).eq(expected));
    }

    #[test]
    fn what_was_put_off_comes_again_first_and_in_smaller_batches() {
        let (mut queue, slots) = queue(100, 8);
        check(&mut queue, 10..=109);
        for sequence in 10..=109 {
            let answer = if sequence < 30 { &[0, 1][..] } else { &[Tag::TooFar.byte()] };
            queue.answer(Sequence(sequence), answer);
        }
        assert!(slots.iter().take(20).all(|slot| matches!(slot.take(), Some(Verdict::Answer(_)))));
        assert!(slots.iter().skip(20).all(|slot| slot.take().is_none()));
        check(&mut queue, 30..=49);
        (30..=49).for_each(|sequence| queue.answer(Sequence(sequence), &[0, 1]));
        check(&mut queue, 50..=74);
        (50..=74).for_each(|sequence| queue.answer(Sequence(sequence), &[Tag::TooFar.byte()]));
        check(&mut queue, 50..=50);
    }

    #[test]
    fn a_batch_is_no_larger_than_a_frame() {
        let (mut queue, _slots) = queue(10, PAYLOAD_BYTES_MAX);
        assert_eq!(FRAME_BYTES_MAX / (PAYLOAD_BYTES_MAX + ENTRY_HEADER_BYTES), 3);
        check(&mut queue, 10..=12);
    }

    #[test]
    fn a_refusal_covers_the_rest_of_its_batch() {
        let (mut queue, slots) = queue(6, 8);
        check(&mut queue, 10..=15);
        queue.answer(Sequence(10), &[0, 1]);
        queue.refuse(Sequence(11), 1, &Refused::NoRoom);
        queue.refuse(Sequence(12), 4, &Refused::Busy);
        let refused = |slot: &Arc<Slot>| match slot.take() {
            Some(Verdict::Refused(why)) => Some(why),
            _ => None,
        };
        let refused: Vec<_> = slots.iter().map(refused).collect();
        let busy = || Some(Refused::Busy);
        assert_eq!(refused, [None, Some(Refused::NoRoom), busy(), busy(), busy(), busy()]);
        queue.refuse(Sequence(12), 4, &Refused::Busy);
    }
}
