//! Windows' event log: what administrators look at first.

use std::fmt::Write as _;
use std::sync::mpsc::{SyncSender, sync_channel};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use winsafe::{HEVENTLOG, SysResult, co};

/// So many errors may wait to be reported. They are all in the log files too.
const WAITING_MAX: usize = 64;
/// Windows takes at most 31,839 characters.
const TEXT_CHARS_MAX: usize = 8000;

/// How serious something is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EventKind {
    /// The program's life: started, stopped.
    Information,
    /// What somebody should look at.
    Error,
}

/// Passes error log lines on to the event log, without waiting for it.
#[derive(Debug)]
pub(crate) struct EventLog {
    waiting: SyncSender<String>,
}

impl EventLog {
    /// Reports one event and returns when that is done.
    ///
    /// # Errors
    /// If the event log takes none, as when it is full.
    pub(crate) fn report(source: &str, kind: EventKind, text: &str) -> SysResult<()> {
        // The numbers are those for which Windows' own EventCreate.exe holds the message "%1".
        let (event_type, id) = match kind {
            EventKind::Information => (co::EVENTLOG::INFORMATION_TYPE, 1),
            EventKind::Error => (co::EVENTLOG::ERROR_TYPE, 3),
        };
        let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
        HEVENTLOG::RegisterEventSource(None, source)?.ReportEvent(event_type, 0, id, None, &[text], &[])
    }

    /// Starts the thread that reports. It runs as long as the process.
    pub(crate) fn start(source: &str) -> std::io::Result<EventLog> {
        let (waiting, texts) = sync_channel::<String>(WAITING_MAX);
        let source = source.to_owned();
        std::thread::Builder::new().name("event log".to_owned()).spawn(move || {
            for text in texts {
                // There is nowhere to report that reporting does not work; the log files have the line.
                let _taken = EventLog::report(&source, EventKind::Error, &text);
            }
        })?;
        Ok(EventLog { waiting })
    }
}

impl<S: Subscriber> Layer<S> for EventLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            let mut text = Text(String::new());
            event.record(&mut text);
            // Whoever logs never waits.
            drop(self.waiting.try_send(text.0));
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
