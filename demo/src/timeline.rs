use std::fmt::Display;
use std::time::{Duration, Instant};

/// Tells people what happens and when.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    start: Instant,
    output: Output,
}

#[derive(Clone, Copy, Debug)]
enum Output {
    Standard,
    Error,
}

impl Timeline {
    /// A timeline that starts now, on standard output; on the error output if a program reads the other.
    #[must_use]
    pub fn start(program_reads: bool) -> Timeline {
        let output = if program_reads { Output::Error } else { Output::Standard };
        Timeline { start: Instant::now(), output }
    }

    /// Something happens, at a time since the timeline's start.
    pub fn say(&self, what: impl Display) {
        self.print(&format!("{:>9.3} s   {what}", self.start.elapsed().as_secs_f64()));
    }

    /// Something has happened, so long after the PC was killed.
    pub fn say_after(&self, after: Duration, what: impl Display) {
        self.print(&format!("{:>+9.0} ms    {what}", after.as_secs_f64() * 1000.0));
    }

    fn print(&self, line: &str) {
        match self.output {
            // A reader that has gone does not end what is shown here.
            Output::Standard => drop(app::say(line)),
            Output::Error => app::complain(line),
        }
    }
}
