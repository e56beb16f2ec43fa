//! One child process and its log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Of a log only its end is read: what happened last is what a failure is about.
const LOG_END_BYTES: u64 = 16 * 1024;

/// The system did not do with a process what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempted} {name}: {source}")]
pub struct ProcessError {
    attempted: &'static str,
    name: String,
    source: io::Error,
}

/// A child process. It is killed when this value is dropped, whatever the reason: nothing is left behind.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts a process whose output and error output are added to the file `log`.
    ///
    /// # Errors
    /// If the log cannot be opened or the process not be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Process, ProcessError> {
        let failed = |attempted| move |source| ProcessError { attempted, name: name.to_owned(), source };
        let output =
            OpenOptions::new().create(true).append(true).open(log).map_err(failed("open the log of"))?;
        let errors = output.try_clone().map_err(failed("open the log of"))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "info");
        }
        let child = command.spawn().map_err(failed("start"))?;
        Ok(Process { name: name.to_owned(), log: log.to_owned(), child })
    }

    /// What it was called when it was started.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The system's number for it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without warning (SIGKILL, TerminateProcess) and returns when it is gone.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&mut self) -> Result<(), ProcessError> {
        let failed = |source| ProcessError { attempted: "kill", name: self.name.clone(), source };
        self.child.kill().map_err(failed)?;
        self.child.wait().map(|_status| ()).map_err(failed)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        let name = &self.name;
        self.child.try_wait().map_err(|source| ProcessError {
            attempted: "look after",
            name: name.clone(),
            source,
        })
    }

    /// The last lines of its log, for messages; if it has ended, how.
    #[must_use]
    pub fn last_lines(&mut self, lines_max: usize) -> String {
        let text = match end_of(&self.log) {
            Ok(text) => text,
            Err(error) => format!("(its log cannot be read: {error})"),
        };
        let lines: Vec<&str> = text.lines().collect();
        let mut shown = format!("--- {}, end of its log:\n", self.name);
        for line in &lines[lines.len().saturating_sub(lines_max)..] {
            shown.push_str("    ");
            shown.push_str(line);
            shown.push('\n');
        }
        match self.exited() {
            Ok(Some(status)) => shown.push_str(&format!("    (it has ended: {status})\n")),
            Ok(None) => {}
            Err(error) => shown.push_str(&format!("    ({error})\n")),
        }
        shown
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            app::complain(format_args!("{error}; end it by hand: its number is {}", self.child.id()));
        }
    }
}

fn end_of(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_END_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_END_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
