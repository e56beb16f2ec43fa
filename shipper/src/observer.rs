//! A live copy of the whole state, for programs that look at much of it.
//!
//! Responsible for: following the committed frames of whichever voter is master, verifying every one of
//! them, and applying them to a copy. Not responsible for: changing anything; a [`Client`](crate::Client)
//! does. An observer is no voter: it counts nowhere.
//!
//! It keeps the newest snapshot that it was sent, and where the members are, in a folder of its own, and
//! starts from there the next time. What it cannot apply, because a newer program wrote it, it does not
//! pass over: it stops, keeps its picture, and says so.

mod copy;
mod lines;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use position::Tip;
use prevalent::{LoadError, Prevalent};
use storage::{Disk, DiskError};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::backoff::Backoff;
use crate::certificate::CertificateError;
use crate::client::member_file::MemberFile;
use crate::client::reach::{self, Standing, attend};
use crate::client::{PAST_WITHIN, VoterConnection};
use crate::conversation::{Answered, Ask, PastAt};
use crate::credentials::Credentials;
use crate::endpoint::{Closed, Endpoint, EndpointError, Protocol, close};
use crate::past::{Past, PastError};
use crate::wire::MessageReader;
use copy::{Copy, Flaw};
pub use lines::{Lines, NextLine};

/// A voter that is connected over another connection already answers within this.
const DIAL_WITHIN: Duration = Duration::from_secs(1);

/// What an observer needs to know.
#[derive(Clone, Debug)]
pub struct ObserverOptions {
    /// Voters, any of them.
    pub addresses: Vec<SocketAddr>,
    /// The folder with `ca.pem`, `certificate.pem` and `key.pem`.
    pub identity: PathBuf,
    /// Where it keeps snapshots and the members' addresses; created if need be. No other process may use it.
    pub folder: PathBuf,
}

/// An observer could not start.
#[derive(Debug, thiserror::Error)]
pub enum ObserverError {
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// There is no socket.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The folder cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The folder holds something else.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The runtime is shutting down.
    #[error("cannot start an observer: {0}")]
    Runtime(#[from] io::Error),
}

/// How far an observer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The end of what was applied.
    pub applied: Tip,
    /// When the master wrote it, in nanoseconds since 1970.
    pub wall_time: i64,
    /// Whether more is expected.
    pub condition: Condition,
}

/// Whether an observer's picture is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is no master, or no connection with it: the picture may be old.
    Searching,
    /// The master sends what is committed as it happens.
    Following {
        /// The master's address.
        address: SocketAddr,
    },
    /// The picture stays as it is.
    Stopped {
        /// For people.
        reason: String,
    },
}

/// A live copy of a cluster's state. Dropping it ends the following.
pub struct Observer<S> {
    copy: Arc<Copy<S>>,
    progress: watch::Receiver<Progress>,
    standing: watch::Receiver<Standing>,
    endpoint: Endpoint,
    _stop: DropGuard,
}

impl<S: Prevalent> Observer<S> {
    /// Loads the snapshot of the last time, if there is one, and starts to follow.
    ///
    /// # Errors
    /// If the certificate, the socket or the folder cannot be used.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start(options: ObserverOptions) -> Result<Observer<S>, ObserverError> {
        let ObserverOptions { addresses, identity, folder } = options;
        let credentials = Credentials::load(&identity)?;
        let cluster = credentials.cluster();
        let endpoint = Endpoint::dial_only(credentials)?;
        let members = MemberFile::new(folder.join("members"));
        let loading = tokio::task::spawn_blocking(move || {
            let disk = Disk::open(folder)?;
            Ok::<_, ObserverError>(Copy::<S>::load(disk, cluster)?)
        });
        let copy = Arc::new(loading.await.map_err(io::Error::other)??);
        let stop = CancellationToken::new();
        let standing = reach::start(endpoint.clone(), &addresses, Some(members), stop.clone());
        let (publish, progress) = watch::channel(copy.progress(Condition::Searching));
        let follower = Follower {
            copy: Arc::clone(&copy),
            endpoint: endpoint.clone(),
            standing: standing.clone(),
            publish,
        };
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(follower.run()).await });
        Ok(Observer { copy, progress, standing, endpoint, _stop: stop.drop_guard() })
    }

    /// Looks at the state. It stands still meanwhile, so do not wait for anything in `look`.
    pub fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        self.copy.read(look)
    }

    /// How far the copy is, and each change of it.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// What is executed from now on, as it is applied here. Whoever is too slow misses some, and is told how
    /// many; after a snapshot or a rebuild there is a gap that nothing tells of.
    #[must_use]
    pub fn lines(&self) -> Lines<S> {
        Lines::new(self.copy.lines())
    }

    /// The state at a moment of the past; see [`Client::past`](crate::Client::past).
    ///
    /// # Errors
    /// If no voter keeps that moment, or none answers.
    pub async fn past(&self, at: PastAt, lines_max: usize) -> Result<Past<S>, PastError> {
        let standing = self.standing.borrow().clone();
        Past::fetch(&self.endpoint, &standing, at, lines_max, PAST_WITHIN).await
    }

    /// What is known of the cluster, and each change of it.
    #[must_use]
    pub fn standings(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }
}

struct Follower<S> {
    copy: Arc<Copy<S>>,
    endpoint: Endpoint,
    standing: watch::Receiver<Standing>,
    publish: watch::Sender<Progress>,
}

/// Why one voter is not followed any longer.
enum Ended {
    /// Another one will do, or the same one later.
    Lost,
    Stopped {
        reason: String,
    },
}

impl<S: Prevalent> Follower<S> {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let Some(address) = self.master().await else { return };
            let before = self.copy.applied();
            match self.follow(address).await {
                Ended::Stopped { reason } => {
                    tracing::warn!(reason, "the state is not followed any longer");
                    self.publish.send_replace(self.copy.progress(Condition::Stopped { reason }));
                    return;
                }
                Ended::Lost => {
                    self.publish.send_replace(self.copy.progress(Condition::Searching));
                }
            }
            if self.copy.applied() != before {
                backoff.reset();
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Waits for a master; `None` when the observer is dropped.
    async fn master(&mut self) -> Option<SocketAddr> {
        let found = self.standing.wait_for(|standing| standing.master.is_some()).await.ok()?;
        found.master.as_ref().map(|master| master.address)
    }

    /// Follows the voter at `address` for as long as it is master. The connection is one of its own: a
    /// snapshot on it delays nobody's commands.
    async fn follow(&mut self, address: SocketAddr) -> Ended {
        let Ok(link) = self.endpoint.dial(address, None, Protocol::Client, DIAL_WITHIN).await else {
            return Ended::Lost;
        };
        let connection = link.connection.clone();
        let after = self.copy.applied();
        let ended = match VoterConnection(link.connection).open(Ask::Follow { after }, Bytes::new()).await {
            Ok((reader, _writer)) => {
                self.publish.send_replace(self.copy.progress(Condition::Following { address }));
                let mut standing = self.standing.clone();
                let replaced = async {
                    let is_another = |standing: &Standing| {
                        standing.master.as_ref().is_none_or(|master| master.address != address)
                    };
                    // Closed: this is about to be cancelled.
                    drop(standing.wait_for(is_another).await);
                };
                let leads = AtomicBool::new(true);
                tokio::select! {
                    ended = self.take_in(address, reader) => ended,
                    () = replaced => Ended::Lost,
                    () = attend(&connection, &leads) => Ended::Lost,
                }
            }
            Err(_gone) => Ended::Lost,
        };
        close(&connection, Closed::Done);
        ended
    }

    async fn take_in(&self, address: SocketAddr, mut reader: MessageReader) -> Ended {
        loop {
            let taken = match reader.next::<Answered>().await {
                Ok(Some((Answered::Frames { .. }, frames))) => {
                    self.work(move |copy| copy.apply(&frames)).await
                }
                Ok(Some((Answered::Snapshot { bytes, base }, _))) => {
                    self.receive(&mut reader, base, bytes).await
                }
                Ok(Some((Answered::Refused { reason }, _))) => return Ended::Stopped { reason },
                Ok(_) | Err(_) => return Ended::Lost,
            };
            match taken {
                Ok(()) => {
                    self.publish.send_replace(self.copy.progress(Condition::Following { address }));
                }
                Err(flaw) if flaw.is_final() => return Ended::Stopped { reason: flaw.to_string() },
                Err(flaw) => {
                    tracing::warn!(%address, %flaw, "what a voter sent could not be used; asking again");
                    return Ended::Lost;
                }
            }
        }
    }

    async fn receive(&self, reader: &mut MessageReader, base: Tip, bytes: u64) -> Result<(), Flaw> {
        let mut incoming = self.work(move |copy| copy.begin(base, bytes)).await?;
        while !incoming.is_complete() {
            let Ok(Some((Answered::Piece, piece))) = reader.next::<Answered>().await else {
                return Err(Flaw::Interrupted);
            };
            incoming = self
                .work(move |_copy| {
                    let offset = incoming.received();
                    incoming.write(offset, &piece)?;
                    Ok(incoming)
                })
                .await?;
        }
        self.work(move |copy| copy.install(incoming)).await
    }

    /// Does what may take long, or wait for a disk, where nobody waits for it.
    async fn work<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Copy<S>) -> Result<R, Flaw> + Send + 'static,
    ) -> Result<R, Flaw> {
        let copy = Arc::clone(&self.copy);
        match tokio::task::spawn_blocking(move || work(&copy)).await {
            Ok(result) => result,
            Err(error) => Err(Flaw::Panicked(error)),
        }
    }
}
