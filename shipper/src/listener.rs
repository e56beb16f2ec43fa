//! Lets connections in and hands each to whom it concerns.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::endpoint::{Closed, Endpoint, Link, Protocol, close};
use crate::peer::Ears;
use crate::service::Service;

/// Handshakes that are completed at once. More wait in QUIC's own bounded queue.
const HANDSHAKES_MAX: usize = 64;

/// Serves clients, and nobody else, until the endpoint is closed or this is dropped.
pub async fn serve_clients(endpoint: Endpoint, service: Arc<Service>) {
    listen(endpoint, service, None).await;
}

/// Serves clients, and hears other voters, until the endpoint is closed or this is dropped.
pub(crate) async fn listen(endpoint: Endpoint, service: Arc<Service>, ears: Option<Arc<Ears>>) {
    let mut handshakes = JoinSet::new();
    let mut served = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.incoming(), if handshakes.len() < HANDSHAKES_MAX => {
                let Some(incoming) = incoming else { return };
                let endpoint = endpoint.clone();
                handshakes.spawn(async move { endpoint.admit(incoming).await });
            }
            Some(admitted) = handshakes.join_next() => {
                let Some(link) = admitted.expect("a handshake does not panic") else { continue };
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
