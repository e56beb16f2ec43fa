use position::{Index, Position};
use quorum::{Envelope, Message, Refusal, VoterView};

/// A rule of the product that the simulator breaks on purpose, to be sure that it would notice.
///
/// The product itself is left as it is: the simulator stands for disk and network, so it can lie about
/// either. What it says of the disk or puts into a message is what a replica with that fault would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mutant {
    /// A frame is acknowledged before it is durable.
    AcknowledgeBeforeSync,
    /// A vote is sent before it is durable.
    VoteBeforeSync,
    /// Nobody asks what candidates have in their journals.
    IgnoreJournals,
    /// A master takes for committed what a majority holds, although an earlier master wrote it.
    CommitOldEpochs,
    /// A master takes what it has written for committed.
    CommitAlone,
    /// Reads are answered at once, by whoever is asked.
    ReadAnywhere,
    /// A client sends what it has no answer to under new sequences.
    RetryAsNew,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 7] = [
        Mutant::AcknowledgeBeforeSync,
        Mutant::VoteBeforeSync,
        Mutant::IgnoreJournals,
        Mutant::CommitOldEpochs,
        Mutant::CommitAlone,
        Mutant::ReadAnywhere,
        Mutant::RetryAsNew,
    ];

    /// What a voter with this fault would say instead. `end` is the end of its journal.
    pub(super) fn distort(self, envelope: &mut Envelope, end: Index, view: &VoterView) {
        match (self, &mut envelope.message) {
            (Mutant::IgnoreJournals, Message::VoteReply { refused, .. })
                if *refused == Some(Refusal::Journal) =>
            {
                *refused = None;
            }
            (Mutant::IgnoreJournals, Message::ProbeReply(reply)) => reply.last = Position::NONE,
            (Mutant::CommitAlone, Message::Heartbeat { commit, .. }) => *commit = end,
            (Mutant::CommitAlone, Message::Append(append)) => append.commit = end,
            (Mutant::CommitOldEpochs, Message::Heartbeat { commit, .. }) => *commit = held_by_majority(view),
            (Mutant::CommitOldEpochs, Message::Append(append)) => append.commit = held_by_majority(view),
            _ => {}
        }
    }
}

/// What a majority has durably, whoever wrote it; at least what is committed.
fn held_by_majority(view: &VoterView) -> Index {
    let mut held: Vec<Index> = view.matched.iter().map(|(_, durable)| *durable).collect();
    held.push(view.durable);
    held.sort_unstable();
    held[(held.len() - 1) / 2].max(view.commit)
}
