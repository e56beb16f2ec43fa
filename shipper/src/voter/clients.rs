//! What the loop answers to clients, in the words of their service.
//!
//! Responsible for: how an answer or a refusal is told. Not responsible for: who is told (`prevalent`'s `Node`).

use bytes::Bytes;
use journal::Sequence;
use prevalent::{Answered, AnswersTo, Prevalent, Refusal, Refused, Reply, Unanswered};

use crate::service::{FromLoop, Replies};

/// Consecutive answers to one batch travel together.
pub(crate) fn answer<S: Prevalent>(answers: &AnswersTo<'_, Replies>) {
    let AnswersTo { to: replies, list: group, bytes } = answers;
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
    if first.sequence.is_none() {
        return replies.send(registration::<S>(first, bytes));
    }
    let length = |answer: &Answered| u32::try_from(answer.bytes.len()).expect("an answer is below 4 GiB");
    let list = group.iter().filter_map(|answer| Some((answer.sequence?, length(answer)))).collect();
    // The answers of a step lie one after the other.
    let bytes = Bytes::copy_from_slice(&bytes[first.bytes.start..last.bytes.end]);
    replies.send(FromLoop::Answers { session: first.session, list, bytes });
}

/// Something was not journaled.
pub(crate) fn refuse(refusal: Refusal<Replies>) {
    let Unanswered { session, sequence, why, .. } = refusal.unanswered;
    let sequence = sequence.unwrap_or(Sequence(0));
    refusal.to.send(match why {
        Refused::NotMaster => FromLoop::NotMaster,
        Refused::Busy => FromLoop::Busy { session, from: sequence },
        passing @ (Refused::NoRoom | Refused::TableFull) => {
            FromLoop::NotNow { session, sequence, reason: passing.to_string() }
        }
        refused => FromLoop::Refused { session, sequence, reason: refused.to_string() },
    });
}

/// The mastership ended: what is unanswered may or may not have been journaled.
pub(crate) fn dismiss(replies: &Replies) {
    replies.send(FromLoop::NotMaster);
}

fn registration<S: Prevalent>(answer: &Answered, bytes: &[u8]) -> FromLoop {
    let refused =
        |reason: String| FromLoop::Refused { session: answer.session, sequence: Sequence(0), reason };
    match Reply::<S>::read(&bytes[answer.bytes.clone()]) {
        Ok(Reply::Registered(session)) => FromLoop::Registered { session },
        Ok(Reply::TableFull) => {
            let (session, sequence) = (answer.session, Sequence(0));
            FromLoop::NotNow { session, sequence, reason: Refused::TableFull.to_string() }
        }
        Ok(other) => refused(format!("a registration was answered with {other:?}")),
        Err(error) => refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::tests::Echo;
    use journal::SessionId;
    use prevalent::ClientId;

    const SESSION: SessionId = SessionId(7);

    /// What the client of a command, or of a registration, hears when it was not journaled because of `why`.
    fn told(sequence: Option<Sequence>, why: Refused) -> FromLoop {
        let (replies, mut told) = Replies::channel();
        let client = ClientId(0);
        let unanswered = Unanswered { client, session: SESSION, sequence, commands: 1, why };
        refuse(Refusal { to: replies, unanswered });
        told.try_recv().unwrap()
    }

    #[test]
    fn what_passes_is_told_apart_from_what_does_not() {
        let command = Some(Sequence(3));
        assert!(matches!(told(command, Refused::Busy), FromLoop::Busy { from: Sequence(3), .. }));
        let no_room = told(command, Refused::NoRoom);
        assert!(matches!(no_room, FromLoop::NotNow { session: SESSION, sequence: Sequence(3), .. }));
        assert!(matches!(told(None, Refused::TableFull), FromLoop::NotNow { sequence: Sequence(0), .. }));
        assert!(matches!(told(command, Refused::WrongActor), FromLoop::Refused { .. }));
    }

    #[test]
    fn a_registration_that_found_the_table_full_may_come_again() {
        let (replies, mut told) = Replies::channel();
        let answered = Answered { client: ClientId(0), session: SESSION, sequence: None, bytes: 0..1 };
        // The answer as an engine gives it: docs/format/image.md.
        answer::<Echo>(&AnswersTo { to: &replies, list: &[answered], bytes: &[5] });
        assert!(matches!(told.try_recv(), Ok(FromLoop::NotNow { sequence: Sequence(0), .. })));
    }
}
