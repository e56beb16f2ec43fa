//! Runs simulated clusters, each from its seed, until one fails or none is left.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use position::Mutant;
use tests::search::{Found, Seeds, search};
use tests::shrink::shrink;
use tests::simulation::{Branch, Failure, Order, Report, Trace, hush_panics, simulate};

/// Simulates whole clusters with every fault they must survive. The same seed always makes the same story.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds to run: 100, or for each broken rule 5,000 at most.
    #[arg(long, conflicts_with = "seconds")]
    seeds: Option<u64>,
    /// Run seeds for this long instead.
    #[arg(long)]
    seconds: Option<u64>,
    /// The first of them. Default: 1; for broken rules the seconds since 1970.
    #[arg(long)]
    first_seed: Option<u64>,
    /// Replay this one and tell what happens.
    #[arg(long, conflicts_with_all = ["seeds", "seconds", "first_seed"])]
    seed: Option<u64>,
    /// So many voters, instead of one, three or five as the seed chooses: other stories from the same seeds.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=9))]
    voters: Option<u16>,
    /// Leave out a fault of this name, which the plan of a replayed seed lists. May be repeated.
    #[arg(long)]
    without: Vec<String>,
    /// End the storm after so many milliseconds at the latest.
    #[arg(long)]
    until: Option<u64>,
    /// Print a failure as it was found, not the smaller one that is looked for otherwise.
    #[arg(long)]
    whole: bool,
    /// Break each rule that can be broken, and see whether it is noticed. Builds the simulator once more, in a
    /// target directory of its own.
    #[arg(long, conflicts_with_all = ["seconds", "seed"])]
    mutants: bool,
    /// Break this rule. Only in a simulator built with `--cfg prevalent_mutants`.
    #[arg(long, value_parser = mutant_of)]
    mutant: Option<Mutant>,
}

fn mutant_of(name: &str) -> Result<Mutant, String> {
    let named =
        |mutant: &&Mutant| mutant.name().trim_start_matches("mutant-") == name.trim_start_matches("mutant-");
    let names = || Mutant::ALL.iter().map(|mutant| mutant.name()).collect::<Vec<&str>>().join(", ");
    Mutant::ALL.iter().find(named).copied().ok_or_else(|| format!("expected one of {}", names()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    hush_panics();
    if arguments.mutants {
        return hunt(&arguments);
    }
    if let Err(error) = break_rule(arguments.mutant) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    match arguments.seed {
        Some(seed) => replay(&arguments, seed),
        None => look(&arguments),
    }
}

#[cfg(prevalent_mutants)]
fn hunt(arguments: &Arguments) -> ExitCode {
    let mutants = match arguments.mutant {
        Some(mutant) => vec![mutant],
        None => {
            let (within, beyond) =
                Mutant::ALL.iter().partition::<Vec<Mutant>, _>(|mutant| mutant.is_within_reach());
            for mutant in beyond {
                println!("{}: not hunted; no schedule gets there yet", mutant.name());
            }
            within
        }
    };
    let first = arguments.first_seed.unwrap_or_else(seconds_now);
    let seeds = Seeds { first, count: arguments.seeds.unwrap_or(5_000), deadline: None };
    match tests::mutants::hunt(&mutants, seeds, arguments.voters()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

#[cfg(not(prevalent_mutants))]
fn hunt(arguments: &Arguments) -> ExitCode {
    let first_seed = arguments.first_seed.unwrap_or_else(seconds_now);
    let mut passed_on = vec!["--mutants".to_owned(), "--first-seed".to_owned(), first_seed.to_string()];
    if let Some(mutant) = arguments.mutant {
        passed_on.extend(["--mutant".to_owned(), mutant.name().to_owned()]);
    }
    if let Some(seeds) = arguments.seeds {
        passed_on.extend(["--seeds".to_owned(), seeds.to_string()]);
    }
    if let Some(voters) = arguments.voters {
        passed_on.extend(["--voters".to_owned(), voters.to_string()]);
    }
    tests::mutants::build_and_hunt(&passed_on).unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(prevalent_mutants)]
fn break_rule(mutant: Option<Mutant>) -> Result<(), &'static str> {
    Mutant::activate(mutant);
    Ok(())
}

#[cfg(not(prevalent_mutants))]
fn break_rule(mutant: Option<Mutant>) -> Result<(), &'static str> {
    match mutant {
        None => Ok(()),
        Some(_) => Err("this simulator keeps all rules: use --mutants, or target/mutants/release/simulate"),
    }
}

/// A first seed that nobody has chosen.
fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs())
}

impl Arguments {
    fn voters(&self) -> Option<usize> {
        self.voters.map(usize::from)
    }

    fn order(&self, seed: u64) -> Order {
        let without: BTreeSet<String> = self.without.iter().cloned().collect();
        Order { seed, voters: self.voters(), without, until: self.until.map(Duration::from_millis) }
    }
}

fn replay(arguments: &Arguments, seed: u64) -> ExitCode {
    match simulate(&arguments.order(seed), Trace::Print) {
        Ok((report, _)) => {
            println!("seed {seed} found nothing: {report:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("seed {seed} failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn look(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let first = arguments.first_seed.unwrap_or(1);
    let (count, deadline) = match arguments.seconds {
        Some(seconds) => (u64::MAX - first, Some(began + Duration::from_secs(seconds))),
        None => (arguments.seeds.unwrap_or(100), None),
    };
    let Found { seeds, total, failure } =
        search(Seeds { first, count, deadline }, |seed| arguments.order(seed));
    if let Some((order, failure)) = failure {
        return failed(arguments, order, failure);
    }
    print_coverage(&total);
    let Report { writes, reads, masterships, frames, starts, simulated, .. } = total;
    println!(
        "{seeds} seeds from {first} found nothing: {} s simulated in {} s, {writes} writes, {reads} reads, \
         {frames} frames, {masterships} masterships, {starts} starts",
        simulated.as_secs(),
        began.elapsed().as_secs()
    );
    ExitCode::SUCCESS
}

fn print_coverage(total: &Report) {
    for &branch in Branch::ALL {
        println!("{:>10} × {}", total.coverage.of(branch), branch.name());
    }
}

fn failed(arguments: &Arguments, order: Order, failure: Failure) -> ExitCode {
    eprintln!("seed {} failed: {failure}", order.seed);
    let (smaller, how) = if arguments.whole { (order, failure) } else { shrink(order, failure) };
    let mutant = arguments.mutant.map_or_else(String::new, |mutant| format!(" --mutant {}", mutant.name()));
    eprintln!("made smaller, it fails so: {how}");
    eprintln!("replay it with: cargo run --release --bin simulate -- {smaller}{mutant}");
    ExitCode::FAILURE
}
