//! Who votes and who leads, as seen from here, and how long it took when that changed.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use console_ui::{Charts, ClusterView, Failover, Time, VoterView};
use shipper::{Reached, Standing, VoterStatus};

/// Changes of master that are kept.
const FAILOVERS_MAX: usize = 50;
/// A voter that has not said for so long how it is has gone: how far it is behind then is no lag.
const SILENCE_MAX_MS: i64 = 3000;

/// What is known of the cluster.
#[derive(Default)]
pub(crate) struct Cluster {
    master: Option<String>,
    epoch: u64,
    failovers: VecDeque<Failover>,
    /// When a master last answered.
    last_answer: Option<Instant>,
    statuses: BTreeMap<String, Answered>,
    commands: VecDeque<f64>,
    latency_ms: VecDeque<Option<f64>>,
    lag: VecDeque<f64>,
    /// Since the last second.
    commands_now: u32,
    answers_now: Vec<Duration>,
}

struct Answered {
    status: VoterStatus,
    at: Time,
}

impl Cluster {
    /// Takes in what is known of who is master. The failover's duration is the time without an answer of a
    /// master, as a client here meets it.
    pub(crate) fn stand(&mut self, standing: &Standing, now: Instant, clock: Time) {
        let view = &standing.view;
        if !standing.has_master() || view.epoch.0 <= self.epoch {
            return;
        }
        let name = view.master.and_then(|id| view.members.iter().find(|member| member.id == id));
        let Some(name) = name.map(|member| member.name.clone()) else { return };
        if let Some(from) = self.master.replace(name.clone()) {
            let took = self.last_answer.map(|last| now.saturating_duration_since(last));
            let took_ms = took.and_then(|took| u64::try_from(took.as_millis()).ok());
            self.failovers.push_back(Failover {
                at: clock,
                epoch: view.epoch.0,
                from: Some(from),
                to: name,
                took_ms,
            });
            while self.failovers.len() > FAILOVERS_MAX {
                self.failovers.pop_front();
            }
        }
        self.epoch = view.epoch.0;
    }

    /// A question was answered by the master.
    pub(crate) fn answered(&mut self, after: Duration, now: Instant) {
        self.last_answer = Some(now);
        if self.answers_now.len() < 64 {
            self.answers_now.push(after);
        }
    }

    /// A command was answered by the master: how long that took depends on the command.
    pub(crate) fn answered_command(&mut self, now: Instant) {
        self.last_answer = Some(now);
    }

    /// A command was executed.
    pub(crate) fn executed(&mut self) {
        self.commands_now += 1;
    }

    /// A voter has said how it is.
    pub(crate) fn heard(&mut self, name: String, status: VoterStatus, at: Time) {
        self.statuses.insert(name, Answered { status, at });
    }

    /// A second has passed.
    pub(crate) fn second(&mut self, now: Time) {
        let commands = f64::from(std::mem::take(&mut self.commands_now));
        let answers = std::mem::take(&mut self.answers_now);
        let mean = answers.iter().sum::<Duration>().checked_div(u32::try_from(answers.len()).unwrap_or(0));
        push(&mut self.commands, commands);
        push(&mut self.latency_ms, mean.map(|mean| mean.as_secs_f64() * 1000.0));
        let there = self.statuses.iter().filter(|(_, heard)| now <= heard.at.plus_ms(SILENCE_MAX_MS));
        let lag = there.filter_map(|(name, _)| self.lag_of(name)).max().unwrap_or(0);
        push(&mut self.lag, f64::from(u32::try_from(lag).unwrap_or(u32::MAX)));
    }

    /// How many entries a voter has still to make durable.
    fn lag_of(&self, name: &str) -> Option<u64> {
        let master = self.statuses.get(self.master.as_deref()?)?;
        let voter = &self.statuses.get(name)?.status;
        Some(master.status.commit.0.saturating_sub(voter.durable.0))
    }

    pub(crate) fn view(&self, standing: &Standing) -> ClusterView {
        let mut voters: Vec<VoterView> = standing
            .view
            .members
            .iter()
            .map(|member| {
                let reached = standing.voters.get(&member.address);
                let is_connected = matches!(reached, Some(Reached::Connected { .. }));
                let heard = self.statuses.get(&member.name);
                let is_fresh = heard.is_some_and(|heard| heard.status.view.epoch.0 >= self.epoch);
                VoterView {
                    name: member.name.clone(),
                    role: heard
                        .filter(|_| is_connected)
                        .map(|heard| heard.status.role.clone())
                        .unwrap_or_default(),
                    lag: self.lag_of(&member.name).filter(|_| is_connected && is_fresh),
                    last_seen: heard.map(|heard| heard.at),
                    is_connected,
                    disk_trouble: heard
                        .filter(|_| is_connected)
                        .and_then(|heard| heard.status.disk_trouble()),
                    findings: heard
                        .filter(|_| is_connected)
                        .map(|heard| heard.status.findings.clone())
                        .unwrap_or_default(),
                }
            })
            .collect();
        voters.sort_by(|a, b| a.name.cmp(&b.name));
        ClusterView {
            master: self.master.clone(),
            epoch: self.epoch,
            voters,
            failovers: self.failovers.iter().cloned().collect(),
        }
    }

    pub(crate) fn charts(&self) -> Charts {
        Charts {
            commands: self.commands.iter().copied().collect(),
            latency_ms: self.latency_ms.iter().copied().collect(),
            lag: self.lag.iter().copied().collect(),
        }
    }
}

fn push<T>(values: &mut VecDeque<T>, value: T) {
    values.push_back(value);
    while values.len() > usize::from(Charts::SECONDS) {
        values.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use position::Index;

    #[test]
    fn a_voter_that_has_gone_is_not_behind() {
        let status = |durable: u64| VoterStatus {
            voter: position::MemberId(1),
            version: String::new(),
            role: String::new(),
            view: shipper::ClusterView::default(),
            last: Index(90),
            durable: Index(durable),
            commit: Index(90),
            applied: Index(90),
            outcome_hash: String::new(),
            standbys: Vec::new(),
            disk_waits_ms: None,
            findings: Vec::new(),
        };
        let mut cluster = Cluster { master: Some("pc1".into()), ..Cluster::default() };
        let mut lag = |seconds: i64| {
            let now = Time(0).plus_ms(1000 * seconds);
            cluster.heard("pc1".into(), status(90), now);
            if seconds == 0 {
                cluster.heard("pc2".into(), status(74), now);
            }
            cluster.second(now);
            cluster.charts().lag.last().copied()
        };
        assert_eq!(lag(0), Some(16.0));
        assert_eq!(lag(3), Some(16.0));
        assert_eq!(lag(4), Some(0.0));
    }
}
