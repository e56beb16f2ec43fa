//! `master`: the voter's executable.

mod check;
mod config;
mod gate;
mod init;
mod presence;
mod run;
mod status;

use std::path::PathBuf;

use app::{Exit, LogFormat, start_log};
use clap::{Parser, Subcommand};
use quorum::Founding;

/// Keeps the fleet's state, and leads while elected.
#[derive(Debug, Parser)]
#[command(version)]
#[command(after_help = "Examples:\n  \
    master init --fleet fleet.csv --voters pc1=10.0.0.1:7400,pc2=10.0.0.2:7400,pc3=10.0.0.3:7400 --out cluster\n  \
    master --config master.toml\n  \
    master --config master.toml --standby\n  \
    master status --config master.toml\n\n\
    Exit codes: 0 done, 1 failed, 2 usage, 3 no master found, 4 refused by role, 5 corruption found.\n\
    Log lines go to standard error; RUST_LOG chooses which.")]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, env = "MASTER_CONFIG", default_value = "master.toml", value_name = "FILE")]
    config: PathBuf,
    /// Start as a warm standby: never be the one that founds the cluster. A standby is promoted whenever
    /// the master is lost.
    #[arg(long)]
    standby: bool,
    /// Let a majority of the voters found the cluster instead of all of them. Only if the others are lost
    /// for good: a machine whose folder was copied afresh looks just as empty.
    #[arg(long, conflicts_with = "standby")]
    found_with_majority: bool,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Option<Order>,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Makes a new cluster: certificates and one folder per PC.
    Init(init::InitArguments),
    /// Prints how each voter is.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Looks at configuration files.
    #[command(subcommand)]
    Config(ConfigOrder),
}

#[derive(Debug, Subcommand)]
enum ConfigOrder {
    /// Checks the configuration file and everything it names, and starts nothing.
    Check,
}

fn main() -> Exit {
    let arguments = Arguments::parse();
    start_log(arguments.log_format, "info");
    match run(arguments) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("master: {error:#}");
            Exit::Failed
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    if let Some(Order::Init(init)) = &arguments.command {
        return init::init(init).map(|()| Exit::Done);
    }
    let config = &arguments.config;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match &arguments.command {
        Some(Order::Status { json }) => runtime.block_on(status::status(config, *json)),
        Some(Order::Config(ConfigOrder::Check)) => check::check(config),
        _ => {
            let founding = match (arguments.standby, arguments.found_with_majority) {
                (true, _) => Founding::Never,
                (false, true) => Founding::Majority,
                (false, false) => Founding::All,
            };
            runtime.block_on(run::run(config, founding))
        }
    }
}
