use position::{Member, MemberId};
use serde::{Deserialize, Serialize};

/// What a voter keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Journal and state: may become master.
    Data,
    /// Journal only: votes, never becomes master.
    Witness,
}

/// One voter of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoterInfo {
    /// Who it is.
    pub member: Member,
    /// Its name for people.
    pub name: String,
    /// Where it listens, `host:port`.
    pub address: String,
    /// Among equally complete journals the higher rank stands first; equal ranks: the higher id.
    pub rank: u32,
    /// What it keeps.
    pub kind: Kind,
}

/// The voters of a cluster, as a frame of its journal lists them. Never read from a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<VoterInfo>", into = "Vec<VoterInfo>")]
pub struct Membership {
    voters: Vec<VoterInfo>,
}

/// A list of voters that cannot be a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Nobody could ever be elected.
    #[error("a cluster needs at least one voter that keeps the state")]
    NoDataVoter,
    /// Majorities would be counted wrongly.
    #[error("voter {0} is listed twice")]
    Twice(MemberId),
    /// More voters than anything here was tested with.
    #[error("{0} voters are listed; at most {max} are supported", max = Membership::VOTERS_MAX)]
    TooMany(usize),
}

impl TryFrom<Vec<VoterInfo>> for Membership {
    type Error = MembershipError;

    fn try_from(voters: Vec<VoterInfo>) -> Result<Membership, MembershipError> {
        Membership::new(voters)
    }
}

impl From<Membership> for Vec<VoterInfo> {
    fn from(membership: Membership) -> Vec<VoterInfo> {
        membership.voters
    }
}

impl Membership {
    /// Every further voter makes each commit wait for one more disk; nine PCs are what this is for.
    pub const VOTERS_MAX: usize = 15;

    /// The cluster of these voters.
    ///
    /// # Errors
    /// If the list cannot be a cluster.
    pub fn new(mut voters: Vec<VoterInfo>) -> Result<Membership, MembershipError> {
        voters.sort_by_key(|voter| voter.member.id);
        if voters.len() > Membership::VOTERS_MAX {
            return Err(MembershipError::TooMany(voters.len()));
        }
        if !voters.iter().any(|voter| voter.kind == Kind::Data) {
            return Err(MembershipError::NoDataVoter);
        }
        match voters.windows(2).find(|pair| pair[0].member.id == pair[1].member.id) {
            Some(pair) => Err(MembershipError::Twice(pair[0].member.id)),
            None => Ok(Membership { voters }),
        }
    }

    /// Before the founding frame is known: nobody votes.
    #[must_use]
    pub fn unknown() -> Membership {
        Membership { voters: Vec::new() }
    }

    /// All voters, by id.
    #[must_use]
    pub fn voters(&self) -> &[VoterInfo] {
        &self.voters
    }

    /// The voter with this id, in whichever life.
    #[must_use]
    pub fn voter(&self, id: MemberId) -> Option<&VoterInfo> {
        self.voters.iter().find(|voter| voter.member.id == id)
    }

    /// Whether this member, in this life, counts.
    #[must_use]
    pub fn counts(&self, member: Member) -> bool {
        self.voters.iter().any(|voter| voter.member == member)
    }

    /// How many voters any two decisions share at least one of.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// How many voters stand before this one if all journals are equal.
    #[must_use]
    pub fn rank_position(&self, id: MemberId) -> u32 {
        let Some(me) = self.voter(id) else { return 0 };
        let before = self.voters.iter().filter(|voter| (voter.rank, voter.member.id) > (me.rank, id)).count();
        u32::try_from(before).expect("at most VOTERS_MAX")
    }

    /// The value that a majority has reached, of one value per counted voter; zero for the silent ones.
    pub(crate) fn reached_by_majority<T: Ord + Default + Copy>(&self, of: impl Fn(Member) -> T) -> T {
        // On the stack: a master counts with every frame and every acknowledgement.
        let mut room = [T::default(); Membership::VOTERS_MAX];
        let values = &mut room[..self.voters.len()];
        for (value, voter) in values.iter_mut().zip(&self.voters) {
            *value = of(voter.member);
        }
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.get(self.majority() - 1).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use position::Incarnation;

    use super::*;

    fn voter(id: u16, rank: u32) -> VoterInfo {
        VoterInfo {
            member: Member { id: MemberId(id), incarnation: Incarnation(7) },
            name: format!("pc{id}"),
            address: String::new(),
            rank,
            kind: Kind::Data,
        }
    }

    #[test]
    fn the_majority_value_is_the_one_that_enough_voters_have_reached() {
        for (values, expected) in
            [(vec![5], 5), (vec![5, 1], 1), (vec![5, 9, 1], 5), (vec![9, 9, 1, 1, 3], 3)]
        {
            let voters = (1..).zip(&values).map(|(id, _)| voter(id, 0)).collect();
            let membership = Membership::new(voters).unwrap();
            let reached = membership.reached_by_majority(|member| values[usize::from(member.id.0) - 1]);
            assert_eq!(reached, expected, "of {values:?}");
        }
    }

    #[test]
    fn ranks_order_the_candidates_and_ids_break_ties() {
        let membership = Membership::new(vec![voter(1, 5), voter(2, 9), voter(3, 5)]).unwrap();
        let positions: Vec<u32> = (1..=3).map(|id| membership.rank_position(MemberId(id))).collect();
        assert_eq!(positions, [2, 0, 1]);
    }

    #[test]
    fn impossible_clusters_are_refused() {
        assert_eq!(Membership::new(vec![]), Err(MembershipError::NoDataVoter));
        assert_eq!(Membership::new(vec![voter(1, 0), voter(1, 1)]), Err(MembershipError::Twice(MemberId(1))));
    }
}
