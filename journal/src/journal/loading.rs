//! The journal's files, as they are found at a start.
//!
//! Responsible for: which there are, whose they are, and which of them can be read.
//! Not responsible for: what is in them (`walk`), and which of several counts (`hiding`).

use position::{ClusterId, Index};
use storage::{Disk, DiskError, Segment};

use super::JournalError;
use super::finding::Finding;
use super::repair::chain;
use super::walk::{Copy, Found};
use crate::frame::{FRAME_ALIGNMENT, Frame};
use crate::segment::{
    Generation, JOURNAL_FOLDER, JournalTag, SEGMENT_HEADER_BYTES, SegmentFlaw, SegmentHeader, SegmentKind,
    SegmentName,
};

/// No segment is longer: offsets within one are held in four bytes.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// A file in the journal's folder.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    pub(super) name: SegmentName,
    pub(super) bytes: u64,
}

/// The journal's files. Others in its folder are none of our business.
pub(super) fn files(disk: &Disk) -> Result<Vec<File>, DiskError> {
    let entries = disk.list(JOURNAL_FOLDER)?;
    let named = |entry: &storage::FileEntry| {
        SegmentName::parse(&entry.name).map(|name| File { name, bytes: entry.bytes })
    };
    Ok(entries.iter().filter_map(named).collect())
}

/// Opens the segments that can be read, and checks that they are ours, if it is known who we are. What is strange about them goes to `findings`.
pub(super) fn load_segments(
    disk: &Disk,
    files: &[File],
    tag: Option<&JournalTag>,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Found>, JournalError> {
    let mut segments = Vec::new();
    for File { name, bytes } in files.iter().copied().filter(|file| file.name.kind == SegmentKind::Journal) {
        if name.generation > Generation::OPENED_MAX {
            // No journal comes to such a generation.
            findings.push(Finding::SetAside { file: name });
            continue;
        }
        if !bytes.is_multiple_of(FRAME_ALIGNMENT as u64) || bytes > SEGMENT_BYTES_MAX {
            findings.push(Finding::Length { file: name, bytes });
        }
        if !(FRAME_ALIGNMENT as u64..=SEGMENT_BYTES_MAX).contains(&bytes) {
            findings.push(Finding::SetAside { file: name });
            continue;
        }
        let segment = open(disk, name, files)?;
        let header = match SegmentHeader::decode(&segment.slice(0..segment.capacity())) {
            Ok(header) if (header.first, header.generation) != (name.first, name.generation) => {
                Err(SegmentFlaw::Damaged)
            }
            Err(source @ (SegmentFlaw::Format { .. } | SegmentFlaw::Life { .. })) => {
                return Err(JournalError::Format { file: name, source });
            }
            header => header,
        };
        if let (Ok(header), Some(tag)) = (&header, tag) {
            check_tag(name, &header.tag, tag)?;
        }
        segments.push(Found::new(name, segment, header));
    }
    Ok(segments)
}

/// Opens a segment, one of these files. Of all of them the last is appended to, and the end of the one before may be on
/// its way to the file: nobody writes to any other.
pub(super) fn open(disk: &Disk, name: SegmentName, files: &[File]) -> Result<Segment, DiskError> {
    let age = |name: SegmentName| (name.generation, name.first);
    let segments = files.iter().map(|file| file.name).filter(|name| name.kind == SegmentKind::Journal);
    let is_closed = segments.filter(|other| age(*other) > age(name)).count() >= 2;
    let path = name.to_string();
    if is_closed { disk.open_closed_segment(&path) } else { disk.open_segment(&path) }
}

/// Whose journal lies in a directory that has lost its identity, by the header of any of its segments.
///
/// # Errors
/// If the disk refuses.
pub fn cluster_of(disk: &Disk) -> Result<Option<ClusterId>, JournalError> {
    for File { name, bytes } in files(disk)?.iter().rev() {
        if name.kind != SegmentKind::Journal || *bytes < SEGMENT_HEADER_BYTES as u64 {
            continue;
        }
        let segment = disk.open_segment(&name.to_string())?;
        if let Ok(header) = SegmentHeader::decode(&segment.slice(0..SEGMENT_HEADER_BYTES)) {
            return Ok(Some(header.tag.cluster));
        }
    }
    Ok(None)
}

fn check_tag(file: SegmentName, found: &JournalTag, expected: &JournalTag) -> Result<(), JournalError> {
    let pairs = [
        ("cluster", found.cluster.to_string(), expected.cluster.to_string()),
        (
            "the type of state",
            format!("{:016x}", found.archive_tag),
            format!("{:016x}", expected.archive_tag),
        ),
        ("schema", found.schema.0.to_string(), expected.schema.0.to_string()),
    ];
    if let Some((what, found, expected)) = pairs.into_iter().find(|(_, found, expected)| found != expected) {
        return Err(JournalError::WrongTag { file, what, found, expected });
    }
    // Segments from before there were fingerprints say 0.
    if found.layout != expected.layout && found.layout != 0 {
        let (schema, found, expected) = (expected.schema.0, found.layout, expected.layout);
        return Err(JournalError::OtherLayout { file, schema, found, expected });
    }
    Ok(())
}

/// Opens the good copies. One that is damaged itself is no use, and is fetched again.
pub(super) fn load_copies(disk: &Disk, files: &[File]) -> Result<Vec<Copy>, JournalError> {
    let mut copies = Vec::new();
    let is_copy =
        |file: &&File| file.name.kind == SegmentKind::Repair && file.bytes > SEGMENT_HEADER_BYTES as u64;
    for File { name, .. } in files.iter().filter(is_copy) {
        let Some(bytes) = disk.map(&name.to_string())? else { continue };
        let Ok(header) = SegmentHeader::decode(&bytes) else { continue };
        let Ok((offsets, tip)) = chain(header.previous, &bytes[SEGMENT_HEADER_BYTES..]) else { continue };
        let commit = |offset: &u32| Frame::verified_before(&bytes[*offset as usize..]).header().commit;
        let committed = offsets.iter().map(commit).max().unwrap_or(Index::NONE);
        copies.push(Copy { name: *name, offsets, after: header.previous, tip, committed, bytes });
    }
    Ok(copies)
}
