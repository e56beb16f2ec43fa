//! Between clients' connections and the engine's loop.
//!
//! Responsible for: the questions, the answers, and that neither side ever waits for the other. Not
//! responsible for: who may ask what (`gate`), and how it travels (`conversation`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use journal::{Sequence, SessionId};
use position::{Epoch, Index, Tip};
use prevalent::{Actor, SESSION_WINDOW};
use quorum::{Change, ChangeRefused};
use snapshots::Shelf;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::shares::Share;
use crate::conversation::{Members, PastAt, VoterStatus};

/// Messages that may wait for one client's stream of commands: at least one for every command that a
/// session can have unanswered.
pub(super) const REPLIES_MAX: usize = 2048;
const _: () = assert!(REPLIES_MAX as u64 > SESSION_WINDOW);

/// A question, and its place among those that wait.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub what: ToLoop,
    /// To be kept until commands are journaled, or a read is answered.
    pub place: Place,
}

/// A question's place among those that wait. Dropping it makes room for others.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "it is there to be dropped")] pub(super) Share);

#[cfg(test)]
impl Place {
    /// Where nobody else waits.
    pub(crate) fn of_nobody() -> Place {
        let identity = crate::Identity {
            cluster: position::ClusterId(0),
            holder: crate::Holder::Voter(position::MemberId(0)),
            serial: crate::Serial::FIRST,
        };
        Place(
            Arc::<super::Shares>::default().take(&Arc::new(identity), &[]).expect("nothing is always there"),
        )
    }
}

/// What the engine's loop is asked.
#[derive(Debug)]
pub enum ToLoop {
    /// Register a session for `actor`; answer with [`FromLoop::Registered`].
    Register {
        /// Who the certificate names.
        actor: Arc<Actor>,
        /// Where the answer goes.
        replies: Replies,
    },
    /// Journal these commands; each gets exactly one answer, unless the mastership ends.
    Commands {
        /// The commands: well-formed, of kind `Command`, of one session, and allowed for the actor's role.
        batch: Batch,
        /// Who the certificate names. Whether the session is this actor's, the engine knows.
        actor: Arc<Actor>,
        /// Where the answers go.
        replies: Replies,
    },
    /// Answer this query when a read index has passed.
    Read {
        /// A well-formed archive.
        query: Bytes,
        /// Where the answer goes. Closed: nobody waits any more.
        reply: oneshot::Sender<Result<Answer, Denied>>,
    },
    /// Say what is committed, when a read index has passed: the answer has no archive.
    Commit {
        /// Where the answer goes. Closed: nobody waits any more.
        reply: oneshot::Sender<Result<Answer, Denied>>,
    },
    /// Answer this query now, after a read index, and whenever the answer has changed.
    Watch {
        /// A well-formed archive.
        query: Bytes,
        /// Where the latest answer goes. Closed: nobody watches any more. To be dropped when the
        /// mastership ends: the client then asks the next master.
        changes: watch::Sender<Option<Answer>>,
    },
    /// Send committed frames that follow this tip, as soon as there are any.
    Follow {
        /// What the follower has.
        after: Tip,
        /// At most so many bytes at once, but at least one frame.
        bytes_max: usize,
        /// Where the frames go. Closed: nobody follows any more.
        reply: oneshot::Sender<Result<Followed, Denied>>,
    },
    /// Say what is kept of the past.
    Past {
        /// The moment that is asked for.
        at: PastAt,
        /// Where the answer goes.
        reply: oneshot::Sender<Kept>,
    },
    /// Say who the members are.
    Members {
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Members, Denied>>,
    },
    /// Change the members, and say so when the list that has the change is committed.
    Change {
        /// What is to change.
        change: Change,
        /// The number of the list that the operator has seen.
        expected: Option<u64>,
        /// Only say whether it would be done.
        dry_run: bool,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Result<u64, ChangeRefused>, Denied>>,
    },
    /// Say how you are.
    Status {
        /// Where the answer goes.
        reply: oneshot::Sender<VoterStatus>,
    },
}

/// What the engine's loop answers on a stream of commands.
#[derive(Debug)]
pub enum FromLoop {
    /// The session is registered.
    Registered {
        /// Its id.
        session: SessionId,
    },
    /// Commands were executed, now or earlier.
    Answers {
        /// Whose they are.
        session: SessionId,
        /// Which, and how many of the bytes are the answer to each.
        list: Vec<(Sequence, u32)>,
        /// The answers, one after the other.
        bytes: Bytes,
    },
    /// Commands from this sequence on were not accepted: the client sends them again a little later.
    Busy {
        /// Whose they are.
        session: SessionId,
        /// The first.
        from: Sequence,
    },
    /// This command was not journaled and never will be.
    Refused {
        /// Whose it is.
        session: SessionId,
        /// Which; 0: the registration.
        sequence: Sequence,
        /// For people.
        reason: String,
    },
    /// As `Refused`, for a reason that passes.
    NotNow {
        /// Whose it is.
        session: SessionId,
        /// Which; 0: the registration.
        sequence: Sequence,
        /// For people.
        reason: String,
    },
    /// This voter is not master, or not any more: the client asks another.
    NotMaster,
}

/// An answer to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The epoch of the master that gives it.
    pub epoch: Epoch,
    /// What was applied.
    pub index: Index,
    /// The archive.
    pub archive: Bytes,
}

/// What a follower gets next.
#[derive(Clone, Debug)]
pub enum Followed {
    /// Frames.
    Frames {
        /// Whole committed frames in order, as they lie in the journal.
        frames: Vec<Bytes>,
        /// End of the last of them.
        through: Tip,
    },
    /// The journal starts only later, or has another history: start from the newest of these snapshots.
    Behind(Shelf),
}

/// What there is of the past.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The snapshots.
    pub shelf: Shelf,
    /// Where the journal begins.
    pub base: Tip,
    /// The last entry of the moment that was asked for, as far as it is committed.
    pub at: Index,
    /// The last entry that this voter knows to be committed.
    pub commit: Index,
}

/// Why a question is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Another voter is to be asked.
    NotMaster,
    /// To be asked again a little later.
    Busy,
    /// To be asked never again.
    Refused(String),
}

/// Commands on their way to the loop.
#[derive(Debug)]
pub struct Batch {
    entries: Bytes,
    attempt: u32,
    busy: Arc<AtomicU32>,
}

impl Batch {
    pub(crate) fn new(entries: Bytes, replies: &Replies) -> Batch {
        Batch { entries, attempt: replies.attempt(), busy: Arc::clone(&replies.busy) }
    }

    /// The entries, as they go into a frame: checked, and at least one.
    ///
    /// `None` if an earlier batch of the client was answered `Busy` after this one was taken in. Both come
    /// again: were this one accepted, it would overtake the other.
    #[must_use]
    pub fn entries(&self) -> Option<&[u8]> {
        (self.attempt == self.busy.load(Ordering::Relaxed)).then_some(&*self.entries)
    }
}

/// Where the answers to one client's commands go. Never blocks.
#[derive(Clone, Debug)]
pub struct Replies {
    to: mpsc::Sender<FromLoop>,
    /// How many times the client was told `Busy`: see `Submit::Batch`.
    busy: Arc<AtomicU32>,
    overrun: CancellationToken,
}

impl Replies {
    pub(crate) fn channel() -> (Replies, mpsc::Receiver<FromLoop>) {
        let (to, replies) = mpsc::channel(REPLIES_MAX);
        (Replies { to, busy: Arc::default(), overrun: CancellationToken::new() }, replies)
    }

    /// Answers. A client that reads so slowly that its answers pile up loses its connection, and asks for
    /// them again over a new one.
    pub fn send(&self, reply: FromLoop) {
        if matches!(reply, FromLoop::Busy { .. }) {
            // Counted now and not when it is written: what the client sends meanwhile comes too early.
            self.busy.fetch_add(1, Ordering::Relaxed);
        }
        if let Err(TrySendError::Full(_)) = self.to.try_send(reply) {
            self.overrun.cancel();
        }
    }

    /// Whether the client is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.to.is_closed()
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.busy.load(Ordering::Relaxed)
    }

    pub(crate) fn overrun(&self) -> &CancellationToken {
        &self.overrun
    }
}
