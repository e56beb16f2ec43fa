use std::ops::Range;

use journal::{MetaOrder, Sequence, SessionId, SyncOrder};
use position::Tip;
use quorum::{Alarm, ChangeRefused, ChangeToken, Envelope, ReadToken};
use storage::Slice;

use crate::Prevalent;
use crate::replica::Job;

/// Names a client's connection, for its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// What a step asks its driver to do. Reused from step to step: cleared, capacity kept.
#[derive(Debug)]
pub struct Effects<S: Prevalent> {
    /// Make the journal durable, then say `Synced`. There is at most one at a time.
    pub sync: Option<SyncOrder>,
    /// Make the memory durable, then say `Persisted`. A later one replaces one not yet begun.
    pub persist: Option<MetaOrder>,
    /// Messages to voters, in order. May be lost.
    pub send: Vec<Outgoing>,
    /// Answers to clients, in the order of the journal.
    pub answers: Vec<Answered>,
    /// The bytes of the answers.
    pub bytes: Vec<u8>,
    /// Commands and registrations that were not journaled, and why.
    pub unanswered: Vec<Unanswered>,
    /// Reads that may now be answered from the state.
    pub reads: Vec<ReadToken>,
    /// Reads that this voter cannot answer: it does not lead.
    pub unanswered_reads: Vec<ReadToken>,
    /// What became of changes of the members.
    pub changes: Vec<(ChangeToken, Result<u64, ChangeRefused>)>,
    /// Changes that this voter cannot make: it does not lead. Of those that waited when it stopped to, nobody knows
    /// yet what became.
    pub unanswered_changes: Vec<ChangeToken>,
    /// Work for another thread; then say `Finished`.
    pub start: Vec<Job<S>>,
    /// The state is now that of this tip.
    pub applied: Option<Tip>,
    /// The epoch, the master, the role or the members changed: tell clients.
    pub changed: bool,
    /// This voter stopped leading: all its clients' pending commands have an unknown outcome.
    pub stepped_down: bool,
    /// What a person should know.
    pub alarms: Vec<Alarm>,
}

/// A message to a voter, with the bytes that travel beside it, in order and uncopied.
#[derive(Debug)]
pub struct Outgoing {
    /// The message; its receiver stands in it.
    pub envelope: Envelope,
    /// Frames, or a piece of a snapshot.
    pub payload: Vec<Slice>,
}

/// An answer to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Who asked.
    pub client: ClientId,
    /// The session: for a registration, the new one, if the answer says that it was registered.
    pub session: SessionId,
    /// What: a command of the session, or `None` for a registration.
    pub sequence: Option<Sequence>,
    /// Where the answer's bytes lie in [`Effects::bytes`]; [`Reply::read`](crate::Reply::read) reads them.
    pub bytes: Range<usize>,
}

/// A command or registration that was not journaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Who asked.
    pub client: ClientId,
    /// The session.
    pub session: SessionId,
    /// What: a command of its session, or `None` for a registration or a malformed batch.
    pub sequence: Option<Sequence>,
    /// How many commands this covers: after [`Refused::Busy`] and [`Refused::NotMaster`] the rest of the batch
    /// was not looked at.
    pub commands: usize,
    /// Why.
    pub why: Refused,
}

/// Why a command was not journaled. It certainly has not been executed by this attempt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another voter leads, or none.
    #[error("this voter is not the master")]
    NotMaster,
    /// Too much is pending, or the state is being rebuilt: send it again later.
    #[error("the master is busy; the command was not executed; it may be sent again")]
    Busy,
    /// The disk is full, or the journal is as large as it may be: snapshots could not be made for long.
    #[error(
        "the master has no room on its disk; the command was not executed; reads go on. Make room and try again"
    )]
    NoRoom,
    /// There are as many sessions as there may be, and none of the actor's own has to go first.
    #[error(
        "the cluster has no room for another session; nothing was registered. Sessions end an hour after their last command: try again later"
    )]
    TableFull,
    /// The session was registered with another certificate.
    #[error("the session belongs to another actor")]
    WrongActor,
    /// The command is too large, nests too deep or is no command.
    #[error("{0}")]
    BadCommand(String),
    /// The batch is not laid out as entries: nothing after the flaw was looked at.
    #[error("the batch is malformed: {0}")]
    Malformed(String),
}

impl<S: Prevalent> Effects<S> {
    /// Nothing to do.
    #[must_use]
    pub fn new() -> Effects<S> {
        Effects {
            sync: None,
            persist: None,
            send: Vec::new(),
            answers: Vec::new(),
            bytes: Vec::new(),
            unanswered: Vec::new(),
            reads: Vec::new(),
            unanswered_reads: Vec::new(),
            changes: Vec::new(),
            unanswered_changes: Vec::new(),
            start: Vec::new(),
            applied: None,
            changed: false,
            stepped_down: false,
            alarms: Vec::new(),
        }
    }

    /// Forgets what was done, and keeps the memory.
    ///
    /// # Panics
    /// If an order to the disk was not taken: it would be forgotten.
    pub fn clear(&mut self) {
        assert!(self.sync.is_none() && self.persist.is_none(), "an order to the disk was not taken");
        self.send.clear();
        self.answers.clear();
        self.bytes.clear();
        self.unanswered.clear();
        self.reads.clear();
        self.unanswered_reads.clear();
        self.changes.clear();
        self.unanswered_changes.clear();
        self.start.clear();
        self.applied = None;
        self.changed = false;
        self.stepped_down = false;
        self.alarms.clear();
    }
}

impl<S: Prevalent> Default for Effects<S> {
    fn default() -> Effects<S> {
        Effects::new()
    }
}
