//! Where log lines go: written by a thread of their own, so that whoever logs never waits for a disk, a
//! terminal or a reader that has stopped reading.
//!
//! Not responsible for: what is logged.

#[cfg(windows)]
mod event_log;
#[cfg(any(windows, test))]
mod files;
mod lossy;

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

#[cfg(windows)]
pub(crate) use event_log::{EventKind, EventLog};
#[cfg(windows)]
pub(crate) use files::LogFiles;
use lossy::LossyWriter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Log lines are written as long as this lives. Dropping it waits up to a second for those on their way:
/// drop it before printing anything that should stand behind them.
#[must_use = "the last lines are lost unless this is dropped at the end"]
#[derive(Debug)]
pub struct Log {
    _flushes: tracing_appender::non_blocking::WorkerGuard,
}

type Sink = Box<dyn Layer<Registry> + Send + Sync>;

/// Sends log lines to standard error. `RUST_LOG` chooses which, as `quiet_default` does without it.
/// Colours are used where the terminal does them.
pub fn start_log(format: LogFormat, quiet_default: &str) -> Log {
    let colours = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let (sink, log) = lines(format, AutoStream::auto(io::stderr()), colours);
    start(vec![sink], quiet_default);
    log
}

/// Sends log lines to files, and errors to the system's event log too: for a service, which has no
/// standard error.
#[cfg(windows)]
pub(crate) fn start_service_log(
    format: LogFormat,
    quiet_default: &str,
    files: LogFiles,
    events: EventLog,
) -> Log {
    let (sink, log) = lines(format, files, false);
    start(vec![sink, Box::new(events)], quiet_default);
    log
}

fn start(sinks: Vec<Sink>, quiet_default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet_default));
    tracing_subscriber::registry().with(sinks).with(filter).init();
}

fn lines(format: LogFormat, target: impl Write + Send + 'static, colours: bool) -> (Sink, Log) {
    let (writer, guard) = LossyWriter::start(target, format, lossy::LINES_MAX);
    let layer =
        tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours && format == LogFormat::Text);
    let sink: Sink = match format {
        LogFormat::Text => Box::new(layer),
        LogFormat::Json => Box::new(layer.json()),
    };
    (sink, Log { _flushes: guard })
}
