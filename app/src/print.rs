//! Printing for people who may have stopped reading: a closed pipe ends a program quietly.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::Exit;

/// Prints a line to standard output.
///
/// # Errors
/// If nobody reads any more, or the disk is full behind a redirection.
pub fn say(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Prints a line to standard error. If nobody reads that, there is nobody to tell.
pub fn complain(line: impl Display) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// The exit code of a program's main function, after saying what went wrong, if anything did.
#[must_use]
pub fn conclude(program: &str, done: anyhow::Result<Exit>) -> Exit {
    match done {
        Ok(exit) => exit,
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => Exit::Done,
        Err(error) => {
            complain(format_args!("{program}: {error:#}"));
            Exit::Failed
        }
    }
}

/// Whether the reader of our output has gone.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
