//! A journal as it lies on the disk, followed from its first frame to its last.
//!
//! Responsible for: which frames belong to the chain, good copies of damaged ones, and everything that is
//! wrong, with its place; all of that while a voter may be appending.
//! Not responsible for: what recovery makes of it. Recovery decides what a voter may promise; this only
//! shows, so it goes on behind damage wherever something looks like a frame.

use std::thread;
use std::time::Duration;

use anyhow::bail;
use journal::{
    FRAME_ALIGNMENT, Frame, FrameError, JournalTag, SEGMENT_HEADER_BYTES, SegmentFlaw, SegmentInfo,
    SegmentKind, SegmentName, SegmentView, list_segments, view_segment,
};
use position::{Index, Tip};
use storage::Disk;

use crate::problem::Problem;

/// How often the folder is listed anew when files go while they are being opened.
const LISTINGS_MAX: u32 = 5;
/// How often a bad end is looked at again, as a running voter may be in the middle of writing it.
const LOOKS_MAX: u32 = 3;
/// A frame is copied into its place in far less.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The files of a journal as they were at one moment: a reader's disk gives copies, so neither appending nor
/// removing changes what is seen here. That costs as much memory as the journal has bytes.
pub(crate) struct JournalFiles {
    files: Vec<File>,
}

struct File {
    info: SegmentInfo,
    view: SegmentView,
}

/// What the chain leads to.
pub(crate) enum Finding<'a> {
    Frame(Placed<'a>),
    Problem(Problem),
}

/// A verified frame and where it lies.
pub(crate) struct Placed<'a> {
    pub(crate) file: SegmentName,
    pub(crate) offset: usize,
    pub(crate) frame: Frame<'a>,
}

impl JournalFiles {
    pub(crate) fn open(disk: &Disk) -> anyhow::Result<JournalFiles> {
        let mut look = 1;
        loop {
            let files = list(disk)?;
            let newest = files.iter().rfind(|file| file.info.visible);
            if look == LOOKS_MAX || newest.is_none_or(File::ends_well) {
                return Ok(JournalFiles { files });
            }
            look += 1;
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// All files, hidden ones and copies of damaged frames too.
    pub(crate) fn infos(&self) -> impl Iterator<Item = &SegmentInfo> {
        self.files.iter().map(|file| &file.info)
    }

    /// Whose commands the visible files say that they hold.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (SegmentName, JournalTag)> {
        let shown = self.files.iter().filter(|file| file.info.visible);
        shown.filter_map(|file| Some((file.info.name, file.view.header.as_ref().ok()?.tag)))
    }

    /// Frames and problems in the order of the journal. Entries up to `covered` are in a snapshot.
    pub(crate) fn findings(&self, covered: Index) -> impl Iterator<Item = Finding<'_>> {
        let mut walk =
            Walk { files: &self.files, covered, tip: None, last: Index::NONE, mended: Index::NONE };
        let shown = self.files.iter().filter(|file| file.info.visible);
        shown.flat_map(move |file| walk.through(file))
    }
}

fn list(disk: &Disk) -> anyhow::Result<Vec<File>> {
    for _ in 0..LISTINGS_MAX {
        let mut files = Vec::new();
        let infos = list_segments(disk)?;
        for info in &infos {
            if let Some(view) = view_segment(disk, &info.name)? {
                files.push(File { info: *info, view });
            }
        }
        // One that went in between may have been replaced by one that is not in this list.
        if files.len() == infos.len() {
            return Ok(files);
        }
    }
    bail!("files of the journal are being removed faster than they can be opened; try again")
}

impl File {
    fn ends_well(&self) -> bool {
        self.view.spots().last().is_none_or(|spot| spot.frame.is_ok())
    }
}

/// Segments never change their length, and recovery refuses one that has no possible length.
fn is_whole(bytes: u64) -> bool {
    bytes >= SEGMENT_HEADER_BYTES as u64 && bytes.is_multiple_of(FRAME_ALIGNMENT as u64)
}

struct Walk<'a> {
    files: &'a [File],
    covered: Index,
    /// What the next frame must follow; `None` where nothing says so.
    tip: Option<Tip>,
    /// The last entry that was come upon.
    last: Index,
    /// The last entry that came from a good copy of what is damaged.
    mended: Index,
}

impl<'a> Walk<'a> {
    fn through(&mut self, file: &'a File) -> Vec<Finding<'a>> {
        let mut found = Vec::new();
        if !is_whole(file.info.bytes) {
            let bytes = file.info.bytes;
            let what = format!(
                "it is {bytes} bytes long, which no segment is: its end is lost, and no voter starts from it"
            );
            found.push(Finding::Problem(Problem::of_file(file.info.name, what)));
        }
        self.header(file, &mut found);
        for spot in file.view.spots() {
            // What lies behind is hidden by the next file.
            if file.info.through == Some(self.last) {
                break;
            }
            let name = file.info.name;
            match spot.frame {
                Ok(frame) if file.info.through.is_some_and(|last| frame.header().first_index > last) => break,
                Ok(frame) => self.frame(Placed { file: name, offset: spot.offset, frame }, &mut found),
                Err(error) => self.bad(file, spot.offset, &error, &mut found),
            }
        }
        // Of a file with damage in it that is no news.
        let complete = found.iter().all(|finding| matches!(finding, Finding::Frame(_)));
        if let Some(through) = file.info.through.filter(|through| complete && *through > self.last) {
            let last = self.last;
            let what = format!("entries {} to {through} should be here and are not", last.next());
            found.push(Finding::Problem(self.judge(through, Problem::of_file(file.info.name, what))));
            self.tip = None;
        }
        found
    }

    fn header(&mut self, file: &File, found: &mut Vec<Finding<'a>>) {
        let name = file.info.name;
        let header = match &file.view.header {
            Ok(header) => header,
            Err(flaw) => {
                let newest = file.info.through.is_none();
                let problem = match flaw {
                    SegmentFlaw::Blank if newest => Problem::note(
                        name,
                        0,
                        "its header was never written: the process ended at that moment, and the next start puts it right",
                    ),
                    _ => Problem::damage(name, 0, format!("{flaw}; the frames in it are still read")),
                };
                found.push(Finding::Problem(problem));
                return;
            }
        };
        if (header.first, header.generation) != (name.first, name.generation) {
            let what = format!(
                "it says that it begins with entry {} in generation {}, and its name says otherwise",
                header.first, header.generation
            );
            found.push(Finding::Problem(Problem::damage(name, 0, what)));
        }
        if let Some(tip) = self.tip.filter(|tip| *tip != header.previous) {
            let what = format!("it follows {}, but the journal before it ends with {tip}", header.previous);
            let problem = self.judge(header.previous.index(), Problem::damage(name, 0, what));
            found.push(Finding::Problem(problem));
        }
        self.tip = Some(header.previous);
        self.last = header.previous.index();
    }

    /// Leftovers from before a snapshot need not lead anywhere: some of them may have come back with a power
    /// cut while they were being removed.
    fn judge(&self, through: Index, problem: Problem) -> Problem {
        if through > self.covered {
            return problem;
        }
        Problem::note(
            problem.file,
            problem.offset.unwrap_or(0),
            format!("{}; a snapshot covers it", problem.what),
        )
    }

    fn frame(&mut self, placed: Placed<'a>, found: &mut Vec<Finding<'a>>) {
        let (id, tip) = (placed.frame.id(), placed.frame.tip());
        if id.last <= self.mended {
            return;
        }
        if let Some(after) = self.tip.filter(|after| !placed.frame.follows(after)) {
            let what = FrameError::Unchained { id, after };
            found.push(Finding::Problem(Problem::damage(placed.file, placed.offset, what)));
        }
        // Something that goes back cannot be the journal's next frame: a payload may hold any bytes.
        if id.first > self.last {
            (self.tip, self.last) = (Some(tip), id.last);
            found.push(Finding::Frame(placed));
        }
    }

    fn bad(&mut self, file: &'a File, offset: usize, error: &FrameError, found: &mut Vec<Finding<'a>>) {
        let name = file.info.name;
        let id = match error {
            FrameError::Body { id } | FrameError::Entries { id, .. } | FrameError::Count { id, .. } => {
                Some(*id)
            }
            FrameError::Cut { .. } | FrameError::Header | FrameError::Unchained { .. } => None,
        };
        if id.is_some_and(|id| id.last <= self.mended) {
            return;
        }
        let copies = self.copies();
        if let (Some(first), Some(last)) = (copies.first(), copies.last()) {
            let what = format!("{error}; a good copy lies in {}", first.file);
            found.push(Finding::Problem(Problem::note(name, offset, what)));
            let tip = last.frame.tip();
            (self.tip, self.last, self.mended) = (Some(tip), tip.index(), tip.index());
            found.extend(copies.into_iter().map(Finding::Frame));
            return;
        }
        let is_end = file.info.through.is_none();
        let advice = if is_end {
            "; if it is the journal's last, a power cut may have torn it, and the next start decides"
        } else {
            ""
        };
        found.push(Finding::Problem(Problem::damage(name, offset, format!("{error}{advice}"))));
        match id {
            Some(id) if id.first == self.last.next() => (self.tip, self.last) = (Some(id.tip()), id.last),
            _ => self.tip = None,
        }
    }

    /// Good copies that lead on from here.
    fn copies(&self) -> Vec<Placed<'a>> {
        let mut copies: Vec<Placed<'a>> = Vec::new();
        let Some(mut tip) = self.tip else { return copies };
        for file in self.files.iter().filter(|file| file.info.name.kind == SegmentKind::Repair) {
            for spot in file.view.spots() {
                if let Ok(frame) = spot.frame
                    && frame.follows(&tip)
                {
                    tip = frame.tip();
                    copies.push(Placed { file: file.info.name, offset: spot.offset, frame });
                }
            }
        }
        copies
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::{Command, Fleet};
    use prevalent::Store;
    use storage::Disk;

    fn place(node: &str, column: u16) -> Command {
        Command::Place { node: node.into(), row: 1, column }
    }

    /// Several passes over what was opened must tell the same, and a frame that is being written during a later
    /// one must not look torn.
    #[test]
    fn what_is_written_later_is_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::<Fleet>::open(folder.path()).unwrap();
        store.execute(place("pc1", 1)).unwrap();
        let disk = Disk::open_read_only(folder.path()).unwrap();
        let files = JournalFiles::open(&disk).unwrap();
        let before = files.findings(Index::NONE).count();
        store.execute(place("pc2", 2)).unwrap();
        assert_eq!(files.findings(Index::NONE).count(), before);
        let again = JournalFiles::open(&disk).unwrap();
        assert_eq!(again.findings(Index::NONE).count(), before + 1);
    }
}
