//! Printing for people who may have stopped reading: a closed pipe ends a program quietly.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::Exit;

/// What Windows also says of a pipe without a reader.
const PIPE_NOT_CONNECTED: i32 = 233;

/// Prints a line to standard output.
///
/// # Errors
/// If nobody reads any more, or the disk is full behind a redirection.
pub fn say(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Prints a line to standard error. If nobody reads that, there is nobody to tell. Control characters are escaped:
/// a message may repeat what a stranger wrote, and a terminal must not obey that.
pub fn complain(line: impl Display) {
    drop(writeln!(io::stderr().lock(), "{}", harmless(&line.to_string())));
}

/// A text without control characters, but for the ends of its lines.
fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            harmless.extend(character.escape_default());
        } else {
            harmless.push(character);
        }
    }
    harmless
}

/// The exit code of a program's main function, after saying what went wrong, if anything did. `exit_of` is what
/// the program's own errors mean.
#[must_use]
pub fn conclude(
    program: &str,
    done: anyhow::Result<Exit>,
    exit_of: impl FnOnce(&anyhow::Error) -> Exit,
) -> Exit {
    match done {
        Ok(exit) => exit,
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => Exit::Done,
        Err(error) => {
            complain(format_args!("{program}: {}", told(&error)));
            exit_of(&error)
        }
    }
}

/// What went wrong, and why. Most messages have their cause in them already: none is told twice.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told.push_str(": ");
            told.push_str(&cause);
        }
    }
    told
}

/// Whether the reader of our output has gone.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| {
        error.kind() == ErrorKind::BrokenPipe
            || cfg!(windows) && error.raw_os_error() == Some(PIPE_NOT_CONNECTED)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServiceError;

    #[test]
    fn a_reader_that_has_gone_is_told_from_other_trouble() {
        let check = |error: anyhow::Error, expected: Exit| {
            assert_eq!(conclude("test", Err(error), |_| Exit::Corrupted), expected);
        };
        let gone = || io::Error::from(ErrorKind::BrokenPipe);
        check(gone().into(), Exit::Done);
        check(ServiceError::from(gone()).into(), Exit::Done);
        check(anyhow::Error::from(gone()).context("status"), Exit::Done);
        check(io::Error::from(ErrorKind::StorageFull).into(), Exit::Corrupted);
    }

    #[test]
    fn a_terminal_obeys_no_message() {
        assert_eq!(harmless("no \u{1b}[2Jmaster\r\nhere\u{9b}"), "no \\u{1b}[2Jmaster\\r\nhere\\u{9b}");
    }

    #[test]
    fn a_cause_is_told_once() {
        let full = || io::Error::from(ErrorKind::StorageFull);
        let with_cause = anyhow::Error::from(ServiceError::from(full()));
        assert_eq!(told(&with_cause), "cannot print: no storage space");
        assert_eq!(told(&with_cause.context("not done")), "not done: cannot print: no storage space");
        assert_eq!(
            told(&anyhow::Error::from(full()).context("cannot write x")),
            "cannot write x: no storage space"
        );
    }
}
