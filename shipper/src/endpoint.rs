//! A process's one QUIC endpoint: what it dials and what it lets in.
//!
//! Responsible for: QUIC's settings for a private LAN, the protocols' names, and that the other end of
//! every connection is a member of the same cluster. Not responsible for: what is said.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use position::MemberId;
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::HandshakeData;
use quinn::{
    AckFrequencyConfig, ClientConfig, Connection, ConnectionError, EndpointConfig, IdleTimeout, Incoming,
    ServerConfig, TransportConfig, VarInt,
};

use crate::credentials::Credentials;
use crate::identity::{Holder, Identity, IdentityError, any_voter_host_name, voter_host_name};
use crate::socket::Sockets;

/// What is spoken on a connection. The number in the name changes when the meaning of messages does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Between voters: control, journal, heartbeats.
    Peer,
    /// Between voters: snapshots, apart from the rest so that no heartbeat waits behind one.
    Bulk,
    /// From a client, node or observer to a voter.
    Client,
}

impl Protocol {
    const ALL: [Protocol; 3] = [Protocol::Peer, Protocol::Bulk, Protocol::Client];

    fn name(self) -> &'static [u8] {
        match self {
            Protocol::Peer => b"prevalent-peer/2",
            Protocol::Bulk => b"prevalent-bulk/1",
            Protocol::Client => b"prevalent-client/1",
        }
    }

    /// How often the dialing end makes itself heard, and after how much silence either end gives up.
    fn times(self) -> (Duration, Duration) {
        match self {
            Protocol::Peer => (Duration::from_millis(100), Duration::from_millis(500)),
            Protocol::Bulk => (Duration::from_millis(500), Duration::from_secs(2)),
            // To most voters a client keeps a connection only in case one becomes master. To the master
            // it makes itself heard every `ALIVE_EVERY`.
            Protocol::Client => (Duration::from_secs(2), IDLE_MAX),
        }
    }
}

/// The longest silence on any connection. The accepting end states it, the dialing end a shorter one,
/// and the shorter one holds.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// A client makes itself heard at the master this often,
pub(crate) const ALIVE_EVERY: Duration = Duration::from_millis(250);
/// and either gives the other up when something should have been heard for this long and was not.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(1);

/// A handshake takes two round trips and a few milliseconds of computing; some of its packets may be lost.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(2);
/// Attempts to connect that may wait for the listener, which decides about each at once: a burst of them
/// is no reason to turn anybody away.
const INCOMING_MAX: usize = 1024;
/// What a client sends behind its first packet before it has an answer: nothing, or the same again.
const INCOMING_BYTES_MAX: u64 = 4 * 1024;
/// The same of all attempts that wait.
const ALL_INCOMING_BYTES_MAX: u64 = 1024 * 1024;

/// What a peer may have sent and we not yet read, on one stream and in all: with a round trip of a
/// millisecond, half a megabyte is several times what a gigabit LAN carries meanwhile.
const WINDOW_BYTES: u32 = 512 * 1024;
/// The same for voters, whose journal stream may be ahead by several megabytes.
const PEER_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// What we may have sent and the peer not yet acknowledged.
const SEND_BYTES_MAX: u64 = 1024 * 1024;
/// The same to voters: more than the protocol ever has in flight, so that it is the protocol which waits.
const PEER_SEND_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Conversations (streams) that one client may have open: its commands, its watches, and reads.
const CLIENT_STREAMS_MAX: u32 = 128;
/// Streams that a peer may open: control and journal, and one of each while a link is replaced.
const PEER_STREAMS_MAX: u32 = 4;

const DATAGRAM_BUFFER_BYTES: usize = 64 * 1024;

/// Why a connection was closed by this project's code, as the other end sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The process ends, or a newer connection takes over.
    Done = 0,
    /// The certificate is not one that may speak this protocol.
    Stranger = 1,
    /// Too many connections.
    Full = 2,
    /// What was sent is not of the protocol.
    Malformed = 3,
    /// The other end does not read what it asked for.
    Slow = 4,
    /// Nothing is heard although something was sent.
    Silent = 5,
}

/// Closes a connection and tells the other end why.
pub(crate) fn close(connection: &Connection, why: Closed) {
    connection.close(VarInt::from_u32(why as u32), format!("{why:?}").as_bytes());
}

/// The endpoint could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address is not one of IPv4.
    #[error("{address} is no IPv4 address; sockets for both kinds at once do not exist on every system")]
    NotIpv4 {
        /// The address.
        address: SocketAddr,
    },
    /// The socket could not be opened.
    #[error(
        "cannot listen on UDP {address}: {source}; is another process using the port, and is the address this machine's?"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nothing could even be sent.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What is wrong.
        source: quinn::ConnectError,
    },
    /// There was no answer, or a refusal.
    #[error("no connection with {address}: {source}")]
    Handshake {
        /// Where to.
        address: SocketAddr,
        /// What happened.
        source: ConnectionError,
    },
    /// There was no complete answer in time.
    #[error("no connection with {address} within {} ms", waited.as_millis())]
    TimedOut {
        /// Where to.
        address: SocketAddr,
        /// How long was waited.
        waited: Duration,
    },
    /// The certificate at the other end does not name a voter of this cluster.
    #[error("who answers at {address} cannot be identified: {source}")]
    Unidentified {
        /// Where to.
        address: SocketAddr,
        /// What is wrong.
        source: IdentityError,
    },
}

/// A connection whose other end is known.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) connection: Connection,
    pub(crate) identity: Identity,
    pub(crate) protocol: Protocol,
}

/// A process's UDP port and certificate. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoint {
    quinn: quinn::Endpoint,
    credentials: Credentials,
    dialing: [ClientConfig; 3],
}

impl Endpoint {
    /// An endpoint that dials and lets in.
    ///
    /// # Errors
    /// If the address is not this machine's, or its port is in use.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn listen(address: SocketAddr, credentials: Credentials) -> Result<Endpoint, EndpointError> {
        Endpoint::open(address, credentials, true, Sockets::Best)
    }

    /// An endpoint that only dials, from a port that the system chooses.
    ///
    /// # Errors
    /// If the system has no port left.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn dial_only(credentials: Credentials) -> Result<Endpoint, EndpointError> {
        Endpoint::open(([0, 0, 0, 0], 0).into(), credentials, false, Sockets::Best)
    }

    pub(crate) fn open(
        address: SocketAddr,
        credentials: Credentials,
        listens: bool,
        sockets: Sockets,
    ) -> Result<Endpoint, EndpointError> {
        if !address.is_ipv4() {
            return Err(EndpointError::NotIpv4 { address });
        }
        let failed = |source| EndpointError::Bind { address, source };
        let socket = UdpSocket::bind(address).map_err(failed)?;
        let server = listens.then(|| server_config(&credentials));
        let quinn = quinn::Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(sockets))
            .map_err(failed)?;
        let dialing = Protocol::ALL.map(|protocol| client_config(&credentials, protocol));
        Ok(Endpoint { quinn, credentials, dialing })
    }

    /// Where others reach it.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.quinn.local_addr()
    }

    /// How many handshakes it has begun to answer.
    #[cfg(test)]
    pub(crate) fn handshakes(&self) -> u64 {
        self.quinn.stats().accepted_handshakes
    }

    /// Whose endpoint it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        self.credentials.identity()
    }

    /// Connects to a voter: the one named, or whichever answers at `address`.
    pub(crate) async fn dial(
        &self,
        address: SocketAddr,
        voter: Option<MemberId>,
        protocol: Protocol,
        within: Duration,
    ) -> Result<Link, DialError> {
        let cluster = self.credentials.cluster();
        let host_name = voter.map_or_else(|| any_voter_host_name(cluster), |id| voter_host_name(cluster, id));
        let config = self.dialing[protocol as usize].clone();
        let connecting = self
            .quinn
            .connect_with(config, address, &host_name)
            .map_err(|source| DialError::Connect { address, source })?;
        let connection = tokio::time::timeout(within, connecting)
            .await
            .map_err(|_elapsed| DialError::TimedOut { address, waited: within })?
            .map_err(|source| DialError::Handshake { address, source })?;
        let identity = Identity::of_connection(&connection).map_err(|source| {
            close(&connection, Closed::Stranger);
            DialError::Unidentified { address, source }
        })?;
        // TLS has checked the host name, and only a voter's certificate has one.
        debug_assert!(matches!(identity.holder, Holder::Voter(_)) && identity.cluster == cluster);
        Ok(Link { connection, identity, protocol })
    }

    /// The next connection attempt; `None` once the endpoint is closed.
    pub(crate) async fn incoming(&self) -> Option<Incoming> {
        self.quinn.accept().await
    }

    /// Completes the handshake of an attempt, and finds out who it is.
    ///
    /// Certificates of other authorities, and those that are no certificates at all, TLS has refused.
    pub(crate) async fn admit(&self, incoming: Incoming) -> Option<Link> {
        let address = incoming.remote_address();
        let connection =
            match tokio::time::timeout(HANDSHAKE_WITHIN, async { incoming.accept()?.await }).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => {
                    tracing::warn!(%address, %error, "a connection was refused");
                    return None;
                }
                Err(_elapsed) => return None,
            };
        let link = Endpoint::identify(&connection)
            .filter(|link| link.identity.cluster == self.credentials.cluster());
        let Some(link) = link else {
            tracing::warn!(%address, "a connection was refused: its certificate names no member of this cluster");
            close(&connection, Closed::Stranger);
            return None;
        };
        let of_voters = matches!(link.protocol, Protocol::Peer | Protocol::Bulk);
        if of_voters && !matches!(link.identity.holder, Holder::Voter(_)) {
            tracing::warn!(%address, identity = %link.identity, "a connection was refused: it is for voters only");
            close(&connection, Closed::Stranger);
            return None;
        }
        let (uni, bi) = if of_voters { (PEER_STREAMS_MAX, 0) } else { (0, CLIENT_STREAMS_MAX) };
        connection.set_max_concurrent_uni_streams(uni.into());
        connection.set_max_concurrent_bi_streams(bi.into());
        if of_voters {
            connection.set_receive_window(PEER_WINDOW_BYTES.into());
        }
        Some(link)
    }

    fn identify(connection: &Connection) -> Option<Link> {
        let handshake = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
        let name = handshake.protocol?;
        let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.name() == name)?;
        let identity = Identity::of_connection(connection).ok()?;
        Some(Link { connection: connection.clone(), identity, protocol })
    }

    /// Closes all connections, tells the other ends, and waits until they know or `within` is over.
    pub async fn close(&self, within: Duration) {
        self.quinn.close(VarInt::from_u32(Closed::Done as u32), b"Done");
        // Past the time the other ends find out by the silence.
        drop(tokio::time::timeout(within, self.quinn.wait_idle()).await);
    }
}

fn server_config(credentials: &Credentials) -> ServerConfig {
    let protocols = Protocol::ALL.map(Protocol::name);
    let mut config = ServerConfig::with_crypto(Arc::new(credentials.server(&protocols)));
    let mut transport = transport(IDLE_MAX);
    // Until it is known who connects, it may open nothing.
    transport.max_concurrent_bidi_streams(0_u32.into()).max_concurrent_uni_streams(0_u32.into());
    transport.receive_window(WINDOW_BYTES.into()).send_window(SEND_BYTES_MAX);
    config.transport_config(Arc::new(transport));
    config
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(ALL_INCOMING_BYTES_MAX)
        .migration(false);
    config
}

fn client_config(credentials: &Credentials, protocol: Protocol) -> ClientConfig {
    let (keep_alive, idle) = protocol.times();
    let mut config = ClientConfig::new(Arc::new(credentials.client(protocol.name())));
    let mut transport = transport(idle);
    transport.keep_alive_interval(Some(keep_alive));
    transport.max_concurrent_bidi_streams(0_u32.into());
    // The one stream is the master's and members' push to a client.
    transport.max_concurrent_uni_streams(u32::from(protocol == Protocol::Client).into());
    match protocol {
        Protocol::Peer | Protocol::Bulk => transport.send_window(PEER_SEND_BYTES_MAX),
        Protocol::Client => transport.receive_window(WINDOW_BYTES.into()).send_window(SEND_BYTES_MAX),
    };
    config.transport_config(Arc::new(transport));
    config
}

/// What all connections have in common: measured on a LAN with 2 % loss, these settings bring the 99th
/// percentile of an echo from 28 to 3 ms.
fn transport(idle: Duration) -> TransportConfig {
    let mut acknowledge = AckFrequencyConfig::default();
    acknowledge.max_ack_delay(Some(Duration::from_millis(1)));
    let mut congestion = CubicConfig::default();
    congestion.initial_window(256 * 1024);
    let mut transport = TransportConfig::default();
    transport
        .initial_rtt(Duration::from_millis(10))
        // What fits into an Ethernet frame with the headers of UDP and IPv4 around it, and 20 bytes spare.
        .initial_mtu(1452)
        .ack_frequency_config(Some(acknowledge))
        .congestion_controller_factory(Arc::new(congestion))
        // A stream's next message waits for the current one: half of two messages helps nobody.
        .send_fairness(false)
        .stream_receive_window(WINDOW_BYTES.into())
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER_BYTES))
        .datagram_send_buffer_size(DATAGRAM_BUFFER_BYTES)
        .max_idle_timeout(Some(IdleTimeout::try_from(idle).expect("seconds fit into QUIC's number")));
    transport
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::tests::Cable;
    use crate::{Authority, Name, Serial};
    use bytes::Bytes;
    use position::ClusterId;

    const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
    const WITHIN: Duration = Duration::from_secs(5);

    fn credentials(authority: &Authority, holder: Holder) -> Credentials {
        let folder = tempfile::tempdir().unwrap();
        authority.issue(holder, Serial::FIRST, folder.path()).unwrap();
        Credentials::load(folder.path()).unwrap()
    }

    fn endpoint(authority: &Authority, holder: Holder, sockets: Sockets) -> Endpoint {
        Endpoint::open(LOCAL.into(), credentials(authority, holder), true, sockets).unwrap()
    }

    fn voter(id: u16) -> Holder {
        Holder::Voter(MemberId(id))
    }

    fn node() -> Holder {
        Holder::Node(Name::new("pc7").unwrap())
    }

    /// Lets `from` dial `to`, and returns what each of the two sees.
    async fn meet(
        from: &Endpoint,
        to: &Endpoint,
        meant: Option<u16>,
        protocol: Protocol,
    ) -> (Result<Link, DialError>, Option<Link>) {
        let address = to.local_address().unwrap();
        let listening = async {
            let incoming = to.incoming().await?;
            to.admit(incoming).await
        };
        tokio::join!(from.dial(address, meant.map(MemberId), protocol, WITHIN), listening)
    }

    #[tokio::test]
    async fn members_of_one_cluster_know_each_other() {
        let authority = Authority::create(ClusterId(1)).unwrap();
        for sockets in [Sockets::Best, Sockets::Plain] {
            let listener = endpoint(&authority, voter(1), sockets.clone());
            let dialer = endpoint(&authority, voter(2), sockets.clone());
            let (dialed, admitted) = meet(&dialer, &listener, Some(1), Protocol::Peer).await;
            let (dialed, admitted) = (dialed.unwrap(), admitted.unwrap());
            assert_eq!(dialed.identity.holder, voter(1));
            assert_eq!(admitted.identity.holder, voter(2));
            assert_eq!(admitted.protocol, Protocol::Peer);

            // More than the socket's buffers hold, so that sending has to wait for the socket too.
            let sent = Bytes::from(vec![7; 8 * 1024 * 1024]);
            let mut stream = dialed.connection.open_uni().await.unwrap();
            let writing = async {
                stream.write_chunk(sent.clone()).await.unwrap();
                stream.finish().unwrap();
            };
            let reading = async {
                admitted.connection.accept_uni().await.unwrap().read_to_end(sent.len()).await.unwrap()
            };
            let ((), received) = tokio::join!(writing, reading);
            assert!(received == sent, "over {sockets:?}");
        }
    }

    #[tokio::test]
    async fn a_cable_that_is_pulled_for_a_moment_ends_no_link() {
        let authority = Authority::create(ClusterId(1)).unwrap();
        let cable = Arc::new(Cable::default());
        let listener = endpoint(&authority, voter(1), Sockets::Plain);
        let dialer = endpoint(&authority, voter(2), Sockets::Cabled(Arc::clone(&cable)));
        let (dialed, admitted) = meet(&dialer, &listener, None, Protocol::Client).await;
        let (dialed, admitted) = (dialed.unwrap(), admitted.unwrap());

        let (mut stream, _answers) = dialed.connection.open_bi().await.unwrap();
        cable.pull();
        stream.write_all(b"sent into the void").await.unwrap();
        stream.finish().unwrap();
        let reading = async {
            cable.has_lost_datagrams(2).await;
            cable.plug_in();
            let (_answers, mut stream) = admitted.connection.accept_bi().await.unwrap();
            stream.read_to_end(64).await.unwrap()
        };
        let received = tokio::time::timeout(WITHIN, reading).await.expect("the link is dead");
        assert_eq!(received, b"sent into the void");
        let (again, _) = meet(&dialer, &listener, None, Protocol::Client).await;
        assert!(again.is_ok(), "the endpoint is dead");
    }

    #[tokio::test]
    async fn another_voter_than_the_one_meant_is_not_connected() {
        let authority = Authority::create(ClusterId(1)).unwrap();
        let (listener, dialer) =
            (endpoint(&authority, voter(1), Sockets::Best), endpoint(&authority, voter(2), Sockets::Best));
        let (dialed, _) = meet(&dialer, &listener, Some(3), Protocol::Peer).await;
        assert!(matches!(dialed, Err(DialError::Handshake { .. })));
    }

    #[tokio::test]
    async fn another_cluster_is_not_connected() {
        // The same number even: only the authority's signature differs.
        let (ours, theirs) =
            (Authority::create(ClusterId(1)).unwrap(), Authority::create(ClusterId(1)).unwrap());
        let listener = endpoint(&ours, voter(1), Sockets::Best);
        let dialer = endpoint(&theirs, voter(2), Sockets::Best);
        let (dialed, admitted) = meet(&dialer, &listener, None, Protocol::Client).await;
        assert!(matches!(dialed, Err(DialError::Handshake { .. })));
        assert!(admitted.is_none());
    }

    #[tokio::test]
    async fn only_voters_speak_as_voters() {
        let authority = Authority::create(ClusterId(1)).unwrap();
        let listener = endpoint(&authority, voter(1), Sockets::Best);
        let dialer = endpoint(&authority, node(), Sockets::Best);
        for protocol in [Protocol::Peer, Protocol::Bulk] {
            let (dialed, admitted) = meet(&dialer, &listener, Some(1), protocol).await;
            assert!(admitted.is_none());
            if let Ok(link) = dialed {
                let reason = link.connection.closed().await;
                assert!(matches!(reason, ConnectionError::ApplicationClosed(close)
                    if close.error_code == VarInt::from_u32(Closed::Stranger as u32)));
            }
        }
        let (dialed, admitted) = meet(&dialer, &listener, None, Protocol::Client).await;
        assert!(dialed.is_ok());
        assert_eq!(admitted.unwrap().identity.holder, node());
    }

    #[tokio::test]
    async fn nobody_connects_to_who_is_no_voter() {
        let authority = Authority::create(ClusterId(1)).unwrap();
        let listener = endpoint(&authority, node(), Sockets::Best);
        let dialer = endpoint(&authority, voter(2), Sockets::Best);
        let (dialed, _) = meet(&dialer, &listener, None, Protocol::Client).await;
        assert!(matches!(dialed, Err(DialError::Handshake { .. })));
    }
}
