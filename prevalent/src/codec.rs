//! Archives of user types: how they are written, and how untrusted bytes become values.
//!
//! Responsible for: the one set of rkyv strategies that all archives use, and their depth limits.
//! Not responsible for: checksums and schema tags. They stand outside an archive, and whoever stores
//! one checks them first: validation alone notices few of all flipped bits, and is no schema check.

use std::io;
use std::num::NonZeroUsize;

use rkyv::api::low::{LowDeserializer, LowValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::{self, Source, Strategy};
use rkyv::ser::allocator::{Arena, ArenaHandle};
use rkyv::ser::{Positional, Serializer, Writer};
use rkyv::validation::archive::ArchiveValidator;
use rkyv::{Archive, Deserialize, Portable, Serialize};

/// How archives are written. Without a sharing strategy an `Rc` in a state does not compile: two
/// machines would archive it differently.
pub type Encoder<'o, 'a> = Strategy<Serializer<Out<'o>, ArenaHandle<'a>, ()>, rancor::Error>;
/// How archives become values again.
pub type Decoder = LowDeserializer<rancor::Error>;
/// How archives are checked before anything in them is touched.
pub type Validator<'a> = LowValidator<'a, rancor::Error>;

/// Values that can be archived, checked and read back: everything that derives rkyv's `Archive`,
/// `Serialize` and `Deserialize`. Never implemented by hand.
pub trait Stored:
    Sized
    + Send
    + 'static
    + Archive<Archived: Portable + for<'a> CheckBytes<Validator<'a>> + Deserialize<Self, Decoder>>
    + for<'o, 'a> Serialize<Encoder<'o, 'a>>
{
}

impl<T> Stored for T
where
    T: Sized + Send + 'static + Archive + for<'o, 'a> Serialize<Encoder<'o, 'a>>,
    T::Archived: Portable + for<'a> CheckBytes<Validator<'a>> + Deserialize<T, Decoder>,
{
}

/// Commands nest at most this deep. Checking an archive recurses, and a command of a few megabytes can
/// nest deep enough to overflow the stack, which no `catch_unwind` survives.
const COMMAND_DEPTH_MAX: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// States nest at most this deep: they come from this program's own snapshots, whose checksum was right.
const STATE_DEPTH_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// An archive could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The value could not be archived; nothing usable was written.
    #[error("cannot write an archive of {type_name}: {source}")]
    Encode {
        /// The Rust type.
        type_name: &'static str,
        /// What rkyv said.
        source: rancor::Error,
    },
    /// The bytes are not a well-formed archive of this type, or nest too deep.
    #[error(
        "these {bytes} bytes are no valid archive of {type_name} (or nest deeper than {depth_max}): {source}"
    )]
    Decode {
        /// The Rust type.
        type_name: &'static str,
        /// How many bytes there were.
        bytes: usize,
        /// How deep the type may nest.
        depth_max: NonZeroUsize,
        /// What rkyv said.
        source: rancor::Error,
    },
}

/// Where an archive goes: appended to a buffer, or streamed to a writer with constant memory.
pub enum Out<'a> {
    /// Appends. Positions count from the archive's own start.
    Memory {
        /// The buffer; what it held before stays.
        to: &'a mut Vec<u8>,
        /// The length the buffer had at the start.
        start: usize,
    },
    /// Writes through.
    Stream {
        /// Receives the archive in order.
        to: &'a mut dyn io::Write,
        /// Bytes written so far.
        written: usize,
    },
}

impl Positional for Out<'_> {
    fn pos(&self) -> usize {
        match self {
            Out::Memory { to, start } => to.len() - start,
            Out::Stream { written, .. } => *written,
        }
    }
}

impl Writer<rancor::Error> for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), rancor::Error> {
        match self {
            Out::Memory { to, .. } => to.extend_from_slice(bytes),
            Out::Stream { to, written } => {
                to.write_all(bytes).map_err(rancor::Error::new)?;
                *written += bytes.len();
            }
        }
        Ok(())
    }
}

/// Archives `value` to `out`.
///
/// # Errors
/// If the writer fails; what was written until then is not an archive.
pub fn encode_into<T: Stored>(value: &T, out: Out<'_>) -> Result<(), CodecError> {
    let write = |arena: &mut Arena, out| {
        let mut serializer = Serializer::new(out, arena.acquire(), ());
        rkyv::api::serialize_using(value, Encoder::wrap(&mut serializer))
    };
    match out {
        // The thread's own arena keeps its memory between calls, so a command encodes without allocating.
        Out::Memory { .. } => rkyv::util::with_arena(|arena| write(arena, out)),
        // A state can make an arena large: this one is given back.
        Out::Stream { .. } => write(&mut Arena::new(), out),
    }
    .map(|_root_position| ())
    .map_err(|source| CodecError::Encode { type_name: std::any::type_name::<T>(), source })
}

/// Appends an archive of `value` to `out`.
///
/// # Errors
/// If the type refuses to be archived; `out` is then as it was before.
pub fn encode<T: Stored>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    let encoded = encode_into(value, Out::Memory { to: out, start });
    if encoded.is_err() {
        out.truncate(start);
    }
    encoded
}

/// Reads a command, query, answer, outcome or rejection.
///
/// # Errors
/// If the bytes are not a well-formed archive of `T`, or nest deeper than commands may.
pub fn decode<T: Stored>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_within(bytes, COMMAND_DEPTH_MAX)
}

/// Checks a command without building it.
///
/// # Errors
/// As [`decode`].
pub fn validate<T: Stored>(bytes: &[u8]) -> Result<(), CodecError> {
    check::<T>(bytes, COMMAND_DEPTH_MAX).map(|_archived| ())
}

/// Reads a state.
///
/// # Errors
/// If the bytes are not a well-formed archive of `T`, or nest deeper than states may.
pub fn decode_state<T: Stored>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_within(bytes, STATE_DEPTH_MAX)
}

fn decode_within<T: Stored>(bytes: &[u8], depth_max: NonZeroUsize) -> Result<T, CodecError> {
    let archived = check::<T>(bytes, depth_max)?;
    rkyv::api::deserialize_using(archived, Strategy::<(), rancor::Error>::wrap(&mut ()))
        .map_err(|source| refused::<T>(bytes, depth_max, source))
}

fn check<T: Stored>(bytes: &[u8], depth_max: NonZeroUsize) -> Result<&T::Archived, CodecError> {
    let archive = ArchiveValidator::with_max_depth(bytes, Some(depth_max));
    let mut validator = rkyv::validation::Validator::new(archive, ());
    rkyv::api::access_with_context::<T::Archived, _, rancor::Error>(bytes, &mut validator)
        .map_err(|source| refused::<T>(bytes, depth_max, source))
}

fn refused<T>(bytes: &[u8], depth_max: NonZeroUsize, source: rancor::Error) -> CodecError {
    CodecError::Decode { type_name: std::any::type_name::<T>(), bytes: bytes.len(), depth_max, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Archive, Serialize, Deserialize)]
    struct Note {
        lines: Vec<String>,
        number: u64,
    }

    /// A recursive type needs its bounds spelled out, as rkyv cannot infer them through the recursion.
    #[derive(Debug, PartialEq, Archive, Serialize, Deserialize)]
    #[rkyv(serialize_bounds(__S: Writer + rkyv::ser::Allocator, __S::Error: Source))]
    #[rkyv(deserialize_bounds(__D::Error: Source))]
    #[rkyv(bytecheck(bounds(__C: rkyv::validation::ArchiveContext, __C::Error: Source)))]
    struct Nested {
        #[rkyv(omit_bounds)]
        inner: Option<Box<Nested>>,
    }

    fn nested(levels: usize) -> Nested {
        (0..levels).fold(Nested { inner: None }, |inner, _| Nested { inner: Some(Box::new(inner)) })
    }

    #[test]
    fn a_value_survives_both_ways_of_writing() {
        let note = Note { lines: vec!["first".into(), "second".into()], number: 7 };
        let mut buffer = vec![1, 2, 3];
        encode(&note, &mut buffer).unwrap();
        let mut stream = Vec::new();
        encode_into(&note, Out::Stream { to: &mut stream, written: 0 }).unwrap();
        assert_eq!(&buffer[3..], &stream[..], "the archive does not depend on where it was written");
        assert_eq!(decode::<Note>(&buffer[3..]).unwrap(), note);
    }

    #[test]
    fn every_truncation_is_refused_or_at_least_harmless() {
        let mut bytes = Vec::new();
        encode(&Note { lines: vec!["a longer line than fits inline".into()], number: 7 }, &mut bytes)
            .unwrap();
        for length in 0..bytes.len() {
            assert!(decode::<Note>(&bytes[..length]).is_err(), "accepted {length} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn a_deep_command_is_refused_where_a_state_is_not() {
        let mut bytes = Vec::new();
        encode(&nested(40), &mut bytes).unwrap();
        assert_eq!(decode::<Nested>(&bytes).unwrap(), nested(40));
        bytes.clear();
        encode(&nested(200), &mut bytes).unwrap();
        assert!(matches!(decode::<Nested>(&bytes), Err(CodecError::Decode { .. })));
        assert_eq!(decode_state::<Nested>(&bytes).unwrap(), nested(200));
        assert!(validate::<Nested>(&bytes).is_err());
    }
}
