//! Queries: those that are answered once, and those that are answered whenever their answer changes.

use std::collections::BTreeMap;

use bytes::Bytes;
use position::{Epoch, Index};
use prevalent::{Prevalent, answer_query};
use quorum::ReadToken;
use tokio::sync::{oneshot, watch};

use crate::service::{Answer, Denied};

/// So many reads may wait for their round, and so many watches may be open.
const READS_MAX: usize = 16 * 1024;
const WATCHES_MAX: usize = 4096;

/// Queries that wait for a read index, and queries that are answered again and again.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    next: u64,
    reads: BTreeMap<ReadToken, Waiting>,
    open: Vec<Watch>,
}

#[derive(Debug)]
enum Waiting {
    Read { query: Bytes, reply: oneshot::Sender<Result<Answer, Denied>> },
    Watch(Watch),
}

#[derive(Debug)]
struct Watch {
    query: Bytes,
    changes: watch::Sender<Option<Answer>>,
}

impl Watches {
    /// A query to be answered once a read index has passed. `None`: there is no room, and the client knows.
    pub(crate) fn read(
        &mut self,
        query: Bytes,
        reply: oneshot::Sender<Result<Answer, Denied>>,
    ) -> Option<ReadToken> {
        if self.reads.len() >= READS_MAX {
            // Closed: the client has gone, and needs no answer.
            let _gone = reply.send(Err(Denied::Busy));
            return None;
        }
        Some(self.wait(Waiting::Read { query, reply }))
    }

    /// A query to be answered after a read index, and at every change from then on.
    pub(crate) fn watch(
        &mut self,
        query: Bytes,
        changes: watch::Sender<Option<Answer>>,
    ) -> Option<ReadToken> {
        self.open.retain(|watch| !watch.changes.is_closed());
        // Without room the sender is dropped, which sends the client to ask again.
        (self.open.len() < WATCHES_MAX && self.reads.len() < READS_MAX)
            .then(|| self.wait(Waiting::Watch(Watch { query, changes })))
    }

    fn wait(&mut self, waiting: Waiting) -> ReadToken {
        self.next += 1;
        let token = ReadToken(self.next);
        self.reads.insert(token, waiting);
        token
    }

    /// This voter does not lead: the client asks another.
    pub(crate) fn deny(&mut self, token: ReadToken) {
        if let Some(Waiting::Read { reply, .. }) = self.reads.remove(&token) {
            let _gone = reply.send(Err(Denied::NotMaster));
        }
    }

    /// The mastership ended.
    pub(crate) fn dismiss(&mut self) {
        let tokens: Vec<ReadToken> = self.reads.keys().copied().collect();
        tokens.into_iter().for_each(|token| self.deny(token));
        self.open.clear();
    }

    /// The read index has passed: the state answers now.
    pub(crate) fn release<S: Prevalent>(&mut self, token: ReadToken, state: &S, epoch: Epoch, index: Index) {
        match self.reads.remove(&token) {
            Some(Waiting::Read { query, reply }) => {
                let _gone = reply.send(answer(state, &query, epoch, index));
            }
            Some(Waiting::Watch(watch)) => {
                watch.renew(state, epoch, index);
                self.open.push(watch);
            }
            None => {}
        }
    }

    /// The state has changed.
    pub(crate) fn renew<S: Prevalent>(&mut self, state: &S, epoch: Epoch, index: Index) {
        self.open.retain(|watch| !watch.changes.is_closed());
        for watch in &self.open {
            watch.renew(state, epoch, index);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

impl Watch {
    /// Tells the client if the answer is another than before.
    fn renew<S: Prevalent>(&self, state: &S, epoch: Epoch, index: Index) {
        match answer(state, &self.query, epoch, index) {
            Ok(answer) => {
                self.changes.send_if_modified(|last| {
                    let changed = last.as_ref().is_none_or(|last| last.archive != answer.archive);
                    if changed {
                        *last = Some(answer);
                    }
                    changed
                });
            }
            Err(denied) => tracing::warn!(?denied, "a watched query cannot be answered"),
        }
    }
}

fn answer<S: Prevalent>(state: &S, query: &[u8], epoch: Epoch, index: Index) -> Result<Answer, Denied> {
    let mut archive = Vec::new();
    match answer_query(state, query, &mut archive) {
        Ok(()) => Ok(Answer { epoch, index, archive: archive.into() }),
        Err(error) => Err(Denied::Refused(error.to_string())),
    }
}
