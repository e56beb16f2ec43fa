use position::Index;
use storage::Slice;

use crate::header::Header;
use crate::{Flaw, HEADER_BYTES, Head};

/// How much of a file is hashed before its pages are given back.
const STEP_BYTES: usize = 1024 * 1024;

/// A snapshot whose every byte has been verified. The archive in it has not been looked at: validate it
/// before access.
#[derive(Clone, Debug)]
pub struct Opened {
    header: Header,
    file: Slice,
}

impl Opened {
    /// Verifies the bytes of a snapshot file, wherever they came from.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn verify(file: Slice) -> Result<Opened, Flaw> {
        let header = header_of(&file)?;
        if hash_in_steps(&file.subslice(HEADER_BYTES..file.len())) != header.archive_hash {
            return Err(Flaw::Archive);
        }
        Ok(Opened { header, file })
    }

    /// What it is a snapshot of.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.header.head
    }

    /// The position whose effects are the last contained.
    #[must_use]
    pub fn index(&self) -> Index {
        self.header.head.tip.index()
    }

    /// The blake3 hash of the archive.
    #[must_use]
    pub fn archive_hash(&self) -> [u8; 32] {
        self.header.archive_hash
    }

    /// The archived state.
    #[must_use]
    pub fn archive(&self) -> Slice {
        self.file.subslice(HEADER_BYTES..self.file.len())
    }

    /// The whole file, to be sent to a peer.
    #[must_use]
    pub fn file(&self) -> &Slice {
        &self.file
    }
}

/// Verifies the bytes of a snapshot file that is in memory, and gives what it is and the archive in it.
///
/// # Errors
/// What is wrong with them.
pub fn verify_bytes(file: &[u8]) -> Result<(Head, &[u8]), Flaw> {
    let header = header_of(file)?;
    let archive = &file[HEADER_BYTES..];
    if *blake3::hash(archive).as_bytes() != header.archive_hash {
        return Err(Flaw::Archive);
    }
    Ok((header.head, archive))
}

/// The hash of an archive that may be larger than the memory that there is for it.
fn hash_in_steps(archive: &Slice) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for start in (0..archive.len()).step_by(STEP_BYTES) {
        let step = archive.subslice(start..archive.len().min(start + STEP_BYTES));
        hasher.update(&step);
        step.give_back();
    }
    *hasher.finalize().as_bytes()
}

/// The header of a file that is as long as it says.
fn header_of(file: &[u8]) -> Result<Header, Flaw> {
    let bytes = file.len() as u64;
    let block = file.first_chunk().ok_or(Flaw::NoHeader { bytes })?;
    let header = Header::decode(block)?;
    // The length comes before the hash: it costs nothing, and says more about what happened.
    if header.file_bytes() != Some(bytes) {
        let expected = header.archive_bytes.saturating_add(HEADER_BYTES as u64);
        return Err(Flaw::Length { expected, found: bytes });
    }
    Ok(header)
}
