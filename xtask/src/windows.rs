//! `cargo xtask windows`: the executables for Windows 7 and later, built and tested on a Debian machine.
//!
//! Responsible for: the order of its parts. What is done and why, and what Wine shows and what it does not,
//! is told in `docs/windows.md`.

mod debian;
mod declarations;
mod executables;
mod imports;
mod sysroot;
mod toolchain;
mod trials;
mod wine;

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;

use crate::Ending;
use crate::windows::debian::Tools;
use crate::windows::toolchain::Toolchain;
pub(crate) use crate::windows::wine::Wine;

/// Parts of the chore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// All executables and tests; what is shipped lies in `TARGET/windows/x86_64-win7-windows-gnu/release`
    Build,
    /// That they import nothing which Windows 7 SP1 lacks
    Gate,
    /// All packages' tests under Wine, those with real processes too
    Test,
    /// A cluster with a voter under Wine and two on this system
    Mixed,
    /// The console's window under Wine, clicked and photographed on a display that nobody sees
    Window,
    /// The demonstration with two kills under Wine, and what an idle master needs
    Demo,
}

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Do only these parts, in this order; what they need is built too
    #[arg(long, value_delimiter = ',', value_name = "PART,…", default_values = ["build", "gate", "test", "mixed", "window", "demo"])]
    only: Vec<Part>,
}

/// Does it.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let started = Instant::now();
    let mut packages = debian::BUILD.to_vec();
    if arguments.only.contains(&Part::Window) {
        packages.extend(debian::DISPLAY);
    }
    if let Tools::Unavailable(reason) = debian::install(&packages)? {
        return Ok(Ending::Skipped(reason));
    }
    let toolchain = Toolchain::new(sysroot::build()?);
    for part in &arguments.only {
        match part {
            Part::Build => executables::build(&toolchain)?,
            Part::Gate => {
                declarations::prove_gate()?;
                imports::check(&executables::shipped(&toolchain)?)?;
            }
            Part::Test => trials::run_tests(&toolchain, &Wine::start()?)?,
            Part::Mixed => trials::run_mixed(&toolchain, &Wine::start()?)?,
            Part::Window => trials::run_window(&toolchain, &Wine::start()?)?,
            Part::Demo => {
                let wine = Wine::start()?;
                trials::run_demo(&toolchain, &wine)?;
                trials::measure_idle_master(&toolchain, &wine)?;
            }
        }
    }
    eprintln!("\n== windows: all passed after {} s", started.elapsed().as_secs());
    Ok(Ending::Done)
}

/// The executables for Windows, built first if they are not up to date; else why this machine cannot.
///
/// # Errors
/// If the build fails.
pub(crate) fn executables() -> anyhow::Result<Result<Vec<PathBuf>, String>> {
    if let Tools::Unavailable(reason) = debian::install(&debian::BUILD)? {
        return Ok(Err(reason));
    }
    let built = executables::shipped(&Toolchain::new(sysroot::build()?))?;
    Ok(Ok(built.into_iter().map(|executable| executable.path).collect()))
}
