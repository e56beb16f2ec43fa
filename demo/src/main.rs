//! `demo`: nine PCs on this machine. The master's PC is killed, and the timeline is printed.

use std::path::PathBuf;

use app::{Exit, complain, is_broken_pipe, say, stop_requested};
use clap::Parser;
use demo::{Executables, Mission, Report, Timeline};

const EXAMPLES: &str = "\
Examples:
  demo                              kill the master's PC once, and watch
  demo --kills 10 --json            ten times, with one JSON object at the end
  demo --folder wall                keep the folders, logs and journals: look at them with inspect

Exit codes: 0 nothing was lost or done twice and every kill was survived, 1 otherwise, 2 usage";

/// Runs nine PCs on this machine, three of which vote, kills the master's, and checks that nothing is lost.
#[derive(Debug, Parser)]
#[command(name = "demo", version, after_help = EXAMPLES)]
struct Arguments {
    /// How often the master's PC is killed
    #[arg(long, default_value_t = 1, value_name = "N")]
    kills: usize,
    /// Print one JSON object to standard output, and the timeline to standard error
    #[arg(long)]
    json: bool,
    /// Make and keep this folder, instead of a temporary one
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

fn main() -> Exit {
    let arguments: Arguments = app::parse();
    match run(&arguments) {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::Failed,
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => Exit::Done,
        Err(error) => {
            // Each message has its cause in it already.
            complain(format_args!("demo: {error}"));
            Exit::Failed
        }
    }
}

/// Whether everything was kept that was promised.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let executables = Executables::find()?;
    let timeline = Timeline::start(arguments.json);
    let mut mission = Mission::prepare(executables, arguments.folder.as_deref(), timeline)?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| anyhow::anyhow!("cannot start threads for the network: {error}"))?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = mission.run(arguments.kills) => Some(done),
            () = stop_requested() => None,
        }
    });
    let Some(done) = done else {
        // The children are killed with the mission.
        complain("demo: stopped; all processes are ended");
        return Ok(false);
    };
    let report = match done {
        Ok(report) => report,
        Err(error) => {
            complain(mission.last_lines());
            return Err(error.into());
        }
    };
    if arguments.json {
        say(serde_json::to_string(&report)?)?;
    } else {
        say(format_args!("\n{}", summary(&report)))?;
    }
    Ok(report.is_good())
}

fn summary(report: &Report) -> String {
    let Report { kills, acknowledged, lost, duplicated, failover_ms, nodes_restored, .. } = report;
    let failovers: Vec<String> = failover_ms.iter().map(|ms| format!("{ms:.0} ms")).collect();
    let verdict = if report.is_good() { "Nothing was lost, nothing was done twice." } else { "FAILED." };
    format!(
        "{verdict}\n{acknowledged} commands acknowledged, {lost} lost, {duplicated} done twice; {kills} kills, \
         next command accepted after: {}; {nodes_restored} nodes restored",
        if failovers.is_empty() { "-".to_owned() } else { failovers.join(", ") },
    )
}
