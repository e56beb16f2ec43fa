//! What is in each package: the programs, and the files beside them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::package::metadata::Metadata;
use crate::{repository, step};

/// More than a cold build takes on two slow cores.
const BUILD_MINUTES: u32 = 25;

/// Documents that users of the programs need, from the repository's top folder.
pub(crate) const DOCUMENTS: [&str; 6] = [
    "docs/setup.md",
    "docs/operations.md",
    "docs/console.md",
    "docs/node.md",
    "docs/inspect.md",
    "CHANGELOG.md",
];

/// Examples, from the same place.
pub(crate) const EXAMPLES: [&str; 4] =
    ["examples/fleet-3x3.csv", "examples/master.toml", "examples/node.toml", "examples/fleetctl.toml"];

/// Programs by name, without `.exe`.
pub(crate) type Programs = BTreeMap<String, PathBuf>;

/// Builds the programs for this machine.
///
/// # Errors
/// If one cannot be built.
pub(crate) fn build_for_linux(metadata: &Metadata) -> anyhow::Result<Programs> {
    let mut cargo = repository::cargo("build");
    // As everywhere else, so that nothing is built twice with other features.
    cargo.args(["--locked", "--release", "--workspace", "--bins"]);
    step::run("build all executables", BUILD_MINUTES, &cargo)?;
    let folder = repository::target().join("release");
    let built: Vec<PathBuf> = metadata.programs()?.iter().map(|name| folder.join(name)).collect();
    shipped(metadata, &built)
}

/// Those executables that are shipped.
///
/// # Errors
/// If one is missing.
pub(crate) fn shipped(metadata: &Metadata, built: &[PathBuf]) -> anyhow::Result<Programs> {
    let mut programs = Programs::new();
    for name in metadata.programs()? {
        let path = built.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name.as_str()));
        let path = path.with_context(|| format!("the program {name} was not built"))?;
        ensure!(path.is_file(), "there is no {}", path.display());
        programs.insert(name, path.clone());
    }
    Ok(programs)
}

/// A program without the names of its functions, which nobody needs who uses it: a panic names its line.
///
/// # Errors
/// If `strip` fails.
pub(crate) fn stripped(strip: &str, program: &Path) -> anyhow::Result<Vec<u8>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let copy = folder.path().join("program");
    let output = Command::new(strip)
        .arg("--strip-all")
        .arg("-o")
        .arg(&copy)
        .arg(program)
        .output()
        .with_context(|| format!("cannot run {strip}"))?;
    ensure!(output.status.success(), "{strip}: {}", String::from_utf8_lossy(&output.stderr));
    read(&copy)
}

/// The bytes of a file.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A text of the repository.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn text(path: &str) -> anyhow::Result<String> {
    let path = repository::root().join(path);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
