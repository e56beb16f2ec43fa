//! The commands of a store that have no answer yet, in their order, and which of them are journaled next.
//!
//! Responsible for: that each is answered once, and executed in its turn. Not responsible for: who waits and who
//! leads (`group`).

use std::sync::Arc;

use journal::{FRAME_BYTES_MAX, Sequence, SessionId};

use crate::replica::Refused;
use crate::store::pending::{Slot, Verdict};
use crate::{BatchMax, COMMANDS_MAX, Heard, SessionClient};

#[derive(Debug)]
pub(crate) struct Queue {
    session: SessionId,
    client: SessionClient<Arc<Slot>>,
    /// So many of them are journaled in one round. A session keeps a megabyte of answers: what would be answered
    /// beyond it is put off, not executed, and journaled again. So a round whose answers were too much for that
    /// makes the next ones small.
    batch_max: usize,
    /// Commands that were answered since the last batch was taken.
    settled: usize,
    /// Some of the last batch were put off.
    put_off: bool,
}

impl Queue {
    pub(crate) fn new(session: SessionId, next: Sequence) -> Queue {
        Queue {
            session,
            client: SessionClient::resume(session, next),
            batch_max: COMMANDS_MAX,
            settled: 0,
            put_off: false,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.client.is_full()
    }

    /// Takes a command, whose payload is no larger than any may be.
    pub(crate) fn push(&mut self, payload: Vec<u8>) -> Arc<Slot> {
        let slot = Arc::new(Slot::default());
        self.client.push(payload, Arc::clone(&slot));
        slot
    }

    /// Lays out what is to be journaled now. Whatever an earlier batch held has been answered or put off.
    ///
    /// All of it names the same lowest unacknowledged sequence, its own first one: the answers before that have
    /// been handed out. And once one of it is put off, so is everything behind that one: the order stays.
    pub(crate) fn take_batch(&mut self, entries: &mut Vec<u8>) {
        self.batch_max = match self.put_off {
            true => self.settled.max(1),
            false => (self.batch_max + self.batch_max.div_ceil(4)).min(COMMANDS_MAX),
        };
        (self.settled, self.put_off) = (0, false);
        let max = BatchMax { commands: self.batch_max, bytes: FRAME_BYTES_MAX };
        // Whoever has left has not taken its command back.
        self.client.say(max, |_slot| true, entries);
    }

    /// A command has this answer. One that was put off stays, and goes into the next batch.
    pub(crate) fn answer(&mut self, sequence: Sequence, answer: &[u8]) {
        match self.client.answer(self.session, sequence, answer) {
            Heard::Answer(slot) => {
                self.settled += 1;
                slot.put(Verdict::Answer(answer.to_vec()));
            }
            Heard::PutOff => self.put_off = true,
            Heard::SessionLost(lost) => {
                let why = "its journal does not know its own session";
                lost.into_iter().for_each(|slot| slot.put(Verdict::Failed(why.to_owned())));
                self.fail(why);
            }
            Heard::Stale => {}
        }
    }

    /// This command of the batch, and those that follow it, `commands` in all, have not been journaled.
    pub(crate) fn refuse(&mut self, first: Sequence, commands: usize, why: &Refused) {
        for slot in self.client.refused(self.session, first, commands) {
            self.settled += 1;
            slot.put(Verdict::Refused(why.clone()));
        }
    }

    /// Nothing is answered any more.
    pub(crate) fn fail(&mut self, why: &str) {
        for slot in self.client.give_up_all() {
            slot.put(Verdict::Failed(why.to_owned()));
        }
    }

    /// Asks a thread that sleeps to lead, if one does.
    pub(crate) fn ask_to_lead(&self) -> bool {
        self.client.waiting().any(|slot| slot.ask_to_lead())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Tag;
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
