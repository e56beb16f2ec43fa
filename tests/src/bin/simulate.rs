//! Runs simulated clusters, each from its seed, until one fails or none is left.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use tests::simulation::{Failure, Mutant, Order, Report, Trace, hush_panics, simulate};

/// Simulates whole clusters with every fault they must survive. The same seed always makes the same story.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100, conflicts_with = "seconds")]
    seeds: u64,
    /// Run seeds for this long instead.
    #[arg(long)]
    seconds: Option<u64>,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Replay this one and tell what happens.
    #[arg(long, conflicts_with_all = ["seeds", "seconds", "first_seed"])]
    seed: Option<u64>,
    /// So many voters, instead of one, three or five as the seed chooses: other stories from the same seeds.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=9))]
    voters: Option<u16>,
    /// Break this rule on purpose, to see whether it is found.
    #[arg(long)]
    mutant: Option<Mutant>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    hush_panics();
    match arguments.seed {
        Some(seed) => replay(&arguments, seed),
        None => search(&arguments),
    }
}

impl Arguments {
    fn order(&self, seed: u64, trace: Trace) -> Order {
        Order { seed, voters: self.voters.map(usize::from), mutant: self.mutant, trace }
    }
}

fn replay(arguments: &Arguments, seed: u64) -> ExitCode {
    match simulate(arguments.order(seed, Trace::Print)) {
        Ok((report, _)) => {
            println!("seed {seed} found nothing: {report:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => failed(arguments, seed, &failure),
    }
}

fn search(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let mut total = Report::default();
    let mut seeds = 0;
    for seed in arguments.first_seed.. {
        let enough = match arguments.seconds {
            Some(seconds) => began.elapsed() >= Duration::from_secs(seconds),
            None => seeds == arguments.seeds,
        };
        if enough {
            break;
        }
        match simulate(arguments.order(seed, Trace::Off)) {
            Ok((report, _)) => total.add(&report),
            Err(failure) => return failed(arguments, seed, &failure),
        }
        seeds += 1;
    }
    let Report { writes, reads, masterships, frames, starts, simulated } = total;
    println!(
        "{seeds} seeds from {} found nothing: {} s simulated in {} s, {writes} writes, {reads} reads, \
         {frames} frames, {masterships} masterships, {starts} starts",
        arguments.first_seed,
        simulated.as_secs(),
        began.elapsed().as_secs()
    );
    ExitCode::SUCCESS
}

fn failed(arguments: &Arguments, seed: u64, failure: &Failure) -> ExitCode {
    let voters = arguments.voters.map_or_else(String::new, |voters| format!(" --voters {voters}"));
    let mutant = arguments.mutant.and_then(|mutant| mutant.to_possible_value());
    let mutant = mutant.map_or_else(String::new, |mutant| format!(" --mutant {}", mutant.get_name()));
    eprintln!("seed {seed} failed: {failure}");
    eprintln!("replay it with: cargo run --release --bin simulate -- --seed {seed}{voters}{mutant}");
    ExitCode::FAILURE
}
