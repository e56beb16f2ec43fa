use std::fmt::Debug;
use std::time::Duration;

use journal::Schema;
use position::Index;

use crate::{Actor, Stored};

/// State that survives: plain structs, changed by commands only.
///
/// `execute` must be deterministic: the same commands in the same order make the same state on every
/// machine and after every restart. So it reads no clock, no random source and no file (what it may need
/// of them comes with the [`Moment`]), starts no thread, and iterates no `HashMap`.
pub trait Prevalent: Stored + Default + Sync {
    /// A change.
    type Command: Stored;
    /// What a change that was made answers.
    type Outcome: Stored + Debug;
    /// What a change that was refused answers.
    type Rejection: Stored + Debug;
    /// A question.
    type Query: Stored;
    /// Its answer.
    type Answer: Stored;

    /// The type's name in files: a file of another type is refused. At most 64 bytes.
    const NAME: &'static str;
    /// The version of the type's archives.
    const SCHEMA: Schema;

    /// A fingerprint of the layout of the archives of this type, its commands, outcomes and rejections. A file with
    /// another one is refused, so that a type that was changed without a new schema is noticed at the next start and
    /// not by what it misreads.
    ///
    /// This one sees what [`layout_of_sizes`](crate::layout_of_sizes) can see. A derive could compute an exact one.
    /// Whoever returns another number than before has all existing files refused.
    #[must_use]
    fn layout() -> u64 {
        crate::layout_of_sizes::<Self>()
    }

    /// Makes one change, or refuses it.
    ///
    /// # Errors
    /// A rejection promises that the state is as it was before.
    fn execute(&mut self, command: Self::Command, at: &Moment<'_>) -> Result<Self::Outcome, Self::Rejection>;

    /// Answers a question about the state.
    fn answer(&self, query: &Self::Query) -> Self::Answer;
}

/// When and for whom a command is executed: the same on every machine and in every replay.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The command's number in the journal.
    pub index: Index,
    /// The cluster's clock when the command was journaled: it never goes back, and stands still while
    /// there is no master.
    pub cluster_time: Duration,
    /// The master's wall clock at that time, in nanoseconds since 1970: for people to read. It may jump.
    pub wall_time: i64,
    /// Who sent the command.
    pub actor: &'a Actor,
}

impl Moment<'_> {
    /// A random source of this command's own, the same in every replay. Not for secrets.
    #[must_use]
    pub fn random(&self) -> Random {
        let time =
            u64::try_from(self.cluster_time.as_nanos() & u128::from(u64::MAX)).expect("masked to 64 bits");
        Random { state: self.index.0 ^ time.rotate_left(32) }
    }
}

/// A deterministic sequence of numbers (Steele, Lea and Flood's SplitMix64).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A sequence that starts from `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Random {
        Random { state: seed }
    }

    /// The next number, evenly spread over all 64 bits.
    #[must_use]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// If `bound` is 0.
    #[must_use]
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a random number below 0 was asked for");
        // The high half of a 128-bit product: no division, and a bias below bound / 2^64.
        u64::try_from((u128::from(self.next_u64()) * u128::from(bound)) >> 64).expect("below a 64-bit bound")
    }
}
