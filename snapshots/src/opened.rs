use position::Index;
use storage::Slice;

use crate::header::Header;
use crate::{Flaw, HEADER_BYTES, Head};

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
        let (header, _archive) = verified(&file)?;
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
    let (header, archive) = verified(file)?;
    Ok((header.head, archive))
}

fn verified(file: &[u8]) -> Result<(Header, &[u8]), Flaw> {
    let bytes = file.len() as u64;
    let (block, archive) = file.split_first_chunk().ok_or(Flaw::NoHeader { bytes })?;
    let header = Header::decode(block)?;
    // The length comes before the hash: it costs nothing, and says more about what happened.
    if header.file_bytes() != Some(bytes) {
        let expected = header.archive_bytes.saturating_add(HEADER_BYTES as u64);
        return Err(Flaw::Length { expected, found: bytes });
    }
    if *blake3::hash(archive).as_bytes() != header.archive_hash {
        return Err(Flaw::Archive);
    }
    Ok((header, archive))
}
