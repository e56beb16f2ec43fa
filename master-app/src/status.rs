//! `master status`: every voter's own word, from any machine that has a voter's folder.

use std::path::Path;
use std::time::Duration;

use app::{Exit, complain, say};
use fleet::Fleet;
use serde::Serialize;
use shipper::{Client, ClientError, ClientOptions, Reached, VoterStatus};

use crate::config::Config;

/// How long to look for voters.
const TIME_OUT: Duration = Duration::from_secs(3);

/// How long voters other than the first to answer are waited for.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct VoterLine {
    address: String,
    #[serde(flatten)]
    status: Option<VoterStatus>,
}

/// Prints how each voter is. Exit code 3 if none of them knows a master.
pub(crate) async fn status(config: &Path, json: bool) -> anyhow::Result<Exit> {
    let settings = Config::read(config)?;
    let client = Client::<Fleet>::connect(ClientOptions {
        addresses: settings.cluster.voters.clone(),
        identity: settings.cluster.certificates.clone(),
        members_file: None,
        time_out: TIME_OUT,
    })?;
    let master = client.wait_for_master().await;
    let mut standings = client.standings();
    let all_tried = standings
        .wait_for(|standing| !standing.voters.values().any(|reached| matches!(reached, Reached::Connecting)));
    // Whoever has not answered by then is shown so.
    drop(tokio::time::timeout(GRACE, all_tried).await);
    let statuses = client.status().await;
    client.close().await;
    let lines: Vec<VoterLine> = statuses
        .into_iter()
        .map(|(address, status)| VoterLine { address: address.to_string(), status })
        .collect();
    if json {
        say(serde_json::to_string_pretty(&lines)?)?;
    } else {
        lines.iter().try_for_each(|line| say(describe(line)))?;
    }
    match master {
        Ok(()) => Ok(Exit::Done),
        Err(error @ ClientError::NoMaster { .. }) => {
            complain(format_args!("master: {error}"));
            Ok(Exit::NoMaster)
        }
        Err(error) => Err(error.into()),
    }
}

fn describe(line: &VoterLine) -> String {
    let Some(status) = &line.status else { return format!("{:21} does not answer", line.address) };
    let name = status.view.members.iter().find(|member| member.id == status.voter);
    let name = name.map_or_else(|| format!("voter {}", status.voter), |member| member.name.clone());
    let waits = status.disk_trouble().map_or_else(String::new, |trouble| format!(" · {trouble}"));
    let findings: String =
        status.findings.iter().map(|finding| format!("\n{:21}   {}", "", fleet::one_line(finding))).collect();
    format!(
        "{:21} {name:8} {:10} epoch {} · journal {} · durable {} · committed {} · applied {} · outcomes {}{waits}{findings}",
        line.address,
        status.role,
        status.view.epoch,
        status.last,
        status.durable,
        status.commit,
        status.applied,
        status.outcome_hash
    )
}
