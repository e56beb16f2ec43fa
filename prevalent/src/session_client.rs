//! A client's side of its session: commands without an answer, their numbers, and what is sent again to whom.
//!
//! Responsible for: the session's registration, the commands' numbers and order, the window, what is sent again after
//! `Busy` and to another master, the lowest unacknowledged number, and which command an answer is for. So each command
//! is executed at most once. Not responsible for: sending, waiting and giving up. It is plain data without a clock, and
//! the same for the embedded store, for clients on a network and for the simulator's.
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

use journal::{Entry, EntryKind, Sequence, SessionId};
use position::Mutant;

use crate::SESSION_WINDOW;
use crate::answer::Tag;

/// Maximum commands without an answer: half of what a session can remember, so that the session never is the bound.
/// In tests of schedules so few that the bound is met all the time.
pub const COMMANDS_MAX: usize = if cfg!(all(test, prevalent_shuttle)) { 3 } else { 512 };
const _: () = assert!(COMMANDS_MAX as u64 * 2 <= SESSION_WINDOW);

/// A client's side of a session. `W` is whoever waits for the answer of one command.
#[derive(Debug)]
pub struct SessionClient<W> {
    opening: Opening,
    commands: VecDeque<Command<W>>,
    /// Payload bytes of all of them.
    bytes: usize,
    /// Of the next command that is sent for the first time.
    next: Sequence,
    /// First sent on an earlier stream.
    earlier: usize,
    /// Sent at least once.
    numbered: usize,
    /// Sent on this stream; what is numbered beyond is to be sent again.
    sent: usize,
    /// How often the voter at the other end of this stream was busy.
    attempt: u32,
}

/// How far the registration is.
#[derive(Clone, Copy, Debug)]
enum Opening {
    None,
    /// Asked for on the present stream.
    Asked,
    Open(SessionId),
}

#[derive(Debug)]
struct Command<W> {
    /// Only if it was sent.
    sequence: Option<Sequence>,
    payload: Vec<u8>,
    waits: W,
}

/// What a client says next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// Nothing now.
    Nothing,
    /// It wants a session.
    Register,
    /// The entries that were laid out. Voters pass over it if they have said `Busy` more often than `attempt`.
    Commands {
        /// How often the voter was busy, as far as this client has heard.
        attempt: u32,
    },
}

/// The bounds of one batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchMax {
    /// Maximum commands.
    pub commands: usize,
    /// Maximum bytes of their entries; a single command may be larger.
    pub bytes: usize,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<W> {
    /// It is for this one's command.
    Answer(W),
    /// The session has no room for this command's answer now. It was not executed, and is sent again.
    PutOff,
    /// The voters do not know the session. Whether the commands of these were executed, nobody knows any more; all
    /// others go into the next session.
    SessionLost(Vec<W>),
    /// Nobody waits for it: it came before, or is of a session that was given up.
    Stale,
}

impl<W> Default for SessionClient<W> {
    fn default() -> SessionClient<W> {
        SessionClient::new()
    }
}

impl<W> SessionClient<W> {
    /// A client without a session.
    #[must_use]
    pub fn new() -> SessionClient<W> {
        SessionClient {
            opening: Opening::None,
            commands: VecDeque::new(),
            bytes: 0,
            next: Sequence::FIRST,
            earlier: 0,
            numbered: 0,
            sent: 0,
            attempt: 0,
        }
    }

    /// A client that goes on with its session, in which all commands below `next` were answered.
    #[must_use]
    pub fn resume(session: SessionId, next: Sequence) -> SessionClient<W> {
        SessionClient { opening: Opening::Open(session), next, ..SessionClient::new() }
    }

    /// The session, once it is open.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match self.opening {
            Opening::Open(session) => Some(session),
            Opening::None | Opening::Asked => None,
        }
    }

    /// Commands without an answer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether every command has its answer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Whether one more command would be too many.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.commands.len() >= COMMANDS_MAX
    }

    /// Payload bytes of the commands without an answer.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who waits, in the order of the commands.
    pub fn waiting(&self) -> impl Iterator<Item = &W> {
        self.commands.iter().map(|command| &command.waits)
    }

    /// Takes a command, whose payload is no larger than any may be.
    pub fn push(&mut self, payload: Vec<u8>, waits: W) {
        self.bytes += payload.len();
        self.commands.push_back(Command { sequence: None, payload, waits });
    }

    /// Whether there is something to say on this stream.
    #[must_use]
    pub fn has_to_say(&self) -> bool {
        match self.opening {
            Opening::None => !self.is_empty(),
            Opening::Asked => false,
            Opening::Open(_) => self.has_unsent(),
        }
    }

    /// What to say now. Commands are laid out in `entries`, which is empty before; those that nobody wants any more
    /// and that were never sent are left out and forgotten.
    pub fn say(&mut self, max: BatchMax, is_wanted: impl Fn(&W) -> bool, entries: &mut Vec<u8>) -> Say {
        match self.opening {
            Opening::None if !self.is_empty() => {
                self.opening = Opening::Asked;
                Say::Register
            }
            Opening::None | Opening::Asked => Say::Nothing,
            Opening::Open(session) => {
                self.next_batch(session, max, is_wanted, entries);
                if entries.is_empty() { Say::Nothing } else { Say::Commands { attempt: self.attempt } }
            }
        }
    }

    fn next_batch(
        &mut self,
        session: SessionId,
        max: BatchMax,
        is_wanted: impl Fn(&W) -> bool,
        entries: &mut Vec<u8>,
    ) {
        let mut count = 0;
        while count < max.commands && self.has_unsent() {
            let at = self.sent;
            if at == self.numbered && !is_wanted(&self.commands[at].waits) {
                self.remove(at);
                continue;
            }
            let command = &self.commands[at];
            let entry = Entry {
                kind: EntryKind::Command,
                session,
                sequence: command.sequence.unwrap_or(self.next),
                lowest_unacknowledged: self.lowest(),
                payload: &command.payload,
            };
            if !entries.is_empty() && entries.len() + entry.bytes() > max.bytes {
                break;
            }
            entry.write(entries).expect("what is too large was refused before");
            if at == self.numbered {
                self.commands[at].sequence = Some(self.next);
                self.next = self.next.next();
                self.numbered += 1;
            }
            self.sent += 1;
            count += 1;
        }
    }

    fn has_unsent(&self) -> bool {
        self.sent < self.numbered || (self.sent < self.commands.len() && self.next_fits())
    }

    /// A session remembers so many answers from the lowest unacknowledged on.
    fn next_fits(&self) -> bool {
        self.next.0 - self.lowest().0 < SESSION_WINDOW
    }

    /// The client knows the answers of all sequences below this one.
    fn lowest(&self) -> Sequence {
        self.commands.front().and_then(|first| first.sequence).unwrap_or(self.next)
    }

    /// The stream is gone: everything that is unanswered has to be said again, to whoever is master.
    pub fn disconnected(&mut self) {
        self.attempt = 0;
        if Mutant::RetriesAsNew.is_active() {
            self.take_numbers_back();
        }
        self.earlier = self.numbered;
        self.sent = 0;
        if matches!(self.opening, Opening::Asked) {
            // Perhaps it was opened, and nobody will ever use it; it expires.
            self.opening = Opening::None;
        }
    }

    /// The session is registered.
    pub fn registered(&mut self, session: SessionId) {
        self.opening = Opening::Open(session);
    }

    /// No session is opened on this request.
    pub fn is_not_registered(&mut self) {
        self.opening = Opening::None;
    }

    /// An answer's bytes have come for a command of this session.
    pub fn answer(&mut self, session: SessionId, sequence: Sequence, bytes: &[u8]) -> Heard<W> {
        if self.session() != Some(session) {
            return Heard::Stale;
        }
        if bytes == [Tag::UnknownSession.byte()] {
            return Heard::SessionLost(self.lose_session());
        }
        if bytes == [Tag::TooFar.byte()] {
            self.send_again_from(sequence);
            return Heard::PutOff;
        }
        self.settle(sequence).map_or(Heard::Stale, Heard::Answer)
    }

    /// The voter has passed over everything from `from` on; for want of a session, over the registration.
    /// Returns whether that was about this client's present session.
    pub fn busy(&mut self, session: SessionId, from: Sequence) -> bool {
        self.attempt += 1;
        match self.opening {
            Opening::Open(open) if open == session => self.send_again_from(from),
            Opening::Asked if session == SessionId(0) => self.opening = Opening::None,
            _ => return false,
        }
        true
    }

    /// This command, and those sent behind it, `commands` in all, were not journaled and are not sent again: who
    /// waited for them.
    pub fn refused(
        &mut self,
        session: SessionId,
        first: Sequence,
        commands: usize,
    ) -> impl Iterator<Item = W> + use<'_, W> {
        let at = if self.session() == Some(session) { self.position(first) } else { None };
        let count = at.map_or(0, |at| commands.min(self.numbered - at));
        (0..count).filter_map(move |_| at.map(|at| self.remove(at)))
    }

    /// There was no room for this command, and it was not journaled on this attempt. That is certain to be the only
    /// one if the command was sent on this stream alone. Else a former master may have journaled it, and this one
    /// execute that: it is sent again, until the session tells its answer.
    pub fn not_now(&mut self, session: SessionId, sequence: Sequence) -> Heard<W> {
        let at = if self.session() == Some(session) { self.position(sequence) } else { None };
        match at {
            Some(at) if at < self.earlier => {
                self.send_again_from(sequence);
                Heard::PutOff
            }
            Some(at) => Heard::Answer(self.remove(at)),
            None => Heard::Stale,
        }
    }

    /// Takes out the first command, whose time is over: who waited, and whether it may have been executed.
    pub fn give_up_first(&mut self) -> Option<(W, bool)> {
        let was_sent = self.numbered > 0;
        (!self.is_empty()).then(|| (self.remove(0), was_sent))
    }

    /// Takes out all commands: who waits is told otherwise.
    pub fn give_up_all(&mut self) -> impl Iterator<Item = W> + use<'_, W> {
        (self.bytes, self.earlier, self.numbered, self.sent) = (0, 0, 0, 0);
        self.commands.drain(..).map(|command| command.waits)
    }

    fn send_again_from(&mut self, sequence: Sequence) {
        let before = self.commands.iter().take(self.numbered);
        self.sent = self.sent.min(before.take_while(|command| command.sequence < Some(sequence)).count());
    }

    /// A command has its answer. `None` if it had one before: a repetition may be answered twice.
    fn settle(&mut self, sequence: Sequence) -> Option<W> {
        self.position(sequence).map(|at| self.remove(at))
    }

    /// Answers come in the order of the sequences, so it is the oldest as a rule.
    fn position(&self, sequence: Sequence) -> Option<usize> {
        let mut numbered = self.commands.iter().take(self.numbered);
        numbered.position(|command| command.sequence == Some(sequence))
    }

    fn lose_session(&mut self) -> Vec<W> {
        let earlier = self.earlier;
        let lost = (0..earlier).map(|_| self.remove(0)).collect();
        self.take_numbers_back();
        self.next = Sequence::FIRST;
        self.opening = Opening::None;
        lost
    }

    /// What was sent is as if it had never been.
    fn take_numbers_back(&mut self) {
        for command in self.commands.iter_mut().take(self.numbered) {
            command.sequence = None;
        }
        (self.earlier, self.numbered, self.sent) = (0, 0, 0);
    }

    fn remove(&mut self, at: usize) -> W {
        let Command { payload, waits, .. } = self.commands.remove(at).expect("the caller has seen it");
        self.bytes -= payload.len();
        self.earlier -= usize::from(at < self.earlier);
        self.numbered -= usize::from(at < self.numbered);
        self.sent -= usize::from(at < self.sent);
        waits
    }
}

#[cfg(test)]
mod tests;
