//! What a client is told about a command: the bytes that the session keeps and the wire carries.
//!
//! Responsible for: the tag byte before an archive, and reading both. Not responsible for: who is told.

use std::fmt;
use std::ops::Range;

use journal::{Entry, Sequence, SessionId};
use position::{Index, Tip};

use crate::{CodecError, Prevalent, decode};

/// The archive of an outcome or a rejection has at most so many bytes: they are kept in memory by every
/// machine until the client acknowledges them.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The first byte of an answer. A format: numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Outcome = 0,
    Rejection = 1,
    Panicked = 2,
    UnknownSession = 3,
    Forgotten = 4,
    TableFull = 5,
    Registered = 6,
    TooFar = 7,
}

impl Tag {
    pub(crate) fn byte(self) -> u8 {
        self as u8
    }

    fn from_byte(byte: u8) -> Option<Tag> {
        let all = [
            Tag::Outcome,
            Tag::Rejection,
            Tag::Panicked,
            Tag::UnknownSession,
            Tag::Forgotten,
            Tag::TableFull,
            Tag::Registered,
            Tag::TooFar,
        ];
        all.get(usize::from(byte)).copied()
    }
}

/// Appends the answer to a registration.
pub(crate) fn append_registered(session: SessionId, out: &mut Vec<u8>) {
    out.push(Tag::Registered.byte());
    out.extend_from_slice(&session.0.to_le_bytes());
}

/// What became of a command, or of a registration.
pub enum Reply<S: Prevalent> {
    /// The change was made.
    Outcome(S::Outcome),
    /// The state refused the change, and is as it was before.
    Rejection(S::Rejection),
    /// The command made the program panic. It changed nothing, here and on every machine.
    Panicked,
    /// The session was never registered or has expired. This command was not executed; whether an earlier
    /// one of the same sequence was is not known any more.
    UnknownSession,
    /// The sequence is below what the client has acknowledged. It was not executed again.
    Forgotten,
    /// The session table is full; nothing was registered.
    TableFull,
    /// The session is registered.
    Registered(SessionId),
    /// More commands or bytes of answers are unacknowledged than a session may have. This one was not
    /// executed, and may be sent again.
    TooFar,
}

impl<S: Prevalent> fmt::Debug for Reply<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Outcome(outcome) => f.debug_tuple("Outcome").field(outcome).finish(),
            Reply::Rejection(rejection) => f.debug_tuple("Rejection").field(rejection).finish(),
            Reply::Panicked => f.write_str("Panicked"),
            Reply::UnknownSession => f.write_str("UnknownSession"),
            Reply::Forgotten => f.write_str("Forgotten"),
            Reply::TableFull => f.write_str("TableFull"),
            Reply::Registered(id) => f.debug_tuple("Registered").field(id).finish(),
            Reply::TooFar => f.write_str("TooFar"),
        }
    }
}

impl<S: Prevalent> Reply<S> {
    /// Reads an answer's bytes.
    ///
    /// # Errors
    /// If they are no answer of this type's commands.
    pub fn read(bytes: &[u8]) -> Result<Reply<S>, ReplyError> {
        let (&byte, rest) = bytes.split_first().ok_or(ReplyError::Empty)?;
        let tag = Tag::from_byte(byte).ok_or(ReplyError::UnknownTag { tag: byte })?;
        let plain = |reply| if rest.is_empty() { Ok(reply) } else { Err(ReplyError::Length { tag: byte }) };
        match tag {
            Tag::Outcome => Ok(Reply::Outcome(decode(rest)?)),
            Tag::Rejection => Ok(Reply::Rejection(decode(rest)?)),
            Tag::Panicked => plain(Reply::Panicked),
            Tag::UnknownSession => plain(Reply::UnknownSession),
            Tag::Forgotten => plain(Reply::Forgotten),
            Tag::TableFull => plain(Reply::TableFull),
            Tag::TooFar => plain(Reply::TooFar),
            Tag::Registered => {
                let id = rest.try_into().map_err(|_| ReplyError::Length { tag: byte })?;
                Ok(Reply::Registered(SessionId(u64::from_le_bytes(id))))
            }
        }
    }
}

/// Bytes that came as an answer are none. The command may have been executed.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// Every answer has a tag.
    #[error("an answer without a single byte came; the peer runs another version or is faulty")]
    Empty,
    /// A newer program's answer.
    #[error(
        "an answer with the unknown tag {tag} came; the peer runs another version, so update this program"
    )]
    UnknownTag {
        /// The tag.
        tag: u8,
    },
    /// The tag says how long an answer is, and this one is not.
    #[error("an answer with tag {tag} came in the wrong length; the peer runs another version or is faulty")]
    Length {
        /// The tag.
        tag: u8,
    },
    /// The archive behind the tag.
    #[error("an answer came whose archive cannot be read: {0}")]
    Archive(#[from] CodecError),
}

/// The answers that applying frames gave. Reusable: clearing keeps the memory.
#[derive(Debug, Default)]
pub struct Answers {
    /// One for each command and registration, in the order of the journal.
    pub list: Vec<AnswerAt>,
    /// The answers' bytes, one after the other.
    pub bytes: Vec<u8>,
    /// The newest position at which every machine makes a snapshot, if one was passed.
    pub snapshot_due: Option<Tip>,
}

impl Answers {
    /// Forgets all answers and keeps their memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
        self.snapshot_due = None;
    }

    pub(crate) fn push_tag(&mut self, tag: Tag) {
        self.bytes.push(tag.byte());
    }

    /// Ends the answer to `entry`: the bytes since the one before are its own.
    pub(crate) fn close(&mut self, index: Index, executed: Index, entry: &Entry<'_>) {
        let start = self.list.last().map_or(0, |last| last.range.end);
        let range = start..self.bytes.len();
        assert!(!range.is_empty(), "an answer begins with a tag");
        self.list.push(AnswerAt { index, executed, session: entry.session, sequence: entry.sequence, range });
    }

    /// The bytes of one of the answers.
    #[must_use]
    pub fn bytes_of(&self, answer: &AnswerAt) -> &[u8] {
        &self.bytes[answer.range.clone()]
    }
}

/// Which entry an answer is for, and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerAt {
    /// The entry.
    pub index: Index,
    /// The entry that was executed: an earlier one when this one repeats it.
    pub executed: Index,
    /// The entry's session; of a registration, what the entry says, while the new id is in the answer.
    pub session: SessionId,
    /// The entry's sequence.
    pub sequence: Sequence,
    /// Where in [`Answers::bytes`] the answer is.
    pub range: Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode;
    use crate::testing::tally::{Refused, Tally};

    fn answer(tag: u8, rest: &[u8]) -> Vec<u8> {
        [&[tag], rest].concat()
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(format!("{:?}", Reply::<Tally>::read(bytes).unwrap()), expected);
        let cut = Reply::<Tally>::read(&bytes[..bytes.len() - 1]);
        assert!(cut.is_err(), "{expected} was read without its last byte");
    }

    /// The tags are a format: `docs/format/image.md`.
    #[test]
    fn every_answer_is_read() {
        let mut outcome = Vec::new();
        encode(&vec![1_u8, 2], &mut outcome).unwrap();
        check(&answer(0, &outcome), "Outcome([1, 2])");
        let mut rejection = Vec::new();
        encode(&Refused, &mut rejection).unwrap();
        check(&answer(1, &rejection), "Rejection(Refused)");
        check(&[2], "Panicked");
        check(&[3], "UnknownSession");
        check(&[4], "Forgotten");
        check(&[5], "TableFull");
        check(&answer(6, &7_u64.to_le_bytes()), "Registered(SessionId(7))");
        check(&[7], "TooFar");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert!(matches!(Reply::<Tally>::read(&[]), Err(ReplyError::Empty)));
        for tag in 8..=u8::MAX {
            let refused = Reply::<Tally>::read(&[tag]);
            assert!(matches!(refused, Err(ReplyError::UnknownTag { tag: found }) if found == tag));
        }
        for tag in [2, 3, 4, 5, 7] {
            assert!(matches!(Reply::<Tally>::read(&[tag, 0]), Err(ReplyError::Length { .. })), "tag {tag}");
        }
        assert!(matches!(Reply::<Tally>::read(&answer(6, &[0; 9])), Err(ReplyError::Length { tag: 6 })));
        assert!(matches!(Reply::<Tally>::read(&answer(0, &[255; 16])), Err(ReplyError::Archive(_))));
    }
}
