//! Finding the master and keeping it found.
//!
//! Responsible for: a connection to every voter, at all times, and knowing which of them is master. Not
//! responsible for: what is sent over the connections.
//!
//! Each voter pushes the cluster as it sees it. A voter is taken for master when its own push says so,
//! in the highest epoch of those that say so: that is one message after it was elected, over a connection
//! that is already there. What the others say of it only makes this end try harder to reach it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use position::{Epoch, MemberId};
use quinn::Connection;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::VoterConnection;
use super::member_file::MemberFile;
use crate::backoff::Backoff;
use crate::conversation::{ClusterView, PUSHED, Push};
use crate::endpoint::{ALIVE_EVERY, Closed, Endpoint, Protocol, SILENT_AFTER, close};
use crate::wire::MessageReader;

/// One attempt to connect takes at most this long. QUIC itself repeats lost packets within it.
const DIAL_WITHIN: Duration = Duration::from_millis(500);
/// Voters that are connected to: as many as a cluster may have, and those configured.
const VOTERS_MAX: usize = 32;
const EVENTS_MAX: usize = 64;

/// What a client knows of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The newest view of the cluster that any connected voter has.
    pub view: ClusterView,
    /// Each known address of a voter, and how it is.
    pub voters: BTreeMap<SocketAddr, Reached>,
    /// The master, if it is connected.
    pub(crate) master: Option<Master>,
}

/// Whether a voter is connected.
#[derive(Clone, Debug)]
pub enum Reached {
    /// Not yet.
    Connecting,
    /// Yes.
    Connected {
        /// Who answered there.
        voter: MemberId,
        /// What it says of the cluster.
        view: ClusterView,
        /// The connection.
        connection: VoterConnection,
    },
    /// The last attempt failed, or the connection was lost; more attempts follow.
    Unreachable {
        /// For people.
        reason: String,
    },
}

/// A voter that says that it is master.
#[derive(Clone, Debug)]
pub(crate) struct Master {
    pub(crate) epoch: Epoch,
    pub(crate) address: SocketAddr,
    pub(crate) connection: VoterConnection,
}

impl Master {
    /// Tells connections apart.
    pub(crate) fn id(&self) -> usize {
        self.connection.0.stable_id()
    }
}

impl Standing {
    /// Whether the master is connected.
    #[must_use]
    pub fn has_master(&self) -> bool {
        self.master.is_some()
    }

    /// Each address and what came of it, for an error message.
    #[must_use]
    pub fn tried(&self) -> String {
        let mut text = String::new();
        for (address, reached) in &self.voters {
            let separator = if text.is_empty() { "" } else { ", " };
            let leads = self.master.as_ref().is_some_and(|master| master.address == *address);
            let result = match reached {
                Reached::Connecting => write!(text, "{separator}{address} (no answer yet)"),
                Reached::Connected { voter, .. } if leads => {
                    write!(text, "{separator}{address} (voter {voter}, master)")
                }
                Reached::Connected { voter, .. } => {
                    write!(text, "{separator}{address} (voter {voter}, not master)")
                }
                Reached::Unreachable { reason } => write!(text, "{separator}{address} ({reason})"),
            };
            result.expect("writing to a string does not fail");
        }
        text
    }

    /// Draws the conclusions from what the voters say.
    fn conclude(&mut self) {
        let mut newest: Option<&ClusterView> = None;
        self.master = None;
        for (address, reached) in &self.voters {
            let Reached::Connected { voter, view, connection } = reached else { continue };
            // A voter that has lost its journal does not know the members before a master has sent it theirs.
            let rank = |view: &ClusterView| (view.epoch, view.master, !view.members.is_empty());
            if newest.is_none_or(|newest| rank(view) > rank(newest)) {
                newest = Some(view);
            }
            let says_so = view.master == Some(*voter);
            if says_so && self.master.as_ref().is_none_or(|master| view.epoch > master.epoch) {
                self.master =
                    Some(Master { epoch: view.epoch, address: *address, connection: connection.clone() });
            }
        }
        // With nobody connected, the last view is the best there is.
        if let Some(newest) = newest {
            let known = std::mem::replace(&mut self.view, newest.clone());
            if newest.members.is_empty() {
                self.view.members = known.members;
            }
        }
    }
}

/// Starts to connect to all voters, until `stop`.
pub(crate) fn start(
    endpoint: Endpoint,
    addresses: &[SocketAddr],
    file: Option<MemberFile>,
    stop: CancellationToken,
) -> watch::Receiver<Standing> {
    let (publish, standing) = watch::channel(Standing::default());
    let (events_to, events) = mpsc::channel(EVENTS_MAX);
    let mut reach =
        Reach { endpoint, publish, events_to, links: BTreeMap::new(), tasks: JoinSet::new(), file };
    for address in addresses {
        reach.add(*address);
    }
    tokio::spawn(async move { stop.run_until_cancelled(reach.run(events)).await });
    standing
}

struct Reach {
    endpoint: Endpoint,
    publish: watch::Sender<Standing>,
    events_to: mpsc::Sender<Event>,
    /// Ends the back-off of the task that connects to an address.
    links: BTreeMap<SocketAddr, Arc<Notify>>,
    tasks: JoinSet<()>,
    file: Option<MemberFile>,
}

/// What happened at one address.
struct Event {
    address: SocketAddr,
    reached: Reached,
}

impl Reach {
    async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        if let Some(file) = &self.file {
            for address in file.read().await {
                self.add(address);
            }
        }
        while let Some(Event { address, reached }) = events.recv().await {
            if let Reached::Connected { view, .. } = &reached {
                let view = view.clone();
                self.learn(&view).await;
            }
            self.publish.send_modify(|standing| {
                standing.voters.insert(address, reached);
                standing.conclude();
            });
        }
    }

    /// Learns where the members are, and who is said to be master.
    async fn learn(&mut self, view: &ClusterView) {
        for member in &view.members {
            self.add(member.address);
            if view.master == Some(member.id)
                && let Some(link) = self.links.get(&member.address)
            {
                link.notify_one();
            }
        }
        if let Some(file) = &mut self.file {
            file.write(&view.members).await;
        }
    }

    fn add(&mut self, address: SocketAddr) {
        if self.links.contains_key(&address) || self.links.len() >= VOTERS_MAX {
            return;
        }
        let wake = Arc::new(Notify::new());
        self.links.insert(address, Arc::clone(&wake));
        self.publish.send_modify(|standing| {
            standing.voters.insert(address, Reached::Connecting);
        });
        let link =
            VoterLink { endpoint: self.endpoint.clone(), address, wake, events: self.events_to.clone() };
        self.tasks.spawn(link.run());
    }
}

/// Keeps one address connected.
struct VoterLink {
    endpoint: Endpoint,
    address: SocketAddr,
    wake: Arc<Notify>,
    events: mpsc::Sender<Event>,
}

impl VoterLink {
    async fn run(self) {
        let mut backoff = Backoff::new();
        loop {
            let reason = match self.endpoint.dial(self.address, None, Protocol::Client, DIAL_WITHIN).await {
                Ok(link) => {
                    backoff.reset();
                    self.hold(&link.connection).await
                }
                Err(error) => error.to_string(),
            };
            if self.tell(Reached::Unreachable { reason }).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Passes on what the voter pushes, until the connection is lost; returns why it was.
    async fn hold(&self, connection: &Connection) -> String {
        let leads = AtomicBool::new(false);
        let held = tokio::select! {
            held = self.listen(connection, &leads) => held,
            () = attend(connection, &leads) => {
                close(connection, Closed::Silent);
                Err(format!("nothing heard for {} ms", SILENT_AFTER.as_millis()))
            }
        };
        close(connection, Closed::Done);
        held.err().unwrap_or_else(|| "the voter has closed the connection".to_owned())
    }

    async fn listen(&self, connection: &Connection, leads: &AtomicBool) -> Result<(), String> {
        let stream = connection.accept_uni().await.map_err(|error| error.to_string())?;
        let mut reader = MessageReader::new(stream, PUSHED);
        let mut greeted = None;
        while let Some((push, _)) = reader.next::<Push>().await.map_err(|error| error.to_string())? {
            match push {
                Push::Greeting { voter, .. } => greeted = Some(voter),
                Push::Cluster(view) => {
                    let voter = greeted.ok_or("the voter did not say who it is")?;
                    leads.store(view.master == Some(voter), Ordering::Relaxed);
                    let connection = VoterConnection(connection.clone());
                    let told = self.tell(Reached::Connected { voter, view, connection }).await;
                    told.map_err(|_closed| "the client was closed")?;
                }
            }
        }
        Ok(())
    }

    async fn tell(&self, reached: Reached) -> Result<(), mpsc::error::SendError<Event>> {
        self.events.send(Event { address: self.address, reached }).await
    }
}

/// Makes itself heard at the master, and returns when it gets no sign of life in return. QUIC would notice only
/// after its idle time, which is long for the sake of the voters that are not master.
pub(crate) async fn attend(connection: &Connection, leads: &AtomicBool) {
    let mut ticks = tokio::time::interval(ALIVE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = 0;
    let mut sent = 0;
    let mut unanswered_since: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let stats = connection.stats();
        if stats.udp_rx.datagrams != heard {
            (heard, sent) = (stats.udp_rx.datagrams, stats.udp_tx.datagrams);
            unanswered_since = None;
        } else if stats.udp_tx.datagrams != sent && unanswered_since.is_none() {
            unanswered_since = Some(Instant::now());
        }
        if unanswered_since.is_some_and(|since| since.elapsed() >= SILENT_AFTER) {
            return;
        }
        if leads.load(Ordering::Relaxed) {
            // It carries nothing: what counts is that QUIC acknowledges it. Lost or refused, the next
            // one does as well.
            drop(connection.send_datagram(Bytes::from_static(&[0])));
        }
    }
}
