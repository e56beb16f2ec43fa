//! What is run under Wine: the tests of all packages, the console's window, the demonstration, an idle master.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::repository;
use crate::step;
use crate::windows::executables::{self, Executable};
use crate::windows::toolchain::{Toolchain, executables_folder};
use crate::windows::wine::{WINE, Wine};

/// Many times as long as any of them takes: a machine that is busy is no failure, one that hangs is.
const MINUTES: u32 = 10;

/// Many times as long as a single voter takes until it leads.
const PATIENCE: Duration = Duration::from_secs(60);

/// What Wine 8 does wrong now and then when processes are killed and started in numbers, and Windows does
/// not: its server keeps the UDP socket of a killed process for as long as it runs, so that nobody gets the
/// port again (10048), or refuses to start a process (1359, an internal error).
const FAULTS_OF_WINE: [&str; 2] = ["os error 10048", "code: 1359"];

/// So often what failed with one of these is tried.
const ATTEMPTS: u32 = 4;

/// Runs the tests of all packages, one executable after the other: those with real processes would
/// otherwise take the processor from each other, and voters suspect a master that gets none.
///
/// # Errors
/// If one fails; those after it are run all the same, so that all that fail are known.
pub(crate) fn run_tests(toolchain: &Toolchain, wine: &Wine) -> anyhow::Result<()> {
    let mut tests = executables::tests(toolchain)?;
    tests.retain(|test| test.subject() != SEARCH);
    let mut failed = Vec::new();
    for test in &tests {
        let subject = test.subject();
        let tested = if subject == PROCESS_TESTS {
            run_process_tests(test, wine)
        } else {
            step::run(&format!("test {subject} under Wine"), MINUTES, &test_command(test, wine))
        };
        if let Err(error) = tested {
            eprintln!("== FAILED: {error:#}");
            failed.push(subject);
        }
    }
    if !failed.is_empty() {
        bail!("{} of {} fail under Wine: {}", failed.len(), tests.len(), failed.join(", "));
    }
    Ok(())
}

/// Searches for seeds, which takes long and is the same computation on every system. That a seed makes the
/// same story here is shown by the simulator's other tests.
const SEARCH: &str = "tests tests/mutants.rs";

/// Those that start, kill and restart real processes.
const PROCESS_TESTS: &str = "tests tests/process/main.rs";

/// Each by itself, so that one which meets a fault of Wine can be run again.
fn run_process_tests(test: &Executable, wine: &Wine) -> anyhow::Result<()> {
    let mut list = test_command(test, wine);
    list.args(["--list", "--format", "terse"]);
    let list = step::output("list the process tests", 1, &list)?;
    let names: Vec<&str> = list.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    ensure!(!names.is_empty(), "there are no process tests");
    for name in names {
        let mut command = test_command(test, wine);
        command.args(["--exact", name]);
        run_unless_wine_fails(&format!("test {name} under Wine"), &command)?;
    }
    Ok(())
}

fn test_command(test: &Executable, wine: &Wine) -> Command {
    let mut command = wine.command(&test.path);
    command.current_dir(&test.package).env("PREVALENT_EXECUTABLES", executables_folder());
    command.env("RUST_BACKTRACE", "1").env_remove("CARGO");
    command
}

/// Runs what kills processes, and runs it again if it met a fault of Wine.
fn run_unless_wine_fails(what: &str, command: &Command) -> anyhow::Result<()> {
    for _ in 1..ATTEMPTS {
        let Err(said) = step::told(what, MINUTES, command)? else { return Ok(()) };
        let Some(fault) = FAULTS_OF_WINE.iter().find(|fault| said.contains(**fault)) else {
            bail!("{what}: failed; what it said is above");
        };
        eprintln!("== this is a known fault of Wine ({fault}) and says nothing; once more");
    }
    step::told(what, MINUTES, command)?.map(drop).or_else(|_| bail!("{what}: failed {ATTEMPTS} times"))
}

/// Runs the demonstration as a user would, its processes and itself under Wine. Its exit code says whether
/// anything was lost or done twice.
///
/// # Errors
/// If that is so, or it does not end.
pub(crate) fn run_demo(toolchain: &Toolchain, wine: &Wine) -> anyhow::Result<()> {
    let demo = shipped(toolchain, "demo.exe")?;
    let mut command = wine.command(&demo.path);
    command.args(["--kills", "2", "--json"]).env_remove("CARGO");
    run_unless_wine_fails("demo.exe --kills 2 --json under Wine", &command)
}

/// Runs a cluster with a voter on Windows and two on this system, as a process test of this system.
///
/// # Errors
/// If that fails.
pub(crate) fn run_mixed(toolchain: &Toolchain, wine: &Wine) -> anyhow::Result<()> {
    run_test_of_this_system("test a cluster of Windows and Linux", "process", "mixed", toolchain, wine)
}

/// Clicks in the console's window, with its cluster and the display on this system.
///
/// # Errors
/// If that fails.
pub(crate) fn run_window(toolchain: &Toolchain, wine: &Wine) -> anyhow::Result<()> {
    wine.stop();
    run_test_of_this_system("test the window under Wine", "window", "the_window_for_windows", toolchain, wine)
}

/// Runs a test of this system that starts executables for Windows: by the cargo that runs this chore, in the profile
/// that `cargo test` has.
fn run_test_of_this_system(
    what: &str,
    test: &str,
    filter: &str,
    toolchain: &Toolchain,
    wine: &Wine,
) -> anyhow::Result<()> {
    // With the dependencies of the whole workspace: with those of one package they would be built again.
    let cargo = || {
        let mut command = repository::cargo("test");
        command.args(["--locked", "--workspace", "--test", test]);
        command
    };
    // Built first, if need be: a Wine that nobody uses for long ends.
    executables::shipped(toolchain)?;
    let mut build = cargo();
    build.arg("--no-run");
    step::run(&format!("build the test {test}"), MINUTES, &build)?;
    let mut command = cargo();
    command.args([filter, "--", "--nocapture"]);
    command.env("PREVALENT_WINDOWS_RUNNER", WINE);
    command.env("PREVALENT_WINDOWS_EXECUTABLES", executables_folder());
    wine.describe(&mut command);
    run_unless_wine_fails(what, &command)
}

/// Prints how much memory a master needs that has nothing to do.
///
/// # Errors
/// If it does not start.
pub(crate) fn measure_idle_master(toolchain: &Toolchain, wine: &Wine) -> anyhow::Result<()> {
    let master = shipped(toolchain, "master.exe")?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let cluster = folder.path().join("cluster");
    let mut init = wine.command(&master.path);
    init.arg("init").arg("--fleet").arg(repository::root().join("examples/fleet-3x3.csv"));
    // Port 0 would be another one after each start; this one is free unless another such test runs.
    init.args(["--voters", "pc1=127.0.0.1:19417", "--out"]).arg(&cluster);
    step::output("master.exe init", 1, &init)?;

    let config = cluster.join("pc1").join("master.toml");
    let mut command = wine.command(&master.path);
    command.arg("--config").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(command.spawn().context("cannot start master.exe")?);
    running.wait_until_it_leads(wine, &master, &config)?;
    let memory = running.memory()?;
    eprintln!("\n== an idle master under Wine, Wine's own libraries included: {memory}");
    Ok(())
}

fn shipped(toolchain: &Toolchain, name: &str) -> anyhow::Result<Executable> {
    let executables = executables::shipped(toolchain)?;
    let found =
        executables.into_iter().find(|executable| executable.path.file_name() == Some(OsStr::new(name)));
    found.with_context(|| format!("cargo has built no {name}"))
}

/// A process that is killed when this is dropped.
struct Running(Child);

impl Running {
    fn wait_until_it_leads(&mut self, wine: &Wine, master: &Executable, config: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut status = wine.command(&master.path);
            status.args(["status", "--json", "--config"]).arg(config).stderr(Stdio::null());
            let status = status.output().context("cannot run master.exe status")?;
            if String::from_utf8_lossy(&status.stdout).contains("\"role\":\"master\"") {
                return Ok(());
            }
            if let Some(ended) = self.0.try_wait()? {
                bail!("master.exe has ended: {ended}");
            }
            ensure!(Instant::now() < deadline, "master.exe leads nobody after {} s", PATIENCE.as_secs());
        }
    }

    /// What Linux says of it: a Windows process is one of Linux's under Wine.
    fn memory(&self) -> anyhow::Result<String> {
        let path = format!("/proc/{}/status", self.0.id());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let kib = |field: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let number = line.and_then(|line| line.split_whitespace().next());
            number
                .and_then(|number| number.parse().ok())
                .with_context(|| format!("{path} does not say {field}"))
        };
        Ok(format!("{} KiB private, {} KiB resident", kib("RssAnon:")?, kib("VmRSS:")?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait().map(drop)) {
            eprintln!("cannot end process {}: {error}", self.0.id());
        }
    }
}
