//! How a cluster is, put together from what each of its voters says and from who says nothing.
//!
//! Responsible for: the conclusions (who votes, who does not and why, what is wrong and what helps), as data and
//! in words. Not responsible for: asking (`client`).
//!
//! A voter that does not answer *here* may be well: the master's word on whom it hears stands beside it.

mod known;
mod troubles;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use position::{Epoch, MemberId};
use serde::Serialize;

use crate::conversation::{ClusterView, Members, VoterStatus};
use known::Known;

/// What came of asking one voter.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Answered(Box<VoterStatus>),
    /// It is connected, and its loop does not answer.
    Silent {
        waited: Duration,
    },
    Unreachable {
        reason: String,
    },
}

/// The cluster, as far as it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterStatus {
    /// The newest epoch that anybody names.
    pub epoch: Epoch,
    /// The master's name, if there is one that answers.
    pub master: Option<String>,
    /// The number of the list of members, as the master has it.
    pub list: Option<u64>,
    /// How many voters the cluster has.
    pub listed: usize,
    /// How many have to vote for it to go on.
    pub majority: usize,
    /// How many answer here and vote.
    pub voting: usize,
    /// Each member, whoever waits to be taken in, and whoever else answers at a configured address.
    pub voters: Vec<VoterReport>,
    /// What is wrong; nothing if all is well.
    pub troubles: Vec<Trouble>,
}

/// One member, or a PC that waits to be one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VoterReport {
    /// Where it listens, or says that it does.
    pub address: String,
    /// Its number, if anybody names it.
    pub id: Option<MemberId>,
    /// Its name, or its address as long as nobody names it.
    pub name: String,
    /// What the list of members makes of it.
    pub standing: MemberStanding,
    /// Its rank, as the master has it.
    pub rank: Option<u32>,
    /// How it is.
    #[serde(flatten)]
    pub condition: VoterCondition,
    /// Whether the master hears it; unknown without a master, and of the master itself.
    pub heard: Option<bool>,
    /// How many committed entries it has not applied, by the master's count.
    pub behind: Option<u64>,
    /// What it says of itself.
    pub status: Option<VoterStatus>,
}

/// What the list of members makes of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberStanding {
    /// It counts in majorities.
    Voter,
    /// It follows, and becomes a voter once it has everything.
    Learner,
    /// It follows, and takes the place of a voter that stays away.
    Spare,
    /// It is not in the list.
    NotListed,
}

/// How a voter is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "condition", rename_all = "kebab-case")]
pub enum VoterCondition {
    /// It answers and votes.
    Votes,
    /// It follows, and counts nowhere, as the list says.
    Follows,
    /// It is there, and its word does not count.
    DoesNotVote {
        /// Why not.
        why: String,
    },
    /// It is connected, and does not answer.
    Silent {
        /// How long was waited, in milliseconds.
        waited_ms: u64,
    },
    /// There is no connection with it from here.
    Unreachable {
        /// What came of trying.
        reason: String,
    },
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// What it is, in a sentence.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl ClusterStatus {
    /// Draws the conclusions. `members`: what the master says of them, if there is one.
    pub(crate) fn conclude(
        view: &ClusterView,
        members: Option<&Members>,
        asked: Vec<(SocketAddr, Asked)>,
    ) -> ClusterStatus {
        let newest = newest_view(view, &asked);
        let statuses: BTreeMap<MemberId, VoterStatus> = asked.iter().filter_map(answer).collect();
        let leads = |id: &MemberId| {
            statuses
                .get(id)
                .is_some_and(|status| status.role == "master" && status.view.epoch == newest.epoch)
        };
        let master = newest.master.filter(leads);
        let leader = master.and_then(|id| statuses.get(&id));
        let known = Known { view: &newest, members, leader };
        let mut voters = known.reports(asked);
        voters.sort_by(|a, b| (a.standing, a.id, &a.address).cmp(&(b.standing, b.id, &b.address)));

        let listed = known.voters();
        let votes = |voter: &&VoterReport| {
            voter.standing == MemberStanding::Voter && voter.condition == VoterCondition::Votes
        };
        let mut status = ClusterStatus {
            epoch: newest.epoch,
            master: master.map(|id| known.name_of(id)),
            list: members.map(|members| members.list),
            listed,
            majority: listed / 2 + 1,
            voting: voters.iter().filter(votes).count(),
            voters,
            troubles: Vec::new(),
        };
        status.troubles = status.find_troubles(newest.master.map(|id| known.name_of(id)).as_deref());
        status
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.troubles.is_empty()
    }

    /// The same in words, a line each. Names and reasons are others' words: whoever prints them escapes them.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let master =
            self.master.as_ref().map_or_else(|| "no master".to_owned(), |name| format!("master {name}"));
        let mut lines = vec![format!(
            "{master} in epoch {}; {} of {} voters vote, {} have to",
            self.epoch, self.voting, self.listed, self.majority
        )];
        lines.extend(self.voters.iter().map(VoterReport::line));
        for Trouble { what, remedy } in &self.troubles {
            lines.push(format!("! {what}"));
            lines.push(format!("  what to do: {remedy}"));
        }
        lines
    }
}

impl VoterReport {
    fn line(&self) -> String {
        let head = format!("{:21} {:8}", self.address, self.name);
        match (&self.condition, &self.status) {
            (VoterCondition::Silent { .. }, _) => format!("{head} does not answer"),
            (VoterCondition::Unreachable { .. }, _) => {
                let heard = if self.heard == Some(true) { ", but by the master" } else { "" };
                format!("{head} not heard{heard}")
            }
            (_, Some(status)) => {
                let behind = match self.behind {
                    Some(0) | None => String::new(),
                    Some(behind) => format!(" · {behind} behind"),
                };
                let standing = match self.standing {
                    MemberStanding::Spare => ", spare",
                    MemberStanding::Learner => ", joins",
                    MemberStanding::Voter | MemberStanding::NotListed => "",
                };
                format!(
                    "{head} {:10} epoch {} · journal {} · durable {} · committed {} · applied {}{behind} · outcomes {} · version {}",
                    format!("{}{standing}", status.role),
                    status.view.epoch,
                    status.last,
                    status.durable,
                    status.commit,
                    status.applied,
                    status.outcome_hash,
                    status.version
                )
            }
            (_, None) => format!("{head} waits to be taken in"),
        }
    }
}

fn answer((_, asked): &(SocketAddr, Asked)) -> Option<(MemberId, VoterStatus)> {
    asked.status().map(|status| (status.voter, status.clone()))
}

/// What is known of the cluster: by whoever is of the newest epoch, knows its master, and knows the members.
fn newest_view(known: &ClusterView, asked: &[(SocketAddr, Asked)]) -> ClusterView {
    let said = asked.iter().filter_map(answer).map(|(_, status)| status.view);
    let rank = |view: &ClusterView| (view.epoch, view.master.is_some(), !view.members.is_empty());
    let mut newest = said.max_by_key(rank).unwrap_or_default();
    // A view from before everybody fell silent still says whom to look for; who was master then says nothing.
    if newest.members.is_empty() {
        newest.members.clone_from(&known.members);
    }
    newest
}

#[cfg(test)]
mod tests;
