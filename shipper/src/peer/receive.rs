//! The receiving side of a link: whatever a voter sends, by stream or datagram, goes to the loop.

use std::sync::Arc;

use bytes::Bytes;
use position::MemberId;
use quinn::{Connection, RecvStream};
use quorum::{APPEND_BYTES_MAX, Envelope, IN_FLIGHT_BYTES_MAX, REPAIR_BYTES_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::endpoint::{Closed, close};
use crate::peer::FromPeer;
use crate::wire::{Decoder, Limits, MessageReader, WireError};

/// A message carries at most so many bytes of frames, or a piece of a snapshot.
/// (Every header is a fixed number of small fields.)
pub(super) const LIMITS: Limits = Limits { header_bytes_max: 1024, payload_bytes_max: REPAIR_BYTES_MAX };

/// Bytes of payloads of one connection that may wait for the loop. Whoever sends more waits in turn, which
/// no voter does that keeps to what it may have in flight.
const WAITING_BYTES_MAX: usize = IN_FLIGHT_BYTES_MAX + REPAIR_BYTES_MAX;

const _: () = assert!(
    APPEND_BYTES_MAX <= LIMITS.payload_bytes_max && journal::FRAME_BYTES_MAX <= LIMITS.payload_bytes_max
);

/// Why nothing more is heard over a connection.
#[derive(Debug, thiserror::Error)]
enum Deaf {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
    #[error("a message in the name of voter {0} came over another voter's connection")]
    Impostor(MemberId),
    #[error("the voter stops")]
    Stopping,
}

/// Where the messages of one connection go.
#[derive(Clone)]
struct Desk {
    from: MemberId,
    inbox: mpsc::Sender<FromPeer>,
    room: Arc<Semaphore>,
}

/// A payload that makes room for others when the loop drops it.
struct Held {
    payload: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

/// Hands everything that comes over a connection to the loop, until it ends or breaks the rules.
pub(super) async fn receive(from: MemberId, connection: Connection, inbox: mpsc::Sender<FromPeer>) {
    let desk = Desk { from, inbox, room: Arc::new(Semaphore::new(WAITING_BYTES_MAX)) };
    let mut streams = JoinSet::new();
    let why = loop {
        tokio::select! {
            stream = connection.accept_uni() => match stream {
                Ok(stream) => {
                    streams.spawn(desk.clone().hear(stream));
                }
                Err(error) => break Deaf::from(error),
            },
            datagram = connection.read_datagram() => match datagram {
                Ok(datagram) => if let Err(error) = desk.take_datagram(&datagram).await {
                    break error;
                },
                Err(error) => break Deaf::from(error),
            },
            Some(ended) = streams.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => break error,
                Err(error) => {
                    tracing::error!(%from, %error, "hearing a voter failed");
                    break Deaf::Stopping;
                }
            },
        }
    };
    let malformed = match &why {
        Deaf::Wire(error) => error.is_malformed(),
        Deaf::Impostor(_) => true,
        Deaf::Connection(_) | Deaf::Stopping => false,
    };
    if malformed {
        tracing::warn!(%from, error = %why, "a voter's connection was closed");
        close(&connection, Closed::Malformed);
    } else {
        tracing::debug!(%from, reason = %why, "a voter's connection ended");
        close(&connection, Closed::Done);
    }
}

impl Desk {
    async fn hear(self, stream: RecvStream) -> Result<(), Deaf> {
        let mut reader = MessageReader::new(stream, LIMITS);
        while let Some((envelope, payload)) = reader.next::<Envelope>().await? {
            self.hand_in(envelope, payload).await?;
        }
        Ok(())
    }

    async fn take_datagram(&self, datagram: &[u8]) -> Result<(), Deaf> {
        let mut decoder = Decoder::new(LIMITS);
        decoder.push(datagram);
        match decoder.take::<Envelope>()? {
            Some((envelope, payload)) if decoder.is_empty() => self.hand_in(envelope, payload).await,
            _ => Err(WireError::Truncated.into()),
        }
    }

    async fn hand_in(&self, envelope: Envelope, payload: Bytes) -> Result<(), Deaf> {
        if envelope.from.id != self.from {
            return Err(Deaf::Impostor(envelope.from.id));
        }
        let payload = self.hold(payload).await?;
        self.inbox.send(FromPeer::Message { envelope, payload }).await.map_err(|_closed| Deaf::Stopping)
    }

    async fn hold(&self, payload: Bytes) -> Result<Bytes, Deaf> {
        let Some(bytes) = u32::try_from(payload.len()).ok().filter(|&bytes| bytes > 0) else {
            return Ok(payload);
        };
        let room =
            Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_closed| Deaf::Stopping)?;
        Ok(Bytes::from_owner(Held { payload, _room: room }))
    }
}
