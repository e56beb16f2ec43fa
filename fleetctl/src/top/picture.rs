//! What `top` shows, taken from the live copy and from what voters say: plain values, so that drawing
//! needs no network.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use fleet::{Fleet, NodeView, WallTime, called, came_of, counted};
use position::{Epoch, MemberId};
use shipper::{ClusterView, Condition, NextLine, Progress, Standing, VoterStatus};

/// Commands that are kept for the list of what happened.
const RECENT_MAX: usize = 50;

/// The fleet and its cluster at one moment.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) master: Option<String>,
    pub(crate) epoch: Epoch,
    pub(crate) voters: Vec<Voter>,
    pub(crate) freshness: Freshness,
    /// Who did what, the newest first.
    pub(crate) recent: VecDeque<String>,
    /// The last entry that is shown, and when it was written.
    pub(crate) index: u64,
    pub(crate) time: Option<WallTime>,
    /// Since when nothing new arrives.
    pub(crate) stale_since: Option<Instant>,
}

/// How far the picture can be trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// There has been none yet.
    #[default]
    Waiting,
    /// It is what the master says now.
    Live,
    /// It is so many seconds old.
    Old { seconds: u64 },
    /// It will not change any more.
    Stopped { reason: String },
}

/// A voter as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Voter {
    pub(crate) name: String,
    /// `master`, `standby` and so on; `unreachable` if it does not answer.
    pub(crate) role: String,
    /// How many entries it has still to make durable, if a master knows.
    pub(crate) lag: Option<u64>,
    pub(crate) version: Option<String>,
    /// That its disk hangs, in words.
    pub(crate) disk_trouble: Option<String>,
    /// What is wrong with its disk.
    pub(crate) findings: Vec<String>,
}

impl Picture {
    /// Takes over what is known now.
    pub(crate) fn take(
        &mut self,
        nodes: Vec<NodeView>,
        progress: &Progress,
        standing: &Standing,
        statuses: &[VoterStatus],
    ) {
        let ClusterView { epoch, master, members } = &standing.view;
        let name =
            |id: MemberId| members.iter().find(|member| member.id == id).map(|found| found.name.clone());
        self.epoch = *epoch;
        self.master = master.filter(|_| standing.has_master()).and_then(name);
        self.voters = voters(&standing.view, statuses);
        self.freshen(&progress.condition);
        let index = progress.applied.index().0;
        if index > 0 {
            self.time = Some(WallTime(progress.wall_time));
        }
        self.index = index;
        self.nodes = nodes;
    }

    /// Takes in what was done, and by whom.
    pub(crate) fn note(&mut self, line: NextLine<Fleet>) {
        self.recent.push_front(match line {
            NextLine::Line(line) => {
                let actor = called(line.actor.as_ref());
                let (Ok(came_of_it) | Err(came_of_it)) = came_of(&line.reply);
                format!("{} {actor}: {} -> {came_of_it}", clock(WallTime(line.wall_time)), line.command)
            }
            NextLine::Missed(count) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                format!("{} more, which fleetctl log has", counted(count, "command"))
            }
            NextLine::Unreadable(error) => error.to_string(),
        });
        self.recent.truncate(RECENT_MAX);
    }

    fn freshen(&mut self, condition: &Condition) {
        self.freshness = match condition {
            Condition::Following { .. } => {
                self.stale_since = None;
                Freshness::Live
            }
            Condition::Stopped { reason } => Freshness::Stopped { reason: reason.clone() },
            Condition::Searching if self.index == 0 => Freshness::Waiting,
            Condition::Searching => {
                let since = *self.stale_since.get_or_insert_with(Instant::now);
                Freshness::Old { seconds: since.elapsed().as_secs() }
            }
        };
    }

    /// The extent of the grid.
    pub(crate) fn extent(&self) -> (u16, u16) {
        let rows = self.nodes.iter().map(|node| node.place.row).max().unwrap_or(0);
        let columns = self.nodes.iter().map(|node| node.place.column).max().unwrap_or(0);
        (rows, columns)
    }

    /// The node at a place.
    pub(crate) fn at(&self, row: u16, column: u16) -> Option<&NodeView> {
        self.nodes.iter().find(|node| (node.place.row, node.place.column) == (row, column))
    }
}

/// The time of day in UTC.
fn clock(time: WallTime) -> String {
    // 2026-07-01T12:00:00.123Z
    time.to_string().get(11..19).unwrap_or_default().to_owned()
}

fn voters(view: &ClusterView, statuses: &[VoterStatus]) -> Vec<Voter> {
    let by_id: BTreeMap<MemberId, &VoterStatus> =
        statuses.iter().map(|status| (status.voter, status)).collect();
    let leader = view.master.and_then(|master| by_id.get(&master)).filter(|status| status.role == "master");
    let voter = |id: MemberId, name: &str| {
        let status = by_id.get(&id);
        let behind = leader.and_then(|leader| {
            let standby = leader.standbys.iter().find(|standby| standby.voter == id)?;
            Some(leader.last.0.saturating_sub(standby.durable.0))
        });
        Voter {
            name: name.to_owned(),
            role: status.map_or_else(|| "unreachable".to_owned(), |status| status.role.clone()),
            lag: behind,
            version: status.map(|status| status.version.clone()),
            disk_trouble: status.and_then(|status| status.disk_trouble()),
            findings: status.map(|status| status.findings.clone()).unwrap_or_default(),
        }
    };
    view.members.iter().map(|member| voter(member.id, &member.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::{Command, Outcome};
    use position::{Index, Tip};
    use prevalent::{Actor, Line, Reply, Role};
    use shipper::{MemberAddress, StandbyStatus};

    fn view() -> ClusterView {
        let member = |id: u16| MemberAddress {
            id: MemberId(id),
            name: format!("pc{id}"),
            address: ([10, 0, 0, 1], 7400).into(),
            is_voter: true,
        };
        ClusterView {
            epoch: Epoch(3),
            master: Some(MemberId(1)),
            members: vec![member(1), member(2), member(3)],
        }
    }

    fn status(voter: u16, role: &str, standbys: Vec<StandbyStatus>) -> VoterStatus {
        VoterStatus {
            voter: MemberId(voter),
            version: "0.1.0".into(),
            role: role.into(),
            view: view(),
            last: Index(90),
            durable: Index(90),
            commit: Index(90),
            applied: Index(90),
            outcome_hash: String::new(),
            standbys,
            disk_waits_ms: None,
            findings: Vec::new(),
        }
    }

    #[test]
    fn voters_are_named_with_their_lag_or_their_silence() {
        let standby =
            |id, durable| StandbyStatus { voter: MemberId(id), present: true, durable: Index(durable) };
        let statuses =
            [status(1, "master", vec![standby(2, 90), standby(3, 40)]), status(2, "standby", vec![])];
        let found: Vec<(String, String, Option<u64>)> =
            voters(&view(), &statuses).into_iter().map(|voter| (voter.name, voter.role, voter.lag)).collect();
        assert_eq!(
            found,
            [
                ("pc1".into(), "master".into(), None),
                ("pc2".into(), "standby".into(), Some(0)),
                ("pc3".into(), "unreachable".into(), Some(50)),
            ]
        );
        // Of an old master nothing is believed.
        let deposed = [status(1, "standby", vec![standby(2, 1)])];
        assert!(voters(&view(), &deposed).iter().all(|voter| voter.lag.is_none()));
    }

    #[test]
    fn a_picture_grows_old_and_says_so() {
        let mut picture = Picture::default();
        let progress = |condition| Progress { applied: Tip::default(), wall_time: 0, condition };
        let mut standing = Standing::default();
        standing.view = view();
        picture.take(vec![], &progress(Condition::Searching), &standing, &[]);
        assert_eq!((&picture.freshness, &picture.master), (&Freshness::Waiting, &None));
        let address = ([10, 0, 0, 1], 7400).into();
        picture.take(vec![], &progress(Condition::Following { address }), &standing, &[]);
        assert_eq!(picture.freshness, Freshness::Live);
        picture.index = 7;
        picture.freshen(&Condition::Searching);
        assert!(matches!(picture.freshness, Freshness::Old { .. }));
        assert!(picture.stale_since.is_some());
        picture.freshen(&Condition::Following { address });
        assert!(picture.stale_since.is_none());
    }

    #[test]
    fn who_did_what_is_remembered_up_to_a_limit() {
        let mut picture = Picture::default();
        let line = |actor: Option<&str>| {
            NextLine::Line(Line {
                index: Index(812),
                wall_time: 1_782_907_200_123_456_789,
                actor: actor.map(|name| Actor { name: name.into(), role: Role::Operator }),
                command: Command::DeleteScene { scene: "day".into() },
                reply: Reply::Outcome(Outcome::Scene { nodes: 1 }),
            })
        };
        picture.note(line(Some("ann")));
        picture.note(line(None));
        picture.note(NextLine::Missed(7));
        assert_eq!(
            picture.recent,
            [
                "7 commands more, which fleetctl log has",
                "12:00:00 unknown: delete scene day -> done: a scene of 1 node",
                "12:00:00 ann: delete scene day -> done: a scene of 1 node",
            ]
        );
        for _ in 0..=RECENT_MAX {
            picture.note(line(None));
        }
        assert_eq!(picture.recent.len(), RECENT_MAX);
    }
}
