//! `console`: the operators' window. Arguments, configuration, and the window itself.
#![cfg_attr(windows, windows_subsystem = "windows")]

mod clipboard;
mod looks;
mod window;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use app::{ClusterSettings, Exit, LogFormat, complain, folder_of, read_config, start_log};
use clap::Parser;
use console::{Core, Options};
use console_ui::{Link, View};
use shipper::Credentials;
use winit::event_loop::EventLoop;

use crate::looks::{KeptLooks, Scale, Theme};
use crate::window::{Beginning, Source, Woken};

const EXAMPLES: &str = "\
Examples:
  console --config operator/fleetctl.toml
  console --voter 10.0.0.1:7400 --certificates viewer/certificates --theme light
  console --scale 1.5                     for those who sit far away

Exit codes: 0 done, 1 failed, 2 usage";

/// A window on the fleet: how it is, what was done, and doing it.
#[derive(Debug, Parser)]
#[command(name = "console", version, after_help = EXAMPLES)]
struct Arguments {
    /// The configuration file, with a [cluster] table: the same as for fleetctl
    #[arg(long, env = "FLEETCTL_CONFIG", default_value = "fleetctl.toml")]
    config: PathBuf,
    /// An address of a voter, instead of those in the file; may be repeated
    #[arg(long = "voter", value_name = "ADDRESS")]
    voters: Vec<SocketAddr>,
    /// The folder with the certificate, instead of that in the file
    #[arg(long, value_name = "FOLDER")]
    certificates: Option<PathBuf>,
    /// Where the console keeps its copy of the fleet; beside the configuration, if it is not given
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Dark or light, this time; without it, as it was left the last time, and dark at first
    #[arg(long, value_enum)]
    theme: Option<Theme>,
    /// How large everything is, this time; without it, as it was left the last time, and 1 at first
    #[arg(long)]
    scale: Option<Scale>,
    /// How long an action waits for a master before it counts as not applied, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// How log lines on standard error look
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

/// The configuration file.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    cluster: ClusterSettings,
}

fn main() -> Exit {
    let started = Instant::now();
    let arguments = Arguments::parse();
    let log = start_log(arguments.log_format, "warn");
    let done = run(&arguments, started);
    drop(log);
    match done {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(format_args!("console: {error:#}"));
            Exit::Failed
        }
    }
}

fn run(arguments: &Arguments, started: Instant) -> anyhow::Result<()> {
    let event_loop = EventLoop::<Woken>::with_user_event()
        .build()
        .context("there is no display to open a window on; over ssh, use fleetctl")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let _entered = runtime.enter();
    let proxy = event_loop.create_proxy();
    // The window has gone: then nobody looks any more.
    let wake = move || drop(proxy.send_event(Woken));
    let options = options(arguments);
    let mut kept = KeptLooks::read(options.as_ref().ok().map(|options| options.folder.as_path()));
    let looks = kept.begin(arguments.theme, arguments.scale);
    let beginning = Beginning { looks, kept, started };
    let core = options.and_then(|options| Ok(Core::start(options, wake)?));
    match core {
        Ok(core) => window::run(event_loop, Source::Core(core), beginning),
        // Whoever has clicked on an icon sees no standard error: the window says what is wrong.
        Err(error) => {
            let reason = format!("{error:#}");
            let view = View { link: Link::Stopped { reason }, ..View::default() };
            window::run(event_loop, Source::Nothing(Arc::new(view)), beginning)?;
            Err(error)
        }
    }
}

/// Flags win over the file; with both of them no file is needed.
fn options(arguments: &Arguments) -> anyhow::Result<Options> {
    let folder = folder_of(&arguments.config);
    let cluster = match (arguments.voters.as_slice(), &arguments.certificates) {
        (voters @ [_, ..], Some(certificates)) => {
            ClusterSettings { voters: voters.to_vec(), certificates: certificates.clone() }
        }
        (voters, certificates) => {
            let Config { cluster } = read_config(&arguments.config)
                .context("without --voter and --certificates, a configuration is needed")?;
            let cluster = cluster.beside(folder);
            ClusterSettings {
                voters: if voters.is_empty() { cluster.voters } else { voters.to_vec() },
                certificates: certificates.clone().unwrap_or(cluster.certificates),
            }
        }
    };
    let actor = Credentials::load(&cluster.certificates)?.identity().actor();
    Ok(Options {
        addresses: cluster.voters,
        identity: cluster.certificates,
        folder: arguments.data.clone().unwrap_or_else(|| folder.join(format!("console-{}", actor.name))),
        actor,
        time_out: Duration::from_secs(arguments.timeout),
        utc_offset_s: jiff::Zoned::now().offset().seconds(),
    })
}
