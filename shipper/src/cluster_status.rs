//! How a cluster is, put together from what each of its voters says and from who says nothing.
//!
//! Responsible for: the conclusions (who votes, who does not and why, what is wrong and what helps), as data and
//! in words. Not responsible for: asking (`client`).
//!
//! A voter that does not answer *here* may be well: the master's word on whom it hears stands beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use position::{Epoch, Index, MemberId};
use quorum::{Purpose, Suffrage, Word};
use serde::Serialize;

use crate::conversation::{ClusterView, MemberStatus, Members, VoterStatus};

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

    fn find_troubles(&self, believed: Option<&str>) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        if self.master.is_none() {
            troubles.push(self.without_master(believed));
        }
        troubles.extend(self.voters.iter().filter_map(|voter| self.trouble_of(voter)));
        for voter in &self.voters {
            let Some(status) = &voter.status else { continue };
            if let Some(waits) = status.disk_waits_ms {
                troubles.push(Trouble {
                    what: format!("the disk of {} has not answered for {} s", voter.name, waits / 1000),
                    remedy: format!("look at that disk; restart the voter of {} if it stays so", voter.name),
                });
            }
            troubles.extend(status.findings.iter().map(|finding| Trouble {
                what: format!("{}: {finding}", voter.name),
                remedy: format!("run inspect verify on the data directory of {}", voter.name),
            }));
        }
        troubles
    }

    fn without_master(&self, believed: Option<&str>) -> Trouble {
        let follower = self.voters.iter().find(|voter| {
            voter
                .status
                .as_ref()
                .is_some_and(|status| status.view.master.is_some() && status.view.epoch == self.epoch)
        });
        if let (Some(master), Some(follower)) = (believed, follower) {
            return Trouble {
                what: format!("{} follows {master}, which is not reachable from here", follower.name),
                remedy: format!("check the network between this PC and {master}; the cluster itself goes on"),
            };
        }
        let begun =
            self.voters.iter().filter_map(|voter| voter.status.as_ref()).any(|status| status.last > Index(1));
        if self.listed == 0 || self.voting < self.majority && self.voting < self.listed {
            let missing = self.names(|voter| {
                voter.standing == MemberStanding::Voter && voter.condition != VoterCondition::Votes
            });
            let needed = if begun || self.listed == 0 { self.majority } else { self.listed };
            let what = match self.listed {
                0 => "no voter answers, and nothing is known of the cluster".to_owned(),
                listed => format!(
                    "there is no master: {} of {listed} voters vote here, and {needed} have to{}",
                    self.voting,
                    if begun { "" } else { " for a new cluster to begin" }
                ),
            };
            return Trouble { what, remedy: format!("start {missing}, and check the network in between") };
        }
        if !begun {
            return Trouble {
                what: "all voters answer, and the cluster has not begun".to_owned(),
                remedy:
                    "look again in a few seconds; if it stays so, all voters were started with --standby: \
                         restart one without"
                        .to_owned(),
            };
        }
        Trouble {
            what: format!("there is no master, though {} of {} voters vote", self.voting, self.listed),
            remedy:
                "look again in a few seconds: they elect one; if it stays so, check the network between them"
                    .to_owned(),
        }
    }

    fn trouble_of(&self, voter: &VoterReport) -> Option<Trouble> {
        let VoterReport { name, standing, .. } = voter;
        let (what, remedy) = match &voter.condition {
            VoterCondition::Votes | VoterCondition::Follows if voter.heard == Some(false) => (
                format!("{name} answers here, and the master does not hear it"),
                format!("check the network between {name} and the master"),
            ),
            VoterCondition::Votes | VoterCondition::Follows => return None,
            VoterCondition::DoesNotVote { why } if *standing == MemberStanding::NotListed => (
                format!("{name} follows, but is no member: {why}"),
                format!("fleetctl cluster add {name}, or: fleetctl cluster replace OLD --with {name}"),
            ),
            VoterCondition::DoesNotVote { why } => (
                format!("{name} answers, but does not vote: {why}"),
                match &voter.status {
                    Some(status) if status.role.ends_with("unsettled") => {
                        "wait: a master that has what is missing sends it".to_owned()
                    }
                    _ => format!("fleetctl cluster readmit {name}"),
                },
            ),
            VoterCondition::Silent { waited_ms } => (
                format!(
                    "{name} is connected and has not answered within {waited_ms} ms: its loop is stuck, or its PC \
                     has no time for it"
                ),
                format!("look at its log; restart the voter of {name}"),
            ),
            VoterCondition::Unreachable { .. } if *standing == MemberStanding::NotListed => return None,
            VoterCondition::Unreachable { reason } if voter.heard == Some(true) => (
                format!("{name} is not reachable from here ({reason}); the master hears it"),
                format!("check the network between this PC and {name}; the cluster itself goes on"),
            ),
            VoterCondition::Unreachable { reason } => (
                format!("{name} is not heard ({reason})"),
                match standing {
                    MemberStanding::Voter => format!(
                        "start it; if its disk was replaced: fleetctl cluster readmit {name}; if its PC is gone: \
                         fleetctl cluster replace {name} --with NEW"
                    ),
                    _ => format!("start it, or take it out of the list: fleetctl cluster remove {name}"),
                },
            ),
        };
        Some(Trouble { what, remedy })
    }

    fn names(&self, which: impl Fn(&VoterReport) -> bool) -> String {
        let names: Vec<&str> =
            self.voters.iter().filter(|voter| which(voter)).map(|voter| voter.name.as_str()).collect();
        names.join(", ")
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

/// What is known of the members, by the newest view and by the master.
struct Known<'a> {
    view: &'a ClusterView,
    members: Option<&'a Members>,
    leader: Option<&'a VoterStatus>,
}

impl Known<'_> {
    fn voters(&self) -> usize {
        self.view.members.iter().filter(|member| member.is_voter).count()
    }

    fn member(&self, id: MemberId) -> Option<&MemberStatus> {
        self.members?.members.iter().find(|member| member.id == id)
    }

    fn name_of(&self, id: MemberId) -> String {
        let listed = self.view.members.iter().find(|member| member.id == id).map(|member| &member.name);
        let waits = || self.members?.newcomers.iter().find(|waits| waits.id == id).map(|waits| &waits.name);
        listed.or_else(waits).map_or_else(|| format!("voter {id}"), String::clone)
    }

    fn standing_of(&self, id: Option<MemberId>) -> MemberStanding {
        let Some(id) = id else { return MemberStanding::NotListed };
        match (
            self.member(id).map(|member| member.suffrage),
            self.view.members.iter().find(|member| member.id == id),
        ) {
            (Some(Suffrage::Learner(Purpose::Spare)), _) => MemberStanding::Spare,
            (Some(Suffrage::Learner(Purpose::Join)), _) => MemberStanding::Learner,
            (Some(Suffrage::Voter), _) => MemberStanding::Voter,
            (None, Some(member)) if member.is_voter => MemberStanding::Voter,
            (None, Some(_)) => MemberStanding::Learner,
            (None, None) => MemberStanding::NotListed,
        }
    }

    fn reports(&self, asked: Vec<(SocketAddr, Asked)>) -> Vec<VoterReport> {
        let mut asked: BTreeMap<SocketAddr, Asked> = asked.into_iter().collect();
        for member in &self.view.members {
            let untried = || Asked::Unreachable { reason: "no attempt has come to an end".to_owned() };
            asked.entry(member.address).or_insert_with(untried);
        }
        // A voter that moved answers at its new address; that the old one is empty is no news.
        let answering: BTreeSet<MemberId> =
            asked.iter().filter_map(|(_, asked)| asked.status()).map(|status| status.voter).collect();
        let mut reports = Vec::new();
        for (address, asked) in asked {
            let listed = || self.view.members.iter().find(|member| member.address == address);
            let id = asked.status().map(|status| status.voter).or_else(|| listed().map(|member| member.id));
            if asked.status().is_none() && id.is_some_and(|id| answering.contains(&id)) {
                continue;
            }
            reports.push(self.report(address, id, asked));
        }
        // Nobody here knows where to look for them but the master.
        let is_reported = |id: MemberId| reports.iter().any(|report| report.id == Some(id));
        let waiting = self.members.iter().flat_map(|members| &members.newcomers);
        let waiting: Vec<VoterReport> = waiting
            .filter(|waits| !is_reported(waits.id))
            .map(|waits| VoterReport {
                address: waits.address.clone(),
                id: Some(waits.id),
                name: waits.name.clone(),
                standing: self.standing_of(Some(waits.id)),
                rank: None,
                condition: VoterCondition::DoesNotVote { why: WAITS.to_owned() },
                heard: Some(true),
                behind: None,
                status: None,
            })
            .collect();
        reports.extend(waiting);
        reports
    }

    fn report(&self, address: SocketAddr, id: Option<MemberId>, asked: Asked) -> VoterReport {
        let standing = self.standing_of(id);
        let member = id.and_then(|id| self.member(id));
        let leads = self.leader.is_some_and(|leader| Some(leader.voter) == id);
        let heard_by = |leader: &VoterStatus| {
            leader.standbys.iter().find(|standby| Some(standby.voter) == id).map(|standby| standby.present)
        };
        let heard = match member {
            Some(_) if leads => None,
            Some(member) => Some(member.word != Word::NotHeard),
            None => self.leader.and_then(heard_by),
        };
        let (condition, status) = match asked {
            Asked::Answered(status) => {
                (judged(&status, standing, member.map(|member| member.word)), Some(*status))
            }
            Asked::Silent { waited } => {
                let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                (VoterCondition::Silent { waited_ms }, None)
            }
            Asked::Unreachable { reason } => (VoterCondition::Unreachable { reason }, None),
        };
        let behind = self
            .leader
            .zip(status.as_ref())
            .map(|(leader, own)| leader.commit.0.saturating_sub(own.applied.0));
        VoterReport {
            address: address.to_string(),
            id,
            name: id.map_or_else(|| address.to_string(), |id| self.name_of(id)),
            standing,
            rank: member.map(|member| member.rank),
            condition,
            heard,
            behind,
            status,
        }
    }
}

impl Asked {
    fn status(&self) -> Option<&VoterStatus> {
        match self {
            Asked::Answered(status) => Some(status),
            Asked::Silent { .. } | Asked::Unreachable { .. } => None,
        }
    }
}

const WAITS: &str = "it waits to be taken in";

/// What a voter's own word on its role means, beside the list's and the master's.
fn judged(status: &VoterStatus, standing: MemberStanding, word: Option<Word>) -> VoterCondition {
    let why = match (status.role.rsplit(", ").next(), standing) {
        (_, MemberStanding::NotListed) => WAITS,
        (_, MemberStanding::Learner | MemberStanding::Spare) if word != Some(Word::Lost) => {
            return VoterCondition::Follows;
        }
        (Some("unsettled"), _) => "its journal has lost something that it had confirmed",
        (Some("amnesiac"), _) => "its folder is an older copy, or has lost what it had promised",
        (Some("learner"), MemberStanding::Voter) => {
            "its folder has no identity of this cluster's voters, as on a new disk"
        }
        _ if word == Some(Word::Lost) => "the master remembers more of it than its folder has",
        _ => return VoterCondition::Votes,
    };
    VoterCondition::DoesNotVote { why: why.to_owned() }
}

#[cfg(test)]
#[path = "cluster_status/tests.rs"]
mod tests;
