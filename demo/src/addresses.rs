//! Addresses for the voters of a local cluster.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Below what systems give to sockets that ask for any port: while a voter is dead, nobody must be given
/// the port that it will come back to.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// No address is free.
#[derive(Debug, thiserror::Error)]
#[error("no UDP port from {} to {} is free on 127.0.0.1: {last}", PORTS.start, PORTS.end)]
pub struct NoAddress {
    last: io::Error,
}

/// A loopback address for each of so many PCs, each with a port that is free now.
pub(crate) fn free_addresses(count: usize) -> Result<Vec<SocketAddr>, NoAddress> {
    (0..count).map(|pc| free_address(loopback(pc))).collect()
}

/// 127.0.0.1 and following: one for each PC, as on a real network. Where the system has only the first,
/// all have that.
fn loopback(pc: usize) -> Ipv4Addr {
    let own = u8::try_from(pc + 1).map_or(Ipv4Addr::LOCALHOST, |last| Ipv4Addr::new(127, 0, 0, last));
    if is_seen_as(own).unwrap_or(false) { own } else { Ipv4Addr::LOCALHOST }
}

/// Whether what is sent from an address arrives as coming from there. Wine lets 127.0.0.2 be bound, sends
/// from 127.0.0.1 all the same, and nobody would take that for an answer from 127.0.0.2.
fn is_seen_as(own: Ipv4Addr) -> io::Result<bool> {
    let (sender, receiver) = (UdpSocket::bind((own, 0))?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    sender.send_to(&[1], receiver.local_addr()?)?;
    receiver.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (_, from) = receiver.recv_from(&mut [0])?;
    Ok(from == sender.local_addr()?)
}

fn free_address(own: Ipv4Addr) -> Result<SocketAddr, NoAddress> {
    // Several clusters may start at once: each tries its ports in another order. (A hasher's keys are the
    // standard library's source of randomness.)
    let start = RandomState::new().build_hasher().finish();
    let ports = u64::from(PORTS.end - PORTS.start);
    let mut last = io::ErrorKind::AddrInUse.into();
    for attempt in 0..ports {
        let offset = u16::try_from(start.wrapping_add(attempt) % ports).expect("below the number of ports");
        let address = SocketAddr::from((own, PORTS.start + offset));
        match UdpSocket::bind(address) {
            Ok(_free) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(NoAddress { last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pc_gets_an_address_that_is_free() {
        let addresses = free_addresses(9).unwrap();
        let sockets: Vec<UdpSocket> =
            addresses.iter().map(|address| UdpSocket::bind(address).unwrap()).collect();
        assert_eq!(sockets.len(), 9);
        assert!(addresses.iter().all(|address| PORTS.contains(&address.port())));
    }
}
