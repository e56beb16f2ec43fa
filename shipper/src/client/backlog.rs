//! A client's commands that have not been answered.
//!
//! Responsible for: their numbers, their order, and what is sent again to whom, so that each is executed
//! at most once. Not responsible for: sending; it is plain data, and its time is an argument.
//!
//! ```text
//!   first sent on an earlier stream │ on this one │ never sent
//!   ────────────────────────────────┼─────────────┼───────────
//!   0                       earlier │    numbered │        len
//! ```
//!
//! A command gets its number, the sequence, when it is sent for the first time, and keeps it. After a
//! change of master everything numbered is sent again, in order, with the same numbers: the session on the
//! new master knows which of them were executed. What was never sent can still be taken back, or be
//! numbered in another session.
//!
//! If the session is gone, because it was idle for long, nobody knows what became of those that were first
//! sent on an earlier stream. Those of this one the session's end has met: answers come in the order of the
//! journal, so whatever was executed before that end was answered before it. They were not executed, and never
//! will be in that session.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use journal::{Entry, EntryKind, Sequence, SessionId};
use prevalent::SESSION_WINDOW;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ClientError;

/// Commands in the backlog: half of what a session can remember, so that it never is the bound.
const COMMANDS_MAX: usize = 512;
const _: () = assert!(COMMANDS_MAX as u64 * 2 <= SESSION_WINDOW);
/// Bytes of commands in the backlog; one more command may begin below this.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one batch; one more command may begin below this.
const BATCH_BYTES: usize = 64 * 1024;

/// A command, as a caller gives it, who waits for an `A`.
pub(crate) struct Order<A> {
    pub(crate) payload: Bytes,
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Result<A, ClientError>>,
}

struct Pending<A> {
    /// Only if it was sent.
    sequence: Option<Sequence>,
    order: Order<A>,
}

/// Why commands are given up.
pub(crate) struct GivingUp {
    pub(crate) waited: Duration,
    pub(crate) tried: String,
    /// Why the master has not opened a session, if it has said so.
    pub(crate) not_now: Option<String>,
}

pub(crate) struct Backlog<A> {
    pending: VecDeque<Pending<A>>,
    bytes: usize,
    /// Of the next command that is sent for the first time.
    next: Sequence,
    /// First sent on an earlier stream.
    earlier: usize,
    /// Sent at least once.
    numbered: usize,
    /// Sent on this stream; what is numbered beyond is to be sent again.
    sent: usize,
}

impl<A> Backlog<A> {
    pub(crate) fn new() -> Backlog<A> {
        Backlog {
            pending: VecDeque::new(),
            bytes: 0,
            next: Sequence::FIRST,
            earlier: 0,
            numbered: 0,
            sent: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.pending.len() < COMMANDS_MAX && self.bytes < BYTES_MAX
    }

    pub(crate) fn push(&mut self, order: Order<A>) {
        self.bytes += order.payload.len();
        self.pending.push_back(Pending { sequence: None, order });
    }

    /// When the first command will have waited for too long. Commands have equal patience, so it is the
    /// first in order too.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.pending.front().map(|first| first.order.deadline)
    }

    /// Whether there is something that was not sent on this stream.
    pub(crate) fn has_unsent(&self) -> bool {
        self.sent < self.numbered || (self.sent < self.pending.len() && self.next_fits())
    }

    /// A session remembers so many answers from the lowest unacknowledged on.
    fn next_fits(&self) -> bool {
        self.next.0 - self.lowest().0 < SESSION_WINDOW
    }

    /// The client knows the answers of all sequences below this one.
    fn lowest(&self) -> Sequence {
        self.pending.front().and_then(|first| first.sequence).unwrap_or(self.next)
    }

    /// The next commands to send, as entries of `session`; empty if there are none.
    pub(crate) fn next_batch(&mut self, session: SessionId) -> Vec<u8> {
        let mut batch = Vec::new();
        while batch.len() < BATCH_BYTES && self.has_unsent() {
            if self.sent == self.numbered {
                if self.pending[self.sent].order.reply.is_closed() {
                    // The caller has left before anything was sent.
                    self.remove(self.sent);
                    continue;
                }
                self.pending[self.sent].sequence = Some(self.next);
                self.next = self.next.next();
                self.numbered += 1;
            }
            let Pending { sequence, order } = &self.pending[self.sent];
            let entry = Entry {
                kind: EntryKind::Command,
                session,
                sequence: sequence.expect("everything below `numbered` has a number"),
                lowest_unacknowledged: self.lowest(),
                payload: &order.payload,
            };
            entry.write(&mut batch).expect("the payload was measured when it was submitted");
            self.sent += 1;
        }
        batch
    }

    /// The stream is gone: everything that is unanswered has to be sent again.
    pub(crate) fn disconnected(&mut self) {
        self.earlier = self.numbered;
        self.sent = 0;
    }

    /// The voter has passed over everything from `sequence` on.
    pub(crate) fn send_again_from(&mut self, sequence: Sequence) {
        let before =
            self.pending.iter().take(self.numbered).take_while(|pending| pending.sequence < Some(sequence));
        self.sent = self.sent.min(before.count());
    }

    /// A command has its answer. Returns whether it was still waited for: a repetition may be answered twice.
    pub(crate) fn settle(&mut self, sequence: Sequence, result: Result<A, ClientError>) -> bool {
        let numbered = self.pending.iter().take(self.numbered);
        let Some(at) = numbered.into_iter().position(|pending| pending.sequence == Some(sequence)) else {
            return false;
        };
        answer(self.remove(at), result);
        true
    }

    /// The session is unknown to the voters. Whether the commands that were first sent on an earlier stream
    /// were executed, nobody knows any more; all others will be sent in the next session.
    pub(crate) fn session_lost(&mut self) {
        while self.earlier > 0 {
            answer(self.remove(0), Err(ClientError::SessionExpired));
        }
        for pending in self.pending.iter_mut().take(self.numbered) {
            pending.sequence = None;
        }
        (self.numbered, self.sent) = (0, 0);
        self.next = Sequence::FIRST;
    }

    /// No session can be opened.
    pub(crate) fn refuse_all(&mut self, reason: &str) {
        while !self.pending.is_empty() {
            answer(self.remove(0), Err(ClientError::Refused { reason: reason.to_owned() }));
        }
    }

    /// Gives up the commands whose time is over.
    pub(crate) fn give_up(&mut self, now: Instant, why: impl Fn() -> GivingUp) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            let GivingUp { waited, tried, not_now } = why();
            let was_sent = self.numbered > 0;
            let error = match not_now {
                _ if was_sent => ClientError::Unknown { waited, tried },
                Some(reason) => ClientError::NotNow { reason },
                None => ClientError::NoMaster { waited, tried },
            };
            answer(self.remove(0), Err(error));
        }
    }

    fn remove(&mut self, at: usize) -> Order<A> {
        let Pending { order, .. } = self.pending.remove(at).expect("the caller has seen it");
        self.bytes -= order.payload.len();
        self.earlier -= usize::from(at < self.earlier);
        self.numbered -= usize::from(at < self.numbered);
        self.sent -= usize::from(at < self.sent);
        order
    }
}

fn answer<A>(order: Order<A>, result: Result<A, ClientError>) {
    // A caller that has left does not want it.
    drop(order.reply.send(result));
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::Entries;

    type Answer = oneshot::Receiver<Result<&'static str, ClientError>>;

    const SESSION: SessionId = SessionId(9);

    fn backlog(payloads: &[&'static str]) -> (Backlog<&'static str>, Vec<Answer>) {
        let mut backlog = Backlog::new();
        let answers = payloads.iter().map(|payload| push(&mut backlog, payload)).collect();
        (backlog, answers)
    }

    fn push(backlog: &mut Backlog<&'static str>, payload: &'static str) -> Answer {
        let (reply, answer) = oneshot::channel();
        backlog.push(Order { payload: Bytes::from(payload), deadline: Instant::now(), reply });
        answer
    }

    /// What is sent next: (sequence, lowest unacknowledged, payload).
    fn sent(backlog: &mut Backlog<&'static str>) -> Vec<(u64, u64, String)> {
        let batch = backlog.next_batch(SESSION);
        let entries = Entries::check(&batch).unwrap();
        let read = |entry: Entry<'_>| {
            assert_eq!(entry.session, SESSION);
            let payload = String::from_utf8(entry.payload.to_vec()).unwrap();
            (entry.sequence.0, entry.lowest_unacknowledged.0, payload)
        };
        entries.iter().map(read).collect()
    }

    fn check(backlog: &mut Backlog<&'static str>, expected: &[(u64, u64, &str)]) {
        let expected: Vec<_> = expected.iter().map(|&(s, l, payload)| (s, l, payload.to_owned())).collect();
        assert_eq!(sent(backlog), expected);
    }

    fn give_up(backlog: &mut Backlog<&'static str>, not_now: Option<&str>) {
        backlog.give_up(Instant::now(), || GivingUp {
            waited: Duration::ZERO,
            tried: String::new(),
            not_now: not_now.map(str::to_owned),
        });
    }

    fn settled(backlog: &mut Backlog<&'static str>, sequence: u64) -> bool {
        backlog.settle(Sequence(sequence), Ok("done"))
    }

    #[test]
    fn commands_are_numbered_in_order_and_sent_once() {
        let (mut backlog, _answers) = backlog(&["a", "b"]);
        check(&mut backlog, &[(1, 1, "a"), (2, 1, "b")]);
        check(&mut backlog, &[]);
        let _c = push(&mut backlog, "c");
        assert!(settled(&mut backlog, 1));
        check(&mut backlog, &[(3, 2, "c")]);
    }

    #[test]
    fn after_a_disconnection_the_unanswered_go_again_under_their_numbers() {
        let (mut backlog, mut answers) = backlog(&["a", "b", "c"]);
        check(&mut backlog, &[(1, 1, "a"), (2, 1, "b"), (3, 1, "c")]);
        assert!(settled(&mut backlog, 2));
        assert!(answers[1].try_recv().unwrap().is_ok());
        backlog.disconnected();
        let _d = push(&mut backlog, "d");
        check(&mut backlog, &[(1, 1, "a"), (3, 1, "c"), (4, 1, "d")]);
        assert!(settled(&mut backlog, 1));
        assert!(!settled(&mut backlog, 1), "an answer that comes twice is given once");
    }

    #[test]
    fn a_busy_voter_gets_again_what_it_passed_over() {
        let (mut backlog, _answers) = backlog(&["a", "b", "c"]);
        check(&mut backlog, &[(1, 1, "a"), (2, 1, "b"), (3, 1, "c")]);
        backlog.send_again_from(Sequence(2));
        check(&mut backlog, &[(2, 1, "b"), (3, 1, "c")]);
        assert!(settled(&mut backlog, 1));
        backlog.send_again_from(Sequence(1));
        check(&mut backlog, &[(2, 2, "b"), (3, 2, "c")]);
    }

    #[test]
    fn a_lost_session_fails_what_earlier_streams_sent_and_carries_over_the_rest() {
        let (mut backlog, mut answers) = backlog(&["a", "b"]);
        check(&mut backlog, &[(1, 1, "a"), (2, 1, "b")]);
        backlog.disconnected();
        check(&mut backlog, &[(1, 1, "a"), (2, 1, "b")]);
        let (mut c, mut d) = (push(&mut backlog, "c"), push(&mut backlog, "d"));
        check(&mut backlog, &[(3, 1, "c"), (4, 1, "d")]);
        let mut e = push(&mut backlog, "e");
        assert!(settled(&mut backlog, 1), "executed before the session ended");
        backlog.session_lost();
        assert!(matches!(answers[1].try_recv(), Ok(Err(ClientError::SessionExpired))));
        for carried_over in [&mut c, &mut d, &mut e] {
            assert!(carried_over.try_recv().is_err(), "it was not executed, so it is not lost");
        }
        check(&mut backlog, &[(1, 1, "c"), (2, 1, "d"), (3, 1, "e")]);
        backlog.disconnected();
        backlog.session_lost();
        assert!(matches!(c.try_recv(), Ok(Err(ClientError::SessionExpired))), "now it was sent before");
    }

    #[test]
    fn who_gives_up_learns_whether_anything_was_sent() {
        let (mut backlog, mut answers) = backlog(&["a", "b"]);
        check(&mut backlog, &[(1, 1, "a"), (2, 1, "b")]);
        let mut c = push(&mut backlog, "c");
        give_up(&mut backlog, None);
        assert!(matches!(answers[0].try_recv(), Ok(Err(ClientError::Unknown { .. }))));
        assert!(matches!(answers[1].try_recv(), Ok(Err(ClientError::Unknown { .. }))));
        assert!(matches!(c.try_recv(), Ok(Err(ClientError::NoMaster { .. }))));
        let _d = push(&mut backlog, "d");
        check(&mut backlog, &[(3, 3, "d")]);
    }

    #[test]
    fn who_gives_up_on_a_full_table_learns_that_it_is_full() {
        let (mut backlog, mut answers) = backlog(&["a"]);
        give_up(&mut backlog, Some("full"));
        assert!(matches!(answers[0].try_recv(), Ok(Err(ClientError::NotNow { reason })) if reason == "full"));
    }

    #[test]
    fn a_caller_that_leaves_early_enough_has_sent_nothing() {
        let (mut backlog, mut answers) = backlog(&["a", "b"]);
        drop(answers.remove(0));
        check(&mut backlog, &[(1, 1, "b")]);
    }

    #[test]
    fn a_slow_command_holds_back_those_that_its_session_could_not_remember() {
        let (mut backlog, _first) = backlog(&["slow"]);
        check(&mut backlog, &[(1, 1, "slow")]);
        for sequence in 2..=SESSION_WINDOW {
            let _answer = push(&mut backlog, "quick");
            check(&mut backlog, &[(sequence, 1, "quick")]);
            assert!(settled(&mut backlog, sequence));
        }
        let _answer = push(&mut backlog, "too far");
        check(&mut backlog, &[]);
        assert!(settled(&mut backlog, 1));
        let next = SESSION_WINDOW + 1;
        check(&mut backlog, &[(next, next, "too far")]);
    }

    #[test]
    fn the_backlog_is_bounded() {
        let (mut backlog, mut answers) = backlog(&[]);
        while backlog.has_room() {
            answers.push(push(&mut backlog, "x"));
        }
        assert_eq!(answers.len(), COMMANDS_MAX);
        assert!(settled_all(&mut backlog));
        assert!(backlog.has_room());
    }

    fn settled_all(backlog: &mut Backlog<&'static str>) -> bool {
        let sent = std::iter::from_fn(|| Some(sent(backlog)).filter(|sent| !sent.is_empty()));
        let all: Vec<_> = sent.flatten().collect();
        all.into_iter().all(|(sequence, _, _)| settled(backlog, sequence))
    }
}
