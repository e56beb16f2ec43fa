//! Messages on a QUIC stream.
//!
//! Responsible for: where one message ends and the next begins, and how large each may be. Not
//! responsible for: what they mean (`conversation` for clients, `quorum` for voters).
//!
//! A message is a header and a payload:
//!
//! ```text
//!  0  u32  bytes of the header    little endian
//!  4  u32  bytes of the payload   little endian
//!  8       header                 postcard of an enum whose variants are only ever appended to
//!          payload                verbatim: entries, frames, archives
//! ```
//!
//! Payloads are never encoded again: journal frames go out from the memory map that they lie in. Nothing
//! is reserved for what a length announces; memory grows with what has arrived, up to the limit.

use bytes::{Buf, Bytes, BytesMut};
use quinn::{ReadError, RecvStream, SendStream, VarInt, WriteError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The two lengths.
const PREFIX_BYTES: usize = 8;

/// As much as is taken from a stream at once.
const READ_BYTES: usize = 64 * 1024;

/// How large a message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) header_bytes_max: usize,
    pub(crate) payload_bytes_max: usize,
}

/// A message could not be read or written. The stream is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("a message announces a header of {found} bytes; at most {max} are allowed")]
    HeaderTooLarge { found: usize, max: usize },
    #[error("a message announces a payload of {found} bytes; at most {max} are allowed")]
    PayloadTooLarge { found: usize, max: usize },
    #[error("a message's header cannot be decoded: {0}")]
    Header(postcard::Error),
    #[error("a message's header is followed by {bytes} bytes that do not belong to it")]
    HeaderTail { bytes: usize },
    #[error("the stream ends in the middle of a message")]
    Truncated,
    #[error("cannot read: {0}")]
    Read(#[from] ReadError),
    #[error("cannot write: {0}")]
    Write(#[from] WriteError),
}

impl WireError {
    /// Whether the other end broke the rules, rather than went away.
    pub(crate) fn is_malformed(&self) -> bool {
        !matches!(self, WireError::Read(_) | WireError::Write(_))
    }
}

/// Puts messages together from whatever pieces arrive.
#[derive(Debug)]
pub(crate) struct Decoder {
    limits: Limits,
    buffer: BytesMut,
}

impl Decoder {
    pub(crate) fn new(limits: Limits) -> Decoder {
        Decoder { limits, buffer: BytesMut::new() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a message has begun to arrive.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next message, once all of it has arrived.
    pub(crate) fn take<H: DeserializeOwned>(&mut self) -> Result<Option<(H, Bytes)>, WireError> {
        let Some((lengths, _)) = self.buffer.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let (header_bytes, payload_bytes) = parse_prefix(*lengths);
        let Limits { header_bytes_max, payload_bytes_max } = self.limits;
        // Judged as soon as it is announced: what is too large need not arrive first.
        if header_bytes > header_bytes_max {
            return Err(WireError::HeaderTooLarge { found: header_bytes, max: header_bytes_max });
        }
        if payload_bytes > payload_bytes_max {
            return Err(WireError::PayloadTooLarge { found: payload_bytes, max: payload_bytes_max });
        }
        let message_bytes = PREFIX_BYTES + header_bytes + payload_bytes;
        if self.buffer.len() < message_bytes {
            return Ok(None);
        }
        let mut message = self.buffer.split_to(message_bytes).freeze();
        message.advance(PREFIX_BYTES);
        let header = decode_header(&message.split_to(header_bytes))?;
        Ok(Some((header, message)))
    }
}

fn parse_prefix(prefix: [u8; PREFIX_BYTES]) -> (usize, usize) {
    let [a, b, c, d, e, f, g, h] = prefix;
    let length = |bytes| usize::try_from(u32::from_le_bytes(bytes)).expect("at least 32 bits in a usize");
    (length([a, b, c, d]), length([e, f, g, h]))
}

fn decode_header<H: DeserializeOwned>(bytes: &[u8]) -> Result<H, WireError> {
    let (header, rest) = postcard::take_from_bytes(bytes).map_err(WireError::Header)?;
    if !rest.is_empty() {
        return Err(WireError::HeaderTail { bytes: rest.len() });
    }
    Ok(header)
}

/// Both lengths and the header of a message whose payload has `payload_bytes`.
///
/// # Panics
/// If a length does not fit into 32 bits: every limit is far below.
pub(crate) fn encode_prefix<H: Serialize>(header: &H, payload_bytes: usize) -> Bytes {
    let mut encoded =
        postcard::to_extend(header, vec![0; PREFIX_BYTES]).expect("a header of plain values encodes");
    let length = |bytes: usize| u32::try_from(bytes).expect("a message is far below 4 GiB").to_le_bytes();
    let header_length = length(encoded.len() - PREFIX_BYTES);
    encoded[..4].copy_from_slice(&header_length);
    encoded[4..PREFIX_BYTES].copy_from_slice(&length(payload_bytes));
    encoded.into()
}

/// The messages that arrive on a stream.
#[derive(Debug)]
pub(crate) struct MessageReader {
    stream: RecvStream,
    decoder: Decoder,
}

impl MessageReader {
    pub(crate) fn new(stream: RecvStream, limits: Limits) -> MessageReader {
        MessageReader { stream, decoder: Decoder::new(limits) }
    }

    /// The messages from now on may have another size.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.decoder.limits = limits;
    }

    /// The next message; `None` when the other end has finished.
    ///
    /// May be dropped at any time without losing anything.
    pub(crate) async fn next<H: DeserializeOwned>(&mut self) -> Result<Option<(H, Bytes)>, WireError> {
        loop {
            if let Some(message) = self.decoder.take()? {
                return Ok(Some(message));
            }
            match self.stream.read_chunk(READ_BYTES, true).await? {
                Some(chunk) => self.decoder.push(&chunk.bytes),
                None if self.decoder.is_empty() => return Ok(None),
                None => return Err(WireError::Truncated),
            }
        }
    }
}

/// The messages that leave on a stream.
///
/// Dropped unfinished it resets the stream: the other end then knows that it was abandoned, and does not
/// take half a message for a broken one.
#[derive(Debug)]
pub(crate) struct MessageWriter {
    stream: SendStream,
    finished: bool,
}

impl MessageWriter {
    pub(crate) fn new(stream: SendStream) -> MessageWriter {
        MessageWriter { stream, finished: false }
    }

    /// Writes a message, and waits while the other end reads slower than this end writes.
    ///
    /// If it is dropped before it is done, the stream is of no use any more.
    pub(crate) async fn write<H: Serialize>(
        &mut self,
        header: &H,
        payload: &[Bytes],
    ) -> Result<(), WireError> {
        let payload_bytes = payload.iter().map(Bytes::len).sum();
        self.stream.write_chunk(encode_prefix(header, payload_bytes)).await?;
        for piece in payload {
            self.stream.write_chunk(piece.clone()).await?;
        }
        Ok(())
    }

    /// Says that nothing more will come.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
        // An error says that the stream is closed already, which is as good.
        drop(self.stream.finish());
    }

    /// Returns when the other end does not want any more, or is gone.
    pub(crate) async fn stopped(&self) {
        // Why it was stopped makes no difference.
        drop(self.stream.stopped().await);
    }

    pub(crate) fn set_priority(&self, priority: i32) {
        // An error says that the stream is closed, which the next write reports.
        drop(self.stream.set_priority(priority));
    }
}

impl Drop for MessageWriter {
    fn drop(&mut self) {
        if !self.finished {
            // An error says that the stream is closed already.
            drop(self.stream.reset(VarInt::from_u32(0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Header {
        First { number: u64 },
        Second(Vec<u8>),
    }

    const LIMITS: Limits = Limits { header_bytes_max: 100, payload_bytes_max: 1000 };

    fn message(header: &Header, payload: &[u8]) -> Vec<u8> {
        [&encode_prefix(header, payload.len())[..], payload].concat()
    }

    #[test]
    fn messages_arrive_in_whatever_pieces() {
        let sent = [
            message(&Header::First { number: 300 }, b"payload"),
            message(&Header::Second(vec![1, 2, 3]), b""),
            message(&Header::First { number: 7 }, &[9; 1000]),
        ]
        .concat();
        for piece in [1, 2, 7, 8, 9, 50, sent.len()] {
            let mut decoder = Decoder::new(LIMITS);
            let mut received = Vec::new();
            for bytes in sent.chunks(piece) {
                decoder.push(bytes);
                while let Some((header, payload)) = decoder.take::<Header>().unwrap() {
                    received.push((header, payload.len()));
                }
            }
            let expected = vec![
                (Header::First { number: 300 }, 7),
                (Header::Second(vec![1, 2, 3]), 0),
                (Header::First { number: 7 }, 1000),
            ];
            assert_eq!(received, expected, "in pieces of {piece}");
            assert!(decoder.is_empty());
        }
    }

    #[test]
    fn a_truncated_message_is_never_taken_for_a_whole_one() {
        let sent = message(&Header::Second(vec![5; 40]), &[6; 60]);
        for length in 0..sent.len() {
            let mut decoder = Decoder::new(LIMITS);
            decoder.push(&sent[..length]);
            assert!(decoder.take::<Header>().unwrap().is_none(), "took {length} of {} bytes", sent.len());
        }
    }

    #[test]
    fn what_is_too_large_is_refused_when_it_is_announced() {
        let check = |header: u32, payload: u32| {
            let mut decoder = Decoder::new(LIMITS);
            decoder.push(&[header.to_le_bytes(), payload.to_le_bytes()].concat());
            decoder.take::<Header>()
        };
        assert!(matches!(check(100, 1000), Ok(None)));
        assert!(matches!(check(101, 0), Err(WireError::HeaderTooLarge { found: 101, max: 100 })));
        assert!(matches!(check(1, u32::MAX), Err(WireError::PayloadTooLarge { .. })));
    }

    #[test]
    fn a_header_is_decoded_whole_or_not_at_all() {
        let check = |header: &[u8]| {
            let mut decoder = Decoder::new(LIMITS);
            let length = u32::try_from(header.len()).unwrap();
            decoder.push(&[&length.to_le_bytes()[..], &[0; 4], header].concat());
            decoder.take::<Header>()
        };
        let good = postcard::to_allocvec(&Header::Second(vec![1, 2, 3])).unwrap();
        assert!(check(&good).is_ok());
        for length in 0..good.len() {
            assert!(matches!(check(&good[..length]), Err(WireError::Header(_))), "decoded {length} bytes");
        }
        assert!(matches!(check(&[&good[..], &[0]].concat()), Err(WireError::HeaderTail { bytes: 1 })));
        assert!(matches!(check(&[2]), Err(WireError::Header(_))), "an unknown variant");
        assert!(
            matches!(check(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(WireError::Header(_))),
            "an absurd length"
        );
    }
}
