//! What a script is told by the exit code when the voter cannot go on.
//!
//! Responsible for: telling damage on the disk from everything else that may be wrong there. Nothing here
//! decides what is done about it: whoever found it has left everything as it was.

use app::Exit;
use journal::JournalError;
use prevalent::{Fatal, LoadError, OpenError, ReplayError};
use shipper::{VoterError, VoterFailure};
use storage::DiskError;

/// The exit code that an error stands for.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    match error.downcast_ref::<VoterError>() {
        Some(VoterError::NotAVoter { .. }) => return Exit::RefusedByRole,
        Some(error) if tells_of_removal(error) => return Exit::Removed,
        Some(error) if shows_damage(error) => return Exit::Corrupted,
        _ => {}
    }
    match error.downcast_ref::<DiskError>() {
        Some(error) if is_foreign(error) => Exit::Corrupted,
        _ => Exit::Failed,
    }
}

/// The cluster goes on without this voter, and it has noted that.
fn tells_of_removal(error: &VoterError) -> bool {
    match error {
        VoterError::Failed(VoterFailure::Replica(Fatal::Removed { .. })) => true,
        VoterError::Open { source, .. } => matches!(**source, OpenError::Removed { .. }),
        _ => false,
    }
}

fn shows_damage(error: &VoterError) -> bool {
    match error {
        VoterError::Disk(error) | VoterError::Failed(VoterFailure::Disk(error)) => is_foreign(error),
        VoterError::Failed(VoterFailure::Replica(fatal)) => match fatal {
            Fatal::Journal(error) => is_damaged(error),
            Fatal::Disk(error) => is_foreign(error),
            // What this folder holds, the others have lost: a script must not start it again.
            Fatal::Contradicted(_) => true,
            _ => false,
        },
        VoterError::Open { source, .. } => match &**source {
            OpenError::IdentityDamaged
            | OpenError::OnlyCopyUncertain { .. }
            | OpenError::OnlyCopyDamaged { .. }
            | OpenError::OnlyCopyWithoutState { .. }
            | OpenError::Replay(ReplayError::Frame(_)) => true,
            OpenError::Journal(error) => is_damaged(error),
            OpenError::Disk(error) | OpenError::Load(LoadError::Disk(error)) => is_foreign(error),
            // The wrong folder, or the wrong version of the program: the disk has kept what it was given.
            _ => false,
        },
        _ => false,
    }
}

/// A voter with an identity has a journal: one that is gone was lost.
fn is_damaged(error: &JournalError) -> bool {
    match error {
        JournalError::Disk(error) => is_foreign(error),
        JournalError::Missing | JournalError::Diverged { .. } | JournalError::Damaged { .. } => true,
        _ => false,
    }
}

/// Bytes where no version of this program writes any.
fn is_foreign(error: &DiskError) -> bool {
    matches!(error, DiskError::TooLong { .. } | DiskError::NotBlank { .. })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use position::Index;

    use super::*;

    fn check(source: OpenError, expected: Exit) {
        let error = VoterError::Open { data: "data".into(), source: Box::new(source) };
        let error = Err::<(), _>(error).context("the voter of master.toml stopped").unwrap_err();
        assert_eq!(exit_of(&error), expected, "{error:#}");
    }

    #[test]
    fn damage_is_told_from_other_trouble() {
        check(OpenError::OnlyCopyUncertain { at: Index(7) }, Exit::Corrupted);
        check(OpenError::Journal(JournalError::Missing), Exit::Corrupted);
        check(OpenError::OnlyCopyWithoutState { base: Index(9) }, Exit::Corrupted);
        let long = || DiskError::TooLong { path: "data/meta.0".into(), bytes: 513, bytes_max: 512 };
        check(OpenError::Disk(long()), Exit::Corrupted);
        assert_eq!(exit_of(&long().into()), Exit::Corrupted);
        check(OpenError::NoIdentity, Exit::Failed);
        check(OpenError::Removed { list: 3 }, Exit::Removed);
        let removed = VoterError::Failed(VoterFailure::Replica(Fatal::Removed { list: 3 }));
        assert_eq!(exit_of(&removed.into()), Exit::Removed);
        check(OpenError::Disk(DiskError::Locked { path: "data".into() }), Exit::Failed);
        let stranger = VoterError::NotAVoter { folder: "c".into(), holder: "viewer v".into() };
        assert_eq!(exit_of(&stranger.into()), Exit::RefusedByRole);
        assert_eq!(exit_of(&anyhow::anyhow!("no fleet")), Exit::Failed);
    }
}
