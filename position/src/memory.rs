use serde::{Deserialize, Serialize};

use crate::{Ballot, Epoch, Member, ProcessNumber};

/// What a voter must not forget: what it promised, and what it knows of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Who it is. It changes once it is given another incarnation.
    pub me: Member,
    /// The number of the newest list of members that names it; 0 before the first.
    pub list: u64,
    /// What it promised.
    pub ballot: Ballot,
    /// The other voters, by id; at most [`Memory::PEERS_MAX`].
    pub peers: Vec<KnownPeer>,
}

impl Memory {
    /// One more than a cluster has voters.
    pub const PEERS_MAX: usize = 16;
}

/// One start of a directory, and the process that it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// How often the directory had been started then, this start included. The first is 1.
    pub boots: u64,
    /// The process.
    pub process: ProcessNumber,
}

/// What one voter knows of another, so that it notices an old or a second copy of the other's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPeer {
    /// The other.
    pub member: Member,
    /// Its latest start that was heard of.
    pub latest: Started,
    /// The highest epoch in which it spoke of what was durable.
    pub epoch: Epoch,
}
