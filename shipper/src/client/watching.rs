//! The answer to a query, as it changes.
//!
//! Responsible for: asking the next master when one is lost, and never showing an older answer after a
//! newer one. Not responsible for: finding the master (`reach`).

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use position::{Epoch, Index};
use prevalent::Prevalent;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Client, ClientError};
use crate::backoff::Backoff;
use crate::conversation::{Answered, Ask};

/// An answer, and when it was true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update<A> {
    /// The epoch of the master that gave it. A node obeys none that is older than one it has seen.
    pub epoch: Epoch,
    /// What was applied.
    pub index: Index,
    /// The answer.
    pub answer: A,
}

/// Follows the answer to one query. Dropping it ends that.
pub struct Watch<S> {
    latest: watch::Receiver<Latest>,
    task: JoinHandle<()>,
    state: PhantomData<fn(S)>,
}

#[derive(Clone, Debug)]
enum Latest {
    Nothing,
    Answer { epoch: Epoch, index: Index, archive: Bytes },
    Refused { reason: String },
}

impl<S: Prevalent> Watch<S> {
    pub(crate) fn start(client: Client<S>, query: Bytes) -> Watch<S> {
        let (publish, latest) = watch::channel(Latest::Nothing);
        let task = tokio::spawn(follow(client, query, publish));
        Watch { latest, task, state: PhantomData }
    }

    /// The next answer: the latest, if several came since the last call. Waits for as long as it takes,
    /// over every change of master.
    ///
    /// May be dropped at any time without losing the latest answer.
    ///
    /// # Errors
    /// If the query is not allowed, or its answer cannot be read; also if the client's runtime stops.
    pub async fn next(&mut self) -> Result<Update<S::Answer>, ClientError> {
        if self.latest.changed().await.is_err() {
            // What was published last says why there is nothing more, if anybody knows.
            return match &*self.latest.borrow() {
                Latest::Refused { reason } => Err(ClientError::Refused { reason: reason.clone() }),
                Latest::Nothing | Latest::Answer { .. } => Err(ClientError::Closed),
            };
        }
        let latest = self.latest.borrow_and_update().clone();
        match latest {
            Latest::Answer { epoch, index, archive } => {
                Ok(Update { epoch, index, answer: prevalent::decode::<S::Answer>(&archive)? })
            }
            Latest::Refused { reason } => Err(ClientError::Refused { reason }),
            Latest::Nothing => unreachable!("nothing is never published"),
        }
    }
}

impl<S> Drop for Watch<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<S> fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("latest", &*self.latest.borrow()).finish_non_exhaustive()
    }
}

/// Asks one master after the other.
async fn follow<S: Prevalent>(client: Client<S>, query: Bytes, publish: watch::Sender<Latest>) {
    let mut standing = client.standings();
    let mut backoff = Backoff::new();
    loop {
        let Ok(found) =
            standing.wait_for(|standing| standing.master.is_some()).await.map(|found| found.master.clone())
        else {
            return;
        };
        let master = found.expect("it was waited for");
        if let Ok((mut reader, _writer)) = master.connection.open(Ask::Watch, query.clone()).await {
            loop {
                // A new master is asked at once, even while the old one still thinks that it is one.
                let message = tokio::select! {
                    message = reader.next::<Answered>() => message,
                    () = replaced(&mut standing, master.id()) => break,
                };
                match message {
                    Ok(Some((Answered::Answer { epoch, index }, archive))) => {
                        backoff.reset();
                        publish.send_if_modified(|latest| advance(latest, epoch, index, archive));
                    }
                    Ok(Some((Answered::Refused { reason }, _))) => {
                        publish.send_replace(Latest::Refused { reason });
                        return;
                    }
                    Ok(_) | Err(_) => break,
                }
            }
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Returns once another connection is the master's.
async fn replaced(standing: &mut watch::Receiver<super::Standing>, connection: usize) {
    let is_another =
        |standing: &super::Standing| standing.master.as_ref().is_some_and(|master| master.id() != connection);
    if standing.wait_for(is_another).await.is_err() {
        // The client is closed; its connections end by themselves.
        std::future::pending().await
    }
}

/// Takes an answer over, unless it is older than the latest, or the same again.
fn advance(latest: &mut Latest, epoch: Epoch, index: Index, archive: Bytes) -> bool {
    let is_newer = match latest {
        Latest::Answer { epoch: seen_epoch, index: seen_index, .. } => {
            (epoch, index) > (*seen_epoch, *seen_index) && index >= *seen_index
        }
        Latest::Nothing | Latest::Refused { .. } => true,
    };
    if is_newer {
        *latest = Latest::Answer { epoch, index, archive };
    }
    is_newer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_never_replaced_by_an_older_one() {
        let mut latest = Latest::Nothing;
        let mut check = |epoch, index, taken| {
            let advanced = advance(&mut latest, Epoch(epoch), Index(index), Bytes::new());
            assert_eq!(advanced, taken, "epoch {epoch}, index {index}");
        };
        check(3, 10, true);
        check(3, 10, false);
        check(3, 9, false);
        check(2, 11, false);
        check(3, 11, true);
        // A new master that has not yet applied everything.
        check(4, 10, false);
        check(4, 11, true);
        check(4, 12, true);
    }
}
