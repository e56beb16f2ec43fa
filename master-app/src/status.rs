//! `master status`: how each voter is, from any machine that has a voter's folder.

use std::path::Path;
use std::time::Duration;

use app::{Exit, say};
use fleet::Fleet;
use shipper::{Client, ClientError, ClientOptions};

use crate::config::Config;

/// How long to look for a master.
const TIME_OUT: Duration = Duration::from_secs(3);

/// Prints how each voter is. Exit code 3 if none of them knows a master, 1 if something else is wrong.
pub(crate) async fn status(config: &Path, json: bool) -> anyhow::Result<Exit> {
    let settings = Config::read(config)?;
    let client = Client::<Fleet>::connect(ClientOptions {
        addresses: settings.cluster.voters.clone(),
        identity: settings.cluster.certificates.clone(),
        members_file: None,
        time_out: TIME_OUT,
    })?;
    let master = client.wait_for_master().await;
    let status = client.cluster_status().await;
    client.close().await;
    if json {
        say(serde_json::to_string(&status)?)?;
    } else {
        status.lines().iter().try_for_each(|line| say(fleet::one_line(line)))?;
    }
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
