//! The receiving side of a link: whatever a voter sends, by stream or datagram, goes to the loop.

use position::MemberId;
use quinn::{Connection, RecvStream};
use quorum::{APPEND_BYTES_MAX, Envelope};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::endpoint::{Closed, close};
use crate::peer::FromPeer;
use crate::wire::{Decoder, Limits, MessageReader, WireError};

/// A message carries at most so many bytes of frames, or one frame, or a piece of a snapshot.
const LIMITS: Limits = Limits { header_bytes_max: 16 * 1024, payload_bytes_max: prevalent::FRAME_BYTES_MAX };

const _: () = assert!(APPEND_BYTES_MAX <= LIMITS.payload_bytes_max);

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

/// Hands everything that comes over a connection to the loop, until it ends or breaks the rules.
pub(super) async fn receive(from: MemberId, connection: Connection, inbox: mpsc::Sender<FromPeer>) {
    let mut streams = JoinSet::new();
    let why = loop {
        tokio::select! {
            stream = connection.accept_uni() => match stream {
                Ok(stream) => {
                    streams.spawn(hear(from, stream, inbox.clone()));
                }
                Err(error) => break Deaf::from(error),
            },
            datagram = connection.read_datagram() => match datagram {
                Ok(datagram) => if let Err(error) = take_datagram(from, &datagram, &inbox).await {
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

async fn hear(from: MemberId, stream: RecvStream, inbox: mpsc::Sender<FromPeer>) -> Result<(), Deaf> {
    let mut reader = MessageReader::new(stream, LIMITS);
    while let Some((envelope, payload)) = reader.next::<Envelope>().await? {
        hand_in(from, envelope, payload, &inbox).await?;
    }
    Ok(())
}

async fn take_datagram(from: MemberId, datagram: &[u8], inbox: &mpsc::Sender<FromPeer>) -> Result<(), Deaf> {
    let mut decoder = Decoder::new(LIMITS);
    decoder.push(datagram);
    match decoder.take::<Envelope>()? {
        Some((envelope, payload)) if decoder.is_empty() => hand_in(from, envelope, payload, inbox).await,
        _ => Err(WireError::Truncated.into()),
    }
}

async fn hand_in(
    from: MemberId,
    envelope: Envelope,
    payload: bytes::Bytes,
    inbox: &mpsc::Sender<FromPeer>,
) -> Result<(), Deaf> {
    if envelope.from.id != from {
        return Err(Deaf::Impostor(envelope.from.id));
    }
    inbox.send(FromPeer::Message { envelope, payload }).await.map_err(|_closed| Deaf::Stopping)
}
