//! What one pass over a journal tells, without executing anything.

use fleet::one_line;
use journal::{EntryKind, Located};
use position::{History, Index, Tip};
use prevalent::decode_members;
use quorum::{Kind, Membership};
use serde::Serialize;

use crate::examined::Examined;

/// A journal at a glance.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The first entry of the first good frame.
    pub(crate) first: Option<Index>,
    /// Where the journal ends.
    pub(crate) tip: Tip,
    pub(crate) frames: u64,
    pub(crate) entries: u64,
    /// Up to where entries are known to be committed by what lies on this disk.
    pub(crate) committed: Index,
    /// The newest list of voters.
    pub(crate) members: Option<Membership>,
}

/// A voter as the journal lists it.
#[derive(Serialize)]
pub(crate) struct VoterLine {
    id: u16,
    name: String,
    address: String,
    rank: u32,
    witness: bool,
}

impl Survey {
    /// Passes over all frames.
    pub(crate) fn of(examined: &Examined) -> Survey {
        let newest = examined.snapshots.iter().find(|one| one.usable_head().is_some());
        let covered = examined.covered().unwrap_or(Tip::NONE);
        let mut survey = Survey {
            members: newest.and_then(|one| one.members.clone()),
            committed: covered.index(),
            tip: covered,
            ..Survey::default()
        };
        let Some(journal) = examined.journal() else { return survey };
        for part in journal.located() {
            let Located::Frame { frame, .. } = part else { continue };
            survey.first.get_or_insert(frame.header().first_index);
            survey.frames += 1;
            survey.entries += u64::from(frame.header().entries);
            survey.committed = survey.committed.max(frame.header().commit);
            let lists = frame.entries().filter(|(_, entry)| entry.kind == EntryKind::Members);
            if let Some(list) = lists.filter_map(|(_, entry)| decode_members(entry.payload)).last() {
                survey.members = Some(list);
            }
        }
        survey.tip = journal.tip();
        // A sole voter is its own majority, so all that it has written counts.
        if survey.members.as_ref().is_some_and(|members| members.voter_count() == 1) {
            survey.committed = survey.committed.max(survey.tip.index());
        }
        survey
    }
}

impl VoterLine {
    pub(crate) fn text(&self) -> String {
        one_line(format!("voter      {} {}", self.name, self.address).trim_end())
    }
}

/// The voters, as they are shown.
pub(crate) fn voter_lines(members: &Membership) -> Vec<VoterLine> {
    let line = |voter: &quorum::MemberInfo| VoterLine {
        id: voter.member.id.0,
        name: voter.name.clone(),
        address: voter.address.clone(),
        rank: voter.rank,
        witness: voter.kind == Kind::Witness,
    };
    members.members().iter().map(line).collect()
}
