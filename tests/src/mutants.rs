//! A simulator is measured by the bugs it finds: each rule that can be broken is broken, and must be noticed.
//!
//! Responsible for: building the simulator once more such that rules can be broken, in a target directory of its
//! own, and hunting for each of them there. Not responsible for: the rules (`position::Mutant`).

use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, ensure};

/// What the other build is given, so that rules can be broken in it.
const FLAGS: &str = "--cfg prevalent_mutants";

/// Builds the simulator such that rules can be broken, and has it hunt for them with these arguments.
///
/// # Errors
/// If it cannot be built or run.
pub fn build_and_hunt(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package lies in a workspace")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let target = root.join(target).join("mutants");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--locked", "--release", "--package", "tests", "--bin", "simulate", "--target-dir"]);
    // Build scripts of dependencies would take the description of this very program for a change.
    for (variable, _) in std::env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
        if variable.to_str().is_some_and(|name| own.iter().any(|start| name.starts_with(start))) {
            build.env_remove(variable);
        }
    }
    build.arg(&target).current_dir(root).env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS");
    let built = build.status().context("cannot run cargo to build the simulator once more")?;
    ensure!(built.success(), "the simulator cannot be built with {FLAGS}: {built}");
    let program = target.join("release").join(format!("simulate{}", std::env::consts::EXE_SUFFIX));
    let hunted: ExitStatus = Command::new(&program)
        .args(arguments)
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    Ok(if hunted.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(prevalent_mutants)]
mod hunt {
    use std::time::Instant;

    use position::Mutant;

    use crate::search::{Found, Seeds, search};
    use crate::simulation::{Failure, Order, Trace, simulate};

    /// Breaks each of these rules in turn, and says how many seeds it took to notice; `false`: not all were noticed.
    pub fn hunt(mutants: &[Mutant], seeds: Seeds, voters: Option<usize>) -> bool {
        let Seeds { first, count, .. } = seeds;
        println!("{} broken rules, each from seed {first} on", mutants.len());
        let mut missed = Vec::new();
        for &mutant in mutants {
            let began = Instant::now();
            let found = hunt_one(mutant, seeds, voters);
            let seconds = began.elapsed().as_secs();
            let (name, what) = (mutant.name(), mutant.what_it_does());
            match found {
                Some((order, failure)) => {
                    let seeds = order.seed - first + 1;
                    println!(
                        "{name}: {what}\n    found by seed {} after {seeds} seeds, {seconds} s: {}",
                        order.seed,
                        failure.in_short()
                    );
                }
                None => {
                    println!("{name}: {what}\n    NOT FOUND in {count} seeds, {seconds} s");
                    missed.push(name);
                }
            }
        }
        println!("{} of {} found", mutants.len() - missed.len(), mutants.len());
        if !missed.is_empty() {
            println!("not found: {}", missed.join(", "));
        }
        missed.is_empty()
    }

    /// The first seed that fails with the rule broken and not without.
    fn hunt_one(mutant: Mutant, seeds: Seeds, voters: Option<usize>) -> Option<(Order, Failure)> {
        let (mut from, end) = (seeds.first, seeds.first + seeds.count);
        let order_of = |seed| Order { voters, ..Order::of_seed(seed) };
        while from < end {
            Mutant::activate(Some(mutant));
            let Found { failure, .. } = search(Seeds { first: from, count: end - from, ..seeds }, order_of);
            Mutant::activate(None);
            let (order, failure) = failure?;
            match simulate(&order, Trace::Off) {
                Ok(_) => return Some((order, failure)),
                Err(own) => {
                    println!("    seed {} fails without a broken rule, too: {}", order.seed, own.in_short())
                }
            }
            from = order.seed + 1;
        }
        None
    }
}

#[cfg(prevalent_mutants)]
pub use hunt::hunt;
