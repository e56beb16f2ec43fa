//! One report for each member, from the list, the master's word and the member's own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use position::MemberId;
use quorum::{Purpose, Suffrage, Word};

use super::{Asked, MemberStanding, VoterCondition, VoterReport};
use crate::conversation::{ClusterView, MemberStatus, Members, VoterStatus};

/// What is known of the members, by the newest view and by the master.
pub(super) struct Known<'a> {
    pub(super) view: &'a ClusterView,
    pub(super) members: Option<&'a Members>,
    pub(super) leader: Option<&'a VoterStatus>,
}

impl Known<'_> {
    pub(super) fn voters(&self) -> usize {
        self.view.members.iter().filter(|member| member.is_voter).count()
    }

    fn member(&self, id: MemberId) -> Option<&MemberStatus> {
        self.members?.members.iter().find(|member| member.id == id)
    }

    pub(super) fn name_of(&self, id: MemberId) -> String {
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

    pub(super) fn reports(&self, asked: Vec<(SocketAddr, Asked)>) -> Vec<VoterReport> {
        let mut asked: BTreeMap<SocketAddr, Asked> = asked.into_iter().collect();
        for member in &self.view.members {
            let untried = || Asked::Unreachable { reason: "no attempt has come to an end".to_owned() };
            asked.entry(member.address).or_insert_with(untried);
        }
        // A voter that moved answers at its new address; that the old one is empty is no news.
        let answering: BTreeSet<MemberId> =
            asked.values().filter_map(Asked::status).map(|status| status.voter).collect();
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
    pub(super) fn status(&self) -> Option<&VoterStatus> {
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
