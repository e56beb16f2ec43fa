//! The first 512 bytes of a snapshot file. Their table is in `docs/format/snapshot.md`, and a test holds the
//! two together.

use std::ops::Range;

use position::{ChainHash, ClusterId, ClusterLife, Epoch, Index, Position, Tip};

use crate::Flaw;

/// One sector: it arrives on the disk whole or not at all.
pub const HEADER_BYTES: usize = 512;

/// Raised when the layout changes. Files of every version that was ever released stay readable. Version 1 never was.
pub const FORMAT_VERSION: u32 = 2;

/// The longest name of a state's type.
pub const TYPE_NAME_BYTES_MAX: usize = 64;

const MAGIC_VALUE: [u8; 8] = *b"PVSNAP01";

const MAGIC: Range<usize> = 0..8;
const CHECKSUM: Range<usize> = 8..16;
const VERSION: Range<usize> = 16..20;
const SCHEMA: Range<usize> = 20..24;
const ARCHIVE_TAG: Range<usize> = 24..32;
const LAYOUT: Range<usize> = 32..40;
const CLUSTER: Range<usize> = 40..56;
const LIFE: Range<usize> = 56..64;
const EPOCH: Range<usize> = 64..72;
const INDEX: Range<usize> = 72..80;
const CHAIN_HASH: Range<usize> = 80..112;
const OUTCOME_HASH: Range<usize> = 112..144;
const TIME: Range<usize> = 144..152;
const LIST: Range<usize> = 152..160;
const ARCHIVE_BYTES: Range<usize> = 160..168;
const ARCHIVE_HASH: Range<usize> = 168..200;
const TYPE_NAME_BYTES: Range<usize> = 200..204;
const TYPE_NAME: Range<usize> = 204..268;
const ZERO: Range<usize> = 268..HEADER_BYTES;

/// What the header's checksum covers.
const COVERED: Range<usize> = 16..HEADER_BYTES;

const _: () = assert!(TYPE_NAME.end - TYPE_NAME.start == TYPE_NAME_BYTES_MAX);

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Stands for the layout of the archive. Archives do not describe themselves: bytes of one layout read as
    /// another can pass validation and be garbage, so this is compared first.
    pub archive_tag: u64,
    /// The name of the state's type, at most [`TYPE_NAME_BYTES_MAX`] bytes. For people.
    pub type_name: String,
    /// The version of the state's type.
    pub schema: u32,
    /// A fingerprint of how the archive is laid out. It changes with a type whose schema nobody raised.
    pub layout: u64,
    /// Whose state it is.
    pub cluster: ClusterId,
    /// The last entry whose effects are contained, and the hash of the journal up to it.
    pub tip: Tip,
    /// The chained hash over all answers up to that entry: machines that differ here have executed differently.
    pub outcome_hash: ChainHash,
    /// The number of the list of members that counts at that entry; 0 before the first. The archive holds the list.
    pub list: u64,
    /// When that entry was written, in nanoseconds since 1970.
    pub time: i64,
}

/// A head, and what is known once the archive is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) head: Head,
    pub(crate) archive_bytes: u64,
    pub(crate) archive_hash: [u8; 32],
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let Head { archive_tag, type_name, schema, layout, cluster, tip, outcome_hash, list, time } =
            &self.head;
        let type_name_bytes = u32::try_from(type_name.len()).expect("checked when the snapshot was begun");
        let mut block = [0; HEADER_BYTES];
        let mut put = |field: Range<usize>, bytes: &[u8]| block[field].copy_from_slice(bytes);
        put(MAGIC, &MAGIC_VALUE);
        put(VERSION, &FORMAT_VERSION.to_le_bytes());
        put(SCHEMA, &schema.to_le_bytes());
        put(ARCHIVE_TAG, &archive_tag.to_le_bytes());
        put(LAYOUT, &layout.to_le_bytes());
        put(CLUSTER, &cluster.0.to_le_bytes());
        put(LIFE, &ClusterLife::FIRST.0.to_le_bytes());
        put(EPOCH, &tip.epoch().0.to_le_bytes());
        put(INDEX, &tip.index().0.to_le_bytes());
        put(CHAIN_HASH, &tip.hash.0);
        put(OUTCOME_HASH, &outcome_hash.0);
        put(TIME, &time.to_le_bytes());
        put(LIST, &list.to_le_bytes());
        put(ARCHIVE_BYTES, &self.archive_bytes.to_le_bytes());
        put(ARCHIVE_HASH, &self.archive_hash);
        put(TYPE_NAME_BYTES, &type_name_bytes.to_le_bytes());
        put(TYPE_NAME.start..TYPE_NAME.start + type_name.len(), type_name.as_bytes());
        let checksum = checksum(&block);
        block[CHECKSUM].copy_from_slice(&checksum);
        block
    }

    /// Reads a header that nobody vouches for.
    pub(crate) fn decode(block: &[u8; HEADER_BYTES]) -> Result<Header, Flaw> {
        if block[MAGIC] != MAGIC_VALUE {
            return Err(Flaw::Magic);
        }
        // Before the checksum, since another version may have put that elsewhere.
        let version = u32::from_le_bytes(array(block, VERSION));
        if version != FORMAT_VERSION {
            // Damage makes no other version: with this one in its place the checksum would be right.
            let mut ours = *block;
            ours[VERSION].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
            let damaged = ours[CHECKSUM] == checksum(&ours);
            let other = Flaw::Version { found: version, known: FORMAT_VERSION };
            return Err(if damaged { Flaw::Header } else { other });
        }
        if block[CHECKSUM] != checksum(block) {
            return Err(Flaw::Header);
        }
        let life = ClusterLife(u64::from_le_bytes(array(block, LIFE)));
        if life != ClusterLife::FIRST {
            return Err(Flaw::Life { found: life });
        }
        let type_name = u32::from_le_bytes(array(block, TYPE_NAME_BYTES));
        let (type_name, padding) = usize::try_from(type_name)
            .ok()
            .and_then(|bytes| block[TYPE_NAME].split_at_checked(bytes))
            .ok_or(Flaw::Field { field: "length of the type name" })?;
        let type_name =
            std::str::from_utf8(type_name).map_err(|_| Flaw::Field { field: "type name" })?.to_string();
        if padding.iter().chain(&block[ZERO]).any(|byte| *byte != 0) {
            return Err(Flaw::Field { field: "byte that must be zero" });
        }
        let position = Position::new(
            Epoch(u64::from_le_bytes(array(block, EPOCH))),
            Index(u64::from_le_bytes(array(block, INDEX))),
        );
        let head = Head {
            archive_tag: u64::from_le_bytes(array(block, ARCHIVE_TAG)),
            type_name,
            schema: u32::from_le_bytes(array(block, SCHEMA)),
            layout: u64::from_le_bytes(array(block, LAYOUT)),
            cluster: ClusterId(u128::from_le_bytes(array(block, CLUSTER))),
            tip: Tip { position, hash: ChainHash(array(block, CHAIN_HASH)) },
            outcome_hash: ChainHash(array(block, OUTCOME_HASH)),
            list: u64::from_le_bytes(array(block, LIST)),
            time: i64::from_le_bytes(array(block, TIME)),
        };
        let archive_bytes = u64::from_le_bytes(array(block, ARCHIVE_BYTES));
        Ok(Header { head, archive_bytes, archive_hash: array(block, ARCHIVE_HASH) })
    }

    /// The length of the whole file; none if the header says more than a file can hold.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        self.archive_bytes.checked_add(HEADER_BYTES as u64)
    }
}

fn checksum(block: &[u8; HEADER_BYTES]) -> [u8; 8] {
    let hash = blake3::hash(&block[COVERED]);
    hash.as_bytes()[..8].try_into().expect("a hash is longer than a checksum")
}

fn array<const N: usize>(block: &[u8; HEADER_BYTES], field: Range<usize>) -> [u8; N] {
    block[field].try_into().expect("a field is as long as its type")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            head: Head {
                archive_tag: 1,
                type_name: "counter".into(),
                schema: 2,
                layout: 8,
                cluster: ClusterId(3),
                tip: Tip { position: Position::new(Epoch(4), Index(5)), hash: ChainHash([6; 32]) },
                outcome_hash: ChainHash([10; 32]),
                list: 11,
                time: -7,
            },
            archive_bytes: 8,
            archive_hash: [9; 32],
        }
    }

    /// Changes a valid header, gives it a right checksum again, and says how it is refused.
    fn check(change: impl Fn(&mut [u8; HEADER_BYTES]), flaw: Flaw) {
        let mut block = header().encode();
        change(&mut block);
        let checksum = checksum(&block);
        block[CHECKSUM].copy_from_slice(&checksum);
        assert_eq!(Header::decode(&block), Err(flaw));
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
        let mut longest = header();
        longest.head.type_name = "n".repeat(TYPE_NAME_BYTES_MAX);
        assert_eq!(Header::decode(&longest.encode()), Ok(longest));
    }

    #[test]
    fn a_version_that_is_damaged_is_none() {
        let mut block = header().encode();
        block[VERSION.start] ^= 4;
        assert_eq!(Header::decode(&block), Err(Flaw::Header));
    }

    #[test]
    fn an_intact_header_can_still_be_wrong() {
        check(|block| block[0] = b'X', Flaw::Magic);
        check(|block| block[VERSION.start] = 3, Flaw::Version { found: 3, known: 2 });
        check(|block| block[LIFE.start] = 2, Flaw::Life { found: ClusterLife(2) });
        check(|block| block[TYPE_NAME_BYTES.start] = 65, Flaw::Field { field: "length of the type name" });
        check(|block| block[TYPE_NAME.start] = 0xff, Flaw::Field { field: "type name" });
        check(|block| block[TYPE_NAME.end - 1] = 1, Flaw::Field { field: "byte that must be zero" });
        check(|block| block[HEADER_BYTES - 1] = 1, Flaw::Field { field: "byte that must be zero" });
    }

    #[test]
    fn the_documented_table_is_the_one_in_the_code() {
        let fields = [
            ("magic", MAGIC),
            ("header checksum", CHECKSUM),
            ("format version", VERSION),
            ("schema", SCHEMA),
            ("archive tag", ARCHIVE_TAG),
            ("layout fingerprint", LAYOUT),
            ("cluster", CLUSTER),
            ("life", LIFE),
            ("epoch", EPOCH),
            ("index", INDEX),
            ("chain hash", CHAIN_HASH),
            ("outcome hash", OUTCOME_HASH),
            ("time", TIME),
            ("list number", LIST),
            ("archive length", ARCHIVE_BYTES),
            ("archive hash", ARCHIVE_HASH),
            ("type name length", TYPE_NAME_BYTES),
            ("type name", TYPE_NAME),
            ("zero", ZERO),
        ];
        let mut end = 0;
        for (name, field) in &fields {
            assert_eq!(field.start, end, "{name} does not follow the field before it");
            end = field.end;
        }
        assert_eq!(end, HEADER_BYTES);

        let document = include_str!("../../docs/format/snapshot.md");
        let row =
            |(name, field): &(&str, Range<usize>)| format!("| {} | {} | {name} |", field.start, field.len());
        let rows: Vec<String> = fields.iter().map(row).collect();
        let documented: Vec<&str> = document
            .lines()
            .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
            .filter(|line| !line.contains("| archive |"))
            .collect();
        assert_eq!(documented.len(), rows.len());
        for (documented, row) in documented.iter().zip(&rows) {
            assert!(documented.starts_with(row.as_str()), "documented {documented}, in the code {row}");
        }
        assert!(document.contains(std::str::from_utf8(&MAGIC_VALUE).unwrap()));
        assert!(document.contains(&format!("version {FORMAT_VERSION}")));
        assert!(document.contains(&format!("bytes {} to {}", COVERED.start, COVERED.end - 1)));
    }
}
