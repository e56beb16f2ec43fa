//! `fleetctl cluster`: the cluster itself, not what it controls.
//!
//! Responsible for: what is asked of the cluster, and exit codes. Not responsible for: what is wrong and what helps
//! (`shipper`).

mod change;
mod order;
mod outcome;
mod plan;

use app::Exit;
use clap::Subcommand;
use shipper::ClientError;

use crate::action::{Session, print};
use crate::output;
pub(crate) use change::NotAnAdmin;

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterAction {
    /// Show how each voter is, what is wrong and what to do
    Status,
    #[command(flatten)]
    Members(order::MemberOrder),
}

impl Session {
    /// Does what was asked, and prints what came of it.
    pub(crate) async fn perform_on_cluster(&self, action: ClusterAction) -> anyhow::Result<Exit> {
        match action {
            ClusterAction::Status => self.cluster_status().await,
            ClusterAction::Members(order) => self.change_members(order).await,
        }
    }

    /// Exit code 3 without a master, 1 if something else is wrong.
    async fn cluster_status(&self) -> anyhow::Result<Exit> {
        let master = self.client.wait_for_master().await;
        let status = self.client.cluster_status().await;
        print(&if self.json {
            output::json_line(&status)
        } else {
            status.lines().iter().map(|line| fleet::one_line(line) + "\n").collect()
        })?;
        match master {
            Ok(()) | Err(ClientError::NoMaster { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        // A master that was there a moment ago is none now.
        Ok(if status.master.is_none() {
            Exit::NoMaster
        } else if status.is_well() {
            Exit::Done
        } else {
            Exit::Failed
        })
    }
}
