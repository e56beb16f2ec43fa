//! A client's stream of commands, on the voter's side.
//!
//! Responsible for: order, the structure of entries, what each role may send, room. Not responsible for:
//! sessions; only the engine knows whether a command is new, and whose session it names.

use std::sync::Arc;

use bytes::Bytes;
use journal::{Entries, EntryKind, Sequence, SessionId};
use tokio::sync::mpsc;

use crate::conversation::{Submit, TOLD, Told};
use crate::endpoint::{Closed, close};
use crate::service::{Batch, Conversation, ConversationError, Denied, FromLoop, Replies, ToLoop};
use crate::wire::{MessageReader, MessageWriter};

/// A reason is for people, and part of a message's header.
const REASON_BYTES_MAX: usize = 4 * 1024;

/// Answers in one message. Each takes at most 15 bytes of its header.
const ANSWERS_MAX: usize = 2048;

impl Conversation {
    pub(crate) async fn commands(
        self,
        mut reader: MessageReader,
        mut writer: MessageWriter,
    ) -> Result<(), ConversationError> {
        let (replies, from_loop) = Replies::channel();
        let intake = Intake { conversation: &self, replies: replies.clone() };
        tokio::select! {
            // Answers first: a client whose commands were just answered can send more.
            biased;
            ended = answer(from_loop, &mut writer) => ended,
            () = replies.overrun().cancelled() => {
                tracing::warn!(actor = %self.actor, "a client does not read its answers; it was disconnected");
                close(&self.connection, Closed::Slow);
                Ok(())
            }
            ended = intake.run(&mut reader) => ended,
        }
    }
}

/// Writes what the loop answers, until this voter is not master any more.
async fn answer(
    mut from_loop: mpsc::Receiver<FromLoop>,
    writer: &mut MessageWriter,
) -> Result<(), ConversationError> {
    while let Some(reply) = from_loop.recv().await {
        match reply {
            FromLoop::Registered { session } => {
                writer.write(&Told::Registered { session: session.0 }, &[]).await?;
            }
            FromLoop::Answers { session, list, bytes } => {
                write_answers(session, &list, bytes, writer).await?;
            }
            FromLoop::Busy { session, from } => {
                writer.write(&Told::Busy { session: session.0, from: from.0 }, &[]).await?;
            }
            FromLoop::Refused { session, sequence, reason } => {
                let reason = cut(reason);
                let refused = Told::Refused { session: session.0, sequence: sequence.0, reason };
                writer.write(&refused, &[]).await?;
            }
            FromLoop::NotNow { session, sequence, reason } => {
                let reason = cut(reason);
                let not_now = Told::NotNow { session: session.0, sequence: sequence.0, reason };
                writer.write(&not_now, &[]).await?;
            }
            FromLoop::NotMaster => {
                writer.write(&Told::NotMaster, &[]).await?;
                writer.finish();
                return Ok(());
            }
        }
    }
    Ok(())
}

fn cut(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    reason
}

/// Writes answers, in as many messages as it takes: a message of the loop may cover a whole session.
async fn write_answers(
    session: SessionId,
    mut list: &[(Sequence, u32)],
    mut bytes: Bytes,
    writer: &mut MessageWriter,
) -> Result<(), ConversationError> {
    while !list.is_empty() {
        let mut payload_bytes = 0;
        let mut fits = |&(_, length): &(Sequence, u32)| {
            payload_bytes += length as usize;
            payload_bytes <= TOLD.payload_bytes_max
        };
        // One alone always fits: outcomes are limited to far less.
        let count = list.iter().take(ANSWERS_MAX).take_while(|answer| fits(answer)).count().max(1);
        let (now, later) = list.split_at(count);
        list = later;
        let payload = bytes.split_to(now.iter().map(|&(_, length)| length as usize).sum());
        let told = now.iter().map(|&(sequence, length)| (sequence.0, length)).collect();
        writer.write(&Told::Answers { session: session.0, list: told }, &[payload]).await?;
    }
    Ok(())
}

/// Takes in what a client sends.
struct Intake<'a> {
    conversation: &'a Conversation,
    replies: Replies,
}

impl Intake<'_> {
    /// Runs until the client ends the stream, which it does when it wants no more answers from here.
    async fn run(self, reader: &mut MessageReader) -> Result<(), ConversationError> {
        while let Some((submit, payload)) = reader.next::<Submit>().await? {
            match submit {
                Submit::Register => self.register(),
                // Sent before the client knew that earlier commands have to be sent again.
                Submit::Batch { attempt } if attempt != self.replies.attempt() => {}
                Submit::Batch { .. } => self.batch(payload)?,
            }
        }
        Ok(())
    }

    fn register(&self) {
        let actor = Arc::clone(&self.conversation.actor);
        let replies = self.replies.clone();
        let allowed = self.conversation.service.gate().session(&actor).map_err(Denied::Refused);
        let asked = allowed.and_then(|()| self.conversation.ask(ToLoop::Register { actor, replies }, 0));
        if let Err(denied) = asked {
            self.deny(denied, SessionId(0), Sequence(0));
        }
    }

    fn batch(&self, payload: Bytes) -> Result<(), ConversationError> {
        let Some((session, first)) = check_structure(&payload)? else { return Ok(()) };
        let Some(allowed) = self.allowed(payload) else { return Ok(()) };
        let bytes = allowed.len();
        let batch = Batch::new(allowed, &self.replies);
        let actor = Arc::clone(&self.conversation.actor);
        let replies = self.replies.clone();
        if let Err(denied) = self.conversation.ask(ToLoop::Commands { batch, actor, replies }, bytes) {
            self.deny(denied, session, first);
        }
        Ok(())
    }

    /// Those of the entries that the client may send; it is told of the others.
    fn allowed(&self, payload: Bytes) -> Option<Bytes> {
        let Conversation { service, actor, .. } = self.conversation;
        let entries = Entries::check(&payload).expect("the structure was checked");
        let judged: Vec<_> =
            entries.iter().map(|entry| (entry, service.gate().command(actor, entry.payload))).collect();
        if judged.iter().all(|(_, verdict)| verdict.is_ok()) {
            return Some(payload);
        }
        let mut allowed = Vec::new();
        for (entry, verdict) in judged {
            match verdict {
                Ok(()) => entry.write(&mut allowed).expect("it has fitted before"),
                Err(reason) => self.deny(Denied::Refused(reason), entry.session, entry.sequence),
            }
        }
        (!allowed.is_empty()).then(|| allowed.into())
    }

    fn deny(&self, denied: Denied, session: SessionId, sequence: Sequence) {
        self.replies.send(match denied {
            Denied::NotMaster => FromLoop::NotMaster,
            Denied::Busy => FromLoop::Busy { session, from: sequence },
            Denied::Refused(reason) => FromLoop::Refused { session, sequence, reason },
        });
    }
}

/// Checks entries from a client; returns their session and the first's sequence, or `None` if there are
/// none.
fn check_structure(payload: &[u8]) -> Result<Option<(SessionId, Sequence)>, ConversationError> {
    let entries = Entries::check(payload)?;
    let mut first = None;
    for entry in entries.iter() {
        // Everything else in a journal is the master's own to write.
        if entry.kind != EntryKind::Command {
            return Err(ConversationError::NotACommand { kind: entry.kind });
        }
        let (session, _) = *first.get_or_insert((entry.session, entry.sequence));
        if entry.session != session
            || entry.sequence < Sequence::FIRST
            || entry.lowest_unacknowledged > entry.sequence
        {
            return Err(ConversationError::OutOfSequence {
                session: entry.session,
                sequence: entry.sequence,
            });
        }
    }
    Ok(first)
}
