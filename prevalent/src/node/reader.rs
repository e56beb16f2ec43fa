//! Who waits for a read index, or for what becomes of a change of the members.

use std::collections::BTreeMap;

use quorum::{ChangeToken, ReadToken};

/// Those who wait, in the order in which they came. A token is never given twice.
#[derive(Debug)]
pub(crate) struct Readers<R> {
    tokens: u64,
    reads: BTreeMap<ReadToken, R>,
    changes: BTreeMap<ChangeToken, R>,
}

impl<R> Default for Readers<R> {
    fn default() -> Readers<R> {
        Readers { tokens: 0, reads: BTreeMap::new(), changes: BTreeMap::new() }
    }
}

impl<R> Readers<R> {
    pub(crate) fn admit_read(&mut self, who: R) -> ReadToken {
        self.tokens += 1;
        let token = ReadToken(self.tokens);
        self.reads.insert(token, who);
        token
    }

    pub(crate) fn admit_change(&mut self, who: R) -> ChangeToken {
        self.tokens += 1;
        let token = ChangeToken(self.tokens);
        self.changes.insert(token, who);
        token
    }

    /// Who waits for this read; nobody any more after that.
    pub(crate) fn read(&mut self, token: ReadToken) -> Option<R> {
        self.reads.remove(&token)
    }

    /// Who waits for this change; nobody any more after that.
    pub(crate) fn change(&mut self, token: ChangeToken) -> Option<R> {
        self.changes.remove(&token)
    }

    /// Takes out whoever still waits.
    pub(crate) fn dismiss(&mut self) -> impl Iterator<Item = R> + use<R> {
        let reads = std::mem::take(&mut self.reads).into_values();
        reads.chain(std::mem::take(&mut self.changes).into_values())
    }
}
