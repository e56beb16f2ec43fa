//! Who watches over a local cluster: a client, and the questions that are asked all the time.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fleet::{
    Answer, Command, Configuration, Fleet, ImportMode, NodeView, Query, Rejection, Selector, Status,
};
use position::{Epoch, Index};
use shipper::{Client, ClientError, VoterStatus};

use crate::{Impatient, wait_until};

/// A client with an operator's certificate that knows the PCs by name.
#[derive(Clone)]
pub struct Operator {
    client: Client<Fleet>,
    voters: BTreeMap<String, SocketAddr>,
}

/// The master as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// Its PC.
    pub pc: String,
    /// Its mastership.
    pub epoch: Epoch,
}

/// The fleet was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// No answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The fleet refused it.
    #[error("the example fleet was not imported: {0}")]
    Rejected(Box<Rejection>),
}

impl Operator {
    pub(crate) fn new(client: Client<Fleet>, voters: BTreeMap<String, SocketAddr>) -> Operator {
        Operator { client, voters }
    }

    /// The client, for everything else.
    #[must_use]
    pub fn client(&self) -> &Client<Fleet> {
        &self.client
    }

    /// Tells the voters goodbye.
    pub async fn close(self) {
        self.client.close().await;
    }

    /// The master, if the client is connected with one.
    #[must_use]
    pub fn master_now(&self) -> Option<Master> {
        let standing = self.client.standing();
        let id = standing.view.master.filter(|_| standing.has_master())?;
        let member = standing.view.members.iter().find(|member| member.id == id)?;
        Some(Master { pc: member.name.clone(), epoch: standing.view.epoch })
    }

    /// The master of an epoch after `epoch`, once the client is connected with one.
    ///
    /// # Errors
    /// If there is none for long.
    pub async fn master_after(&self, epoch: Epoch) -> Result<Master, Impatient> {
        wait_until("a master", async || match self.master_now() {
            Some(master) if master.epoch > epoch => Ok(master),
            Some(master) => Err(format!("{} of epoch {}", master.pc, master.epoch)),
            None => Err(format!("tried {}", self.client.standing().tried())),
        })
        .await
    }

    /// What a voter says of itself, if it answers.
    pub async fn status_of(&self, voter: &str) -> Option<VoterStatus> {
        let address = self.voters.get(voter)?;
        let statuses = self.client.status().await;
        statuses.into_iter().find(|(at, _)| at == address).and_then(|(_, status)| status)
    }

    /// How far the cluster's history is decided now.
    ///
    /// # Errors
    /// If there is no master for long.
    pub async fn committed(&self) -> Result<Index, Impatient> {
        wait_until("the master's status", async || {
            let master = self.master_now().ok_or("there is no master")?;
            let status = self.status_of(&master.pc).await.ok_or("it does not answer")?;
            if status.role == "master" { Ok(status.commit) } else { Err("it is not master any more") }
        })
        .await
    }

    /// Waits until a voter counts, as master or standby, and has applied the history up to `goal`.
    ///
    /// # Errors
    /// If that takes too long.
    pub async fn wait_until_level(&self, voter: &str, goal: Index) -> Result<VoterStatus, Impatient> {
        self.wait_for_role(voter, &["master", "standby"], goal).await
    }

    /// Waits until a voter has one of these roles and has applied the history up to `goal`.
    ///
    /// # Errors
    /// If that takes too long.
    pub async fn wait_for_role(
        &self,
        voter: &str,
        roles: &[&str],
        goal: Index,
    ) -> Result<VoterStatus, Impatient> {
        let what = format!("{voter} to be {} and to have applied {goal}", roles.join(" or "));
        wait_until(what, async || {
            let status = self.status_of(voter).await.ok_or_else(|| "it does not answer".to_owned())?;
            if roles.contains(&status.role.as_str()) && status.applied >= goal {
                return Ok(status);
            }
            Err(format!("it says that it is {}, and at {}", status.role, status.applied))
        })
        .await
    }

    /// Imports a fleet.
    ///
    /// # Errors
    /// If it was not imported.
    pub async fn import(&self, configuration: Configuration, mode: ImportMode) -> Result<(), ImportError> {
        let import = Command::Import { configuration, mode };
        let imported = self.client.execute(&import).await?;
        imported.map(|_outcome| ()).map_err(|rejection| ImportError::Rejected(Box::new(rejection)))
    }

    /// The grid at a glance.
    ///
    /// # Errors
    /// If no master answers.
    pub async fn status(&self) -> Result<Status, ClientError> {
        match self.client.read(&Query::Status).await? {
            Answer::Status(status) => Ok(status),
            other => unreachable!("the fleet answers what it was asked, not {other:?}"),
        }
    }

    /// All nodes.
    ///
    /// # Errors
    /// If no master answers.
    pub async fn nodes(&self) -> Result<Vec<NodeView>, ClientError> {
        self.ask_nodes(Selector::All).await
    }

    /// One node.
    ///
    /// # Errors
    /// If no master answers.
    ///
    /// # Panics
    /// If it is not in the fleet.
    pub async fn node(&self, pc: &str) -> Result<NodeView, ClientError> {
        let nodes = self.ask_nodes(Selector::Node(pc.to_owned())).await?;
        Ok(nodes.into_iter().next().expect("the PC was imported"))
    }

    async fn ask_nodes(&self, selector: Selector) -> Result<Vec<NodeView>, ClientError> {
        match self.client.read(&Query::Nodes(selector)).await? {
            Answer::Nodes(nodes) => Ok(nodes),
            other => unreachable!("the fleet answers what it was asked, not {other:?}"),
        }
    }

    /// Waits until the voters have noticed that a node is gone.
    ///
    /// # Errors
    /// If that takes too long.
    pub async fn wait_for_absence(&self, pc: &str) -> Result<(), Impatient> {
        wait_until(format!("{pc} to be absent"), async || {
            let presence = self.node(pc).await.map_err(|error| error.to_string())?.presence;
            if presence.name() == "absent" { Ok(()) } else { Err(format!("it is {}", presence.name())) }
        })
        .await
    }

    /// Waits until a node is there and has reported that it is what is wanted of it now, or later.
    ///
    /// # Errors
    /// If that takes too long.
    pub async fn wait_for_restoration(&self, pc: &str) -> Result<NodeView, Impatient> {
        let mut wanted = None;
        wait_until(format!("{pc} to be as desired"), async || {
            let node = self.node(pc).await.map_err(|error| error.to_string())?;
            let wanted = *wanted.get_or_insert(node.desired.revision);
            match &node.reported {
                Some(report)
                    if node.presence.is_present() && report.error.is_none() && report.revision >= wanted =>
                {
                    Ok(node)
                }
                Some(report) => {
                    let (presence, at) = (node.presence.name(), report.revision.0);
                    Err(format!("it is {presence}, and at revision {at} of {}", wanted.0))
                }
                None => Err(format!("it is {}, and has reported nothing", node.presence.name())),
            }
        })
        .await
    }
}
