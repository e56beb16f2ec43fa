//! Windows' event log: what administrators look at first.
//!
//! Events are made by `eventcreate.exe`, which Windows has since XP: it enters the source by itself and has
//! the message file that shows their text. Calling the event log's own functions would need `unsafe`, and the
//! crates that wrap them also import what Windows 7 lacks.

use std::fmt::Write as _;
use std::io;
use std::os::windows::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// So many events may wait to be reported. They are all in the log files too.
const WAITING_MAX: usize = 64;
/// Much longer texts do not fit a command line.
const TEXT_CHARS_MAX: usize = 2000;
/// At the end those that wait are waited for, but not for ever.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// A service's child must not ask for a console.
const CREATE_NO_WINDOW: u32 = 0x0800_0000;

/// How serious something is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EventKind {
    /// The program's life: started, stopped.
    Information,
    /// What somebody should look at.
    Error,
}

/// Reports to the event log without waiting for it; error log lines too, as a layer of the log.
#[derive(Clone, Debug)]
pub(crate) struct EventLog {
    waiting: SyncSender<Message>,
}

#[derive(Debug)]
enum Message {
    Report(EventKind, String),
    /// All before it have been reported.
    Finished(SyncSender<()>),
}

impl EventLog {
    /// Reports one event and returns when that is done. Enters the source, if it is not there yet and this
    /// is an administrator's process.
    ///
    /// # Errors
    /// If it cannot be done, as on a Windows Embedded without the tool.
    pub(crate) fn report(source: &str, kind: EventKind, text: &str) -> io::Result<()> {
        let kind = match kind {
            EventKind::Information => "INFORMATION",
            EventKind::Error => "ERROR",
        };
        let one_line = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.chars().take(TEXT_CHARS_MAX).map(one_line).collect();
        let mut command = system_tool("eventcreate.exe");
        command.args(["/L", "APPLICATION", "/T", kind, "/SO", source, "/ID", "1", "/D", &text]);
        run(&mut command)
    }

    /// Removes a source.
    ///
    /// # Errors
    /// If it is not there, or may not be removed.
    pub(crate) fn remove_source(source: &str) -> io::Result<()> {
        let key = format!(r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\{source}");
        run(system_tool("reg.exe").args(["delete", &key, "/f"]))
    }

    /// Starts the thread that reports. It runs as long as the process.
    pub(crate) fn start(source: &str) -> io::Result<EventLog> {
        let (waiting, messages) = sync_channel(WAITING_MAX);
        let source = source.to_owned();
        std::thread::Builder::new().name("event log".to_owned()).spawn(move || work(&source, &messages))?;
        Ok(EventLog { waiting })
    }

    /// Has something reported. If too much waits already, it is dropped: the log files have it.
    pub(crate) fn tell(&self, kind: EventKind, text: &str) {
        drop(self.waiting.try_send(Message::Report(kind, text.to_owned())));
    }

    /// Returns when everything has been reported, or when that takes too long.
    pub(crate) fn finish(&self) {
        let (finished, when_finished) = sync_channel(1);
        if self.waiting.try_send(Message::Finished(finished)).is_ok() {
            // Too late is as good as never: the process ends.
            let _too_late = when_finished.recv_timeout(FINISH_WITHIN);
        }
    }
}

fn work(source: &str, messages: &Receiver<Message>) {
    for message in messages {
        match message {
            // There is nowhere to report that reporting does not work.
            Message::Report(kind, text) => drop(EventLog::report(source, kind, &text)),
            // Nobody waits any more if it took too long.
            Message::Finished(finished) => drop(finished.send(())),
        }
    }
}

/// One of Windows' own programs, whatever else is called so.
fn system_tool(name: &str) -> Command {
    let root = std::env::var_os("SystemRoot").unwrap_or_else(|| r"C:\Windows".into());
    let mut command = Command::new(PathBuf::from(root).join("System32").join(name));
    command.creation_flags(CREATE_NO_WINDOW).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("it ended with {status}"))) }
}

impl<S: Subscriber> Layer<S> for EventLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.tell(EventKind::Error, &text.0);
        }
    }
}

/// The message first, then `name=value`.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.insert_str(0, &format!("{value:?}"));
        } else {
            write!(self.0, " {}={value:?}", field.name()).expect("a String takes everything");
        }
    }
}
