//! What is wrong on a disk, in words for people.

use std::fmt;

use position::{Amnesia, Doubted, Index, Tail, Tip};

use super::run::Damage;
use crate::segment::SegmentName;

/// Something that is wrong in a data directory and has been noticed. Its text names the file, the byte and the
/// entries, says what follows from it and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Frames of the history are damaged, and their name is known.
    Damaged(Damage),
    /// The same where no other voter could have a good copy, found while the state that they led to is in memory.
    DamagedAlone(Damage),
    /// This directory never took part in an epoch, and the cluster has a history: it may be a fresh copy of one that
    /// had more.
    Pristine,
    /// The end of the journal is damaged or gone, and may have been acknowledged.
    InDoubt {
        /// The first entry in doubt.
        from: Index,
        /// Where it should begin, if its file is there.
        place: Option<(SegmentName, usize)>,
        /// What is known of the reason.
        reason: Doubt,
    },
    /// A file of the journal hides nothing and is not read: it does not continue what lies before it.
    SetAside {
        /// The file.
        file: SegmentName,
    },
    /// A file of the journal is too short or too long.
    Length {
        /// The file.
        file: SegmentName,
        /// How long it is.
        bytes: u64,
    },
    /// The header of a segment is damaged. Its name and its frames tell the same.
    SegmentHeader {
        /// The file.
        file: SegmentName,
    },
    /// The mark is unreadable or damaged.
    Mark {
        /// What the system said, if it could not be read.
        error: Option<String>,
    },
    /// No usable snapshot reaches the beginning of the journal.
    NoState {
        /// What the journal's first frame follows.
        base: Tip,
        /// Where the newest usable snapshot ends.
        snapshot: Index,
    },
    /// A snapshot cannot be used.
    Snapshot {
        /// Where it should end.
        index: Index,
        /// Why.
        error: String,
    },
    /// One of the two copies of the identity is damaged.
    IdentityCopy {
        /// Its name.
        file: &'static str,
    },
    /// The directory has lost what its voter promised.
    LostPromise {
        /// What tells so.
        amnesia: Amnesia,
    },
}

/// Why the end of a journal is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Something is damaged there, and nothing names it.
    Damaged,
    /// The journal ends before this entry, up to which this machine's mark says that it was durable.
    BeforeTheMark(Index),
    /// What this machine's mark says of this entry is not what the journal holds.
    AgainstTheMark(Index),
    /// The newest segment, which the ballot names, is missing.
    SegmentMissing(SegmentName),
    /// There is no file of a journal at all.
    NothingThere,
    /// An earlier start has found it, or another voter was told of more than there is.
    FoundBefore,
}

impl Finding {
    /// A doubt that an earlier start or a peer has found, and that nothing on the disk shows any more.
    #[must_use]
    pub fn still_in_doubt(doubted: &Doubted) -> Option<Finding> {
        match doubted.tail {
            Tail::Uncertain { at, .. } => {
                Some(Finding::InDoubt { from: at, place: None, reason: Doubt::FoundBefore })
            }
            Tail::Clean => Some(Finding::Pristine),
            Tail::Torn { .. } => None,
        }
    }

    /// Whether it costs this voter its vote until somebody acts.
    #[must_use]
    pub fn is_fatal_to_the_vote(&self) -> bool {
        matches!(self, Finding::LostPromise { .. })
    }

    /// Writes it to the log.
    pub fn log(&self) {
        if self.is_fatal_to_the_vote() {
            tracing::error!("{self}");
        } else {
            tracing::warn!("{self}");
        }
    }

    /// Writes to the log that it has been dealt with.
    pub fn log_end(&self) {
        match self {
            Finding::Damaged(Damage { id, file, offset, .. }) => tracing::warn!(
                "{file} at byte {offset}: entries {} to {} were damaged; a good copy has come from another voter and lies beside it",
                id.first,
                id.last
            ),
            Finding::InDoubt { from, .. } => {
                tracing::warn!(
                    "the journal from entry {from} on is no longer in doubt; this voter's word counts again"
                );
            }
            Finding::NoState { .. } => {
                tracing::warn!("the state is there again: a snapshot of the master has been installed");
            }
            Finding::Pristine => tracing::warn!(
                "this voter has the whole history of its master now; its word counts from now on"
            ),
            other => other.log_gone(),
        }
    }

    /// Writes to the log that what is wrong lies in nothing that is needed any more.
    pub fn log_gone(&self) {
        match self {
            Finding::Damaged(Damage { id, file, offset, .. })
            | Finding::DamagedAlone(Damage { id, file, offset, .. }) => tracing::warn!(
                "{file} at byte {offset}: entries {} to {} were damaged; a snapshot has taken their place",
                id.first,
                id.last
            ),
            other => tracing::warn!("no longer needed, or written anew: {other}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Damaged(Damage { id, file, offset, bytes, .. }) => write!(
                f,
                "{file} at byte {offset}: entries {} to {} are damaged ({bytes} bytes): the disk returns other bytes than were written. The vote is kept, and another voter is asked for a good copy. Check the disk",
                id.first, id.last
            ),
            Finding::DamagedAlone(Damage { id, file, offset, bytes, .. }) => write!(
                f,
                "{file} at byte {offset}: entries {} to {} are damaged ({bytes} bytes), and there is no other copy. The state that they led to is still in memory: a snapshot of it takes their place. Copy the directory once this is no longer said, and check the disk",
                id.first, id.last
            ),
            Finding::Pristine => write!(
                f,
                "this folder never took part in the cluster, which has a history: it may have been copied to a new disk a second time. This voter stores what a master sends, and its word does not count before it has all of that. If there is no master, bring back the other voters. If the old disk had taken part, do as docs/operations.md says under \"A disk was replaced\""
            ),
            Finding::InDoubt { from, place, reason } => {
                match place {
                    Some((file, offset)) => write!(f, "{file} at byte {offset}: ")?,
                    None => write!(f, "journal: ")?,
                }
                write!(
                    f,
                    "entries from {from} on are in doubt: {reason}. What lies there is left as it is. This voter's word does not count until a master has sent it what is missing. Check the disk"
                )
            }
            Finding::SetAside { file } => write!(
                f,
                "{file} does not continue the journal: it is empty, damaged or comes from elsewhere. It is not read and was left as it is. Remove it once nobody needs it"
            ),
            Finding::Length { file, bytes } => write!(
                f,
                "{file} is {bytes} bytes long, which no segment is: the file system has lost or added something. What is whole in it is used. Check the file system"
            ),
            Finding::SegmentHeader { file } => write!(
                f,
                "{file} at byte 0: the segment's header is damaged. Its name and its frames tell the same, so nothing is lost. Check the disk"
            ),
            Finding::Mark { error: Some(error) } => write!(
                f,
                "mark: it cannot be read ({error}). It is a hint, and the journal is read without it. Check the disk"
            ),
            Finding::Mark { error: None } => write!(
                f,
                "mark: it is damaged. It is a hint, and the journal is read without it. Check the disk"
            ),
            Finding::NoState { base, snapshot } => write!(
                f,
                "snapshots: the newest usable one ends at entry {snapshot}, and the journal begins behind entry {}. This voter stores and votes, and does not stand until the master has sent it a state",
                base.index()
            ),
            Finding::Snapshot { index, error } => write!(
                f,
                "snapshots: the one at entry {index} cannot be used ({error}). It was left as it is, and an older one or the master's takes its place. Check the disk"
            ),
            Finding::IdentityCopy { file } => write!(
                f,
                "{file}: this copy of the identity is damaged. The other one is good, and this one is written anew. Check the disk"
            ),
            Finding::LostPromise { amnesia } => write!(
                f,
                "this voter has lost what it promised: {}. It follows and does not vote any more. Readmit it: fleetctl cluster readmit NAME",
                match amnesia {
                    Amnesia::OldBallot =>
                        "its journal or another voter knows of a later epoch than its ballot (meta.0, meta.1)",
                    Amnesia::Copied =>
                        "another voter knows of a later start: this is an old or a second copy of the folder",
                    Amnesia::Superseded =>
                        "it was readmitted while another process ran on its folder, or on a copy",
                }
            ),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::Damaged => write!(f, "something is damaged there, and nothing on this disk names it"),
            Doubt::BeforeTheMark(index) => write!(f, "the mark says that entries up to {index} were durable"),
            Doubt::AgainstTheMark(index) => {
                write!(f, "the mark names another entry {index} than the journal holds")
            }
            Doubt::SegmentMissing(name) => write!(f, "{name}, which the ballot names, is missing"),
            Doubt::FoundBefore => {
                write!(
                    f,
                    "an earlier start has found them missing, or another voter knows of more than there is"
                )
            }
            Doubt::NothingThere => write!(f, "no file of the journal is there"),
        }
    }
}
