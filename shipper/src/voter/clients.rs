//! Who waits for the answers to which commands.

use std::collections::BTreeMap;

use bytes::Bytes;
use prevalent::{Answered, ClientId, Effects, Prevalent, Refused, Reply, Sequence, Unanswered};

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
            refused("the cluster has no room for another session; try again later".to_owned())
        }
        Ok(other) => refused(format!("a registration was answered with {other:?}")),
        Err(error) => refused(error.to_string()),
    }
}
