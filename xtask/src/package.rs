//! `cargo xtask package`: what users install, as a zip for Windows and a .deb for Linux.
//!
//! Responsible for: the order of its parts. Not responsible for: building for Windows (`windows`).
//!
//! The same commit and the same executables make the same bytes: everything is sorted, and all times are the
//! commit's.

mod archive;
mod contents;
mod deb;
mod licences;
mod metadata;
mod mutants;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;

use crate::package::metadata::Metadata;
use crate::windows::Wine;
use crate::{Ending, repository, windows};

/// What can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// `prevalent_VERSION_amd64.deb`
    Deb,
    /// `prevalent-VERSION-windows-x86_64.zip`
    Zip,
}

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Make only these
    #[arg(long, value_delimiter = ',', value_name = "KIND,…", default_values = ["deb", "zip"])]
    only: Vec<Kind>,
    /// Unpack what was made, and try it: a cluster of three, with what an operator does first. And prove that no
    /// program in it can break a rule on purpose, as the simulator's other build can
    #[arg(long)]
    check: bool,
    /// Try the Windows service too. Not part of CI: Wine's service manager ends when it likes, and forgets what it
    /// was told last
    #[arg(long, requires = "check")]
    service: bool,
}

/// Does it.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let folder = repository::target().join("package");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    if arguments.check {
        mutants::check_search()?;
    }
    let mut skipped = Vec::new();
    for kind in &arguments.only {
        let reason = match kind {
            Kind::Deb => make_deb(&folder, arguments.check)?,
            Kind::Zip => make_zip(&folder, arguments)?,
        };
        skipped.extend(reason);
    }
    Ok(if skipped.is_empty() { Ending::Done } else { Ending::Skipped(skipped.join("; ")) })
}

/// Why it cannot be made here, if that is so.
fn make_deb(folder: &Path, check: bool) -> anyhow::Result<Option<String>> {
    if let Some(reason) = deb::missing_tool() {
        return Ok(Some(reason));
    }
    let metadata = Metadata::read("x86_64-unknown-linux-gnu")?;
    let programs = contents::build_for_linux(&metadata)?;
    let package = deb::make(folder, &metadata, &programs)?;
    report(&package)?;
    if check {
        deb::check(&package)?;
        let root = tempfile::tempdir().context("cannot make a temporary folder")?;
        deb::unpack(&package, root.path())?;
        mutants::check_absent("the unpacked .deb", root.path())?;
        trial::run("the unpacked .deb", &trial::Programs::linux(root.path().join("usr/lib/prevalent")))?;
    }
    Ok(None)
}

/// Why it cannot be made here, if that is so.
fn make_zip(folder: &Path, arguments: &Arguments) -> anyhow::Result<Option<String>> {
    let metadata = Metadata::read("x86_64-pc-windows-gnu")?;
    let built = match windows::executables()? {
        Ok(built) => built,
        Err(reason) => return Ok(Some(reason)),
    };
    let programs = contents::shipped(&metadata, &built)?;
    let package = archive::make(folder, &metadata, &programs)?;
    report(&package)?;
    if arguments.check {
        // As people name folders.
        let root = tempfile::Builder::new().prefix("Prevalent für Süd ").tempdir();
        let root = root.context("cannot make a temporary folder")?;
        let unpacked = archive::unpack(&package, root.path())?;
        mutants::check_absent("the unpacked zip", &unpacked)?;
        let wine = Wine::start()?;
        let programs = trial::Programs::windows(unpacked, &wine);
        trial::run("the unpacked zip under Wine", &programs)?;
        if arguments.service {
            trial::run_service(&programs, &wine)?;
        }
    }
    Ok(None)
}

fn report(package: &PathBuf) -> anyhow::Result<()> {
    let bytes =
        fs::metadata(package).with_context(|| format!("{} has disappeared", package.display()))?.len();
    eprintln!("\n== {} ({} KiB)", package.display(), bytes >> 10);
    Ok(())
}
