//! A message between voters as its bytes travel, for whoever carries them without QUIC: the simulator does.

use bytes::Bytes;
use quorum::Envelope;

use crate::peer::receive::LIMITS;
use crate::wire::{Decoder, WireError, encode_prefix};

/// These bytes are no message between voters.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct MalformedPacket(#[from] WireError);

/// A message and the bytes beside it, as a voter sends them.
#[must_use]
pub fn encode_packet(envelope: &Envelope, payload: &[u8]) -> Bytes {
    [&encode_prefix(envelope, payload.len()), payload].concat().into()
}

/// A message and the bytes beside it, as a voter takes them from a stream.
///
/// # Errors
/// If the bytes are not exactly one message within its limits.
pub fn decode_packet(bytes: &[u8]) -> Result<(Envelope, Bytes), MalformedPacket> {
    let mut decoder = Decoder::new(LIMITS);
    decoder.push(bytes);
    match decoder.take::<Envelope>()? {
        Some(packet) if decoder.is_empty() => Ok(packet),
        _ => Err(WireError::Truncated.into()),
    }
}

#[cfg(test)]
mod tests {
    use position::{ClusterId, Epoch, Incarnation, Member, MemberId};
    use quorum::Message;

    use super::*;

    #[test]
    fn a_packet_is_taken_as_it_was_sent_and_no_part_of_it() {
        let member = |id| Member { id: MemberId(id), incarnation: Incarnation(7) };
        let (from, to) = (member(1), member(2));
        let envelope = Envelope {
            cluster: ClusterId(9),
            from,
            to,
            boots: 3,
            process: 4,
            counter: 5,
            epoch: Epoch(6),
            message: Message::Nominate,
        };
        let bytes = encode_packet(&envelope, b"frames");
        let (found, payload) = decode_packet(&bytes).expect("it is whole");
        assert_eq!((found, &payload[..]), (envelope, &b"frames"[..]));
        for length in 0..bytes.len() {
            assert!(decode_packet(&bytes[..length]).is_err(), "{length} bytes of {}", bytes.len());
        }
        assert!(decode_packet(&[&bytes[..], b"x"].concat()).is_err());
    }
}
