//! Who waits for the answers to which commands.

use std::collections::BTreeMap;

use bytes::Bytes;
use journal::Sequence;
use prevalent::{Answered, ClientId, Effects, Prevalent, Refused, Reply, Unanswered};

use crate::service::{FromLoop, Replies};

/// The streams of commands with something unanswered. An id stands for one batch.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    next: u64,
    waiting: BTreeMap<ClientId, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    replies: Replies,
    unanswered: usize,
}

impl Clients {
    /// A batch of so many commands, or one registration, whose answers go to `replies`.
    pub(crate) fn admit(&mut self, replies: Replies, commands: usize) -> ClientId {
        self.next += 1;
        let id = ClientId(self.next);
        self.waiting.insert(id, Waiting { replies, unanswered: commands });
        id
    }

    /// Hands out what a step answered: consecutive answers to one batch travel together.
    pub(crate) fn hand_out<S: Prevalent>(&mut self, effects: &Effects<S>) {
        for unanswered in &effects.unanswered {
            self.refuse(unanswered);
        }
        for group in effects.answers.chunk_by(|a, b| a.client == b.client && a.session == b.session) {
            self.answer::<S>(group, &effects.bytes);
        }
    }

    /// The mastership ended: what is unanswered may or may not have been journaled.
    pub(crate) fn dismiss(&mut self) {
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            waiting.replies.send(FromLoop::NotMaster);
        }
    }

    fn answer<S: Prevalent>(&mut self, group: &[Answered], bytes: &[u8]) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
        let Some(replies) = self.settle(first.client, group.len()) else { return };
        if first.sequence.is_none() {
            return replies.send(registration::<S>(first, bytes));
        }
        let length = |answer: &Answered| u32::try_from(answer.bytes.len()).expect("an answer is below 4 GiB");
        let list = group.iter().filter_map(|answer| Some((answer.sequence?, length(answer)))).collect();
        // The answers of a step lie one after the other.
        let bytes = Bytes::copy_from_slice(&bytes[first.bytes.start..last.bytes.end]);
        replies.send(FromLoop::Answers { session: first.session, list, bytes });
    }

    fn refuse(&mut self, unanswered: &Unanswered) {
        let session = unanswered.session;
        let sequence = unanswered.sequence.unwrap_or(Sequence(0));
        let Some(replies) = self.settle(unanswered.client, unanswered.commands) else { return };
        replies.send(match &unanswered.why {
            Refused::NotMaster => FromLoop::NotMaster,
            Refused::Busy => FromLoop::Busy { session, from: sequence },
            passing @ (Refused::NoRoom | Refused::TableFull) => {
                FromLoop::NotNow { session, sequence, reason: passing.to_string() }
            }
            refused => FromLoop::Refused { session, sequence, reason: refused.to_string() },
        });
    }

    fn settle(&mut self, client: ClientId, commands: usize) -> Option<Replies> {
        let waiting = self.waiting.get_mut(&client)?;
        waiting.unanswered = waiting.unanswered.saturating_sub(commands);
        if waiting.unanswered == 0 {
            return self.waiting.remove(&client).map(|waiting| waiting.replies);
        }
        Some(waiting.replies.clone())
    }

    /// Forgets batches whose clients have gone.
    pub(crate) fn sweep(&mut self) {
        self.waiting.retain(|_, waiting| !waiting.replies.is_closed());
    }
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

    const SESSION: SessionId = SessionId(7);

    /// What the client of a command, or of a registration, hears when it was not journaled because of `why`.
    fn told(sequence: Option<Sequence>, why: Refused) -> FromLoop {
        let (mut clients, (replies, mut told)) = (Clients::default(), Replies::channel());
        let client = clients.admit(replies, 1);
        let mut effects = Effects::<Echo>::new();
        effects.unanswered.push(Unanswered { client, session: SESSION, sequence, commands: 1, why });
        clients.hand_out(&effects);
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
        let (mut clients, (replies, mut told)) = (Clients::default(), Replies::channel());
        let client = clients.admit(replies, 1);
        let mut effects = Effects::<Echo>::new();
        // The answer as an engine gives it: docs/format/image.md.
        effects.bytes.push(5);
        effects.answers.push(Answered { client, session: SESSION, sequence: None, bytes: 0..1 });
        clients.hand_out(&effects);
        assert!(matches!(told.try_recv(), Ok(FromLoop::NotNow { sequence: Sequence(0), .. })));
    }
}
