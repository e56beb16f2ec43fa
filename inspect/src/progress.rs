//! How far a long reading has come, for whoever waits at a terminal. Nothing is drawn into a pipe or a file.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use journal::{SegmentInfo, list_segments};
use storage::Disk;

/// What takes less is not worth a bar.
const QUIET: Duration = Duration::from_millis(300);
/// Fast enough for an eye.
const BETWEEN_DRAWS: Duration = Duration::from_millis(100);
const CELLS: u8 = 30;
const PAGE_BYTES: usize = 4096;

/// A bar on standard error, which goes when it is dropped.
pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    next: Instant,
    is_drawn: bool,
    /// Whether there is anybody to see it.
    is_seen: bool,
}

impl Progress {
    /// `total` in bytes.
    pub(crate) fn start(what: &'static str, total: u64) -> Progress {
        let (next, is_seen) = (Instant::now() + QUIET, stderr().is_terminal());
        Progress { what, total: total.max(1), done: 0, next, is_drawn: false, is_seen }
    }

    /// So many bytes more are done.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.done += bytes as u64;
        if self.is_seen && Instant::now() >= self.next {
            self.next = Instant::now() + BETWEEN_DRAWS;
            self.is_drawn = true;
            // Nobody to see it is no reason to stop.
            drop(write!(stderr(), "\r{}", self.line()));
        }
    }

    fn line(&self) -> String {
        let done = self.done.min(self.total);
        let full = usize::try_from(done * u64::from(CELLS) / self.total).unwrap_or(0);
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(usize::from(CELLS) - full));
        format!("{} [{bar}] {:3} % of {} MiB", self.what, done * 100 / self.total, self.total >> 20)
    }

    /// Has the system read the closed segments, which takes most of the time where they are not in its cache.
    /// Only for the sake of the bar.
    pub(crate) fn read_ahead(disk: &Disk) {
        if !stderr().is_terminal() {
            return;
        }
        let segments = list_segments(disk).unwrap_or_default();
        let shown: Vec<&SegmentInfo> = segments.iter().filter(|info| info.visible).collect();
        let closed = &shown[..shown.len().saturating_sub(2)];
        let mut progress = Progress::start("reading", closed.iter().map(|info| info.bytes).sum());
        for info in closed {
            // Whatever is wrong with it is said when it is read in earnest.
            let Ok(segment) = disk.open_closed_segment(&info.name.to_string()) else { continue };
            let bytes = segment.slice(0..segment.capacity());
            for page in bytes.chunks(PAGE_BYTES) {
                std::hint::black_box(page[0]);
                progress.advance(page.len());
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_drawn {
            drop(write!(stderr(), "\r{:width$}\r", "", width = self.line().len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_how_far_it_is() {
        let check = |done, total, line: &str| {
            let progress = Progress { done, ..Progress::start("executing", total) };
            assert_eq!(progress.line(), line);
        };
        check(0, 150 << 20, "executing [------------------------------]   0 % of 150 MiB");
        check(75 << 20, 150 << 20, "executing [###############---------------]  50 % of 150 MiB");
        check(151 << 20, 150 << 20, "executing [##############################] 100 % of 150 MiB");
        check(5, 0, "executing [##############################] 100 % of 0 MiB");
    }
}
