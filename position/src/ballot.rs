use serde::{Deserialize, Serialize};

use crate::{Epoch, Member, ProcessNumber, Tail};

/// What must be durable before a voter promises anything with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// The highest epoch taken part in.
    pub epoch: Epoch,
    /// Who got this voter's vote in it.
    pub voted_for: Option<Vote>,
    /// Whether its votes and acknowledgements count.
    pub standing: Standing,
}

/// A vote. It is given to one process of a member: another process with the same identity may run on a copy of the
/// member's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Who asked for it.
    pub candidate: Member,
    /// Which of its processes asked.
    pub process: ProcessNumber,
}

impl Ballot {
    /// The ballot of a directory that never took part in an epoch.
    #[must_use]
    pub fn founded() -> Ballot {
        Ballot { epoch: Epoch::NONE, voted_for: None, standing: Standing::Settled }
    }

    /// The ballot after a start has found the journal to end like this: unsettled, if it was whole once.
    ///
    /// A doubt from an earlier start stays what it was. Whatever was written behind it since was not acknowledged in
    /// a way that counts, so damage there is nothing to ask about.
    #[must_use]
    pub fn found(self, tail: Tail) -> Ballot {
        let standing = match (self.standing, tail) {
            (Standing::Settled, Tail::Uncertain { .. }) => {
                Standing::Unsettled(Doubted { tail, epoch: self.epoch })
            }
            (Standing::Unsettled(doubted), tail) => Standing::Unsettled(doubted.found_again(tail)),
            (standing, _) => standing,
        };
        Ballot { standing, ..self }
    }

    /// Whether its votes wait for the end of a doubt.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        matches!(self.standing, Standing::Unsettled(_))
    }
}

/// Whether a voter's votes and acknowledgements count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They do.
    Settled,
    /// The journal has lost something that may have been acknowledged: not until settled.
    /// (A torn tail held nothing acknowledged: it is asked about, but needs no durable mark.)
    Unsettled(Doubted),
    /// The directory has lost what was voted: never again in this life.
    Amnesiac(Amnesia),
}

/// How it was found that a directory has lost what was voted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amnesia {
    /// The ballot is of an older epoch than the directory's own journal, or than a peer remembers.
    OldBallot,
    /// A peer remembers a later start, or another process: this is an old copy of a directory, or a second one.
    Copied,
}

/// What made a voter unsettled. It is kept with the ballot: a later start sees a journal that may go on behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubted {
    /// How the journal ended when that was found: uncertain; or clean in a directory that may be a fresh copy of one
    /// that had more, about which nobody can be asked.
    pub tail: Tail,
    /// The epoch at that time.
    pub epoch: Epoch,
}

impl Doubted {
    /// The doubt of a directory that never took part in an epoch and meets a history: it may be a fresh copy of one
    /// that had more.
    #[must_use]
    pub fn copied_afresh() -> Doubted {
        Doubted { tail: Tail::Clean, epoch: Epoch::NONE }
    }

    /// After another start, which found this tail: what lies lower takes the place of what was known, and all that
    /// lay between was lost with it.
    #[must_use]
    pub fn found_again(self, found: Tail) -> Doubted {
        let tail = match (self.tail, found) {
            (Tail::Uncertain { at: known, .. }, Tail::Uncertain { at, after, .. }) if at < known => {
                Tail::Uncertain { frame: None, at, after, more: true }
            }
            (known, _) => known,
        };
        Doubted { tail, ..self }
    }
}
