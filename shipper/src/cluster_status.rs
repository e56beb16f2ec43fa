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
use serde::Serialize;

use crate::conversation::{ClusterView, VoterStatus};

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
    /// How many voters the cluster has.
    pub listed: usize,
    /// How many have to vote for it to go on.
    pub majority: usize,
    /// How many answer here and vote.
    pub voting: usize,
    /// Each voter, and whoever else answers at a configured address.
    pub voters: Vec<VoterReport>,
    /// What is wrong; nothing if all is well.
    pub troubles: Vec<Trouble>,
}

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VoterReport {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its number, if anybody names it.
    pub id: Option<MemberId>,
    /// Its name, or its address as long as nobody names it.
    pub name: String,
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

/// How a voter is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "condition", rename_all = "kebab-case")]
pub enum VoterCondition {
    /// It answers and votes.
    Votes,
    /// It answers, and its word does not count.
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
    /// Draws the conclusions.
    pub(crate) fn conclude(view: &ClusterView, asked: Vec<(SocketAddr, Asked)>) -> ClusterStatus {
        let newest = newest_view(view, &asked);
        let statuses: BTreeMap<MemberId, VoterStatus> = asked.iter().filter_map(answer).collect();
        let leads = |id: &MemberId| {
            statuses
                .get(id)
                .is_some_and(|status| status.role == "master" && status.view.epoch == newest.epoch)
        };
        let master = newest.master.filter(leads);
        let leader = master.and_then(|id| statuses.get(&id));
        let mut voters = reports(&newest, asked, leader);
        voters.sort_by_key(|voter| (voter.id.is_none(), voter.id, voter.address));

        let listed = newest.members.len();
        let majority = listed / 2 + 1;
        let voting = voters.iter().filter(|voter| voter.condition == VoterCondition::Votes).count();
        let name = |id: MemberId| name_of(&newest, id);
        let mut status = ClusterStatus {
            epoch: newest.epoch,
            master: master.map(name),
            listed,
            majority,
            voting,
            voters,
            troubles: Vec::new(),
        };
        status.troubles = status.find_troubles(newest.master.map(name).as_deref());
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
            let missing = self.names(|voter| voter.condition != VoterCondition::Votes);
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
        let VoterReport { name, id, .. } = voter;
        let listed = id.is_some();
        let (what, remedy) = match &voter.condition {
            VoterCondition::Votes if voter.heard == Some(false) => (
                format!("{name} answers here, and the master does not hear it"),
                format!("check the network between {name} and the master"),
            ),
            VoterCondition::Votes => return None,
            VoterCondition::DoesNotVote { why } => (
                format!("{name} answers, but does not vote: {why}"),
                match &voter.status {
                    Some(status) if status.role.ends_with("unsettled") => {
                        "wait: a master that has what is missing sends it".to_owned()
                    }
                    _ if listed => format!("fleetctl cluster readmit {name}"),
                    _ => "take it in with: fleetctl cluster add NAME".to_owned(),
                },
            ),
            VoterCondition::Silent { waited_ms } => (
                format!(
                    "{name} is connected and has not answered within {waited_ms} ms: its loop is stuck, or its PC has no time for it"
                ),
                format!("look at its log; restart the voter of {name}"),
            ),
            VoterCondition::Unreachable { reason } if voter.heard == Some(true) => (
                format!("{name} is not reachable from here ({reason}); the master hears it"),
                format!("check the network between this PC and {name}; the cluster itself goes on"),
            ),
            VoterCondition::Unreachable { .. } if !listed => return None,
            VoterCondition::Unreachable { reason } => (
                format!("{name} is not heard ({reason})"),
                format!(
                    "start it; if its disk was replaced: fleetctl cluster readmit {name}; if its PC is gone: \
                     fleetctl cluster replace {name} --with NEW"
                ),
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
        let head = format!("{:21} {:8}", self.address.to_string(), self.name);
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
                format!(
                    "{head} {:10} epoch {} · journal {} · durable {} · committed {} · applied {}{behind} · outcomes {} · version {}",
                    status.role,
                    status.view.epoch,
                    status.last,
                    status.durable,
                    status.commit,
                    status.applied,
                    status.outcome_hash,
                    status.version
                )
            }
            (_, None) => head,
        }
    }
}

fn answer((_, asked): &(SocketAddr, Asked)) -> Option<(MemberId, VoterStatus)> {
    match asked {
        Asked::Answered(status) => Some((status.voter, (**status).clone())),
        Asked::Silent { .. } | Asked::Unreachable { .. } => None,
    }
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

fn name_of(view: &ClusterView, id: MemberId) -> String {
    let member = view.members.iter().find(|member| member.id == id);
    member.map_or_else(|| format!("voter {id}"), |member| member.name.clone())
}

fn reports(
    view: &ClusterView,
    asked: Vec<(SocketAddr, Asked)>,
    leader: Option<&VoterStatus>,
) -> Vec<VoterReport> {
    let mut asked: BTreeMap<SocketAddr, Asked> = asked.into_iter().collect();
    for member in &view.members {
        let untried = || Asked::Unreachable { reason: "no attempt has come to an end".to_owned() };
        asked.entry(member.address).or_insert_with(untried);
    }
    // A voter that moved answers at its new address; that the old one is empty is no news.
    let answering: BTreeSet<MemberId> = asked
        .values()
        .filter_map(|asked| match asked {
            Asked::Answered(status) => Some(status.voter),
            _ => None,
        })
        .collect();
    let report = |(address, asked): (SocketAddr, Asked)| {
        let id = match &asked {
            Asked::Answered(status) => Some(status.voter),
            _ => view.members.iter().find(|member| member.address == address).map(|member| member.id),
        };
        if !matches!(asked, Asked::Answered(_)) && id.is_some_and(|id| answering.contains(&id)) {
            return None;
        }
        Some(VoterReport::of(view, address, id, asked, leader))
    };
    asked.into_iter().filter_map(report).collect()
}

impl VoterReport {
    fn of(
        view: &ClusterView,
        address: SocketAddr,
        id: Option<MemberId>,
        asked: Asked,
        leader: Option<&VoterStatus>,
    ) -> VoterReport {
        let member = id.and_then(|id| view.members.iter().find(|member| member.id == id));
        let name = match (member, id) {
            (Some(member), _) => member.name.clone(),
            (None, Some(id)) => format!("voter {id}"),
            (None, None) => address.to_string(),
        };
        let known =
            leader.and_then(|leader| leader.standbys.iter().find(|standby| Some(standby.voter) == id));
        let (condition, status) = match asked {
            Asked::Answered(status) => (judged(&status, member.is_some()), Some(*status)),
            Asked::Silent { waited } => {
                let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                (VoterCondition::Silent { waited_ms }, None)
            }
            Asked::Unreachable { reason } => (VoterCondition::Unreachable { reason }, None),
        };
        let behind =
            leader.zip(status.as_ref()).map(|(leader, own)| leader.commit.0.saturating_sub(own.applied.0));
        VoterReport {
            address,
            id: member.map(|member| member.id),
            name,
            condition,
            heard: known.map(|known| known.present),
            behind,
            status,
        }
    }
}

/// What a voter's own word on its role means.
fn judged(status: &VoterStatus, is_listed: bool) -> VoterCondition {
    let why = match status.role.rsplit(", ").next() {
        Some("unsettled") => "its journal has lost something that it had confirmed",
        Some("amnesiac") => "its folder is an older copy, or has lost what it had promised",
        Some("learner") if is_listed => {
            "its folder has no identity of this cluster's voters, as on a new disk"
        }
        Some("learner") => "it is not in the list of the cluster's voters",
        _ => return VoterCondition::Votes,
    };
    VoterCondition::DoesNotVote { why: why.to_owned() }
}

#[cfg(test)]
#[path = "cluster_status/tests.rs"]
mod tests;
