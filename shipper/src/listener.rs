//! Lets connections in and hands each to whom it concerns.
//!
//! Until a handshake is complete nobody knows who it is with: whoever can send datagrams can begin as many
//! as it likes, in whatever name. So few are under way at once and none for long; half of the places are
//! for addresses that have proved that they are no others' (by QUIC's Retry, one more round trip, asked of all
//! once the other half is taken), and no such address gets more than a few.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use quinn::Incoming;
use tokio::task::JoinSet;

use crate::endpoint::{Closed, Endpoint, Link, Protocol, close};
use crate::peer::Ears;
use crate::service::Service;

/// Handshakes that are under way at once with addresses that may be anybody's,
const UNPROVED_MAX: usize = 32;
/// with addresses that are proved,
const PROVED_MAX: usize = 32;
/// and with one of those: a PC with a few programs on it.
const PROVED_PER_ADDRESS_MAX: usize = 12;

/// Serves clients, and nobody else, until the endpoint is closed or this is dropped.
pub async fn serve_clients(endpoint: Endpoint, service: Arc<Service>) {
    listen(endpoint, service, None).await;
}

/// Serves clients, and hears other voters, until the endpoint is closed or this is dropped.
pub(crate) async fn listen(endpoint: Endpoint, service: Arc<Service>, ears: Option<Arc<Ears>>) {
    let mut under_way = UnderWay::default();
    let mut handshakes = JoinSet::new();
    let mut served = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.incoming() => {
                let Some(incoming) = incoming else { return };
                if let Some((place, incoming)) = under_way.judge(incoming) {
                    let endpoint = endpoint.clone();
                    handshakes.spawn(async move { (place, endpoint.admit(incoming).await) });
                }
            }
            Some(ended) = handshakes.join_next() => {
                let (place, admitted) = ended.expect("a handshake does not panic");
                under_way.remove(place);
                let Some(link) = admitted else { continue };
                match link.protocol {
                    Protocol::Client => drop(served.spawn(Arc::clone(&service).serve(link))),
                    Protocol::Peer | Protocol::Bulk => hear(ears.as_deref(), link),
                }
            }
            Some(ended) = served.join_next() => ended.expect("serving a client does not panic"),
        }
    }
}

fn hear(ears: Option<&Ears>, link: Link) {
    match ears {
        Some(ears) => ears.accept(link),
        None => close(&link.connection, Closed::Stranger),
    }
}

/// The handshakes that are under way.
#[derive(Debug, Default)]
struct UnderWay {
    unproved: usize,
    proved: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// A handshake's place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Unproved,
    Proved(IpAddr),
}

/// What an attempt to connect gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admittance {
    Admitted(Place),
    /// The other end shall prove its address and come again.
    ToProve,
    /// There is no room, and the other end repeats its attempt anyhow.
    Ignored,
}

impl UnderWay {
    /// Deals with an attempt to connect; returns it if its handshake is to go on.
    fn judge(&mut self, incoming: Incoming) -> Option<(Place, Incoming)> {
        let (address, proved) = (incoming.remote_address().ip(), incoming.remote_address_validated());
        match self.place(address, proved) {
            Admittance::Admitted(place) => return Some((place, incoming)),
            // An error says that it is proved already, which it is not.
            Admittance::ToProve => drop(incoming.retry()),
            Admittance::Ignored => incoming.ignore(),
        }
        None
    }

    fn place(&mut self, address: IpAddr, proved: bool) -> Admittance {
        if !proved {
            if self.unproved == UNPROVED_MAX {
                return Admittance::ToProve;
            }
            // Not counted by its address: anybody could keep another out in this way.
            self.unproved += 1;
            return Admittance::Admitted(Place::Unproved);
        }
        let of_address = self.by_address.get(&address).copied().unwrap_or(0);
        if self.proved == PROVED_MAX || of_address == PROVED_PER_ADDRESS_MAX {
            return Admittance::Ignored;
        }
        self.proved += 1;
        self.by_address.insert(address, of_address + 1);
        Admittance::Admitted(Place::Proved(address))
    }

    fn remove(&mut self, place: Place) {
        let Place::Proved(address) = place else {
            self.unproved -= 1;
            return;
        };
        self.proved -= 1;
        let of_address = self.by_address.get_mut(&address).expect("it was counted");
        *of_address -= 1;
        if *of_address == 0 {
            self.by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[test]
    fn who_proves_its_address_gets_in_whatever_others_pretend() {
        let mut under_way = UnderWay::default();
        for _ in 0..UNPROVED_MAX {
            assert_eq!(under_way.place(address(1), false), Admittance::Admitted(Place::Unproved));
        }
        assert_eq!(under_way.place(address(1), false), Admittance::ToProve);
        assert_eq!(under_way.place(address(1), true), Admittance::Admitted(Place::Proved(address(1))));
        under_way.remove(Place::Unproved);
        assert_eq!(under_way.place(address(2), false), Admittance::Admitted(Place::Unproved));
    }

    #[test]
    fn one_address_does_not_take_the_places_of_others() {
        let mut under_way = UnderWay::default();
        let mut fill = |number| {
            (0..100).filter(|_| under_way.place(address(number), true) != Admittance::Ignored).count()
        };
        assert_eq!(fill(1), PROVED_PER_ADDRESS_MAX);
        assert_eq!(fill(2), PROVED_PER_ADDRESS_MAX);
        let more: usize = (3..100).map(fill).sum();
        assert_eq!(more, PROVED_MAX - 2 * PROVED_PER_ADDRESS_MAX);
        under_way.remove(Place::Proved(address(2)));
        assert_eq!(under_way.place(address(1), true), Admittance::Ignored);
        assert_eq!(under_way.place(address(50), true), Admittance::Admitted(Place::Proved(address(50))));
    }
}
