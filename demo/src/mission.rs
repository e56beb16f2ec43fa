//! The demonstration itself: nine PCs work, the one that leads them dies, and comes back.

use std::path::Path;
use std::time::Instant;

use fleet::{Condition, ImportMode};
use position::Epoch;
use serde::Serialize;
use shipper::ClientError;

use crate::operator::ImportError;
use crate::{
    AuditError, ClusterError, Executables, Impatient, Load, LoadError, LocalCluster, Operator, PATIENCE,
    Start, Timeline, audit, wait_until,
};

/// So many of the nine PCs vote.
const VOTERS: usize = 3;
/// So many commands are answered before each kill: the flow is a steady one by then.
const COMMANDS_BETWEEN: usize = 100;

/// What came of it, for programs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How often a PC was killed.
    pub kills: usize,
    /// Commands that were answered.
    pub acknowledged: usize,
    /// Of these, commands that are not in the journal at the end.
    pub lost: usize,
    /// Commands that were executed more than once.
    pub duplicated: usize,
    /// Answers and states that are not what the journal gives.
    pub differing: usize,
    /// For each kill: milliseconds until the first command that the same client sent after it was answered.
    pub failover_ms: Vec<f64>,
    /// PCs that came back and are as the operators want them.
    pub nodes_restored: usize,
    /// The epochs of all masters, in their order.
    pub epochs: Vec<u64>,
}

impl Report {
    /// Whether everything that was promised was kept.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.lost == 0
            && self.duplicated == 0
            && self.differing == 0
            && self.failover_ms.len() == self.kills
            && self.nodes_restored == self.kills
    }
}

/// The cluster did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum MissionError {
    /// A process or a folder.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Something did not happen in time.
    #[error(transparent)]
    Impatient(#[from] Impatient),
    /// A command was not executed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The fleet was not imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A question was not answered.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The journal cannot be judged.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// A demonstration under way.
#[derive(Debug)]
pub struct Mission {
    cluster: LocalCluster,
    timeline: Timeline,
    report: Report,
}

impl Mission {
    /// Makes the cluster. Nothing is started.
    ///
    /// # Errors
    /// If that fails.
    pub fn prepare(
        executables: Executables,
        keep_in: Option<&Path>,
        timeline: Timeline,
    ) -> Result<Mission, ClusterError> {
        timeline.say("certificates and a folder are made for each of nine PCs");
        let cluster = LocalCluster::found(executables, VOTERS, keep_in)?;
        Ok(Mission { cluster, timeline, report: Report::default() })
    }

    /// Runs it: starts the PCs, lets commands flow, kills the master's PC so many times, and checks.
    ///
    /// # Errors
    /// If something was not executed, or did not happen in time.
    pub async fn run(&mut self, kills: usize) -> Result<Report, MissionError> {
        self.report = Report { kills, ..Report::default() };
        self.start()?;
        let operator = self.cluster.operator(PATIENCE)?;
        self.fill(&operator).await?;
        let load = Load::start(operator.client(), self.cluster.pcs());
        self.timeline.say("commands flow: each PC gets a new desired state twenty times a second");
        for number in 1..=kills {
            self.survive(number, &operator, &load).await?;
        }
        flow(&load).await?;
        self.check(operator, load).await?;
        Ok(std::mem::take(&mut self.report))
    }

    /// The last log lines of all processes.
    pub fn last_lines(&mut self) -> String {
        self.cluster.last_lines()
    }

    fn start(&mut self) -> Result<(), MissionError> {
        let pcs: Vec<String> = self.cluster.pcs().map(str::to_owned).collect();
        let voters = self.cluster.voters().to_vec();
        for (number, pc) in voters.iter().enumerate() {
            self.cluster.start_master(pc, if number == 0 { Start::Founder } else { Start::Standby })?;
        }
        for pc in &pcs {
            self.cluster.start_node(pc)?;
        }
        let voting: Vec<String> =
            voters.iter().map(|pc| format!("{pc} at {}", self.cluster.address(pc))).collect();
        self.timeline.say(format!("{} PCs are switched on; of these vote {}", pcs.len(), voting.join(", ")));
        Ok(())
    }

    /// Waits for a master, and imports the fleet.
    async fn fill(&mut self, operator: &Operator) -> Result<(), MissionError> {
        let master = operator.master_after(Epoch::NONE).await?;
        self.timeline.say(format!("{} is master of epoch {}", master.pc, master.epoch));
        self.report.epochs.push(master.epoch.0);
        operator.import(self.cluster.fleet().clone(), ImportMode::Merge).await?;
        let all = self.cluster.pcs().count();
        wait_until("all nodes to be as desired", async || {
            let status = operator.status().await.map_err(|error| error.to_string())?;
            let settled = status.count(Condition::Settled);
            if settled == all { Ok(()) } else { Err(format!("{settled} of {all} are")) }
        })
        .await?;
        self.timeline.say(format!("the fleet is imported, and all {all} nodes are as desired"));
        Ok(())
    }

    /// Kills the master's PC, and sees it through until that PC is a full member again.
    async fn survive(&mut self, number: usize, operator: &Operator, load: &Load) -> Result<(), MissionError> {
        flow(load).await?;
        let old = operator.master_after(Epoch::NONE).await?;
        let pc = old.pc.as_str();
        self.timeline.say(format!("kill {number}: {pc}, master of epoch {}, loses its power", old.epoch));
        let struck = Instant::now();
        self.cluster.kill_pc(pc)?;
        let dead = Instant::now();

        let accepted = async || load.first_after(dead).ok_or("none was answered since");
        let next = wait_until("a command to be accepted again", accepted).await?;
        let failover = next.answered - struck;
        let master = operator.master_after(old.epoch).await?;
        self.report.failover_ms.push((failover.as_secs_f64() * 10_000.0).round() / 10.0);
        self.report.epochs.push(master.epoch.0);
        let (command, now) = (next.number, format!("{} is master of epoch {}", master.pc, master.epoch));
        self.timeline.say_after(failover, format!("command {command} is accepted: {now}"));

        operator.wait_for_absence(pc).await?;
        self.timeline.say_after(
            struck.elapsed(),
            format!("{pc} is known to be absent; its desired state goes on changing"),
        );

        self.cluster.start_master(pc, Start::Standby)?;
        self.cluster.start_node(pc)?;
        self.timeline.say_after(struck.elapsed(), format!("{pc} has its power back"));
        tokio::try_join!(self.voter_returns(pc, operator, struck), self.node_returns(pc, operator, struck))?;
        self.report.nodes_restored += 1;
        Ok(())
    }

    async fn voter_returns(&self, pc: &str, operator: &Operator, struck: Instant) -> Result<(), Impatient> {
        let goal = operator.committed().await?;
        operator.wait_until_level(pc, goal).await?;
        self.timeline
            .say_after(struck.elapsed(), format!("{pc} is a standby, and has caught up to entry {goal}"));
        Ok(())
    }

    async fn node_returns(&self, pc: &str, operator: &Operator, struck: Instant) -> Result<(), Impatient> {
        let node = operator.wait_for_restoration(pc).await?;
        let revision = node.reported.map(|report| report.revision.0).unwrap_or_default();
        let told = format!("{pc}'s node is restored to its desired state, revision {revision}");
        self.timeline.say_after(struck.elapsed(), told);
        Ok(())
    }

    /// Ends the flow and everything else, and holds the last master's journal against the acknowledgements.
    async fn check(&mut self, operator: Operator, load: Load) -> Result<(), MissionError> {
        let acknowledged = load.finish().await?;
        let nodes = operator.nodes().await?;
        let master = operator.master_after(Epoch::NONE).await?;
        operator.close().await;
        self.cluster.kill_all()?;
        self.timeline
            .say(format!("{} commands were acknowledged; everything is switched off", acknowledged.len()));
        let found = audit(&self.cluster.data_of(&master.pc), &acknowledged, &nodes)?;
        self.report.acknowledged = acknowledged.len();
        self.report.lost = found.lost;
        self.report.duplicated = found.duplicated;
        self.report.differing = found.differing;
        self.timeline.say(format!(
            "{}'s journal, executed anew: {} lost, {} done twice, {} with another result",
            master.pc, found.lost, found.duplicated, found.differing
        ));
        Ok(())
    }
}

/// Waits until the flow of commands is a steady one.
async fn flow(load: &Load) -> Result<(), Impatient> {
    let goal = load.count() + COMMANDS_BETWEEN;
    let look = async || {
        let count = load.count();
        if count >= goal { Ok(()) } else { Err(format!("{count} of {goal}")) }
    };
    wait_until("commands to be answered", look).await
}
