//! How long a client's commands wait, and what those are told that wait in vain.
//!
//! Responsible for: the callers' patience, the bytes that may wait, and errors in the words of [`ClientError`]. Not
//! responsible for: numbers, order and what is sent again (`prevalent`'s `SessionClient`), and sending (`courier`).

use std::time::Duration;

use bytes::Bytes;
use journal::{Sequence, SessionId};
use prevalent::{BatchMax, COMMANDS_MAX, Heard, Prevalent, Reply, Say, SessionClient};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ClientError;

/// Bytes of commands in the backlog; one more command may begin below this.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one batch. It is small, so that what a busy voter passes over is, too.
const BATCH_MAX: BatchMax = BatchMax { commands: COMMANDS_MAX, bytes: 64 * 1024 };

/// A command, as a caller gives it.
pub(crate) struct Call<S: Prevalent> {
    pub(crate) payload: Vec<u8>,
    pub(crate) caller: Caller<S>,
}

/// Who waits for an answer, and for how long.
pub(crate) struct Caller<S: Prevalent> {
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Result<Reply<S>, ClientError>>,
}

/// Why commands are given up.
pub(crate) struct GivingUp {
    pub(crate) waited: Duration,
    pub(crate) tried: String,
    /// Why the master has not opened a session, if it has said so.
    pub(crate) not_now: Option<String>,
}

/// Commands that have no answer.
pub(crate) struct Backlog<S: Prevalent> {
    pub(crate) session: SessionClient<Caller<S>>,
}

impl<S: Prevalent> Backlog<S> {
    pub(crate) fn new() -> Backlog<S> {
        Backlog { session: SessionClient::new() }
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.session.is_full() && self.session.bytes() < BYTES_MAX
    }

    pub(crate) fn push(&mut self, Call { payload, caller }: Call<S>) {
        self.session.push(payload, caller);
    }

    /// When the first command will have waited for too long. Commands have equal patience, so it is the
    /// first in order too.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.session.waiting().next().map(|caller| caller.deadline)
    }

    /// What to send now. Commands whose callers have left before anything was sent are forgotten.
    pub(crate) fn say(&mut self) -> (Say, Bytes) {
        let mut entries = Vec::new();
        let say = self.session.say(BATCH_MAX, |caller| !caller.reply.is_closed(), &mut entries);
        (say, entries.into())
    }

    /// An answer has come. `false`: the voter has put it off, and wants to be left alone for a while.
    pub(crate) fn answer(&mut self, session: SessionId, sequence: Sequence, bytes: &[u8]) -> bool {
        match self.session.answer(session, sequence, bytes) {
            Heard::Answer(caller) => caller.tell(Reply::read(bytes).map_err(ClientError::from)),
            Heard::PutOff => return false,
            Heard::SessionLost(lost) => {
                lost.into_iter().for_each(|caller| caller.tell(Err(ClientError::SessionExpired)));
            }
            Heard::Stale => {}
        }
        true
    }

    /// A command was not journaled, and `why` not.
    pub(crate) fn refused(&mut self, session: SessionId, sequence: Sequence, why: ClientError) {
        if let Some(caller) = self.session.refused(session, sequence, 1).next() {
            caller.tell(Err(why));
        }
    }

    /// There was no room for a command. `false`: it is sent again after a while, since a former master may have
    /// journaled it.
    pub(crate) fn not_now(&mut self, session: SessionId, sequence: Sequence, reason: String) -> bool {
        match self.session.not_now(session, sequence) {
            Heard::Answer(caller) => caller.tell(Err(ClientError::NotNow { reason })),
            Heard::PutOff => return false,
            Heard::SessionLost(_) | Heard::Stale => {}
        }
        true
    }

    /// No session can be opened.
    pub(crate) fn refuse_all(&mut self, reason: &str) {
        for caller in self.session.give_up_all() {
            caller.tell(Err(ClientError::Refused { reason: reason.to_owned() }));
        }
    }

    /// Gives up the commands whose time is over.
    pub(crate) fn give_up(&mut self, now: Instant, why: impl Fn() -> GivingUp) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            let Some((caller, was_sent)) = self.session.give_up_first() else { return };
            let GivingUp { waited, tried, not_now } = why();
            caller.tell(Err(match not_now {
                _ if was_sent => ClientError::Unknown { waited, tried },
                Some(reason) => ClientError::NotNow { reason },
                None => ClientError::NoMaster { waited, tried },
            }));
        }
    }
}

impl<S: Prevalent> Caller<S> {
    fn tell(self, result: Result<Reply<S>, ClientError>) {
        // A caller that has left does not want it.
        drop(self.reply.send(result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::tests::Echo;

    type Answer = oneshot::Receiver<Result<Reply<Echo>, ClientError>>;

    const SESSION: SessionId = SessionId(9);

    fn backlog(payloads: &[&'static str]) -> (Backlog<Echo>, Vec<Answer>) {
        let mut backlog = Backlog::new();
        backlog.session.registered(SESSION);
        let answers = payloads.iter().map(|payload| push(&mut backlog, payload)).collect();
        (backlog, answers)
    }

    fn push(backlog: &mut Backlog<Echo>, payload: &'static str) -> Answer {
        let (reply, answer) = oneshot::channel();
        let caller = Caller { deadline: Instant::now(), reply };
        backlog.push(Call { payload: payload.into(), caller });
        answer
    }

    fn give_up(backlog: &mut Backlog<Echo>, not_now: Option<&str>) {
        backlog.give_up(Instant::now(), || GivingUp {
            waited: Duration::ZERO,
            tried: String::new(),
            not_now: not_now.map(str::to_owned),
        });
    }

    #[test]
    fn who_gives_up_learns_whether_anything_was_sent() {
        let (mut backlog, mut answers) = backlog(&["a", "b"]);
        assert_eq!(backlog.say().0, Say::Commands { attempt: 0 });
        let mut c = push(&mut backlog, "c");
        give_up(&mut backlog, None);
        assert!(matches!(answers[0].try_recv(), Ok(Err(ClientError::Unknown { .. }))));
        assert!(matches!(answers[1].try_recv(), Ok(Err(ClientError::Unknown { .. }))));
        assert!(matches!(c.try_recv(), Ok(Err(ClientError::NoMaster { .. }))));
    }

    #[test]
    fn who_gives_up_on_a_full_table_learns_that_it_is_full() {
        let (mut backlog, mut answers) = backlog(&["a"]);
        give_up(&mut backlog, Some("full"));
        assert!(matches!(answers[0].try_recv(), Ok(Err(ClientError::NotNow { reason })) if reason == "full"));
    }

    #[test]
    fn callers_learn_of_a_lost_session_of_a_refusal_and_of_their_answer() {
        let (mut backlog, mut answers) = backlog(&["a", "b", "c"]);
        assert_eq!(backlog.say().0, Say::Commands { attempt: 0 });
        let refused = ClientError::Refused { reason: "no".to_owned() };
        backlog.refused(SESSION, Sequence(1), refused);
        assert!(matches!(answers[0].try_recv(), Ok(Err(ClientError::Refused { .. }))));
        // The tags are a format: `docs/format/image.md`.
        assert!(backlog.answer(SESSION, Sequence(2), &[2]));
        assert!(matches!(answers[1].try_recv(), Ok(Ok(Reply::Panicked))));
        assert!(!backlog.answer(SESSION, Sequence(3), &[7]), "put off");
        backlog.session.disconnected();
        assert_eq!(backlog.say().0, Say::Commands { attempt: 0 });
        assert!(!backlog.not_now(SESSION, Sequence(3), "full".to_owned()), "it may have been journaled");
        assert!(answers[2].try_recv().is_err());
        assert!(backlog.answer(SESSION, Sequence(3), &[3]), "unknown session");
        assert!(matches!(answers[2].try_recv(), Ok(Err(ClientError::SessionExpired))));
    }

    #[test]
    fn a_caller_that_leaves_early_enough_has_sent_nothing() {
        let (mut backlog, mut answers) = backlog(&["a"]);
        drop(answers.remove(0));
        assert_eq!(backlog.say(), (Say::Nothing, Bytes::new()));
        assert!(backlog.session.is_empty());
    }

    #[test]
    fn the_backlog_is_bounded() {
        let (mut backlog, mut answers) = backlog(&[]);
        while backlog.has_room() {
            answers.push(push(&mut backlog, "x"));
        }
        assert_eq!(answers.len(), COMMANDS_MAX);
        backlog.refuse_all("no");
        assert!(backlog.has_room());
        let (reply, _answer) = oneshot::channel();
        let caller = Caller { deadline: Instant::now(), reply };
        backlog.push(Call { payload: vec![0; BYTES_MAX], caller });
        assert!(!backlog.has_room());
    }
}
