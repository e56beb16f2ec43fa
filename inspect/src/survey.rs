//! What one pass over a journal tells, without executing anything.

use journal::EntryKind;
use position::{Index, Tip};
use prevalent::decode_members;
use quorum::{Kind, Membership};
use serde::Serialize;

use crate::journal::{Finding, JournalFiles};
use crate::problem::Problem;

/// A journal at a glance.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The first entry of the first good frame.
    pub(crate) first: Option<Index>,
    /// Where the last good frame ends.
    pub(crate) tip: Tip,
    pub(crate) frames: u64,
    pub(crate) entries: u64,
    /// The highest commit that any frame tells.
    pub(crate) commit_told: Index,
    /// The newest list of voters.
    pub(crate) members: Option<Membership>,
    /// Ends of frames at positions that were asked for.
    pub(crate) tips: Vec<Tip>,
    pub(crate) problems: Vec<Problem>,
}

/// A voter as the journal lists it.
#[derive(Serialize)]
pub(crate) struct VoterLine {
    id: u16,
    pub(crate) name: String,
    pub(crate) address: String,
    rank: u32,
    witness: bool,
}

impl Survey {
    /// Passes over all frames. Entries up to `covered` are in a snapshot; the tips at `wanted` are kept.
    pub(crate) fn of(files: &JournalFiles, covered: Index, wanted: &[Index]) -> Survey {
        let mut survey = Survey::default();
        for finding in files.findings(covered) {
            let frame = match finding {
                Finding::Frame(placed) => placed.frame,
                Finding::Problem(problem) => {
                    survey.problems.push(problem);
                    continue;
                }
            };
            survey.first.get_or_insert(frame.header().first_index);
            survey.tip = frame.tip();
            survey.frames += 1;
            survey.entries += u64::from(frame.header().entries);
            survey.commit_told = survey.commit_told.max(frame.header().commit);
            if wanted.contains(&frame.tip().index()) {
                survey.tips.push(frame.tip());
            }
            let lists = frame.entries().filter(|(_, entry)| entry.kind == EntryKind::Members);
            if let Some(list) = lists.filter_map(|(_, entry)| decode_members(entry.payload)).last() {
                survey.members = Some(list);
            }
        }
        survey
    }

    /// Up to where entries are known to be committed by what lies on this disk. A sole voter is its own
    /// majority, so all that it has written counts.
    pub(crate) fn committed(&self, snapshot: Index, members: Option<&Membership>) -> Index {
        let told = self.commit_told.max(snapshot);
        match members {
            Some(members) if members.voters().len() == 1 => told.max(self.tip.index()),
            _ => told,
        }
    }
}

/// The voters, as they are shown.
pub(crate) fn voter_lines(members: &Membership) -> Vec<VoterLine> {
    let line = |voter: &quorum::VoterInfo| VoterLine {
        id: voter.member.id.0,
        name: voter.name.clone(),
        address: voter.address.clone(),
        rank: voter.rank,
        witness: voter.kind == Kind::Witness,
    };
    members.voters().iter().map(line).collect()
}
