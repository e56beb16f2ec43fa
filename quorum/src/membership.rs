use std::time::Duration;

use position::{Member, MemberId, Mutant, ProcessNumber};
use serde::{Deserialize, Serialize};

/// What a member keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Journal and state: may become master.
    Data,
    /// Journal only: votes, never becomes master.
    Witness,
}

/// Whether a member counts in majorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suffrage {
    /// It does.
    Voter,
    /// It takes frames and snapshots, and counts nowhere.
    Learner(Purpose),
}

/// What a learner follows for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// It becomes a voter as soon as it has what the master has.
    Join,
    /// It takes the place of a voter that stays away.
    Spare,
}

/// What becomes of a voter once another member votes in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Successor {
    /// Who takes its place.
    pub id: MemberId,
    /// It is removed; else it stays, as a spare.
    pub removes: bool,
}

/// One member of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
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
    /// Whether it counts.
    pub suffrage: Suffrage,
    /// The process that this incarnation was given to: of two copies of one directory only one may take it. `None`:
    /// the incarnation came with the folder that founded the cluster.
    pub process: Option<ProcessNumber>,
    /// Who is to vote in its place.
    pub successor: Option<Successor>,
}

impl MemberInfo {
    /// A voter that keeps the state, as `init` founds it.
    #[must_use]
    pub fn founder(member: Member, name: &str, address: &str, rank: u32) -> MemberInfo {
        MemberInfo {
            member,
            name: name.to_owned(),
            address: address.to_owned(),
            rank,
            kind: Kind::Data,
            suffrage: Suffrage::Voter,
            process: None,
            successor: None,
        }
    }

    /// Whether it counts in majorities.
    #[must_use]
    pub fn is_voter(&self) -> bool {
        self.suffrage == Suffrage::Voter || Mutant::CountsLearners.is_active()
    }
}

/// The members of a cluster, as an entry of its journal lists them. Never read from a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Listed", into = "Listed")]
pub struct Membership {
    number: u64,
    replace_after: Duration,
    /// By id.
    members: Vec<MemberInfo>,
}

/// A format: the fields in this order, as postcard lays them out.
#[derive(Serialize, Deserialize)]
struct Listed {
    number: u64,
    replace_after_s: u32,
    members: Vec<MemberInfo>,
}

impl TryFrom<Listed> for Membership {
    type Error = MembershipError;

    fn try_from(listed: Listed) -> Result<Membership, MembershipError> {
        let replace_after = Duration::from_secs(listed.replace_after_s.into());
        Ok(Membership { replace_after, ..Membership::numbered(listed.number, listed.members)? })
    }
}

impl From<Membership> for Listed {
    fn from(list: Membership) -> Listed {
        let replace_after_s = u32::try_from(list.replace_after.as_secs()).unwrap_or(u32::MAX);
        Listed { number: list.number, replace_after_s, members: list.members }
    }
}

/// A list of members that cannot be a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Nobody could ever be elected.
    #[error("a cluster needs at least one voter that keeps the state")]
    NoDataVoter,
    /// Majorities would be counted wrongly.
    #[error("member {0} is listed twice")]
    Twice(MemberId),
    /// Lists count from 1.
    #[error("a list of members without a number")]
    NoNumber,
    /// More members than anything here was tested with.
    #[error("{0} members are listed; at most {max} are supported", max = Membership::MEMBERS_MAX)]
    TooMany(usize),
}

impl Membership {
    /// Every further voter makes each commit wait for one more disk; nine PCs are what this is for.
    pub const MEMBERS_MAX: usize = 15;
    /// The number of the list that founds a cluster. Each further list counts one more.
    pub const FOUNDING: u64 = 1;
    /// How long a voter may stay away before a spare takes its place, unless the operator says otherwise.
    pub const REPLACE_AFTER: Duration = Duration::from_secs(600);

    /// The list that founds a cluster of these voters.
    ///
    /// # Errors
    /// If the list cannot be a cluster.
    pub fn founding(voters: Vec<MemberInfo>) -> Result<Membership, MembershipError> {
        Membership::numbered(Membership::FOUNDING, voters)
    }

    /// The list with this number.
    ///
    /// # Errors
    /// If the list cannot be a cluster.
    pub fn numbered(number: u64, mut members: Vec<MemberInfo>) -> Result<Membership, MembershipError> {
        members.sort_by_key(|info| info.member.id);
        if number < Membership::FOUNDING {
            return Err(MembershipError::NoNumber);
        }
        if members.len() > Membership::MEMBERS_MAX {
            return Err(MembershipError::TooMany(members.len()));
        }
        if !members.iter().any(|info| info.is_voter() && info.kind == Kind::Data) {
            return Err(MembershipError::NoDataVoter);
        }
        match members.windows(2).find(|pair| pair[0].member.id == pair[1].member.id) {
            Some(pair) => Err(MembershipError::Twice(pair[0].member.id)),
            None => Ok(Membership { number, replace_after: Membership::REPLACE_AFTER, members }),
        }
    }

    /// Before the first list is known: nobody votes.
    #[must_use]
    pub fn unknown() -> Membership {
        Membership { number: 0, replace_after: Duration::ZERO, members: Vec::new() }
    }

    /// How long a voter may stay away before a spare takes its place; zero: for ever.
    #[must_use]
    pub fn replace_after(&self) -> Duration {
        self.replace_after
    }

    /// The list that follows this one, with other members.
    ///
    /// # Errors
    /// If the list cannot be a cluster.
    pub(crate) fn followed_by(&self, members: Vec<MemberInfo>) -> Result<Membership, MembershipError> {
        Ok(Membership {
            replace_after: self.replace_after,
            ..Membership::numbered(self.number + 1, members)?
        })
    }

    /// The list that follows this one, with another patience for voters that stay away.
    pub(crate) fn with_replace_after(&self, replace_after: Duration) -> Membership {
        Membership { number: self.number + 1, replace_after, members: self.members.clone() }
    }

    /// How many members count by one of two lists and not by the other. Majorities of lists that differ in at most
    /// one voter have a voter in common.
    pub(crate) fn voters_apart(&self, other: &Membership) -> usize {
        let missing = |from: &Membership, of: &Membership| {
            of.voters().filter(|voter| !from.counts(voter.member)).count()
        };
        missing(self, other) + missing(other, self)
    }

    /// Whether no list is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.members.is_empty()
    }

    /// Counts the lists of the cluster; 0 before the first is known.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// All members, by id.
    #[must_use]
    pub fn members(&self) -> &[MemberInfo] {
        &self.members
    }

    /// All members that count, by id.
    pub fn voters(&self) -> impl Iterator<Item = &MemberInfo> + Clone {
        self.members.iter().filter(|info| info.is_voter())
    }

    /// How many members count.
    #[must_use]
    pub fn voter_count(&self) -> usize {
        self.voters().count()
    }

    /// The member with this id, in whichever life.
    #[must_use]
    pub fn member(&self, id: MemberId) -> Option<&MemberInfo> {
        self.members.iter().find(|info| info.member.id == id)
    }

    /// The member with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&MemberInfo> {
        self.members.iter().find(|info| info.name == name)
    }

    /// Whether this member, in this life, is listed.
    #[must_use]
    pub fn lists(&self, member: Member) -> bool {
        self.members.iter().any(|info| info.member == member)
    }

    /// Whether this member, in this life, counts.
    #[must_use]
    pub fn counts(&self, member: Member) -> bool {
        self.voters().any(|voter| voter.member == member)
    }

    /// How many voters any two decisions share at least one of.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.voter_count() / 2 + 1
    }

    /// How many voters other than the one that asks must be certain not to have something, so that no majority has
    /// it. The list that decides may be a neighbour of this one, with one voter more: if the number is even, that
    /// takes one answer more.
    pub(crate) fn absence(&self) -> usize {
        let voters = self.voter_count();
        let one_more = voters.is_multiple_of(2) && !Mutant::CountsAbsenceByOneList.is_active();
        let neighbours = usize::from(one_more);
        voters - self.majority() + 1 + neighbours
    }

    /// How many voters stand before this one if all journals are equal.
    #[must_use]
    pub fn rank_position(&self, id: MemberId) -> u32 {
        let Some(me) = self.member(id) else { return 0 };
        let before = self.voters().filter(|voter| (voter.rank, voter.member.id) > (me.rank, id)).count();
        u32::try_from(before).expect("at most MEMBERS_MAX")
    }

    /// The value that a majority has reached, of one value per counted voter; zero for the silent ones.
    pub(crate) fn reached_by_majority<T: Ord + Default + Copy>(&self, of: impl Fn(Member) -> T) -> T {
        // On the stack: a master counts with every frame and every acknowledgement.
        let mut room = [T::default(); Membership::MEMBERS_MAX];
        let mut voters = 0;
        for (value, voter) in room.iter_mut().zip(self.voters()) {
            *value = of(voter.member);
            voters += 1;
        }
        let values = &mut room[..voters];
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.get(voters / 2).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use position::Incarnation;

    use super::*;

    fn voter(id: u16, rank: u32) -> MemberInfo {
        let member = Member { id: MemberId(id), incarnation: Incarnation(7) };
        MemberInfo::founder(member, &format!("pc{id}"), "", rank)
    }

    fn learner(id: u16) -> MemberInfo {
        MemberInfo { suffrage: Suffrage::Learner(Purpose::Join), ..voter(id, 99) }
    }

    #[test]
    fn the_majority_value_is_the_one_that_enough_voters_have_reached() {
        for (values, expected) in [
            (vec![5], 5),
            (vec![5, 1], 1),
            (vec![5, 9, 1], 5),
            (vec![9, 9, 1, 1], 1),
            (vec![9, 9, 1, 1, 3], 3),
        ] {
            let voters: Vec<MemberInfo> = (1..).zip(&values).map(|(id, _)| voter(id, 0)).collect();
            let reached = |membership: &Membership| {
                membership.reached_by_majority(|member| {
                    values.get(usize::from(member.id.0) - 1).copied().unwrap_or(99)
                })
            };
            let membership = Membership::founding(voters.clone()).unwrap();
            assert_eq!(reached(&membership), expected, "of {values:?}");
            let with_learners = voters.into_iter().chain([learner(14), learner(15)]).collect();
            let membership = Membership::founding(with_learners).unwrap();
            assert_eq!(reached(&membership), expected, "of {values:?} and two learners");
        }
    }

    #[test]
    fn absence_takes_so_many_that_no_neighbouring_list_has_a_majority_without_them() {
        for (voters, expected) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (9, 5)] {
            let membership = Membership::founding((1..=voters).map(|id| voter(id, 0)).collect()).unwrap();
            let needed = membership.absence();
            assert_eq!(needed, expected, "of {voters} voters");
            // With one more, all those who have not answered are no majority of the larger list.
            let larger = usize::from(voters) + 1;
            assert!(larger - needed < larger / 2 + 1, "of {voters} voters and one");
        }
    }

    #[test]
    fn ranks_order_the_candidates_and_ids_break_ties() {
        let membership =
            Membership::founding(vec![voter(1, 5), voter(2, 9), voter(3, 5), learner(4)]).unwrap();
        let positions: Vec<u32> = (1..=3).map(|id| membership.rank_position(MemberId(id))).collect();
        assert_eq!(positions, [2, 0, 1]);
    }

    #[test]
    fn a_learner_is_listed_and_does_not_count() {
        let membership = Membership::founding(vec![voter(1, 0), learner(2)]).unwrap();
        let member = |id| Member { id: MemberId(id), incarnation: Incarnation(7) };
        assert!(membership.lists(member(2)) && !membership.counts(member(2)));
        assert_eq!((membership.voter_count(), membership.majority()), (1, 1));
    }

    #[test]
    fn impossible_clusters_are_refused() {
        assert_eq!(Membership::founding(vec![]), Err(MembershipError::NoDataVoter));
        assert_eq!(Membership::founding(vec![learner(1)]), Err(MembershipError::NoDataVoter));
        assert_eq!(
            Membership::founding(vec![voter(1, 0), learner(1)]),
            Err(MembershipError::Twice(MemberId(1)))
        );
    }
}
