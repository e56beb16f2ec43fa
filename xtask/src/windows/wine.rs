//! Wine, in a folder of its own.
//!
//! Wine shows which calls a program makes and that they work together. It shows neither what NTFS keeps
//! after a power cut nor how precise the timers of a real Windows are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::step;
use crate::windows::toolchain::folder;

/// Runs a program.
pub(crate) const WINE: &str = "/usr/lib/wine/wine64";
/// What all programs of a prefix share; it ends them too.
const WINE_SERVER: &str = "/usr/lib/wine/wineserver64";

/// Gives a program and what it starts the processor before all others.
const FIRST_SERVED: [&str; 3] = ["chrt", "--rr", "1"];

/// A Wine of its own, with everything that runs in it. Dropped, it is stopped.
#[derive(Debug)]
pub(crate) struct Wine {
    prefix: PathBuf,
    /// Whether its programs are served before all others of this machine.
    first_served: bool,
}

impl Wine {
    /// Makes the folder of Wine's files if need be, and starts it.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn start() -> anyhow::Result<Wine> {
        let wine = Wine { prefix: folder().join("wine"), first_served: may_be_first_served() };
        fs::create_dir_all(&wine.prefix)
            .with_context(|| format!("cannot make the folder {}", wine.prefix.display()))?;
        let mut server = wine.promptly(WINE_SERVER);
        server.arg("--persistent=600");
        step::run("start Wine", 1, &server)?;
        let mut boot = wine.command(Path::new("wineboot"));
        boot.arg("--init");
        step::run("make Wine's files", 5, &boot)?;
        Ok(wine)
    }

    /// A command that runs a Windows executable.
    pub(crate) fn command(&self, executable: &Path) -> Command {
        let mut command = self.promptly(WINE);
        command.arg(executable).stdin(Stdio::null());
        command
    }

    /// A command that gets a processor as soon as it needs one, if that is possible. Each wait and each
    /// datagram takes a turn of Wine's one server: if that has to queue behind compilers, voters suspect
    /// masters that are well, and the tests are about the machine.
    fn promptly(&self, program: &str) -> Command {
        let mut command = if self.first_served {
            let mut command = Command::new(FIRST_SERVED[0]);
            command.args(&FIRST_SERVED[1..]).arg(program);
            command
        } else {
            Command::new(program)
        };
        self.describe(&mut command);
        command
    }

    /// Ends everything that runs in it. The next program starts it anew, and it takes that one's display: without one,
    /// as here, it believes for as long as it runs that it has one of 1024 by 768 pixels.
    pub(crate) fn stop(&self) {
        let mut stop = Command::new(WINE_SERVER);
        stop.arg("--kill");
        self.describe(&mut stop);
        if let Err(error) = stop.status() {
            eprintln!("cannot stop Wine: {error}; end it with: {WINE_SERVER} --kill");
        }
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

/// Only root may, as a rule.
fn may_be_first_served() -> bool {
    let mut nothing = Command::new(FIRST_SERVED[0]);
    nothing.args(&FIRST_SERVED[1..]).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
    nothing.status().is_ok_and(|status| status.success())
}

impl Drop for Wine {
    fn drop(&mut self) {
        self.stop();
    }
}
