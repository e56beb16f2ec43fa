//! Links between voters.
//!
//! Responsible for: getting messages to another voter, and handing what others send to the engine's loop.
//! Not responsible for: what is sent when, and whether it arrives: the protocol repeats what matters.
//!
//! Each voter dials every other one and speaks over the connection that it dialed; what it hears comes
//! over those it accepted. So a link that works in one direction only is just that, and no two dialers
//! have to agree on whose connection stays. On a connection:
//!
//! | way | carries |
//! |---|---|
//! | datagrams | heartbeats and acknowledgements: newer ones replace lost ones |
//! | control stream | everything else that is small |
//! | journal stream | frames, with lower priority |
//! | a connection of its own | snapshots, so that no heartbeat waits behind one |

mod link;
pub(crate) mod packet;
mod receive;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use position::MemberId;
use quinn::Connection;
use quorum::{Envelope, Message};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::conversation::ClusterView;
use crate::endpoint::{Closed, Endpoint, Link, Protocol, close};
use crate::identity::Holder;
use crate::peer::link::{Lanes, Packet};

/// What the engine's loop hears of other voters.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are messages: a box would be one allocation more for each"
)]
pub(crate) enum FromPeer {
    /// A connection to this voter was opened: time to greet it.
    Linked(MemberId),
    /// A message, whose sender is who its certificate says.
    Message { envelope: Envelope, payload: Bytes },
}

/// So many messages of other voters may wait for the loop; whoever sends more waits in turn.
pub(crate) const PEER_INBOX_MAX: usize = 1024;

/// The links to all other voters.
pub(crate) struct Peers {
    me: MemberId,
    endpoint: Endpoint,
    inbox: mpsc::Sender<FromPeer>,
    routes: Arc<Routes>,
    dialers: BTreeMap<Target, CancellationToken>,
    /// Where voters may be, by the configuration.
    fallback: Vec<SocketAddr>,
}

/// What other voters' connections bring.
pub(crate) struct Ears {
    inbox: mpsc::Sender<FromPeer>,
    accepted: Mutex<BTreeMap<(MemberId, Protocol), Connection>>,
}

/// Whom a link goes to: a voter that the journal names, or whichever answers at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) id: Option<MemberId>,
    pub(crate) address: SocketAddr,
}

/// Over which lanes each voter is reached.
#[derive(Debug, Default)]
pub(crate) struct Routes(Mutex<BTreeMap<MemberId, Lanes>>);

impl Routes {
    /// One more way, which is taken if there is none yet.
    fn add(&self, id: MemberId, lanes: Lanes) {
        self.lock().entry(id).or_insert(lanes);
    }

    /// The way that works.
    pub(crate) fn insert(&self, id: MemberId, lanes: Lanes) {
        self.lock().insert(id, lanes);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MemberId, Lanes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peers {
    /// Links of the voter `me`. Nothing is dialed before [`Peers::set_members`].
    pub(crate) fn new(
        me: MemberId,
        endpoint: Endpoint,
        fallback: Vec<SocketAddr>,
        inbox: mpsc::Sender<FromPeer>,
    ) -> Peers {
        Peers { me, endpoint, inbox, routes: Arc::default(), dialers: BTreeMap::new(), fallback }
    }

    /// Dials those voters that are new, and gives up those that are gone. `stated`: where voters say that they are, be
    /// they listed or not. An address is only a hint: whoever answers there proves who it is.
    pub(crate) fn set_members(&mut self, view: &ClusterView, stated: &[(MemberId, SocketAddr)]) {
        let listed = view.members.iter().map(|member| (member.id, member.address));
        let named: BTreeSet<(MemberId, SocketAddr)> = listed.chain(stated.iter().copied()).collect();
        // The operator's word where the journal has none: of a PC that is new, or of a network that was renumbered.
        let known: BTreeSet<SocketAddr> = named.iter().map(|(_, address)| *address).collect();
        let unknown = self.fallback.iter().filter(|address| !known.contains(address));
        let unknown = unknown.map(|&address| Target { id: None, address });
        let others = named.iter().filter(|(id, _)| *id != self.me);
        let others = others.map(|&(id, address)| Target { id: Some(id), address });
        let targets: Vec<Target> = others.chain(unknown).collect();
        self.dialers.retain(|target, dialer| {
            let stays = targets.contains(target);
            if !stays {
                dialer.cancel();
            }
            stays
        });
        for target in targets {
            let Entry::Vacant(vacant) = self.dialers.entry(target) else { continue };
            let dialer = vacant.insert(CancellationToken::new()).clone();
            let (lanes, link) = link::lanes(target, self.me, self.endpoint.clone(), self.inbox.clone());
            if let Some(id) = target.id {
                self.routes.add(id, lanes.clone());
            }
            let routes = Arc::clone(&self.routes);
            tokio::spawn(async move {
                tokio::select! {
                    () = dialer.cancelled() => {}
                    () = link.keep_up(lanes, routes) => {}
                }
            });
        }
    }

    /// Sends, if the lane has room; a voter that does not read loses messages, and nobody else waits.
    pub(crate) fn send(&self, envelope: Envelope, payload: Vec<Bytes>) {
        let routes = self.routes.lock();
        let Some(lanes) = routes.get(&envelope.to.id) else { return };
        let lossy = matches!(envelope.message, Message::Heartbeat { .. } | Message::AppendAck(_));
        if lossy && lanes.send_datagram(&envelope) {
            return;
        }
        let lane = match envelope.message {
            Message::SnapshotChunk(_) => &lanes.bulk,
            _ if payload.is_empty() => &lanes.control,
            _ => &lanes.journal,
        };
        if let Err(error) = lane.try_send(Packet { envelope, payload }) {
            tracing::debug!(%error, "a message to another voter was dropped");
        }
    }
}

impl Ears {
    pub(crate) fn new(inbox: mpsc::Sender<FromPeer>) -> Ears {
        Ears { inbox, accepted: Mutex::default() }
    }

    /// Hears what a connection brings that another voter has opened. A newer one takes an older one's place.
    pub(crate) fn accept(&self, link: Link) {
        let Holder::Voter(from) = link.identity.holder else {
            return close(&link.connection, Closed::Stranger);
        };
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(older) = accepted.insert((from, link.protocol), link.connection.clone()) {
            close(&older, Closed::Done);
        }
        drop(accepted);
        tokio::spawn(receive::receive(from, link.connection, self.inbox.clone()));
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.dialers.values().for_each(CancellationToken::cancel);
    }
}

#[cfg(test)]
mod tests;
