//! What an operator may change about the members, and which list follows.
//!
//! Responsible for: the next list, as far as it follows from the list before and from who waits to be taken in. Not
//! responsible for: whether now is the time to propose it (`members`).

use std::time::Duration;

use position::{Incarnation, Member, ProcessNumber};
use serde::{Deserialize, Serialize};

use crate::{Kind, MemberInfo, Membership, MembershipError, Purpose, Successor, Suffrage};

/// A change of the members. Members are named as the list names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Take in a PC that waits for it.
    Add {
        /// The PC, as its greeting names it.
        name: String,
        /// It is to take the place of a voter that stays away; else it becomes a voter itself.
        spare: bool,
    },
    /// Take a member out.
    Remove {
        /// The member.
        name: String,
    },
    /// Have one PC vote in the place of another, which is removed.
    Replace {
        /// The voter that goes.
        old: String,
        /// A spare, another learner, or a PC that waits.
        with: String,
    },
    /// Take in again a member that has lost what it promised.
    Readmit {
        /// The member.
        name: String,
    },
    /// Note where a member listens.
    Move {
        /// The member.
        name: String,
        /// `host:port`.
        address: String,
    },
    /// Change who is preferred as master.
    Rank {
        /// The member.
        name: String,
        /// The higher stands first.
        rank: u32,
    },
    /// Change how long a voter may stay away before a spare takes its place.
    ReplaceAfter {
        /// In seconds; zero: for ever.
        seconds: u32,
    },
}

/// A PC that greets this cluster and could be given an incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// Who it says it is. Its incarnation, if any, is one that does not count.
    pub member: Member,
    /// The process that greets.
    pub process: ProcessNumber,
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
}

/// A change was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ChangeRefused {
    /// Nobody is called so.
    #[error("no member is called {0:?}")]
    NoSuchMember(String),
    /// Somebody is called so, or has that number.
    #[error("{0:?} is a member already")]
    IsMember(String),
    /// Nobody waits under that name.
    #[error(
        "no PC called {0:?} waits to be taken in: start `master` there with a folder that `master issue` made for it, and try again"
    )]
    NotWaiting(String),
    /// It has lost nothing.
    #[error("{0:?} has lost nothing that it promised: there is nothing to readmit")]
    Counts(String),
    /// The process that speaks for it was not heard.
    #[error("{0:?} is not heard: start it, and try again")]
    NotHeard(String),
    /// A master does not take itself out.
    #[error("{0:?} is master: hand over to another voter first")]
    IsMaster(String),
    /// Only a voter has a place to take.
    #[error("{0:?} is no voter")]
    NotAVoter(String),
    /// The new one votes already.
    #[error("{0:?} is a voter already")]
    IsVoter(String),
    /// The list cannot be a cluster.
    #[error("{0}")]
    Impossible(String),
    /// The master does not know yet what is committed, or the change before is not.
    #[error("a change before this one is not complete yet; try again in a moment")]
    NotNow,
    /// The list has changed since the operator looked at it.
    #[error("the list of members is number {is} by now, not {expected}: look again")]
    Changed {
        /// The number that the operator saw.
        expected: u64,
        /// The number now.
        is: u64,
    },
    /// The new list would have no majority that works.
    #[error(
        "of the {voters} voters of the new list only {sound} are heard, count and have everything, and {needed} are needed: the cluster would stand still; mend or start one of the others first"
    )]
    NoMajority {
        /// Voters of the new list.
        voters: usize,
        /// Those of them that would go on.
        sound: usize,
        /// A majority.
        needed: usize,
    },
    /// The mastership has ended.
    #[error("the master has changed; it is not known yet whether the change was made: look again")]
    MasterChanged,
}

impl From<MembershipError> for ChangeRefused {
    fn from(error: MembershipError) -> ChangeRefused {
        ChangeRefused::Impossible(error.to_string())
    }
}

/// What a change needs to know beside the list.
pub(crate) struct Around<'a> {
    /// The PCs that wait, and the members that do not count.
    pub(crate) newcomers: &'a [Newcomer],
    /// The life that whoever is taken in begins.
    pub(crate) incarnation: Incarnation,
}

impl Change {
    /// The list that follows `list`.
    pub(crate) fn apply(&self, list: &Membership, around: &Around<'_>) -> Result<Membership, ChangeRefused> {
        let mut members = list.members().to_vec();
        match self {
            Change::Add { name, spare } => {
                let purpose = if *spare { Purpose::Spare } else { Purpose::Join };
                let joins = around.taken_in(list, name)?;
                members.push(MemberInfo { suffrage: Suffrage::Learner(purpose), ..joins });
            }
            Change::Remove { name } => {
                let gone = at(&members, name)?;
                let id = members.remove(gone).member.id;
                forget_successor(&mut members, id);
            }
            Change::Replace { old, with } => {
                if !members[at(&members, old)?].is_voter() {
                    return Err(ChangeRefused::NotAVoter(old.clone()));
                }
                let id = match list.named(with) {
                    Some(info) if info.is_voter() => return Err(ChangeRefused::IsVoter(with.clone())),
                    Some(info) => {
                        let place = at(&members, with)?;
                        members[place].suffrage = Suffrage::Learner(Purpose::Join);
                        info.member.id
                    }
                    None => {
                        let joins = around.taken_in(list, with)?;
                        let id = joins.member.id;
                        members.push(MemberInfo { rank: members[at(&members, old)?].rank, ..joins });
                        id
                    }
                };
                forget_successor(&mut members, id);
                let old = at(&members, old)?;
                members[old].successor = Some(Successor { id, removes: true });
            }
            Change::Readmit { name } => {
                let place = at(&members, name)?;
                let info = &mut members[place];
                let again = around.newcomers.iter().find(|newcomer| newcomer.member.id == info.member.id);
                let again = again.ok_or_else(|| ChangeRefused::Counts(name.clone()))?;
                info.member.incarnation = around.incarnation;
                info.process = Some(again.process);
                info.successor = None;
                if info.is_voter() {
                    info.suffrage = Suffrage::Learner(Purpose::Join);
                }
            }
            Change::Move { name, address } => {
                let place = at(&members, name)?;
                members[place].address.clone_from(address);
            }
            Change::Rank { name, rank } => {
                let place = at(&members, name)?;
                members[place].rank = *rank;
            }
            Change::ReplaceAfter { seconds } => {
                return Ok(list.with_replace_after(Duration::from_secs(u64::from(*seconds))));
            }
        }
        Ok(list.followed_by(members)?)
    }
}

impl Around<'_> {
    /// The PC that waits under this name, as a learner that joins.
    fn taken_in(&self, list: &Membership, name: &str) -> Result<MemberInfo, ChangeRefused> {
        if list.named(name).is_some() {
            return Err(ChangeRefused::IsMember(name.to_owned()));
        }
        let newcomer = self.newcomers.iter().find(|newcomer| newcomer.name == name);
        let newcomer = newcomer.ok_or_else(|| ChangeRefused::NotWaiting(name.to_owned()))?;
        let id = newcomer.member.id;
        if let Some(same) = list.member(id) {
            return Err(ChangeRefused::IsMember(same.name.clone()));
        }
        Ok(MemberInfo {
            member: Member { id, incarnation: self.incarnation },
            name: newcomer.name.clone(),
            address: newcomer.address.clone(),
            rank: 0,
            kind: Kind::Data,
            suffrage: Suffrage::Learner(Purpose::Join),
            process: Some(newcomer.process),
            successor: None,
        })
    }
}

fn at(members: &[MemberInfo], name: &str) -> Result<usize, ChangeRefused> {
    let found = members.iter().position(|info| info.name == name);
    found.ok_or_else(|| ChangeRefused::NoSuchMember(name.to_owned()))
}

/// Nobody waits any more for this member to vote in its place.
fn forget_successor(members: &mut [MemberInfo], id: position::MemberId) {
    for info in members {
        info.successor = info.successor.filter(|successor| successor.id != id);
    }
}

/// What a master knows of the members when it looks for the next step.
pub(crate) trait Outlook {
    /// Whether this learner has what the master has, and its word counts.
    fn is_ready(&self, member: Member) -> bool;

    /// Whether anything came from it within the suspicion time.
    fn is_heard(&self, member: Member) -> bool;

    /// Whether it has stayed away so long that a spare is due.
    fn is_missed(&self, member: Member) -> bool;

    /// Whether this is the master itself.
    fn is_me(&self, member: Member) -> bool;

    /// A member that says that it listens elsewhere than the list says.
    fn moved(&self) -> Option<Change>;
}

/// The next step of what the list itself says is to come: learners become voters, whom they replace goes, spares take
/// the places of voters that stay away. Any master finds the same step, so nothing is lost with the one that began.
pub(crate) fn next_step(list: &Membership, outlook: &impl Outlook) -> Option<Membership> {
    replaced(list, outlook).or_else(|| joined(list, outlook)).or_else(|| stood_in_for(list, outlook)).or_else(
        || {
            let nobody = Around { newcomers: &[], incarnation: Incarnation::UNKNOWN };
            outlook.moved()?.apply(list, &nobody).ok()
        },
    )
}

/// A voter whose successor votes goes.
fn replaced(list: &Membership, outlook: &impl Outlook) -> Option<Membership> {
    let gone = list.voters().find(|old| {
        let votes = |successor: Successor| list.member(successor.id).is_some_and(MemberInfo::is_voter);
        old.successor.is_some_and(votes) && !outlook.is_me(old.member)
    })?;
    retire(list, gone)
}

/// A learner that has what the master has becomes a voter. The one that it replaces goes first if it is dead: with
/// one voter more a majority would be one more as well, and one of them is known to be away.
fn joined(list: &Membership, outlook: &impl Outlook) -> Option<Membership> {
    let joins = |info: &&MemberInfo| {
        info.suffrage == Suffrage::Learner(Purpose::Join) && outlook.is_ready(info.member)
    };
    let joins = list.members().iter().find(joins)?;
    let id = joins.member.id;
    let old = list.voters().find(|old| old.successor.is_some_and(|successor| successor.id == id));
    if let Some(old) = old.filter(|old| !outlook.is_heard(old.member) && !outlook.is_me(old.member)) {
        return retire(list, old);
    }
    let promoted = |info: &MemberInfo| match info.member.id == id {
        true => MemberInfo { suffrage: Suffrage::Voter, ..info.clone() },
        false => info.clone(),
    };
    list.followed_by(list.members().iter().map(promoted).collect()).ok()
}

/// The first sound spare joins in the place of a voter that has stayed away for too long.
fn stood_in_for(list: &Membership, outlook: &impl Outlook) -> Option<Membership> {
    if list.voter_count() < 3 || list.voters().any(|voter| voter.successor.is_some()) {
        return None;
    }
    let missed = list.voters().find(|voter| outlook.is_missed(voter.member))?;
    let spares = list.members().iter().filter(|info| {
        info.suffrage == Suffrage::Learner(Purpose::Spare)
            && info.kind == missed.kind
            && outlook.is_ready(info.member)
    });
    let spare = spares.max_by_key(|info| (info.rank, std::cmp::Reverse(info.member.id)))?.member.id;
    let mut members = list.members().to_vec();
    for info in &mut members {
        if info.member.id == spare {
            info.suffrage = Suffrage::Learner(Purpose::Join);
        } else if info.member == missed.member {
            info.successor = Some(Successor { id: spare, removes: false });
        }
    }
    list.followed_by(members).ok()
}

/// A voter that somebody replaces: removed, or a spare from now on.
fn retire(list: &Membership, old: &MemberInfo) -> Option<Membership> {
    let mut members = list.members().to_vec();
    let place = members.iter().position(|info| info.member == old.member)?;
    match old.successor {
        Some(Successor { removes: false, .. }) => {
            members[place].suffrage = Suffrage::Learner(Purpose::Spare);
            members[place].successor = None;
        }
        _ => drop(members.remove(place)),
    }
    list.followed_by(members).ok()
}
