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
    /// A doubt from an earlier start stays, and grows with what is damaged now: what was written since has been
    /// acknowledged too.
    #[must_use]
    pub fn found(self, tail: Tail) -> Ballot {
        let standing = match (self.standing, tail) {
            (Standing::Settled, Tail::Uncertain { .. }) => {
                Standing::Unsettled(Doubted { tail, epoch: self.epoch })
            }
            (Standing::Unsettled(doubted), tail) => {
                Standing::Unsettled(doubted.found_again(tail, self.epoch))
            }
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
    /// A committed list of members does not name it any more: never again in this life.
    Removed,
}

/// How it was found that a directory has lost what was voted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amnesia {
    /// The ballot is of an older epoch than the directory's own journal, or than a peer remembers.
    OldBallot,
    /// A peer remembers a later start, or another process: this is an old copy of a directory, or a second one.
    Copied,
    /// The member was readmitted, and its new incarnation given to another process.
    Superseded,
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

    /// After another start, which found this tail in this epoch. An unsettled voter's acknowledgements count, so what
    /// is damaged now may have been acknowledged in any epoch up to this one, and so may what was damaged before.
    #[must_use]
    pub fn found_again(self, found: Tail, epoch: Epoch) -> Doubted {
        use Tail::Uncertain;
        let Uncertain { frame, at, after, more } = self.tail else { return self };
        let Uncertain { frame: new_frame, at: new_at, after: new_after, more: new_more } = found else {
            return self;
        };
        let tail = if at == new_at {
            // Either of two frames in one place: whatever settles a frame without a name settles both.
            let frame = frame.filter(|_| frame == new_frame);
            Uncertain { frame, at, after, more: more || new_more }
        } else if at < new_at {
            Uncertain { frame: None, at, after, more: true }
        } else {
            Uncertain { frame: None, at: new_at, after: new_after, more: true }
        };
        Doubted { tail, epoch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChainHash, FrameId, Index};

    fn uncertain(at: u64, hash: Option<u8>, more: bool) -> Tail {
        let frame = hash.map(|hash| FrameId {
            epoch: Epoch(3),
            first: Index(at),
            last: Index(at),
            hash: ChainHash([hash; 32]),
        });
        Tail::Uncertain { frame, at: Index(at), after: Epoch(2), more }
    }

    /// What was doubted in epoch 3, what a start finds in epoch 5, and what is doubted then.
    #[test]
    fn a_doubt_grows_with_what_the_next_start_finds() {
        let cases = [
            (uncertain(7, Some(1), false), uncertain(7, Some(1), false), uncertain(7, Some(1), false)),
            (uncertain(7, Some(1), false), uncertain(7, Some(2), false), uncertain(7, None, false)),
            (uncertain(7, Some(1), false), uncertain(7, None, true), uncertain(7, None, true)),
            // Frame 7 is back, and frame 9, acknowledged since, is damaged.
            (uncertain(7, Some(1), false), uncertain(9, Some(2), false), uncertain(7, None, true)),
            (uncertain(7, None, false), uncertain(4, Some(2), false), uncertain(4, None, true)),
        ];
        for (known, found, expected) in cases {
            let doubted = Doubted { tail: known, epoch: Epoch(3) };
            let again = doubted.found_again(found, Epoch(5));
            assert_eq!(again, Doubted { tail: expected, epoch: Epoch(5) }, "{known:?}, then {found:?}");
            assert_eq!(doubted.found_again(Tail::Clean, Epoch(5)), doubted);
        }
    }
}
