use std::time::Duration;

use position::{ClusterId, Epoch, Incarnation, Index, Member, Position, Tip};
use quorum::{Append, Hello, Seen};

use super::*;
use crate::conversation::MemberAddress;
use crate::wire::encode_prefix;
use crate::{Authority, Credentials, Gate, Serial, Service};

const CLUSTER: ClusterId = ClusterId(3);

/// A voter without a protocol.
struct Voter {
    id: MemberId,
    endpoint: Endpoint,
    peers: Peers,
    inbox: mpsc::Receiver<FromPeer>,
    listening: tokio::task::JoinHandle<()>,
}

impl Voter {
    fn start(authority: &Authority, id: u16, address: SocketAddr) -> Voter {
        let (id, folder) = (MemberId(id), tempfile::tempdir().unwrap());
        authority.issue(Holder::Voter(id), Serial::FIRST, folder.path()).unwrap();
        let endpoint = Endpoint::listen(address, Credentials::load(folder.path()).unwrap()).unwrap();
        let (to_loop, inbox) = mpsc::channel(PEER_INBOX_MAX);
        let (clients, _) = mpsc::channel(1);
        let (_, view) = tokio::sync::watch::channel(ClusterView::default());
        let gate = Gate::new::<crate::service::tests::Echo>(|_, _| Ok(()), |_, _| Ok(()));
        let service = Arc::new(Service::new(id, clients, view, gate));
        let ears = Arc::new(Ears::new(to_loop.clone()));
        let listening = tokio::spawn(crate::listener::listen(endpoint.clone(), service, Some(ears)));
        let peers = Peers::new(id, endpoint.clone(), Vec::new(), to_loop);
        Voter { id, endpoint, peers, inbox, listening }
    }

    fn address(&self) -> MemberAddress {
        let address = self.endpoint.local_address().unwrap();
        MemberAddress { id: self.id, name: String::new(), address, is_voter: true }
    }

    /// Waits until a link to `other` is up.
    async fn linked(&mut self, other: MemberId) {
        loop {
            if let FromPeer::Linked(id) = self.inbox.recv().await.unwrap() {
                assert_eq!(id, other);
                return;
            }
        }
    }

    async fn message(&mut self) -> (Envelope, Bytes) {
        loop {
            if let FromPeer::Message { envelope, payload } = self.inbox.recv().await.unwrap() {
                return (envelope, payload);
            }
        }
    }
}

fn envelope(from: MemberId, to: MemberId, counter: u64, message: Message) -> Envelope {
    let member = |id| Member { id, incarnation: Incarnation(9) };
    Envelope {
        cluster: CLUSTER,
        from: member(from),
        to: member(to),
        boots: 1,
        process: position::ProcessNumber(2),
        counter,
        epoch: Epoch(4),
        message,
    }
}

fn heartbeat(round: u64) -> Message {
    Message::Heartbeat { round, commit: Index(7), last: Tip::NONE }
}

fn append() -> Message {
    Message::Append(Append { round: 1, prev: Tip::NONE, commit: Index(7) })
}

fn hello() -> Message {
    Message::Hello(Hello {
        last: Position::NONE,
        durable: Index(0),
        certain: true,
        counts: true,
        fresh: false,
        seen_of_you: Seen::default(),
        master: false,
        epoch: Epoch(4),
        processes: [position::ProcessNumber(u64::MAX); quorum::PROCESSES_MAX],
        refused: None,
        amnesia: None,
        stateless: Some(Index(7)),
    })
}

const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Two voters that are linked both ways.
async fn pair() -> (Voter, Voter, Authority) {
    let authority = Authority::create(CLUSTER).unwrap();
    let (mut a, mut b) =
        (Voter::start(&authority, 1, ANY_PORT.into()), Voter::start(&authority, 2, ANY_PORT.into()));
    let view = ClusterView { members: vec![a.address(), b.address()], ..ClusterView::default() };
    a.peers.set_members(&view, &[]);
    b.peers.set_members(&view, &[]);
    a.linked(b.id).await;
    b.linked(a.id).await;
    (a, b, authority)
}

#[tokio::test]
async fn every_kind_of_message_arrives_with_its_payload() {
    let (a, mut b, _) = pair().await;
    let payload = vec![Bytes::from_static(b"two frames, "), Bytes::from(vec![7; 300_000])];
    let snapshot =
        Message::SnapshotChunk(quorum::SnapshotChunk { round: 1, base: Tip::NONE, offset: 0, total: 9 });
    for (message, payload) in [
        (heartbeat(1), vec![]),
        (hello(), vec![]),
        (append(), payload),
        (snapshot, vec![Bytes::from_static(b"piece")]),
    ] {
        let sent = envelope(a.id, b.id, 1, message);
        a.peers.send(sent.clone(), payload.clone());
        let (received, bytes) = b.message().await;
        assert_eq!(received, sent);
        assert!(bytes == payload.concat(), "the payload of {}", sent.message.name());
    }
}

#[tokio::test]
async fn a_link_comes_back_with_its_voter() {
    let (mut a, b, authority) = pair().await;
    let address = b.address().address;
    b.listening.abort();
    b.endpoint.close(Duration::ZERO).await;
    drop(b);
    // The port is free once the last task of the old endpoint has ended.
    let mut b = loop {
        if std::net::UdpSocket::bind(address).is_ok() {
            break Voter::start(&authority, 2, address);
        }
        tokio::task::yield_now().await;
    };
    a.linked(b.id).await;
    let sent = envelope(a.id, b.id, 5, hello());
    a.peers.send(sent.clone(), vec![]);
    assert_eq!(b.message().await.0, sent);
}

#[tokio::test]
async fn a_voter_speaks_in_its_own_name_only() {
    let (mut a, b, _) = pair().await;
    let target = a.address().address;
    let link = b.endpoint.dial(target, Some(a.id), Protocol::Bulk, Duration::from_secs(5)).await.unwrap();
    let mut stream = link.connection.open_uni().await.unwrap();
    let good = envelope(b.id, a.id, 1, hello());
    let bad = envelope(MemberId(3), a.id, 2, hello());
    stream.write_all(&[encode_prefix(&good, 0), encode_prefix(&bad, 0)].concat()).await.unwrap();
    assert_eq!(a.message().await.0, good);
    assert!(matches!(link.connection.closed().await, quinn::ConnectionError::ApplicationClosed(_)));
}

#[tokio::test]
async fn garbage_ends_a_connection_and_nothing_else() {
    let (mut a, b, _) = pair().await;
    let target = a.address().address;
    let good = encode_prefix(&envelope(b.id, a.id, 1, hello()), 0);
    for length in 1..good.len() {
        let link = b.endpoint.dial(target, Some(a.id), Protocol::Bulk, Duration::from_secs(5)).await.unwrap();
        if length % 2 == 0 {
            link.connection.send_datagram(good.slice(..length)).unwrap();
        } else {
            let mut stream = link.connection.open_uni().await.unwrap();
            stream.write_all(&good[..length]).await.unwrap();
            stream.finish().unwrap();
        }
        assert!(
            matches!(link.connection.closed().await, quinn::ConnectionError::ApplicationClosed(_)),
            "{length}"
        );
    }
    let sent = envelope(b.id, a.id, 9, heartbeat(3));
    b.peers.send(sent.clone(), vec![]);
    assert_eq!(a.message().await.0, sent);
}
