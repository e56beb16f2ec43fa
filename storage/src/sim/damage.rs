use super::contents::Contents;

/// What a disk, a person or another program does to a file at rest. Sectors have 512 bytes and are counted from the
/// file's start.
#[derive(Clone, Debug)]
pub enum Damage {
    /// Bits of one byte have changed.
    Flipped {
        /// Which byte.
        offset: u64,
        /// Which of its bits.
        xor: u8,
    },
    /// A sector reads as zeros.
    Zeroed {
        /// Which one.
        sector: u64,
    },
    /// A write that never arrived: the sector holds what it held before it was last written.
    Lost {
        /// Which one.
        sector: u64,
    },
    /// A write that went elsewhere in the file: one sector holds what was last written to another, which holds what
    /// it held before.
    Misdirected {
        /// Where the write belonged.
        from: u64,
        /// Where it went.
        to: u64,
    },
    /// The file is cut off, or lengthened by zeros.
    Resized {
        /// Its length now.
        bytes: u64,
    },
    /// The file is gone.
    Deleted,
    /// The file is as it was when the copy was taken, perhaps of a file with another name. It is made if there is
    /// none.
    Stale(FileCopy),
}

/// A file's contents at some moment, to come back as [`Damage::Stale`].
#[derive(Clone, Debug)]
pub struct FileCopy {
    pub(super) contents: Contents,
}

impl Damage {
    /// Damages contents; says whether anything has changed. What concerns a whole file is not done here.
    pub(super) fn apply(&self, contents: &mut Contents) -> bool {
        match *self {
            Damage::Flipped { offset, xor } => contents.flip(offset, xor),
            Damage::Zeroed { sector } => contents.zero(sector),
            Damage::Lost { sector } => contents.lose_write(sector),
            Damage::Misdirected { from, to } => contents.misdirect(from, to),
            Damage::Resized { bytes } => contents.resize(bytes),
            Damage::Deleted | Damage::Stale(_) => unreachable!("damage to a whole file"),
        }
    }
}
