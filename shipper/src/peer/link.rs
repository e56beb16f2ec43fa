//! The sending side of a link: lanes that the loop fills, and the task that empties them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use position::MemberId;
use quinn::Connection;
use quorum::Envelope;
use tokio::sync::mpsc;

use crate::endpoint::{DialError, Endpoint, Protocol};
use crate::identity::Holder;
use crate::peer::{FromPeer, Routes, Target};
use crate::wire::{MessageWriter, WireError, encode_prefix};

/// Small messages that may wait: greetings and answers of seconds.
const CONTROL_MAX: usize = 256;
/// Messages with frames that may wait: what the protocol has in flight, in its smallest pieces.
const JOURNAL_MAX: usize = 1024;
/// Pieces of a snapshot that may wait.
const BULK_MAX: usize = 16;

/// A dial is given up after this long: far above a round trip, below the patience of anybody waiting.
const DIAL_WITHIN: Duration = Duration::from_secs(1);
/// After a failed dial, or a link that broke at once, the next attempt waits this long, then twice as long.
const RETRY_MIN: Duration = Duration::from_millis(20);
/// The longest wait between two attempts.
const RETRY_MAX: Duration = Duration::from_millis(500);

/// A message on its way to a lane's stream.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) envelope: Envelope,
    pub(crate) payload: Vec<Bytes>,
}

/// Where messages to one voter are put.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    pub(crate) control: mpsc::Sender<Packet>,
    pub(crate) journal: mpsc::Sender<Packet>,
    pub(crate) bulk: mpsc::Sender<Packet>,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Lanes {
    /// Sends at once and without a queue; `false`: there is no connection, or the message is too large.
    pub(crate) fn send_datagram(&self, envelope: &Envelope) -> bool {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(connection) = connection.as_ref() else { return false };
        connection.send_datagram(encode_prefix(envelope, 0)).is_ok()
    }

    fn set_connection(&self, connection: Option<Connection>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }
}

/// What the task of one link works with.
pub(crate) struct Keeper {
    target: Target,
    me: MemberId,
    endpoint: Endpoint,
    inbox: mpsc::Sender<FromPeer>,
    control: mpsc::Receiver<Packet>,
    journal: mpsc::Receiver<Packet>,
    bulk: mpsc::Receiver<Packet>,
}

/// The lanes to a voter, and the task that empties them.
pub(crate) fn lanes(
    target: Target,
    me: MemberId,
    endpoint: Endpoint,
    inbox: mpsc::Sender<FromPeer>,
) -> (Lanes, Keeper) {
    let (control, control_out) = mpsc::channel(CONTROL_MAX);
    let (journal, journal_out) = mpsc::channel(JOURNAL_MAX);
    let (bulk, bulk_out) = mpsc::channel(BULK_MAX);
    let keeper =
        Keeper { target, me, endpoint, inbox, control: control_out, journal: journal_out, bulk: bulk_out };
    (Lanes { control, journal, bulk, connection: Arc::default() }, keeper)
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
    #[error("the address is this voter's own")]
    Myself,
}

impl Keeper {
    /// Dials, sends, and dials again, for ever.
    pub(crate) async fn keep_up(self, lanes: Lanes, routes: Arc<Routes>) {
        let Keeper { target, me, endpoint, inbox, mut control, mut journal, bulk } = self;
        let bulk = keep_up_bulk(target, endpoint.clone(), bulk);
        let main = async {
            let mut wait = RETRY_MIN;
            loop {
                let error = match connect(target, me, &endpoint).await {
                    Ok((id, connection)) => {
                        wait = RETRY_MIN;
                        // What waited for a connection is older than any answer that still matters.
                        drain(&mut control);
                        drain(&mut journal);
                        lanes.set_connection(Some(connection.clone()));
                        routes.insert(id, lanes.clone());
                        if inbox.send(FromPeer::Linked(id)).await.is_err() {
                            return;
                        }
                        let error = send_all(&connection, &mut control, &mut journal).await;
                        lanes.set_connection(None);
                        error
                    }
                    Err(LinkError::Myself) => return,
                    Err(error) => error,
                };
                tracing::debug!(address = %target.address, %error, "no link to a voter");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_MAX);
            }
        };
        tokio::join!(main, bulk);
    }
}

async fn connect(
    target: Target,
    me: MemberId,
    endpoint: &Endpoint,
) -> Result<(MemberId, Connection), LinkError> {
    let link = endpoint.dial(target.address, target.id, Protocol::Peer, DIAL_WITHIN).await?;
    match link.identity.holder {
        Holder::Voter(id) if id != me => Ok((id, link.connection)),
        _ => Err(LinkError::Myself),
    }
}

/// Sends until the connection ends, and says why it did.
async fn send_all(
    connection: &Connection,
    control: &mut mpsc::Receiver<Packet>,
    journal: &mut mpsc::Receiver<Packet>,
) -> LinkError {
    let sent = async {
        let mut small = MessageWriter::new(connection.open_uni().await?);
        small.set_priority(1);
        let mut large = MessageWriter::new(connection.open_uni().await?);
        large.set_priority(0);
        tokio::try_join!(send(&mut small, control), send(&mut large, journal))?;
        Err(LinkError::Myself)
    };
    tokio::select! {
        sent = sent => match sent {
            Ok(()) => LinkError::Myself,
            Err(error) => error,
        },
        closed = connection.closed() => LinkError::Connection(closed),
    }
}

async fn send(writer: &mut MessageWriter, lane: &mut mpsc::Receiver<Packet>) -> Result<(), LinkError> {
    while let Some(packet) = lane.recv().await {
        writer.write(&packet.envelope, &packet.payload).await?;
    }
    Ok(())
}

/// Snapshots: a connection that exists only while pieces of one are to be sent.
async fn keep_up_bulk(target: Target, endpoint: Endpoint, mut lane: mpsc::Receiver<Packet>) {
    while let Some(first) = lane.recv().await {
        let sent = async {
            let link = endpoint.dial(target.address, target.id, Protocol::Bulk, DIAL_WITHIN).await?;
            let mut writer = MessageWriter::new(link.connection.open_uni().await?);
            writer.write(&first.envelope, &first.payload).await?;
            send(&mut writer, &mut lane).await
        };
        if let Err(error) = sent.await {
            tracing::debug!(address = %target.address, %error, "the connection for snapshots ended");
            tokio::time::sleep(RETRY_MIN).await;
        }
    }
}

fn drain(lane: &mut mpsc::Receiver<Packet>) {
    while lane.try_recv().is_ok() {}
}
