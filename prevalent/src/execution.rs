//! Runs user code where a panic in it cannot take the machine down.
//!
//! Responsible for: decoding and executing one command, answering one query, and what a master checks
//! of a command before it is journaled. Not responsible for: exactly-once, and what follows a panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use journal::PAYLOAD_BYTES_MAX;

use crate::answer::{ANSWER_BYTES_MAX, Tag};
use crate::{CodecError, Moment, Prevalent, decode, encode, validate};

/// A command is refused before it is journaled; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CommandRefused {
    /// Larger than [`PAYLOAD_BYTES_MAX`].
    #[error("the command has {bytes} bytes and may have {max}; nothing was changed; send it in parts", max = PAYLOAD_BYTES_MAX)]
    TooLarge {
        /// The command's size.
        bytes: usize,
    },
    /// No archive of the type's commands, or nested too deep.
    #[error("the command cannot be read and nothing was changed; is its sender of the same version? {0}")]
    Unreadable(#[from] CodecError),
}

/// Checks a command's size, depth and structure: applying it can then fail by a panic only.
///
/// # Errors
/// If it must not be journaled.
pub fn check_command<S: Prevalent>(payload: &[u8]) -> Result<(), CommandRefused> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(CommandRefused::TooLarge { bytes: payload.len() });
    }
    Ok(validate::<S::Command>(payload)?)
}

/// A query got no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The query or its answer is no good archive.
    #[error("the query cannot be answered: {0}")]
    Archive(#[from] CodecError),
    /// The state's `answer` panicked.
    #[error("the query made the program panic ({message}); nothing was changed; please report it")]
    Panicked {
        /// What the panic said.
        message: String,
    },
}

/// Answers a query from its archive with an archive, which is appended to `out`.
///
/// # Errors
/// If the query cannot be read, or panics. `out` is then as it was before.
pub fn answer_query<S: Prevalent>(state: &S, query: &[u8], out: &mut Vec<u8>) -> Result<(), QueryError> {
    let start = out.len();
    // A query only reads, so a panic leaves nothing half-done behind.
    let answered = catch_unwind(AssertUnwindSafe(|| {
        let query = decode::<S::Query>(query)?;
        encode(&state.answer(&query), out)
    }));
    match answered {
        Ok(answered) => Ok(answered?),
        Err(panic) => {
            out.truncate(start);
            Err(QueryError::Panicked { message: message_of(panic) })
        }
    }
}

/// Why a command could not be executed.
pub(crate) enum Failure {
    /// The state may be half-changed.
    Panicked { message: String },
    /// The state was not touched.
    Unreadable(CodecError),
}

/// Executes one command and appends its tag and archive to `out`.
pub(crate) fn execute<S: Prevalent>(
    state: &mut S,
    payload: &[u8],
    moment: &Moment<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let start = out.len();
    // The caller uses the state no more after a panic.
    let executed = catch_unwind(AssertUnwindSafe(|| {
        let command = decode::<S::Command>(payload).map_err(Failure::Unreadable)?;
        let encoded = match state.execute(command, moment) {
            Ok(outcome) => {
                out.push(Tag::Outcome.byte());
                encode(&outcome, out)
            }
            Err(rejection) => {
                out.push(Tag::Rejection.byte());
                encode(&rejection, out)
            }
        };
        // An answer that cannot be given is as bad as none: the command is undone like one that panics.
        encoded.map_err(|error| Failure::Panicked { message: error.to_string() })
    }));
    let bytes = out.len() - start;
    match executed {
        Err(panic) => Err(Failure::Panicked { message: message_of(panic) }),
        Ok(Err(failure)) => Err(failure),
        Ok(Ok(())) if bytes - 1 > ANSWER_BYTES_MAX => {
            let message = format!("its answer has {bytes} bytes and may have {ANSWER_BYTES_MAX}");
            Err(Failure::Panicked { message })
        }
        Ok(Ok(())) => Ok(()),
    }
}

/// What a panic said, if it said anything.
pub(crate) fn message_of(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic
            .downcast_ref::<&str>()
            .map_or_else(|| "without a message".to_owned(), |message| (*message).to_owned()),
    }
}
