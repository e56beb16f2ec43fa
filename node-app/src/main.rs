//! `node`: the agent on a PC. Arguments and the life of the process; the rest is in the library.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use app::{Exit, Service, ServiceOrder, StartArguments, Supervisor, Writes, folder_of, path_argument, say};
use clap::{Parser, Subcommand};
use fleet::Fleet;
use node_app::{Config, Driver, DriverSettings, connect, find_program, run};
use prevalent::{Actor, Role};
use shipper::{Client, ClientOptions, Credentials};
use tokio_util::sync::CancellationToken;
use tracing::info;

const EXAMPLES: &str = "\
Examples:
  node --config C:\\wall\\node.toml
  node config check --config C:\\wall\\node.toml
  node service install --config C:\\wall\\node.toml

The configuration:
  [cluster]
  voters = [\"10.0.0.1:7400\", \"10.0.0.2:7400\", \"10.0.0.3:7400\"]
  certificates = \"certificates\"   # ca.pem, certificate.pem, key.pem; the certificate names the node

  [driver]
  kind = \"exec\"                   # runs a program: desired state on standard input, 0 = applied
  program = \"apply-settings.exe\"  # what it prints is reported
  # kind = \"file\"                 # writes desired.json, reads reported.json
  # folder = \"exchange\"
  # kind = \"simulated\"            # does as it is told, for demonstrations

Exit codes: 0 done, 1 failed, 2 usage, 4 the certificate is not a node's";

/// How long one report may take before it is sent again.
const REPORT_WITHIN: Duration = Duration::from_secs(10);

/// Follows what is desired of this PC, has its driver apply it, and reports back.
#[derive(Debug, Parser)]
#[command(name = "node", version, after_help = EXAMPLES)]
struct Arguments {
    /// The configuration file
    #[arg(long, global = true, env = "NODE_CONFIG", default_value = "node.toml", value_name = "FILE",
        value_parser = path_argument())]
    config: PathBuf,
    #[command(flatten)]
    start: StartArguments,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Make the node a service of the system: a systemd unit or a Windows service
    #[command(subcommand)]
    Service(ServiceOrder),
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Say whether the node could start with it
    Check,
}

/// The certificate is somebody else's.
#[derive(Debug, thiserror::Error)]
#[error("the certificate in {} is that of {actor}; a node needs one of role node. Nothing was started", folder.display())]
struct NotANode {
    folder: PathBuf,
    actor: Actor,
}

/// A configuration with which a node can start.
struct Ready {
    config: Config,
    node: String,
}

fn main() -> Exit {
    let arguments: Arguments = app::parse();
    arguments
        .start
        .clone()
        .run("node", exit_of, |supervisor| perform(arguments, supervisor).map(|()| Exit::Done))
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if error.is::<NotANode>() { Exit::RefusedByRole } else { Exit::Failed }
}

fn perform(arguments: Arguments, supervisor: &Supervisor) -> anyhow::Result<()> {
    let Arguments { config, action, .. } = arguments;
    match action {
        Some(Action::Service(ServiceOrder::Uninstall { name })) => Ok(app::uninstall("node", name.as_ref())?),
        Some(Action::Service(ServiceOrder::Install(install))) => {
            let ready = Ready::check(&config).and_then(Ready::with_program);
            Ok(ready.context("the service was not installed")?.service(config).install(&install)?)
        }
        Some(Action::Config { action: ConfigAction::Check }) => {
            Ready::check(&config)?.with_program()?.describe(&config)
        }
        None => Ready::check(&config)?.run(folder_of(&config), supervisor),
    }
}

impl Ready {
    fn check(path: &Path) -> anyhow::Result<Ready> {
        let config = Config::read(path)?;
        let credentials = Credentials::load(&config.cluster.certificates)?;
        let actor = credentials.identity().actor();
        if actor.role != Role::Node {
            return Err(NotANode { folder: config.cluster.certificates, actor }.into());
        }
        if let DriverSettings::File { folder } = &config.driver
            && !folder.is_dir()
        {
            bail!("the driver's folder {} is not there. Nothing was started; create it", folder.display());
        }
        Ok(Ready { config, node: actor.name })
    }

    /// Whether the driver's program is there. A node starts without it, since then the wall can show what is
    /// wrong with that PC.
    fn with_program(self) -> anyhow::Result<Ready> {
        if let DriverSettings::Exec { program, .. } = &self.config.driver {
            find_program(program)?;
        }
        Ok(self)
    }

    fn describe(self, path: &Path) -> anyhow::Result<()> {
        let voters = self.config.cluster.voters_listed();
        say(format_args!("{} is good: node {}, voters {voters}", path.display(), self.node))?;
        Ok(())
    }

    fn service(self, config: PathBuf) -> Service {
        // Beside the configuration it keeps the list of the voters.
        let own = folder_of(&config).to_owned();
        let writes = match self.config.driver {
            DriverSettings::Exec { .. } => Writes::Anything,
            DriverSettings::File { folder } => Writes::Only(vec![own, folder]),
            DriverSettings::Simulated {} => Writes::Only(vec![own]),
        };
        Service {
            program: "node",
            title: "Prevalent node",
            description: "keeps this PC as it is desired to be",
            config,
            arguments: vec![],
            writes,
            watched: false,
        }
    }

    fn run(self, folder: &Path, supervisor: &Supervisor) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start the runtime. Nothing was started")?;
        let done = runtime.block_on(self.follow(folder, supervisor));
        // A program of the driver's that hangs must not keep the node.
        runtime.shutdown_background();
        done
    }

    async fn follow(self, folder: &Path, supervisor: &Supervisor) -> anyhow::Result<()> {
        let Ready { config, node } = self;
        let options = ClientOptions {
            addresses: config.cluster.voters.clone(),
            identity: config.cluster.certificates.clone(),
            members_file: Some(folder.join("members")),
            time_out: REPORT_WITHIN,
        };
        let client = Client::<Fleet>::connect(options)?;
        info!(%node, voters = config.cluster.voters_listed(), "started");
        supervisor.ready();
        let stop = CancellationToken::new();
        let (links, connection) = connect(&node, &client);
        let driver = Driver::new(config.driver);
        let agent = run(&node, driver, links, &stop);
        tokio::pin!(agent, connection);
        let ended = tokio::select! {
            () = &mut agent => Ok(()),
            ended = &mut connection => ended,
            () = supervisor.stop_requested() => Ok(()),
        };
        supervisor.stopping();
        stop.cancel();
        agent.await;
        client.close().await;
        info!("stopped; the machine stays as it is");
        ended.context("the cluster does not let this node follow")
    }
}
