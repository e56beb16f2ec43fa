//! Entries: what an index numbers.
//!
//! Responsible for: how an entry is laid out, and that entries laid out by somebody else are well-formed
//! before anything in them is used.
//! Not responsible for: what a payload means (`engine`), and who may send which kind.
//!
//! ```text
//! payload_bytes u32 | kind u8 | 3 zeros | session u64 | sequence u64 | lowest_unacknowledged u64
//! payload, filled up with zeros to a multiple of 8
//! ```

use thiserror::Error;

use crate::{Sequence, SessionId};

/// What stands before each payload.
pub const ENTRY_HEADER_BYTES: usize = 32;
/// The largest payload. A command is held in memory several times over while it travels.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// Entries start at multiples of this, so that a payload can be read in place as an archive.
const ALIGNMENT: usize = 8;

const _: () =
    assert!(ENTRY_HEADER_BYTES.is_multiple_of(ALIGNMENT) && PAYLOAD_BYTES_MAX.is_multiple_of(ALIGNMENT));

/// What an entry is. The numbers are a disk format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// Nothing: a new master's first entry, which lets it commit what it inherited.
    Noop = 1,
    /// Opens a session.
    Register = 2,
    /// Ends a session that nobody has used for long.
    Expire = 3,
    /// The voters from here on.
    Members = 4,
    /// From here on the journal may hold what older programs don't know.
    Feature = 5,
    /// An entry that must not be executed.
    Quarantine = 6,
    /// A change of the state.
    Command = 7,
}

impl EntryKind {
    fn from_byte(byte: u8) -> Option<EntryKind> {
        use EntryKind::{Command, Expire, Feature, Members, Noop, Quarantine, Register};
        [Noop, Register, Expire, Members, Feature, Quarantine, Command]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// One entry, its payload borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What it is.
    pub kind: EntryKind,
    /// Whose command it is; 0 for the journal's own entries.
    pub session: SessionId,
    /// The client's number of the command; 0 for the journal's own entries.
    pub sequence: Sequence,
    /// The client has seen the answers of all sequences below this one.
    pub lowest_unacknowledged: Sequence,
    /// The archive of a command, or what the kind prescribes.
    pub payload: &'a [u8],
}

/// Bytes that are no well-formed entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EntryError {
    /// An entry is longer than what is left.
    #[error("the entry at byte {offset} needs {needed} bytes, {available} are there")]
    Cut {
        /// Where the entry starts.
        offset: usize,
        /// Its length.
        needed: usize,
        /// What is left.
        available: usize,
    },
    /// Larger than any payload may be.
    #[error(
        "a payload of {bytes} bytes was refused: at most {PAYLOAD_BYTES_MAX} are allowed; split the command"
    )]
    TooLarge {
        /// The payload's length.
        bytes: usize,
    },
    /// A newer program wrote it. To skip it would be to have another state than the others.
    #[error(
        "the entry at byte {offset} is of kind {kind}, which this version does not know: install a newer version"
    )]
    UnknownKind {
        /// Where the entry starts.
        offset: usize,
        /// The kind.
        kind: u8,
    },
    /// Bytes that are always zero are not.
    #[error("the entry at byte {offset} has other bytes than zeros in its padding")]
    Padding {
        /// Where the entry starts.
        offset: usize,
    },
}

impl<'a> Entry<'a> {
    /// One of the journal's own entries, which belong to no session.
    #[must_use]
    pub fn internal(kind: EntryKind, payload: &'a [u8]) -> Entry<'a> {
        Entry {
            kind,
            session: SessionId(0),
            sequence: Sequence(0),
            lowest_unacknowledged: Sequence(0),
            payload,
        }
    }

    /// How many bytes it takes in a frame.
    #[must_use]
    pub fn bytes(&self) -> usize {
        ENTRY_HEADER_BYTES + self.payload.len().next_multiple_of(ALIGNMENT)
    }

    /// Appends the entry to `out`.
    ///
    /// # Errors
    /// [`EntryError::TooLarge`]; `out` is then as it was.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), EntryError> {
        self.write_with(out, |out| {
            out.extend_from_slice(self.payload);
            Ok(())
        })
    }

    /// Appends an entry with the payload that `fill` appends instead of this one's: a command is archived
    /// right where it is sent from.
    ///
    /// # Errors
    /// What `fill` says, or [`EntryError::TooLarge`]; `out` is then as it was.
    pub fn write_with<E: From<EntryError>>(
        &self,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = out.len();
        out.extend_from_slice(&[0; ENTRY_HEADER_BYTES]);
        let filled = fill(out).and_then(|()| {
            let bytes = out.len() - start - ENTRY_HEADER_BYTES;
            let too_large = E::from(EntryError::TooLarge { bytes });
            u32::try_from(bytes).ok().filter(|_| bytes <= PAYLOAD_BYTES_MAX).ok_or(too_large)
        });
        let payload_bytes = match filled {
            Ok(bytes) => bytes,
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        };
        out.resize(start + (out.len() - start).next_multiple_of(ALIGNMENT), 0);
        let header = &mut out[start..start + ENTRY_HEADER_BYTES];
        header[0..4].copy_from_slice(&payload_bytes.to_le_bytes());
        header[4] = self.kind as u8;
        header[8..16].copy_from_slice(&self.session.0.to_le_bytes());
        header[16..24].copy_from_slice(&self.sequence.0.to_le_bytes());
        header[24..32].copy_from_slice(&self.lowest_unacknowledged.0.to_le_bytes());
        Ok(())
    }

    /// Reads the entry that starts at `offset`.
    fn read(all: &'a [u8], offset: usize) -> Result<Entry<'a>, EntryError> {
        let rest = &all[offset..];
        let cut = |needed| EntryError::Cut { offset, needed, available: rest.len() };
        let (header, body) = rest.split_first_chunk::<ENTRY_HEADER_BYTES>().ok_or(cut(ENTRY_HEADER_BYTES))?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| header[at + byte]));
        let payload_bytes = u32::from_le_bytes(std::array::from_fn(|byte| header[byte])) as usize;
        if payload_bytes > PAYLOAD_BYTES_MAX {
            return Err(EntryError::TooLarge { bytes: payload_bytes });
        }
        let padded = payload_bytes.next_multiple_of(ALIGNMENT);
        let (payload, padding) =
            body.get(..padded).ok_or(cut(ENTRY_HEADER_BYTES + padded))?.split_at(payload_bytes);
        let kind =
            EntryKind::from_byte(header[4]).ok_or(EntryError::UnknownKind { offset, kind: header[4] })?;
        if header[5..8].iter().chain(padding).any(|byte| *byte != 0) {
            return Err(EntryError::Padding { offset });
        }
        Ok(Entry {
            kind,
            session: SessionId(number(8)),
            sequence: Sequence(number(16)),
            lowest_unacknowledged: Sequence(number(24)),
            payload,
        })
    }
}

/// Well-formed entries in one piece, as a client sends them and as a frame holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    count: u32,
}

impl<'a> Entries<'a> {
    /// Checks bytes from anywhere.
    ///
    /// # Errors
    /// If anything in them is not as this program would have written it.
    pub fn check(bytes: &'a [u8]) -> Result<Entries<'a>, EntryError> {
        let (mut offset, mut count) = (0, 0);
        while offset < bytes.len() {
            offset += Entry::read(bytes, offset)?.bytes();
            count += 1;
        }
        Ok(Entries { bytes, count })
    }

    /// Bytes that have been checked before.
    pub(crate) fn checked(bytes: &'a [u8], count: u32) -> Entries<'a> {
        Entries { bytes, count }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Their bytes, as they go into a frame.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let bytes = self.bytes;
        let mut offset = 0;
        std::iter::from_fn(move || {
            if offset == bytes.len() {
                return None;
            }
            let entry = Entry::read(bytes, offset).expect("entries are checked before they are used");
            offset += entry.bytes();
            Some(entry)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(payload: &[u8]) -> Entry<'_> {
        Entry {
            kind: EntryKind::Command,
            session: SessionId(7),
            sequence: Sequence(9),
            lowest_unacknowledged: Sequence(8),
            payload,
        }
    }

    fn bytes_of(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| entry.write(&mut bytes).unwrap());
        bytes
    }

    #[track_caller]
    fn check(entries: &[Entry<'_>]) {
        let bytes = bytes_of(entries);
        let read = Entries::check(&bytes).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), entries);
        assert_eq!(read.count() as usize, entries.len());
        assert_eq!(bytes.len(), entries.iter().map(Entry::bytes).sum::<usize>());
    }

    #[test]
    fn what_is_written_is_read() {
        check(&[]);
        check(&[command(b""), command(b"1"), command(b"12345678"), command(b"123456789")]);
        check(&[Entry::internal(EntryKind::Noop, b""), Entry::internal(EntryKind::Members, b"pc1")]);
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let mut expected = vec![3, 0, 0, 0, 7, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([9, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend(*b"abc\0\0\0\0\0");
        assert_eq!(bytes_of(&[command(b"abc")]), expected);
    }

    #[test]
    fn every_truncation_is_noticed() {
        let bytes = bytes_of(&[command(b"12345"), command(b"")]);
        for length in 1..bytes.len() {
            let whole = length == bytes_of(&[command(b"12345")]).len();
            assert_eq!(Entries::check(&bytes[..length]).is_ok(), whole, "{length} bytes");
        }
    }

    #[test]
    fn bytes_that_must_be_zero_are_checked() {
        let good = bytes_of(&[command(b"12345")]);
        for offset in [5, 6, 7, 37, 38, 39] {
            let mut bytes = good.clone();
            bytes[offset] = 1;
            assert_eq!(Entries::check(&bytes), Err(EntryError::Padding { offset: 0 }), "byte {offset}");
        }
    }

    #[test]
    fn an_unknown_kind_is_never_skipped() {
        for kind in [0, 8, 255] {
            let mut bytes = bytes_of(&[command(b""), command(b"")]);
            bytes[ENTRY_HEADER_BYTES + 4] = kind;
            let expected = EntryError::UnknownKind { offset: ENTRY_HEADER_BYTES, kind };
            assert_eq!(Entries::check(&bytes), Err(expected));
        }
    }

    #[test]
    fn payloads_have_a_limit() {
        let mut bytes = vec![1];
        command(&vec![1; PAYLOAD_BYTES_MAX]).write(&mut bytes).unwrap();
        let before = bytes.len();
        let too_large = command(&vec![1; PAYLOAD_BYTES_MAX + 1]).write(&mut bytes);
        assert_eq!(too_large, Err(EntryError::TooLarge { bytes: PAYLOAD_BYTES_MAX + 1 }));
        assert_eq!(bytes.len(), before, "a refused entry leaves the buffer as it was");

        let mut announced = bytes_of(&[command(b"")]);
        announced[0..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Entries::check(&announced), Err(EntryError::TooLarge { bytes: u32::MAX as usize }));
    }
}
