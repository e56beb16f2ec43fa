//! `service install` and `service uninstall`: has the system start a program at boot and after failures.
//!
//! Responsible for: what is the same on all systems. Not responsible for: whether the configuration is good;
//! the program checks that first.

#[cfg(unix)]
mod systemd;
#[cfg(windows)]
mod windows;
#[cfg(any(windows, test))]
mod windows_command;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};

use crate::{plain, say};

/// What an operator wants with a service.
#[derive(Clone, Debug, Subcommand)]
pub enum ServiceOrder {
    /// Has the system start this program at boot, and again after failures.
    Install(InstallArguments),
    /// Stops the service and removes it. Configuration, data and logs stay.
    Uninstall {
        /// What the service is called, if not prevalent-PROGRAM.
        #[arg(long)]
        name: Option<ServiceName>,
    },
}

/// How a service is installed.
#[derive(Clone, Debug, Args)]
pub struct InstallArguments {
    /// What to call the service, if not prevalent-PROGRAM.
    #[arg(long)]
    pub name: Option<ServiceName>,
    /// Print what would be installed, and install nothing.
    #[arg(long)]
    pub print: bool,
    /// The user to run as, instead of the owner of the configuration file.
    #[cfg(unix)]
    #[arg(long)]
    pub user: Option<String>,
}

/// A name that systemd and Windows take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName(String);

impl ServiceName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ServiceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ServiceName {
    type Err = String;

    fn from_str(text: &str) -> Result<ServiceName, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.is_empty()
            || text.len() > 80
            || !text.chars().all(allowed)
            || !text.starts_with(char::is_alphanumeric)
        {
            return Err(
                "expected up to 80 letters, digits, '-', '_' and '.', the first a letter or digit".to_owned()
            );
        }
        Ok(ServiceName(text.to_owned()))
    }
}

/// What a program may write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writes {
    /// These folders. The system keeps it from all else where it can.
    Only(Vec<PathBuf>),
    /// Whatever it wants: it runs programs of the operator's.
    Anything,
}

/// A program that is to be a service.
#[derive(Clone, Debug)]
pub struct Service {
    /// The program's name, as in `master`.
    pub program: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What it does, in a few words.
    pub description: &'static str,
    /// Its configuration file.
    pub config: PathBuf,
    /// Its arguments beside the configuration.
    pub arguments: Vec<&'static str>,
    /// What it writes to.
    pub writes: Writes,
    /// Whether it tells a watchdog that it is alive.
    pub watched: bool,
}

/// What would be done, worked out from a [`Service`]: nothing in it is relative to anything.
#[derive(Clone, Debug)]
struct Plan {
    name: ServiceName,
    executable: PathBuf,
    service: Service,
}

/// A service could not be installed or removed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The system does not say where this program's file is, or where relative paths start.
    #[error("cannot make {what} absolute: {source}; nothing was changed")]
    Path {
        /// What was looked for.
        what: &'static str,
        /// Why it was not found.
        source: std::io::Error,
    },
    /// Whoever asks is not allowed to.
    #[error("only {who} may do that; nothing was changed; {remedy}")]
    NotAllowed {
        /// Who may.
        who: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A path cannot be written down in a unit file.
    #[error("the path {} has characters that no unit file can hold; nothing was changed; move it", path.display())]
    Unspeakable {
        /// The path.
        path: PathBuf,
    },
    /// There is something else of that name.
    #[error("{} was not made by this program; nothing was changed; choose another name with --name, or remove it", path.display())]
    Foreign {
        /// What is there.
        path: PathBuf,
    },
    /// A step failed. What came before it was undone where that is possible.
    #[error("cannot {attempted}: {reason}; {left}")]
    Step {
        /// What was attempted.
        attempted: String,
        /// What the system says.
        reason: String,
        /// What is left behind.
        left: &'static str,
    },
    /// Nobody reads what is printed.
    #[error("cannot print: {0}")]
    Print(#[from] std::io::Error),
}

impl Service {
    /// Installs the service, or prints what would be installed. The configuration should have been checked.
    ///
    /// # Errors
    /// If it cannot be installed: what was left as it was, and what to do.
    pub fn install(self, arguments: &InstallArguments) -> Result<(), ServiceError> {
        let plan = self.plan(arguments.name.clone())?;
        #[cfg(unix)]
        return systemd::install(&plan, arguments);
        #[cfg(windows)]
        return windows::install(&plan, arguments);
    }

    fn plan(self, name: Option<ServiceName>) -> Result<Plan, ServiceError> {
        let absolute = |path: &Path, what| {
            std::path::absolute(path)
                .map(|path| plain(&path))
                .map_err(|source| ServiceError::Path { what, source })
        };
        let executable = std::env::current_exe()
            .map_err(|source| ServiceError::Path { what: "the path of this program", source })?;
        let writes = match self.writes {
            Writes::Only(folders) => Writes::Only(
                folders
                    .iter()
                    .map(|folder| absolute(folder, "the path of a folder"))
                    .collect::<Result<_, _>>()?,
            ),
            Writes::Anything => Writes::Anything,
        };
        let config = absolute(&self.config, "the path of the configuration")?;
        let name = name.unwrap_or_else(|| default_name(self.program));
        Ok(Plan { name, executable: plain(&executable), service: Service { config, writes, ..self } })
    }
}

/// Stops and removes the service of a program. That there is none is fine.
///
/// # Errors
/// If it cannot be stopped or removed: what was left as it was, and what to do.
pub fn uninstall(program: &'static str, name: Option<&ServiceName>) -> Result<(), ServiceError> {
    let name = name.cloned().unwrap_or_else(|| default_name(program));
    #[cfg(unix)]
    systemd::uninstall(&name)?;
    #[cfg(windows)]
    windows::uninstall(&name)?;
    say("Configuration, data and logs were left as they are.")?;
    Ok(())
}

fn default_name(program: &str) -> ServiceName {
    ServiceName(format!("prevalent-{program}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_system_refuses_are_refused() {
        for good in ["prevalent-master", "wall_2.node", "9"] {
            assert_eq!(good.parse::<ServiceName>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "ü", "-a", ".a", "a@b", &"a".repeat(81)] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_plan_depends_on_no_folder_anybody_is_in() {
        let service = Service {
            program: "master",
            title: "",
            description: "",
            config: "a/master.toml".into(),
            arguments: vec![],
            writes: Writes::Only(vec!["a/data".into()]),
            watched: true,
        };
        let plan = service.plan(None).unwrap();
        assert_eq!(plan.name.as_str(), "prevalent-master");
        let here = std::env::current_dir().unwrap();
        assert_eq!(plan.service.config, here.join("a").join("master.toml"));
        assert_eq!(plan.service.writes, Writes::Only(vec![here.join("a").join("data")]));
        assert!(plan.executable.is_absolute());
    }
}
