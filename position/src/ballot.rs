use crate::{Epoch, Member, Tail};

/// What must be durable before a voter promises anything with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// The highest epoch taken part in.
    pub epoch: Epoch,
    /// Who got this voter's vote in it.
    pub voted_for: Option<Member>,
    /// Whether its votes and acknowledgements count.
    pub standing: Standing,
}

impl Ballot {
    /// The ballot after a start has found the journal to end like this: unsettled, if it was whole once.
    ///
    /// A doubt from an earlier start stays what it was. Whatever was written behind it since was not acknowledged in
    /// a way that counts, so damage there is nothing to ask about.
    #[must_use]
    pub fn found(self, tail: Tail) -> Ballot {
        let standing = match (self.standing, tail) {
            (Standing::Settled, Tail::Uncertain { .. }) => {
                Standing::Unsettled(Doubted { tail, epoch: self.epoch, voted_for: self.voted_for })
            }
            (Standing::Unsettled(doubted), tail) => Standing::Unsettled(doubted.found_again(tail)),
            (standing, _) => standing,
        };
        Ballot { standing, ..self }
    }

    /// Whether its votes and acknowledgements wait for the end of a doubt.
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
    /// The end of the journal was damaged and may have held something acknowledged: not until settled.
    /// (A torn tail held nothing acknowledged: it is asked about, but needs no durable mark.)
    Unsettled(Doubted),
    /// The disk has lost what was acknowledged or voted, or never knew: never again in this life.
    Amnesiac,
}

/// What made a voter unsettled. It is kept with the ballot: a later start sees a journal that may go on behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubted {
    /// How the journal ended when that was found: uncertain; or clean in a directory that may be a fresh copy of one
    /// that had more, about which nobody can be asked.
    pub tail: Tail,
    /// The epoch at that time.
    pub epoch: Epoch,
    /// Who had got the vote in it: a master that was elected with it is no witness.
    pub voted_for: Option<Member>,
}

impl Doubted {
    /// The doubt of a directory that never took part in an epoch and meets a history: it may be a fresh copy of one
    /// that had more.
    #[must_use]
    pub fn copied_afresh() -> Doubted {
        Doubted { tail: Tail::Clean, epoch: Epoch::NONE, voted_for: None }
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
