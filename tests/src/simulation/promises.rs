//! What clients were told, and that it stays true.
//!
//! Everything that a client sees has a place in one order: a write its line in the ledger, a read the length
//! that it saw. Linearizable means: what ended before something else began comes before it in that order.

use std::collections::BTreeMap;

use journal::{Sequence, SessionId};
use prevalent::Reply;

use super::ledger::{Ledger, LedgerRow, Reading};
use super::oracle::Oracle;

/// The length of the ledger that something which begins now must see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Floor(u64);

#[derive(Debug, Default)]
pub(super) struct Promises {
    floor: Floor,
    answers: BTreeMap<(SessionId, Sequence), Vec<u8>>,
    /// How many writes were answered, and reads.
    pub(super) writes: u64,
    pub(super) reads: u64,
}

impl Promises {
    pub(super) fn floor(&self) -> Floor {
        self.floor
    }

    pub(super) fn is_answered(&mut self, session: SessionId, sequence: Sequence, bytes: &[u8]) {
        let before = self.answers.insert((session, sequence), bytes.to_vec());
        assert_eq!(before, None, "{session}, {sequence} was waited for and had been answered");
        self.writes += 1;
    }

    /// A command that was answered before has the same answer for ever, until it is forgotten.
    pub(super) fn is_answered_again(&self, session: SessionId, sequence: Sequence, bytes: &[u8]) {
        let forgotten = matches!(Reply::<Ledger>::read(bytes), Ok(Reply::Forgotten | Reply::TooFar));
        if let (false, Some(known)) = (forgotten, self.answers.get(&(session, sequence))) {
            assert_eq!(known, bytes, "{session}, {sequence} was answered differently before");
        }
    }

    pub(super) fn is_appended(&mut self, oracle: &Oracle, began: Floor, length: u64, line: LedgerRow) {
        let place = usize::try_from(length - 1).expect("a short ledger");
        assert_eq!(oracle.lines.get(place), Some(&line), "a line was acknowledged that nobody has");
        assert!(
            length > began.0,
            "a write that began when the ledger had {} lines became line {length}",
            began.0
        );
        self.floor = self.floor.max(Floor(length));
    }

    pub(super) fn is_read(&mut self, oracle: &Oracle, began: Floor, reading: Reading) {
        let Reading { length, check } = reading;
        assert!(length >= began.0, "a read saw {length} lines; {} were there before it began", began.0);
        let line =
            usize::try_from(length).expect("a short ledger").checked_sub(1).map(|last| oracle.lines[last]);
        assert_eq!(check, line.map_or(0, |line| line.check), "a read saw a ledger that nobody has");
        self.floor = self.floor.max(Floor(length));
        self.reads += 1;
    }
}
