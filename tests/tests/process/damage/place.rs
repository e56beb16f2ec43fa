//! A place on a voter's disk, and what the journal says is there.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use journal::{FoundMark, SEGMENT_HEADER_BYTES, list_segments, view_mark, view_segment};
use prevalent::Random;
use storage::Disk;

/// What `inspect verify` says of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// All that counts is there.
    Sound,
    /// Something that counts is missing.
    Missing,
}

/// What lies at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// One of the two copies of the ballot. The other one is good.
    Ballot,
    /// The mark: a hint.
    Mark,
    /// What a segment says of itself. Its neighbours may say the same.
    SegmentHeader,
    /// A part of a frame at or below the mark.
    Frame,
    /// A part of a frame that the mark does not vouch for: it may have been acknowledged, or not.
    NewestFrame,
    /// Zeros behind the last frame.
    Blank,
    /// Frames that a newer generation hides, or good copies of damaged ones.
    Hidden,
    /// All of the journal's folder.
    Folder,
}

/// A place on a voter's disk.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The file, within the data directory; of [`Holds::Folder`] the folder.
    pub(crate) file: String,
    /// Its bytes.
    pub(crate) range: Range<u64>,
    pub(crate) holds: Holds,
    /// Where the last frame in the file ends.
    pub(crate) used: u64,
    pub(crate) bytes: u64,
}

pub(crate) fn number_below(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).expect("below a usize")
}

impl Place {
    /// Any place of the directory, each kind as likely as any other.
    pub(crate) fn draw(random: &mut Random, data: &Path) -> Place {
        let places = Place::all(data);
        let kinds = [
            Holds::Ballot,
            Holds::Mark,
            Holds::SegmentHeader,
            Holds::Frame,
            Holds::Frame,
            Holds::Frame,
            Holds::NewestFrame,
            Holds::Blank,
            Holds::Hidden,
            Holds::Folder,
        ];
        loop {
            let kind = kinds[number_below(random, kinds.len())];
            let fitting: Vec<&Place> = places.iter().filter(|place| place.holds == kind).collect();
            if !fitting.is_empty() {
                return fitting[number_below(random, fitting.len())].clone();
            }
        }
    }

    /// All places of a directory that no process uses.
    fn all(data: &Path) -> Vec<Place> {
        let disk = Disk::open_read_only(data).unwrap();
        let whole = |file: &str, holds| {
            let bytes = std::fs::metadata(data.join(file)).ok()?.len();
            Some(Place { file: file.to_owned(), range: 0..bytes, holds, used: bytes, bytes })
        };
        let mut places: Vec<Place> = ["meta.0", "meta.1"]
            .into_iter()
            .filter_map(|copy| whole(copy, Holds::Ballot))
            .chain(whole("mark", Holds::Mark))
            .collect();
        places.push(Place {
            file: "journal".to_owned(),
            range: 0..0,
            holds: Holds::Folder,
            used: 0,
            bytes: 0,
        });
        let durable = match view_mark(&disk).unwrap() {
            FoundMark::Good { durable, .. } => Some(durable.index()),
            FoundMark::Missing | FoundMark::Damaged => None,
        };
        for segment in list_segments(&disk).unwrap() {
            let file = segment.name.to_string();
            let bytes = segment.bytes;
            let view = view_segment(&disk, &segment.name).unwrap().expect("no process removes it");
            let mut used = SEGMENT_HEADER_BYTES as u64;
            let mut found = Vec::new();
            for spot in view.spots() {
                let Ok(frame) = spot.frame else { continue };
                let start = spot.offset as u64;
                let end = start + frame.bytes().len() as u64;
                let counts = segment.visible && segment.through.is_none_or(|last| frame.id().last <= last);
                let holds = match durable {
                    _ if !counts => Holds::Hidden,
                    Some(durable) if frame.id().last <= durable => Holds::Frame,
                    _ => Holds::NewestFrame,
                };
                used = used.max(end);
                found.push((start..end, holds));
            }
            let header = if segment.visible { Holds::SegmentHeader } else { Holds::Hidden };
            found.push((0..SEGMENT_HEADER_BYTES as u64, header));
            if used < bytes {
                found.push((used..bytes, Holds::Blank));
            }
            let place = |(range, holds)| Place { file: file.clone(), range, holds, used, bytes };
            places.extend(found.into_iter().map(place));
        }
        places
    }

    /// The file's name without its folder, as logs have it too.
    pub(crate) fn file_name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} ({:?})", self.file, self.range, self.holds)
    }
}
