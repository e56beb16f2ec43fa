//! The UDP socket under QUIC, also where quinn's own cannot be opened.
//!
//! Responsible for: a plain socket as a substitute. Not responsible for: anything above datagrams.
//!
//! quinn-udp asks the system for congestion marks and segmentation offload, and gives up where the
//! options for the marks do not exist: on Windows 7. QUIC needs neither. The plain socket sends and
//! receives one datagram a call, without marks; packets may be fragmented, so quinn does not probe for a
//! larger packet size.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// Which socket to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sockets {
    /// quinn's where it can be opened, else the plain one.
    Best,
    /// The plain one: what Windows 7 gets, so that it can be tested anywhere.
    #[cfg(test)]
    Plain,
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
        }
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

fn plain(socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    socket.set_nonblocking(true)?;
    Ok(Arc::new(PlainSocket { socket: Arc::new(UdpSocket::from_std(socket)?) }))
}

#[derive(Debug)]
struct PlainSocket {
    socket: Arc<UdpSocket>,
}

impl AsyncUdpSocket for PlainSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(WritablePoller { socket: Arc::clone(&self.socket), waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        debug_assert!(transmit.segment_size.is_none(), "segmentation was never offered");
        self.socket.try_send_to(transmit.contents, transmit.destination).map(|_sent| ())
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
            let mut filled = ReadBuf::new(buffer);
            match ready!(self.socket.poll_recv_from(context, &mut filled)) {
                Ok(from) => {
                    let bytes = filled.filled().len();
                    *meta = RecvMeta { addr: from, len: bytes, stride: bytes, ecn: None, dst_ip: None };
                    return Poll::Ready(Ok(1));
                }
                // Not about what is received: each takes one datagram or report off the queue, so this
                // ends when the queue is empty.
                Err(error) if is_about_one_datagram(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Windows reports here that an earlier datagram met a closed port (10054), or that one was longer than
/// the buffer (10040). Neither says anything about the socket.
fn is_about_one_datagram(error: &io::Error) -> bool {
    const MESSAGE_TOO_LONG: i32 = 10040;
    error.kind() == io::ErrorKind::ConnectionReset || error.raw_os_error() == Some(MESSAGE_TOO_LONG)
}

/// Waits until the socket takes datagrams again. Each connection has its own, since tokio remembers only
/// the last task that polls a socket directly.
struct WritablePoller {
    socket: Arc<UdpSocket>,
    waiting: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl UdpPoller for WritablePoller {
    fn poll_writable(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = Arc::clone(&self.socket);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(async move { socket.writable().await }));
        let writable = ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        Poll::Ready(writable)
    }
}

impl fmt::Debug for WritablePoller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WritablePoller").finish_non_exhaustive()
    }
}
