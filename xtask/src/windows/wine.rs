//! Wine, in a folder of its own.
//!
//! Wine shows which calls a program makes and that they work together. It shows neither what NTFS keeps
//! after a power cut nor how precise the timers of a real Windows are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step;
use crate::windows::toolchain::folder;

/// Runs a program.
pub(crate) const WINE: &str = "/usr/lib/wine/wine64";
/// What all programs of a prefix share; it ends them too.
const WINE_SERVER: &str = "/usr/lib/wine/wineserver64";

/// A Wine of its own, with everything that runs in it. Dropped, it is stopped.
#[derive(Debug)]
pub(crate) struct Wine {
    prefix: PathBuf,
}

impl Wine {
    /// Makes the folder of Wine's files if need be, and starts it.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn start() -> anyhow::Result<Wine> {
        let wine = Wine { prefix: folder().join("wine") };
        let mut boot = wine.command(Path::new("wineboot"));
        boot.arg("--init");
        step::run("start Wine", 5, &boot)?;
        Ok(wine)
    }

    /// A command that runs a Windows executable.
    pub(crate) fn command(&self, executable: &Path) -> Command {
        let mut command = Command::new(WINE);
        command.arg(executable).stdin(std::process::Stdio::null());
        self.describe(&mut command);
        command
    }

    /// What services may know as `%ProgramData%`: this Wine has two opinions on it.
    pub(crate) fn common_data(&self) -> [PathBuf; 2] {
        ["ProgramData", "users/Public"].map(|folder| self.prefix.join("drive_c").join(folder))
    }

    /// Tells a command, and what it starts, which Wine is meant.
    pub(crate) fn describe(&self, command: &mut Command) {
        command.env("WINEPREFIX", &self.prefix).env("WINEDEBUG", "-all").env_remove("DISPLAY");
        // Else a new prefix asks whether it should download what browsers and .NET need.
        command.env("WINEDLLOVERRIDES", "mscoree,mshtml=");
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        let mut stop = Command::new(WINE_SERVER);
        stop.arg("--kill");
        self.describe(&mut stop);
        if let Err(error) = stop.status() {
            eprintln!("cannot stop Wine: {error}; end it with: {WINE_SERVER} --kill");
        }
    }
}
