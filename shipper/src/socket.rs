//! The UDP socket under QUIC, also where quinn's own cannot be opened.
//!
//! Responsible for: a plain socket as a substitute. Not responsible for: anything above datagrams.
//!
//! quinn-udp asks the system for congestion marks and segmentation offload, and gives up where the
//! options for the marks do not exist: on Windows 7. QUIC needs neither. The plain socket sends and
//! receives one datagram a call, without marks; packets may be fragmented, so quinn does not probe for a
//! larger packet size.
//!
//! No error reaches QUIC but "not now": it would take any other for the end of the connection, or of the
//! whole endpoint, and wake nobody who waits for either. A pulled cable is no such end. A datagram that
//! the system does not take is lost like one that the network loses, and QUIC sends again what matters.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::time::{Sleep, sleep};

/// Errors that receiving passes over at once. Each may be about one datagram and take it off the queue.
const ERRORS_IN_A_ROW_MAX: usize = 16;
/// An error that stays would be met again and again: receiving then rests for this long, well within a
/// heartbeat.
const REST: Duration = Duration::from_millis(10);
/// A cable that stays pulled is logged this often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Which socket to use.
#[derive(Clone, Debug)]
pub(crate) enum Sockets {
    /// quinn's where it can be opened, else the plain one.
    Best,
    /// The plain one: what Windows 7 gets, so that it can be tested anywhere.
    #[cfg(test)]
    Plain,
    /// The plain one, with a cable that a test can pull.
    #[cfg(test)]
    Cabled(Arc<tests::Cable>),
}

impl Runtime for Sockets {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        match self {
            Sockets::Best => match TokioRuntime.wrap_udp_socket(socket.try_clone()?) {
                Ok(wrapped) => Ok(wrapped),
                Err(error) => {
                    tracing::info!(%error, "no congestion marks on this system; using a plain socket");
                    plain(socket)
                }
            },
            #[cfg(test)]
            Sockets::Plain => plain(socket),
            #[cfg(test)]
            Sockets::Cabled(cable) => tests::cabled(socket, Arc::clone(cable)),
        }
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

fn plain(socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    socket.set_nonblocking(true)?;
    Ok(Arc::new(PlainSocket::new(UdpSocket::from_std(socket)?)))
}

/// Sends and receives datagrams: the system's socket, or a test's with faults.
trait Datagrams: fmt::Debug + Send + Sync + 'static {
    fn try_send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize>;
    fn poll_recv_from(
        &self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>>;
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send + Sync;
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

impl Datagrams for UdpSocket {
    fn try_send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        UdpSocket::try_send_to(self, datagram, to)
    }

    fn poll_recv_from(
        &self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        UdpSocket::poll_recv_from(self, context, into)
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send + Sync {
        UdpSocket::writable(self)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        UdpSocket::local_addr(self)
    }
}

#[derive(Debug)]
struct PlainSocket<D> {
    socket: Arc<D>,
    complained: Mutex<Option<Instant>>,
    /// Receiving rests until then.
    rest: Mutex<Option<Pin<Box<Sleep>>>>,
}

impl<D: Datagrams> PlainSocket<D> {
    fn new(socket: D) -> PlainSocket<D> {
        PlainSocket { socket: Arc::new(socket), complained: Mutex::default(), rest: Mutex::default() }
    }

    /// Says what is wrong, and not once for every datagram.
    fn complain(&self, error: &io::Error, what: &str) {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY) {
            *complained = Some(Instant::now());
            tracing::warn!(%error, "{what}; the socket stays open. Is the network's cable plugged in?");
        }
    }

    /// Ready once receiving may go on.
    fn poll_rest(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sleeping) = rest.as_mut() {
            ready!(Future::poll(sleeping.as_mut(), context));
            *rest = None;
        }
        Poll::Ready(())
    }

    fn begin_to_rest(&self) {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(sleep(REST)));
    }
}

impl<D: Datagrams> AsyncUdpSocket for PlainSocket<D> {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(WritablePoller { socket: Arc::clone(&self.socket), waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        debug_assert!(transmit.segment_size.is_none(), "segmentation was never offered");
        match self.socket.try_send_to(transmit.contents, transmit.destination) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                self.complain(&error, "a datagram could not be sent");
                Ok(())
            }
            Ok(_sent) => Ok(()),
        }
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        loop {
            ready!(self.poll_rest(context));
            for _ in 0..ERRORS_IN_A_ROW_MAX {
                let mut filled = ReadBuf::new(buffer);
                match ready!(self.socket.poll_recv_from(context, &mut filled)) {
                    Ok(from) => {
                        let bytes = filled.filled().len();
                        *meta = RecvMeta { addr: from, len: bytes, stride: bytes, ecn: None, dst_ip: None };
                        return Poll::Ready(Ok(1));
                    }
                    Err(error) if is_about_one_datagram(&error) => {}
                    Err(error) => self.complain(&error, "nothing could be received"),
                }
            }
            self.begin_to_rest();
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Windows reports here that an earlier datagram met a closed port (10054), or that one was longer than
/// the buffer (10040). Neither is worth a word.
fn is_about_one_datagram(error: &io::Error) -> bool {
    const MESSAGE_TOO_LONG: i32 = 10040;
    error.kind() == io::ErrorKind::ConnectionReset || error.raw_os_error() == Some(MESSAGE_TOO_LONG)
}

/// Waits until the socket takes datagrams again. Each connection has its own, since tokio remembers only
/// the last task that polls a socket directly.
struct WritablePoller<D> {
    socket: Arc<D>,
    waiting: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl<D: Datagrams> UdpPoller for WritablePoller<D> {
    fn poll_writable(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = Arc::clone(&self.socket);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(async move { socket.writable().await }));
        let writable = ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        Poll::Ready(writable)
    }
}

impl<D> fmt::Debug for WritablePoller<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WritablePoller").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::Waker;
    use tokio::sync::watch;

    /// What a network card says without its cable.
    const NETWORK_DOWN: io::ErrorKind = io::ErrorKind::NetworkDown;

    /// A cable that can be pulled: nothing can be sent or received then. A half broken one only sends.
    #[derive(Debug, Default)]
    pub(crate) struct Cable {
        pulled: AtomicBool,
        half_broken: AtomicBool,
        received: AtomicUsize,
        /// Datagrams that could not be sent.
        lost: watch::Sender<usize>,
    }

    impl Cable {
        pub(crate) fn pull(&self) {
            self.pulled.store(true, Ordering::Relaxed);
        }

        pub(crate) fn half_broken() -> Cable {
            Cable { half_broken: true.into(), ..Cable::default() }
        }

        pub(crate) fn plug_in(&self) {
            self.pulled.store(false, Ordering::Relaxed);
        }

        pub(crate) async fn has_lost_datagrams(&self, count: usize) {
            self.lost.subscribe().wait_for(|lost| *lost >= count).await.unwrap();
        }
    }

    #[derive(Debug)]
    struct Cabled {
        socket: UdpSocket,
        cable: Arc<Cable>,
    }

    pub(crate) fn cabled(
        socket: std::net::UdpSocket,
        cable: Arc<Cable>,
    ) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        socket.set_nonblocking(true)?;
        Ok(Arc::new(PlainSocket::new(Cabled { socket: UdpSocket::from_std(socket)?, cable })))
    }

    impl Datagrams for Cabled {
        fn try_send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
            if self.cable.pulled.load(Ordering::Relaxed) {
                self.cable.lost.send_modify(|lost| *lost += 1);
                return Err(NETWORK_DOWN.into());
            }
            self.socket.try_send_to(datagram, to)
        }

        fn poll_recv_from(
            &self,
            context: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<SocketAddr>> {
            if self.cable.pulled.load(Ordering::Relaxed) {
                self.cable.received.fetch_add(1, Ordering::Relaxed);
                return Poll::Ready(Err(NETWORK_DOWN.into()));
            }
            while self.cable.half_broken.load(Ordering::Relaxed) {
                drop(ready!(self.socket.poll_recv_from(context, into)));
                into.clear();
            }
            self.socket.poll_recv_from(context, into)
        }

        fn writable(&self) -> impl Future<Output = io::Result<()>> + Send + Sync {
            self.socket.writable()
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            self.socket.local_addr()
        }
    }

    /// Polls once for a datagram.
    fn poll(socket: &dyn AsyncUdpSocket) -> Poll<io::Result<usize>> {
        let mut buffer = [0; 64];
        let mut context = Context::from_waker(Waker::noop());
        socket.poll_recv(&mut context, &mut [IoSliceMut::new(&mut buffer)], &mut [RecvMeta::default()])
    }

    #[tokio::test]
    async fn an_error_that_stays_is_neither_the_end_nor_a_busy_loop() {
        let cable = Arc::new(Cable::default());
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = cabled(socket, Arc::clone(&cable)).unwrap();
        cable.pull();
        assert!(poll(&*socket).is_pending());
        assert_eq!(cable.received.load(Ordering::Relaxed), ERRORS_IN_A_ROW_MAX);
        let datagram = Transmit {
            destination: socket.local_addr().unwrap(),
            ecn: None,
            contents: b"to myself",
            segment_size: None,
            src_ip: None,
        };
        socket.try_send(&datagram).unwrap();
        cable.plug_in();
        let mut writable = Arc::clone(&socket).create_io_poller();
        std::future::poll_fn(|context| writable.as_mut().poll_writable(context)).await.unwrap();
        socket.try_send(&datagram).unwrap();
        let mut buffer = [0; 64];
        let received = std::future::poll_fn(|context| {
            socket.poll_recv(context, &mut [IoSliceMut::new(&mut buffer)], &mut [RecvMeta::default()])
        });
        assert_eq!(received.await.unwrap(), 1, "it is woken after its rest");
        assert_eq!(&buffer[..9], b"to myself");
    }
}
