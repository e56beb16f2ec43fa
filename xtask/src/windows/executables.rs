//! What cargo builds for Windows: the executables that are shipped, and those with tests in them.
//!
//! All of it by one call of cargo. The libraries under tests and programs are then the same ones, so each is
//! compiled once, and what is tested is what is shipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::step;
use crate::windows::toolchain::Toolchain;

/// More than a cold build takes on two slow cores.
const BUILD_MINUTES: u32 = 30;

/// An executable that cargo has built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Executable {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The folder of its package, in which its tests expect to run.
    pub(crate) package: PathBuf,
    /// What it was made from: `src/lib.rs`, `tests/process/main.rs`, …, within its package.
    pub(crate) source: PathBuf,
    purpose: Purpose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Shipping,
    Testing,
}

/// What cargo reports in JSON, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    executable: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds everything, and says how large the executables are that are shipped.
///
/// # Errors
/// If one cannot be built.
pub(crate) fn build(toolchain: &Toolchain) -> anyhow::Result<()> {
    step::run("build all executables and tests for Windows", BUILD_MINUTES, &cargo_build(toolchain))?;
    for executable in shipped(toolchain)? {
        let bytes = executable.path.metadata().context("an executable has disappeared")?.len();
        eprintln!("{:>9.1} MiB  {}", f64::from(u32::try_from(bytes >> 10)?) / 1024.0, executable.name());
    }
    Ok(())
}

/// The executables that are shipped, built first if they are not up to date.
///
/// # Errors
/// If one cannot be built.
pub(crate) fn shipped(toolchain: &Toolchain) -> anyhow::Result<Vec<Executable>> {
    built(toolchain, Purpose::Shipping)
}

/// The executables with the tests of all packages, built first if they are not up to date.
///
/// # Errors
/// If one cannot be built.
pub(crate) fn tests(toolchain: &Toolchain) -> anyhow::Result<Vec<Executable>> {
    built(toolchain, Purpose::Testing)
}

fn cargo_build(toolchain: &Toolchain) -> Command {
    let mut cargo = toolchain.cargo("build");
    cargo.args(["--workspace", "--exclude", "xtask", "--bins", "--tests"]);
    cargo
}

fn built(toolchain: &Toolchain, purpose: Purpose) -> anyhow::Result<Vec<Executable>> {
    let mut cargo = cargo_build(toolchain);
    cargo.args(["--quiet", "--message-format=json-render-diagnostics"]);
    let messages = step::output("list what cargo has built for Windows", BUILD_MINUTES, &cargo)?;
    let mut executables = Vec::new();
    for line in messages.lines() {
        executables
            .extend(executable(line).with_context(|| format!("cargo reports what is unknown: {line}"))?);
    }
    executables.retain(|executable| executable.purpose == purpose);
    executables.sort_by(|one, other| (&one.package, &one.source).cmp(&(&other.package, &other.source)));
    ensure!(!executables.is_empty(), "cargo has built no executables for {purpose:?}");
    Ok(executables)
}

fn executable(line: &str) -> anyhow::Result<Option<Executable>> {
    let message: Message = serde_json::from_str(line)?;
    let (Some(path), Some(manifest), Some(target), Some(profile)) =
        (message.executable, message.manifest_path, message.target, message.profile)
    else {
        return Ok(None);
    };
    let package = manifest.parent().context("a manifest lies in a folder")?.to_owned();
    let source = target.src_path.strip_prefix(&package).unwrap_or(&target.src_path).to_owned();
    let purpose = if profile.test { Purpose::Testing } else { Purpose::Shipping };
    Ok(Some(Executable { path, package, source, purpose }))
}

impl Executable {
    /// Its file's name.
    pub(crate) fn name(&self) -> String {
        name_of(&self.path)
    }

    /// What is tested in it: `storage tests/faults.rs`.
    pub(crate) fn subject(&self) -> String {
        format!("{} {}", name_of(&self.package), self.source.display())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_taken_from_cargo_s_messages() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/w/storage/Cargo.toml",
            "target":{"kind":["test"],"name":"faults","src_path":"/w/storage/tests/faults.rs"},
            "profile":{"test":true},"executable":"/t/deps/faults-1.exe","fresh":true}"#;
        let found = executable(line).unwrap().unwrap();
        assert_eq!(
            (found.name(), found.subject()),
            ("faults-1.exe".into(), "storage tests/faults.rs".into())
        );
        let library = line.replace(r#""/t/deps/faults-1.exe""#, "null");
        assert_eq!(executable(&library).unwrap(), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#).unwrap(), None);
        assert!(executable("warning: no JSON").is_err());
    }
}
