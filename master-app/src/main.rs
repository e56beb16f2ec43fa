//! `master`: the voter's executable.

mod check;
mod config;
mod exit;
mod folders;
mod gate;
mod holder_folder;
mod init;
mod issue;
mod ledger;
mod new_folder;
mod presence;
mod run;
mod status;

use std::path::{Path, PathBuf};

use anyhow::Context;
use app::{Exit, Service, ServiceOrder, StartArguments, Supervisor, Writes, path_argument, say};
use clap::{Parser, Subcommand};
use quorum::FoundingRule;

use crate::config::Config;
use crate::exit::exit_of;
use crate::issue::Which;

const ISSUE_EXAMPLES: &str = "\
Examples:
  master issue voter pc10 --address 10.0.0.10:7400 --authority cluster/authority --out pc10-voter
  master issue node pc10 --authority cluster/authority --out pc10-node
  master issue admin ann --authority cluster/authority --out ann
  master issue operator bob --authority cluster/authority --out bob
  master issue viewer wall --authority cluster/authority --out wall";

const RENEW_EXAMPLES: &str = "\
Examples:
  master renew operator operator --authority cluster/authority --out operator-2
  master renew voter pc3 --authority cluster/authority --out pc3-again
  master renew voter pc2 --address 10.0.1.2:7400 --authority cluster/authority --out pc2-moved";

/// Keeps the fleet's state, and leads while elected.
#[derive(Debug, Parser)]
#[command(version)]
#[command(after_help = "Examples:\n  \
    master init --fleet fleet.csv --voters pc1=10.0.0.1:7400,pc2=10.0.0.2:7400,pc3=10.0.0.3:7400 --out cluster\n  \
    master issue operator ann --authority cluster/authority --out ann\n  \
    master --config master.toml\n  \
    master --config master.toml --standby\n  \
    master status --config master.toml\n  \
    master service install --config master.toml --standby\n\n\
    Exit codes: 0 done, 1 failed (status: something is wrong), 2 usage, 3 no master found (status),\n            \
    4 the certificate is not a voter's, 5 the data directory is damaged,\n            \
    6 this voter was removed from the cluster. A service is not restarted after 2, 4, 5 and 6.\n\
    Log lines go to standard error; RUST_LOG chooses which.")]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, env = "MASTER_CONFIG", default_value = "master.toml", value_name = "FILE",
        value_parser = path_argument())]
    config: PathBuf,
    /// Start as a warm standby: never be the one that founds the cluster. A standby is promoted whenever
    /// the master is lost.
    #[arg(long, global = true)]
    standby: bool,
    /// Let a majority of the voters found the cluster instead of all of them. Only if the others are lost
    /// for good: a machine whose folder was copied afresh looks just as empty.
    #[arg(long, conflicts_with = "standby")]
    found_with_majority: bool,
    #[command(flatten)]
    start: StartArguments,
    #[command(subcommand)]
    command: Option<Order>,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Makes a new cluster: certificates and one folder per PC.
    Init(init::InitArguments),
    /// Makes a folder for one more PC or person, with the authority's folder and without the cluster.
    #[command(after_help = ISSUE_EXAMPLES)]
    Issue(issue::IssueArguments),
    /// Makes a folder with the next certificate of a PC or person that has one already.
    #[command(after_help = RENEW_EXAMPLES)]
    Renew(issue::IssueArguments),
    /// Prints how each voter is, what is wrong and what to do.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Looks at configuration files.
    #[command(subcommand)]
    Config(ConfigOrder),
    /// Makes the voter a service of the system: a systemd unit or a Windows service.
    #[command(subcommand)]
    Service(ServiceOrder),
}

#[derive(Debug, Subcommand)]
enum ConfigOrder {
    /// Checks the configuration file and everything it names, and starts nothing.
    Check,
}

fn main() -> Exit {
    let arguments: Arguments = app::parse();
    arguments.start.clone().run("master", exit_of, |supervisor| run(arguments, supervisor))
}

fn run(arguments: Arguments, supervisor: &Supervisor) -> anyhow::Result<Exit> {
    let config = &arguments.config;
    match &arguments.command {
        Some(Order::Init(init)) => init::init(init).map(|()| Exit::Done),
        Some(Order::Issue(order)) => issue::issue(order, Which::First).map(|()| Exit::Done),
        Some(Order::Renew(order)) => issue::issue(order, Which::Next).map(|()| Exit::Done),
        Some(Order::Status { json }) => runtime()?.block_on(status::status(config, *json)),
        Some(Order::Config(ConfigOrder::Check)) => {
            let findings = check::check(config)?;
            findings.lines.iter().try_for_each(say)?;
            Ok(findings.exit)
        }
        Some(Order::Service(order)) => service(order, &arguments).map(|()| Exit::Done),
        None => {
            let founding = match (arguments.standby, arguments.found_with_majority) {
                (true, _) => FoundingRule::Never,
                (false, true) => FoundingRule::Majority,
                (false, false) => FoundingRule::All,
            };
            let runtime = runtime()?;
            let done = runtime.block_on(run::run(config, founding, supervisor));
            // What still waits for a disk then is ended with the process.
            runtime.shutdown_background();
            done
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn service(order: &ServiceOrder, arguments: &Arguments) -> anyhow::Result<()> {
    let install = match order {
        ServiceOrder::Install(install) => install,
        ServiceOrder::Uninstall { name } => return Ok(app::uninstall("master", name.as_ref())?),
    };
    let findings = check::check(&arguments.config).context("the service was not installed")?;
    if !install.print {
        findings.lines.iter().try_for_each(say)?;
    }
    let service = Service {
        program: "master",
        title: "Prevalent master",
        description: "keeps the fleet's state, and leads while elected",
        config: arguments.config.clone(),
        arguments: if arguments.standby { vec!["--standby"] } else { vec![] },
        writes: Writes::Only(written(&arguments.config)?),
        watched: true,
    };
    Ok(service.install(install)?)
}

/// The data directory, with the folder around it if that is the voter's own: after a disk was lost, the
/// directory has to be made anew. What is not there cannot be named to systemd.
fn written(config: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (own, data) = (app::folder_of(config).to_owned(), Config::read(config)?.data);
    Ok(vec![if data.starts_with(&own) { own } else { check::nearest_folder(&data).to_owned() }])
}
