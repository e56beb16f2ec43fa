//! Where the other executables are. Under cargo they are built first, since cargo builds only the one it
//! was asked to run.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

/// An executable of this project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// The voter.
    Master,
    /// The agent on each PC.
    Node,
    /// Looks into data directories.
    Inspect,
}

impl Program {
    const ALL: [Program; 3] = [Program::Master, Program::Node, Program::Inspect];

    /// Those that a cluster consists of.
    const RUNNING: [Program; 2] = [Program::Master, Program::Node];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Program::Master => "master",
            Program::Node => "node",
            Program::Inspect => "inspect",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Program::Master => "master-app",
            Program::Node => "node-app",
            Program::Inspect => "inspect",
        }
    }
}

/// The executables cannot be run. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ExecutablesError {
    /// The system does not say where this program is.
    #[error("cannot find out where this program's file is: {0}")]
    Own(io::Error),
    /// Cargo cannot be run.
    #[error("cannot run cargo ({}) to build the executables: {source}", cargo.display())]
    Cargo {
        /// Its path, as cargo itself gave it.
        cargo: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Cargo failed; it has said why.
    #[error("cargo could not build master and node ({status}); its messages are above")]
    Build {
        /// How it ended.
        status: ExitStatus,
    },
    /// There is no such file.
    #[error("there is no {program} in {}; build it with: cargo build -p {package}", folder.display())]
    Missing {
        /// Which.
        program: &'static str,
        /// Of which package.
        package: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },
}

/// The folder with the executables, all found to be there.
#[derive(Clone, Debug)]
pub struct Executables {
    folder: PathBuf,
    runner: Option<OsString>,
}

/// Names a folder with finished executables: nothing is built then.
const FOLDER_VARIABLE: &str = "PREVALENT_EXECUTABLES";
/// Names a program that runs them, for executables of another system: Wine.
const RUNNER_VARIABLE: &str = "PREVALENT_RUNNER";

/// How variables begin with which cargo describes the package of the program it runs.
const OWN_PACKAGE: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];

/// Whether this process has had them built.
static BUILT: Mutex<bool> = Mutex::new(false);

impl Executables {
    /// Finds the executables beside this program's own, or in the folder that the environment variable
    /// `PREVALENT_EXECUTABLES` names. Under cargo, and without that variable, builds them first, in this
    /// program's profile.
    ///
    /// # Errors
    /// If one is missing or cannot be built.
    pub fn find() -> Result<Executables, ExecutablesError> {
        let folder = match env::var_os(FOLDER_VARIABLE) {
            Some(folder) => PathBuf::from(folder),
            None => {
                let folder = own_folder()?;
                if let Some(cargo) = env::var_os("CARGO") {
                    build_once(Path::new(&cargo), &folder)?;
                }
                folder
            }
        };
        Executables::of(folder, env::var_os(RUNNER_VARIABLE))
    }

    /// Finished executables in a folder, and the program that runs them if they are of another system.
    ///
    /// # Errors
    /// If one is missing.
    pub fn of(folder: PathBuf, runner: Option<OsString>) -> Result<Executables, ExecutablesError> {
        let found = Executables { folder, runner };
        for program in Program::RUNNING {
            found.path(program)?;
        }
        Ok(found)
    }

    /// A command that runs one of them, without arguments.
    ///
    /// # Errors
    /// If it has disappeared meanwhile.
    pub fn command(&self, program: Program) -> Result<Command, ExecutablesError> {
        let path = self.path(program)?;
        Ok(match &self.runner {
            Some(runner) => {
                let mut command = Command::new(runner);
                command.arg(path);
                command
            }
            None => Command::new(path),
        })
    }

    fn path(&self, program: Program) -> Result<PathBuf, ExecutablesError> {
        let name = program.name();
        // A Windows executable may be run from elsewhere.
        let candidates = [
            self.folder.join(name).with_extension(env::consts::EXE_EXTENSION),
            self.folder.join(name).with_extension("exe"),
        ];
        candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| ExecutablesError::Missing {
            program: name,
            package: program.package(),
            folder: self.folder.clone(),
        })
    }
}

/// The folder of this program, where cargo puts the others too: tests lie one deeper.
fn own_folder() -> Result<PathBuf, ExecutablesError> {
    let own = env::current_exe().map_err(ExecutablesError::Own)?;
    let folder = own.parent().unwrap_or(Path::new("."));
    let is_test = folder.file_name().is_some_and(|name| name == "deps");
    Ok(if is_test { folder.parent().unwrap_or(folder) } else { folder }.to_owned())
}

fn build_once(cargo: &Path, folder: &Path) -> Result<(), ExecutablesError> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if *built {
        return Ok(());
    }
    let mut command = Command::new(cargo);
    // The whole workspace is selected so that dependencies are not built again with other features.
    command.args(["build", "--workspace"]).args(build_arguments(folder));
    for program in Program::ALL {
        command.args(["--bin", program.name()]);
    }
    // What cargo has told this program about its own package is not meant for the one it starts: the build
    // scripts of dependencies would take it for a change, and everything would be built again, every time.
    for (variable, _) in env::vars_os() {
        if variable.to_str().is_some_and(|name| OWN_PACKAGE.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(variable);
        }
    }
    if let Some(package) = env::var_os("CARGO_MANIFEST_DIR") {
        command.current_dir(package);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status =
        command.status().map_err(|source| ExecutablesError::Cargo { cargo: cargo.to_owned(), source })?;
    if !status.success() {
        return Err(ExecutablesError::Build { status });
    }
    *built = true;
    Ok(())
}

/// What makes cargo build into `folder`, which is `TARGET/PROFILE` or `TARGET/TRIPLE/PROFILE`.
fn build_arguments(folder: &Path) -> Vec<OsString> {
    let profile = match folder.file_name() {
        Some(name) if name == "debug" => "dev".into(),
        Some(name) => name.to_owned(),
        None => "dev".into(),
    };
    let mut arguments = vec!["--profile".into(), profile];
    let Some(above) = folder.parent() else { return arguments };
    // Cargo marks its target folder so that backups pass it over.
    let is_target = |folder: &Path| folder.join("CACHEDIR.TAG").exists();
    if is_target(above) {
        arguments.extend(["--target-dir".into(), above.into()]);
    } else if let (Some(triple), Some(target)) = (above.file_name(), above.parent())
        && is_target(target)
    {
        arguments.extend(["--target".into(), triple.to_owned(), "--target-dir".into(), target.into()]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(folder: &str, expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("CACHEDIR.TAG"), "").unwrap();
        let target = root.path().display().to_string();
        let arguments: Vec<String> = build_arguments(&root.path().join(folder))
            .iter()
            .map(|argument| argument.to_string_lossy().replace(&target, "TARGET"))
            .collect();
        assert_eq!(arguments, expected);
    }

    #[test]
    fn cargo_builds_into_the_folder_this_program_lies_in() {
        check("debug", &["--profile", "dev", "--target-dir", "TARGET"]);
        check("release", &["--profile", "release", "--target-dir", "TARGET"]);
        check(
            "x86_64-win7-windows-gnu/release",
            &["--profile", "release", "--target", "x86_64-win7-windows-gnu", "--target-dir", "TARGET"],
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let found = Executables { folder: folder.path().to_owned(), runner: None };
        let message = found.command(Program::Node).unwrap_err().to_string();
        assert!(message.contains("there is no node") && message.contains("-p node-app"), "{message}");
        std::fs::write(folder.path().join("node.exe"), "").unwrap();
        assert!(found.command(Program::Node).is_ok(), "an executable of another system");
    }
}
