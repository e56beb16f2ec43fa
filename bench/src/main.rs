//! `bench`: figures of this machine. Compare them only within one run; machines and moments differ.

mod embedded;
mod latency;
mod workload;

use std::time::Duration;

use clap::Parser;
use serde::Serialize;

use latency::Latency;

/// In-flight commands at which the store is measured.
const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];

/// Prints what this machine can do: raw syncs, embedded and replicated durable commands, replay, memory.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Where the data goes: the disk to be measured. A folder in it is made and removed.
    #[arg(long, default_value = ".")]
    folder: std::path::PathBuf,
}

#[derive(Serialize)]
struct Figures {
    raw_write_and_sync: Latency,
    embedded: Vec<Latency>,
    replay_commands_per_second: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::Builder::new().prefix("prevalent-bench").tempdir_in(&arguments.folder)?;
    let length = Duration::from_secs(arguments.seconds);
    let raw = embedded::raw(folder.path(), length)?;
    print_line("raw write + sync", &raw, None);
    let mut embedded = Vec::new();
    for threads in IN_FLIGHT {
        let latency = embedded::durable(folder.path(), threads, length)?;
        print_line(&format!("embedded, {threads} in flight"), &latency, Some(&raw));
        embedded.push(latency);
    }
    let (per_second, took) = embedded::replay(folder.path())?;
    eprintln!("replay: {per_second} commands/s (opened in {} ms)", took.as_millis());
    if arguments.json {
        let figures = Figures { raw_write_and_sync: raw, embedded, replay_commands_per_second: per_second };
        println!("{}", serde_json::to_string_pretty(&figures)?);
    }
    Ok(())
}

fn print_line(what: &str, latency: &Latency, floor: Option<&Latency>) {
    let Latency { per_second, p50_us, p99_us, max_us, .. } = latency;
    let ratio =
        floor.map(|floor| format!("  p50 {:.2} × raw", ratio(*p50_us, floor.p50_us))).unwrap_or_default();
    eprintln!(
        "{what:24} {per_second:>9}/s  p50 {p50_us:>6} µs  p99 {p99_us:>6} µs  max {max_us:>7} µs{ratio}"
    );
}

#[expect(clippy::cast_precision_loss, reason = "microseconds for people to read")]
fn ratio(value: u64, floor: u64) -> f64 {
    value as f64 / floor.max(1) as f64
}
