//! Which nodes are there: the master sees their connections, and journals it when that changes.
//!
//! Responsible for: one command per change, never one per heartbeat, and none because of a failover.
//! Not responsible for: noticing connections (`shipper`), and what presence means (`fleet`).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use app::ClusterSettings;
use fleet::{Answer, Command, Fleet, NodeView, Presence, Query, Selector};
use shipper::{Client, ClientError, ClientOptions, Running};
use tokio::time::{Instant, sleep_until};

/// After a takeover nodes need a moment to turn to the new master: their absence means nothing until then.
const HOLD: Duration = Duration::from_secs(2);
/// A change that could not be journaled is tried again after this.
const RETRY: Duration = Duration::from_secs(1);
/// A node may have been connected before an operator added it to the fleet; nothing changes here when that
/// happens, so a master looks again this often.
const LOOK: Duration = Duration::from_secs(1);
/// Trouble that lasts longer than any change of master is told.
const LASTING: Duration = Duration::from_secs(10);
/// How long one command may take.
const TIME_OUT: Duration = Duration::from_secs(5);

/// Journals presence for as long as the voter runs; does nothing while another leads.
pub(crate) async fn keep(mut running: Running, cluster: ClusterSettings) {
    let options = ClientOptions {
        addresses: vec![own_address(running.address)],
        identity: cluster.certificates,
        members_file: None,
        time_out: TIME_OUT,
    };
    let client = match Client::<Fleet>::connect(options) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "presence of nodes is not recorded");
            return;
        }
    };
    let mut leads_since: Option<Instant> = None;
    let mut trouble = Trouble::default();
    loop {
        let leads = running.view.borrow_and_update().master == Some(running.me);
        leads_since = leads.then(|| leads_since.unwrap_or_else(Instant::now));
        let due = match leads_since {
            Some(since) => {
                let connected = running.nodes.borrow_and_update().clone();
                let settled = since.elapsed() >= HOLD;
                let recorded = record(&client, &connected, settled).await;
                trouble.judge(&recorded);
                match recorded {
                    Ok(()) if settled => Instant::now() + LOOK,
                    Ok(()) => since + HOLD,
                    Err(_told) => Instant::now() + RETRY,
                }
            }
            // Only a change of master matters.
            None => {
                trouble = Trouble::default();
                Instant::now() + Duration::from_secs(3600)
            }
        };
        let open = tokio::select! {
            changed = running.view.changed() => changed.is_ok(),
            changed = running.nodes.changed() => changed.is_ok(),
            () = sleep_until(due) => true,
        };
        if !open {
            return;
        }
    }
}

/// What keeps presence from being recorded: told once, when it lasts.
#[derive(Debug, Default)]
struct Trouble {
    since: Option<Instant>,
    is_told: bool,
}

impl Trouble {
    fn judge(&mut self, recorded: &Result<(), ClientError>) {
        let Err(error) = recorded else { return *self = Trouble::default() };
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.is_told || since.elapsed() < LASTING {
            tracing::debug!(%error, "presence could not be recorded yet");
        } else {
            self.is_told = true;
            tracing::warn!(%error, "presence cannot be recorded for some time; it is tried again and again");
        }
    }
}

/// Where this process reaches its own voter. One that listens on all addresses of its PC listens on this one
/// too; the others know it by another, which a firewall may keep from the PC itself.
fn own_address(listening: SocketAddr) -> SocketAddr {
    if listening.ip().is_unspecified() { (Ipv4Addr::LOCALHOST, listening.port()).into() } else { listening }
}

/// Brings the fleet's picture in line with who is connected; absences only once things have settled.
async fn record(
    client: &Client<Fleet>,
    connected: &BTreeSet<String>,
    settled: bool,
) -> Result<(), ClientError> {
    let Answer::Nodes(nodes) = client.read(&Query::Nodes(Selector::All)).await? else { return Ok(()) };
    for (node, present) in changes(&nodes, connected, settled) {
        if let Err(rejection) = client.execute(&Command::Presence { node, present }).await? {
            tracing::debug!(%rejection, "a node's presence was not recorded");
        }
    }
    Ok(())
}

fn changes(nodes: &[NodeView], connected: &BTreeSet<String>, settled: bool) -> Vec<(String, bool)> {
    let change = |node: &NodeView| {
        let name = node.name.to_string();
        let there = connected.contains(&name);
        match node.presence {
            Presence::Present { .. } if !there && settled => Some((name, false)),
            Presence::Unknown | Presence::Absent { .. } if there => Some((name, true)),
            _ => None,
        }
    };
    nodes.iter().filter_map(change).collect()
}
