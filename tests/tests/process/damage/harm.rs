//! What a disk may do to a place.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::path::Path;

use prevalent::Random;

use crate::damage::place::{Finding, Holds, Place, number_below};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// One bit is another.
    Flip { at: u64, bit: u8 },
    /// A sector is all zeros.
    Zero { sector: u64 },
    /// Two sectors have changed places.
    Swap { sector: u64, other: u64 },
    /// A sector holds what another one holds: a write went to the wrong place.
    Duplicate { sector: u64, from: u64 },
    /// The file ends here.
    Truncate { at: u64 },
    /// The file is longer by this much.
    Extend { bytes: u64 },
    /// The file, or the folder, is gone.
    Delete,
}

impl Harm {
    pub(crate) fn draw(random: &mut Random, place: &Place) -> Harm {
        if place.holds == Holds::Folder {
            return Harm::Delete;
        }
        let at = place.range.start + random.below(place.range.end - place.range.start);
        let sector = at / SECTOR_BYTES;
        let sectors = place.bytes.div_ceil(SECTOR_BYTES);
        let other = random.below(place.used.div_ceil(SECTOR_BYTES).max(1));
        match number_below(random, 10) {
            0..=3 => Harm::Flip { at, bit: u8::try_from(random.below(8)).expect("below eight") },
            4 | 5 => Harm::Zero { sector },
            6 if other != sector => Harm::Swap { sector, other },
            7 if other != sector => Harm::Duplicate { sector, from: other },
            8 => Harm::Truncate { at },
            9 if sectors > 1 => Harm::Delete,
            _ => Harm::Extend { bytes: 1 + random.below(8 * SECTOR_BYTES) },
        }
    }

    pub(crate) fn inflict(self, data: &Path, place: &Place) {
        let path = data.join(&place.file);
        if self == Harm::Delete {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            return removed.unwrap();
        }
        let mut bytes = fs::read(&path).unwrap();
        let index = |at: u64| usize::try_from(at).expect("files of voters fit into memory");
        let end = bytes.len();
        let sector = |number: u64| {
            let start = index(number * SECTOR_BYTES);
            start..end.min(start + index(SECTOR_BYTES))
        };
        match self {
            Harm::Flip { at, bit } => bytes[index(at)] ^= 1 << bit,
            Harm::Zero { sector: number } => bytes[sector(number)].fill(0),
            Harm::Swap { sector: one, other } => {
                let (held, others) = (bytes[sector(one)].to_vec(), bytes[sector(other)].to_vec());
                let both = held.len().min(others.len());
                bytes[sector(one).start..][..both].copy_from_slice(&others[..both]);
                bytes[sector(other).start..][..both].copy_from_slice(&held[..both]);
            }
            Harm::Duplicate { sector: number, from } => {
                let copied = bytes[sector(from)].to_vec();
                let both = copied.len().min(sector(number).len());
                bytes[sector(number).start..][..both].copy_from_slice(&copied[..both]);
            }
            Harm::Truncate { at } => bytes.truncate(index(at)),
            Harm::Extend { bytes: more } => {
                bytes.extend((0..more).map(|byte| u8::try_from(byte % 251).expect("small")))
            }
            Harm::Delete => unreachable!("done above"),
        }
        let mut file = OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
    }

    /// What `inspect verify` may say of it.
    pub(crate) fn expected(self, place: &Place) -> &'static [Finding] {
        const SOUND: &[Finding] = &[Finding::Sound];
        const MISSING: &[Finding] = &[Finding::Missing];
        const EITHER: &[Finding] = &[Finding::Sound, Finding::Missing];
        match (place.holds, self) {
            // The other copy is good.
            (Holds::Ballot, _) => SOUND,
            // A hint is no promise, but without it a torn end cannot be told from one that was acknowledged.
            (Holds::Mark, _) => EITHER,
            (Holds::Folder, _) => MISSING,
            (Holds::Frame, Harm::Flip { .. } | Harm::Truncate { .. } | Harm::Delete) => MISSING,
            (Holds::Blank, Harm::Flip { .. } | Harm::Extend { .. }) => SOUND,
            // These may reach into the neighbourhood, or change nothing, or be told by somebody else.
            _ => EITHER,
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
