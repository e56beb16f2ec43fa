//! What is wrong with this voter's data directory, until it has been dealt with.
//!
//! Responsible for: the list, and one line in the log for each beginning and each end. Not responsible for: finding it
//! out (`journal`, `open`), and showing it.

use journal::{Finding, Journal};
use position::{Ballot, FrameId, Index, Standing};

use crate::Prevalent;
use crate::replica::Replica;

/// The findings that are not dealt with yet.
#[derive(Debug)]
pub(crate) struct Health(Vec<Finding>);

impl Health {
    /// What a start has found, of a voter with this ballot.
    pub(crate) fn of(mut findings: Vec<Finding>, ballot: &Ballot) -> Health {
        match ballot.standing {
            Standing::Amnesiac(amnesia) => {
                findings.push(Finding::LostPromise { amnesia });
            }
            // An earlier start has found it, and what was written since looks well.
            Standing::Unsettled(doubted) if !findings.iter().any(is_doubt) => {
                findings.extend(Finding::still_in_doubt(&doubted));
            }
            _ => {}
        }
        findings.iter().for_each(Finding::log);
        Health(findings)
    }

    /// Something was found while the voter runs. What is known already is said once.
    pub(crate) fn found(&mut self, finding: Finding) {
        let is_known = |known: &Finding| match (known, &finding) {
            // The reason may be put otherwise.
            (Finding::Snapshot { index, .. }, Finding::Snapshot { index: other, .. }) => index == other,
            _ => *known == finding,
        };
        if !self.0.iter().any(is_known) {
            finding.log();
            self.0.push(finding);
        }
    }

    /// Takes out what has been dealt with, and says so.
    fn end(&mut self, is_over: impl Fn(&Finding) -> bool) {
        self.0.extract_if(.., |finding| is_over(finding)).for_each(|finding| finding.log_end());
    }

    /// Takes out what lies in nothing that is needed any more, and says so.
    fn end_gone(&mut self, is_gone: impl Fn(&Finding) -> bool) {
        self.0.extract_if(.., |finding| is_gone(finding)).for_each(|finding| finding.log_gone());
    }

    /// Some of the journal may have been replaced or removed.
    pub(crate) fn follow_journal(&mut self, journal: &Journal) {
        let base = journal.base().index();
        self.end_gone(|finding| match finding {
            Finding::Damaged(damage) | Finding::DamagedAlone(damage) => damage.id.last <= base,
            Finding::SegmentHeader { file } | Finding::Length { file, .. } => !journal.reads_from(*file),
            _ => false,
        });
    }

    /// These snapshots are there now, and the one at `made` is new.
    pub(crate) fn follow_snapshots(&mut self, made: Index, kept: &[Index]) {
        self.end_gone(|finding| match finding {
            Finding::Snapshot { index, .. } => *index == made || !kept.contains(index),
            _ => false,
        });
    }

    pub(crate) fn is_damaged_alone(&self) -> bool {
        self.0.iter().any(|finding| matches!(finding, Finding::DamagedAlone(_)))
    }

    pub(crate) fn repaired(&mut self, frame: FrameId) {
        self.end(|finding| matches!(finding, Finding::Damaged(damage) if damage.id == frame));
    }

    pub(crate) fn has_state(&mut self) {
        self.end(|finding| matches!(finding, Finding::NoState { .. }));
    }

    /// The ballot has changed.
    pub(crate) fn follow(&mut self, ballot: &Ballot) {
        match ballot.standing {
            Standing::Settled => self.end(|finding| is_doubt(finding) || finding.is_fatal_to_the_vote()),
            Standing::Unsettled(doubted) if !self.0.iter().any(is_doubt) => {
                let found = Finding::still_in_doubt(&doubted);
                found.iter().for_each(Finding::log);
                self.0.extend(found);
            }
            Standing::Unsettled(_) | Standing::Removed => {}
            Standing::Amnesiac(amnesia) => {
                if !self.0.iter().any(Finding::is_fatal_to_the_vote) {
                    let lost = Finding::LostPromise { amnesia };
                    lost.log();
                    self.0.push(lost);
                }
            }
        }
    }
}

fn is_doubt(finding: &Finding) -> bool {
    matches!(finding, Finding::InDoubt { .. } | Finding::Pristine)
}

impl<S: Prevalent> Replica<S> {
    /// What is wrong with the data directory and has not been dealt with. Each is in the log as well.
    #[must_use]
    pub fn health(&self) -> &[Finding] {
        &self.health.0
    }
}
