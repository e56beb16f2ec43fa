//! What is executed, as it happens.

use std::marker::PhantomData;
use std::sync::Arc;

use prevalent::{Line, LineError, Prevalent, RawLine};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// The commands that an [`Observer`](crate::Observer) applies, as it applies them.
#[derive(Debug)]
pub struct Lines<S> {
    receiver: broadcast::Receiver<Arc<RawLine>>,
    state: PhantomData<fn() -> S>,
}

/// What comes next of the log.
pub enum NextLine<S: Prevalent> {
    /// A command was executed.
    Line(Line<S>),
    /// So many were missed, since this end was too slow.
    Missed(u64),
    /// One that this program cannot read.
    Unreadable(LineError),
}

impl<S: Prevalent> Lines<S> {
    pub(super) fn new(receiver: broadcast::Receiver<Arc<RawLine>>) -> Lines<S> {
        Lines { receiver, state: PhantomData }
    }

    /// Waits for the next command. `None` when the observer is gone.
    ///
    /// May be dropped at any time without losing anything.
    pub async fn next(&mut self) -> Option<NextLine<S>> {
        match self.receiver.recv().await {
            Ok(raw) => Some(raw.read().map_or_else(NextLine::Unreadable, NextLine::Line)),
            Err(RecvError::Lagged(missed)) => Some(NextLine::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}
