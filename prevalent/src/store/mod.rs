//! The embedded store: a cluster of one, driven by the threads that call it.
//!
//! Responsible for: group commit. Of the threads that wait, one leads: it journals what all have brought,
//! syncs once, applies, hands out the answers and passes the lead on. A hand-over to a flusher thread and
//! back would cost half a sync. Not responsible for: what is written and in which order (`replica`).

mod group;
mod pending;
mod queue;
mod round;
#[cfg(all(test, prevalent_shuttle))]
mod schedules;
#[cfg(all(test, not(prevalent_shuttle)))]
mod tests;
mod threads;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use journal::{Journal, JournalError};
use position::{ClusterId, Incarnation, Member, MemberId, Tip};
use quorum::{MemberInfo, Membership};
use storage::{Disk, DiskError};

use crate::replica::{Fatal, OpenError, Options, Replica, ScrubFound};
use crate::{CodecError, Founding, Prevalent, Reply, ReplyError};
use group::{Group, Held};
pub use pending::Pending;

/// State that survives its process: plain structs, a journal, snapshots, in one directory.
///
/// Cheap to clone; all clones are the same store. Commands of many threads share syncs. The directory is
/// locked until the last clone and the last [`Pending`] are dropped, which waits for background work to end.
pub struct Store<S: Prevalent> {
    group: Arc<Held<S>>,
}

/// A store cannot be opened. The directory was left as it was.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the store in {directory}: {source}")]
pub struct StoreOpenError {
    /// The directory.
    directory: PathBuf,
    /// Why not.
    source: Box<StoreOpenReason>,
}

#[derive(Debug, thiserror::Error)]
enum StoreOpenReason {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Replica(OpenError),
    #[error(
        "{0}; or copy the directory and open it with `Store::salvage`, which gives up what is damaged or lost with \
         all that follows it"
    )]
    Damaged(OpenError),
    #[error(transparent)]
    Fatal(#[from] Fatal),
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("it belongs to a cluster of {0} voters: only the master executable may run it")]
    NotAlone(usize),
}

/// The disk failed: what it holds is no longer known.
#[derive(Debug, thiserror::Error)]
#[error("the store has failed and must be opened again: {0}")]
pub struct StoreFailed(String);

/// A command was not executed, or its outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: fmt::Debug> {
    /// The state refused the command, and is as it was before.
    #[error("rejected: {0:?}")]
    Rejected(R),
    /// The command made the program panic. It changed nothing, and will change nothing in any replay.
    #[error("the command made the program panic; it changed nothing")]
    Panicked,
    /// The command is too large, nests too deep, or cannot be archived. Nothing was journaled.
    #[error("the command was not journaled: {0}")]
    BadCommand(String),
    /// The disk is full, or the journal is as large as it may be. Nothing was journaled; reads go on.
    #[error("there is no room on the disk; the command was not executed. Make room and try again")]
    NoRoom,
    /// The disk failed while the command was under way: a restart tells whether it was executed. No further
    /// command is taken.
    #[error("the store has failed and must be opened again: {0}")]
    Failed(String),
    /// The answer cannot be read: it was made by another version of the program.
    #[error(transparent)]
    Answer(#[from] ReplyError),
}

impl<S: Prevalent> Clone for Store<S> {
    fn clone(&self) -> Store<S> {
        Store { group: Arc::clone(&self.group) }
    }
}

impl<S: Prevalent> fmt::Debug for Store<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("state", &S::NAME).finish_non_exhaustive()
    }
}

impl<S: Prevalent> Store<S> {
    /// Opens the store in this directory, and makes it if there is none. Recovers: newest snapshot, then
    /// the journal.
    ///
    /// # Errors
    /// If another process runs it, if it holds another type's state, or if its only copy is damaged in a
    /// way that a crash does not explain. Nothing is changed then.
    pub fn open(directory: impl AsRef<Path>) -> Result<Store<S>, StoreOpenError> {
        Store::open_or_salvage(directory.as_ref(), false)
    }

    /// The same for a directory that [`Store::open`] refuses since it is damaged: opens it with the state as it was
    /// before the first entry that is damaged or lost. **Commands that were answered may be gone.** Where nothing is
    /// damaged this is [`Store::open`].
    ///
    /// Exactly this is saved: every entry from the newest snapshot that can be used up to the first one that is
    /// damaged or missing. Entries behind a gap may be intact, but they are not executed: each was made for the state
    /// that all entries before it had led to, and that state is not known. So the files that hold them are copied to
    /// `journal/*.given-up` before the store goes on, and nothing ever removes those.
    ///
    /// The identity may be lost as well, with both of its copies (`meta.0` and `meta.1`): it is taken from the journal.
    /// What cannot be saved is a directory of which no snapshot can be used and whose journal does not reach back to
    /// the beginning: its state is gone.
    ///
    /// # Errors
    /// As [`Store::open`], but for damage in the journal.
    pub fn salvage(directory: impl AsRef<Path>) -> Result<Store<S>, StoreOpenError> {
        Store::open_or_salvage(directory.as_ref(), true)
    }

    fn open_or_salvage(directory: &Path, salvage: bool) -> Result<Store<S>, StoreOpenError> {
        let failed = |source| StoreOpenError { directory: directory.to_owned(), source: Box::new(source) };
        let disk = Disk::open(directory).map_err(|error| failed(error.into()))?;
        Store::open_on(disk, salvage).map_err(failed)
    }

    fn open_on(disk: Disk, salvage: bool) -> Result<Store<S>, StoreOpenReason> {
        let random = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(StoreOpenReason::Random);
        let (mut cluster, mut incarnation, mut process) = ([0; 16], [0; 16], [0; 8]);
        random(&mut cluster)?;
        random(&mut incarnation)?;
        random(&mut process)?;
        // A directory that holds a journal and no identity has lost it.
        let is_lost = salvage && Journal::check_absent(&disk).is_err() && !Founding::is_under_way(&disk)?;
        if Founding::is_due(&disk)? && !is_lost {
            let me = Member { id: MemberId(1), incarnation: Incarnation(u128::from_le_bytes(incarnation)) };
            found_alone::<S>(&disk, ClusterId(u128::from_le_bytes(cluster)), me)?;
        }
        let options = Options { sole: true, salvage, ..Options::new(u64::from_le_bytes(process)) };
        let clock = group::Clock::start();
        let replica = Replica::<S>::open(clock.now(), disk, &options)?;
        let voters = replica.membership().voter_count();
        if voters != 1 {
            return Err(StoreOpenReason::NotAlone(voters));
        }
        Ok(Store { group: Arc::new(Group::start(replica, clock)?) })
    }

    /// Executes a command and returns its outcome once it is durable.
    ///
    /// # Errors
    /// If the state rejected it, or if it was not executed; see [`ExecuteError`].
    pub fn execute(&self, command: S::Command) -> Result<S::Outcome, ExecuteError<S::Rejection>> {
        self.submit(&command)?.wait()
    }

    /// Gives a command to the store without waiting, so that one thread can have many under way. They are
    /// executed in the order in which they were submitted.
    ///
    /// Blocks while too many are under way. Nothing is executed before somebody waits for an answer.
    ///
    /// # Errors
    /// If the command cannot be journaled at all.
    pub fn submit(&self, command: &S::Command) -> Result<Pending<S>, ExecuteError<S::Rejection>> {
        Ok(Pending { slot: self.group.submit(command)?, group: Arc::clone(&self.group) })
    }

    /// Looks at the state: as of the last command whose answer was handed out, or later. Commands wait
    /// meanwhile; other readers do not. So whatever executes a command of this store within `look`, or waits for a
    /// thread that does, waits for ever: take out what is needed and let go first.
    ///
    /// # Panics
    /// If the state is gone because the disk failed while it was being rebuilt after a panic.
    pub fn read<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        self.group.read(look)
    }

    /// Reads the whole directory again, past the system's cache: what the disk has spoiled since it was written is
    /// written again from memory where that still holds it, a spoiled snapshot is made anew, and each is told in the
    /// log. Where memory does not hold it either, the state as it is now is written as a snapshot, which takes the place
    /// of what led to it; commands and readers wait for that. It takes as long as reading all of it takes; else commands and readers go on meanwhile.
    ///
    /// A store that is in use does this by itself, slowly, twice a day. Call it for one that is open and idle, and
    /// before a backup.
    ///
    /// # Errors
    /// If the store has failed, now or before.
    pub fn scrub(&self) -> Result<ScrubFound, StoreFailed> {
        self.group.scrub()
    }

    /// What is wrong with the directory and has not been dealt with, in words for people: each says which file it is
    /// about, what follows from it and what to do. Each is in the log as well.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        self.group.findings()
    }

    /// The end of the history that the state reflects.
    #[must_use]
    pub fn applied(&self) -> Tip {
        self.group.applied()
    }
}

fn found_alone<S: Prevalent>(disk: &Disk, cluster: ClusterId, me: Member) -> Result<(), OpenError> {
    let voter = MemberInfo::founder(me, "embedded", "", 0);
    let membership = Membership::founding(vec![voter]).expect("one data voter is a cluster");
    Founding { cluster, membership }.write::<S>(disk, me)
}

/// The machine's clock, in nanoseconds since 1970: for people to read.
#[must_use]
pub fn wall_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    i64::try_from(since).unwrap_or(i64::MAX)
}

impl From<OpenError> for StoreOpenReason {
    fn from(error: OpenError) -> StoreOpenReason {
        match error {
            OpenError::OnlyCopyUncertain { .. }
            | OpenError::OnlyCopyDamaged { .. }
            | OpenError::OnlyCopyForgot { .. }
            | OpenError::IdentityDamaged
            | OpenError::Journal(JournalError::Exists { .. }) => StoreOpenReason::Damaged(error),
            error => StoreOpenReason::Replica(error),
        }
    }
}

impl<R: fmt::Debug> From<CodecError> for ExecuteError<R> {
    fn from(error: CodecError) -> ExecuteError<R> {
        ExecuteError::BadCommand(error.to_string())
    }
}

/// What became of a command, from its answer's bytes.
fn read_answer<S: Prevalent>(bytes: &[u8]) -> Result<S::Outcome, ExecuteError<S::Rejection>> {
    match Reply::<S>::read(bytes)? {
        Reply::Outcome(outcome) => Ok(outcome),
        Reply::Rejection(rejection) => Err(ExecuteError::Rejected(rejection)),
        Reply::Panicked => Err(ExecuteError::Panicked),
        other => Err(ExecuteError::Failed(format!("the store answered itself with {other:?}"))),
    }
}
