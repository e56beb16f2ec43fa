//! What cargo builds for Windows: the executables that are shipped, and those with tests in them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde::Deserialize;

use crate::step;
use crate::windows::toolchain::Toolchain;

/// More than a cold build takes on two slow cores.
const BUILD_MINUTES: u32 = 20;

/// An executable that cargo has built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Executable {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The folder of its package, in which its tests expect to run.
    pub(crate) package: PathBuf,
    /// What it was made from: `src/lib.rs`, `tests/process/main.rs`, …, within its package.
    pub(crate) source: PathBuf,
}

/// What cargo reports in JSON, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    src_path: PathBuf,
}

/// Builds the executables that are shipped, and says how large they are.
///
/// # Errors
/// If one cannot be built.
pub(crate) fn build(toolchain: &Toolchain) -> anyhow::Result<()> {
    let command = shipped(toolchain);
    step::run("build all executables for Windows", BUILD_MINUTES, &command)?;
    for executable in built(toolchain)? {
        let bytes = executable.path.metadata().context("an executable has disappeared")?.len();
        eprintln!("{:>9.1} MiB  {}", f64::from(u32::try_from(bytes >> 10)?) / 1024.0, executable.name());
    }
    Ok(())
}

/// The executables that are shipped, built first if they are not up to date.
///
/// # Errors
/// If one cannot be built.
pub(crate) fn built(toolchain: &Toolchain) -> anyhow::Result<Vec<Executable>> {
    list("list the executables", shipped(toolchain))
}

/// The executables with the tests of all packages, built first if they are not up to date.
///
/// # Errors
/// If one cannot be built.
pub(crate) fn built_tests(toolchain: &Toolchain) -> anyhow::Result<Vec<Executable>> {
    let mut cargo = toolchain.cargo("test");
    cargo.args(["--no-run", "--workspace", "--exclude", "xtask", "--lib", "--bins", "--tests"]);
    let mut tests = list("build all tests for Windows", cargo)?;
    // `cargo test` builds the programs too, for tests that run them.
    tests.retain(|executable| executable.path.parent().is_some_and(|folder| folder.ends_with("deps")));
    tests.sort_by(|one, other| (&one.package, &one.source).cmp(&(&other.package, &other.source)));
    Ok(tests)
}

fn shipped(toolchain: &Toolchain) -> Command {
    let mut cargo = toolchain.cargo("build");
    cargo.args(["--workspace", "--exclude", "xtask", "--bins"]);
    cargo
}

fn list(what: &str, mut cargo: Command) -> anyhow::Result<Vec<Executable>> {
    cargo.arg("--message-format=json-render-diagnostics");
    let messages = step::output(what, BUILD_MINUTES, &cargo)?;
    let mut executables = Vec::new();
    for line in messages.lines() {
        executables
            .extend(executable(line).with_context(|| format!("cargo reports what is unknown: {line}"))?);
    }
    Ok(executables)
}

fn executable(line: &str) -> anyhow::Result<Option<Executable>> {
    let message: Message = serde_json::from_str(line)?;
    let (Some(path), Some(manifest), Some(target)) =
        (message.executable, message.manifest_path, message.target)
    else {
        return Ok(None);
    };
    let package = manifest.parent().context("a manifest lies in a folder")?.to_owned();
    let source = target.src_path.strip_prefix(&package).unwrap_or(&target.src_path).to_owned();
    Ok(Some(Executable { path, package, source }))
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
