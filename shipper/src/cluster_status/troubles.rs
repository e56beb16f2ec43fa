//! What is wrong with a cluster, in a sentence each, and what helps. A remedy that is named exists.

use position::Index;

use super::{ClusterStatus, MemberStanding, Trouble, VoterCondition, VoterReport};

impl ClusterStatus {
    pub(super) fn find_troubles(&self, believed: Option<&str>) -> Vec<Trouble> {
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
}
