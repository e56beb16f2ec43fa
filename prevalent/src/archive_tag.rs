use journal::JournalTag;
use position::ClusterId;
use rkyv::Archived;

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
    first_bytes(&hasher.finalize())
}

/// A fingerprint of the layout of a type's archives: what can be seen of it from outside, without a derive.
///
/// That is size and alignment of the archived state, command, outcome and rejection. It does not depend on compiler
/// or platform, as rkyv's archived types are `repr(C)` with integers of stated sizes. It notices a field that came, went
/// or changed its size, in the types themselves and in what they hold inline. It does not notice two fields of one size
/// that changed places, a variant that was renamed, or whatever lies behind a pointer, as the values of a map do.
#[must_use]
pub fn layout_of_sizes<S: Prevalent>() -> u64 {
    fn sizes_of<T>() -> [u64; 2] {
        [size_of::<T>() as u64, align_of::<T>() as u64]
    }
    let sizes = [
        sizes_of::<Archived<S>>(),
        sizes_of::<Archived<S::Command>>(),
        sizes_of::<Archived<S::Outcome>>(),
        sizes_of::<Archived<S::Rejection>>(),
    ];
    let mut hasher = blake3::Hasher::new();
    // An exact fingerprint, as a derive could compute it, begins with another word.
    hasher.update(b"sizes\0");
    for number in sizes.as_flattened() {
        hasher.update(&number.to_le_bytes());
    }
    first_bytes(&hasher.finalize())
}

fn first_bytes(hash: &blake3::Hash) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| hash.as_bytes()[byte]))
}

/// The tag of a journal of `S` in this cluster.
#[must_use]
pub fn journal_tag<S: Prevalent>(cluster: ClusterId) -> JournalTag {
    JournalTag { cluster, archive_tag: archive_tag::<S>(), schema: S::SCHEMA, layout: S::layout() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tally::Tally;
    use crate::{Moment, Schema};

    /// What a state was, and what it is after one change or another.
    macro_rules! state {
        ($name:ident { $($field:ident: $type:ty),* }, $command:ty) => {
            #[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Default)]
            struct $name { $($field: $type),* }
            impl Prevalent for $name {
                type Command = $command;
                type Outcome = ();
                type Rejection = ();
                type Query = ();
                type Answer = ();
                const NAME: &'static str = "state";
                const SCHEMA: Schema = Schema(1);
                fn execute(&mut self, _: $command, _: &Moment<'_>) -> Result<(), ()> { Ok(()) }
                fn answer(&self, (): &()) {}
            }
        };
    }
    state!(Before { count: u32, names: Vec<String> }, u64);
    state!(WiderField { count: u64, names: Vec<String> }, u64);
    state!(OneFieldMore { count: u32, names: Vec<String>, new: bool }, u64);
    state!(OtherCommand { count: u32, names: Vec<String> }, [u64; 2]);
    state!(Exchanged { names: Vec<String>, count: u32 }, u64);
    state!(BehindAPointer { count: u32, names: Vec<u8> }, u64);

    #[test]
    fn a_change_of_size_changes_the_fingerprint() {
        let before = Before::layout();
        assert!(
            [WiderField::layout(), OneFieldMore::layout(), OtherCommand::layout()]
                .iter()
                .all(|after| *after != before)
        );
    }

    /// What the documentation says that it does not see. An exact fingerprint would make this test fail.
    #[test]
    fn a_change_that_keeps_all_sizes_keeps_the_fingerprint() {
        assert_eq!(Exchanged::layout(), Before::layout());
        assert_eq!(BehindAPointer::layout(), Before::layout());
    }

    /// It stands in files, so neither the compiler nor the platform may change it.
    #[test]
    fn the_fingerprint_of_a_type_stays_for_ever() {
        let sizes = |list: [u64; 4]| {
            let numbers = list.map(|size| [size.to_le_bytes(), 1_u64.to_le_bytes()]);
            let hash = blake3::hash(&[b"sizes\0", numbers.as_flattened().as_flattened()].concat());
            first_bytes(&hash)
        };
        assert_eq!(format!("{:016x}", Tally::layout()), "d15d09a7c899a01c");
        assert_eq!(Before::layout(), sizes([4 + 16, 8, 0, 0]), "of state, command, outcome and rejection");
    }

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
