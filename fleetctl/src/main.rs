//! `fleetctl`: the fleet for scripts. Arguments, printing and exit codes; what is printed is worked out
//! by `fleet`, and the cluster is reached through `shipper`.

mod action;
mod arguments;
mod cluster;
mod files;
mod live_copy;
mod log;
mod moment;
mod output;
mod past;
mod table;
mod top;

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::Context;
use app::{ClusterSettings, Exit, conclude, folder_of, read_config, start_log};
use fleet::{Fleet, Rejection};
use shipper::{Client, ClientError, ClientOptions, Credentials, PastError};

use crate::action::Session;
use crate::arguments::{Action, Arguments, AssignmentError, Connection};
use crate::cluster::NotAnAdmin;
use crate::output::Layout;

/// The configuration file.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    cluster: ClusterSettings,
}

fn main() -> Exit {
    let arguments: Arguments = app::parse();
    // Log lines would lie across the picture, where that is on the same terminal.
    let across = matches!(arguments.action, Action::Top) && io::stderr().is_terminal();
    let log = start_log(arguments.log_format, if across { "off" } else { "warn" });
    let done = run(arguments);
    drop(log);
    conclude("fleetctl", done, exit_of)
}

fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let options = options(&arguments.connection)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        if matches!(arguments.action, Action::Top) {
            return top::run(options).await.map(|()| Exit::Done);
        }
        let actor = Credentials::load(&options.identity).map_err(ClientError::from)?.identity().actor();
        let client = Client::<Fleet>::connect(options.clone())?;
        let session = Session {
            client: client.clone(),
            actor,
            options,
            layout: Layout { width: width() },
            json: arguments.json,
        };
        let done = match arguments.action {
            Action::Cluster(action) => session.perform_on_cluster(action).await,
            action => session.perform(action).await.map(|()| Exit::Done),
        };
        client.close().await;
        done
    })
}

/// Flags win over the file; with both of them no file is needed.
fn options(connection: &Connection) -> anyhow::Result<ClientOptions> {
    let folder = folder_of(&connection.config);
    let given = (connection.voters.as_slice(), &connection.certificates);
    let cluster = match given {
        ([_, ..], Some(certificates)) => {
            ClusterSettings { voters: connection.voters.clone(), certificates: certificates.clone() }
        }
        (voters, certificates) => {
            let Config { cluster } = read_config(&connection.config)
                .context("without --voter and --certificates, a configuration is needed")?;
            let cluster = cluster.beside(folder);
            ClusterSettings {
                voters: if voters.is_empty() { cluster.voters } else { voters.to_vec() },
                certificates: certificates.clone().unwrap_or(cluster.certificates),
            }
        }
    };
    Ok(ClientOptions {
        addresses: cluster.voters,
        identity: cluster.certificates,
        members_file: Some(folder.join("members")),
        time_out: Duration::from_secs(connection.timeout),
    })
}

/// The terminal's width, if standard output is one.
fn width() -> Option<u16> {
    let terminal = io::stdout().is_terminal();
    terminal.then(terminal_size::terminal_size).flatten().map(|(width, _height)| width.0)
}

/// What a script is told. 3 promises that nothing was changed: when that is not known, it is 1.
fn exit_of(error: &anyhow::Error) -> Exit {
    if error.is::<AssignmentError>() {
        return Exit::Usage;
    }
    if error.is::<NotAnAdmin>() {
        return Exit::RefusedByRole;
    }
    if let Some(rejection) = error.downcast_ref::<Rejection>() {
        return if rejection.is_by_role() { Exit::RefusedByRole } else { Exit::Failed };
    }
    if let Some(ClientError::NoMaster { .. }) = error.downcast_ref::<ClientError>() {
        return Exit::NoMaster;
    }
    match error.downcast_ref::<PastError>() {
        Some(PastError::NoVoter { .. }) => Exit::NoMaster,
        Some(PastError::Unusable { .. }) => Exit::Corrupted,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::path::{Path, PathBuf};

    fn connection(config: &Path, voters: &[&str], certificates: Option<&str>) -> Connection {
        Connection {
            config: config.to_owned(),
            voters: voters.iter().map(|voter| voter.parse().unwrap()).collect(),
            certificates: certificates.map(PathBuf::from),
            timeout: 10,
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("fleetctl.toml");
        std::fs::write(&config, "[cluster]\nvoters = [\"10.0.0.1:7400\"]\ncertificates = \"own\"\n").unwrap();
        let from_file = options(&connection(&config, &[], None)).unwrap();
        let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
        assert_eq!(from_file.addresses, [address("10.0.0.1:7400")]);
        assert_eq!(from_file.identity, folder.path().join("own"));
        let mixed = options(&connection(&config, &["10.0.0.2:7400"], None)).unwrap();
        assert_eq!(mixed.addresses, [address("10.0.0.2:7400")]);
        assert_eq!(mixed.identity, folder.path().join("own"));
        let nowhere = folder.path().join("none.toml");
        let flags = options(&connection(&nowhere, &["10.0.0.2:7400"], Some("here"))).unwrap();
        assert_eq!(flags.identity, Path::new("here"));
        let message = format!("{:#}", options(&connection(&nowhere, &["10.0.0.2:7400"], None)).unwrap_err());
        assert!(message.contains("none.toml") && message.contains("--certificates"), "{message}");
    }

    #[test]
    fn the_example_is_a_configuration() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/fleetctl.toml");
        assert_eq!(options(&connection(&example, &[], None)).unwrap().addresses.len(), 3);
    }

    #[test]
    fn exit_codes_tell_what_went_wrong() {
        let waited = Duration::from_secs(1);
        let tried = "10.0.0.1:7400 (no answer yet)".to_owned();
        let not_allowed = Rejection::NotAllowed { actor: "v".into(), action: "a".into(), rule: "r".into() };
        let past = |error: PastError| anyhow::Error::from(error).context("nothing was changed");
        let cases: [(anyhow::Error, Exit); 11] = [
            (past(PastError::NoVoter { tried: tried.clone() }), Exit::NoMaster),
            (
                past(PastError::Unusable { address: ([10, 0, 0, 1], 7400).into(), why: "w".into() }),
                Exit::Corrupted,
            ),
            (past(PastError::Interrupted), Exit::Failed),
            (past(PastError::Refused { reason: "it is not kept".into() }), Exit::Failed),
            (ClientError::NoMaster { waited, tried: tried.clone() }.into(), Exit::NoMaster),
            (ClientError::Unknown { waited, tried }.into(), Exit::Failed),
            (ClientError::Refused { reason: "the disk is full".into() }.into(), Exit::Failed),
            (not_allowed.into(), Exit::RefusedByRole),
            (Rejection::NoSuchNode { node: "pc9".into() }.into(), Exit::Failed),
            (AssignmentError::Syntax.into(), Exit::Usage),
            (io::Error::from(io::ErrorKind::NotFound).into(), Exit::Failed),
        ];
        for (error, exit) in cases {
            assert_eq!(exit_of(&error), exit, "{error:#}");
        }
    }
}
