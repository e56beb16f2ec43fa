use quorum::{AppendAck, Envelope, Message, Refusal};

/// A rule of the product that the simulator breaks on purpose, to be sure that it would notice.
///
/// The product itself is left as it is: the simulator stands for disk and network, so it can lie about
/// either. What it says of the disk or puts into a message is what a replica with that fault would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A frame is acknowledged before it is durable.
    AcknowledgeBeforeSync,
    /// A vote is sent before it is durable.
    VoteBeforeSync,
    /// Voters vote for candidates with less in their journals.
    IgnoreJournals,
    /// The acknowledgements of voters in doubt count.
    CountTheUncertain,
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
        Mutant::CountTheUncertain,
        Mutant::CommitAlone,
        Mutant::ReadAnywhere,
        Mutant::RetryAsNew,
    ];

    /// What a voter with this fault would say instead. `end` is the end of its journal.
    pub(super) fn distort(self, envelope: &mut Envelope, end: position::Index) {
        match (self, &mut envelope.message) {
            (
                Mutant::IgnoreJournals,
                Message::VoteReply { refused: refused @ Some(Refusal::Journal), .. },
            ) => {
                *refused = None;
            }
            (Mutant::CountTheUncertain, Message::AppendAck(AppendAck { certain, .. })) => *certain = true,
            (Mutant::CommitAlone, Message::Heartbeat { commit, .. }) => *commit = end,
            (Mutant::CommitAlone, Message::Append(append)) => append.commit = end,
            _ => {}
        }
    }
}
