//! How often each of the rare branches of the product was gone through, seen from outside.
//!
//! Responsible for: telling from what a voter was before a step, what it is after it, and what it says, which rule
//! was at work. A simulation that never gets somewhere says nothing about what is there.
//! Not responsible for: whether it was right (`oracle`).

use journal::{Journal, SegmentKind, SegmentName};
use position::{History, Index, Standing, Tail, Tip};
use prevalent::{Input, Replica};
use quorum::{Envelope, FetchOutcome, Message, Want};
use storage::Disk;

use super::ledger::Ledger;

macro_rules! branches {
    ($($branch:ident $name:literal)*) => {
        /// Something that happens seldom.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Branch {
            $(#[doc = $name] $branch,)*
        }

        impl Branch {
            /// All of them.
            pub const ALL: &[Branch] = &[$(Branch::$branch,)*];

            /// What happens, for people.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Branch::$branch => $name,)*
                }
            }
        }
    };
}

branches! {
    UnsettledAtStart "a start finds the end of the journal in doubt"
    NamelessDoubt "what is in doubt has no name"
    AmnesiacAtStart "a start finds that the disk has lost what was promised"
    AmnesiaByPeers "peers remember more than the disk"
    DamagedAtStart "a start finds damaged frames"
    ManyGenerations "a start finds three generations"
    RepairedAtStart "a start finds a good copy beside a damaged segment"
    MetHistory "a directory that never took part meets a history"
    TornSettled "a torn end is dropped or comes back"
    SettledByFrame "a doubt is settled by the very frame"
    SettledByMaster "a doubt is settled by a master's word"
    SettledByAbsence "a doubt is settled by absence"
    DoubtFetched "the frame in doubt is fetched"
    NamelessNamed "a nameless frame gets its name"
    Pulled "a candidate pulls frames"
    Nominated "a candidate nominates a better one"
    Cut "the journal is cut"
    RepairAsked "a good copy is asked for"
    Repaired "a damaged frame is repaired"
    DamageCovered "a snapshot covers what is damaged"
    Compacted "the journal is compacted"
    SparePrepared "a spare segment is made"
    SegmentMapped "a full segment is mapped"
    SegmentsRemoved "segments are removed"
    SnapshotMade "a snapshot is made"
    SnapshotOffered "a snapshot is verified for a standby"
    SnapshotInstalled "a snapshot of the master is installed"
    Rebuilt "a state is rebuilt after a panic"
    ChangeMade "a change of the members is committed"
    ChangeRefused "a change of the members is refused"
    IncarnationTaken "a process takes the incarnation that a list gives it"
    MemberRemoved "a member learns that it is none any more"
    BallotOneCopy "a start finds one good copy of the ballot"
}

/// Counts by branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage([u64; Branch::ALL.len()]);

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage([0; Branch::ALL.len()])
    }
}

impl Coverage {
    /// How often that happened.
    #[must_use]
    pub fn of(&self, branch: Branch) -> u64 {
        self.0[branch as usize]
    }

    pub(super) fn add(&mut self, other: &Coverage) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, more)| *sum += more);
    }

    pub(super) fn count(&mut self, branch: Branch) {
        self.0[branch as usize] += 1;
    }

    fn count_if(&mut self, happened: bool, branch: Branch) {
        if happened {
            self.count(branch);
        }
    }

    /// A process has started on this disk.
    pub(super) fn started(&mut self, replica: &Replica<Ledger>, disk: &Disk) {
        let standing = replica.view().standing;
        self.count_if(matches!(standing, Standing::Unsettled(_)), Branch::UnsettledAtStart);
        self.count_if(matches!(standing, Standing::Amnesiac(_)), Branch::AmnesiacAtStart);
        self.count_if(is_nameless(standing), Branch::NamelessDoubt);
        self.count_if(damages(replica.journal()) > 0, Branch::DamagedAtStart);
        // A disk that is about to lose power may refuse.
        let Ok(files) = disk.list("journal") else { return };
        let names = files.iter().filter_map(|file| SegmentName::parse(&file.name));
        let names: Vec<SegmentName> = names.collect();
        let generations: std::collections::BTreeSet<u32> =
            names.iter().map(|name| name.generation.0).collect();
        self.count_if(generations.len() >= 3, Branch::ManyGenerations);
        self.count_if(names.iter().any(|name| name.kind == SegmentKind::Repair), Branch::RepairedAtStart);
    }

    /// One of the two copies of the ballot is damaged.
    pub(super) fn starts_on_one_copy(&mut self) {
        self.count(Branch::BallotOneCopy);
    }

    /// A job of this name has run.
    pub(super) fn job(&mut self, name: &str) {
        match name {
            "prepare a segment" => self.count(Branch::SparePrepared),
            "map a full segment" => self.count(Branch::SegmentMapped),
            "remove segments" => self.count(Branch::SegmentsRemoved),
            "make a snapshot" => self.count(Branch::SnapshotMade),
            "verify a snapshot" => self.count(Branch::SnapshotOffered),
            "rebuild the state" => self.count(Branch::Rebuilt),
            _ => {}
        }
    }

    /// A voter sends this.
    pub(super) fn said(&mut self, said: &mut Said, envelope: &Envelope, replica: &Replica<Ledger>) {
        match &envelope.message {
            Message::Nominate => self.count(Branch::Nominated),
            Message::Fetch(fetch) => {
                let doubts = matches!(replica.view().standing, Standing::Unsettled(_));
                match fetch.want {
                    Want::Any { .. } => said.nameless = true,
                    Want::Frame(_) if doubts && std::mem::take(&mut said.nameless) => {
                        self.count(Branch::NamelessNamed);
                    }
                    Want::Frame(_) if !doubts => self.count(Branch::RepairAsked),
                    Want::Frame(_) | Want::After(_) => {}
                }
            }
            Message::Hello(hello) | Message::HelloReply(hello) => {
                let settled = replica.view().standing == Standing::Settled;
                said.was_in_doubt |= !settled;
                // What is torn is in doubt only in memory.
                self.count_if(
                    said.uncertain && hello.certain && settled && !said.was_in_doubt,
                    Branch::TornSettled,
                );
                said.uncertain = !hello.certain;
            }
            _ => {}
        }
    }
}

/// What a process has said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// It asked for whatever is in a place.
    nameless: bool,
    /// It does not count, by its last greeting.
    uncertain: bool,
    /// Once there was more in doubt than a torn end.
    was_in_doubt: bool,
}

/// What a voter was before a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    standing: Standing,
    damages: usize,
    base: Index,
    last: Tip,
    because: Because,
}

/// What a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Because {
    /// Frames that were asked for.
    Frames,
    /// The answer that there are none.
    NoFrames,
    /// A job came back.
    Job,
    Other,
}

impl Before {
    pub(super) fn of(replica: &Replica<Ledger>, input: &Input<'_, Ledger>) -> Before {
        let because = match input {
            Input::Finished(_) => Because::Job,
            Input::Message { envelope, .. } => match &envelope.message {
                Message::FetchReply(reply) => match reply.outcome {
                    FetchOutcome::Frames { .. } => Because::Frames,
                    _ => Because::NoFrames,
                },
                _ => Because::Other,
            },
            _ => Because::Other,
        };
        let journal = replica.journal();
        Before {
            standing: replica.view().standing,
            damages: damages(journal),
            base: journal.base().index(),
            last: journal.last(),
            because,
        }
    }

    pub(super) fn is_of_a_job(&self) -> bool {
        self.because == Because::Job
    }

    /// Counts what the step went through; says whether the journal was cut.
    pub(super) fn compare(self, replica: &Replica<Ledger>, coverage: &mut Coverage) -> bool {
        let (journal, standing) = (replica.journal(), replica.view().standing);
        match (self.standing, standing) {
            (Standing::Settled, Standing::Unsettled(_)) => coverage.count(Branch::MetHistory),
            (Standing::Settled | Standing::Unsettled(_), Standing::Amnesiac(_)) => {
                coverage.count(Branch::AmnesiaByPeers);
            }
            (Standing::Unsettled(_), Standing::Settled) => coverage.count(self.settled_by(journal)),
            _ => {}
        }
        let mended = damages(journal) < self.damages;
        let grown = journal.last().index() > self.last.index();
        let was_cut = journal.tip_at(self.last.index()) != Some(self.last);
        let based = journal.base().index() > self.base;
        coverage.count_if(mended && !based && !was_cut, Branch::Repaired);
        coverage.count_if(mended && based, Branch::DamageCovered);
        coverage.count_if(grown && self.because == Because::Frames && !mended, self.fetched());
        coverage.count_if(was_cut && !based, Branch::Cut);
        coverage.count_if(based && was_cut, Branch::SnapshotInstalled);
        coverage.count_if(based && !was_cut && !mended, Branch::Compacted);
        was_cut
    }

    fn settled_by(self, journal: &Journal) -> Branch {
        let Standing::Unsettled(doubted) = self.standing else { unreachable!("it was in doubt") };
        let frame = match doubted.tail {
            Tail::Uncertain { frame, .. } | Tail::Torn { frame, .. } => frame,
            Tail::Clean => None,
        };
        match frame {
            _ if matches!(self.because, Because::NoFrames | Because::Frames) => Branch::SettledByAbsence,
            Some(frame) if journal.frame_containing(frame.first) == Some(frame) => Branch::SettledByFrame,
            _ => Branch::SettledByMaster,
        }
    }

    fn fetched(self) -> Branch {
        if matches!(self.standing, Standing::Unsettled(_)) { Branch::DoubtFetched } else { Branch::Pulled }
    }
}

fn damages(journal: &Journal) -> usize {
    journal.damages().count()
}

fn is_nameless(standing: Standing) -> bool {
    matches!(standing, Standing::Unsettled(doubted) if matches!(doubted.tail, Tail::Uncertain { frame: None, .. }))
}
