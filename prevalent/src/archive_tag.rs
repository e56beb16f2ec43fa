use journal::JournalTag;
use position::ClusterId;

use crate::Prevalent;

/// How the workspace's rkyv lays archives out. Changing its format features changes every file, so they
/// are part of the tag; a test holds them against real bytes.
const ARCHIVE_LAYOUT: &str = "rkyv 0.8 little_endian unaligned pointer_width_64";

/// Stands for the layout of a type's archives in the headers of journals and snapshots.
///
/// Archives do not describe themselves: bytes of one type can validate as another. So whoever opens a file
/// compares this tag, and the schema beside it, before reading any archive in it.
#[must_use]
pub fn archive_tag<S: Prevalent>() -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(ARCHIVE_LAYOUT.as_bytes());
    hasher.update(&[0]);
    hasher.update(S::NAME.as_bytes());
    let hash = hasher.finalize();
    u64::from_le_bytes(std::array::from_fn(|byte| hash.as_bytes()[byte]))
}

/// The tag of a journal of `S` in this cluster.
#[must_use]
pub fn journal_tag<S: Prevalent>(cluster: ClusterId) -> JournalTag {
    JournalTag { cluster, archive_tag: archive_tag::<S>(), schema: S::SCHEMA }
}

#[cfg(test)]
mod tests {
    /// One value of each kind that the format features act on: integers, lengths and relative pointers.
    #[test]
    fn the_layout_is_what_the_tag_says() {
        let mut bytes = Vec::new();
        crate::encode(&(0x0102_u16, vec![0x0304_u16]), &mut bytes).unwrap();
        let pointer = (-4_i64).to_le_bytes();
        let length = 1_u64.to_le_bytes();
        let expected = [&[4, 3][..], &[2, 1], &pointer, &length].concat();
        assert_eq!(bytes, expected, "other rkyv features than the tag states");
    }
}
