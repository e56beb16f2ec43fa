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
    /// This voter was removed from the cluster.
    Removed,
}

impl Exit {
    /// All of them.
    #[cfg(any(unix, test))]
    pub(crate) const ALL: [Exit; 7] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::NoMaster,
        Exit::RefusedByRole,
        Exit::Corrupted,
        Exit::Removed,
    ];

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
            Exit::Removed => 6,
        }
    }

    /// Whether starting again cannot help before somebody has done something: a system that does it all the same
    /// only fills its log, and hides the reason in it.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Exit::Usage | Exit::RefusedByRole | Exit::Corrupted | Exit::Removed => true,
            Exit::Done | Exit::Failed | Exit::NoMaster => false,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_code_of_its_own_and_those_that_stay_are_known() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 5, 6]);
        let stay = Exit::ALL.into_iter().filter(|exit| exit.is_final()).map(Exit::code);
        assert_eq!(stay.collect::<Vec<_>>(), [2, 4, 5, 6]);
    }
}
