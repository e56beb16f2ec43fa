//! Checks that a type keeps the promises of [`Prevalent`](crate::Prevalent), with generated commands.
//!
//! Responsible for: determinism, rejections that leave the state alone, archives that come back as they
//! were, replays and snapshots that make the same state. Not responsible for: whether the state is the one
//! its author wanted.
//!
//! Nothing can prove that a type is deterministic. What goes wrong in practice is caught: the order of a
//! `HashMap`, a clock, a random source, a field that is not archived.

mod execution;
mod replay;
pub(crate) mod script;
pub(crate) mod sealing;
#[cfg(test)]
pub(crate) mod tally;

use std::fmt;

use crate::{ApplyError, CodecError, CommandRefused, ImageError, Prevalent, Random};

/// Scripts that [`conformance`] runs, each from a seed of its own.
const SEEDS: u64 = 4;
/// Commands in each script: enough for a `HashMap` to grow a few times.
const COMMANDS: usize = 150;

/// What the commands of a conforming type did: a test that wants both kinds asserts on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Commands that changed the state.
    pub outcomes: usize,
    /// Commands that were rejected.
    pub rejections: usize,
}

/// Checks `S` with commands from `generate`.
///
/// ```
/// # use prevalent::rkyv::{Archive, Deserialize, Serialize};
/// # use prevalent::{Moment, Prevalent, Schema};
/// # #[derive(Archive, Serialize, Deserialize, Default)]
/// # #[rkyv(crate = prevalent::rkyv)]
/// # struct Counter { total: u64 }
/// # impl Prevalent for Counter {
/// #     type Command = u64;
/// #     type Outcome = u64;
/// #     type Rejection = ();
/// #     type Query = ();
/// #     type Answer = u64;
/// #     const NAME: &'static str = "counter";
/// #     const SCHEMA: Schema = Schema(1);
/// #     fn execute(&mut self, add: u64, _: &Moment<'_>) -> Result<u64, ()> {
/// #         self.total = self.total.checked_add(add).ok_or(())?;
/// #         Ok(self.total)
/// #     }
/// #     fn answer(&self, _: &()) -> u64 { self.total }
/// # }
/// let coverage = prevalent::testing::conformance::<Counter>(|random| random.next_u64() >> random.below(64));
/// assert!(coverage.outcomes > 0 && coverage.rejections > 0);
/// ```
///
/// # Panics
/// If a promise is broken, with the seed, the command's number and what differed.
pub fn conformance<S: Prevalent>(mut generate: impl FnMut(&mut Random) -> S::Command) -> Coverage {
    let mut coverage = Coverage::default();
    for seed in 1..=SEEDS {
        match check::<S>(seed, COMMANDS, &mut generate) {
            Ok(covered) => {
                coverage.outcomes += covered.outcomes;
                coverage.rejections += covered.rejections;
            }
            Err(broken) => panic!("{} does not conform, with seed {seed}: {broken}", S::NAME),
        }
    }
    coverage
}

/// Checks `S` with `commands` commands from `generate`, which is given random numbers that follow from
/// `seed`: [`conformance`] with the seed of one failure.
///
/// # Errors
/// The first promise that is broken.
pub fn check<S: Prevalent>(
    seed: u64,
    commands: usize,
    generate: &mut dyn FnMut(&mut Random) -> S::Command,
) -> Result<Coverage, Nonconformity> {
    let mut random = Random::seeded(seed);
    let script = script::Script::generate::<S>(&mut random, commands, generate)?;
    let live = execution::execute_twice::<S>(&script)?;
    replay::compare::<S>(&script, &live, &mut random)?;
    Ok(live.coverage())
}

/// A promise that a type breaks. Commands are counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum Nonconformity {
    /// A value of the type cannot be archived.
    #[error("at command {command}, {what} cannot be archived: {source}")]
    NotArchived {
        /// At which command.
        command: usize,
        /// Which value.
        what: What,
        /// Why.
        source: CodecError,
    },
    /// A master would refuse the command.
    #[error("command {command} would be refused before it is journaled: {source}")]
    Refused {
        /// Which command.
        command: usize,
        /// Why.
        source: CommandRefused,
    },
    /// `execute` panicked. A cluster survives that, at the price of rebuilding its state.
    #[error("command {command} panicked: {message}; reject what cannot be done")]
    Panicked {
        /// Which command.
        command: usize,
        /// What the panic said.
        message: String,
    },
    /// Two states that executed the same commands differ.
    #[error(
        "executed twice, command {command} gave two versions of {what} ({difference}); is there a HashMap, a \
         clock, a random source or an address in it?"
    )]
    NotDeterministic {
        /// At which command.
        command: usize,
        /// Which value.
        what: What,
        /// Where they differ.
        difference: Difference,
    },
    /// A rejection changed the state.
    #[error(
        "command {command} was rejected and changed the state all the same ({difference}); check first, then change"
    )]
    RejectionChangedState {
        /// Which command.
        command: usize,
        /// Where the state differs from the one before.
        difference: Difference,
    },
    /// An archive of the state cannot be read back.
    #[error("after command {command}, the state cannot be read back from its archive: {source}")]
    NotReadBack {
        /// After which command.
        command: usize,
        /// Why.
        source: CodecError,
    },
    /// A state that was read back from its archive gives another archive.
    #[error(
        "after command {command}, a state read back from its archive is archived differently ({difference}); is \
         there a HashMap in it, or a field that is not archived?"
    )]
    RoundTrip {
        /// After which command.
        command: usize,
        /// Where the archives differ.
        difference: Difference,
    },
    /// Replaying the journal made something else than executing the commands.
    #[error(
        "replayed from the journal, command {command} gave another {what} than when it was executed ({difference})"
    )]
    ReplayDiffers {
        /// At which command.
        command: usize,
        /// Which value.
        what: What,
        /// Where they differ.
        difference: Difference,
    },
    /// A command that came again was executed again, or answered differently.
    #[error("command {command} came again and got another answer ({difference})")]
    AnsweredDifferently {
        /// Which command.
        command: usize,
        /// Where the answers differ.
        difference: Difference,
    },
    /// The journal cannot be replayed.
    #[error("the journal of these commands cannot be replayed: {source}")]
    NotReplayed {
        /// Why.
        source: ApplyError,
    },
    /// A snapshot cannot be written or read.
    #[error("a snapshot after command {command} cannot be used: {source}")]
    NoSnapshot {
        /// After which command.
        command: usize,
        /// Why.
        source: ImageError,
    },
    /// A snapshot and the journal behind it made something else than the whole journal.
    #[error(
        "a snapshot after command {command}, and the journal behind it, made something else than the whole \
         journal ({difference}); is there a field that is not archived?"
    )]
    SnapshotDiffers {
        /// After which command the snapshot was made.
        command: usize,
        /// Where the ends differ.
        difference: Difference,
    },
}

/// Which of a type's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The state.
    State,
    /// A command.
    Command,
    /// An outcome or a rejection.
    Answer,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::State => "the state",
            What::Command => "the command",
            What::Answer => "the answer",
        })
    }
}

/// Where two archives differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How long both are.
    pub lengths: (usize, usize),
    /// The first byte that is not the same, or the shorter one's end.
    pub first: usize,
}

impl Difference {
    /// `None` if they are the same.
    fn between(one: &[u8], other: &[u8]) -> Option<Difference> {
        if one == other {
            return None;
        }
        let first = one.iter().zip(other).position(|(a, b)| a != b).unwrap_or(one.len().min(other.len()));
        Some(Difference { lengths: (one.len(), other.len()), first })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, other) = self.lengths;
        write!(f, "archives of {one} and {other} bytes, different from byte {} on", self.first)
    }
}
