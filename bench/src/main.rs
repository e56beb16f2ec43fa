//! `bench`: figures of this machine. Compare them only within one run; machines and moments differ.

mod embedded;
mod footprint;
mod latency;
mod replicated;
mod workload;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde::Serialize;

use embedded::Replay;
use footprint::Footprint;
use latency::Latency;

/// Commands under way at once.
const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];

/// Prints what this machine can do: raw syncs, embedded and replicated durable commands, replay, memory.
/// Takes less than a minute.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Seconds for each measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Where the data goes: the disk to be measured. A folder in it is made and removed
    #[arg(long, default_value = ".")]
    folder: PathBuf,
}

#[derive(Debug, Serialize)]
struct Figures {
    /// Writes and syncs of as many bytes as so many commands take.
    raw: Vec<Latency>,
    /// A store in this process.
    embedded: Vec<Latency>,
    replay: Replay,
    /// Three voters, processes on this machine, and one client.
    replicated: Vec<Latency>,
    /// One of them, before it had anything to do. Only where the system says (Linux).
    idle_master: Option<Footprint>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Before anything is measured: they may have to be built.
    let executables = demo::Executables::find()?;
    let folder = tempfile::Builder::new().prefix("prevalent-bench-").tempdir_in(&arguments.folder)?;
    let length = Duration::from_secs(arguments.seconds);
    let print = |line: String| {
        if !arguments.json {
            println!("{line}");
        }
    };

    print(Latency::heading());
    let (mut raw, mut embedded) = (Vec::new(), Vec::new());
    for in_flight in IN_FLIGHT {
        let floor = embedded::raw(folder.path(), in_flight, length)?;
        print(floor.line("raw write + sync", None));
        let durable = embedded::durable(folder.path(), in_flight, length)?;
        print(durable.line("embedded", Some(&floor)));
        raw.push(floor);
        embedded.push(durable);
    }
    let replay = embedded::replay(folder.path())?;
    print(format!(
        "replay at start           {} commands in {} ms: {}/s",
        replay.commands, replay.ms, replay.per_second
    ));

    let cluster = replicated::Voters::start(executables, &folder.path().join("cluster"))?;
    let idle_master = cluster.idle(length)?;
    let mut replicated = Vec::new();
    for in_flight in IN_FLIGHT {
        let latency = cluster.durable(in_flight, length)?;
        print(latency.line("replicated, 3 voters", None));
        replicated.push(latency);
    }
    if let Some(idle) = &idle_master {
        print(idle.line());
    }
    if arguments.json {
        let figures = Figures { raw, embedded, replay, replicated, idle_master };
        println!("{}", serde_json::to_string_pretty(&figures)?);
    }
    Ok(())
}
