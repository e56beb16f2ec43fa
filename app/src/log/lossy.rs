//! A writer that never waits: it drops lines instead, counts them, and says so where they are missing.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::LogFormat;

/// So many lines may wait to be written: about a megabyte, or some seconds of a terminal that is held up.
pub(super) const LINES_MAX: usize = 4096;

/// The thread's end of the queue.
pub(super) struct LossyWriter<W> {
    target: W,
    format: LogFormat,
    /// Set before the first line can come.
    dropped: Arc<OnceLock<ErrorCounter>>,
    /// How many dropped lines were spoken of.
    said: usize,
}

impl<W: Write + Send + 'static> LossyWriter<W> {
    /// Starts the thread that writes to `target`. It ends with the guard.
    pub(super) fn start(target: W, format: LogFormat, lines_max: usize) -> (NonBlocking, WorkerGuard) {
        let dropped = Arc::new(OnceLock::new());
        let writer = LossyWriter { target, format, dropped: dropped.clone(), said: 0 };
        let (lines, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(lines_max)
            .thread_name("log")
            .finish(writer);
        dropped.get_or_init(|| lines.error_counter());
        (lines, guard)
    }
}

impl<W: Write> LossyWriter<W> {
    fn speak_of_dropped(&mut self) -> io::Result<()> {
        let dropped = self.dropped.get().map_or(0, ErrorCounter::dropped_lines);
        if dropped > self.said {
            let new = dropped - self.said;
            self.said = dropped;
            self.target.write_all(notice(self.format, new).as_bytes())?;
        }
        Ok(())
    }
}

impl<W: Write> Write for LossyWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    /// Takes one whole line.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.speak_of_dropped()?;
        self.target.write_all(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.speak_of_dropped()?;
        self.target.flush()
    }
}

/// A line that looks like the others.
fn notice(format: LogFormat, lines: usize) -> String {
    const MESSAGE: &str = "log lines were dropped about here: they came faster than they could be written";
    let mut time = String::new();
    if SystemTime.format_time(&mut Writer::new(&mut time)).is_err() {
        time.clear();
    }
    match format {
        LogFormat::Text => format!("{time}  WARN app::log: {MESSAGE} lines={lines}\n"),
        LogFormat::Json => format!(
            "{{\"timestamp\":\"{time}\",\"level\":\"WARN\",\"fields\":{{\"message\":\"{MESSAGE}\",\"lines\":{lines}}},\"target\":\"app::log\"}}\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader that has stopped reading, until it is told to go on. It says when it was written to first.
    struct Stuck {
        written_to: Option<Sender<()>>,
        go_on: Option<Receiver<()>>,
        text: Sender<Vec<u8>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let (Some(written_to), Some(go_on)) = (self.written_to.take(), self.go_on.take()) {
                written_to.send(()).unwrap();
                go_on.recv().unwrap();
            }
            self.text.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_logs_never_waits_and_what_is_missing_is_counted() {
        let (written_to, when_written_to) = channel();
        let (go, go_on) = channel();
        let (text, texts) = channel();
        let stuck = Stuck { written_to: Some(written_to), go_on: Some(go_on), text };
        let (mut lines, guard) = LossyWriter::start(stuck, LogFormat::Text, 4);
        lines.write_all(b"first\n").unwrap();
        when_written_to.recv().unwrap();
        // The thread is stuck with the first line, four more fit, and fifteen do not.
        for number in 0..19 {
            lines.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        go.send(()).unwrap();
        drop(guard);
        let text: Vec<u8> = texts.try_iter().flatten().collect();
        let text = String::from_utf8(text).unwrap();
        let shown: Vec<&str> = text.lines().collect();
        assert_eq!(shown.len(), 6, "{text}");
        assert_eq!(shown[0], "first");
        assert!(shown[1].contains("WARN") && shown[1].ends_with("lines=15"), "{text}");
        assert_eq!(shown[2..], ["line 0", "line 1", "line 2", "line 3"]);
    }

    #[test]
    fn a_notice_is_json_where_the_other_lines_are() {
        let line = notice(LogFormat::Json, 3);
        assert!(line.starts_with('{') && line.ends_with("}\n") && line.contains("\"lines\":3"), "{line}");
    }
}
