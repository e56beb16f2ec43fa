use std::process::{ExitCode, Termination};

/// What a program's exit code says, the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Done,
    /// It could not, and said why.
    Failed,
    /// The command line makes no sense. `clap` uses the same code.
    Usage,
    /// No master answered in time.
    NoMaster,
    /// The certificate's role does not allow it.
    RefusedByRole,
    /// Stored data is damaged.
    Corrupted,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NoMaster => 3,
            Exit::RefusedByRole => 4,
            Exit::Corrupted => 5,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
