//! Rules of the product that can be broken on purpose, to see whether the simulator notices.
//!
//! Responsible for: naming them, and which one is broken. Each is broken where it is kept, in the package that
//! keeps it. Not responsible for: finding out (`tests`).
//!
//! Only a build with `--cfg prevalent_mutants` can break one, and such a build has a target directory of its own:
//! a Cargo feature would be united into the programs that ship. In every other build [`Mutant::is_active`] is
//! always false, so the compiler leaves nothing of it; `xtask package --check` looks for the names.

/// A list of rules, each with its name and what is done instead.
macro_rules! mutants {
    ($($variant:ident $name:literal $broken:literal)*) => {
        /// A rule that can be broken, by what is done instead.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Mutant {
            $(#[doc = $broken] $variant,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$variant,)*];

            /// The name on a command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Mutant::$variant => $name,)*
                }
            }

            /// What is done instead of keeping the rule.
            #[must_use]
            pub const fn what_it_does(self) -> &'static str {
                match self {
                    $(Mutant::$variant => $broken,)*
                }
            }
        }
    };
}

mutants! {
    TrustsCache "mutant-trusts-cache" "What the cache holds after a failed sync counts as durable."
    SkipsFolderSync "mutant-skips-folder-sync" "A folder whose names changed is not synced."
    PublishesUnsynced "mutant-publishes-unsynced" "A file gets its final name before its contents are synced."
    CountsUnsyncedFrame "mutant-counts-unsynced-frame" "A frame counts as durable when it is written."
    CountsUnsyncedBallot "mutant-counts-unsynced-ballot" "A ballot counts as durable when it is written."
    WritesOneBallotCopy "mutant-writes-one-ballot-copy" "Only one copy of the ballot is written."
    SkipsCountingStarts "mutant-skips-counting-starts" "A start is not counted on the disk before the first message."
    KeepsStaleCompletion "mutant-keeps-stale-completion" "A sync that began before a cut counts for what replaced what was cut."
    ForgetsMark "mutant-forgets-mark" "What lies below the mark may be taken for never written, and cut."
    KeepsHiddenGeneration "mutant-keeps-hidden-generation" "A segment that a newer generation hides still counts."
    RepairsByPosition "mutant-repairs-by-position" "A damaged frame is mended by any frame of its place."
    CompactsBeyondSnapshot "mutant-compacts-beyond-snapshot" "The journal drops what is applied, whether or not a snapshot covers it."
    InstallsWithoutHash "mutant-installs-without-hash" "A snapshot's base is compared by its index only."
    ForgetsSessions "mutant-forgets-sessions" "A snapshot holds no sessions."
    ExecutesTwice "mutant-executes-twice" "A command that was journaled twice is executed twice."
    VotesTwice "mutant-votes-twice" "A second vote is given in one epoch."
    VotesBeforeDurable "mutant-votes-before-durable" "A vote is sent before the ballot is durable."
    VotesWithoutJournal "mutant-votes-without-journal" "Nobody asks what a candidate has in its journal."
    TrustsPristine "mutant-trusts-pristine" "A directory that never took part votes for whoever has a history."
    BelievesOldImage "mutant-believes-old-image" "A voter does not listen to what its peers remember of it."
    AdoptsBeforeEpochDurable "mutant-adopts-before-epoch-durable" "A standby takes frames before their epoch is durable."
    AcknowledgesOwnTail "mutant-acknowledges-own-tail" "A standby takes the end of its own journal for the master's."
    CutsForShorterAppend "mutant-cuts-for-shorter-append" "An old message that ends earlier removes what follows."
    CommitsOldEpoch "mutant-commits-old-epoch" "A master commits frames of earlier epochs by themselves."
    CountsOwnUnsynced "mutant-counts-own-unsynced" "A master counts itself for what it has only written."
    CountsUncertain "mutant-counts-uncertain" "A master counts standbys that say that they do not count."
    ReadsWithoutRound "mutant-reads-without-round" "A master answers reads without asking whether it still leads."
    SettlesByHeartbeat "mutant-settles-by-heartbeat" "Any heartbeat of a master settles a doubt."
    SettlesWhenWritten "mutant-settles-when-written" "A doubt is settled by what is written and not yet durable."
    SettlesLostSuffix "mutant-settles-lost-suffix" "A doubt about a frame and what follows is settled by that frame."
    SettlesByMajority "mutant-settles-by-majority" "A doubt is settled by the absence of the frame on a majority."
    RetriesAsNew "mutant-retries-as-new" "A client sends what it has no answer to under new sequences."
    KeepsOldAcknowledgement "mutant-keeps-old-acknowledgement" "What a standby had acknowledged before its restart counts on."
    IgnoresProcessChain "mutant-ignores-process-chain" "A later start counts, whether or not it goes on from the one that is known."
    CountsLearners "mutant-counts-learners" "A learner counts in majorities."
    CountsCommittedList "mutant-counts-committed-list" "A list counts only once it is committed."
    ProposesEarly "mutant-proposes-early" "A list is proposed before a frame of the own epoch is committed."
    ProposesTwoAtOnce "mutant-proposes-two-at-once" "A list is proposed before the one before it is committed."
    ProposesWithoutMajority "mutant-proposes-without-majority" "A list is proposed whose majority is not there."
    PromotesEarly "mutant-promotes-early" "A learner becomes a voter before it has what the master has."
    TellsUncommittedLists "mutant-tells-uncommitted-lists" "Who is removed by a list that is not committed is told so."
    BelievesOldLists "mutant-believes-old-lists" "A voter believes that it was removed by a list older than one that names it."
    TakesAnyIncarnation "mutant-takes-any-incarnation" "Any copy of a directory takes the incarnation that was given to one process."
    CountsAbsenceByOneList "mutant-counts-absence-by-one-list" "Absence is counted as if no neighbouring list had a voter more."
    SettlesInEpochOfDoubt "mutant-settles-in-epoch-of-doubt" "Absence counts of voters that may still acknowledge the frame in its epoch."
}

impl Mutant {
    /// Whether the rule is one of the product's, not one of the simulated client's.
    #[must_use]
    pub fn is_kept_by_the_product(self) -> bool {
        self != Mutant::RetriesAsNew
    }

    /// Whether the simulator is known to notice it. The others wait for a schedule that gets there: they are hunted
    /// only by name.
    #[must_use]
    pub fn is_within_reach(self) -> bool {
        !matches!(
            self,
            Mutant::KeepsHiddenGeneration
                | Mutant::KeepsOldAcknowledgement
                | Mutant::RepairsByPosition
                | Mutant::InstallsWithoutHash
                | Mutant::SettlesLostSuffix
                | Mutant::SettlesInEpochOfDoubt
                // Rules about members of which no simulated story has shown yet what becomes of them.
                | Mutant::ProposesEarly
                | Mutant::ProposesTwoAtOnce
                | Mutant::ProposesWithoutMajority
                | Mutant::PromotesEarly
                | Mutant::TellsUncommittedLists
                | Mutant::BelievesOldLists
                | Mutant::CountsAbsenceByOneList
        )
    }

    /// Whether this rule is broken now.
    #[cfg(not(prevalent_mutants))]
    #[must_use]
    #[inline]
    pub const fn is_active(self) -> bool {
        false
    }

    /// Whether this rule is broken now.
    #[cfg(prevalent_mutants)]
    #[must_use]
    pub fn is_active(self) -> bool {
        // The name is in every program that could break the rule: so it can be looked for.
        active::is(self) && !std::hint::black_box(self.name()).is_empty()
    }

    /// Breaks this rule from now on, in the whole process, and keeps all others; `None` keeps them all.
    #[cfg(prevalent_mutants)]
    pub fn activate(mutant: Option<Mutant>) {
        active::set(mutant);
    }
}

#[cfg(prevalent_mutants)]
mod active {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Mutant;

    static ACTIVE: AtomicU8 = AtomicU8::new(u8::MAX);

    pub(super) fn is(mutant: Mutant) -> bool {
        ACTIVE.load(Ordering::Relaxed) == mutant as u8
    }

    pub(super) fn set(mutant: Option<Mutant>) {
        ACTIVE.store(mutant.map_or(u8::MAX, |mutant| mutant as u8), Ordering::Relaxed);
    }
}
