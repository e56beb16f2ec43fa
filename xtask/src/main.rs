//! `cargo xtask CHORE`: what is done to this repository and is more than one command.
//!
//! Responsible for: one module for each chore. Not responsible for: anything a user of the programs needs.

mod package;
mod repository;
mod screenshots;
mod step;
mod windows;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Builds for Windows 7 and later, checks what the executables import, and tests them under Wine
    Windows(windows::Arguments),
    /// Makes what users install: a zip for Windows and a .deb for Linux
    Package(package::Arguments),
    /// Draws the console's main views into docs/pictures, without a display
    Screenshots,
}

/// How a chore ended that did not fail.
#[derive(Debug)]
enum Ending {
    Done,
    /// It cannot be done on this machine, for this reason.
    Skipped(String),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Windows(arguments) => windows::run(&arguments),
        Chore::Package(arguments) => package::run(&arguments),
        Chore::Screenshots => screenshots::run(),
    };
    match done {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Skipped(reason)) => {
            eprintln!("cargo xtask: skipped: {reason}");
            // On somebody's own machine that is no fault of theirs. Where changes are judged nothing may
            // go untested unnoticed.
            if std::env::var_os("CI").is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
